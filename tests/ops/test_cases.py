"""Runs every row of the tables in `cases/` on every provider, in three forms of the same one-node model."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import onnx.reference
import pytest
from onnx import helper

import fastort

from . import cases
from .case import Case

PROVIDERS = ["CPUExecutionProvider"]
# The inputs with their shapes; all dimensions symbolic; all inputs but the first as initializers.
FORMS = ["shapes", "symbols", "constants"]


def tables() -> Iterator[Any]:
    for module in pkgutil.iter_modules(cases.__path__):
        table = importlib.import_module(f"{cases.__name__}.{module.name}")
        for index, case in enumerate(table.CASES):
            yield pytest.param(case, id=f"{module.name}-{case.op}-{case.id or index}")


def as_array(value: Any) -> np.ndarray:
    array = np.asarray(value)
    return array.astype(object) if array.dtype.kind in "US" else array


def element_type(array: np.ndarray) -> int:
    if array.dtype == object:
        return onnx.TensorProto.STRING
    return helper.np_dtype_to_tensor_dtype(array.dtype)


def input_info(name: str, value: Any, symbolic: bool) -> onnx.ValueInfoProto:
    if isinstance(value, list):
        item = as_array(value[0]) if value else np.zeros(0, np.float32)
        return helper.make_tensor_sequence_value_info(name, element_type(item), None)
    shape = [f"{name}_{axis}" for axis in range(value.ndim)] if symbolic else list(value.shape)
    return helper.make_tensor_value_info(name, element_type(value), shape)


def output_info(name: str, value: Any) -> onnx.ValueInfoProto:
    if isinstance(value, list):
        return helper.make_tensor_sequence_value_info(name, element_type(as_array(value[0])) if value else 1, None)
    return helper.make_tensor_value_info(name, element_type(value), None)


def initializer(name: str, array: np.ndarray) -> onnx.TensorProto:
    if array.dtype == object:
        strings = [item.encode() for item in array.ravel()]
        return helper.make_tensor(name, onnx.TensorProto.STRING, array.shape, strings)
    return onnx.numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name)


def one_node_model(case: Case, values: list[Any], form: str, outputs: list[onnx.ValueInfoProto]) -> onnx.ModelProto:
    names = [f"x{i}" if value is not None else "" for i, value in enumerate(values)]
    attributes = {key: value for key, value in case.attributes.items() if value is not None}
    node = helper.make_node(
        case.op, names, [info.name for info in outputs], name="node", domain=case.domain, **attributes
    )
    constant = {i for i, value in enumerate(values) if form == "constants" and i > 0 and isinstance(value, np.ndarray)}
    given = [i for i, value in enumerate(values) if value is not None]
    graph = helper.make_graph(
        [node],
        "case",
        [input_info(names[i], values[i], form == "symbols") for i in given if i not in constant],
        outputs,
        [initializer(names[i], values[i]) for i in given if i in constant],
    )
    opsets = [helper.make_opsetid("", onnx.defs.onnx_opset_version())]
    if case.domain not in ("", "ai.onnx"):
        version = case.opset or latest_version(case.domain)
        opsets.append(helper.make_opsetid(case.domain, version))
    elif case.opset:
        opsets = [helper.make_opsetid("", case.opset)]
    return helper.make_model(graph, opset_imports=opsets)


def latest_version(domain: str) -> int:
    versions = [schema.since_version for schema in onnx.defs.get_all_schemas() if schema.domain == domain]
    return max(versions, default=1)


def as_value(value: Any) -> Any:
    return [as_array(item) for item in value] if isinstance(value, list) else as_array(value)


def inputs_of(case: Case) -> list[Any]:
    return [value if value is None else as_value(value) for value in case.inputs]


_expected: dict[int, list[Any]] = {}


def expected_of(case: Case) -> list[Any]:
    if id(case) not in _expected:  # the tables keep the cases alive
        _expected[id(case)] = compute_expected(case)
    return _expected[id(case)]


def compute_expected(case: Case) -> list[Any]:
    if case.expected is not None:
        expected = case.expected() if callable(case.expected) else case.expected
        return [value if value is None else as_value(value) for value in expected]
    values = inputs_of(case)
    outputs = [helper.make_empty_tensor_value_info(f"y{i}") for i in range(case.outputs)]
    model = one_node_model(case, values, "shapes", outputs)
    feeds = {f"x{i}": value for i, value in enumerate(values) if value is not None}
    with np.errstate(all="ignore"):
        results = onnx.reference.ReferenceEvaluator(model).run(None, feeds)
    return [as_value(value) for value in results]


def plain(array: np.ndarray) -> np.ndarray:
    """The same numbers in a type that NumPy can subtract."""
    if array.dtype.kind in "fc" and array.dtype.itemsize >= 4:
        return array
    if array.dtype.kind in "iub" and array.dtype.isbuiltin:
        return array.astype(object) if array.dtype.itemsize == 8 else array.astype(np.int64)
    return array.astype(np.float64)


def assert_close(actual: Any, expected: Any, case: Case, what: str) -> None:
    if isinstance(expected, list):
        assert isinstance(actual, list), f"{what}: expected a list, got {type(actual).__name__}"
        assert len(actual) == len(expected), f"{what}: {len(actual)} items instead of {len(expected)}"
        for i, (one, other) in enumerate(zip(actual, expected, strict=True)):
            assert_close(one, other, case, f"{what}[{i}]")
        return
    actual = as_array(actual)
    assert actual.dtype == expected.dtype, f"{what}: type {actual.dtype} instead of {expected.dtype}"
    assert actual.shape == expected.shape, f"{what}: shape {actual.shape} instead of {expected.shape}"
    if actual.dtype == object:
        assert actual.tolist() == expected.tolist(), what
        return
    have, want = plain(actual), plain(expected)
    if have.dtype == object:
        close = np.array(np.abs(have - want) <= case.atol + case.rtol * np.abs(want), dtype=bool)
    else:
        with np.errstate(all="ignore"):
            close = np.abs(have - want) <= case.atol + case.rtol * np.abs(want)
        close |= (have == want) | (np.isnan(have) & np.isnan(want))
    if np.all(close):
        return
    wrong = np.argwhere(~np.atleast_1d(close))
    with np.errstate(all="ignore"):
        errors = np.atleast_1d(np.abs(have - want)).astype(np.float64)
    errors = np.where(np.atleast_1d(close), -1, np.nan_to_num(errors, nan=np.inf))
    worst = np.unravel_index(int(np.argmax(errors)), errors.shape)
    pytest.fail(
        f"{what}: {len(wrong)} of {have.size} elements differ; worst at {tuple(int(i) for i in worst)}: "
        f"{np.atleast_1d(actual)[worst]} instead of {np.atleast_1d(expected)[worst]} "
        f"(rtol {case.rtol}, atol {case.atol})"
    )


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("case", list(tables()))
def test_case(case: Case, provider: str, form: str) -> None:
    values = inputs_of(case)
    if form == "constants" and not any(isinstance(value, np.ndarray) for value in values[1:]):
        pytest.skip("no second input")
    expected = expected_of(case)
    outputs = [
        helper.make_empty_tensor_value_info(f"y{i}") if value is None else output_info(f"y{i}", value)
        for i, value in enumerate(expected)
    ]
    model = one_node_model(case, values, form, outputs)
    session = fastort.InferenceSession(model.SerializeToString(), providers=[provider])
    fed = {info.name for info in model.graph.input}
    feeds = {f"x{i}": value for i, value in enumerate(values) if f"x{i}" in fed}
    for run in range(2):  # the second one runs from the cached plan
        results = session.run(None, feeds)
        for i, (actual, wanted) in enumerate(zip(results, expected, strict=True)):
            if wanted is not None:
                assert_close(actual, wanted, case, f"{case.op} output {i}, run {run}")
