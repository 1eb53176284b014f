"""Conv, FusedConv and ConvTranspose. Expected values come from PyTorch in double precision."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import torch
from torch.nn import functional

from tests.ops.case import Case

CASES: list[Case] = []
torch.set_num_threads(1)  # maps this small gain nothing from more

_CONV = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
_CONV_TRANSPOSE = {1: functional.conv_transpose1d, 2: functional.conv_transpose2d, 3: functional.conv_transpose3d}
_ACTIVATION = {
    "Relu": torch.relu,
    "LeakyRelu": lambda x, a: functional.leaky_relu(x, a),
    "Clip": lambda x, a, b: x.clamp(a, b),
    "Sigmoid": torch.sigmoid,
    "Tanh": torch.tanh,
    "HardSigmoid": lambda x, a, b: (a * x + b).clamp(0, 1),
    "HardSwish": functional.hardswish,
    "Silu": functional.silu,
    "Gelu": functional.gelu,
    "GeluTanh": lambda x: functional.gelu(x, approximate="tanh"),
}
_TOLERANCE = {"float32": 1e-5, "float64": 1e-12, "float16": 2e-3, "bfloat16": 1.6e-2}


def _dtype(name: str) -> np.dtype:
    return np.dtype(ml_dtypes.bfloat16) if name == "bfloat16" else np.dtype(name)


def _random(shape: tuple[int, ...], dtype: str, seed: int, scale: float = 1.0) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal(shape) * scale).astype(_dtype(dtype))


def _double(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array.astype(np.float64)))


def _same_pads(size: int, kernel: int, stride: int, dilation: int, upper: bool) -> tuple[int, int]:
    out = -(-size // stride)
    total = max((out - 1) * stride + dilation * (kernel - 1) + 1 - size, 0)
    return (total // 2, total - total // 2) if upper else (total - total // 2, total // 2)


def conv(
    x: tuple[int, ...],
    w: tuple[int, ...],
    *,
    dtype: str = "float32",
    bias: bool = True,
    residual: bool = False,
    activation: str | None = None,
    params: list[float] | None = None,
    seed: int = 0,
    id: str = "",
    **attributes: Any,
) -> None:
    """Adds a row; `x` and `w` are shapes, the attributes are Conv's."""
    rank = len(x) - 2
    src = _random(x, dtype, seed)
    weights = _random(w, dtype, seed + 1, 1 / np.sqrt(max(np.prod(w[1:]), 1)))
    shift = _random((w[0],), dtype, seed + 2) if bias else None
    strides = attributes.get("strides", [1] * rank)
    dilations = attributes.get("dilations", [1] * rank)
    mode = attributes.get("auto_pad", "NOTSET")
    if mode.startswith("SAME"):
        pads = [_same_pads(x[i + 2], w[i + 2], strides[i], dilations[i], mode == "SAME_UPPER") for i in range(rank)]
    else:
        flat = attributes.get("pads", [0] * (2 * rank))
        pads = [(flat[i], flat[rank + i]) for i in range(rank)]
    inputs: list[np.ndarray | None] = [src, weights, shift]
    sizes = [(x[i + 2] + sum(pads[i]) - dilations[i] * (w[i + 2] - 1) - 1) // strides[i] + 1 for i in range(rank)]
    if residual:
        inputs.append(_random((x[0], w[0], *sizes), dtype, seed + 3))
    group = attributes.get("group", 1)
    fused = residual or activation is not None
    if activation is not None:
        attributes["activation"] = activation
        if params:
            attributes["activation_params"] = params

    def expected() -> list[np.ndarray]:
        if x[0] == 0:
            y = torch.zeros((0, w[0], *sizes), dtype=torch.float64)
        else:
            padded = functional.pad(_double(src), [p for pair in reversed(pads) for p in pair])
            addend = None if shift is None else _double(shift)
            y = _CONV[rank](padded, _double(weights), addend, stride=strides, dilation=dilations, groups=group)
        if residual:
            y = y + _double(inputs[3])
        if activation is not None:
            y = _ACTIVATION[activation](y, *(params or []))
        return [y.numpy().astype(_dtype(dtype))]

    while inputs[-1] is None:
        inputs.pop()
    tolerance = _TOLERANCE[dtype]
    CASES.append(
        Case(
            "FusedConv" if fused else "Conv",
            inputs,
            attributes,
            domain="com.microsoft" if fused else "",
            expected=expected,
            rtol=max(tolerance, 1e-12),
            atol=tolerance,
            id=id or "x".join(map(str, x)) + "-" + "x".join(map(str, w)),
        )
    )


# Awkward channel counts around the blocks of 8 and 16, with every kind of kernel.
for _c in (1, 3, 5, 7, 8, 13, 16, 17, 24, 33):
    conv((1, _c, 13, 7), (_c + 2, _c, 3, 3), pads=[1, 1, 1, 1], seed=_c)
    conv((2, _c, 7, 9), (11, _c, 1, 1), seed=_c, bias=False)
for _c in (3, 8, 13, 16, 40):
    for _k in (3, 5, 7):
        for _s in (1, 2):
            conv(
                (1, _c, 13, 11),
                (_c, 1, _k, _k),
                group=_c,
                strides=[_s, _s],
                pads=[_k // 2] * 4,
                id=f"depthwise-c{_c}-k{_k}-s{_s}",
            )
# Sizes of the maps.
for _h in (1, 7, 13):
    conv((1, 16, _h, _h), (16, 16, 3, 3), pads=[1, 1, 1, 1], id=f"map{_h}")
    conv((3, 32, _h, _h), (24, 32, 1, 1), strides=[2, 2], id=f"pointwise-s2-map{_h}")
conv((1, 3, 37, 41), (16, 3, 7, 7), strides=[2, 2], pads=[3, 3, 3, 3], id="stem")
conv((1, 1, 32, 20), (64, 1, 3, 3), pads=[1, 1, 1, 1], id="one-channel")
conv((2, 20, 9, 30), (40, 20, 3, 3), pads=[0, 2, 1, 0], id="asymmetric-pads")
conv((1, 16, 18, 19), (32, 16, 3, 3), pads=[2, 2, 2, 2], id="winograd-wide-pads")
conv((1, 8, 9, 9), (8, 8, 3, 3), pads=[-1, 0, -2, -1], id="negative-pads")
conv((1, 64, 1, 1), (16, 64, 1, 1), id="vector")
conv((3, 13, 1, 1), (5, 13, 1, 1), id="vector-odd")
conv((2, 203, 1, 1), (641, 203, 1, 1), id="vector-parts")
conv((1, 16, 1, 1), (16, 16, 3, 3), pads=[1, 1, 1, 1], id="only-the-centre-tap")
conv((1, 8, 5, 5), (4, 8, 5, 5), id="kernel-as-large-as-the-map")
for _g, _c, _m in ((2, 4, 6), (2, 16, 32), (4, 32, 16), (3, 9, 3), (4, 4, 8), (5, 5, 15)):
    conv((2, _c, 8, 9), (_m, _c // _g, 3, 3), group=_g, pads=[1, 1, 1, 1], id=f"group{_g}-{_c}-{_m}")
for _d in (2, 3):
    conv((1, 16, 17, 15), (8, 16, 3, 3), dilations=[_d, _d], pads=[_d] * 4, id=f"dilation{_d}")
    conv((1, 8, 17, 15), (8, 1, 3, 3), dilations=[_d, 1], group=8, id=f"depthwise-dilation{_d}")
for _mode in ("SAME_UPPER", "SAME_LOWER", "VALID"):
    conv((1, 3, 10, 7), (4, 3, 4, 3), auto_pad=_mode, id=_mode)
    conv((1, 8, 10, 7), (8, 8, 3, 2), auto_pad=_mode, strides=[2, 3], id=f"{_mode}-strides")
    conv((1, 8, 10, 7), (8, 8, 3, 2), auto_pad=_mode, dilations=[2, 2], id=f"{_mode}-dilations")
conv((2, 3, 19), (5, 3, 4), strides=[3], pads=[2, 1], id="1d")
conv((1, 16, 33), (24, 16, 3), pads=[1, 1], dilations=[1], id="1d-blocks")
conv((1, 12, 31), (12, 1, 5), group=12, pads=[2, 2], id="1d-depthwise")
conv((1, 2, 5, 6, 7), (3, 2, 3, 2, 3), strides=[1, 2, 1], pads=[1, 0, 1, 1, 1, 1], id="3d")
conv((1, 16, 4, 6, 7), (8, 16, 3, 3, 3), pads=[1] * 6, id="3d-blocks")
conv((1, 8, 4, 6, 7), (8, 1, 3, 3, 3), group=8, pads=[1] * 6, id="3d-depthwise")
conv((0, 3, 8, 8), (4, 3, 3, 3), id="empty-batch")
for _t in ("float64", "float16", "bfloat16"):
    conv((2, 5, 9, 8), (7, 5, 3, 3), dtype=_t, pads=[1, 1, 1, 1], id=_t)
    conv((1, 4, 9, 8), (8, 2, 3, 2), dtype=_t, group=2, strides=[2, 1], bias=False, id=f"{_t}-groups")
    conv((1, 4, 11), (3, 4, 3), dtype=_t, id=f"{_t}-1d")

# Epilogues, on maps that go to Winograd, oneDNN (dense, pointwise, depthwise), the vector kernel and the plain loops.
_PARAMS = {"LeakyRelu": [0.125], "Clip": [-0.25, 0.75], "HardSigmoid": [0.25, 0.4]}
for _name in _ACTIVATION:
    for _residual in (False, True):
        _tail = f"{_name}{'-residual' if _residual else ''}"
        _extra: dict[str, Any] = {"activation": _name, "params": _PARAMS.get(_name), "residual": _residual}
        conv((1, 16, 9, 10), (20, 16, 3, 3), pads=[1, 1, 1, 1], **_extra, id=f"winograd-{_tail}")
        conv((1, 12, 9, 10), (20, 12, 3, 3), strides=[2, 2], **_extra, id=f"dense-{_tail}")
        conv((2, 16, 5, 7), (12, 16, 1, 1), bias=False, **_extra, id=f"pointwise-{_tail}")
        conv((1, 12, 9, 10), (12, 1, 3, 3), group=12, pads=[1, 1, 1, 1], **_extra, id=f"depthwise-{_tail}")
        conv((2, 24, 1, 1), (10, 24, 1, 1), **_extra, id=f"vector-{_tail}")
        conv((1, 6, 7, 7), (9, 2, 3, 3), group=3, **_extra, id=f"groups-{_tail}")
conv((1, 4, 6, 6), (4, 4, 3, 3), residual=True, id="residual-alone")
conv((1, 4, 6, 6), (4, 4, 3, 3), dtype="float64", residual=True, activation="Relu", id="residual-float64")

# Values at the edges of float32.
_extreme = np.zeros((1, 2, 4, 4), np.float32)
_extreme[0, 0, 1, 1] = 3e38
_extreme[0, 1, 2, 2] = -3e38
_extreme[0, 0, 3, 3] = 1e-40
CASES.append(
    Case(
        "Conv",
        [_extreme, np.ones((2, 2, 1, 1), np.float32)],
        expected=[np.repeat(_extreme.sum(1, keepdims=True), 2, 1)],
        id="extremes",
    )
)


def conv_transpose(
    x: tuple[int, ...],
    w: tuple[int, ...],
    *,
    dtype: str = "float32",
    bias: bool = True,
    crop: list[int] | None = None,
    seed: int = 0,
    id: str = "",
    **attributes: Any,
) -> None:
    """Adds a row. `crop` are begins and ends cut off the full output where `pads` does not say so."""
    rank = len(x) - 2
    src = _random(x, dtype, seed)
    weights = _random(w, dtype, seed + 1, 1 / np.sqrt(max(np.prod(w[:1] + w[2:]), 1)))
    group = attributes.get("group", 1)
    shift = _random((w[1] * group,), dtype, seed + 2) if bias else None
    extra = attributes.get("output_padding", [0] * rank)

    def expected() -> list[np.ndarray]:
        full = _CONV_TRANSPOSE[rank](
            _double(src),
            _double(weights),
            None if shift is None else _double(shift),
            stride=attributes.get("strides", [1] * rank),
            dilation=attributes.get("dilations", [1] * rank),
            groups=group,
        )
        if any(extra):
            tail = torch.zeros((), dtype=torch.float64) if shift is None else _double(shift).reshape(1, -1, *[1] * rank)
            grown = torch.zeros(
                (*full.shape[:2], *[s + e for s, e in zip(full.shape[2:], extra, strict=True)]), dtype=torch.float64
            )
            grown = grown + tail
            grown[tuple(slice(0, s) for s in full.shape)] = full
            full = grown
        cut = crop if crop is not None else attributes.get("pads", [0] * (2 * rank))
        y = full[(..., *[slice(cut[i], full.shape[i + 2] - cut[rank + i]) for i in range(rank)])]
        return [np.ascontiguousarray(y.numpy()).astype(_dtype(dtype))]

    tolerance = _TOLERANCE[dtype]
    CASES.append(
        Case(
            "ConvTranspose",
            [src, weights] if shift is None else [src, weights, shift],
            attributes,
            expected=expected,
            rtol=tolerance,
            atol=tolerance,
            id=id or "x".join(map(str, x)) + "-" + "x".join(map(str, w)),
        )
    )


for _c in (1, 3, 5, 8, 13, 17):
    conv_transpose((1, _c, 7, 5), (_c, _c + 1, 3, 3), strides=[2, 2], pads=[1, 1, 1, 1], seed=_c)
conv_transpose((2, 8, 6, 7), (8, 4, 2, 2), strides=[2, 2], bias=False, id="upsample")
conv_transpose((1, 8, 6, 7), (8, 4, 4, 3), strides=[3, 2], pads=[1, 0, 2, 1], id="asymmetric")
conv_transpose((1, 6, 5, 5), (6, 4, 3, 3), group=2, strides=[2, 1], id="group2")
conv_transpose((1, 6, 5, 5), (6, 1, 3, 3), group=6, strides=[2, 2], pads=[1] * 4, id="depthwise")
conv_transpose((1, 4, 5, 6), (4, 3, 3, 2), dilations=[2, 3], strides=[2, 1], id="dilations")
conv_transpose(
    (1, 4, 5, 6), (4, 3, 3, 3), strides=[3, 2], output_padding=[2, 1], pads=[1, 1, 1, 1], id="output-padding"
)
conv_transpose((1, 4, 9), (4, 3, 4), strides=[2], pads=[1, 1], id="1d")
conv_transpose((1, 3, 3, 4, 2), (3, 2, 2, 3, 2), strides=[2, 1, 2], pads=[0, 1, 0, 1, 1, 0], id="3d")
# Total padding 1 along both axes: SAME_UPPER cuts the odd one at the end, the others at the begin.
conv_transpose((1, 5, 4, 6), (5, 2, 3, 3), strides=[2, 2], auto_pad="SAME_UPPER", crop=[0, 0, 1, 1], id="same-upper")
conv_transpose((1, 5, 4, 6), (5, 2, 3, 3), strides=[2, 2], auto_pad="SAME_LOWER", crop=[1, 1, 0, 0], id="same-lower")
conv_transpose((1, 5, 4, 6), (5, 2, 3, 3), strides=[2, 2], output_shape=[8, 11], crop=[1, 1, 0, 1], id="output-shape")
for _t in ("float64", "float16", "bfloat16"):
    conv_transpose((2, 3, 5, 4), (3, 4, 3, 3), dtype=_t, strides=[2, 2], pads=[1, 1, 1, 1], id=_t)
conv_transpose((0, 3, 4, 4), (3, 2, 3, 3), strides=[2, 2], id="empty-batch")


def conv_integer(
    x: tuple[int, ...],
    w: tuple[int, ...],
    types: tuple[str, str],
    *,
    per_channel: bool = False,
    bias: bool = False,
    id: str = "",
    **attributes: Any,
) -> None:
    """Adds a row of ConvInteger and one of QLinearConv; sums in float64 are exact."""
    rank = len(x) - 2
    rng = np.random.default_rng(7)
    src, weights = (
        rng.integers(np.iinfo(t).min, np.iinfo(t).max + 1, s).astype(t) for s, t in zip((x, w), types, strict=True)
    )
    src_zero = np.array(3, types[0])
    weights_zero = rng.integers(0, 9, w[0]).astype(types[1]) if per_channel else np.array(2, types[1])
    flat = attributes.get("pads", [0] * (2 * rank))
    centred = functional.pad(
        _double(src) - float(src_zero), [p for i in reversed(range(rank)) for p in (flat[i], flat[rank + i])]
    )
    sums = _CONV[rank](
        centred,
        _double(weights) - _double(weights_zero).reshape(-1, *[1] * (rank + 1)),
        stride=attributes.get("strides", [1] * rank),
        dilation=attributes.get("dilations", [1] * rank),
        groups=attributes.get("group", 1),
    ).numpy()
    CASES.append(
        Case(
            "ConvInteger",
            [src, weights, src_zero, weights_zero],
            dict(attributes),
            expected=[sums.astype(np.int32)],
            rtol=0,
            atol=0,
            id=id,
        )
    )
    shift = rng.integers(-5000, 5000, w[0]).astype(np.int32)
    src_scale, dst_scale = np.float32(0.02), np.float32(0.5)
    weights_scale = rng.uniform(0.001, 0.01, w[0]).astype(np.float32) if per_channel else np.array(0.004, np.float32)
    dst_zero = np.array(5, types[0])
    if bias:
        sums = sums + shift.reshape(1, -1, *[1] * rank)
    scale = src_scale * weights_scale.reshape(-1, *[1] * rank) / dst_scale
    limits = np.iinfo(types[0])
    # One step apart where the products round differently at a tie.
    quantized = np.clip(np.rint(sums * scale.astype(np.float64)) + int(dst_zero), limits.min, limits.max)
    inputs = [src, np.array(src_scale), src_zero, weights, weights_scale, weights_zero, np.array(dst_scale), dst_zero]
    inputs = [*inputs, shift] if bias else inputs
    expected = quantized.astype(types[0])
    CASES.append(Case("QLinearConv", inputs, dict(attributes), expected=[expected], rtol=0, atol=1, id=id))
    for last in (0, 1):
        ends = [np.ascontiguousarray(np.moveaxis(item, 1, -1)) if last else item for item in (src, expected)]
        CASES.append(
            Case(
                "QLinearConv",
                [ends[0], *inputs[1:]],
                {**attributes, "channels_last": last},
                "com.microsoft",
                expected=[ends[1]],
                rtol=0,
                atol=1,
                id=f"{id}-contrib-{last}",
                opset=1,
            )
        )


for _x in ("uint8", "int8"):
    for _w in ("uint8", "int8"):
        conv_integer((2, 5, 7, 9), (4, 5, 3, 3), (_x, _w), pads=[1, 1, 1, 1], id=f"{_x}-{_w}")
        conv_integer((1, 6, 7, 5), (8, 3, 3, 2), (_x, _w), group=2, per_channel=True, bias=True, id=f"{_x}-{_w}-groups")
conv_integer((1, 3, 11), (4, 3, 3), ("uint8", "int8"), strides=[2], dilations=[2], bias=True, id="1d")
conv_integer((1, 2, 4, 5, 6), (3, 2, 2, 3, 2), ("uint8", "int8"), pads=[1, 0, 1, 0, 1, 0], id="3d")


def deform_conv(
    x: tuple[int, ...],
    w: tuple[int, ...],
    *,
    dtype: str = "float32",
    offset_group: int = 1,
    bias: bool = True,
    mask: bool = True,
    id: str = "",
    **attributes: Any,
) -> None:
    """Adds a row, computed tap by tap with PyTorch's bilinear grid_sample."""
    strides = attributes.get("strides", [1, 1])
    dilations = attributes.get("dilations", [1, 1])
    pads = attributes.get("pads", [0, 0, 0, 0])
    group = attributes.get("group", 1)
    size = [(x[i + 2] + pads[i] + pads[i + 2] - dilations[i] * (w[i + 2] - 1) - 1) // strides[i] + 1 for i in (0, 1)]
    taps = w[2] * w[3]
    src = _random(x, dtype, 0)
    weights = _random(w, dtype, 1, 1 / np.sqrt(np.prod(w[1:])))
    offset = _random((x[0], offset_group * taps * 2, *size), dtype, 2)
    shift = _random((w[0],), dtype, 3) if bias else None
    scale = np.abs(_random((x[0], offset_group * taps, *size), dtype, 4)) if mask else None
    per_group = x[1] // offset_group
    columns = torch.zeros((x[0], x[1], taps, *size), dtype=torch.float64)
    rows, cols = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in size), indexing="ij")
    for g in range(offset_group):
        for k in range(taps):
            at = (g * taps + k) * 2
            y = rows * strides[0] - pads[0] + k // w[3] * dilations[0] + _double(offset)[:, at]
            z = cols * strides[1] - pads[1] + k % w[3] * dilations[1] + _double(offset)[:, at + 1]
            grid = torch.stack((z / (x[3] - 1) * 2 - 1, y / (x[2] - 1) * 2 - 1), -1)
            part = slice(g * per_group, (g + 1) * per_group)
            values = functional.grid_sample(_double(src)[:, part], grid, align_corners=True)
            if scale is not None:
                values = values * _double(scale)[:, g * taps + k].unsqueeze(1)
            columns[:, part, k] = values
    grouped = columns.reshape(x[0], group, w[1] * taps, *size)
    result = torch.einsum("ngkhw,gmk->ngmhw", grouped, _double(weights).reshape(group, w[0] // group, -1))
    result = result.reshape(x[0], w[0], *size)
    inputs: list[np.ndarray | None] = [src, weights, offset, shift, scale]
    if shift is not None:
        result = result + _double(shift).reshape(1, -1, 1, 1)
    while inputs[-1] is None:
        inputs.pop()
    tolerance = _TOLERANCE[dtype]
    CASES.append(
        Case(
            "DeformConv",
            inputs,
            {"offset_group": offset_group, **attributes},
            expected=[result.numpy().astype(_dtype(dtype))],
            rtol=tolerance,
            atol=tolerance * 2,
            id=id,
        )
    )


deform_conv((2, 3, 7, 6), (4, 3, 3, 3), pads=[1, 1, 1, 1], id="mask-and-bias")
deform_conv((1, 4, 7, 6), (6, 2, 3, 2), group=2, offset_group=2, strides=[2, 1], mask=False, id="groups")
deform_conv((1, 4, 9, 9), (3, 4, 2, 2), dilations=[2, 3], bias=False, mask=False, id="dilations")
deform_conv((1, 4, 6, 6), (3, 4, 3, 3), offset_group=4, pads=[0, 1, 2, 1], bias=False, id="offset-groups")
deform_conv((1, 2, 5, 5), (2, 2, 3, 3), dtype="float64", id="float64")
