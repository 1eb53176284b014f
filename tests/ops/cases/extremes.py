"""Infinities, NaN, numbers at the ends of the types and empty tensors: expected values are NumPy's in float64."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np

from tests.ops.case import Case
from tests.ops.cases.norm import per_channel
from tests.ops.cases.pool import pool_by_definition
from tests.ops.cases.softmax import softmax

FLOATS = [np.float32, np.float64, np.float16, ml_dtypes.bfloat16]
TOLERANCE = {"float32": 5e-6, "float64": 1e-12, "float16": 3e-3, "bfloat16": 2e-2}
ROWS = [
    [1, 2, 3, 4, 5],
    [np.nan, 1, 2, 3, 4],
    [1, 2, 3, 4, np.nan],
    [np.inf, 1, -2, 3, 4],
    [1, -2, 3, 4, -np.inf],
    [np.inf, -np.inf, 1, 2, 3],
    [np.nan, np.inf, -np.inf, 0, 1],
    [np.inf] * 5,
    [-np.inf] * 5,
    [np.nan] * 5,
    [1e4, -1e4, 1e4, 0, 1],
    [-1e4] * 5,
    [1e4, 1e4, 1e4, 1e4, 9984],
    [0, -0.0, 0, -0.0, 0],
    [1e-40, -1e-40, 1e-30, 3e-5, 0],
    [-1, -2, -3, -4, -5],
]
# Long rows come through the vector loops and their tails.
LONG = np.concatenate([np.array(ROWS), np.tile(np.array(ROWS)[:, :1], (1, 16)), np.array(ROWS)[:, ::-1]], 1)
CASES: list[Case] = []


def rows(dtype: type, width: int) -> np.ndarray:
    """The rows above with 5 or 26 columns; 1e-40 is no number of the narrower types."""
    with np.errstate(all="ignore"):
        return (np.array(ROWS) if width == 5 else LONG).astype(dtype)


def add(
    op: str, inputs: list[Any], expected: list[Any], attributes: dict | None = None, id: str = "", **more: Any
) -> None:
    dtype = inputs[0].dtype
    with np.errstate(all="ignore"):
        outputs = [e.astype(dtype) if e.dtype.kind == "f" else e for e in map(np.asarray, expected)]
    tolerance = TOLERANCE.get(dtype.name, 0)
    more = {"rtol": tolerance, "atol": tolerance * 1e-2, **more}
    name = f"{dtype.name}-{id}"
    CASES.append(Case(op, inputs, attributes or {}, outputs=len(outputs), expected=outputs, id=name, **more))


# ---- reductions ------------------------------------------------------------------------------------------------------

Reduce = Callable[[np.ndarray, int], np.ndarray]


def log_sum_exp(x: np.ndarray, axis: int) -> np.ndarray:
    return np.logaddexp.reduce(x, axis, keepdims=True)


REDUCTIONS: dict[str, Reduce] = {
    "ReduceSum": lambda x, axis: x.sum(axis, keepdims=True),
    "ReduceMean": lambda x, axis: x.mean(axis, keepdims=True),
    "ReduceMax": lambda x, axis: x.max(axis, keepdims=True),
    "ReduceMin": lambda x, axis: x.min(axis, keepdims=True),
    "ReduceProd": lambda x, axis: x.prod(axis, keepdims=True),
    "ReduceL1": lambda x, axis: np.abs(x).sum(axis, keepdims=True),
    "ReduceL2": lambda x, axis: np.sqrt((x * x).sum(axis, keepdims=True)),
    "ReduceLogSum": lambda x, axis: np.log(x.sum(axis, keepdims=True)),
    "ReduceLogSumExp": log_sum_exp,
    "ReduceSumSquare": lambda x, axis: (x * x).sum(axis, keepdims=True),
}
for (op, f), dtype, width in itertools.product(REDUCTIONS.items(), FLOATS, (5, 26)):
    x = rows(dtype, width)
    # Products beyond the range depend on their order.
    if op == "ReduceProd":
        x = np.where(np.abs(x) == np.float64(dtype(1e4)), 2, x).astype(dtype)
    for axis in (1, 0):
        y = np.ascontiguousarray(x.T) if axis == 0 else x
        with np.errstate(all="ignore"):
            expected = f(y.astype(np.float64), axis)
        # Sums that cancel are as good as their largest term.
        add(op, [y, np.array([axis])], [expected], id=f"{width}-{axis}", atol=TOLERANCE[np.dtype(dtype).name])

# ---- softmax ---------------------------------------------------------------------------------------------------------

for (op, log), dtype, width in itertools.product((("Softmax", False), ("LogSoftmax", True)), FLOATS, (5, 26)):
    for axis in (1, 0):
        x = rows(dtype, width)
        x = np.ascontiguousarray(x.T) if axis == 0 else x
        add(op, [x], [softmax(x.astype(np.float64), axis, log)], {"axis": axis}, f"{width}-{axis}")
for op, shape, axis in itertools.product(("Softmax", "LogSoftmax", "Hardmax"), ((0, 3), (3, 0), (2, 0, 3)), (0, 1, -1)):
    add(op, [np.zeros(shape, np.float32)], [np.zeros(shape, np.float32)], {"axis": axis}, f"{shape}-{axis}")

# ---- arg -------------------------------------------------------------------------------------------------------------

for dtype, width in itertools.product(FLOATS, (5, 26)):
    x = rows(dtype, width)
    wide = x.astype(np.float64)
    for axis in (1, 0):
        add("ArgMax", [x], [wide.argmax(axis)], {"axis": axis, "keepdims": 0}, f"{width}-{axis}")
        add("ArgMin", [x], [wide.argmin(axis)], {"axis": axis, "keepdims": 0}, f"{width}-{axis}")
    # NaN counts as the largest, and is not negative when the order is turned around.
    for largest in (0, 1):
        order = np.where(np.isnan(wide), 1e400, wide)
        keys = np.lexsort((np.broadcast_to(np.arange(width), x.shape), -order if largest else order), 1)
        nan_first = np.stack(
            [np.argsort(~np.isnan(row[k]) == bool(largest), kind="stable") for row, k in zip(wide, keys, strict=True)]
        )
        index = np.take_along_axis(keys, nan_first, 1)[:, :4]
        values = np.take_along_axis(x, index, 1)
        add("TopK", [x, np.array([4])], [values, index], {"largest": largest}, f"{width}-{largest}", rtol=0, atol=0)
    with np.errstate(all="ignore"):
        hard = np.zeros(x.shape)
        hard[range(len(x)), wide.argmax(1)] = 1
        add("Hardmax", [x], [hard], id=f"{width}")
        if dtype in (np.float32, np.float64):
            add("CumSum", [x, np.array(1)], [wide.cumsum(1)], id=f"{width}", atol=1e-2)
for op in ("ArgMax", "ArgMin"):
    add(op, [np.zeros((0, 3), np.float32)], [np.zeros((0, 1), np.int64)], {"axis": 1}, "empty")
empty = [np.zeros((0, 2), np.float32), np.zeros((0, 2), np.int64)]
add("TopK", [np.zeros((0, 5), np.float32), np.array([2])], empty, id="empty")
add("CumSum", [np.zeros((0, 3), np.float32), np.array(1)], [np.zeros((0, 3))], id="empty")

# ---- normalisation ---------------------------------------------------------------------------------------------------

for dtype, width in itertools.product(FLOATS, (5, 26)):
    x = rows(dtype, width)
    scale, bias = np.linspace(0.5, 2, width).astype(dtype), np.linspace(-1, 1, width).astype(dtype)
    wide, s, b = (v.astype(np.float64) for v in (x, scale, bias))
    with np.errstate(all="ignore"):
        deviation = np.sqrt(wide.var(1, keepdims=True) + np.float64(np.float32(1e-5)))
        normal = (wide - wide.mean(1, keepdims=True)) / deviation
        root = np.sqrt((wide * wide).mean(1, keepdims=True) + np.float64(np.float32(1e-5)))
        # The mean of numbers near 1e4 has four digits behind the point in float32.
        tolerance = max(2 * TOLERANCE[np.dtype(dtype).name], 3e-4 if dtype is np.float32 else 0)
        loose = {"rtol": tolerance, "atol": tolerance}
        add("LayerNormalization", [x, scale, bias], [normal * s + b], id=f"{width}", **loose)
        add("RMSNormalization", [x, scale], [wide / root * s], id=f"{width}", **loose)
        # Each row as the map of one channel.
        maps = x[None]
        channels = [np.linspace(0.5, 2, len(x)).astype(dtype), np.linspace(-1, 1, len(x)).astype(dtype)]
        s, b = (per_channel(v.astype(np.float64), 3) for v in channels)
        add("InstanceNormalization", [maps, *channels], [normal[None] * s + b], id=f"{width}", **loose)
        attributes = {"num_groups": len(x)}
        add("GroupNormalization", [maps, *channels], [normal[None] * s + b], attributes, f"{width}", **loose)
        m, v = np.linspace(-1, 1, len(x)).astype(dtype), np.linspace(0, 2, len(x)).astype(dtype)
        M, V = (per_channel(item.astype(np.float64), 3) for item in (m, v))
        expected = (wide[None] - M) / np.sqrt(V + np.float64(np.float32(1e-5))) * s + b
        add("BatchNormalization", [maps, *channels, m, v], [expected], id=f"{width}", **loose)
        for p in (1, 2):
            norm = np.abs(wide).sum(1, keepdims=True) if p == 1 else np.sqrt((wide * wide).sum(1, keepdims=True))
            expected = np.where(norm == 0, 0, wide / norm)
            # The squares of the smallest numbers vanish.
            kept = [i for i, row in enumerate(ROWS) if 1e-40 not in row]
            add("LpNormalization", [x[kept]], [expected[kept]], {"axis": 1, "p": p}, f"{width}-{p}", **loose)
        squares = np.zeros_like(wide)
        for c in range(width):
            squares[:, c] = (wide[:, max(0, c - 1) : c + 2] ** 2).sum(1)
        expected = wide / (1 + 0.5 / 3 * squares) ** 0.75
        attributes = {"size": 3, "alpha": 0.5, "beta": 0.75, "bias": 1.0}
        add("LRN", [x[:, :, None, None]], [expected[:, :, None, None]], attributes, f"{width}", **loose)
for shape in ((0, 5), (2, 0, 5)):
    x = np.zeros(shape, np.float32)
    ones = np.ones(5, np.float32)
    add("LayerNormalization", [x, ones, ones], [x], id=f"empty-{shape}")
    add("RMSNormalization", [x, ones], [x], id=f"empty-{shape}")
    add("LpNormalization", [x], [x], id=f"empty-{shape}")
for shape in ((0, 4, 3, 3), (2, 4, 0, 3)):
    x, ones = np.zeros(shape, np.float32), np.ones(4, np.float32)
    add("InstanceNormalization", [x, ones, ones], [x], id=f"empty-{shape}")
    add("GroupNormalization", [x, ones, ones], [x], {"num_groups": 2}, id=f"empty-{shape}")
    add("BatchNormalization", [x, ones, ones, ones, ones], [x], id=f"empty-{shape}")
    add("LRN", [x], [x], {"size": 3}, id=f"empty-{shape}")
    add("MeanVarianceNormalization", [x], [x], id=f"empty-{shape}")

# ---- pooling ---------------------------------------------------------------------------------------------------------

for dtype, channels, kind in itertools.product(FLOATS, (1, 3, 8, 16), ("Max", "Average", "Lp")):
    if channels != 3 and dtype not in (np.float32, np.float16):
        continue
    maps = np.tile(rows(dtype, 5), (channels, 1, 1))[None]
    for attributes in (
        {"kernel_shape": [1, 2], "strides": [1, 1]},
        {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]},
        {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1},
    ):
        with np.errstate(all="ignore"):
            expected, _ = pool_by_definition(maps.astype(np.float64), kind, attributes)
        name = f"c{channels}-{'x'.join(map(str, attributes['kernel_shape']))}"
        tolerance = TOLERANCE[np.dtype(dtype).name]
        add(f"{kind}Pool", [maps], [expected], attributes, name, atol=tolerance)
    with np.errstate(all="ignore"):
        wide = maps.transpose(0, 2, 1, 3).astype(np.float64)
        if kind == "Lp":
            expected = np.sqrt((wide * wide).sum((2, 3), keepdims=True))
        else:
            expected = (wide.max if kind == "Max" else wide.mean)((2, 3), keepdims=True)
    add(
        f"Global{kind}Pool",
        [np.ascontiguousarray(maps.transpose(0, 2, 1, 3))],
        [expected],
        id=f"c{channels}",
        atol=1e-4,
    )

# ---- elementwise, in the half types ----------------------------------------------------------------------------------

SPECIAL = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 6e-8, 6e4, -1e4], np.float64)
pairs = np.array(list(itertools.product(SPECIAL, SPECIAL)))
BINARY = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": np.divide,
    "Max": np.maximum,
    "Min": np.minimum,
    "Pow": np.power,
    "Equal": np.equal,
    "Less": np.less,
    "GreaterOrEqual": np.greater_equal,
}
for dtype, (op, f) in itertools.product((np.float16, ml_dtypes.bfloat16), BINARY.items()):
    with np.errstate(all="ignore"):
        a, b = pairs[:, 0].astype(dtype), pairs[:, 1].astype(dtype)
        add(op, [a, b], [f(a.astype(np.float64), b.astype(np.float64))], id="special")
for dtype in FLOATS:
    with np.errstate(all="ignore"):
        a, b = pairs[:, 0].astype(dtype), pairs[:, 1].astype(dtype)
        wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
        add("Mod", [a, b], [np.fmod(wide_a, wide_b)], {"fmod": 1}, "special")
        add("PRelu", [a, b], [np.where(wide_a < 0, wide_a * wide_b, wide_a)], id="special")
        mixed = np.stack([wide_a, wide_b, np.roll(wide_a, 3)])
        inputs = [v.astype(dtype) for v in mixed]
        for op, f in (("Max", np.max), ("Min", np.min)):
            add(op, list(inputs), [f(mixed, 0)], id="three")
        add("Mean", list(inputs), [np.mean([v.astype(np.float64) for v in inputs], 0)], id="three")
