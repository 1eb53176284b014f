"""Nodes whose attributes or inputs do not fit one another and are refused.

Where a kernel does not look first, products with such attributes pass the end of int64, or it reads behind an input:
the sanitizers end the process then.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import helper

import fastort
from fastort.capi.onnxruntime_pybind11_state import Fail, InvalidGraph

from . import test_cases
from .case import Case

F = np.float32


def zeros(*shape: int, dtype: type = F) -> np.ndarray:
    return np.zeros(shape, dtype)


REFUSED = [
    Case(
        "QAttention",
        [zeros(1, 2, 4, dtype=np.uint8), zeros(4, 12, dtype=np.uint8), zeros(12), F(1), F(1)],
        {"num_heads": 2**62},
        "com.microsoft",
    ),
    Case(
        "GroupQueryAttention",
        [zeros(1, 2, 4), None, None, None, None, np.array([1], np.int32), np.array(2, np.int32)],
        {"num_heads": 2**62, "kv_num_heads": 2**62},
        "com.microsoft",
    ),
    Case("MultiHeadAttention", [zeros(1, 2, 1, 3, 4)], {"num_heads": 2**62}, "com.microsoft"),
]
for _domain in ("", "com.microsoft"):
    _x, _scale = zeros(3, 37, dtype=np.uint8), np.ones(3, F)
    for _zero in (zeros(0, dtype=np.uint8), zeros(2, dtype=np.uint8), zeros(dtype=np.uint8)):
        REFUSED += [
            Case("DequantizeLinear", [_x, _scale, _zero], {"axis": 0}, _domain, id=f"{_domain}-{_zero.shape}"),
            Case("QuantizeLinear", [zeros(3, 37), _scale, _zero], {"axis": 0}, _domain, id=f"{_domain}-{_zero.shape}"),
        ]
    REFUSED.append(
        Case(
            "DequantizeLinear", [_x, zeros(3, 0)], {"axis": 1, "block_size": 2**63 - 1}, _domain, id=f"{_domain}-block"
        )
    )
    REFUSED.append(Case("DequantizeLinear", [_x, F(1), zeros(0, dtype=np.uint8)], {}, _domain, id=f"{_domain}-empty"))
    REFUSED.append(
        Case("DequantizeLinear", [zeros(37, dtype=np.int32), F(1), np.uint8(0)], {}, _domain, id=f"{_domain}-type")
    )


@pytest.mark.parametrize("form", ["shapes", "symbols"])
@pytest.mark.parametrize("case", REFUSED, ids=lambda case: f"{case.op}-{case.id}")
def test_refused(case: Case, form: str) -> None:
    values: list[Any] = test_cases.inputs_of(case)
    outputs = [helper.make_empty_tensor_value_info("y")]
    model = test_cases.one_node_model(case, values, form, outputs)
    feeds = {f"x{i}": value for i, value in enumerate(values) if value is not None}
    with pytest.raises((InvalidGraph, Fail), match=rf"{case.op} node 'node'"):
        fastort.InferenceSession(model.SerializeToString()).run(None, feeds)
