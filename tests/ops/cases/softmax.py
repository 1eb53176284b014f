"""Softmax and LogSoftmax: expected values are NumPy's in float64."""

from __future__ import annotations

import ml_dtypes
import numpy as np

from tests.ops.case import Case

FLOATS = [np.float32, np.float64, np.float16, ml_dtypes.bfloat16]
TOLERANCE = {"float32": 2e-6, "float64": 1e-12, "float16": 2e-3, "bfloat16": 1.6e-2}
SHAPES = [
    ((), 0),
    ((7,), 0),
    ((1,), -1),
    ((3, 1031), 1),
    ((3, 1031), 0),
    ((2, 3, 197), -1),
    ((2, 9, 13), 1),
    ((2, 7, 3, 5), 0),
    ((2, 7, 3, 5), -2),
    ((5, 64), -1),
    ((0, 3), -1),
    ((3, 0), -1),
    ((1, 50257), -1),
]
rng = np.random.default_rng(8)


def softmax(x: np.ndarray, axis: int, log: bool) -> np.ndarray:
    if x.size == 0:
        return x
    axes = axis if x.ndim else None
    with np.errstate(all="ignore"):
        shifted = x - np.max(x, axis=axes, keepdims=True)
        total = np.sum(np.exp(shifted), axis=axes, keepdims=True)
        return np.asarray(shifted - np.log(total) if log else np.exp(shifted) / total)


CASES = []
for op, log in (("Softmax", False), ("LogSoftmax", True)):
    for dtype in FLOATS:
        for shape, axis in SHAPES if dtype is np.float32 else SHAPES[3:9]:
            x = (rng.standard_normal(shape) * 5).astype(dtype)
            expected = softmax(x.astype(np.float64), axis, log).astype(dtype)
            rtol = TOLERANCE[x.dtype.name]
            attributes = {"axis": axis} if shape else {}
            CASES.append(
                Case(
                    op,
                    [x],
                    attributes,
                    expected=[expected],
                    rtol=rtol,
                    atol=rtol / 10,
                    id=f"{x.dtype.name}-{shape}-{axis}",
                )
            )
    x = rng.standard_normal((4, 9)).astype(np.float32)
    CASES.append(
        Case(
            op,
            [x],
            expected=[softmax(x.astype(np.float64), -1, log).astype(np.float32)],
            rtol=2e-6,
            atol=1e-7,
            id="default-axis",
        )
    )
    # Masks of attention, and rows without a finite maximum.
    for mask in (-np.inf, -3.4e38, -1e4, -1e9):
        x = (rng.standard_normal((5, 37)) * 3).astype(np.float32)
        x[:, 20:] = x[:, 20:] + np.float32(mask) if mask > -1e5 else np.float32(mask)
        for axis in (0, 1):
            expected = softmax(x.astype(np.float64), axis, log).astype(np.float32)
            CASES.append(
                Case(op, [x], {"axis": axis}, expected=[expected], rtol=3e-6, atol=1e-7, id=f"mask{mask}-{axis}")
            )
    x = np.float32([[np.nan, 1, 2], [np.inf, 1, 2], [-np.inf, -np.inf, -np.inf], [1e4, -1e4, 0]] * 5)
    CASES.append(
        Case(op, [x], expected=[softmax(x.astype(np.float64), -1, log).astype(np.float32)], rtol=2e-6, id="special")
    )
