"""Models written by the engine: valid ONNX that means the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import fastort

RNG = np.random.default_rng(0)


def info(name: str, shape: list[int | str] | None, kind: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    """Returns a typed name."""
    return helper.make_tensor_value_info(name, kind, shape)


def check(model: onnx.ModelProto, path: Path, feeds: list[dict[str, np.ndarray]]) -> onnx.ModelProto:
    """Saves the optimized model, checks it and compares what both compute; returns the saved one."""
    options = fastort.SessionOptions()
    options.optimized_model_filepath = str(path)
    providers = ["CPUExecutionProvider"]
    session = fastort.InferenceSession(model.SerializeToString(), options, providers=providers)
    onnx.checker.check_model(str(path), full_check=True)
    again = fastort.InferenceSession(str(path), providers=providers)
    assert [i.name for i in again.get_inputs()] == [i.name for i in session.get_inputs()]
    assert [i.shape for i in again.get_inputs()] == [i.shape for i in session.get_inputs()]
    assert [o.name for o in again.get_outputs()] == [o.name for o in session.get_outputs()]
    for feed in feeds:
        for one, other in zip(session.run(None, feed), again.run(None, feed), strict=True):
            np.testing.assert_array_equal(one, other)
    return onnx.load(path)


def test_fused_convolution(tmp_path: Path) -> None:
    weight = numpy_helper.from_array(RNG.standard_normal((4, 3, 3, 3)).astype(np.float32), "w")
    statistics = [numpy_helper.from_array(RNG.random(4).astype(np.float32) + 0.5, n) for n in "sbmv"]
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], kernel_shape=[3, 3]),
        helper.make_node("BatchNormalization", ["c", "s", "b", "m", "v"], ["n"]),
        helper.make_node("Relu", ["n"], ["y"]),
    ]
    shape = ["batch", 3, 8, 8]
    graph = helper.make_graph(nodes, "conv", [info("x", shape)], [info("y", ["batch", 4, 6, 6])], [weight, *statistics])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 12)], ir_version=8)
    model.metadata_props.add(key="made_by", value="a test")
    saved = check(model, tmp_path / "m.onnx", [{"x": RNG.standard_normal((2, 3, 8, 8)).astype(np.float32)}])
    assert len(saved.graph.node) < len(nodes)
    assert saved.metadata_props[0].value == "a test"


def test_bodies_read_the_outer_names_again(tmp_path: Path) -> None:
    def branch(op: str) -> onnx.GraphProto:
        return helper.make_graph([helper.make_node(op, ["a", "k"], ["r"])], "branch", [], [info("r", None)])

    body = helper.make_graph(
        [
            helper.make_node("If", ["flag"], ["step"], then_branch=branch("Mul"), else_branch=branch("Add")),
            helper.make_node("Add", ["state", "step"], ["next"]),
            helper.make_node("Identity", ["go_on"], ["more"]),
            helper.make_node("Identity", ["next"], ["seen"]),
        ],
        "body",
        [info("i", [], TensorProto.INT64), info("go_on", [], TensorProto.BOOL), info("state", [2])],
        [info("more", [], TensorProto.BOOL), info("next", [2]), info("seen", [2])],
    )
    nodes = [
        helper.make_node("Neg", ["x"], ["a"]),
        helper.make_node("Loop", ["n", "", "x"], ["last", "all"], body=body),
    ]
    graph = helper.make_graph(
        nodes,
        "loop",
        [info("x", [2]), info("n", [], TensorProto.INT64), info("flag", [], TensorProto.BOOL)],
        [info("last", [2]), info("all", ["steps", 2])],
        [numpy_helper.from_array(np.array([2, 3], np.float32), "k")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 16)], ir_version=8)
    x = np.array([1, -2], np.float32)
    feeds = [{"x": x, "n": np.array(n), "flag": np.array(flag)} for n in (0, 3) for flag in (True, False)]
    check(model, tmp_path / "m.onnx", feeds)


def test_overridable_initializers_stay_so(tmp_path: Path) -> None:
    weight = numpy_helper.from_array(np.array([1, 2], np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "w"], ["y"])], "g", [info("x", [2]), info("w", [2])], [info("y", [2])], [weight]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    x = np.array([3, 4], np.float32)
    check(model, tmp_path / "m.onnx", [{"x": x}, {"x": x, "w": -x}])
    again = fastort.InferenceSession(str(tmp_path / "m.onnx"), providers=["CPUExecutionProvider"])
    assert [i.name for i in again.get_overridable_initializers()] == ["w"]
