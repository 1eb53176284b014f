"""Functions of two elements, and of many: expected values are NumPy's."""

from __future__ import annotations

import itertools

import ml_dtypes
import numpy as np

from tests.ops.case import Case

FLOATS = [np.float32, np.float64, np.float16, ml_dtypes.bfloat16]
INTS = [np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64]
# Same shape, scalars, rows, columns, inner and outer dimensions, everything at once, nothing.
SHAPES = [
    ((), ()),
    ((0,), (0,)),
    ((0, 3), (1, 3)),
    ((1,), (5, 7)),
    ((1031,), (1031,)),
    ((1031,), (1,)),
    ((1,), (1031,)),
    ((13, 257), (257,)),
    ((13, 257), (13, 1)),
    ((211, 3), (3,)),
    ((211, 3), (211, 1)),
    ((3, 1), (1, 5)),
    ((2, 9, 7, 11), (1, 9, 1, 1)),
    ((2, 16, 7, 11), (2, 16, 1, 1)),
    ((2, 9, 7, 11), (7, 11)),
    ((9, 1, 11), (2, 1, 7, 1)),
    ((2, 1, 3, 1, 5), (1, 4, 1, 6, 1)),
    ((600, 1, 2), (1, 300, 1)),
]
TOLERANCE = {"float32": (2e-7, 0), "float64": (1e-15, 0), "float16": (1e-3, 1e-7), "bfloat16": (8e-3, 1e-7)}
rng = np.random.default_rng(5)


def label(*shapes: tuple[int, ...]) -> str:
    return "-".join("x".join(map(str, shape)) or "scalar" for shape in shapes)


def numbers(dtype: type, shape: tuple[int, ...], low: float = -4, high: float = 4) -> np.ndarray:
    if np.issubdtype(dtype, np.integer):
        info = np.iinfo(dtype)
        return rng.integers(max(info.min, -90), min(info.max, 90), shape, dtype=dtype)
    return rng.uniform(low, high, shape).astype(dtype)


def apply(f, *inputs: np.ndarray) -> np.ndarray:
    """f in the type of the inputs; the half types go through float32, as their sums round once."""
    with np.errstate(all="ignore"):
        if inputs[0].dtype in (np.float16, ml_dtypes.bfloat16):
            return np.asarray(f(*(x.astype(np.float32) for x in inputs)))
        return np.asarray(f(*inputs))


def shapes_of(op: str, dtype: type) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """All shapes where the loops differ, a few where only the function does."""
    if op == "Sub" and dtype in (np.float32, np.float16, np.int64):
        return SHAPES
    return SHAPES[3:15:3] if dtype is np.float32 else [SHAPES[7], SHAPES[12]]


def arithmetic_cases(op: str, f, dtypes: list, attributes: dict | None = None, low: float = -4) -> list[Case]:
    rows = []
    for dtype in dtypes:
        for a_shape, b_shape in shapes_of(op, dtype):
            a, b = numbers(dtype, a_shape, low), numbers(dtype, b_shape, low)
            expected = apply(f, a, b).astype(dtype)
            rtol, atol = TOLERANCE.get(a.dtype.name, (0, 0))
            rows.append(
                Case(
                    op,
                    [a, b],
                    attributes or {},
                    expected=[expected],
                    rtol=rtol,
                    atol=atol,
                    id=f"{a.dtype.name}-{label(a_shape, b_shape)}",
                )
            )
    return rows


def truncated(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Integer division as C has it; by zero gives 0."""
    if not np.issubdtype(a.dtype, np.integer):
        return a / b
    wide_a, wide_b = np.broadcast_arrays(a.astype(object), b.astype(object))
    quotients = [
        0 if y == 0 else abs(x) // abs(y) * (1 if (x < 0) == (y < 0) else -1)
        for x, y in zip(wide_a.flat, wide_b.flat, strict=False)
    ]
    return np.array(quotients, object).reshape(wide_a.shape).astype(np.int64).astype(a.dtype)


def prelu(x: np.ndarray, slope: np.ndarray) -> np.ndarray:
    return np.where(x < 0, x * slope, x)


CASES = [
    *arithmetic_cases("Add", np.add, FLOATS + INTS),
    *arithmetic_cases("Sub", np.subtract, FLOATS + INTS),
    *arithmetic_cases("Mul", np.multiply, FLOATS + INTS),
    *arithmetic_cases("Div", truncated, FLOATS + INTS),
    *arithmetic_cases("Max", np.maximum, FLOATS + INTS),
    *arithmetic_cases("Min", np.minimum, FLOATS + INTS),
    *arithmetic_cases("BitwiseAnd", np.bitwise_and, INTS),
    *arithmetic_cases("BitwiseOr", np.bitwise_or, INTS),
    *arithmetic_cases("BitwiseXor", np.bitwise_xor, INTS),
    *arithmetic_cases("Mod", np.fmod, FLOATS, {"fmod": 1}),
    *arithmetic_cases("Mod", np.mod, FLOATS[:2]),
]

for dtype in INTS:
    for a_shape, b_shape in [((1031,), (1031,)), ((5, 7), (1, 7)), ((5, 7), ())]:
        a, b = numbers(dtype, a_shape), numbers(dtype, b_shape)
        b = np.where(b == 0, 7, b).astype(dtype)
        name = f"{np.dtype(dtype).name}-{label(a_shape, b_shape)}"
        CASES.append(Case("Mod", [a, b], expected=[np.mod(a, b)], rtol=0, atol=0, id=name))
        CASES.append(Case("Mod", [a, b], {"fmod": 1}, expected=[np.fmod(a, b)], rtol=0, atol=0, id=name))
    # Overflow, and the divisors that trap on x86.
    info = np.iinfo(dtype)
    a = np.array([info.min, info.min, info.max, 5, 0], dtype)
    b = np.array([-1 if info.min < 0 else 1, 0, 0, 0, 0], dtype)
    quotient = np.array([info.min, 0, 0, 0, 0], dtype)
    CASES.append(Case("Div", [a, b], expected=[quotient], rtol=0, atol=0, id=f"{np.dtype(dtype).name}-traps"))
    CASES.append(Case("Mod", [a, b], expected=[np.zeros(5, dtype)], rtol=0, atol=0, id=f"{np.dtype(dtype).name}-traps"))
    with np.errstate(over="ignore"):
        CASES.append(Case("Mul", [a, a], expected=[a * a], rtol=0, atol=0, id=f"{np.dtype(dtype).name}-overflow"))
    # Shifts: amounts outside the width shift everything out.
    bits = info.bits
    amounts = [0, 1, bits - 1, bits, bits + 1] + ([-1] if info.min < 0 else [])
    values = [info.min, info.max, 1, 0, 77]
    x = np.array([v for v in values for _ in amounts], dtype)
    y = np.array(amounts * len(values), dtype)
    left = [(int(v) << int(s)) % (1 << bits) if 0 <= s < bits else 0 for v, s in zip(x, y, strict=False)]
    left = np.array(left, np.uint64).astype(f"u{bits // 8}").view(dtype)
    right = np.array(
        [int(v) >> int(s) if 0 <= s < bits else (-1 if v < 0 else 0) for v, s in zip(x, y, strict=False)], dtype
    )
    CASES.append(
        Case("BitShift", [x, y], {"direction": "LEFT"}, expected=[left], rtol=0, atol=0, id=np.dtype(dtype).name)
    )
    CASES.append(
        Case("BitShift", [x, y], {"direction": "RIGHT"}, expected=[right], rtol=0, atol=0, id=np.dtype(dtype).name)
    )

SPECIAL = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 1e-40, 3e38, -1e4], np.float64)
pairs = np.array(list(itertools.product(SPECIAL, SPECIAL)))
for dtype in (np.float32, np.float64):
    a, b = pairs[:, 0].astype(dtype), pairs[:, 1].astype(dtype)
    with np.errstate(all="ignore"):
        for op, f in (
            ("Add", np.add),
            ("Sub", np.subtract),
            ("Mul", np.multiply),
            ("Div", np.divide),
            ("Max", np.maximum),
            ("Min", np.minimum),
            ("Pow", np.power),
        ):
            CASES.append(Case(op, [a, b], expected=[f(a, b)], rtol=1e-6, atol=0, id=f"{a.dtype.name}-special"))
        for op, f in (
            ("Equal", np.equal),
            ("Less", np.less),
            ("LessOrEqual", np.less_equal),
            ("Greater", np.greater),
            ("GreaterOrEqual", np.greater_equal),
        ):
            CASES.append(Case(op, [a, b], expected=[f(a, b)], id=f"{a.dtype.name}-special"))

# Pow: equal types, exponents of their own type, and the exponents that have a short way.
for dtype in FLOATS:
    x = rng.uniform(0.1, 3, (5, 41)).astype(dtype)
    rtol = {"float32": 1e-6, "float64": 1e-14}.get(x.dtype.name, 1e-2)
    for exponent in (2.0, 3.0, 0.5, 1.0, 0.0, -1.0, 1.7, -2.0):
        e = np.array(exponent, dtype)
        expected = np.power(x.astype(np.float64), float(e)).astype(dtype)
        CASES.append(Case("Pow", [x, e], expected=[expected], rtol=rtol, id=f"{x.dtype.name}-to-{exponent}"))
        with np.errstate(all="ignore"):
            special = SPECIAL.astype(dtype)
            expected = np.power(special.astype(np.float64), float(e)).astype(dtype)
            if exponent == 0.5:  # NumPy takes the root of -infinity; C's pow and IEEE 754 give infinity
                expected[special == -np.inf] = np.inf
        CASES.append(
            Case("Pow", [special, e], expected=[expected], rtol=rtol, id=f"{x.dtype.name}-special-to-{exponent}")
        )
    y = rng.uniform(-2, 2, (41,)).astype(dtype)
    expected = np.power(x.astype(np.float64), y.astype(np.float64)).astype(dtype)
    CASES.append(Case("Pow", [x, y], expected=[expected], rtol=rtol, id=f"{x.dtype.name}-rows"))
for base, exponent in itertools.product([np.float32, np.float64, np.float16, np.int32, np.int64], INTS + FLOATS):
    if base is exponent:
        continue
    x = np.array([1, 2, 3, 4, 5, 6], base)
    y = np.array([3, 2, 4, 0, 1, 2], exponent)
    expected = np.array([1, 4, 81, 1, 5, 36], base)
    name = f"{np.dtype(base).name}-{np.dtype(exponent).name}"
    CASES.append(Case("Pow", [x, y], expected=[expected], rtol=1e-6, id=name))
CASES.append(
    Case(
        "Pow",
        [np.array([-2, -1, 1, 2, 3], np.int64), np.array(-3, np.int64)],
        expected=[np.array([0, -1, 1, 0, 0])],
        id="negative",
    )
)

for a_shape, b_shape in [
    ((2, 5, 7), (5, 1)),
    ((2, 5, 7), (1,)),
    ((2, 9, 6, 7), (9, 1, 1)),
    ((3, 4), (3, 4)),
    ((37,), ()),
]:
    for dtype in [*FLOATS, np.int32, np.int64]:
        x, slope = numbers(dtype, a_shape), numbers(dtype, b_shape)
        expected = apply(prelu, x, slope).astype(dtype)
        rtol, atol = TOLERANCE.get(x.dtype.name, (0, 0))
        CASES.append(
            Case(
                "PRelu",
                [x, slope],
                expected=[expected],
                rtol=rtol,
                atol=atol,
                id=f"{x.dtype.name}-{label(a_shape, b_shape)}",
            )
        )

for op, f in (("And", np.logical_and), ("Or", np.logical_or), ("Xor", np.logical_xor), ("Equal", np.equal)):
    for a_shape, b_shape in SHAPES[:12] if op == "And" else SHAPES[7:9]:
        a, b = rng.integers(0, 2, a_shape).astype(bool), rng.integers(0, 2, b_shape).astype(bool)
        CASES.append(Case(op, [a, b], expected=[f(a, b)], id=f"bool-{label(a_shape, b_shape)}"))

COMPARISONS = {
    "Equal": np.equal,
    "Less": np.less,
    "LessOrEqual": np.less_equal,
    "Greater": np.greater,
    "GreaterOrEqual": np.greater_equal,
}
for op, f in COMPARISONS.items():
    for dtype in FLOATS + INTS:
        for a_shape, b_shape in SHAPES[3:15:4] if dtype is np.float32 else SHAPES[7:8]:
            a, b = (rng.integers(0, 4, shape).astype(dtype) for shape in (a_shape, b_shape))
            CASES.append(Case(op, [a, b], expected=[f(a, b)], id=f"{np.dtype(dtype).name}-{label(a_shape, b_shape)}"))
words = np.array([["a", "bc", ""], ["a", "β", "bc"]], object)
CASES.append(
    Case(
        "Equal",
        [words, np.array(["a", "bc", "x"], object)],
        expected=[np.array([[1, 1, 0], [1, 0, 0]], bool)],
        id="strings",
    )
)
CASES.append(Case("Equal", [words, np.array("bc", object)], expected=[words == "bc"], id="string"))

VARIADIC = {"Sum": np.add, "Max": np.maximum, "Min": np.minimum}
for count, dtype in itertools.product((1, 2, 3, 5), FLOATS):
    shapes = [(2, 1, 7), (3, 1), (1,), (2, 3, 7), ()][:count]
    inputs = [numbers(dtype, shape) for shape in shapes]
    wide = [x.astype(np.float64) for x in inputs]
    name = f"{inputs[0].dtype.name}-{count}"
    rtol = {"float32": 1e-6, "float64": 1e-14, "float16": 5e-3}.get(inputs[0].dtype.name, 4e-2)
    atol = rtol * 4
    for op, f in VARIADIC.items():
        total = wide[0]
        for x in wide[1:]:
            total = f(total, x)
        CASES.append(Case(op, list(inputs), expected=[total.astype(dtype)], rtol=rtol, atol=atol, id=name))
    mean = sum(wide[1:], wide[0]) / count
    CASES.append(Case("Mean", list(inputs), expected=[mean.astype(dtype)], rtol=rtol, atol=atol, id=name))
for op, dtype in itertools.product(("Max", "Min"), INTS):
    inputs = [numbers(dtype, shape) for shape in [(2, 5), (5,), (2, 1)]]
    expected = VARIADIC[op](VARIADIC[op](inputs[0], inputs[1]), inputs[2])
    CASES.append(Case(op, list(inputs), expected=[expected], rtol=0, atol=0, id=f"{np.dtype(dtype).name}-3"))
