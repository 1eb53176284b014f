"""Random sizes, strides, dilations and pads for convolutions and pooling, against PyTorch and the plain definition."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from .cases.pool import pool_by_definition
from .properties import check_close, property_settings, run

_ranks = st.sampled_from([1, 1, 2, 2, 2, 3])
_tolerance = {np.float32: 1e-5, np.float64: 1e-12, np.float16: 4e-3}
_types = st.sampled_from([np.float32, np.float32, np.float32, np.float64, np.float16])


def draw_ints(data: st.DataObject, rank: int, low: int, high: int) -> list[int]:
    return [data.draw(st.integers(low, high)) for _ in range(rank)]


def normal(data: st.DataObject, shape: tuple[int, ...], dtype: type) -> np.ndarray:
    return np.random.default_rng(data.draw(st.integers(0, 2**16))).standard_normal(shape).astype(dtype)


def window(data: st.DataObject, rank: int) -> dict[str, Any]:
    """Attributes that convolutions and pooling share; with an auto_pad there are no pads."""
    most = 5 if rank < 3 else 3
    attributes: dict[str, Any] = {
        "kernel_shape": draw_ints(data, rank, 1, most),
        "strides": draw_ints(data, rank, 1, 3),
        "dilations": draw_ints(data, rank, 1, 3) if data.draw(st.booleans()) else [1] * rank,
    }
    mode = data.draw(st.sampled_from(["NOTSET", "NOTSET", "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"]))
    if mode == "NOTSET":
        attributes["pads"] = draw_ints(data, 2 * rank, 0, 3)
    else:
        attributes["auto_pad"] = mode
    return attributes


def resolve(attributes: dict[str, Any], sizes: list[int]) -> list[int]:
    """The pads, begins before ends."""
    mode = attributes.get("auto_pad", "NOTSET")
    if mode == "NOTSET":
        return attributes["pads"]
    begins, ends = [], []
    for size, kernel, stride, dilation in zip(
        sizes, attributes["kernel_shape"], attributes["strides"], attributes["dilations"], strict=True
    ):
        total = 0
        if mode.startswith("SAME"):
            total = max(0, (-(-size // stride) - 1) * stride + dilation * (kernel - 1) + 1 - size)
        begins.append(total - total // 2 if mode == "SAME_LOWER" else total // 2)
        ends.append(total - begins[-1])
    return begins + ends


def fits(attributes: dict[str, Any], sizes: list[int]) -> bool:
    pads, rank = resolve(attributes, sizes), len(sizes)
    return all(
        sizes[i] + pads[i] + pads[rank + i] > attributes["dilations"][i] * (attributes["kernel_shape"][i] - 1)
        for i in range(rank)
    )


@property_settings
@given(_ranks, st.data(), _types, st.booleans())
def test_conv(rank: int, data: st.DataObject, dtype: type, symbolic: bool) -> None:
    attributes = window(data, rank)
    sizes = draw_ints(data, rank, 1, 11 if rank < 3 else 6)
    assume(fits(attributes, sizes))
    groups = data.draw(st.sampled_from([1, 1, 1, 2, 3, 8]))
    inner, outer = data.draw(st.sampled_from([1, 2, 3, 5, 8, 16])), data.draw(st.sampled_from([1, 2, 3, 7, 8, 16]))
    # Small and large numbers of channels reach different kernels.
    inner, outer = (1, data.draw(st.sampled_from([1, 2]))) if groups == 8 else (inner, outer)
    x = normal(data, (data.draw(st.integers(0, 3)), groups * inner, *sizes), dtype)
    w = (normal(data, (groups * outer, inner, *attributes["kernel_shape"]), dtype) / 4).astype(dtype)
    b = normal(data, (groups * outer,), dtype) if data.draw(st.booleans()) else None
    pads = resolve(attributes, sizes)
    around = [pad for i in reversed(range(rank)) for pad in (pads[i], pads[rank + i])]
    tensors = [None if item is None else torch.from_numpy(item.astype(np.float64)) for item in (x, w, b)]
    tensors[0] = torch.nn.functional.pad(tensors[0], around)
    function = getattr(torch.nn.functional, f"conv{rank}d")
    more = {"stride": tuple(attributes["strides"]), "dilation": tuple(attributes["dilations"]), "groups": groups}
    expected = function(*tensors, **more).numpy()
    inputs = [x, w] if b is None else [x, w, b]
    if data.draw(st.booleans()):
        attributes.pop("kernel_shape")
    actual = run("Conv", inputs, symbolic, group=groups, **attributes)[0]
    check_close(actual, expected, _tolerance[dtype])


@property_settings
@given(_ranks, st.data(), _types, st.booleans())
def test_conv_transpose(rank: int, data: st.DataObject, dtype: type, symbolic: bool) -> None:
    most = 4 if rank < 3 else 3
    kernel, strides = draw_ints(data, rank, 1, most), draw_ints(data, rank, 1, 3)
    dilations = draw_ints(data, rank, 1, 3)
    padding = [data.draw(st.integers(0, max(s, d) - 1)) for s, d in zip(strides, dilations, strict=True)]
    sizes = draw_ints(data, rank, 1, 6 if rank < 3 else 4)
    groups, inner = data.draw(st.sampled_from([1, 1, 2, 3])), data.draw(st.sampled_from([1, 2, 4, 5, 8]))
    outer = data.draw(st.sampled_from([1, 3, 4, 8]))
    x = normal(data, (data.draw(st.integers(0, 2)), groups * inner, *sizes), dtype)
    w = (normal(data, (groups * inner, outer, *kernel), dtype) / 4).astype(dtype)
    b = normal(data, (groups * outer,), dtype) if data.draw(st.booleans()) else None
    attributes: dict[str, Any] = {"strides": strides, "dilations": dilations, "group": groups}
    whole = [(n - 1) * s + d * (k - 1) + 1 for n, s, d, k in zip(sizes, strides, dilations, kernel, strict=True)]
    attributes["output_padding"] = padding
    grown = [n + p for n, p in zip(whole, padding, strict=True)]
    begins, ends = [0] * rank, [0] * rank
    form = data.draw(st.sampled_from(["pads", "pads", "shape", "same"]))
    if form == "pads":
        begins, ends = draw_ints(data, rank, 0, 3), draw_ints(data, rank, 0, 3)
        assume(all(n > low + high for n, low, high in zip(grown, begins, ends, strict=True)))
        attributes["pads"] = begins + ends
    else:
        upper = data.draw(st.booleans())
        if form == "shape":
            target = [data.draw(st.integers(max(1, n - 3), n)) for n in grown]
            attributes["output_shape"] = target
            if upper:
                attributes["auto_pad"] = "SAME_UPPER"
        else:
            target = [n * s for n, s in zip(sizes, strides, strict=True)]
            assume(all(n >= t for n, t in zip(grown, target, strict=True)))
            attributes["auto_pad"] = "SAME_UPPER" if upper else "SAME_LOWER"
        cut = [n - t for n, t in zip(grown, target, strict=True)]
        begins = [n // 2 if upper else n - n // 2 for n in cut]
        ends = [n - low for n, low in zip(cut, begins, strict=True)]
    tensors = [None if item is None else torch.from_numpy(item.astype(np.float64)) for item in (x, w, b)]
    function = getattr(torch.nn.functional, f"conv_transpose{rank}d")
    more = {"stride": tuple(strides), "dilation": tuple(dilations), "output_padding": tuple(padding), "groups": groups}
    full = function(*tensors, **more).numpy()
    kept = [slice(low, n - high) for low, n, high in zip(begins, grown, ends, strict=True)]
    inputs = [x, w] if b is None else [x, w, b]
    actual = run("ConvTranspose", inputs, symbolic, **attributes)[0]
    check_close(actual, full[(..., *kept)], _tolerance[dtype])


def draw_pool(data: st.DataObject, rank: int, dtype: type) -> tuple[np.ndarray, dict[str, Any]]:
    attributes = window(data, rank)
    sizes = draw_ints(data, rank, 1, 9 if rank < 3 else 5)
    assume(fits(attributes, sizes))
    attributes["ceil_mode"] = data.draw(st.integers(0, 1)) if "pads" in attributes else 0
    channels = data.draw(st.sampled_from([1, 2, 3, 8, 9, 16]))
    return normal(data, (data.draw(st.integers(0, 2)), channels, *sizes), dtype), attributes


def definition(x: np.ndarray, kind: str, attributes: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    try:
        return pool_by_definition(x, kind, attributes)
    except ValueError:  # a window that lies in the padding alone has no value
        assume(False)
        raise


@property_settings
@given(_ranks, st.data(), _types, st.booleans())
def test_max_pool(rank: int, data: st.DataObject, dtype: type, symbolic: bool) -> None:
    x, attributes = draw_pool(data, rank, dtype)
    if data.draw(st.booleans()):
        attributes["storage_order"] = data.draw(st.integers(0, 1))
        values, where = definition(x, "Max", attributes)
        results = run("MaxPool", [x], symbolic, 2, **attributes)
        assert np.array_equal(results[1], where)
    else:
        values, _ = definition(x, "Max", attributes)
        results = run("MaxPool", [x], symbolic, **attributes)
    check_close(results[0], values, 0)


@property_settings
@given(_ranks, st.data(), _types, st.booleans())
def test_average_pool(rank: int, data: st.DataObject, dtype: type, symbolic: bool) -> None:
    x, attributes = draw_pool(data, rank, dtype)
    attributes["count_include_pad"] = data.draw(st.integers(0, 1))
    expected, _ = definition(x.astype(np.float64), "Average", attributes)
    check_close(run("AveragePool", [x], symbolic, **attributes)[0], expected, _tolerance[dtype])


@property_settings
@given(_ranks, st.data(), _types, st.booleans())
def test_lp_pool(rank: int, data: st.DataObject, dtype: type, symbolic: bool) -> None:
    x, attributes = draw_pool(data, rank, dtype)
    attributes["p"] = data.draw(st.integers(1, 3))
    expected, _ = definition(x.astype(np.float64), "Lp", attributes)
    check_close(run("LpPool", [x], symbolic, **attributes)[0], expected, _tolerance[dtype])
