"""What fastort has no kernel for is refused when the session is made, with a text that says where and why."""

from __future__ import annotations

from typing import Any

import pytest
from onnx import TensorProto, helper

import fastort
from fastort.capi.onnxruntime_pybind11_state import NotImplemented as NotSupported

INT64, STRING, FLOAT = TensorProto.INT64, TensorProto.STRING, TensorProto.FLOAT


def refusal(op: str, types: list[int], domain: str = "", rank: int = 3, **attributes: Any) -> str:
    """The text with which the model of one node is refused."""
    names = [f"x{i}" if kind else "" for i, kind in enumerate(types)]
    node = helper.make_node(op, names, ["y"], name="where", domain=domain, **attributes)
    inputs = [
        helper.make_tensor_value_info(name, kind, [None] * (rank if i == 0 else 1))
        for i, (name, kind) in enumerate(zip(names, types, strict=True))
        if kind
    ]
    graph = helper.make_graph([node], "g", inputs, [helper.make_empty_tensor_value_info("y")])
    opsets = [helper.make_opsetid("", 22)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    with pytest.raises(NotSupported) as caught:
        fastort.InferenceSession(model.SerializeToString())
    return str(caught.value)


@pytest.mark.parametrize(
    ("op", "types", "attributes"),
    [
        ("Col2Im", [STRING, INT64, INT64], {}),
        ("Resize", [STRING, 0, FLOAT], {"mode": "linear"}),
        ("ScatterND", [STRING, INT64, STRING], {"reduction": "add"}),
        ("ScatterND", [TensorProto.COMPLEX64, INT64, TensorProto.COMPLEX64], {"reduction": "max"}),
    ],
)
def test_types(op: str, types: list[int], attributes: dict[str, Any]) -> None:
    text = refusal(op, types, **attributes)
    assert f"{op} node 'where'" in text
    assert ("string" if types[0] == STRING else "complex64") in text
    assert "ai.onnx 22" in text


def test_modes_name_the_node() -> None:
    text = refusal("Cast", [FLOAT], to=99)
    assert "Cast node 'where'" in text
    assert "99" in text


def test_operators() -> None:
    text = refusal("NoSuchOperator", [STRING], domain="com.microsoft")
    assert "NoSuchOperator(1)" in text
    assert "'com.microsoft'" in text
    assert "node 'where'" in text
    assert "tensor(string)" in text
