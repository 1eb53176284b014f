"""Subgraphs of If, Loop and Scan on a Vulkan device: wholly there, in parts, or on the CPU where that does not pay."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import fastort
from tests.api.test_device_values import STAGED, run_counted, session_of, some
from tests.vulkan import NAME, OPTIONS, needs_vulkan

pytestmark = needs_vulkan

CPU = "CPUExecutionProvider"
FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL


def info(name: str, kind: int, shape: list[Any] | None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def graph(name: str, nodes: list[Any], inputs: list[Any], outputs: list[Any], **constants: Any) -> onnx.GraphProto:
    return helper.make_graph(
        nodes, name, inputs, outputs, [onnx.numpy_helper.from_array(value, key) for key, value in constants.items()]
    )


def blob_of(whole: onnx.GraphProto) -> bytes:
    return helper.make_model(
        whole, opset_imports=[helper.make_opsetid("", 20), helper.make_opsetid("ai.onnx.ml", 3)], ir_version=9
    ).SerializeToString()


def loop_model(*extra: onnx.NodeProto, last: str = "m") -> bytes:
    """v = tanh(v W) `turns` times, with each turn's mean stacked."""
    body = graph(
        "turn",
        [
            helper.make_node("MatMul", ["v", "w"], ["h"]),
            helper.make_node("Tanh", ["h"], ["m"]),
            *extra,
            helper.make_node("ReduceMean", [last], ["mean"], keepdims=0),
            helper.make_node("Identity", ["c"], ["going"]),
        ],
        [info("i", INT64, []), info("c", BOOL, []), info("v", FLOAT, ["n", 40])],
        [info("going", BOOL, []), info(last, FLOAT, ["n", 40]), info("mean", FLOAT, [])],
    )
    weight = np.random.default_rng(3).standard_normal((40, 40)).astype(np.float32) / 6
    return blob_of(
        graph(
            "g",
            [helper.make_node("Loop", ["turns", "", "x"], ["y", "means"], body=body)],
            [info("turns", INT64, []), info("x", FLOAT, ["n", 40])],
            [info("y", FLOAT, ["n", 40]), info("means", FLOAT, ["k"])],
            w=weight,
        )
    )


def lines_of(session: fastort.InferenceSession, body: str) -> list[str]:
    """What `explain` says of a subgraph's nodes."""
    _, _, rest = session.explain().partition(f"subgraph '{body}':\n")
    return rest.partition("\nsubgraph '")[0].splitlines()


@pytest.mark.parametrize("options", STAGED)
def test_loop(options: dict[str, str]) -> None:
    session = session_of(loop_model(), **options)
    host = fastort.InferenceSession(loop_model(), providers=[CPU])
    for turns, rows in ((3, 20), (0, 20), (5, 33), (1, 1)):
        feeds = {"turns": np.array(turns, np.int64), "x": some(rows, 40)}
        results, copied = run_counted(session, **feeds)
        for got, want in zip(results, host.run(None, feeds), strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)
        # The carried value goes there and comes back once; each turn brings one number back.
        if rows > 20:
            assert copied <= 2 * feeds["x"].nbytes + turns * 64, copied
    lines = lines_of(session, "turn")
    assert any(f"MatMul node (output 'h'): {NAME}, shader" in line or f"{NAME}, shader" in line for line in lines)
    assert not any(CPU in line for line in lines), "\n".join(lines)


def test_a_body_with_a_node_for_the_cpu_is_left_to_the_cpu() -> None:
    extra = (helper.make_node("Normalizer", ["m"], ["t"], domain="ai.onnx.ml", norm="L2"),)
    session = fastort.InferenceSession(loop_model(*extra, last="t"), providers=[(NAME, OPTIONS)])
    host = fastort.InferenceSession(loop_model(*extra, last="t"), providers=[CPU])
    feeds = {"turns": np.array(3, np.int64), "x": some(5, 40)}
    for got, want in zip(session.run(None, feeds), host.run(None, feeds), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)
    lines = lines_of(session, "turn")
    assert not any(f"{NAME}, shader" in line for line in lines), "\n".join(lines)
    assert any("another node of the subgraph does not run there" in line for line in lines), "\n".join(lines)
    own = next(i for i, line in enumerate(lines) if line.strip().startswith("ai.onnx.ml.Normalizer node"))
    assert "not VulkanExecutionProvider: the operator has no shader" in lines[own + 1], "\n".join(lines)


@pytest.mark.parametrize("options", STAGED)
def test_a_body_is_parted_where_its_nodes_do_enough(options: dict[str, str]) -> None:
    extra = (helper.make_node("Normalizer", ["m"], ["t"], domain="ai.onnx.ml", norm="L2"),)
    session = fastort.InferenceSession(loop_model(*extra, last="t"), providers=[(NAME, {**OPTIONS, **options})])
    host = fastort.InferenceSession(loop_model(*extra, last="t"), providers=[CPU])
    for rows in (20000, 5, 20000):
        feeds = {"turns": np.array(3, np.int64), "x": some(rows, 40)}
        for got, want in zip(session.run(None, feeds), host.run(None, feeds), strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)
    lines = lines_of(session, "turn")
    assert any(f"{NAME}, shader gemm" in line for line in lines), "\n".join(lines)
    assert any(line.strip().startswith("ai.onnx.ml.Normalizer node") and CPU in line for line in lines), "\n".join(
        lines
    )


@pytest.mark.parametrize("options", STAGED)
def test_if_inside_of_a_loop_and_a_result_that_the_caller_gets(options: dict[str, str]) -> None:
    large = [info("r", FLOAT, ["n", 40])]
    then_branch = graph("positive", [helper.make_node("Sqrt", ["x"], ["r"])], [], large)
    else_branch = graph("negative", [helper.make_node("Softmax", ["x"], ["r"])], [], large)
    nodes = [
        helper.make_node("ReduceMin", ["x"], ["least"], keepdims=0),
        helper.make_node("GreaterOrEqual", ["least", "zero"], ["c"]),
        helper.make_node("If", ["c"], ["y"], then_branch=then_branch, else_branch=else_branch),
        helper.make_node("ReduceSum", ["y"], ["z"], keepdims=0),
    ]
    whole = graph(
        "g",
        nodes,
        [info("x", FLOAT, ["n", 40])],
        [info("y", FLOAT, ["n", 40]), info("z", FLOAT, [])],
        zero=np.array(0, np.float32),
    )
    session = session_of(blob_of(whole), **options)
    for x in (some(20, 40), np.abs(some(20, 40)), some(3, 40)):
        if x.min() >= 0:
            want = np.sqrt(x)
        else:
            power = np.exp(x - x.max(-1, keepdims=True))
            want = power / power.sum(-1, keepdims=True)
        y, z = session.run(None, {"x": x})
        np.testing.assert_allclose(y, want, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(z, want.sum(), rtol=1e-4)
        binding = session.io_binding()
        binding.bind_cpu_input("x", x)
        binding.bind_output("y", "vulkan", 0)
        kept = fastort.OrtValue.ortvalue_from_shape_and_type([], np.float32)
        binding.bind_ortvalue_output("z", kept)
        session.run_with_iobinding(binding)
        assert binding.get_outputs()[0].device_name() == "vulkan"
        np.testing.assert_array_equal(binding.get_outputs()[0].numpy(), y)
    for name in ("positive", "negative"):
        assert any(f"{NAME}, shader" in line for line in lines_of(session, name)), session.explain()


@pytest.mark.parametrize("options", STAGED)
def test_scan(options: dict[str, str]) -> None:
    body = graph(
        "step",
        [
            helper.make_node("MatMul", ["h", "w"], ["hw"]),
            helper.make_node("Add", ["hw", "row"], ["sum"]),
            helper.make_node("Tanh", ["sum"], ["next"]),
            helper.make_node("Neg", ["next"], ["out"]),
        ],
        [info("h", FLOAT, [20, 16]), info("row", FLOAT, [20, 16])],
        [info("next", FLOAT, [20, 16]), info("out", FLOAT, [20, 16])],
        w=some(16, 16, seed=2) / 4,
    )
    whole = graph(
        "g",
        [helper.make_node("Scan", ["h0", "x"], ["h", "y"], body=body, num_scan_inputs=1)],
        [info("h0", FLOAT, [20, 16]), info("x", FLOAT, ["t", 20, 16])],
        [info("h", FLOAT, [20, 16]), info("y", FLOAT, ["t", 20, 16])],
    )
    session = session_of(blob_of(whole), **options)
    host = fastort.InferenceSession(blob_of(whole), providers=[CPU])
    for turns in (4, 1, 7):
        feeds = {"h0": some(20, 16), "x": some(turns, 20, 16)}
        for got, want in zip(session.run(None, feeds), host.run(None, feeds), strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)
    lines = lines_of(session, "step")
    assert sum(f"{NAME}, shader" in line for line in lines) >= 2, session.explain()
    assert not any(CPU in line for line in lines), session.explain()


def test_a_sequence_takes_what_a_body_left_on_the_device() -> None:
    """The values meet operators that look into them on the host."""
    branch = graph("left", [helper.make_node("Sqrt", ["x"], ["r"])], [], [info("r", FLOAT, ["n", 40])])
    other = graph("right", [helper.make_node("Neg", ["x"], ["r"])], [], [info("r", FLOAT, ["n", 40])])
    nodes = [
        helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=other),
        helper.make_node("SequenceConstruct", ["y", "x"], ["s"]),
        helper.make_node("ConcatFromSequence", ["s"], ["z"], axis=0),
    ]
    whole = graph("g", nodes, [info("c", BOOL, []), info("x", FLOAT, ["n", 40])], [info("z", FLOAT, ["m", 40])])
    session = fastort.InferenceSession(blob_of(whole), providers=[(NAME, OPTIONS)])
    x = np.abs(some(20, 40))
    for condition in (True, False):
        (z,) = session.run(None, {"c": np.array(condition), "x": x})
        np.testing.assert_allclose(z, np.concatenate([np.sqrt(x) if condition else -x, x]), rtol=1e-5)
