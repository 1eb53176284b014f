"""Quantized operators of the domain com.microsoft.

Expected values: the formulas of ONNX Runtime's page of contributed operators, in float64 with NumPy. Scales that are
powers of two keep every product exact, so that ties of the rounding are seen; with other scales one quantum is allowed.
"""

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np

from tests.ops.case import Case

rng = np.random.default_rng(31)
DOMAIN = "com.microsoft"
BYTES = (np.uint8, np.int8)
CASES: list[Case] = []


def scalar(value: float) -> np.ndarray:
    return np.float32(value).reshape(())


def zero_of(dtype: type, value: int) -> np.ndarray:
    return np.array(value, dtype)


def some_bytes(dtype: type, *shape: int) -> np.ndarray:
    info = np.iinfo(dtype)
    array = rng.integers(info.min, info.max + 1, shape).astype(dtype)
    array.ravel()[:2] = (info.min, info.max)[: min(2, array.size)]
    return array


def wide(q: np.ndarray, scale: Any, zero: Any) -> np.ndarray:
    return (q.astype(np.float64) - np.asarray(zero, np.float64)) * np.asarray(scale, np.float64)


def narrow(x: np.ndarray, scale: Any, zero: Any, dtype: type) -> np.ndarray:
    info = np.iinfo(dtype)
    return np.clip(np.rint(x / np.float64(scale)) + np.float64(zero), info.min, info.max).astype(dtype)


def case(op: str, inputs: list[Any], expected: list[Any], name: str, quanta: int = 0, **attributes: Any) -> None:
    CASES.append(Case(op, inputs, attributes, DOMAIN, len(expected), expected, rtol=0, atol=quanta, id=name))


def float_case(
    op: str, inputs: list[Any], expected: list[Any], name: str, error: float = 1e-5, **attributes: Any
) -> None:
    CASES.append(Case(op, inputs, attributes, DOMAIN, len(expected), expected, rtol=error, atol=error, id=name))


# ---- QLinearAdd, QLinearMul

for op, function in (("QLinearAdd", np.add), ("QLinearMul", np.multiply)):
    for dtype in BYTES:
        za, zb, zc = (3, 120, 7) if dtype is np.uint8 else (-3, 20, -7)
        for shapes in (((7, 13), (7, 13)), ((3, 1, 37), (5, 1)), ((), (4, 3)), ((2, 0, 3), (3,)), ((1031,), (1,))):
            for scales, quanta in (((0.5, 0.25, 1.0), 0), ((0.037, 0.011, 0.043), 1)):
                a, b = some_bytes(dtype, *shapes[0]), some_bytes(dtype, *shapes[1])
                real = function(wide(a, np.float32(scales[0]), za), wide(b, np.float32(scales[1]), zb))
                inputs = []
                for q, scale, zero in ((a, scales[0], za), (b, scales[1], zb)):
                    inputs += [q, scalar(scale), zero_of(dtype, zero)]
                inputs += [scalar(scales[2]), zero_of(dtype, zc)]
                expected = narrow(real, np.float32(scales[2]), zc, dtype)
                case(op, inputs, [expected], f"{dtype.__name__}-{shapes}-{scales[0]}", quanta)
    a, b = some_bytes(np.uint8, 5, 7), some_bytes(np.uint8, 5, 7)
    expected = narrow(function(wide(a, 0.5, 0), wide(b, 2.0, 0)), 4.0, 0, np.uint8)
    case(op, [a, scalar(0.5), None, b, scalar(2.0), None, scalar(4.0)], [expected], "no-zero-points")

# ---- functions of one byte

for dtype in BYTES:
    every = np.arange(256).astype(np.uint8).view(dtype).reshape(4, 64)
    zx, zy = (130, 5) if dtype is np.uint8 else (2, -120)
    x = wide(every, np.float32(0.05), zx)
    sigmoid = narrow(1 / (1 + np.exp(-x)), np.float32(1 / 256), zy, dtype)
    inputs = [every, scalar(0.05), zero_of(dtype, zx), scalar(1 / 256), zero_of(dtype, zy)]
    case("QLinearSigmoid", inputs, [sigmoid], dtype.__name__, 1)
    x = wide(every, 0.5, zx)
    for alpha in (0.25, 0.5, 0.0):
        leaky = narrow(np.where(x < 0, alpha * x, x), 0.25, zy, dtype)
        inputs = [every, scalar(0.5), zero_of(dtype, zx), scalar(0.25), zero_of(dtype, zy)]
        case("QLinearLeakyRelu", inputs, [leaky], f"{dtype.__name__}-{alpha}", alpha=alpha)
every = np.arange(256).astype(np.uint8)
expected = narrow(np.where(wide(every, 1, 0) < 0, 0.01, 1.0) * wide(every, 1, 0), 2, 0, np.uint8)
case("QLinearLeakyRelu", [every, scalar(1), None, scalar(2), None], [expected], "no-zero-points")

for dtype in BYTES:
    zx, zy = (100, 3) if dtype is np.uint8 else (-5, -128)
    for shape, axis, opset in (
        ((3, 7), -1, 13),
        ((2, 5, 3), 1, 13),
        ((2, 5, 3), 1, 12),
        ((1, 1000), 1, 11),
        ((0, 4), 1, 13),
    ):
        q = some_bytes(dtype, *shape)
        x = wide(q, np.float32(0.03), zx)
        flat = x.reshape(math.prod(shape[:axis]), -1) if opset < 13 else x
        along = 1 if opset < 13 else axis
        e = np.exp(flat - flat.max(along, keepdims=True)) if x.size else flat
        soft = (e / e.sum(along, keepdims=True) if x.size else e).reshape(shape)
        inputs = [q, scalar(0.03), zero_of(dtype, zx), scalar(1 / 256), zero_of(dtype, zy)]
        expected = narrow(soft, 1 / 256, zy, dtype)
        case(
            "QLinearSoftmax", inputs, [expected], f"{dtype.__name__}-{shape}-{axis}-{opset}", 1, axis=axis, opset=opset
        )

# ---- QLinearWhere, QLinearConcat

for dtype in BYTES:
    zx, zy, zz = (10, 200, 30) if dtype is np.uint8 else (-10, 100, 3)
    for shapes in (((5, 7), (5, 7), (5, 7)), ((1, 7), (3, 1), (2, 1, 1)), ((0, 1), (1,), (1,))):
        condition = rng.random(shapes[0]) < 0.5
        x, y = some_bytes(dtype, *shapes[1]), some_bytes(dtype, *shapes[2])
        chosen = np.where(condition, wide(x, 0.5, zx), wide(y, 0.25, zy))
        inputs = [condition, x, scalar(0.5), zero_of(dtype, zx), y, scalar(0.25), zero_of(dtype, zy)]
        inputs += [scalar(1.0), zero_of(dtype, zz)]
        case("QLinearWhere", inputs, [narrow(chosen, 1.0, zz, dtype)], f"{dtype.__name__}-{shapes}")
    for shapes, axis in ((((2, 3, 5), (2, 1, 5), (2, 4, 5)), 1), (((3,), (11,)), 0), (((2, 3), (2, 0)), -1)):
        parts = [some_bytes(dtype, *shape) for shape in shapes]
        inputs = [scalar(0.5), zero_of(dtype, zz)]
        for i, part in enumerate(parts):
            inputs += [part, scalar(0.25 * (i + 1)), zero_of(dtype, zx + i)]
        joined = np.concatenate([wide(part, 0.25 * (i + 1), zx + i) for i, part in enumerate(parts)], axis)
        case("QLinearConcat", inputs, [narrow(joined, 0.5, zz, dtype)], f"{dtype.__name__}-{shapes}", axis=axis)

# ---- pooling


def pool(
    x: np.ndarray, kernel: tuple[int, int], stride: tuple[int, int], pads: tuple[int, ...], kind: str
) -> np.ndarray:
    """Over the last two axes of [N, C, H, W], floor mode."""
    fill = -np.inf if kind == "max" else 0.0
    edges = ((0, 0), (0, 0), (pads[0], pads[2]), (pads[1], pads[3]))
    padded = np.pad(x, edges, constant_values=fill)
    inside = np.pad(np.ones_like(x), edges)
    sizes = [(padded.shape[2 + i] - kernel[i]) // stride[i] + 1 for i in range(2)]
    y = np.zeros((*x.shape[:2], *sizes))
    for i, j in np.ndindex(*sizes):
        window = (slice(i * stride[0], i * stride[0] + kernel[0]), slice(j * stride[1], j * stride[1] + kernel[1]))
        piece = padded[:, :, window[0], window[1]]
        if kind == "max":
            y[:, :, i, j] = piece.max((2, 3))
        else:
            count = inside[:, :, window[0], window[1]].sum((2, 3)) if kind == "average" else math.prod(kernel)
            y[:, :, i, j] = piece.sum((2, 3)) / count
    return y


for dtype in BYTES:
    zx, zy = (100, 3) if dtype is np.uint8 else (-5, -8)
    q = some_bytes(dtype, 2, 19, 7, 6)
    x = wide(q, 0.5, zx)
    affine = [scalar(0.5), zero_of(dtype, zx), scalar(0.25), zero_of(dtype, zy)]
    for kernel, stride, pads in (
        ((2, 2), (2, 2), (0, 0, 0, 0)),
        ((3, 2), (1, 2), (1, 0, 1, 1)),
        ((7, 6), (1, 1), (0, 0, 0, 0)),
    ):
        window = {"kernel_shape": kernel, "strides": stride, "pads": pads}
        for include in (0, 1):
            y = narrow(pool(x, kernel, stride, pads, "padded" if include else "average"), 0.25, zy, dtype)
            label = f"{dtype.__name__}-{kernel}-{include}"
            attributes = {**window, "count_include_pad": include}
            case("QLinearAveragePool", [q, *affine], [y], label, 1, **attributes)
            last = [q.transpose(0, 2, 3, 1).copy(), *affine]
            case(
                "QLinearAveragePool", last, [y.transpose(0, 2, 3, 1)], label + "-nhwc", 1, channels_last=1, **attributes
            )
        largest = pool(q.astype(np.float64), kernel, stride, pads, "max").astype(dtype)
        inputs = [q.transpose(0, 2, 3, 1).copy()]
        case("NhwcMaxPool", inputs, [largest.transpose(0, 2, 3, 1)], f"{dtype.__name__}-{kernel}", **window)
    # Numbers of their own, so that the rows behind these keep theirs.
    own = np.random.default_rng(7)
    others = [
        own.integers(np.iinfo(dtype).min, np.iinfo(dtype).max + 1, shape).astype(dtype)
        for shape in ((1, 5, 3, 3), (1, 16, 9, 9), (1, 300, 2, 3), (3, 33, 1, 1))
    ]
    for pooled in (q, *others):
        y = narrow(wide(pooled, 0.5, zx).mean((2, 3), keepdims=True), 0.25, zy, dtype)
        label = f"{dtype.__name__}-{pooled.shape}"
        case("QLinearGlobalAveragePool", [pooled, *affine], [y], label, 1)
        inputs = [pooled.transpose(0, 2, 3, 1).copy(), *affine]
        case("QLinearGlobalAveragePool", inputs, [y.transpose(0, 2, 3, 1)], f"{label}-nhwc", 1, channels_last=1)

# ---- QGemm, MatMulIntegerToFloat, DynamicQuantizeMatMul

for ta, tb in ((np.uint8, np.int8), (np.uint8, np.uint8), (np.int8, np.int8), (np.int8, np.uint8)):
    za, zb = (113 if ta is np.uint8 else -3), (140 if tb is np.uint8 else 5)
    for m, n, k in ((1, 1, 1), (7, 17, 13), (13, 33, 64), (3, 5, 0), (0, 4, 3), (37, 101, 257)):
        a, b = some_bytes(ta, m, k), some_bytes(tb, k, n)
        label = f"{ta.__name__}-{tb.__name__}-{m}x{n}x{k}"
        sums = wide(a, 1, za) @ wide(b, 1, zb)
        c = rng.integers(-1000, 1000, (n,)).astype(np.int32)
        head = [a, scalar(2**-6), zero_of(ta, za), b, scalar(2**-5), zero_of(tb, zb), c]
        for dtype, zy in ((np.uint8, 100), (np.int8, -9)):
            y = narrow((sums + c) * 2**-11, 0.25, zy, dtype)
            case("QGemm", [*head, scalar(0.25), zero_of(dtype, zy)], [y], f"{label}-{dtype.__name__}")
        float_case("QGemm", head, [((sums + c) * 2**-11).astype(np.float32)], f"{label}-float")
        columns = (2.0 ** rng.integers(-7, -3, n)).astype(np.float32)
        zeros = some_bytes(tb, n)
        scaled = (wide(a, 1, za) @ wide(b, 1, zeros)) * columns * 2**-6
        flipped = [a.T.copy(), scalar(2**-6), zero_of(ta, za), b.T.copy(), columns, zeros]
        y = narrow(2 * scaled, 0.5, 3, np.uint8)
        case(
            "QGemm",
            [*flipped, None, scalar(0.5), zero_of(np.uint8, 3)],
            [y],
            f"{label}-transposed",
            transA=1,
            transB=1,
            alpha=2.0,
        )
        bias = rng.normal(0, 1, n).astype(np.float32)
        inputs = [a, b, scalar(2**-6), columns, zero_of(ta, za), zeros, bias]
        float_case("MatMulIntegerToFloat", inputs, [(scaled + bias).astype(np.float32)], label)
        plain = (wide(a, 1, 0) @ wide(b, 1, 0)) * 2**-6 * 0.3
        float_case(
            "MatMulIntegerToFloat", [a, b, scalar(2**-6), scalar(0.3)], [plain.astype(np.float32)], f"{label}-plain"
        )

for shape in ((5, 1), (5, 7), (1, 7), (1,)):
    a, b, c = some_bytes(np.uint8, 5, 3), some_bytes(np.int8, 3, 7), rng.integers(-99, 99, shape).astype(np.int32)
    y = ((wide(a, 1, 9) @ wide(b, 1, 1) + c) * 0.25).astype(np.float32)
    float_case(
        "QGemm", [a, scalar(0.5), zero_of(np.uint8, 9), b, scalar(0.5), zero_of(np.int8, 1), c], [y], f"c-{shape}"
    )

a, b = some_bytes(np.uint8, 2, 3, 5, 11), some_bytes(np.int8, 3, 11, 6)
y = (wide(a, 0.5, 7) @ wide(b, 0.25, -3)).astype(np.float32)
inputs = [a, b, scalar(0.5), scalar(0.25), zero_of(np.uint8, 7), zero_of(np.int8, -3)]
float_case("MatMulIntegerToFloat", inputs, [y], "batches")


def dynamic(x: np.ndarray) -> tuple[np.ndarray, np.float32, float]:
    """DynamicQuantizeLinear."""
    low, high = min(0.0, float(x.min(initial=0))), max(0.0, float(x.max(initial=0)))
    scale = np.float32((np.float32(high) - np.float32(low)) / np.float32(255)) or np.float32(1)
    zero = float(np.clip(np.rint(np.float32(-low) / scale), 0, 255))
    return np.clip(np.rint(x / scale) + zero, 0, 255), scale, zero


for tb in BYTES:
    for m, n, k in ((1, 1, 1), (7, 17, 13), (64, 33, 129), (0, 3, 4)):
        a, b = rng.normal(0.3, 2, (m, k)).astype(np.float32), some_bytes(tb, k, n)
        zeros, scales = some_bytes(tb, n), rng.uniform(0.01, 0.1, n).astype(np.float32)
        bias = rng.normal(0, 1, n).astype(np.float32)
        q, scale, zero = dynamic(a)
        y = ((q - zero) * np.float64(scale)) @ wide(b, scales, zeros) + bias
        label = f"{tb.__name__}-{m}x{n}x{k}"
        float_case("DynamicQuantizeMatMul", [a, b, scales, zeros, bias], [y.astype(np.float32)], label, 1e-4)
        y = ((q - zero) * np.float64(scale)) @ wide(b, np.float32(0.02), 0)
        float_case("DynamicQuantizeMatMul", [a, b, scalar(0.02)], [y.astype(np.float32)], f"{label}-plain", 1e-4)
float_case(
    "DynamicQuantizeMatMul", [np.zeros((2, 3), np.float32), b[:3], scalar(0.5)], [np.zeros((2, n), np.float32)], "zeros"
)

# ---- MatMulNBits, GatherBlockQuantized


def pack(q: np.ndarray, bits: int) -> np.ndarray:
    """Numbers of the last axis into bytes, low bits first."""
    each = 8 // bits
    rest = -q.shape[-1] % each
    wider = np.concatenate([q, np.zeros((*q.shape[:-1], rest), q.dtype)], -1).reshape(*q.shape[:-1], -1, each)
    return np.bitwise_or.reduce(wider.astype(np.uint8) << (bits * np.arange(each, dtype=np.uint8)), -1).astype(np.uint8)


def nbits(
    m: int, n: int, k: int, bits: int, block: int, zeros: str, name: str = "", dtype: Any = np.float32, **more: Any
) -> None:
    blocks = -(-k // block)
    a = rng.normal(0, 1, (2, m, k)).astype(dtype)
    q = rng.integers(0, 1 << bits, (n, blocks * block))
    scales = rng.uniform(0.01, 0.1, (n, blocks)).astype(dtype)
    zero = np.full((n, blocks), 1 << (bits - 1), np.float64)
    given = None
    if zeros == "packed":
        zero = rng.integers(0, 1 << bits, (n, blocks))
        given = pack(zero, bits)
    elif zeros == "real":
        given = rng.uniform(0, 1 << bits, (n, blocks)).astype(dtype)
        zero = given.astype(np.float64)
    group = np.arange(blocks * block) // block
    groups = bias = None
    if more.get("groups"):
        groups = rng.permutation(group[:k]).astype(np.int32)
        group = np.concatenate([groups, group[k:]])
    if more.get("bias"):
        bias = rng.normal(0, 1, n).astype(dtype)
    weights = ((q - np.asarray(zero, np.float64)[:, group]) * scales.astype(np.float64)[:, group])[:, :k]
    y = a.astype(np.float64) @ weights.T + (0 if bias is None else bias.astype(np.float64))
    error = {np.float32: 2e-5, np.float16: 4e-3}.get(dtype, 2e-2)
    if more.get("accuracy") == 4:
        error = 0.05  # A may be rounded to 127 steps in every block
    inputs = [a, pack(q, bits).reshape(n, blocks, -1), scales, given, groups, bias]
    while inputs[-1] is None:
        inputs.pop()
    attributes = {"N": n, "K": k, "bits": bits, "block_size": block, "accuracy_level": more.get("accuracy", 0)}
    label = f"{m}x{n}x{k}-{bits}-{block}-{zeros}-{np.dtype(dtype).name}{name}"
    float_case("MatMulNBits", inputs, [y.astype(dtype)], label, error * (1 + math.sqrt(k) / 8), **attributes)


for bits in (2, 4, 8):
    for block in (16, 32, 64, 128, 256):
        for zeros in ("none", "packed", "real"):
            nbits(1, 19, 300, bits, block, zeros)
            nbits(7, 19, 300, bits, block, zeros)
    nbits(1, 5, 96, bits, 32, "packed", "-groups", groups=True)
    nbits(5, 5, 70, bits, 32, "none", "-groups-bias", groups=True, bias=True)
    for dtype in (np.float16, ml_dtypes.bfloat16):
        nbits(1, 33, 64, bits, 32, "packed", "-bias", dtype, bias=True)
        nbits(6, 33, 64, bits, 32, "real", "-bias", dtype, bias=True)
for bits, block, k in ((4, 32, 128), (4, 64, 1100), (2, 64, 300), (8, 32, 128), (4, 16, 48)):
    for zeros in ("none", "packed", "real"):
        nbits(1, 71, k, bits, block, zeros, "-level4", accuracy=4)
nbits(33, 203, 129, 4, 32, "packed", "-wide", bias=True)
nbits(0, 7, 32, 4, 32, "none")


def gather(
    data: np.ndarray, axis: int, quantize: int, block: int, bits: int, indices: np.ndarray, zeros: bool, dtype: Any
) -> None:
    """`data` are whole numbers; uint8 stands for packed ones."""
    packed = data.dtype == np.uint8
    blocks = [-(-n // block) if d == quantize % data.ndim else n for d, n in enumerate(data.shape)]
    scales = rng.uniform(0.1, 1, blocks).astype(dtype)
    low, high = (0, 1 << bits) if packed or data.dtype == ml_dtypes.uint4 else (-8, 8)
    default = (1 << (bits - 1)) if packed else 0
    zero = rng.integers(low, high, blocks) if zeros else np.full(blocks, default)
    spread = [np.repeat(p.astype(np.float64), block, quantize) for p in (scales, zero)]
    cut = tuple(slice(0, n) for n in data.shape)
    real = (data.astype(np.float64) - spread[1][cut]) * spread[0][cut]
    y = np.take(real, np.clip(indices, -data.shape[axis], data.shape[axis] - 1), axis)
    lost = (indices < -data.shape[axis]) | (indices >= data.shape[axis])
    y[(slice(None),) * (axis % data.ndim) + (lost,)] = 0
    inputs = [pack(data, bits) if packed else data, indices, scales]
    if zeros:
        inputs.append(pack(zero, bits) if packed else zero.astype(data.dtype))
    label = (
        f"{data.dtype.name}-{data.shape}-{axis}-{quantize}-{block}-{bits}-{zeros}-{np.dtype(dtype).name}-{indices.size}"
    )
    attributes = {"gather_axis": axis, "quantize_axis": quantize, "block_size": block, "bits": bits}
    error = {np.float32: 1e-6, np.float16: 1e-3}.get(dtype, 1e-2)
    float_case("GatherBlockQuantized", inputs, [y.astype(dtype)], label, error, **attributes)


for zeros in (False, True):
    for dtype in (np.float32, np.float16, ml_dtypes.bfloat16):
        for bits in (2, 4, 8):
            data = rng.integers(0, 1 << bits, (11, 48)).astype(np.uint8)
            gather(data, 0, 1, 16, bits, np.array([[3, -1, 10], [0, 5, 5]], np.int64), zeros, dtype)
        for kind, low in ((ml_dtypes.int4, -8), (ml_dtypes.uint4, 0)):
            data = rng.integers(low, low + 16, (5, 37, 20)).astype(kind)
            gather(data, 0, 1, 16, 4, np.array([4, 0, -5], np.int32), zeros, dtype)
            gather(data, 1, -1, 32, 4, np.array([[36, -37]], np.int64), zeros, dtype)
gather(rng.integers(0, 16, (11, 48)).astype(np.uint8), 0, 1, 16, 4, np.array([11, -12, 2], np.int64), True, np.float32)
gather(rng.integers(0, 16, (11, 48)).astype(np.uint8), 0, 1, 32, 4, np.zeros((0,), np.int64), False, np.float32)
for kind in (ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2, ml_dtypes.float4_e2m1fn):
    data = rng.normal(0, 2, (6, 40)).astype(kind)
    scales = rng.uniform(0.1, 1, (1, 1)).astype(np.float32)
    y = data.astype(np.float32)[[5, 0]] * scales
    attributes = {"gather_axis": 0, "quantize_axis": 1, "block_size": 0}
    float_case("GatherBlockQuantized", [data, np.array([5, 0]), scales], [y], np.dtype(kind).name, 1e-6, **attributes)

# ---- QAttention


def attention(
    x: np.ndarray, w: np.ndarray, bias: np.ndarray, heads: int, mask: np.ndarray, past: Any = None
) -> list[np.ndarray]:
    """`mask` is added to the scores, [batch, queries, keys]."""
    batch, tokens, _ = x.shape
    qkv = (x @ w + bias).reshape(batch, tokens, 3, heads, -1).transpose(2, 0, 3, 1, 4)
    q, k, v = qkv
    if past is not None:
        k, v = np.concatenate([past[0], k], 2), np.concatenate([past[1], v], 2)
    scores = q @ k.swapaxes(-1, -2) / math.sqrt(q.shape[-1]) + mask[:, None]
    e = np.exp(scores - scores.max(-1, keepdims=True))
    y = (e / e.sum(-1, keepdims=True)) @ v
    return [y.transpose(0, 2, 1, 3).reshape(batch, tokens, -1).astype(np.float32), np.stack([k, v]).astype(np.float32)]


for tx, tw in ((np.uint8, np.int8), (np.uint8, np.uint8), (np.int8, np.int8)):
    batch, tokens, inner, heads, size, before = 2, 5, 11, 3, 4, 3
    q, w = some_bytes(tx, batch, tokens, inner), some_bytes(tw, inner, 3 * heads * size)
    zx, zw = (128 if tx is np.uint8 else 1), (130 if tw is np.uint8 else 2)
    bias = rng.normal(0, 1, 3 * heads * size).astype(np.float32)
    x, weights = wide(q, np.float32(0.01), zx), wide(w, np.float32(0.02), zw)
    ends = np.array([5, 2], np.int32)
    raw = (rng.random((batch, tokens)) < 0.7).astype(np.int32)
    raw[:, 0] = 1
    full = (rng.random((batch, tokens, tokens)) < 0.7).astype(np.int32)
    full[:, :, 0] = 1
    at = np.arange(tokens)
    open_mask = np.zeros((batch, tokens, tokens))
    causal = np.where(at[None, :] > at[:, None], -10000.0, 0.0) + open_mask
    bounds = np.array([5, 4, 1, 0], np.int32)
    masks = {
        "open": (None, open_mask, 0),
        "ends": (ends, np.where(at >= ends[:, None], -10000.0, 0.0)[:, None] + open_mask, 0),
        "bounds": (
            bounds,
            np.where((at >= bounds[:2, None]) | (at < bounds[2:, None]), -10000.0, 0.0)[:, None] + open_mask,
            0,
        ),
        "raw": (raw, np.where(raw > 0, 0.0, -10000.0)[:, None] + open_mask, 0),
        "full": (full, np.where(full > 0, 0.0, -10000.0), 0),
        "causal": (None, causal, 1),
        "causal-raw": (raw, causal + np.where(raw > 0, 0.0, -10000.0)[:, None], 1),
    }
    head = [q, w, bias, scalar(0.01), scalar(0.02)]
    tail = [zero_of(tx, zx), zero_of(tw, zw)]
    for label, (mask, added, one_way) in masks.items():
        y = attention(x, weights, bias, heads, added)[:1]
        label = f"{tx.__name__}-{tw.__name__}-{label}"
        float_case("QAttention", [*head, mask, *tail], y, label, 2e-5, num_heads=heads, unidirectional=one_way)
    past = rng.normal(0, 1, (2, batch, heads, before, size)).astype(np.float32)
    keys = np.arange(before + tokens)
    later = np.where(keys[None, :] > before + at[:, None], -10000.0, 0.0) + np.zeros((batch, 1, 1))
    expected = attention(x, weights, bias, heads, later, past)
    inputs = [*head, None, *tail, past]
    float_case(
        "QAttention", inputs, expected, f"{tx.__name__}-{tw.__name__}-past", 2e-5, num_heads=heads, unidirectional=1
    )
    columns = rng.uniform(0.01, 0.03, 3 * heads * size).astype(np.float32)
    expected = attention(x, wide(w, columns, zw), bias, heads, open_mask)
    inputs = [q, w, bias, scalar(0.01), columns, None, *tail[:1], np.full(3 * heads * size, zw, tw)]
    float_case("QAttention", inputs, expected, f"{tx.__name__}-{tw.__name__}-columns", 2e-5, num_heads=heads)

# ---- QuantizeLinear, DequantizeLinear

for dtype in (np.uint8, np.int8, np.uint16, np.int16, ml_dtypes.uint4, ml_dtypes.int4):
    unsigned = np.dtype(dtype).name.startswith("u")
    bits = {"8": 8, "6": 16, "4": 4}[np.dtype(dtype).name[-1]]
    low, high = (0, 2**bits - 1) if unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    x = rng.normal(0, (high - low) / 6, (3, 37)).astype(np.float32)
    x.ravel()[:6] = (np.inf, -np.inf, 0.25, 0.75, -0.25, 1e9)
    zero = low + 3
    y = np.clip(np.rint(x.astype(np.float64) / 0.5) + zero, low, high).astype(dtype)
    case("QuantizeLinear", [x, scalar(0.5), np.array(zero, dtype)], [y], np.dtype(dtype).name)
    scales, zeros = np.array([0.5, 0.25, 2.0], np.float32), np.array([low, low + 1, low + 2]).astype(dtype)
    wider = x.astype(np.float64) / scales[:, None]
    y = np.clip(np.rint(wider) + zeros.astype(np.float64)[:, None], low, high).astype(dtype)
    case("QuantizeLinear", [x, scales, zeros], [y], f"{np.dtype(dtype).name}-axis", axis=0)
    back = (y.astype(np.float64) - zeros.astype(np.float64)[:, None]) * scales[:, None]
    float_case(
        "DequantizeLinear", [y, scales, zeros], [back.astype(np.float32)], f"{np.dtype(dtype).name}-axis", axis=0
    )
    half = scales.astype(np.float16)
    float_case(
        "DequantizeLinear", [y, half, zeros], [back.astype(np.float16)], f"{np.dtype(dtype).name}-half", 1e-3, axis=0
    )
