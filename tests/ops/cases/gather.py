"""The Gather and Scatter families."""

import ml_dtypes
import numpy as np

from ..case import Case

_rng = np.random.default_rng(4)


def _f(*shape: int) -> np.ndarray:
    return _rng.standard_normal(shape).astype(np.float32)


def _i(items: object, dtype: type = np.int64) -> np.ndarray:
    return np.array(items, dtype)


_x = _f(3, 4, 5)
_reductions = ["none", "add", "mul", "max", "min"]


def _indices(shape: tuple[int, ...], size: int) -> np.ndarray:
    return _rng.integers(-size, size, shape)


def _unique(shape: tuple[int, ...], size: int, axis: int) -> np.ndarray:
    """Indices without repetition along the axis."""
    order = np.argsort(_rng.random([size if i == axis else n for i, n in enumerate(shape)]), axis)
    return np.take(order, range(shape[axis]), axis)


def _scatter_nd(data: np.ndarray, indices: np.ndarray, updates: np.ndarray, reduction: str) -> np.ndarray:
    combine = {"none": lambda a, b: b, "add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}[
        reduction
    ]
    result = data.copy()
    for at in np.ndindex(indices.shape[:-1]):
        place = tuple(indices[at])
        result[place] = combine(result[place], updates[at])
    return result


_fewer = _indices((2, 6, 3), 4)
_nd_updates = _f(4, 5)
_nd_indices = _i([[0, 1], [2, -1], [0, 1], [1, 0]])


def _meeting(reduction: str, dtype: str) -> list[tuple]:
    """Updates of a few places by ScatterElements and ScatterND."""
    rng = np.random.default_rng(31)
    places = rng.integers(0, 7, 1013)
    updates, data = rng.integers(-2, 3, (1013, 3)).astype(dtype), rng.integers(-2, 3, (7, 3)).astype(dtype)
    at = {"add": np.add.at, "max": np.maximum.at, "min": np.minimum.at}[reduction]
    rows, column = data.copy(), data[:, 0].copy()
    at(rows, places, updates)
    at(column, places, updates[:, 0])
    return [
        ("ScatterND", data, places[:, None], updates, rows),
        ("ScatterElements", data[:, 0].copy(), places, updates[:, 0].copy(), column),
    ]


CASES = [
    *[
        Case("Gather", [_x, _indices((2, 3), _x.shape[axis])], {"axis": axis}, id=f"axis{axis}")
        for axis in (0, 1, 2, -1)
    ],
    Case("Gather", [_x, _i(1)], {"axis": 1}, id="scalar"),
    Case("Gather", [_x, _i([], np.int32)], id="empty"),
    Case("Gather", [_x, _i([2, 0], np.int32)], {"axis": 2}, id="int32"),
    Case("Gather", [_f(1000, 33), _indices((7, 11), 1000)], id="embedding"),
    Case("Gather", [np.array(["a", "b", "c"], object), _i([[2, 0], [1, 1]])], id="strings"),
    Case("Gather", [_x.astype(ml_dtypes.bfloat16), _i([0, -1])], {"axis": 1}, id="bfloat16"),
    *[
        Case(
            "GatherElements",
            [_x, _indices(shape, _x.shape[axis])],
            {"axis": axis},
            id=f"axis{axis}",
        )
        for axis, shape in enumerate([(6, 4, 5), (3, 6, 5), (3, 4, 6)])
    ],
    # Indices may be smaller than the data, as for torch.gather.
    Case(
        "GatherElements", [_x, _fewer], {"axis": 1}, id="fewer", expected=[np.take_along_axis(_x[:2, :, :3], _fewer, 1)]
    ),
    Case("GatherElements", [_f(4), _i([3, -4, 1], np.int32)], id="int32"),
    Case("GatherElements", [np.array(["a", "b"], object), _i([1, 1, 0])], id="strings"),
    Case("GatherND", [_x, _i([[0, 1], [2, -1]])], id="slices"),
    Case("GatherND", [_x, _i([[0, 1, 2], [2, 3, -5]])], id="elements"),
    Case("GatherND", [_x, _i([[[1]], [[-1]]])], id="rows"),
    Case("GatherND", [_x, _i([[[1], [0]], [[-1], [2]], [[3], [3]]])], {"batch_dims": 1}, id="batch1"),
    Case("GatherND", [_f(2, 3, 4), _i([[[0], [1], [2]], [[3], [0], [-1]]])], {"batch_dims": 2}, id="batch2"),
    *[
        Case(
            "ScatterElements",
            [_x, _unique((2, 3, 4), _x.shape[axis], axis), _f(2, 3, 4)],
            {"axis": axis, "reduction": reduction},
            id=f"axis{axis}-{reduction}",
        )
        for axis in (0, 1, 2)
        for reduction in _reductions
    ],
    Case("ScatterElements", [_f(2, 3), _i([[1, -1, 1]]), _f(1, 3)], {"axis": 1, "reduction": "add"}, id="repeated"),
    Case("ScatterElements", [np.arange(5), _i([1, 3]), _i([10, 11])], {"reduction": "max"}, id="int64"),
    Case(
        "ScatterElements",
        [np.array(["a", "b", "c"], object), _i([2]), np.array(["z"], object)],
        id="strings",
        expected=[np.array(["a", "b", "z"], object)],
    ),
    *[
        Case(
            "ScatterND",
            [_x, _nd_indices, _nd_updates],
            {"reduction": reduction},
            id=reduction,
            expected=[_scatter_nd(_x, _nd_indices, _nd_updates, reduction)],
        )
        for reduction in _reductions
    ],
    Case("ScatterND", [_f(8), _i([[4], [3], [1]]), _f(3)], id="elements"),
    Case("ScatterND", [_f(4, 4), _i([[0], [2]]), _f(2, 4)], id="rows"),
    Case(
        "ScatterND",
        [np.arange(6, dtype=np.int32), _i([[1], [1]]), np.array([5, 6], np.int32)],
        {"reduction": "mul"},
        id="int32",
        expected=[np.array([0, 30, 2, 3, 4, 5], np.int32)],
    ),
    # Many updates that meet: whole numbers, whose sums are the same in any order.
    *[
        Case(
            op,
            [data, indices, updates],
            {"reduction": reduction},
            id=f"meeting-{reduction}-{dtype}",
            expected=[expected],
        )
        for dtype in ("float32", "int32", "int8", "float64")
        for reduction in ("add", "max", "min")
        for op, data, indices, updates, expected in _meeting(reduction, dtype)
    ],
    Case("TensorScatter", [_f(2, 3, 6, 4), _f(2, 3, 2, 4), _i([1, 4])], id="linear"),
    Case("TensorScatter", [_f(2, 6, 4), _f(2, 3, 4)], id="start"),
    Case("TensorScatter", [_f(2, 3, 6, 4), _f(2, 3, 3, 4), _i([5, 8])], {"mode": "circular"}, id="circular"),
    Case("TensorScatter", [_f(2, 6), _f(2, 2), _i([0, 3])], {"axis": 1}, id="axis"),
]
