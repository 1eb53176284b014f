"""Operators whose result's size depends on data: NonZero, Compress, Unique, NonMaxSuppression."""

import numpy as np

from ..case import Case

_rng = np.random.default_rng(6)


def _f(*shape: int) -> np.ndarray:
    return _rng.standard_normal(shape).astype(np.float32)


_sparse = (_rng.random((4, 5, 3)) > 0.6) * _f(4, 5, 3)
_few = _rng.integers(0, 4, (6, 5)).astype(np.float32)


def _unique(x: np.ndarray, name: str, axis: int | None = None) -> Case:
    expected = np.unique(x, return_index=True, return_inverse=True, return_counts=True, axis=axis)
    expected = [expected[0], *[part.reshape(-1).astype(np.int64) for part in expected[1:]]]
    return Case("Unique", [x], {"axis": axis}, outputs=4, expected=expected, rtol=0, atol=0, id=name)


def _boxes(count: int) -> np.ndarray:
    corner = _rng.random((1, count, 2)) * 10
    return np.concatenate([corner, corner + _rng.random((1, count, 2)) * 5], -1).astype(np.float32)


_limits = [np.array([5], np.int64), np.array([0.3], np.float32), np.array([0.1], np.float32)]

CASES = [
    Case("NonZero", [_sparse]),
    Case("NonZero", [_sparse > 0], id="bool"),
    Case("NonZero", [np.array([0, 3, 0, -1], np.int64)], id="int64"),
    Case("NonZero", [np.array([[0.0, -0.0], [np.nan, 1e-45]], np.float32)], id="special"),
    Case("NonZero", [np.zeros((3, 4), np.float32)], id="none"),
    Case("NonZero", [np.zeros((0, 4), np.uint8)], id="empty"),
    # The scalar's result has no rows, unlike NumPy's.
    Case("NonZero", [np.float32(2)], id="scalar", expected=[np.zeros((0, 1), np.int64)]),
    Case("Compress", [_f(3, 4), np.array([False, True, True])], {"axis": 0}, id="axis0"),
    Case("Compress", [_f(3, 4), np.array([True, False, True])], {"axis": -1}, id="short"),
    Case("Compress", [_f(3, 4), np.array([False, True, False, False, True])], id="flat"),
    Case("Compress", [np.array(["a", "b"], object), np.array([False, True])], {"axis": 0}, id="strings"),
    _unique(_few, "flat"),
    _unique(np.array([[1, 0, 0], [1, 0, 0], [2, 3, 4]], np.float32), "rows", 0),
    _unique(_rng.integers(0, 2, (2, 6, 2)).astype(np.int64), "middle", 1),
    _unique(np.array([3, -1, 3, 3, 7], np.int64), "int64"),
    _unique(np.array([], np.float32), "empty"),
    Case(
        "Unique",
        [np.array([2, 1, 1, 3, 4, 3], np.float32)],
        {"sorted": 0},
        outputs=4,
        id="unsorted",
        expected=[
            np.array([2, 1, 3, 4], np.float32),
            np.array([0, 1, 3, 4]),
            np.array([0, 1, 1, 2, 3, 2]),
            np.array([1, 2, 2, 1]),
        ],
    ),
    Case(
        "Unique",
        [np.array(["b", "a", "b"], object)],
        outputs=2,
        id="strings",
        expected=[np.array(["a", "b"], object), np.array([1, 0])],
    ),
    Case("NonMaxSuppression", [_boxes(40), _rng.random((1, 3, 40)).astype(np.float32), *_limits]),
    Case(
        "NonMaxSuppression",
        [_boxes(20), _rng.random((1, 2, 20)).astype(np.float32), *_limits],
        {"center_point_box": 1},
        id="center",
    ),
    # Without thresholds any overlap suppresses: the second box touches the first, the third overlaps the second only.
    Case(
        "NonMaxSuppression",
        [
            np.array([[[0, 0, 1, 1], [0, 1, 1, 2], [0.5, 1.5, 2, 2], [5, 5, 6, 6]]], np.float32),
            np.array([[[0.9, 0.8, 0.95, 0.1]]], np.float32),
            np.array([3], np.int64),
        ],
        id="defaults",
        expected=[np.array([[0, 0, 2], [0, 0, 0], [0, 0, 3]])],
    ),
    Case(
        "NonMaxSuppression",
        [_boxes(5), _rng.random((1, 1, 5)).astype(np.float32)],
        id="none",
        expected=[np.zeros((0, 3), np.int64)],
    ),
]
