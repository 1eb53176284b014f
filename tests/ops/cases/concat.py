"""Concat and Split. Expected values are NumPy's."""

import ml_dtypes
import numpy as np

from ..case import Case

_rng = np.random.default_rng(2)


def _f(*shape: int) -> np.ndarray:
    return _rng.standard_normal(shape).astype(np.float32)


def _concat(inputs: list[np.ndarray], axis: int, name: str) -> Case:
    return Case("Concat", inputs, {"axis": axis}, expected=[np.concatenate(inputs, axis)], rtol=0, atol=0, id=name)


def _split(x: np.ndarray, sizes: list[int], axis: int, name: str) -> Case:
    parts = np.split(x, np.cumsum(sizes)[:-1], axis)
    return Case(
        "Split",
        [x, np.array(sizes, np.int64)],
        {"axis": axis},
        outputs=len(sizes),
        expected=parts,
        rtol=0,
        atol=0,
        id=name,
    )


CASES = [
    *[_concat([_f(2, 3, 4), _f(2, 3, 4), _f(2, 3, 4)], axis, f"axis{axis}") for axis in (0, 1, 2, -1, -3)],
    _concat([_f(1, 8, 5, 5), _f(1, 16, 5, 5), _f(1, 3, 5, 5)], 1, "channels"),
    _concat([_f(2, 0, 3), _f(2, 4, 3)], 1, "empty-part"),
    _concat([_f(2, 0), _f(2, 0)], 1, "empty"),
    _concat([_f(3)], 0, "one"),
    _concat([_f(3, 1), _f(3, 100), _f(3, 7)], 1, "uneven"),
    _concat([np.arange(3), np.arange(5)], 0, "int64"),
    _concat([_f(2, 3).astype(ml_dtypes.bfloat16), _f(1, 3).astype(ml_dtypes.bfloat16)], 0, "bfloat16"),
    _concat([np.array([["a"], ["b"]], object), np.array([["c", "d"], ["e", ""]], object)], 1, "strings"),
    _concat([np.array([True, False]), np.array([True])], 0, "bool"),
    _split(_f(6, 4), [2, 3, 1], 0, "axis0"),
    _split(_f(2, 16, 3, 3), [8, 8], 1, "channels"),
    _split(_f(2, 3, 7), [0, 5, 2], -1, "empty-part"),
    _split(np.arange(10), [3, 7], 0, "int64"),
    _split(np.array(["a", "b", "c"], object), [1, 2], 0, "strings"),
    Case("Split", [_f(7, 2)], {"num_outputs": 3, "axis": 0}, outputs=3, id="uneven"),
    Case("Split", [_f(4, 6)], {"num_outputs": 2, "axis": 1}, outputs=2, id="equal"),
    Case("Split", [_f(2, 6)], {"axis": 1}, outputs=2, opset=13, id="by-outputs"),
]
