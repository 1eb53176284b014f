"""Depthwise convolutions of bytes: every number is that of sums in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx.parser
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import fastort

TYPES = {np.uint8: "uint8", np.int8: "int8"}
Pair = tuple[int, int]


def check(
    channels: int,
    size: Pair,
    kernel: Pair,
    strides: Pair = (1, 1),
    pads: tuple[int, int, int, int] = (1, 1, 1, 1),
    dilations: Pair = (1, 1),
    types: tuple[Any, Any, Any] = (np.uint8, np.int8, np.uint8),
    batch: int = 1,
    extreme: bool = False,
    threads: int = 1,
) -> None:
    rng = np.random.default_rng(channels)
    x_type, w_type, y_type = types

    def draw(dtype: Any, shape: tuple[int, ...]) -> np.ndarray:
        info = np.iinfo(dtype)
        if extreme:
            return rng.choice([info.min, info.max], shape).astype(dtype)
        return rng.integers(info.min, info.max + 1, shape).astype(dtype)

    x = draw(x_type, (batch, channels, *size))
    # Numbers that fit a signed byte when their zero points are off, as those of models do.
    w_zero = np.where(rng.integers(0, 2, channels), 128, 127).astype(w_type) if w_type is np.uint8 else None
    w = draw(w_type, (channels, 1, *kernel))
    if w_zero is not None:
        w = np.clip(w.astype(int) - w_zero[:, None, None, None], -128, 127) + w_zero[:, None, None, None]
        w = w.astype(w_type)
    zeros = np.zeros(channels, w_type) if w_zero is None else w_zero
    x_zero, y_zero = np.array(np.iinfo(x_type).min + 7, x_type), np.array(np.iinfo(y_type).max - 99, y_type)
    bias = rng.integers(-3000, 3000, channels).astype(np.int32)
    centred = torch.nn.functional.pad(
        torch.from_numpy(x.astype(np.float64) - float(x_zero)), (pads[1], pads[3], pads[0], pads[2])
    )
    sums = torch.nn.functional.conv2d(
        centred,
        torch.from_numpy(w.astype(np.float64) - zeros.astype(np.float64)[:, None, None, None]),
        torch.from_numpy(bias.astype(np.float64)),
        stride=strides,
        dilation=dilations,
        groups=channels,
    ).numpy()
    x_scale, w_scale = np.float32(0.5), rng.uniform(0.5, 2, channels).astype(np.float32)
    # Most results lie inside of the bytes, so that a sum that is off by one changes some of them.
    y_scale = np.float32(np.abs(sums).mean() / 40 + 0.01)
    scale = (x_scale * w_scale / y_scale)[:, None, None]
    info = np.iinfo(y_type)
    expected = np.clip(np.rint(sums.astype(np.float32) * scale) + int(y_zero), info.min, info.max).astype(y_type)

    model = onnx.parser.parse_model(
        f'<ir_version: 10, opset_import: ["": 21]> g ({TYPES[x_type]}[n,{channels},h,w] x) '
        f"=> ({TYPES[y_type]}[n,{channels},a,b] y) {{ y = QLinearConv<pads = {list(pads)}, group = {channels}, "
        f"strides = {list(strides)}, dilations = {list(dilations)}>(x, xs, xz, weight, ws, wz, ys, yz, bias) }}"
    )
    named = {"xs": x_scale, "xz": x_zero, "weight": w, "ws": w_scale, "wz": zeros, "ys": y_scale, "yz": y_zero}
    named["bias"] = bias
    model.graph.initializer.extend(onnx.numpy_helper.from_array(np.asarray(v), k) for k, v in named.items())
    options = fastort.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("fastort.prefer_kernel", "channels_last")
    session = fastort.InferenceSession(model.SerializeToString(), options)
    (result,) = session.run(None, {"x": x})
    assert "channels_last" in session.explain()
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("types", [(a, b, c) for a in TYPES for b in TYPES for c in TYPES])
@pytest.mark.parametrize("strides", [(1, 1), (2, 2), (1, 2), (2, 1), (3, 3)])
@pytest.mark.parametrize("channels", [2, 15, 16, 17, 31, 32, 33, 64, 67, 96, 129])
def test_channels(channels: int, strides: Pair, types: tuple[Any, Any, Any]) -> None:
    check(channels, (7, 10), (3, 3), strides, types=types, batch=2)


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 1), (2, 2), (3, 5), (5, 3), (4, 4), (1, 17), (23, 1), (9, 31)])
@pytest.mark.parametrize("kernel", [(1, 1), (1, 3), (3, 1), (2, 2), (3, 3), (4, 4), (3, 5), (5, 5), (7, 7), (5, 8)])
def test_sizes(size: Pair, kernel: Pair) -> None:
    pads = (kernel[0] // 2, kernel[1] // 2, kernel[0] // 2, kernel[1] // 2)
    for strides in ((1, 1), (2, 2)):
        check(48, size, kernel, strides, pads)
        check(80, size, kernel, strides, pads, types=(np.int8, np.int8, np.int8), extreme=True)


@pytest.mark.parametrize("dilations", [(2, 2), (1, 2), (2, 1)])
def test_dilations(dilations: Pair) -> None:
    check(64, (11, 12), (3, 3), pads=(2, 2, 2, 2), dilations=dilations)


@pytest.mark.parametrize("pads", [(0, 0, 0, 0), (0, 1, 2, 3), (3, 0, 0, 2), (5, 5, 5, 5)])
@pytest.mark.parametrize("strides", [(1, 1), (2, 2)])
def test_pads(pads: tuple[int, int, int, int], strides: Pair) -> None:
    check(40, (6, 7), (3, 3), strides, pads, types=(np.int8, np.uint8, np.uint8))
    check(70, (6, 7), (5, 5), strides, pads, extreme=True)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 140),
    st.tuples(st.integers(1, 20), st.integers(1, 20)),
    st.tuples(st.integers(1, 7), st.integers(1, 7)),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.tuples(*[st.integers(0, 4)] * 4),
    st.tuples(*[st.sampled_from(list(TYPES))] * 3),
    st.sampled_from([1, 2]),
    st.booleans(),
)
def test_any(
    channels: int,
    size: Pair,
    kernel: Pair,
    strides: Pair,
    pads: tuple[int, int, int, int],
    types: tuple[Any, Any, Any],
    threads: int,
    extreme: bool,
) -> None:
    padded = (size[0] + pads[0] + pads[2], size[1] + pads[1] + pads[3])
    if channels < 2 or padded[0] < kernel[0] or padded[1] < kernel[1]:
        return
    check(channels, size, kernel, strides, pads, types=types, batch=2, threads=threads, extreme=extreme)
