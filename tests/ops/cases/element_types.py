"""Element types that few operators see: complex numbers and bool where sums are weighted, mixtures of types, float8.

Expected values: PyTorch on the real and the imaginary parts, NumPy's formulas, ml_dtypes's rounding, for Attention the
standard's definition in double precision.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import torch
from torch.nn import functional

from tests.ops.case import Case

rng = np.random.default_rng(17)
COMPLEX = (np.complex64, np.complex128)
CASES: list[Case] = []


def complex_numbers(*shape: int) -> np.ndarray:
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


def by_parts(x: np.ndarray, f: Callable[[torch.Tensor], torch.Tensor]) -> np.ndarray:
    """A linear function of real numbers on complex ones."""
    real, imaginary = (f(torch.from_numpy(np.ascontiguousarray(part))).numpy() for part in (x.real, x.imag))
    return real + 1j * imaginary


def close(op: str, inputs: list[Any], attributes: dict[str, Any], expected: np.ndarray, id: str) -> None:
    # Coordinates and weights are float32.
    CASES.append(Case(op, inputs, attributes, expected=[expected], rtol=1e-5, atol=1e-5, id=id))


def exact(op: str, inputs: list[Any], attributes: dict[str, Any], expected: np.ndarray, id: str) -> None:
    CASES.append(Case(op, inputs, attributes, expected=[expected], rtol=0, atol=0, id=id))


# ---- complex numbers and bool in weighted sums

grid = (rng.random((2, 4, 3, 2)) * 2.6 - 1.3).astype(np.float32)
wide_grid = torch.from_numpy(grid.astype(np.float64))
for dtype in COMPLEX:
    x = complex_numbers(2, 3, 5, 7).astype(dtype)
    name = np.dtype(dtype).name
    for mode, torch_mode in (("nearest", "nearest"), ("linear", "bilinear"), ("cubic", "bicubic")):
        expected = by_parts(
            x.astype(np.complex128),
            lambda part, m=torch_mode: functional.grid_sample(part, wide_grid, m, "zeros", align_corners=True),
        )
        close("GridSample", [x, grid], {"mode": mode, "align_corners": 1}, expected.astype(dtype), f"{name}-{mode}")
    sizes = np.array([2, 3, 11, 4])
    for mode, torch_mode in (("linear", "bilinear"), ("cubic", "bicubic")):
        expected = by_parts(
            x.astype(np.complex128),
            lambda part, m=torch_mode: functional.interpolate(part, size=(11, 4), mode=m, align_corners=False),
        )
        close("Resize", [x, None, None, sizes], {"mode": mode}, expected.astype(dtype), f"{name}-{mode}")
    columns = complex_numbers(2, 18, 12).astype(dtype)
    expected = by_parts(columns.astype(np.complex128), lambda part: functional.fold(part, (6, 5), (3, 3)))
    close("Col2Im", [columns, np.array([6, 5]), np.array([3, 3])], {}, expected.astype(dtype), name)
# What lies outside the region of interest is a real number.
for dtype in (np.float32, *COMPLEX):
    x = complex_numbers(4).astype(dtype) if dtype in COMPLEX else rng.random(4).astype(dtype)
    expected = np.array([x[0], x[0], x[1], x[2], x[2], x[3], 2.5, 2.5], dtype)
    region = np.array([0, 2], np.float32)
    attributes = {"mode": "nearest", "coordinate_transformation_mode": "tf_crop_and_resize", "extrapolation_value": 2.5}
    attributes["nearest_mode"] = "floor"
    positions = np.arange(8) * 2 * 3 / 7
    expected = np.array([x[int(p)] if p <= 3 else 2.5 for p in positions], dtype)
    exact("Resize", [x, region, None, np.array([8])], attributes, expected, f"{np.dtype(dtype).name}-extrapolation")

flags = rng.random((1, 2, 5, 6)) < 0.2
bits = torch.from_numpy(flags.astype(np.float64))
expected = functional.interpolate(bits, size=(10, 12), mode="bilinear", align_corners=False).numpy() != 0
exact("Resize", [flags, None, None, np.array([1, 2, 10, 12])], {"mode": "linear"}, expected, "bool-linear")
expected = functional.grid_sample(bits, wide_grid[:1], "bilinear", "zeros", align_corners=False).numpy() != 0
exact("GridSample", [flags, grid[:1]], {"mode": "linear"}, expected, "bool-linear")
columns = rng.random((1, 4, 9)) < 0.3
expected = functional.fold(torch.from_numpy(columns.astype(np.float64)), (4, 4), (2, 2)).numpy() != 0
exact("Col2Im", [columns, np.array([4, 4]), np.array([2, 2])], {}, expected, "bool")

# ---- complex numbers: sums and products, but no order; distinct ones by their real, then their imaginary parts

for dtype in COMPLEX:
    name = np.dtype(dtype).name
    x, updates = complex_numbers(7).astype(dtype), complex_numbers(3).astype(dtype)
    for reduction in ("none", "add", "mul"):
        expected = x.copy()
        for place, update in zip((1, 4, 1), updates, strict=True):
            old = expected[place]
            expected[place] = {"none": update, "add": old + update, "mul": old * update}[reduction]
        close(
            "ScatterND", [x, np.array([[1], [4], [1]]), updates], {"reduction": reduction}, expected, name + reduction
        )
        indices = np.array([1, -3, 1])
        close("ScatterElements", [x, indices, updates], {"reduction": reduction}, expected, f"{name}-{reduction}")
    repeated = (rng.integers(-1, 2, 37) + 1j * rng.integers(-1, 2, 37)).astype(dtype)
    values, *positions = np.unique(repeated, return_index=True, return_inverse=True, return_counts=True)
    results = [values, *[part.reshape(-1).astype(np.int64) for part in positions]]
    CASES.append(Case("Unique", [repeated], outputs=4, expected=results, rtol=0, atol=0, id=name))

# ---- mixtures

for shape_type in (np.int32, np.int64):
    x = rng.standard_normal((5, 8)).astype(np.float32)
    padded = np.pad(x[:, 1:7], ((1, 1), (0, 0)))
    exact("CenterCropPad", [x, np.array([7, 6], shape_type)], {}, padded, np.dtype(shape_type).name)


def softmax(x: np.ndarray) -> np.ndarray:
    powers = np.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def attention(query: type, value: type, mask: np.ndarray | None, past: bool, tolerance: float) -> None:
    """Q and K in one type, V in another; a mask of numbers is added, whatever its type."""
    q, k = (rng.standard_normal((2, 3, n, 8)).astype(query) for n in (4, 6))
    v = rng.standard_normal((2, 3, 6, 5)).astype(value)
    past_k, past_v = rng.standard_normal((2, 3, 2, 8)).astype(query), rng.standard_normal((2, 3, 2, 5)).astype(value)
    inputs: list[Any] = [q, k, v, mask]
    if past:
        inputs += [past_k, past_v]
    keys = np.concatenate([past_k, k], 2) if past else k
    values = np.concatenate([past_v, v], 2) if past else v
    scores = q.astype(np.float64) @ keys.astype(np.float64).swapaxes(2, 3) / np.sqrt(8)
    if mask is not None:
        scores = np.where(mask, scores, -np.inf) if mask.dtype == bool else scores + mask.astype(np.float64)
    y = (softmax(scores) @ values.astype(np.float64)).astype(query)
    name = f"{np.dtype(query).name}-{np.dtype(value).name}-{'none' if mask is None else mask.dtype.name}-{past}"
    while inputs[-1] is None:
        inputs.pop()
    expected = [y, keys, values] if past else [y]
    CASES.append(
        Case(
            "Attention",
            inputs,
            outputs=len(expected),
            expected=expected,
            rtol=tolerance,
            atol=tolerance,
            id=f"mix-{name}",
        )
    )


bits4 = rng.random((4, 6)) < 0.7
bits4[:, 0] = True
attention(np.float16, np.float32, None, False, 4e-3)
attention(np.float32, np.float16, None, True, 1e-3)
attention(np.float32, np.float64, bits4, False, 1e-5)
attention(np.float64, np.float32, None, True, 1e-7)
attention(ml_dtypes.bfloat16, np.float32, None, False, 2e-2)
attention(np.float16, ml_dtypes.bfloat16, None, False, 4e-3)
for mask_type in (
    np.int8,
    np.int16,
    np.int32,
    np.int64,
    np.uint8,
    np.uint16,
    np.uint32,
    np.uint64,
    np.float64,
    np.float16,
):
    attention(np.float32, np.float32, rng.integers(0, 4, (4, 6)).astype(mask_type), False, 1e-5)

# ---- float8 products

SMALL = (ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e4m3fnuz, ml_dtypes.float8_e5m2, ml_dtypes.float8_e5m2fnuz)
for a_type, b_type, y_type in [(t, t, t) for t in SMALL] + [
    (SMALL[0], SMALL[2], np.int8),
    (np.int8, SMALL[1], SMALL[0]),
]:
    # Products of small whole numbers are exact, and the scales are powers of two.
    a, b = rng.integers(-4, 5, (2, 3, 5)).astype(a_type), rng.integers(-4, 5, (5, 7)).astype(b_type)
    zeros = [np.array(number, kind) for number, kind in ((1, a_type), (-1, b_type), (2, y_type))]
    rows = np.array([0.5, 0.25, 1], np.float32)
    sums = (a.astype(np.float64) - 1) * rows[:, None] @ ((b.astype(np.float64) + 1) * 2)
    ratio = sums / 4
    if y_type is np.int8:
        y = np.clip(np.rint(ratio) + 2, -128, 127).astype(np.int8)
    else:
        largest = float(ml_dtypes.finfo(y_type).max)
        y = np.clip(ratio + 2, -largest, largest).astype(y_type)
    row_zeros = np.full(3, 1).astype(a_type)
    inputs = [a, rows, row_zeros, b, np.array(2, np.float32), zeros[1], np.array(4, np.float32), zeros[2]]
    name = "-".join(np.dtype(kind).name for kind in (a_type, b_type, y_type))
    exact("QLinearMatMul", inputs, {}, y, name)
