"""What an operator of com.microsoft does not know is refused when the session is made."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

import fastort
from fastort import _engine
from fastort.capi.onnxruntime_pybind11_state import InvalidGraph
from fastort.capi.onnxruntime_pybind11_state import NotImplemented as NotSupported

DOMAIN = "com.microsoft"
TABLE = Path(__file__).resolve().parents[2] / "cpp" / "onnx" / "contrib_schemas.cpp"


def load(op: str, inputs: list[str], outputs: list[str], domain: str = DOMAIN, **attributes: Any) -> None:
    node = helper.make_node(op, inputs, outputs, name="culprit", domain=domain, **attributes)
    arguments = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in dict.fromkeys(inputs) if name]
    results = [helper.make_empty_tensor_value_info(name) for name in outputs if name]
    graph = helper.make_graph([node], "g", arguments, results)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(DOMAIN, 1)]
    fastort.InferenceSession(helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())


def operators() -> list[str]:
    """All that the engine has of its own and all that it turns into others."""
    return sorted({row["name"] for row in _engine.operators() if row["domain"] == DOMAIN})


def rows() -> dict[tuple[str, str], tuple[list[str], list[str], list[str]]]:
    """The table, as it is written: inputs, outputs and attributes by domain and operator."""
    text = TABLE.read_text()
    text = text[text.index("kRows[] = {") :]
    text = text[: text.index("\n};")]
    text = text.replace("kMicrosoft", f'"{DOMAIN}"')
    text = re.sub(r'"\s*\n\s*"', "", text)
    found = re.findall(r'\{"([^"]*)",\s*"([^"]*)",\s*"([^"]*)",\s*"([^"]*)",\s*"([^"]*)"\}', text)
    return {(row[0], row[1]): (row[2].split(), row[3].split(), row[4].split()) for row in found}


def least(formals: list[str], prefix: str = "x") -> list[str]:
    """As many names as an operator needs at least; the optional ones among them are left out."""
    needed = [i for i, formal in enumerate(formals) if not formal.endswith("?")]
    return [
        "" if name.endswith("?") else f"{prefix}{i}" for i, name in enumerate(formals[: max(needed, default=-1) + 1])
    ]


VALUES = {"int": 1, "ints": [1], "float": 1.0, "floats": [1.0], "string": "x", "strings": ["x"]}


def needed(attributes: list[str]) -> dict[str, Any]:
    pairs = [attribute[:-1].split(":") for attribute in attributes if attribute.endswith("!")]
    return {name: VALUES[kind] for name, kind in pairs}


def test_every_operator_has_a_row() -> None:
    assert set(operators()) == {op for domain, op in rows() if domain == DOMAIN}


@pytest.mark.parametrize(("domain", "op"), sorted(rows()))
def test_unknown_attributes(domain: str, op: str) -> None:
    inputs, outputs, attributes = rows()[domain, op]
    given = {**needed(attributes), "no_such_attribute": 1}
    with pytest.raises(InvalidGraph) as caught:
        load(op, least(inputs), least(outputs, "y"), domain, **given)
    text = str(caught.value)
    assert f"{op} node 'culprit'" in text
    assert "Unrecognized attribute: no_such_attribute" in text
    assert f"for operator {op}" in text
    for attribute in attributes:
        assert attribute.split(":")[0] in text


@pytest.mark.parametrize(("domain", "op"), sorted(key for key, row in rows().items() if row[2]))
def test_wrong_types_of_attributes(domain: str, op: str) -> None:
    inputs, outputs, attributes = rows()[domain, op]
    for attribute in attributes:
        name, kind = attribute.rstrip("!").split(":")
        given = {**needed(attributes), name: VALUES["string" if kind != "string" else "ints"]}
        with pytest.raises(InvalidGraph, match=f"culprit.*Mismatched attribute type.*{name}") as caught:
            load(op, least(inputs), least(outputs, "y"), domain, **given)
        assert f"Expected: '{kind.upper()}'" in str(caught.value)


@pytest.mark.parametrize(("domain", "op"), sorted(key for key, row in rows().items() if "!" in "".join(row[2])))
def test_missing_attributes(domain: str, op: str) -> None:
    inputs, outputs, attributes = rows()[domain, op]
    for name in needed(attributes):
        given = {key: value for key, value in needed(attributes).items() if key != name}
        with pytest.raises(InvalidGraph, match=f"culprit.*Required attribute '{name}' is missing"):
            load(op, least(inputs), least(outputs, "y"), domain, **given)


@pytest.mark.parametrize(("domain", "op"), sorted(rows()))
def test_counts(domain: str, op: str) -> None:
    inputs, outputs, attributes = rows()[domain, op]
    given = needed(attributes)
    too_many = [f"x{i}" for i in range(len(inputs) + 1)]
    if least(inputs):
        with pytest.raises(InvalidGraph, match=f"{op} node 'culprit'.*input size"):
            load(op, least(inputs)[:-1], ["y0"], domain, **given)
    if not inputs[-1].endswith("*"):
        with pytest.raises(InvalidGraph, match=f"{op} node 'culprit'.*input size"):
            load(op, too_many, least(outputs, "y"), domain, **given)
    with pytest.raises(InvalidGraph, match=f"{op} node 'culprit'.*output size"):
        load(op, least(inputs), [f"y{i}" for i in range(len(outputs) + 1)], domain, **given)


def test_inputs_left_out_in_between() -> None:
    with pytest.raises(InvalidGraph, match=r"BiasAdd node 'culprit'.*input 1 \('bias'\) is required but left out"):
        load("BiasAdd", ["x", "", "skip"], ["y"])


@pytest.mark.parametrize(
    ("op", "count", "attributes", "text"),
    [
        ("FusedConv", 2, {"activation": "Sinh"}, "the fused activation 'Sinh'; there are Relu, "),
        ("FusedGemm", 2, {"activation": "Sinh"}, "the fused activation 'Sinh'; there are Relu, "),
        ("FusedMatMulActivation", 2, {"activation": "Sinh"}, "the fused activation 'Sinh'; there are Relu, "),
        ("RotaryEmbedding", 4, {"scale": 2.0}, "a scale other than 1"),
        ("Attention", 3, {"num_heads": 1, "do_rotary": 1}, "do_rotary"),
        ("QAttention", 5, {"num_heads": 1, "do_rotary": 1}, "do_rotary"),
        ("QAttention", 5, {"num_heads": 1, "past_present_share_buffer": 1}, "past_present_share_buffer"),
        ("MatMulNBits", 3, {"K": 32, "N": 8, "block_size": 32, "weight_prepacked": 1}, "weight_prepacked"),
        ("Rfft", 1, {"normalized": 1}, "'normalized' must be 0"),
        ("Irfft", 1, {"signal_ndim": 1, "onesided": 0}, "'onesided' must be 1"),
        ("GroupNorm", 3, {"activation": 2, "groups": 1}, "'activation' must be 0"),
        ("GroupQueryAttention", 7, {"num_heads": 1, "kv_num_heads": 1, "k_quant_type": "PER_TENSOR"}, "quant"),
        ("GroupQueryAttention", 7, {"num_heads": 1, "kv_num_heads": 1, "sliding_window_cache": 1}, "sliding"),
    ],
)
def test_modes_that_no_kernel_has(op: str, count: int, attributes: dict[str, Any], text: str) -> None:
    node = helper.make_node(op, [f"v{i}" for i in range(count)], ["y"], name="culprit", domain=DOMAIN, **attributes)
    integers = {
        "RotaryEmbedding": {1: TensorProto.INT64},
        "QAttention": {0: TensorProto.UINT8, 1: TensorProto.INT8},
        "GroupQueryAttention": {5: TensorProto.INT32, 6: TensorProto.INT32},
        "MatMulNBits": {1: TensorProto.UINT8},
    }.get(op, {})
    arguments = [
        helper.make_tensor_value_info(name, integers.get(i, TensorProto.FLOAT), None)
        for i, name in enumerate(node.input)
    ]
    graph = helper.make_graph([node], "g", arguments, [helper.make_empty_tensor_value_info("y")])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(DOMAIN, 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    with pytest.raises(NotSupported) as caught:
        fastort.InferenceSession(model.SerializeToString())
    assert "'culprit'" in str(caught.value)
    assert text in str(caught.value)


def test_attributes_of_operators_of_onnx_are_named_too() -> None:
    node = helper.make_node("Elu", ["x"], ["y"], name="culprit", beta=1.0)
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
    )
    model = onnx.helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    with pytest.raises(InvalidGraph, match="Unrecognized attribute: beta for operator Elu, which knows alpha"):
        fastort.InferenceSession(model.SerializeToString())
