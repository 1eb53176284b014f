"""Reductions: expected values are NumPy's in float64 (or in the integer type)."""

from __future__ import annotations

import ml_dtypes
import numpy as np

from tests.ops.case import Case

FLOATS = [np.float32, np.float64, np.float16, ml_dtypes.bfloat16]
INTS = [np.int32, np.int64, np.uint32, np.uint64]
rng = np.random.default_rng(7)


def log_sum_exp(x: np.ndarray, axis: tuple[int, ...], keepdims: bool) -> np.ndarray:
    with np.errstate(all="ignore"):
        return np.log(np.sum(np.exp(x), axis=axis, keepdims=keepdims))


FUNCTIONS = {
    "ReduceSum": np.sum,
    "ReduceMean": np.mean,
    "ReduceMax": np.max,
    "ReduceMin": np.min,
    "ReduceProd": np.prod,
    "ReduceL1": lambda x, axis, keepdims: np.sum(np.abs(x), axis=axis, keepdims=keepdims),
    "ReduceL2": lambda x, axis, keepdims: np.sqrt(np.sum(x * x, axis=axis, keepdims=keepdims)),
    "ReduceLogSum": lambda x, axis, keepdims: np.log(np.sum(x, axis=axis, keepdims=keepdims)),
    "ReduceLogSumExp": log_sum_exp,
    "ReduceSumSquare": lambda x, axis, keepdims: np.sum(x * x, axis=axis, keepdims=keepdims),
}
# Shape and axes; None: no axes input.
SHAPES = [
    ((), None),
    ((7,), None),
    ((1031,), [0]),
    ((3, 5), [1]),
    ((3, 5), [0]),
    ((211, 53), [-1]),
    ((211, 53), [0]),
    ((2, 9, 7, 11), [2, 3]),
    ((2, 9, 7, 11), [1]),
    ((2, 9, 7, 11), [0, 2, 3]),
    ((2, 9, 7, 11), [1, 3]),
    ((2, 9, 7, 11), [-4, 2]),
    ((2, 3, 5, 3, 2), [0, 2, 4]),
    ((2, 3, 5, 3, 2), [1, 3]),
    ((2, 1, 5, 1), [1, 3]),
    ((2, 16, 14, 14), [2, 3]),
    ((1, 5003), [1]),
]
TOLERANCE = {"float32": 3e-6, "float64": 1e-12, "float16": 2e-3, "bfloat16": 1.6e-2}


def shapes_of(op: str, dtype: type) -> list[tuple[tuple[int, ...], list[int] | None]]:
    """All shapes where the loops differ, a few where only the function does."""
    if dtype is np.float32:
        return SHAPES if op in ("ReduceSum", "ReduceL1", "ReduceLogSumExp") else SHAPES[0:17:2]
    return SHAPES[5:13] if op == "ReduceMean" else SHAPES[9:11]


CASES = []
for op, f in FUNCTIONS.items():
    for dtype in FLOATS:
        for shape, axes in shapes_of(op, dtype):
            low, high = (0.9, 1.1) if op == "ReduceProd" else (0.1, 2) if op == "ReduceLogSum" else (-2, 2)
            x = rng.uniform(low, high, shape).astype(dtype)
            axis = tuple(range(len(shape))) if axes is None else tuple(axes)
            for keepdims in (0, 1) if op == "ReduceSum" else (len(shape) % 2,):
                expected = np.asarray(f(x.astype(np.float64), axis=axis, keepdims=bool(keepdims))).astype(dtype)
                inputs = [x] if axes is None else [x, np.array(axes, np.int64)]
                rtol = TOLERANCE[x.dtype.name]
                CASES.append(
                    Case(
                        op,
                        inputs,
                        {"keepdims": keepdims},
                        expected=[expected],
                        rtol=rtol,
                        atol=rtol,
                        id=f"{x.dtype.name}-{shape}-{axes}-{keepdims}",
                    )
                )
    for dtype in INTS:
        x = rng.integers(1, 4, (3, 4, 5)).astype(dtype)
        for axes in ([1], [0, 2], [2]):
            exact = f(
                x.astype(np.int64) if op == "ReduceMean" else x.astype(object if op == "ReduceProd" else np.float64),
                axis=tuple(axes),
                keepdims=True,
            )
            expected = np.trunc(exact.astype(np.float64)).astype(dtype)
            CASES.append(
                Case(
                    op,
                    [x, np.array(axes, np.int64)],
                    expected=[expected],
                    rtol=0,
                    atol=0,
                    id=f"{x.dtype.name}-{axes}",
                    # Integers are allowed up to opset 27.
                    opset=18 if "LogSum" in op else None,
                )
            )
    x = rng.uniform(0.5, 2, (3, 5)).astype(np.float32)
    # An empty list of axes: everything, or nothing but the function of each element.
    empty = np.zeros(0, np.int64)
    everything = np.asarray(f(x.astype(np.float64), axis=(0, 1), keepdims=True)).astype(np.float32)
    nothing = np.asarray(f(x.astype(np.float64)[..., None], axis=(2,), keepdims=False)).astype(np.float32)
    rtol = 3e-5 if op == "ReduceProd" else 3e-6
    CASES.append(Case(op, [x, empty], expected=[everything], rtol=rtol, atol=1e-6, id="empty-axes"))
    CASES.append(Case(op, [x], {"noop_with_empty_axes": 1}, expected=[nothing], rtol=rtol, atol=1e-6, id="noop-absent"))
    CASES.append(
        Case(op, [x, empty], {"noop_with_empty_axes": 1}, expected=[nothing], rtol=rtol, atol=1e-6, id="noop-empty")
    )
    CASES.append(
        Case(
            op,
            [x, np.array([1])],
            {"noop_with_empty_axes": 1},
            expected=[np.asarray(f(x.astype(np.float64), axis=(1,), keepdims=True)).astype(np.float32)],
            rtol=rtol,
            atol=1e-6,
            id="noop-axes",
        )
    )

# Nothing to add up.
EMPTY = {
    "ReduceSum": 0,
    "ReduceProd": 1,
    "ReduceMax": -np.inf,
    "ReduceMin": np.inf,
    "ReduceL1": 0,
    "ReduceL2": 0,
    "ReduceSumSquare": 0,
    "ReduceLogSum": -np.inf,
    "ReduceLogSumExp": -np.inf,
    "ReduceMean": np.nan,
}
for op, value in EMPTY.items():
    for dtype in FLOATS:
        x = np.zeros((2, 0, 3), dtype)
        expected = np.full((2, 1, 3), value, dtype)
        CASES.append(Case(op, [x, np.array([1])], expected=[expected], id=f"{np.dtype(dtype).name}-empty"))
    CASES.append(
        Case(
            op,
            [np.zeros((2, 0, 3), np.float32), np.array([0])],
            expected=[np.zeros((1, 0, 3), np.float32)],
            id="empty-result",
        )
    )
CASES.append(
    Case(
        "ReduceMax",
        [np.zeros((2, 0), np.int32), np.array([1])],
        expected=[np.full((2, 1), np.iinfo(np.int32).min, np.int32)],
        id="int32-empty",
    )
)
CASES.append(
    Case(
        "ReduceMin",
        [np.zeros((2, 0), np.int32), np.array([1])],
        expected=[np.full((2, 1), np.iinfo(np.int32).max, np.int32)],
        id="int32-empty",
    )
)
CASES.append(
    Case("ReduceMax", [np.zeros((2, 0), bool), np.array([1])], expected=[np.zeros((2, 1), bool)], id="bool-empty")
)
CASES.append(
    Case("ReduceMin", [np.zeros((2, 0), bool), np.array([1])], expected=[np.ones((2, 1), bool)], id="bool-empty")
)

flags = rng.integers(0, 2, (5, 7)).astype(bool)
for op, f in (("ReduceMax", np.any), ("ReduceMin", np.all)):
    for axes in ([0], [1], [0, 1]):
        CASES.append(
            Case(op, [flags, np.array(axes)], expected=[f(flags, axis=tuple(axes), keepdims=True)], id=f"bool-{axes}")
        )
    for dtype in (np.int8, np.uint8):
        x = rng.integers(0, 100, (5, 7)).astype(dtype)
        expected = FUNCTIONS[op](x, axis=0, keepdims=True)
        CASES.append(Case(op, [x, np.array([0])], expected=[expected], id=np.dtype(dtype).name))
    for dtype in FLOATS[:2]:
        x = rng.standard_normal((3, 211)).astype(dtype)
        x[0, 17] = np.nan
        x[1, 5], x[1, 6] = np.inf, -np.inf
        for axes in ([1], [0]):
            expected = FUNCTIONS[op](x, axis=tuple(axes), keepdims=True)
            CASES.append(Case(op, [x, np.array(axes)], expected=[expected], id=f"{np.dtype(dtype).name}-nan-{axes}"))

# Long sums stay accurate.
x = rng.uniform(0, 1, (3, 200003)).astype(np.float32)
CASES.append(
    Case(
        "ReduceSum",
        [x, np.array([1])],
        expected=[x.astype(np.float64).sum(1, keepdims=True).astype(np.float32)],
        rtol=3e-7,
        id="long-rows",
    )
)
CASES.append(
    Case(
        "ReduceMean",
        [x.T.copy(), np.array([0])],
        expected=[x.astype(np.float64).mean(1)[None].astype(np.float32)],
        rtol=3e-7,
        id="long-columns",
    )
)
huge = np.float32([[1000, 1000.5, -1000], [-np.inf, -np.inf, -np.inf], [np.inf, 0, 1]])
CASES.append(
    Case(
        "ReduceLogSumExp",
        [huge, np.array([1])],
        expected=[np.float32([[1000.974077], [-np.inf], [np.inf]])],
        rtol=1e-6,
        id="huge",
    )
)
