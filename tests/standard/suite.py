"""The cases of onnx.backend.test: their models and data, and how a result compares at the standard's own tolerances."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.backend.test.case.test_case import TestCase
from onnx.backend.test.loader import load_model_tests

KINDS = ("node", "simple", "pytorch-converted", "pytorch-operator", "real")
# Inputs by position, or by name where initializers were promoted; and what comes out.
DataSet = tuple[list[Any] | dict[str, Any], list[Any]]


@functools.cache
def all_cases() -> dict[str, TestCase]:
    """The 2033 cases by name. Those of one node are made by code of the standard's, from fixed seeds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {case.name: case for kind in KINDS for case in load_model_tests(kind=kind)}


def load(case: TestCase) -> tuple[onnx.ModelProto, list[DataSet]]:
    """The model of a case and its sets of data."""
    if case.model is not None:
        return case.model, [([value_of(v) for v in ins], [value_of(v) for v in outs]) for ins, outs in case.data_sets]
    if case.model_dir is None:
        return load_light(case)
    folder = Path(case.model_dir)
    model = onnx.load(folder / "model.onnx")
    sets = [
        (read_files(data, "input", model.graph.input), read_files(data, "output", model.graph.output))
        for data in sorted(folder.glob("test_data_set*"))
    ]
    assert sets, f"{folder} has no data"
    return model, sets


def load_light(case: TestCase) -> tuple[onnx.ModelProto, list[DataSet]]:
    """One of the large models, whose weights are constants and whose input counts up from 0 to 1."""
    path = Path(onnx.__file__).parents[1] / case.url
    model = onnx.load(path)
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = []
    for info in model.graph.input:
        if info.name in constants:
            continue
        shape = [dim.dim_value if dim.HasField("dim_value") else 1 for dim in info.type.tensor_type.shape.dim]
        size = int(np.prod(shape))
        inputs.append((np.arange(size).reshape(shape) / size).astype(np.float32))
    outputs = [
        read_file(path.with_name(f"{path.stem}_output_{i}.pb"), info.type) for i, info in enumerate(model.graph.output)
    ]
    return model, [(inputs, outputs)]


def read_files(folder: Path, what: str, infos: Sequence[onnx.ValueInfoProto]) -> list[Any]:
    count = len(list(folder.glob(f"{what}_*.pb")))
    return [read_file(folder / f"{what}_{i}.pb", infos[i].type) for i in range(count)]


def read_file(path: Path, kind: onnx.TypeProto) -> Any:
    if kind.HasField("sequence_type"):
        return numpy_helper.to_list(onnx.SequenceProto.FromString(path.read_bytes()))
    if kind.HasField("optional_type"):
        return numpy_helper.to_optional(onnx.OptionalProto.FromString(path.read_bytes()))
    return numpy_helper.to_array(onnx.TensorProto.FromString(path.read_bytes()))


def value_of(value: Any) -> Any:
    return numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value


def without_shapes(model: onnx.ModelProto, sets: list[DataSet]) -> tuple[onnx.ModelProto, list[DataSet]]:
    """The model with initializers turned into inputs, and no size of an input, an output or a value in between."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    graph = changed.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    assert not graph.sparse_initializer, "a sparse initializer cannot be an input"
    fed = [info.name for info in graph.input if info.name not in constants]
    declared = {info.name for info in graph.input}
    for name, tensor in constants.items():
        if name not in declared:
            graph.input.append(onnx.helper.make_tensor_value_info(name, tensor.data_type, tensor.dims))
    del graph.initializer[:], graph.value_info[:]
    for info in (*graph.input, *graph.output):
        erase_sizes(info.type)
    arrays = {name: numpy_helper.to_array(tensor) for name, tensor in constants.items()}
    return changed, [({**dict(zip(fed, inputs, strict=False)), **arrays}, outputs) for inputs, outputs in sets]


def erase_sizes(kind: onnx.TypeProto) -> None:
    if kind.HasField("optional_type"):
        erase_sizes(kind.optional_type.elem_type)
    elif kind.HasField("sequence_type"):
        erase_sizes(kind.sequence_type.elem_type)
    elif kind.HasField("tensor_type"):
        for dim in kind.tensor_type.shape.dim:
            dim.Clear()


def assert_similar(actual: Any, expected: Any, case: TestCase, what: str) -> None:
    """Compares as onnx.backend.test.runner does."""
    if expected is None:
        assert actual is None, f"{what}: {actual!r} instead of no value"
        return
    if isinstance(expected, (list, tuple)):
        assert isinstance(actual, list), f"{what}: a {type(actual).__name__} instead of a list"
        assert len(actual) == len(expected), f"{what}: {len(actual)} items instead of {len(expected)}"
        for i, (one, other) in enumerate(zip(actual, expected, strict=True)):
            assert_similar(one, other, case, f"{what}[{i}]")
        return
    actual, expected = np.asarray(actual), np.asarray(expected)
    if expected.dtype.kind in "US":
        expected = expected.astype(object)
    assert actual.dtype == expected.dtype, f"{what}: type {actual.dtype} instead of {expected.dtype}"
    assert actual.shape == expected.shape, f"{what}: shape {actual.shape} instead of {expected.shape}"
    if expected.dtype == object:
        assert actual.tolist() == expected.tolist(), what
        return
    rtol = max(case.rtol, 2**-6) if expected.dtype.name == "bfloat16" else case.rtol
    if expected.dtype.kind == "V" or not expected.dtype.isbuiltin:  # the types of ml_dtypes, all exact in float32
        actual, expected = actual.astype(np.float32), expected.astype(np.float32)
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=case.atol, err_msg=what)
