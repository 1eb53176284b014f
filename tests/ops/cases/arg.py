"""ArgMax, ArgMin, TopK, CumSum, CumProd, Hardmax: expected values are NumPy's."""

from __future__ import annotations

import ml_dtypes
import numpy as np

from tests.ops.case import Case

FLOATS = [np.float32, np.float64, np.float16, ml_dtypes.bfloat16]
INTS = [np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64]
SHAPES = [((7,), 0), ((3, 5), 0), ((3, 5), -1), ((2, 9, 7), 1), ((1, 1031), 1), ((4, 3, 2, 5), -2), ((0, 3), 1)]
rng = np.random.default_rng(10)


def data(shape: tuple[int, ...], dtype: type) -> np.ndarray:
    """Few values, so that there are ties."""
    return rng.integers(0, 9, shape).astype(dtype)


def exact(op: str, inputs: list, attributes: dict, expected: list[np.ndarray], id: str) -> Case:
    return Case(op, inputs, attributes, outputs=len(expected), expected=expected, rtol=0, atol=0, id=id)


def arg(x: np.ndarray, axis: int, keepdims: int, last: int, largest: bool) -> np.ndarray:
    f = np.argmax if largest else np.argmin
    index = x.shape[axis] - 1 - f(np.flip(x, axis), axis=axis) if last else f(x, axis=axis)
    return np.asarray(np.expand_dims(index, axis) if keepdims else index).astype(np.int64)


def top_k(x: np.ndarray, k: int, axis: int, largest: bool) -> list[np.ndarray]:
    keys = x.astype(np.float64) if x.dtype.itemsize < 8 or x.dtype == np.float64 else x.astype(object)
    order = np.argsort(-keys if largest else keys, axis=axis, kind="stable")
    index = np.take(order, np.arange(k), axis=axis)
    return [np.take_along_axis(x, index, axis), index.astype(np.int64)]


CASES = []
for dtype in FLOATS + INTS:
    name = np.dtype(dtype).name
    for shape, axis in SHAPES if dtype is np.float32 else SHAPES[3:4]:
        x = data(shape, dtype)
        wide = x.astype(np.float64)
        for op, largest in (("ArgMax", True), ("ArgMin", False)):
            for keepdims in (0, 1):
                for last in (0, 1):
                    attributes = {"axis": axis, "keepdims": keepdims, "select_last_index": last}
                    CASES.append(
                        exact(
                            op,
                            [x],
                            attributes,
                            [arg(wide, axis, keepdims, last, largest)],
                            f"{name}-{shape}-{axis}-{keepdims}{last}",
                        )
                    )
        n = shape[axis]
        for k in sorted({0, 1, n // 2, n, min(3, n)}):
            for largest in (0, 1):
                attributes = {"axis": axis, "largest": largest}
                CASES.append(
                    exact(
                        "TopK",
                        [x, np.array([k])],
                        attributes,
                        top_k(x, k, axis, bool(largest)),
                        f"{name}-{shape}-{axis}-{k}-{largest}",
                    )
                )
x = data((3, 4), np.float32)
CASES.append(exact("ArgMax", [x], {}, [np.argmax(x, 0)[None]], "default-axis"))
CASES.append(exact("ArgMin", [x], {}, [np.argmin(x, 0)[None]], "default-axis"))
CASES.append(exact("TopK", [x, np.array([2])], {}, top_k(x, 2, -1, True), "default-axis"))
nan = np.float32([[1, np.nan, 3, np.nan, -np.inf], [np.inf, 2, -np.inf, 5, 4]])
CASES.append(exact("ArgMax", [nan], {"axis": 1}, [np.argmax(nan, 1)[:, None]], "nan"))
CASES.append(exact("ArgMin", [nan], {"axis": 1}, [np.argmin(nan, 1)[:, None]], "nan"))
# NaN is larger than every number, as PyTorch has it.
CASES.append(
    exact(
        "TopK",
        [nan, np.array([3])],
        {},
        [np.float32([[np.nan, np.nan, 3], [np.inf, 5, 4]]), np.array([[1, 3, 2], [0, 3, 4]])],
        "nan",
    )
)
CASES.append(
    exact(
        "TopK",
        [nan, np.array([3])],
        {"largest": 0},
        [np.float32([[-np.inf, 1, 3], [-np.inf, 2, 4]]), np.array([[4, 0, 2], [2, 1, 4]])],
        "nan-smallest",
    )
)

# Rows that are too long to compare each element with each.
long_rng = np.random.default_rng(23)
for dtype in (np.float32, np.int8, np.int64, np.uint32):
    for shape, axis, k in (((2, 5003), 1, 17), ((1300, 3), 0, 1300), ((1, 2, 1025), -1, 1), ((70000,), 0, 300)):
        x = long_rng.integers(0, 100, shape).astype(dtype)
        if dtype is np.float32:
            x = x + long_rng.integers(0, 9, shape).astype(dtype) / 16
        for largest in (0, 1):
            name = f"long-{np.dtype(dtype).name}-{shape}-{k}-{largest}"
            attributes = {"axis": axis, "largest": largest}
            CASES.append(exact("TopK", [x, np.array([k])], attributes, top_k(x, k, axis, bool(largest)), name))
# Rows that are walked in parts.
for dtype in (np.float32, np.int32, np.int64, np.float64):
    for shape, axis in (((2, 5003), 1), ((2050, 3), 0)):
        x = long_rng.integers(-3, 4, shape).astype(dtype)
        for exclusive in (0, 1):
            for reverse in (0, 1):
                total = np.cumsum(np.flip(x, axis) if reverse else x, axis, dtype=np.int64)
                if exclusive:
                    total = total - (np.flip(x, axis) if reverse else x).astype(np.int64)
                total = (np.flip(total, axis) if reverse else total).astype(dtype)
                attributes = {"exclusive": exclusive, "reverse": reverse}
                name = f"long-{np.dtype(dtype).name}-{shape}-{exclusive}{reverse}"
                CASES.append(exact("CumSum", [x, np.array(axis)], attributes, [total], name))
nan = np.float32([[1, np.nan, 3, np.nan, -np.inf] * 300])
CASES.append(
    exact("TopK", [nan, np.array([2])], {}, [np.float32([[np.nan, np.nan]]), np.array([[1, 3]])], "long-nan-largest")
)
CASES.append(
    exact(
        "TopK",
        [nan, np.array([2])],
        {"largest": 0},
        [np.float32([[-np.inf] * 2]), np.array([[4, 9]])],
        "long-nan-smallest",
    )
)

for dtype in [*FLOATS, np.int32, np.int64, np.uint32, np.uint64]:
    name = np.dtype(dtype).name
    for shape, axis in SHAPES if dtype in (np.float32, np.int64) else SHAPES[2:4]:
        x = rng.integers(1, 3, shape).astype(dtype)
        if shape[axis] > 500 and dtype in (np.float16, ml_dtypes.bfloat16):
            continue
        for op, f, start in (("CumSum", np.cumsum, 0), ("CumProd", np.cumprod, 1)):
            if op == "CumProd" and shape[axis] > 20:
                continue
            for exclusive in (0, 1):
                for reverse in (0, 1):
                    y = np.flip(x.astype(np.float64), axis) if reverse else x.astype(np.float64)
                    total = f(y, axis=axis)
                    if exclusive:
                        total = np.roll(total, 1, axis)
                        total[(slice(None),) * (axis % x.ndim) + (slice(0, 1),)] = start
                    total = np.flip(total, axis) if reverse else total
                    attributes = {"exclusive": exclusive, "reverse": reverse}
                    index = np.array(axis, np.int32 if exclusive else np.int64)
                    CASES.append(
                        exact(
                            op,
                            [x, index],
                            attributes,
                            [total.astype(dtype)],
                            f"{name}-{shape}-{axis}-{exclusive}{reverse}",
                        )
                    )

for dtype in FLOATS:
    for shape, axis in SHAPES if dtype is np.float32 else SHAPES[2:4]:
        x = data(shape, dtype)
        index = np.argmax(x.astype(np.float64), axis)
        expected = np.arange(shape[axis]).reshape(
            [-1 if d == axis % len(shape) else 1 for d in range(len(shape))]
        ) == np.expand_dims(index, axis)
        CASES.append(
            exact("Hardmax", [x], {"axis": axis}, [expected.astype(dtype)], f"{np.dtype(dtype).name}-{shape}-{axis}")
        )
