"""Functions of one element: expected values are NumPy's in float64, rounded once to the type."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import ml_dtypes
import numpy as np

from tests.ops.case import Case

FLOATS = [np.float32, np.float64, np.float16, ml_dtypes.bfloat16]
SIGNED = [np.int8, np.int16, np.int32, np.int64]
UNSIGNED = [np.uint8, np.uint16, np.uint32, np.uint64]
SHAPES = [(), (0,), (1,), (7,), (3, 5, 7), (2, 9, 13, 1), (1031,), (1, 3, 211, 53)]
EXTREMES = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e4, -1e4, 1e-40, -1e-40, 87.5, -87.5, 104.5, -104.5, 0.5, 1.5, -2.5]
# Relative and absolute: a few units in the last place of the type.
TOLERANCE = {"float32": (5e-7, 2e-7), "float64": (1e-12, 1e-14), "float16": (1.1e-3, 1e-6), "bfloat16": (9e-3, 1e-6)}

rng = np.random.default_rng(3)


def erf(x: np.ndarray) -> np.ndarray:
    return np.vectorize(math.erf, otypes=[np.float64])(x)


def real_case(
    op: str, f: Callable[[np.ndarray], np.ndarray], x: np.ndarray, id: str, attributes: dict | None = None, **more: str
) -> Case:
    """A row with the expected value f(x), computed in float64."""
    with np.errstate(all="ignore"):
        expected = np.asarray(f(x.astype(np.float64))).astype(x.dtype)
    rtol, atol = TOLERANCE[x.dtype.name]
    return Case(op, [x], attributes or {}, expected=[expected], rtol=rtol, atol=atol, id=f"{x.dtype.name}-{id}", **more)


def real_cases(
    op: str,
    f: Callable[[np.ndarray], np.ndarray],
    low: float = -4.0,
    high: float = 4.0,
    attributes: dict | None = None,
    shapes: Sequence[tuple[int, ...]] = ((7,), (3, 5, 7), (1031,)),
    **more: str,
) -> list[Case]:
    """All types, awkward shapes, and numbers at the ends of the range."""
    rows = []
    for dtype in FLOATS:
        for shape in shapes if dtype is np.float32 else [(5, 103)]:
            x = rng.uniform(low, high, shape).astype(dtype)
            rows.append(real_case(op, f, x, "x".join(map(str, shape)), attributes, **more))
        with np.errstate(over="ignore"):
            extremes = np.array(EXTREMES * 3, np.float64).astype(dtype)
        rows.append(real_case(op, f, extremes, "extremes", attributes, **more))
    return rows


FUNCTIONS: dict[str, tuple] = {
    "Abs": (np.abs,),
    "Neg": (np.negative,),
    "Ceil": (np.ceil,),
    "Floor": (np.floor,),
    "Round": (np.round,),
    "Sqrt": (np.sqrt, 0.0, 9.0),
    "Reciprocal": (lambda x: 1 / x, 0.1, 9.0),
    "Exp": (np.exp, -20.0, 10.0),
    "Log": (np.log, 0.0, 30.0),
    "Sign": (np.sign,),
    "Sin": (np.sin, -30.0, 30.0),
    "Cos": (np.cos, -30.0, 30.0),
    "Tan": (np.tan, -1.2, 1.2),
    "Asin": (np.arcsin, -1.0, 1.0),
    "Acos": (np.arccos, -1.0, 1.0),
    "Atan": (np.arctan,),
    "Sinh": (np.sinh,),
    "Cosh": (np.cosh,),
    "Tanh": (np.tanh, -9.0, 9.0),
    "Asinh": (np.arcsinh,),
    "Acosh": (np.arccosh, 1.0, 9.0),
    "Atanh": (np.arctanh, -0.99, 0.99),
    "Erf": (erf,),
}

CASES = [
    row
    for op, arguments in FUNCTIONS.items()
    for row in real_cases(op, *arguments, **({"shapes": SHAPES} if op in ("Abs", "Exp") else {}))
]

for dtype in SIGNED + UNSIGNED:
    info = np.iinfo(dtype)
    x = np.concatenate(
        [rng.integers(info.min, info.max, 101, dtype, endpoint=True), np.array([info.min, info.max, 0], dtype)]
    )
    name = np.dtype(dtype).name
    CASES.append(Case("Abs", [x], expected=[np.abs(x)], rtol=0, atol=0, id=name))
    CASES.append(Case("Sign", [x], expected=[np.sign(x)], rtol=0, atol=0, id=name))
    CASES.append(Case("BitwiseNot", [x], expected=[~x], rtol=0, atol=0, id=name))
    if dtype in SIGNED:
        CASES.append(Case("Neg", [x], expected=[-x], rtol=0, atol=0, id=name))

for shape in SHAPES:
    flags = rng.integers(0, 2, shape).astype(bool)
    CASES.append(Case("Not", [flags], expected=[~flags], id="x".join(map(str, shape))))
    numbers = rng.standard_normal(shape).astype(np.float32)
    CASES.append(Case("Identity", [numbers], expected=[numbers], rtol=0, atol=0, id="x".join(map(str, shape))))
CASES.append(Case("Identity", [np.array(["a", "", "β"], object)], id="strings"))

FLOAT8 = [ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e4m3fnuz, ml_dtypes.float8_e5m2, ml_dtypes.float8_e5m2fnuz]
for dtype in FLOATS + FLOAT8:
    x = np.array([0.5, np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, 3.0, -240.0], np.float32).astype(dtype)
    name = np.dtype(dtype).name
    wide = x.astype(np.float64)
    CASES.append(Case("IsNaN", [x], expected=[np.isnan(wide)], id=name))
    for negative in (0, 1):
        for positive in (0, 1):
            expected = (np.isposinf(wide) & bool(positive)) | (np.isneginf(wide) & bool(negative))
            attributes = {"detect_negative": negative, "detect_positive": positive}
            CASES.append(Case("IsInf", [x], attributes, expected=[expected], id=f"{name}-{negative}{positive}"))
