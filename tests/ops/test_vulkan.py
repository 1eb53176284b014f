"""Runs the case tables of every operator that has a shader on a Vulkan device: lavapipe where nothing else is named.

A case whose first input is of a type that the shader takes runs on the device, unless `gaps_vulkan.txt` lists it: the
list holds every case that falls back to the CPU, and a case that no longer does must leave it.
"""

from __future__ import annotations

import collections
import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastort
from fastort import _engine
from tests.vulkan import PROVIDER as VULKAN
from tests.vulkan import needs_vulkan

from . import test_cases
from .case import Case

GAPS = Path(__file__).with_name("gaps_vulkan.txt")
# The shaders' functions are good to a few ulp, their sums are added up in another order than NumPy's.
RTOL = 1e-4
ATOL = 1e-5

pytestmark = needs_vulkan


@functools.cache
def gpu_types() -> dict[tuple[str, str], set[str]]:
    return {(row["domain"], row["name"]): set(row["gpu_types"]) for row in _engine.operators() if row["gpu_types"]}


def gaps() -> set[str]:
    return {line for line in GAPS.read_text().splitlines() if line and not line.startswith("#")}


def type_name(value: Any) -> str:
    names = {"float32": "float", "float64": "double", "bool": "bool", "object": "string"}
    return names.get(str(value.dtype), str(value.dtype))


def taken(case: Case) -> bool:
    """Whether the shader takes the type of the case's first input."""
    first = case.inputs[0] if case.inputs else None
    if first is None or isinstance(first, list):
        return False
    domain = "" if case.domain == "ai.onnx" else case.domain
    return type_name(test_cases.as_array(first)) in gpu_types().get((domain, case.op), set())


# Cases of each operator that the quick tier runs; the full tier runs all.
QUICK = 4


@functools.cache
def rows() -> list[Any]:
    kept = [row for row in test_cases.tables() if taken(row.values[0])]
    seen: collections.Counter[str] = collections.Counter()
    marked = []
    for row in kept:
        case = row.values[0]
        seen[case.op] += 1
        # Spread over the table, whose neighbours are alike.
        quick = seen[case.op] % 7 == 1 and seen[case.op] < 7 * QUICK
        marked.append(row if quick else pytest.param(case, id=row.id, marks=pytest.mark.full))
    return marked


def close(case: Case) -> Case:
    return Case(
        **{
            **{name: getattr(case, name) for name in Case.__dataclass_fields__},
            "rtol": max(case.rtol, RTOL) if case.rtol or case.atol else 0,
            "atol": max(case.atol, ATOL) if case.rtol or case.atol else 0,
        }
    )


@pytest.mark.parametrize("case", rows())
def test_case(case: Case, request: pytest.FixtureRequest) -> None:
    values = test_cases.inputs_of(case)
    expected = test_cases.expected_of(case)
    outputs = [
        test_cases.helper.make_empty_tensor_value_info(f"y{i}")
        if value is None
        else test_cases.output_info(f"y{i}", value)
        for i, value in enumerate(expected)
    ]
    model = test_cases.one_node_model(case, values, "shapes", outputs)
    session = fastort.InferenceSession(model.SerializeToString(), providers=[VULKAN])
    feeds = {f"x{i}": value for i, value in enumerate(values) if value is not None}
    for run in range(2):  # the second one submits what the first one recorded
        results = session.run(None, feeds)
        for i, (actual, wanted) in enumerate(zip(results, expected, strict=True)):
            if wanted is not None:
                test_cases.assert_close(actual, wanted, close(case), f"{case.op} output {i}, run {run}")
    name = request.node.callspec.id
    explanation = session.explain()
    on_device = "CPUExecutionProvider" not in explanation
    if name in gaps():
        assert not on_device, f"{name} runs on the device now: take it off {GAPS.name}"
    else:
        assert on_device, f"{name} runs on the CPU:\n{explanation}"


def test_gaps_name_cases() -> None:
    known = {row.id for row in rows()}
    assert gaps() <= known, f"not among the cases: {sorted(gaps() - known)}"


def test_staging_gives_the_same() -> None:
    case = next(row.values[0] for row in rows() if row.values[0].op == "Gemm")
    values = test_cases.inputs_of(case)
    outputs = [test_cases.helper.make_empty_tensor_value_info("y0")]
    model = test_cases.one_node_model(case, values, "shapes", outputs).SerializeToString()
    feeds = {f"x{i}": value for i, value in enumerate(values) if value is not None}
    direct = fastort.InferenceSession(model, providers=[VULKAN]).run(None, feeds)
    staged = fastort.InferenceSession(model, providers=[(VULKAN[0], {**VULKAN[1], "always_stage": "1"})])
    for run in range(2):
        np.testing.assert_array_equal(staged.run(None, feeds)[0], direct[0], err_msg=f"run {run}")


DATA = np.arange(12, dtype=np.float32).reshape(3, 4)
# Operators with an index that the run brings and that is out of range.
BAD_INDICES: dict[str, list[np.ndarray]] = {
    "Gather": [DATA, np.array([0, 3], np.int64)],
    "GatherElements": [DATA, np.array([[0, 1, 2, -4]], np.int32)],
    "GatherND": [DATA, np.array([[2, 4]], np.int64)],
    "ScatterElements": [DATA, np.array([[0, 1, 2, 5]], np.int64), DATA[:1]],
    "ScatterND": [DATA, np.array([[1 << 33]], np.int64), DATA[:1]],
    "LSTM": [
        np.ones((2, 1, 3), np.float32),
        np.ones((1, 8, 3), np.float32),
        np.ones((1, 8, 2), np.float32),
        np.ones((1, 16), np.float32),
        np.array([3], np.int32),
    ],
    "ReverseSequence": [DATA, np.array([3, 2, 4, 1], np.int64)],
    "TensorScatter": [np.ones((2, 4, 3), np.float32), np.ones((2, 2, 3), np.float32), np.array([0, 3], np.int64)],
    "RoiAlign": [
        np.ones((2, 1, 4, 4), np.float32),
        np.array([[0, 0, 2, 2], [0, 0, 3, 3]], np.float32),
        np.array([1, 2], np.int64),
    ],
    "MaxUnpool": [np.ones((1, 1, 2, 2), np.float32), np.array([[[[0, 2], [9, 16]]]], np.int64)],
    "GroupQueryAttention": [
        *[np.ones((1, 1, 8), np.float32)] * 3,
        *[np.ones((1, 1, 9, 8), np.float32)] * 2,
        np.array([20], np.int32),
        np.array(9, np.int32),
    ],
}
BAD_ATTRIBUTES: dict[str, dict[str, Any]] = {
    "LSTM": {"hidden_size": 2},
    "MaxUnpool": {"kernel_shape": [2, 2], "strides": [2, 2]},
    "GroupQueryAttention": {"num_heads": 1, "kv_num_heads": 1},
}
CONTRIBUTED = {"GroupQueryAttention"}


@pytest.mark.parametrize("op", list(BAD_INDICES))
def test_bad_indices_are_reported(op: str) -> None:
    values = BAD_INDICES[op]
    case = Case(op, values, BAD_ATTRIBUTES.get(op, {}), domain="com.microsoft" if op in CONTRIBUTED else "")
    outputs = [test_cases.helper.make_empty_tensor_value_info("y0")]
    model = test_cases.one_node_model(case, values, "shapes", outputs).SerializeToString()
    session = fastort.InferenceSession(model, providers=[(VULKAN[0], {**VULKAN[1], "strict_placement": "1"})])
    feeds = {f"x{i}": value for i, value in enumerate(values)}
    for _ in range(2):
        with pytest.raises(_engine.InvalidArgument, match=op):
            session.run(None, feeds)
