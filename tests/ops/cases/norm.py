"""Normalisations: expected values are the standard's formulas, computed by NumPy in float64."""

from __future__ import annotations

import ml_dtypes
import numpy as np

from tests.ops.case import Case

FLOATS = [np.float32, np.float64, np.float16, ml_dtypes.bfloat16]
TOLERANCE = {"float32": (3e-6, 3e-6), "float64": (1e-12, 1e-12), "float16": (3e-3, 3e-3), "bfloat16": (2e-2, 3e-2)}
rng = np.random.default_rng(9)


def data(shape: tuple[int, ...], dtype: type, centre: float = 0.3, low: float | None = None) -> np.ndarray:
    if low is not None:
        return rng.uniform(low, low + 1, shape).astype(dtype)
    return (rng.standard_normal(shape) + centre).astype(dtype)


def wide(*arrays: np.ndarray) -> list[np.ndarray]:
    return [a.astype(np.float64) for a in arrays]


def per_channel(v: np.ndarray, rank: int) -> np.ndarray:
    return v.reshape((1, -1) + (1,) * (rank - 2)) if rank > 1 else v


def case(op: str, inputs: list, attributes: dict, expected: list[np.ndarray], dtype: type, id: str, **more) -> Case:
    rtol, atol = TOLERANCE[np.dtype(dtype).name]
    outputs = [e.astype(dtype) if e is not None else None for e in expected]
    return Case(
        op,
        inputs,
        attributes,
        outputs=len(expected),
        expected=outputs,
        rtol=rtol,
        atol=atol,
        id=f"{np.dtype(dtype).name}-{id}",
        **more,
    )


CASES = []

# ---- BatchNormalization ---------------------------------------------------------------------------------------------
for dtype in FLOATS:
    for shape in [(2, 9, 7, 11), (3, 16, 5), (4, 7), (2, 3, 2, 3, 5), (1, 1, 1, 1), (0, 3, 2), (2, 8, 112, 3)]:
        c = shape[1]
        x, scale, bias, mean = (data(s, dtype) for s in (shape, (c,), (c,), (c,)))
        variance = data((c,), dtype, low=0.5)
        X, S, B, M, V = wide(x, scale, bias, mean, variance)
        S, B, M, V = (per_channel(v, x.ndim) for v in (S, B, M, V))
        for epsilon in (1e-5, 1e-2):
            y = (X - M) / np.sqrt(V + np.float64(np.float32(epsilon))) * S + B
            CASES.append(
                case(
                    "BatchNormalization",
                    [x, scale, bias, mean, variance],
                    {"epsilon": epsilon},
                    [y],
                    dtype,
                    f"{shape}-{epsilon}",
                )
            )
        if x.size == 0:
            continue
        axes = tuple(i for i in range(x.ndim) if i != 1)
        m, v = X.mean(axes), X.var(axes)
        y = (X - per_channel(m, x.ndim)) / np.sqrt(per_channel(v, x.ndim) + np.float64(np.float32(1e-5))) * S + B
        momentum = np.float64(np.float32(0.8))
        running = [
            mean.astype(np.float64) * momentum + m * (1 - momentum),
            variance.astype(np.float64) * momentum + v * (1 - momentum),
        ]
        attributes = {"training_mode": 1, "momentum": 0.8}
        if x.size > c:
            CASES.append(
                case(
                    "BatchNormalization",
                    [x, scale, bias, mean, variance],
                    attributes,
                    [y, *running],
                    dtype,
                    f"training-{shape}",
                )
            )
# A mean far from zero does not cancel.
x = (rng.standard_normal((2, 3, 50)) + 10000).astype(np.float32)
mean, ones, zeros = np.full(3, 10000, np.float32), np.ones(3, np.float32), np.zeros(3, np.float32)
expected = (x.astype(np.float64) - 10000) / np.sqrt(1 + 1e-5)
CASES.append(case("BatchNormalization", [x, ones, zeros, mean, ones], {}, [expected], np.float32, "far-mean"))

# ---- InstanceNormalization, GroupNormalization ----------------------------------------------------------------------
for dtype in FLOATS:
    for shape, groups in [((2, 6, 7, 11), 3), ((1, 4, 13), 1), ((3, 5, 2, 3, 4), 5), ((1, 32, 40, 41), 8)]:
        c = shape[1]
        x, scale, bias = (data(s, dtype) for s in (shape, (c,), (c,)))
        X, S, B = wide(x, scale, bias)
        epsilon = np.float64(np.float32(1e-3))
        grouped = X.reshape(shape[0], groups, -1)
        normal = (
            (grouped - grouped.mean(2, keepdims=True)) / np.sqrt(grouped.var(2, keepdims=True) + epsilon)
        ).reshape(shape)
        y = normal * per_channel(S, x.ndim) + per_channel(B, x.ndim)
        CASES.append(
            case(
                "GroupNormalization", [x, scale, bias], {"num_groups": groups, "epsilon": 1e-3}, [y], dtype, f"{shape}"
            )
        )
        axes = tuple(range(2, x.ndim))
        normal = (X - X.mean(axes, keepdims=True)) / np.sqrt(X.var(axes, keepdims=True) + epsilon)
        y = normal * per_channel(S, x.ndim) + per_channel(B, x.ndim)
        CASES.append(case("InstanceNormalization", [x, scale, bias], {"epsilon": 1e-3}, [y], dtype, f"{shape}"))

# ---- LayerNormalization, RMSNormalization ---------------------------------------------------------------------------
LAYER_SHAPES = [
    ((2, 5, 768), -1, (768,)),
    ((3, 7), 1, (7,)),
    ((3, 7), 0, (3, 7)),
    ((2, 5, 7), 1, (5, 7)),
    ((2, 5, 7), -1, (1, 1, 7)),
    ((2, 5, 7), 1, (7,)),
    ((2, 5, 7), 2, (5, 1)),
    ((2, 5, 7), 2, (2, 5, 7)),
    ((2, 3, 4, 13), -2, (1,)),
    ((1, 1031), -1, (1031,)),
]
for dtype in FLOATS:
    for shape, axis, scale_shape in LAYER_SHAPES:
        x, scale, bias = data(shape, dtype), data(scale_shape, dtype), data(scale_shape, dtype)
        X, S, B = wide(x, scale, bias)
        first = axis % len(shape)
        axes = tuple(range(first, len(shape)))
        epsilon = np.float64(np.float32(1e-4))
        mean = X.mean(axes, keepdims=True)
        inv_std = 1 / np.sqrt(X.var(axes, keepdims=True) + epsilon)
        name = f"{shape}-{axis}-{scale_shape}"
        attributes = {"axis": axis, "epsilon": 1e-4}
        y = (X - mean) * inv_std * S
        CASES.append(case("LayerNormalization", [x, scale], attributes, [y], dtype, f"{name}-no-bias"))
        CASES.append(case("LayerNormalization", [x, scale, bias], attributes, [y + B], dtype, name))
        if dtype is np.float32:
            CASES.append(
                case(
                    "LayerNormalization",
                    [x, scale, bias],
                    attributes,
                    [y + B, mean, inv_std],
                    dtype,
                    f"{name}-statistics",
                )
            )
        rms = X / np.sqrt((X * X).mean(axes, keepdims=True) + epsilon) * S
        CASES.append(case("RMSNormalization", [x, scale], attributes, [rms], dtype, name))
x = (rng.standard_normal((4, 64)) + 3000).astype(np.float32)
X = x.astype(np.float64)
expected = (X - X.mean(1, keepdims=True)) / np.sqrt(X.var(1, keepdims=True) + 1e-5)
far = case(
    "LayerNormalization", [x, np.ones(64, np.float32), np.zeros(64, np.float32)], {}, [expected], np.float32, "far-mean"
)
CASES.append(Case(far.op, far.inputs, far.attributes, expected=far.expected, rtol=1e-4, atol=3e-4, id=far.id))

# ---- com.microsoft: with a residual ---------------------------------------------------------------------------------
MS = "com.microsoft"
for dtype in (np.float32, np.float16):
    for shape, skip_shape in [((2, 5, 64), (2, 5, 64)), ((2, 5, 37), (1, 5, 37)), ((2, 5, 37), (5, 37))]:
        n = shape[-1]
        x, skip = data(shape, dtype), data(skip_shape, dtype)
        gamma, beta, bias = (data((n,), dtype) for _ in range(3))
        X, K, G, B, A = wide(x, skip, gamma, beta, bias)
        epsilon = np.float64(np.float32(1e-5))
        for with_bias in (False, True):
            total = X + K + (A if with_bias else 0)
            mean = total.mean(-1, keepdims=True)
            inv_std = 1 / np.sqrt(total.var(-1, keepdims=True) + epsilon)
            y = (total - mean) * inv_std * G
            name = f"{shape}-{skip_shape}-{with_bias}"
            extra = [bias] if with_bias else []
            attributes = {"epsilon": 1e-5}
            CASES.append(
                case(
                    "SkipLayerNormalization",
                    [x, skip, gamma, beta, *extra],
                    attributes,
                    [y + B],
                    dtype,
                    name,
                    domain=MS,
                )
            )
            CASES.append(
                case(
                    "SkipLayerNormalization",
                    [x, skip, gamma, None, *extra],
                    attributes,
                    [y],
                    dtype,
                    f"{name}-no-beta",
                    domain=MS,
                )
            )
            rms = total / np.sqrt((total * total).mean(-1, keepdims=True) + epsilon) * G
            CASES.append(
                case(
                    "SkipSimplifiedLayerNormalization",
                    [x, skip, gamma, *extra],
                    attributes,
                    [rms],
                    dtype,
                    name,
                    domain=MS,
                )
            )
            if dtype is np.float32:
                CASES.append(
                    case(
                        "SkipLayerNormalization",
                        [x, skip, gamma, beta, *extra],
                        attributes,
                        [y + B, mean, inv_std, total],
                        dtype,
                        f"{name}-all",
                        domain=MS,
                    )
                )
    rms = X / np.sqrt((X * X).mean(-1, keepdims=True) + epsilon) * G
    CASES.append(case("SimplifiedLayerNormalization", [x, gamma], {"epsilon": 1e-5}, [rms], dtype, "plain"))

# ---- the rest -------------------------------------------------------------------------------------------------------
for dtype in FLOATS:
    for shape, axis in [((3, 7), -1), ((3, 7), 0), ((2, 5, 7), 1), ((11,), 0)]:
        x = data(shape, dtype)
        (X,) = wide(x)
        for p in (1, 2):
            norm = np.abs(X).sum(axis, keepdims=True) if p == 1 else np.sqrt((X * X).sum(axis, keepdims=True))
            CASES.append(case("LpNormalization", [x], {"axis": axis, "p": p}, [X / norm], dtype, f"{shape}-{axis}-{p}"))
    for shape, axes in [((2, 3, 5, 7), None), ((2, 3, 5, 7), [1]), ((2, 3, 5, 7), [0, 1, 2, 3]), ((4, 9), [-1])]:
        x = data(shape, dtype)
        (X,) = wide(x)
        chosen = tuple(axes) if axes else (0, 2, 3)
        y = (X - X.mean(chosen, keepdims=True)) / (X.std(chosen, keepdims=True) + 1e-9)
        CASES.append(
            case("MeanVarianceNormalization", [x], {"axes": axes} if axes else {}, [y], dtype, f"{shape}-{axes}")
        )
    for size in (1, 2, 3, 5, 20):
        for attributes in ({}, {"alpha": 0.5, "beta": 0.6, "bias": 2.0}, {"alpha": 0.3, "beta": 1.0}):
            x = data((2, 9, 5, 67), dtype)
            (X,) = wide(x)
            alpha, beta, bias = (
                np.float64(np.float32(attributes.get(k, d)))
                for k, d in (("alpha", 1e-4), ("beta", 0.75), ("bias", 1.0))
            )
            squares = np.zeros_like(X)
            for c in range(9):
                first, last = max(0, c - (size - 1) // 2), min(8, c + size // 2)
                squares[:, c] = (X[:, first : last + 1] ** 2).sum(1)
            y = X / (bias + alpha / size * squares) ** beta
            CASES.append(case("LRN", [x], {"size": size, **attributes}, [y], dtype, f"{size}-{len(attributes)}"))
CASES.append(
    Case("LpNormalization", [np.zeros((2, 3), np.float32)], expected=[np.zeros((2, 3), np.float32)], id="zeros")
)
