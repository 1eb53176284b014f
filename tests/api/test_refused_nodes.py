"""A node that is not supported is refused when the session is made: its name, operator, version and types."""

from __future__ import annotations

from dataclasses import dataclass, field

import onnx
import pytest
from onnx import TensorProto, helper

import fastort
from fastort.capi.onnxruntime_pybind11_state import NotImplemented


@dataclass(frozen=True)
class Row:
    """A node, the types of its inputs, the opsets, and what the text must hold beside the node's name."""

    node: onnx.NodeProto
    types: list[int]
    texts: list[str]
    opsets: dict[str, int] = field(default_factory=lambda: {"": 20})


def node(op: str, inputs: int = 1, domain: str = "", **attributes: object) -> onnx.NodeProto:
    names = [f"x{i}" for i in range(inputs)]
    return helper.make_node(op, names, ["y"], name="culprit", domain=domain, **attributes)


T = TensorProto
ROWS = {
    "operator of another domain": Row(
        node("Magic", 2, "my.domain"),
        [T.FLOAT, T.INT64],
        ["Magic(3)", "'my.domain'", "(tensor(float), tensor(int64))"],
        {"": 20, "my.domain": 3},
    ),
    "operator of a known domain": Row(
        node("NoSuchFusion", 1, "com.microsoft"),
        [T.FLOAT16],
        ["NoSuchFusion(1)", "'com.microsoft'", "(tensor(float16))"],
        {"": 20, "com.microsoft": 1},
    ),
    "type of an operator of com.microsoft": Row(
        node("FastGelu", 1, "com.microsoft"),
        [T.INT32],
        ["com.microsoft.FastGelu", "(tensor(int32))", "com.microsoft 1"],
        {"": 20, "com.microsoft": 1},
    ),
    "type of two inputs": Row(
        node("BiasGelu", 2, "com.microsoft"),
        [T.INT8, T.INT8],
        ["com.microsoft.BiasGelu", "(tensor(int8), tensor(int8))", "com.microsoft 1", "ai.onnx 19"],
        {"": 19, "com.microsoft": 1},
    ),
    "derivative": Row(
        helper.make_node("Gradient", ["x0"], ["y"], "culprit", domain="ai.onnx.preview.training", xs=["x0"], y="x0"),
        [T.INT64],
        ["Gradient", "'x0' is not known to hold floating-point numbers"],
        {"": 20, "ai.onnx.preview.training": 1},
    ),
}


@pytest.mark.parametrize("name", ROWS)
def test_refusals(name: str) -> None:
    row = ROWS[name]
    inputs = [helper.make_tensor_value_info(f"x{i}", kind, [2, 3]) for i, kind in enumerate(row.types)]
    graph = helper.make_graph([row.node], "g", inputs, [helper.make_empty_tensor_value_info("y")])
    opsets = [helper.make_opsetid(domain, version) for domain, version in row.opsets.items()]
    model = helper.make_model(graph, opset_imports=opsets).SerializeToString()
    with pytest.raises(NotImplemented) as caught:
        fastort.InferenceSession(model)
    text = str(caught.value)
    assert text.startswith("[ONNXRuntimeError] : 9 : NOT_IMPLEMENTED : ")
    for piece in ["'culprit'", *row.texts]:
        assert piece in text


def test_refusals_inside_of_bodies() -> None:
    """A node in a branch of an If, which never runs, is refused all the same."""
    float3 = helper.make_tensor_value_info("r", T.FLOAT, [3])
    good = helper.make_graph([helper.make_node("Neg", ["x"], ["r"])], "good", [], [float3])
    bad = helper.make_graph([helper.make_node("Magic", ["x"], ["r"], "culprit", domain="mine")], "bad", [], [float3])
    graph = helper.make_graph(
        [helper.make_node("If", ["c"], ["y"], then_branch=good, else_branch=bad)],
        "g",
        [helper.make_tensor_value_info("c", T.BOOL, []), helper.make_tensor_value_info("x", T.FLOAT, [3])],
        [helper.make_tensor_value_info("y", T.FLOAT, [3])],
    )
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("mine", 5)]
    with pytest.raises(NotImplemented, match=r"Magic\(5\) of domain 'mine' in .*'culprit' with inputs \(tensor"):
        fastort.InferenceSession(helper.make_model(graph, opset_imports=opsets).SerializeToString())


F = T.FLOAT
MODES = {
    "convolution over four dimensions": (
        node("Conv", 2),
        [(F, [1, 2, 5, 5, 5, 5]), (F, [3, 2, 3, 3, 3, 3])],
        "4 spatial",
    ),
    "transposed one": (node("ConvTranspose", 2), [(F, [1, 2, 5, 5, 5, 5]), (F, [2, 3, 3, 3, 3, 3])], "4 spatial"),
    "pooling over four dimensions": (
        node("MaxPool", kernel_shape=[2, 2, 2, 2]),
        [(F, [1, 2, 5, 5, 5, 5])],
        "pooling over 4 spatial",
    ),
    "deformable convolution of a row": (
        node("DeformConv", 3),
        [(F, [1, 2, 5]), (F, [3, 2, 3]), (F, [1, 6, 3])],
        "other than two spatial",
    ),
    "activation of a recurrent layer": (
        node("RNN", 3, activations=["Cosine"], hidden_size=3),
        [(F, ["t", "n", 2]), (F, [1, 3, 2]), (F, [1, 3, 3])],
        "'Cosine'",
    ),
    "metric": (node("CDist", 2, "com.microsoft", metric="hamming"), [(F, ["n", 3]), (F, ["m", 3])], "'hamming'"),
}


@pytest.mark.parametrize("name", MODES)
def test_modes_that_the_shapes_do_not_change(name: str) -> None:
    """They are refused when the session is made, not by the first run."""
    bad, kinds, piece = MODES[name]
    inputs = [helper.make_tensor_value_info(f"x{i}", *kind) for i, kind in enumerate(kinds)]
    graph = helper.make_graph([bad], "g", inputs, [helper.make_empty_tensor_value_info("y")])
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
    with pytest.raises(NotImplemented) as caught:
        fastort.InferenceSession(helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString())
    assert "'culprit'" in str(caught.value)
    assert piece in str(caught.value)
