"""FlexAttention of ai.onnx.preview: its body is expanded, with the call's own subgraphs in it."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import fastort

PREVIEW = "ai.onnx.preview"
RNG = np.random.default_rng(3)
Q, K, V = (RNG.standard_normal(shape).astype(np.float32) for shape in ((2, 6, 5, 8), (2, 3, 7, 8), (2, 3, 7, 4)))
BIAS = RNG.standard_normal((5, 7)).astype(np.float32)
GAIN = np.array(0.25, np.float32)


def expected(biased: bool, scaled: bool) -> np.ndarray:
    k, v = (np.repeat(array, 2, axis=1).astype(np.float64) for array in (K, V))
    scores = Q @ np.swapaxes(k, -1, -2) / np.sqrt(8)
    if biased:
        scores = scores + BIAS
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    if scaled:
        weights = weights * GAIN
    return weights @ v


def modifier(op: str, captured: str) -> onnx.GraphProto:
    """A subgraph that applies an operator to its input and a value from outside."""
    node = helper.make_node(op, ["in", captured], ["out"])
    return helper.make_graph(
        [node],
        "modifier",
        [helper.make_tensor_value_info("in", TensorProto.FLOAT, None)],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
    )


def attention(biased: bool, scaled: bool, output: str = "y") -> onnx.NodeProto:
    modifiers = {}
    if biased:
        modifiers["score_mod"] = modifier("Add", "bias")
    if scaled:
        modifiers["prob_mod"] = modifier("Mul", "gain")
    return helper.make_node("FlexAttention", ["q", "k", "v"], [output], output, domain=PREVIEW, **modifiers)


def run(nodes: list[onnx.NodeProto], outputs: list[str], symbolic: bool) -> list[np.ndarray]:
    feeds = {"q": Q, "k": K, "v": V, "bias": BIAS, "gain": GAIN}
    inputs = [
        helper.make_tensor_value_info(
            name, TensorProto.FLOAT, [f"{name}{i}" for i in range(value.ndim)] if symbolic else value.shape
        )
        for name, value in feeds.items()
    ]
    graph = helper.make_graph(nodes, "g", inputs, [helper.make_empty_tensor_value_info(name) for name in outputs])
    opsets = [helper.make_opsetid("", onnx.defs.onnx_opset_version()), helper.make_opsetid(PREVIEW, 1)]
    model = helper.make_model(graph, opset_imports=opsets)
    return fastort.InferenceSession(model.SerializeToString()).run(None, feeds)


@pytest.mark.parametrize("symbolic", [False, True], ids=["shapes", "symbols"])
@pytest.mark.parametrize("scaled", [False, True], ids=["", "prob_mod"])
@pytest.mark.parametrize("biased", [False, True], ids=["", "score_mod"])
def test_modifiers(biased: bool, scaled: bool, symbolic: bool) -> None:
    (actual,) = run([attention(biased, scaled)], ["y"], symbolic)
    np.testing.assert_allclose(actual, expected(biased, scaled), rtol=1e-5, atol=1e-6)


def test_two_calls_with_other_modifiers() -> None:
    nodes = [attention(True, False, "first"), attention(False, True, "second")]
    first, second = run(nodes, ["first", "second"], True)
    np.testing.assert_allclose(first, expected(True, False), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(second, expected(False, True), rtol=1e-5, atol=1e-6)


def test_inside_of_a_branch() -> None:
    empty = [helper.make_tensor_value_info("r", TensorProto.FLOAT, None)]
    branches = {
        "then_branch": helper.make_graph([attention(True, True, "r")], "then", [], empty),
        "else_branch": helper.make_graph([helper.make_node("Identity", ["q"], ["r"])], "else", [], empty),
    }
    nodes = [
        helper.make_node("Constant", [], ["c"], value=helper.make_tensor("c", TensorProto.BOOL, [], [True])),
        helper.make_node("If", ["c"], ["y"], **branches),
    ]
    (actual,) = run(nodes, ["y"], True)
    np.testing.assert_allclose(actual, expected(True, True), rtol=1e-5, atol=1e-6)
