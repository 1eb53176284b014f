"""Operators of com.microsoft written out in NumPy from their documentation, and those that ONNX never released."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from tests.ops.case import Case
from tests.ops.cases.activation import elu, gelu_tanh, selu, softplus

rng = np.random.default_rng(31)
CASES: list[Case] = []


def normal(*shape: int, dtype: Any = np.float32) -> np.ndarray:
    return rng.standard_normal(shape).astype(dtype)


def add(
    op: str,
    inputs: list[Any],
    expected: Any,
    attributes: dict | None = None,
    *,
    id: str = "",
    exact: bool = False,
    domain: str = "com.microsoft",
    **more: Any,
) -> None:
    """A row; `expected` is one output or a list of them."""
    results = expected if isinstance(expected, list) else [expected]
    low = any(isinstance(x, np.ndarray) and x.dtype == np.float16 for x in inputs)
    tolerance = 0 if exact else 2e-3 if low else 2e-5
    more = {"rtol": tolerance, "atol": tolerance, **more}
    CASES.append(
        Case(op, inputs, attributes or {}, domain=domain, outputs=len(results), expected=results, id=id, **more)
    )


# ---- CropAndResize ---------------------------------------------------------------------------------------------------


def crop_and_resize(
    x: np.ndarray, rois: np.ndarray, batches: np.ndarray, size: list[int], mode: str, outside: float
) -> np.ndarray:
    result = np.full((len(rois), x.shape[1], *size), np.float64(outside))
    for r, (box, batch) in enumerate(zip(rois.astype(np.float64), batches, strict=True)):
        at: list[np.ndarray] = []
        for begin, end, count, pixels in zip(box[:2], box[2:], size, x.shape[2:], strict=True):
            part = np.linspace(begin, end, count) if count > 1 else np.array([(begin + end) / 2])
            at.append(part * (pixels - 1))
        for i, y in enumerate(at[0]):
            for j, z in enumerate(at[1]):
                if not (0 <= y <= x.shape[2] - 1 and 0 <= z <= x.shape[3] - 1):
                    continue
                plane = x[batch].astype(np.float64)
                if mode == "nearest":
                    result[r, :, i, j] = plane[:, int(np.floor(y + 0.5)), int(np.floor(z + 0.5))]
                    continue
                top, left, bottom, right = int(y), int(z), int(np.ceil(y)), int(np.ceil(z))
                upper = plane[:, top, left] * (1 - z % 1) + plane[:, top, right] * (z % 1)
                lower = plane[:, bottom, left] * (1 - z % 1) + plane[:, bottom, right] * (z % 1)
                result[r, :, i, j] = upper * (1 - y % 1) + lower * (y % 1)
    return result.astype(x.dtype)


for dtype in (np.float32, np.float64, np.float16):
    for size, mode in (([3, 5], "bilinear"), ([4, 1], "bilinear"), ([1, 7], "nearest"), ([5, 3], "nearest")):
        x = normal(2, 3, 7, 11, dtype=dtype)
        rois = np.array([[0, 0, 1, 1], [0.11, 0.23, 0.71, 0.93], [0.8, 0.9, 0.13, 0.27], [-0.3, 0.1, 0.4, 1.3]], dtype)
        batches = np.array([0, 1, 1, 0], np.int32)
        name = f"{np.dtype(dtype).name}-{mode}-{size}"
        expected = crop_and_resize(x, rois, batches, size, mode, 2.5)
        # A place between two pixels in half precision is rounded differently.
        if dtype == np.float16 and mode == "nearest":
            continue
        attributes = {"mode": mode, "extrapolation_value": 2.5}
        add("CropAndResize", [x, rois, batches, np.array(size, np.int32)], expected, attributes, id=name)
x = normal(1, 2, 5, 5)
empty = [x, np.zeros((0, 4), np.float32), np.zeros(0, np.int32), np.array([2, 3], np.int32)]
add("CropAndResize", empty, np.zeros((0, 2, 2, 3), np.float32), id="no boxes")

# ---- shapes ----------------------------------------------------------------------------------------------------------

for axis in (0, 1, 3, -1, -4):
    x = normal(2, 3, 5)
    at = axis if axis >= 0 else axis + 4
    expected = x.reshape(*x.shape[:at], 1, *x.shape[at:])
    add("ExpandDims", [x, np.array(axis, np.int32)], expected, id=f"axis {axis}", exact=True)

for dim, size, step in ((-1, 2, 1), (-1, 4, 3), (0, 2, 1), (1, 3, 2), (-2, 7, 1), (2, 1, 4)):
    for kind in (np.float32, np.int8, np.complex64, object):
        x = (10 * normal(3, 7, 11)).astype(np.int64).astype(str if kind is object else kind).astype(kind)
        index = [slice(None)] * 4
        index[dim % 3] = slice(None, None, step)
        expected = np.lib.stride_tricks.sliding_window_view(x, size, dim)[tuple(index)]
        name = f"{np.dtype(kind).name}-{dim}-{size}-{step}"
        add("UnfoldTensor", [x], expected, {"dim": dim, "size": size, "step": step}, id=name, exact=True)

data = np.arange(24).reshape(2, 3, 4)
for kind in (np.int32, np.int64):
    indices = np.array([[[1, 2], [0, 0]], [[1, 0], [0, 2]]], kind)
    add("GatherND", [data, indices], data[indices[..., 0], indices[..., 1]], id=np.dtype(kind).name, exact=True)

for mode in ("constant", "reflect", "edge"):
    for dtype in (np.float32, np.float64, np.float16):
        x = normal(3, 5, dtype=dtype)
        pads = np.array([1, 2, 0, 3])
        numpy_pads = [(1, 0), (2, 3)]
        name = f"{mode}-{np.dtype(dtype).name}"
        add("Pad", [x, pads], np.pad(x, numpy_pads, mode), {"mode": mode}, id=name, exact=True)
        if mode == "constant":
            for value in (np.array(7, dtype), np.array([7], dtype)):
                expected = np.pad(x, numpy_pads, constant_values=7)
                rank = value.ndim
                add("Pad", [x, pads.reshape(1, 4), value], expected, id=f"{name}-value of rank {rank}", exact=True)

for dtype in (np.float32, np.float64, np.int16, np.int32, np.int64):
    name = np.dtype(dtype).name
    scalars = [np.array(item, dtype) for item in (2, 11, 3)]
    add("Range", scalars, np.arange(2, 11, 3, dtype), id=f"{name}-scalars", exact=True)
    add("Range", [x.reshape(1) for x in scalars], np.arange(2, 11, 3, dtype), id=f"{name}-vectors", exact=True)
    add("Range", scalars[:2], np.arange(2, 11, dtype=dtype), id=f"{name}-no delta", exact=True)
    add("Range", [scalars[1], scalars[0]], np.zeros(0, dtype), id=f"{name}-empty", exact=True)

for k in (None, 0, 2, -3, 9):
    for upper in (None, 0, 1):
        x = rng.integers(-9, 9, (2, 5, 7))
        inputs = [x] if k is None else [x, np.array(k)]
        expected = np.tril(x, k or 0) if upper == 0 else np.triu(x, k or 0)
        add("Trilu", inputs, expected, {"upper": upper}, id=f"{k}-{upper}", exact=True)

for x in (
    np.array([2, 1, 1, 3, 4, 3], np.float32),
    np.array([5, -1, 5, 5], np.int8),
    np.array(["b", "a", "b"], object),
    np.zeros(0, np.int64),
):
    items = x.tolist()
    uniques = list(dict.fromkeys(items))
    expected = [
        np.array(uniques, x.dtype),
        np.array([uniques.index(item) for item in items], np.int64),
        np.array([items.count(item) for item in uniques], np.int64),
    ]
    add("Unique", [x], expected, id=f"{x.dtype.name}-{len(x)}", exact=True)

# ---- distances -------------------------------------------------------------------------------------------------------

METRICS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "sqeuclidean": lambda d: (d**2).sum(-1),
    "euclidean": lambda d: np.sqrt((d**2).sum(-1)),
    "cityblock": lambda d: np.abs(d).sum(-1),
    "chebyshev": lambda d: np.abs(d).max(-1, initial=0),
}
for metric, reduce in METRICS.items():
    for dtype in (np.float32, np.float64):
        for m, k, n in ((1, 1, 1), (3, 5, 7), (13, 67, 4), (5, 211, 31), (0, 3, 2), (3, 0, 2), (2, 3, 0)):
            a, b = normal(m, n, dtype=dtype), normal(k, n, dtype=dtype)
            expected = reduce(a[:, None].astype(np.float64) - b[None]).astype(dtype)
            add("CDist", [a, b], expected, {"metric": metric}, id=f"{metric}-{np.dtype(dtype).name}-{m}-{k}-{n}")
    # Rows that are far from zero and near each other.
    a = (1e4 + rng.integers(0, 5, (4, 3))).astype(np.float32)
    expected = reduce(a[:, None].astype(np.float64) - a[None]).astype(np.float32)
    add("CDist", [a, a], expected, {"metric": metric}, id=f"{metric}-near", rtol=1e-6, atol=0)
    a = np.array([[np.inf, 0], [np.nan, 1], [1e4, -1e4], [0, 2]], np.float32)
    b = a[2:]
    expected = reduce(a[:, None].astype(np.float64) - b[None]).astype(np.float32)
    add("CDist", [a, b], expected, {"metric": metric}, id=f"{metric}-extremes")


def warp(costs: np.ndarray) -> np.ndarray:
    """The cheapest path, found by trying all ways to come to each place."""
    rows, cols = costs.shape
    best: dict[tuple[int, int], tuple[float, list[tuple[int, int]]]] = {}
    for r in range(rows):
        for c in range(cols):
            ways = [best[at] for at in ((r - 1, c - 1), (r - 1, c), (r, c - 1)) if at in best]
            total, path = min(ways, key=lambda way: way[0]) if ways else (0.0, [])
            best[r, c] = (total + float(costs[r, c]), [*path, (r, c)])
    return np.array(best[rows - 1, cols - 1][1], np.int32).T


for shape in ((1, 1), (1, 5), (5, 1), (3, 3), (7, 11), (13, 4), (1, 6, 9)):
    costs = normal(*shape)
    add("DynamicTimeWarping", [costs], warp(costs.reshape(shape[-2:])), id="x".join(map(str, shape)), exact=True)

# ---- MurmurHash3 -----------------------------------------------------------------------------------------------------


def murmur(data: bytes, seed: int) -> int:
    def rotate(x: int, by: int) -> int:
        return (x << by | x >> (32 - by)) & 0xFFFFFFFF

    h = seed
    for begin in range(0, len(data), 4):
        word = data[begin : begin + 4]
        h ^= rotate(int.from_bytes(word, "little") * 0xCC9E2D51 & 0xFFFFFFFF, 15) * 0x1B873593 & 0xFFFFFFFF
        if len(word) == 4:
            h = (rotate(h, 13) * 5 + 0xE6546B64) & 0xFFFFFFFF
    h ^= len(data)
    h = (h ^ h >> 16) * 0x85EBCA6B & 0xFFFFFFFF
    h = (h ^ h >> 13) * 0xC2B2AE35 & 0xFFFFFFFF
    return h ^ h >> 16


WORDS = np.array(["", "a", "bar", "quux", "a longer one", "ünïcode ☃"], object)
for x in (
    WORDS,
    WORDS.reshape(2, 3),
    np.array([3, -4], np.int32),
    np.array([3, 2**32 - 1], np.uint32),
    np.array([[3], [-4]], np.int64),
    np.array([3, 2**64 - 1], np.uint64),
    np.array([0.5, -7.25, np.nan], np.float32),
    np.array([0.5, -7.25], np.float64),
    np.zeros((0, 3), np.int32),
):
    for positive, seed in ((1, 0), (0, 0), (None, 42)):
        hashes = [murmur(item.encode() if isinstance(item, str) else item.tobytes(), seed) for item in x.ravel()]
        expected = np.array(hashes, np.uint32).reshape(x.shape)
        expected = expected if positive != 0 else expected.view(np.int32)
        name = f"{x.dtype.name}-{x.ndim}-{positive}-{seed}"
        add("MurmurHash3", [x], expected, {"positive": positive, "seed": seed}, id=name, exact=True)
# The first known vectors of the algorithm itself.
add("MurmurHash3", [np.array(["foo"], object)], np.array([4138058784], np.uint32), id="foo", exact=True)

# ---- Fourier ---------------------------------------------------------------------------------------------------------

for dtype in (np.float32, np.float64, np.float16):
    for shape, dims in (((16,), 1), ((3, 10), 1), ((2, 6, 4), 2), ((2, 3, 4, 6), 3)):
        x = normal(*shape, dtype=dtype)
        axes = tuple(range(-dims, 0))
        spectrum = np.fft.rfftn(x.astype(np.float64), axes=axes)
        parts = np.stack([spectrum.real, spectrum.imag], -1).astype(dtype)
        attributes = {"signal_ndim": dims, "onesided": 1, "normalized": 0}
        tolerance = {"rtol": 1e-2, "atol": 3e-2} if dtype == np.float16 else {"rtol": 1e-4, "atol": 1e-4}
        name = f"{np.dtype(dtype).name}-{shape}"
        add("Rfft", [x], parts, attributes, id=name, **tolerance)
        back = np.fft.irfftn(parts[..., 0].astype(np.float64) + 1j * parts[..., 1], axes=axes).astype(dtype)
        add("Irfft", [parts], back, attributes, id=name, **tolerance)

# ---- products --------------------------------------------------------------------------------------------------------


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def clip(x: np.ndarray) -> np.ndarray:
    return np.clip(x, -0.5, 0.75)


def softmax(x: np.ndarray, axis: int = -1) -> np.ndarray:
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


# Name, parameters alpha, beta and gamma, function.
ACTIVATIONS: list[tuple[str, dict[str, float], Callable[[np.ndarray], np.ndarray]]] = [
    ("Relu", {}, relu),
    ("Sigmoid", {}, sigmoid),
    ("Tanh", {}, np.tanh),
    ("LeakyRelu", {"alpha": 0.25}, lambda x: np.where(x < 0, 0.25 * x, x)),
    ("HardSigmoid", {"alpha": 0.25, "beta": 0.625}, lambda x: np.clip(0.25 * x + 0.625, 0, 1)),
    ("Elu", {"alpha": 0.5}, lambda x: elu(x, 0.5)),
    ("Selu", {"alpha": 1.5, "gamma": 0.75}, lambda x: selu(x, 1.5, 0.75)),
    ("Softplus", {}, softplus),
    ("Softsign", {}, lambda x: x / (1 + np.abs(x))),
    ("ThresholdedRelu", {"alpha": 0.5}, lambda x: np.where(x > 0.5, x, 0)),
    ("ScaledTanh", {"alpha": 0.5, "beta": 2.0}, lambda x: 0.5 * np.tanh(2 * x)),
    ("ParametricSoftplus", {"alpha": 0.5, "beta": 2.0}, lambda x: 0.5 * softplus(2 * x)),
]
for name, params, f in ACTIVATIONS:
    for dtype in (np.float32, np.float64, np.float16):
        a, b, c = normal(7, 5, dtype=dtype), normal(5, 11, dtype=dtype), normal(11, dtype=dtype)
        wide = [x.astype(np.float64) for x in (a, b, c)]
        attributes = {"activation": name, **{f"activation_{key}": value for key, value in params.items()}}
        id = f"{name}-{np.dtype(dtype).name}"
        add("FusedGemm", [a, b, c], f(wide[0] @ wide[1] + wide[2]).astype(dtype), attributes, id=id)
        expected = f(0.5 * (wide[0] @ wide[1]) + 2 * wide[2]).astype(dtype)
        turned = [np.ascontiguousarray(a.T), np.ascontiguousarray(b.T), c]
        add(
            "FusedGemm",
            turned,
            expected,
            {**attributes, "alpha": 0.5, "beta": 2.0, "transA": 1, "transB": 1},
            id=f"{id}-turned",
            **({"rtol": 5e-3, "atol": 5e-3} if dtype == np.float16 else {}),
        )
a, b = rng.integers(-9, 9, (3, 5)), rng.integers(-9, 9, (5, 2))
add("FusedGemm", [a, b], np.maximum(a @ b, 0), {"activation": "Relu"}, id="int64", exact=True)
a, b = normal(2, 3, 5), normal(2, 5, 4)
for axis in (-1, 1):
    attributes = {"activation": "Softmax", "activation_axis": axis}
    add("FusedMatMulActivation", [a, b], softmax(a @ b, axis), attributes, id=f"softmax-{axis}")
add("FusedMatMulActivation", [a, b], relu(0.5 * (a @ b)), {"activation": "Relu", "alpha": 0.5}, id="relu")
turned = [np.ascontiguousarray(x.swapaxes(1, 2)) for x in (a, b)]
add(
    "FusedMatMulActivation",
    turned,
    elu(a @ b).astype(np.float32),
    {"activation": "Elu", "transA": 1, "transB": 1},
    id="elu",
)

a, b = normal(7, 5), normal(5, 11)
for bias in (None, normal(11)):
    inputs = [a, b] if bias is None else [a, b, bias]
    expected = gelu_tanh(a.astype(np.float64) @ b + (0 if bias is None else bias)).astype(np.float32)
    add("GemmFastGelu", inputs, expected, id="bias" if bias is not None else "")

for trans_a in (0, 1):
    for trans_b in (0, 1):
        for dtype in (np.float32, np.float64, np.int32, np.int64, np.uint32, np.uint64):
            sparse = (rng.integers(0, 4, (5, 7)) * (rng.random((5, 7)) < 0.3)).astype(dtype)
            dense = rng.integers(0, 9, (7, 3)).astype(dtype)
            inputs = [np.ascontiguousarray(sparse.T) if trans_a else sparse, dense]
            inputs[1] = np.ascontiguousarray(dense.T) if trans_b else dense
            attributes = {"transA": trans_a, "transB": trans_b, "alpha": 2.0}
            id = f"{np.dtype(dtype).name}-{trans_a}{trans_b}"
            add("SparseToDenseMatMul", inputs, 2 * (sparse @ dense), attributes, id=id, exact=True)

data, bias = normal(2, 3, 5, 7), normal(2, 1, 5, 7)
add("BiasSoftmax", [data, bias], softmax(data + bias), {"axis": 3, "is_inner_broadcast": 0}, id="last axis")
inner = normal(2, 1, 1, 7)
add("BiasSoftmax", [data, inner], softmax(data + inner), {"axis": 3, "is_inner_broadcast": 1}, id="inner")
expected = softmax((data + bias).reshape(6, 35)).reshape(data.shape)
add("BiasSoftmax", [data, bias], expected, {"axis": 2, "is_inner_broadcast": 0}, id="two axes")

# ---- convolutions ----------------------------------------------------------------------------------------------------


def conv(x: np.ndarray, w: np.ndarray, b: np.ndarray | None, **more: Any) -> np.ndarray:
    tensors = [None if item is None else torch.from_numpy(item.astype(np.float64)) for item in (x, w, b)]
    return torch.nn.functional.conv2d(*tensors, **more).numpy()


CONV_ACTIVATIONS = [
    ("", [], lambda x: x),
    ("Relu", [], relu),
    ("Sigmoid", [], sigmoid),
    ("Tanh", [], np.tanh),
    ("LeakyRelu", [0.25], lambda x: np.where(x < 0, 0.25 * x, x)),
    ("Clip", [-0.5, 0.75], clip),
    ("HardSigmoid", [0.25, 0.625], lambda x: np.clip(0.25 * x + 0.625, 0, 1)),
    ("Elu", [0.5], lambda x: elu(x, 0.5)),
    ("Softplus", [], softplus),
]
for name, params, f in CONV_ACTIVATIONS:
    for dtype in (np.float32, np.float64, np.float16):
        for extra in ("", "b", "bz", "z") if dtype == np.float32 else ("bz",):
            x, w = normal(2, 6, 7, 9, dtype=dtype), (normal(8, 3, 3, 2) / 4).astype(dtype)
            b = normal(8, dtype=dtype) if "b" in extra else None
            y = conv(x, w, b, groups=2, stride=(2, 1), padding=(1, 0), dilation=(1, 2))
            z = normal(*y.shape, dtype=dtype) if "z" in extra else None
            expected = f(y if z is None else y + z).astype(dtype)
            inputs = [x, w, b, z][: 4 if z is not None else 3 if b is not None else 2]
            attributes = {"group": 2, "strides": [2, 1], "pads": [1, 0, 1, 0], "dilations": [1, 2]}
            attributes |= {"activation": name, "activation_params": params} if name else {}
            attributes = {key: value for key, value in attributes.items() if value != []}
            id = f"{name or 'none'}-{np.dtype(dtype).name}-{extra}"
            add("FusedConv", inputs, expected, attributes, id=id)
            last = [None if item is None else np.ascontiguousarray(np.moveaxis(item, 1, -1)) for item in (x, z)]
            inputs = [last[0], w, b, last[1]][: len(inputs)]
            expected = np.ascontiguousarray(np.moveaxis(expected, 1, -1))
            add("NhwcFusedConv", inputs, expected, attributes, id=id)
            if not name and z is None:
                add("NhwcConv", inputs, expected, attributes, id=id)

for dims, group in ((1, 1), (2, 2), (3, 1)):
    function = getattr(torch.nn.functional, f"conv_transpose{dims}d")
    size = (5, 6, 4)[:dims]
    for pads in (None, [0] * 2 * dims, [1] * 2 * dims, [1, 0, 0, 2, 0, 1][: 2 * dims]):
        for with_bias in (False, True):
            x, w = normal(2, 4, *size), normal(4, 3, *[3] * dims)
            b = normal(3 * group) if with_bias else None
            tensors = [None if item is None else torch.from_numpy(item) for item in (x, w, b)]
            y = function(*tensors, stride=2, output_padding=1, groups=group).numpy()
            cut = pads or [0] * 2 * dims
            for axis in range(dims):
                y = np.take(y, range(cut[axis], y.shape[axis + 2] - cut[axis + dims]), axis + 2)
            attributes = {"strides": [2] * dims, "output_padding": [1] * dims, "group": group}
            inputs = [x, w, None if pads is None else np.array(pads), b][: 4 if with_bias else 3 if pads else 2]
            add("ConvTransposeWithDynamicPads", inputs, y, attributes, id=f"{dims}d-{pads}-{with_bias}")

for mode in ("bilinear", "nearest", "bicubic"):
    for padding in ("zeros", "border", "reflection"):
        for corners in (0, 1):
            x, grid = normal(2, 3, 5, 7), rng.uniform(-1.3, 1.3, (2, 4, 6, 2)).astype(np.float32)
            expected = torch.nn.functional.grid_sample(
                torch.from_numpy(x), torch.from_numpy(grid), mode, padding, bool(corners)
            ).numpy()
            attributes = {"mode": mode, "padding_mode": padding, "align_corners": corners}
            add("GridSample", [x, grid], expected, attributes, id=f"{mode}-{padding}-{corners}", rtol=1e-4, atol=1e-4)

# ---- IsAllFinite -----------------------------------------------------------------------------------------------------

for dtype in (np.float32, np.float64, np.float16):
    for bad in (0, np.inf, -np.inf, np.nan):
        for only in ({}, {"isnan_only": 1}, {"isinf_only": 1}):
            x, y = normal(3, 5, dtype=dtype), normal(7, dtype=dtype)
            y[3] = bad
            matters = not only or ("isnan_only" in only) == bool(np.isnan(bad))
            expected = np.array(bool(bad == 0 or not matters))
            add("IsAllFinite", [x, y], expected, only, id=f"{np.dtype(dtype).name}-{bad}-{'-'.join(only)}", exact=True)
add("IsAllFinite", [np.zeros(0, np.float32)], np.array(True), id="empty", exact=True)

# ---- activations' attributes -----------------------------------------------------------------------------------------

x = normal(3, 7)
for alpha in (None, 0.5, 3.0):
    factor = 1.702 if alpha is None else alpha
    add(
        "QuickGelu",
        [x],
        (x * sigmoid(factor * x.astype(np.float64))).astype(np.float32),
        {"alpha": alpha},
        id=f"{alpha}",
    )


# ---- operators that ONNX never released ------------------------------------------------------------------------------


def add_old(op: str, inputs: list[Any], expected: np.ndarray, attributes: dict | None = None, id: str = "") -> None:
    add(op, inputs, expected, attributes, id=id, domain="", opset=7)


x = normal(2, 3, 5, 7)
add_old("Affine", [x], 0.5 * x + 2, {"alpha": 0.5, "beta": 2.0})
add_old("Affine", [x], x, id="defaults")
add_old("Crop", [x], x[:, :, 1:-2, 2:-3], {"border": [2, 1, 3, 2]})
add_old("Crop", [x], x[:, :, 1:4, 2:4], {"border": [2, 1, 0, 0], "scale": [3, 2]}, id="scale")
add_old("ImageScaler", [x], 2 * x + np.float32([1, 2, 3]).reshape(3, 1, 1), {"bias": [1.0, 2.0, 3.0], "scale": 2.0})
add_old("ParametricSoftplus", [x], 0.5 * softplus(2 * x), {"alpha": 0.5, "beta": 2.0})
add_old("Scale", [x], 3 * x, {"scale": 3.0})
add_old("ScaledTanh", [x], 0.5 * np.tanh(2 * x), {"alpha": 0.5, "beta": 2.0})
add_old("ThresholdedRelu", [x], np.where(x > 0.5, x, 0), {"alpha": 0.5})
add_old("ThresholdedRelu", [x], np.where(x > 1, x, 0), id="defaults")
for across in (None, 0, 1):
    axes = (0, 1, 2, 3) if across else (0, 2, 3)
    centred = x - x.mean(axes, keepdims=True)
    scaled = centred / x.std(axes, keepdims=True)
    add_old("MeanVarianceNormalization", [x], scaled, {"across_channels": across}, id=f"{across}")
    attributes = {"across_channels": across, "normalize_variance": 0}
    add_old("MeanVarianceNormalization", [x], centred, attributes, id=f"{across}-mean")
starts, ends, axes = np.array([1, -6]), np.array([100, -1]), np.array([2, 3])
add_old("DynamicSlice", [x, starts, ends, axes], x[:, :, 1:, -6:-1], id="axes")
add_old("DynamicSlice", [x, starts, ends], x[1:, -6:-1], id="all axes")
values = [1.5, -2.0, 3.0, 4.0, 5.0, 6.0]
filled = np.array(values, np.float32).reshape(2, 3)
add_old("GivenTensorFill", [np.zeros((2, 3), np.float32)], filled, {"values": values}, id="like")
add_old("GivenTensorFill", [np.array([2])], filled, {"values": values, "input_as_shape": 1, "extra_shape": [3]})
