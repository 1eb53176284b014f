"""Operators that make shapes and constants, or give the same elements another shape."""

import ml_dtypes
import numpy as np
from onnx import TensorProto, helper

from ..case import Case

_rng = np.random.default_rng(0)


def _f(*shape: int) -> np.ndarray:
    return _rng.standard_normal(shape).astype(np.float32)


def _i(*items: int) -> np.ndarray:
    return np.array(items, np.int64)


_x = _f(2, 3, 4)
_words = np.array([["a", "bb"], ["", "dddd"], ["é", "f"]], object)

_reshapes = [
    Case("Reshape", [_x, _i(*shape)], {"allowzero": allow_zero}, id=f"{shape}")
    for shape, allow_zero in [
        ((4, 3, 2), 0),
        ((-1,), 0),
        ((2, -1), 0),
        ((0, -1), 0),
        ((0, 0, 4), 0),
        ((1, 2, 1, 12, 1), 0),
        ((-1, 0, 2), 0),
    ]
]

CASES = [
    Case("Shape", [_x]),
    Case("Shape", [_x], {"start": 1}, id="start"),
    Case("Shape", [_x], {"start": -2, "end": -1}, id="negative"),
    Case("Shape", [_x], {"start": -9, "end": 9}, id="clamped"),
    Case("Shape", [_x], {"start": 2, "end": 1}, id="empty", expected=[_i()]),
    Case("Shape", [np.float32(1)], id="scalar"),
    Case("Size", [_x]),
    Case("Size", [np.zeros((3, 0), np.int8)], id="empty"),
    *_reshapes,
    Case("Reshape", [np.zeros((0, 3), np.float32), _i(3, 0)], {"allowzero": 1}, id="allowzero"),
    Case("Reshape", [_f(1), np.zeros(0, np.int64)], id="to-scalar"),
    Case("Reshape", [_words, _i(2, 3)], id="strings"),
    Case("Reshape", [_x.astype(ml_dtypes.bfloat16), _i(6, 4)], id="bfloat16"),
    *[Case("Flatten", [_f(2, 3, 4, 5)], {"axis": axis}, id=f"axis{axis}") for axis in (0, 1, 3, 4, -1, -4)],
    Case("Flatten", [_f(2, 3)], id="default"),
    Case("Squeeze", [_f(1, 3, 1, 5), _i(0, 2)]),
    Case("Squeeze", [_f(1, 3, 1, 5), _i(-2)], id="negative"),
    Case("Squeeze", [_f(1, 3, 1, 5)], id="all"),
    Case("Unsqueeze", [_x, _i(0, 4)]),
    Case("Unsqueeze", [_x, _i(-1, 1, 0)], id="unsorted"),
    Case("Unsqueeze", [np.float32(3), _i(0)], id="scalar"),
    Case("Expand", [_f(3, 1), _i(2, 3, 6)]),
    Case("Expand", [_f(3, 1), _i(1, 1)], id="smaller"),
    Case("Expand", [_f(1), _i(3, 4)], id="one"),
    Case("Expand", [_f(2, 1, 3), _i(5, 2, 4, 3)], id="middle"),
    Case("Expand", [np.float32(2), _i(0, 3)], id="empty"),
    Case("Expand", [_words, _i(2, 3, 2)], id="strings"),
    Case("Expand", [np.array([[True], [False]]), _i(2, 3)], id="bool"),
    Case("Constant", [], {"value": helper.make_tensor("v", TensorProto.FLOAT16, [2], [1.5, -2])}, id="value"),
    Case("Constant", [], {"value_ints": [1, 2, 3]}, id="ints"),
    Case("Constant", [], {"value_float": 1.5}, id="float"),
    Case("Constant", [], {"value_strings": ["a", "b"]}, id="strings", expected=[np.array(["a", "b"], object)]),
    Case("ConstantOfShape", [_i(2, 3)]),
    Case("ConstantOfShape", [_i(3)], {"value": helper.make_tensor("v", TensorProto.INT64, [1], [7])}, id="int64"),
    Case("ConstantOfShape", [_i()], {"value": helper.make_tensor("v", TensorProto.BOOL, [1], [True])}, id="scalar"),
    Case("ConstantOfShape", [_i(2, 0, 3)], id="empty"),
    Case("Range", [np.int64(1), np.int64(10), np.int64(3)]),
    Case("Range", [np.int32(10), np.int32(1), np.int32(-4)], id="down"),
    Case("Range", [np.int64(5), np.int64(5), np.int64(1)], id="empty"),
    Case("Range", [np.float32(0), np.float32(1), np.float32(0.1)], id="float"),
    Case("Range", [np.float64(1), np.float64(-1), np.float64(-0.3)], id="double"),
    Case("Range", [np.int16(-3), np.int16(4), np.int16(2)], id="int16"),
    Case("EyeLike", [_f(3, 4)]),
    Case("EyeLike", [_f(3, 4)], {"k": 2}, id="k2"),
    Case("EyeLike", [_f(4, 3)], {"k": -1, "dtype": TensorProto.INT32}, id="int32"),
    Case("EyeLike", [_f(2, 2)], {"k": 9}, id="outside"),
    Case("OneHot", [_i(1, 0, 3, -1), np.int64(4), np.array([0, 1], np.float32)]),
    Case(
        "OneHot",
        [_i(1, 9, -9, 3), np.int64(4), np.array([2, 5], np.int32)],
        id="outside",
        expected=[np.array([[2, 5, 2, 2], [2, 2, 2, 2], [2, 2, 2, 2], [2, 2, 2, 5]], np.int32)],
    ),
    Case(
        "OneHot",
        [np.array([[1, 2], [0, 1]], np.int32), np.int64(3), np.array([-1, 1], np.float64)],
        {"axis": 1},
        id="axis1",
    ),
    Case(
        "OneHot",
        [np.array([[1, 2], [0, 1]], np.float32), _i(3), np.array([0, 1], np.int64)],
        {"axis": 0},
        id="float-indices",
        expected=[np.moveaxis(np.eye(3, dtype=np.int64)[[[1, 2], [0, 1]]], -1, 0)],
    ),
]
