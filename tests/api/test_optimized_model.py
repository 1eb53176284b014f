"""The file that `optimized_model_filepath` writes: valid ONNX, of operators that other engines have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

import fastort
from tests.api.models import model, tensor

LEVELS = list(fastort.GraphOptimizationLevel)
RNG = np.random.default_rng(3)


def network(opset: int) -> bytes:
    """A convolution with its normalization and activation, a product, a chain of elementwise nodes."""
    weights = {
        "w": RNG.standard_normal((8, 3, 3, 3)),
        "scale": RNG.uniform(0.5, 1.5, 8),
        "bias": RNG.standard_normal(8),
        "mean": RNG.standard_normal(8),
        "variance": RNG.uniform(0.5, 1.5, 8),
        "m": RNG.standard_normal((6, 5)),
        "two": np.array(2.0),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["c", "scale", "bias", "mean", "variance"], ["n"]),
        helper.make_node("Relu", ["n"], ["r"]),
        helper.make_node("MatMul", ["r", "m"], ["p"]),
        helper.make_node("Mul", ["p", "two"], ["d"]),
        helper.make_node("Tanh", ["d"], ["t"]),
        helper.make_node("Add", ["t", "d"], ["a"]),
        helper.make_node("Identity", ["a"], ["i"]),
        helper.make_node("Sigmoid", ["i"], ["y"]),
    ]
    initializers = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()]
    dims = ["batch", 3, 6, 6]
    graph = model(nodes, [tensor("x", dims=dims)], [tensor("y", dims=["batch", 8, 6, 5])], initializers, opset)
    return graph.SerializeToString()


@pytest.mark.parametrize("level", LEVELS, ids=str)
@pytest.mark.parametrize("opset", [15, 21])
def test_written_model(opset: int, level: fastort.GraphOptimizationLevel, tmp_path: Path) -> None:
    path = tmp_path / "optimized.onnx"
    options = fastort.SessionOptions()
    options.graph_optimization_level = level
    options.optimized_model_filepath = str(path)
    serialized = network(opset)
    x = RNG.standard_normal((2, 3, 6, 6)).astype(np.float32)
    expected = fastort.InferenceSession(serialized, options).run(None, {"x": x})[0]
    written = onnx.load(path)
    onnx.checker.check_model(written, full_check=True)
    assert {node.domain for node in written.graph.node} <= {"", "com.microsoft"}
    np.testing.assert_allclose(fastort.InferenceSession(path).run(None, {"x": x})[0], expected, rtol=1e-5, atol=1e-6)
    if level != fastort.GraphOptimizationLevel.ORT_DISABLE_ALL:
        assert "BatchNormalization" not in {node.op_type for node in written.graph.node}
    # Nothing newer than what the operators need: engines of the model's own age can read it.
    assert {entry.domain: entry.version for entry in written.opset_import}[""] <= 22
    assert written.ir_version <= 10


def test_a_model_of_functions_and_bodies(tmp_path: Path) -> None:
    text = """
    <ir_version: 10, opset_import: ["" : 21, "my.ops" : 1]>
    net (float[n] x, bool flag) => (float[n] y)
    {
      h = my.ops.Twice (x)
      y = If (flag) <
        then_branch = yes () => (float[n] a) { a = Neg (h) },
        else_branch = no () => (float[n] b) { b = Abs (h) }
      >
    }
    <domain: "my.ops", opset_import: ["" : 21]> Twice (v) => (w) { w = Add (v, v) }
    """
    path = tmp_path / "optimized.onnx"
    options = fastort.SessionOptions()
    options.optimized_model_filepath = str(path)
    session = fastort.InferenceSession(onnx.parser.parse_model(text).SerializeToString(), options)
    onnx.checker.check_model(onnx.load(path), full_check=True)
    again = fastort.InferenceSession(path)
    for flag in (True, False):
        feed = {"x": np.array([-1, 2], np.float32), "flag": np.array(flag)}
        np.testing.assert_array_equal(again.run(None, feed)[0], session.run(None, feed)[0])


def test_operators_that_have_changed_lately(tmp_path: Path) -> None:
    """Range, Cast and Loop have versions of opset 27 and 28, which change nothing for this model."""
    text = """
    <ir_version: 8, opset_import: ["" : 17]>
    net (int64 count, float[2] x) => (float[2] y, float[n] places)
    {
      zero = Constant <value = float {0}> ()
      one = Constant <value = float {1}> ()
      limit = Cast <to = 1> (count)
      places = Range (zero, limit, one)
      y = Loop (count, , x) <
        body = step (int64 i, bool go, float[2] a) => (bool more, float[2] b) { more = Identity (go) b = Add (a, a) }
      >
    }
    """
    path = tmp_path / "optimized.onnx"
    options = fastort.SessionOptions()
    options.optimized_model_filepath = str(path)
    session = fastort.InferenceSession(onnx.parser.parse_model(text).SerializeToString(), options)
    written = onnx.load(path)
    onnx.checker.check_model(written, full_check=True)
    assert [entry.version for entry in written.opset_import] <= [24]
    feed = {"count": np.array(3), "x": np.ones(2, np.float32)}
    for one, other in zip(fastort.InferenceSession(path).run(None, feed), session.run(None, feed), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    options = fastort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "nowhere" / "optimized.onnx")
    with pytest.raises(fastort.capi._pybind_state.Fail, match="nowhere"):
        fastort.InferenceSession(network(21), options)


def test_weights_in_a_file_beside_the_model(tmp_path: Path) -> None:
    path = tmp_path / "optimized.onnx"
    options = fastort.SessionOptions()
    options.optimized_model_filepath = str(path)
    options.add_session_config_entry("session.optimized_model_external_initializers_file_name", "weights.bin")
    options.add_session_config_entry("session.optimized_model_external_initializers_min_size_in_bytes", "100")
    x = RNG.standard_normal((2, 3, 6, 6)).astype(np.float32)
    expected = fastort.InferenceSession(network(21), options).run(None, {"x": x})[0]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["optimized.onnx", "weights.bin"]
    outside = [t.name for t in onnx.load(path, load_external_data=False).graph.initializer if t.external_data]
    assert outside  # the weights of the convolution and of the product
    onnx.checker.check_model(str(path), full_check=True)
    np.testing.assert_allclose(fastort.InferenceSession(path).run(None, {"x": x})[0], expected, rtol=1e-5, atol=1e-6)
    options.add_session_config_entry("session.optimized_model_external_initializers_min_size_in_bytes", "some")
    with pytest.raises(fastort.capi.onnxruntime_pybind11_state.InvalidArgument, match="is a number of bytes"):
        fastort.InferenceSession(network(21), options)


@pytest.mark.parametrize("beside", [False, True], ids=["inside", "beside"])
def test_a_model_may_be_replaced_by_its_rewritten_form(beside: bool, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(
        onnx.load_from_string(network(21)), path, save_as_external_data=beside, location="model.bin", size_threshold=0
    )
    x = RNG.standard_normal((2, 3, 6, 6)).astype(np.float32)
    want = fastort.InferenceSession(path).run(None, {"x": x})[0]
    options = fastort.SessionOptions()
    options.optimized_model_filepath = str(path)
    if beside:
        options.add_session_config_entry("session.optimized_model_external_initializers_file_name", "model.bin")
    # The file that is mapped, of which weights are read until the session is ready, is the one that is written.
    session = fastort.InferenceSession(path, options)
    np.testing.assert_allclose(session.run(None, {"x": x})[0], want, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(fastort.InferenceSession(path).run(None, {"x": x})[0], want, rtol=1e-5, atol=1e-6)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model.bin", "model.onnx"][not beside :]


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    options = fastort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "nowhere" / "model.onnx")
    with pytest.raises(fastort.capi.onnxruntime_pybind11_state.Fail, match=r"Cannot write '.*nowhere/model\.onnx'"):
        fastort.InferenceSession(network(21), options)
    (tmp_path / "folder").mkdir()
    options.optimized_model_filepath = str(tmp_path / "folder")
    with pytest.raises(fastort.capi.onnxruntime_pybind11_state.Fail, match=r"Cannot write '.*folder'"):
        fastort.InferenceSession(network(21), options)
    assert [file.name for file in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize("declared", [1, 3, 4])
def test_an_operator_that_was_deprecated_keeps_an_opset_that_has_it(declared: int, tmp_path: Path) -> None:
    node = helper.make_node(
        "TreeEnsembleRegressor",
        ["x"],
        ["y"],
        domain="ai.onnx.ml",
        n_targets=1,
        nodes_treeids=[0, 0, 0],
        nodes_nodeids=[0, 1, 2],
        nodes_featureids=[0, 0, 0],
        nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF"],
        nodes_values=[0.5, 0.0, 0.0],
        nodes_truenodeids=[1, 0, 0],
        nodes_falsenodeids=[2, 0, 0],
        target_treeids=[0, 0],
        target_nodeids=[1, 2],
        target_ids=[0, 0],
        target_weights=[3.0, 4.0],
    )
    trees = model([node], [tensor("x", dims=["n", 1])], [tensor("y", dims=["n", 1])])
    next(entry for entry in trees.opset_import if entry.domain == "ai.onnx.ml").version = declared
    options = fastort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "trees.onnx")
    x = np.float32([[0.4], [0.6]])
    assert fastort.InferenceSession(trees.SerializeToString(), options).run(None, {"x": x})[0].tolist() == [[3], [4]]
    onnx.checker.check_model(onnx.load(tmp_path / "trees.onnx"), full_check=True)
    assert fastort.InferenceSession(tmp_path / "trees.onnx").run(None, {"x": x})[0].tolist() == [[3], [4]]
