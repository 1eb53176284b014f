"""Each kind of value that can be fed and comes back, by table; the behaviour is ONNX Runtime's where it has one."""

from __future__ import annotations

import types
from collections import OrderedDict, UserDict
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto as T
from onnx import helper

import fastort
from fastort.capi.onnxruntime_pybind11_state import InvalidArgument
from tests.api import models

X = np.arange(6, dtype=np.float32).reshape(2, 3)


def run(model: bytes, value: Any) -> Any:
    return fastort.InferenceSession(model).run(None, {"x": value})[0]


NUMPY_TYPES = [
    (T.FLOAT, np.float32),
    (T.UINT8, np.uint8),
    (T.INT8, np.int8),
    (T.UINT16, np.uint16),
    (T.INT16, np.int16),
    (T.INT32, np.int32),
    (T.INT64, np.int64),
    (T.BOOL, np.bool_),
    (T.FLOAT16, np.float16),
    (T.DOUBLE, np.float64),
    (T.UINT32, np.uint32),
    (T.UINT64, np.uint64),
    (T.COMPLEX64, np.complex64),
    (T.COMPLEX128, np.complex128),
    (T.BFLOAT16, ml_dtypes.bfloat16),
    (T.FLOAT8E4M3FN, ml_dtypes.float8_e4m3fn),
    (T.FLOAT8E4M3FNUZ, ml_dtypes.float8_e4m3fnuz),
    (T.FLOAT8E5M2, ml_dtypes.float8_e5m2),
    (T.FLOAT8E5M2FNUZ, ml_dtypes.float8_e5m2fnuz),
    (T.UINT4, ml_dtypes.uint4),
    (T.INT4, ml_dtypes.int4),
]


@pytest.mark.parametrize(("element", "dtype"), NUMPY_TYPES, ids=lambda value: getattr(value, "__name__", ""))
def test_types(element: int, dtype: type) -> None:
    x = np.array([0, 1, 3, 7]).astype(dtype)
    y = run(models.identity(element, ["n"]), x)
    assert y.dtype == np.dtype(dtype)
    assert y.tobytes() == x.tobytes()


def read_only(x: np.ndarray) -> np.ndarray:
    x = x.copy()
    x.flags.writeable = False
    return x


def misaligned(x: np.ndarray) -> np.ndarray:
    raw = np.zeros(x.nbytes + 1, np.uint8)
    view = raw[1:].view(x.dtype).reshape(x.shape)
    view[:] = x
    return view


ARRAYS = {
    "contiguous": X,
    "transposed": np.ascontiguousarray(X.T).T,
    "strided": np.repeat(np.repeat(X, 2, axis=0), 3, axis=1)[::2, ::3],
    "reversed": X[::-1, ::-1].copy()[::-1, ::-1],
    "broadcast": np.broadcast_to(np.float32(4), (2, 3)),
    "read-only": read_only(X),
    "misaligned": misaligned(X),
    "big-endian": X.astype(">f4"),
    "matrix": X.view(np.matrix),
    "list": X.tolist(),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_layouts(name: str) -> None:
    y = run(models.negate(), ARRAYS[name])
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, -np.asarray(ARRAYS[name]))


@pytest.mark.parametrize("shape", [(), (1,), (0,), (2, 0, 3), (1, 1, 1, 1, 1, 1, 2, 1)])
def test_shapes(shape: tuple[int, ...]) -> None:
    x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    y = run(models.negate([f"d{i}" for i in range(len(shape))]), x)
    assert isinstance(y, np.ndarray)
    assert y.shape == shape
    np.testing.assert_array_equal(y, -x)


def test_rank_may_be_unknown() -> None:
    session = fastort.InferenceSession(models.identity())
    assert session.get_inputs()[0].shape == []
    for x in (X, X[0], np.array(5, np.float32)):
        np.testing.assert_array_equal(session.run(None, {"x": x})[0], x)


LISTS = [
    (T.INT64, [1, 2], np.array([1, 2], np.int64)),
    (T.INT64, [1.5, 2], np.array([1, 2], np.int64)),
    (T.FLOAT, [[1, 2], [3, 4]], np.array([[1, 2], [3, 4]], np.float32)),
    (T.FLOAT16, [1.0], np.array([1], np.float16)),
    (T.BOOL, [True, 0], np.array([True, False])),
    (T.STRING, ["a", "bc"], np.array(["a", "bc"], object)),
    (T.BFLOAT16, [1.0, 2.0], np.array([1, 2], ml_dtypes.bfloat16)),
]


@pytest.mark.parametrize(("element", "value", "expected"), LISTS)
def test_lists(element: int, value: list[Any], expected: np.ndarray) -> None:
    y = run(models.identity(element), value)
    assert y.dtype == expected.dtype
    np.testing.assert_array_equal(y, expected)


STRINGS = {
    "objects": (np.array(["a", "bcé", ""], object), ["a", "bcé", ""]),
    "unicode": (np.array(["a", "bcé"]), ["a", "bcé"]),
    "bytes": (np.array([b"a", b"bc"]), ["a", "bc"]),
    "StringDType": (np.array(["a", "long " * 20], np.dtypes.StringDType()), ["a", "long " * 20]),
    "other objects": (np.array([1, None, 2.5], object), ["1", "None", "2.5"]),
    "strided": (np.array(["a", "x", "b", "x"], object)[::2], ["a", "b"]),
    "inner zero": (np.array(["a\0b"], object), ["a\0b"]),
    "no UTF-8": (np.array([b"\xff"], object), ["\udcff"]),
    "none": (np.array([], object), []),
}


@pytest.mark.parametrize("name", STRINGS)
def test_strings(name: str) -> None:
    value, expected = STRINGS[name]
    y = run(models.identity(T.STRING, ["n"]), value)
    assert y.dtype == object
    assert y.tolist() == expected


SEQUENCE = helper.make_sequence_type_proto(helper.make_tensor_type_proto(T.FLOAT, None))


@pytest.mark.parametrize("value", [[], [X], [X, X[0]], [X.T, X[::-1]], (X, X)], ids=range(5))
def test_sequences(value: list[np.ndarray]) -> None:
    result = run(models.identity_of(SEQUENCE), value)
    assert isinstance(result, list)
    assert len(result) == len(value)
    for expected, item in zip(value, result, strict=True):
        np.testing.assert_array_equal(item, expected)
        assert not np.shares_memory(item, expected)


OPTIONAL = helper.make_optional_type_proto(helper.make_tensor_type_proto(T.FLOAT, ["n", 3]))


def test_optionals() -> None:
    session = fastort.InferenceSession(models.identity_of(OPTIONAL))
    assert session.get_inputs()[0].type == "optional(tensor(float))"
    assert session.run(None, {"x": None}) == [None]
    assert session.run(None, {}) == [None]
    np.testing.assert_array_equal(session.run(None, {"x": X})[0], X)


def map_type(key: int) -> onnx.TypeProto:
    proto = onnx.TypeProto()
    proto.map_type.key_type = key
    proto.map_type.value_type.tensor_type.elem_type = T.FLOAT
    return proto


MAPS = [
    (T.INT64, {1: 2.0, 3: 4.0}),
    (T.INT64, {np.int64(1): np.float32(2)}),
    (T.STRING, {"a": 2.0, "bé": 4.0}),
]


@pytest.mark.parametrize(("key", "value"), MAPS)
def test_maps(key: int, value: dict[Any, float]) -> None:
    assert run(models.identity_of(map_type(key)), value) == value


FEEDS = {
    "dict": {"x": X},
    "OrderedDict": OrderedDict(x=X),
    "UserDict": UserDict(x=X),
    "mapping proxy": types.MappingProxyType({"x": X}),
}


@pytest.mark.parametrize("name", FEEDS)
def test_mappings(name: str) -> None:
    np.testing.assert_array_equal(fastort.InferenceSession(models.negate()).run(None, FEEDS[name])[0], -X)


# What ONNX Runtime refuses: the exception's class, and how its text begins.
REFUSED = [
    (T.FLOAT, X.astype(np.float64), InvalidArgument, r"Unexpected input data type. Actual: \(tensor\(double\)\) , exp"),
    (T.FLOAT, X.astype(np.int64), InvalidArgument, r"Actual: \(tensor\(int64\)\) , expected: \(tensor\(float\)\)"),
    (T.BFLOAT16, X.astype(np.uint16), InvalidArgument, r"Actual: \(tensor\(uint16\)\) , expected: \(tensor\(bfloat16"),
    (T.STRING, X, InvalidArgument, r"Actual: \(tensor\(float\)\) , expected: \(tensor\(string\)\)"),
    (T.FLOAT, np.array(["a"]), InvalidArgument, r"Actual: \(tensor\(string\)\) , expected: \(tensor\(float\)\)"),
    (T.FLOAT, 1.0, RuntimeError, "Unable to handle object of type <class 'float'>"),
    (T.FLOAT, np.float32(1), RuntimeError, "Unable to handle object of type <class 'numpy.float32'>"),
    (T.FLOAT, object(), RuntimeError, "Unable to handle object of type <class 'object'>"),
    (T.FLOAT, "text", RuntimeError, "Input must be a list of dictionaries or a single numpy array for input 'x'"),
    (T.FLOAT, (1.0, 2.0), RuntimeError, "Input must be a list of dictionaries or a single numpy array for input 'x'"),
    (T.INT64, ["a"], RuntimeError, "Could not create tensor from given input list"),
    (T.FLOAT, [[1.0], [1.0, 2.0]], RuntimeError, "Could not create tensor from given input list"),
    (T.INT64, np.zeros(2, "M8[s]"), RuntimeError, "Numpy_type 21 can't be converted to MLDataType"),
    (T.FLOAT, np.zeros(2, np.longdouble), RuntimeError, "Numpy_type 13 can't be converted to MLDataType"),
    (T.FLOAT, {1: 2.0}, InvalidArgument, "Unexpected input data type"),
    (T.FLOAT, None, InvalidArgument, "is None"),
]


@pytest.mark.parametrize(("element", "value", "error", "text"), REFUSED)
def test_refuses(element: int, value: Any, error: type[Exception], text: str) -> None:
    session = fastort.InferenceSession(models.identity(element))
    with pytest.raises(error, match=text) as caught:
        session.run(None, {"x": value})
    assert "'x'" in str(caught.value)


REFUSED_CONTAINERS = [
    (SEQUENCE, X, InvalidArgument, "input with name: 'x' expected to be of type: 3 but received a tensor"),
    (SEQUENCE, [1.0], RuntimeError, "CreateSequenceOfTensors: Input is not a tensor"),
    (SEQUENCE, [X.astype(int)], InvalidArgument, "Unexpected input data type"),
    (SEQUENCE, {"a": 1}, InvalidArgument, "Unexpected input data type"),
    (map_type(T.INT64), X, InvalidArgument, "input with name: 'x' expected to be of type: 1 but received a tensor"),
    (map_type(T.INT64), {"a": 1.0}, InvalidArgument, r"Actual: \(\(map\(string,tensor\(float\)\)\)\)"),
    (map_type(T.INT64), {1: "a"}, RuntimeError, "Unexpected value type  <class 'str'>"),
    (map_type(T.STRING), {1: 1.0}, InvalidArgument, r"Actual: \(\(map\(int64,tensor\(float\)\)\)\)"),
]


@pytest.mark.parametrize(("kind", "value", "error", "text"), REFUSED_CONTAINERS)
def test_refuses_containers(kind: onnx.TypeProto, value: Any, error: type[Exception], text: str) -> None:
    session = fastort.InferenceSession(models.identity_of(kind))
    with pytest.raises(error, match=text):
        session.run(None, {"x": value})
