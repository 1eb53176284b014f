"""Products of bytes are exact, whatever the weights are: the kernels that add products in 16 bits never leave these."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx.parser
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastort

# The share of large weights: none; few, so that parted weights are multiplied once more; most, so that it does not pay.
SHARES = {"small": 0.0, "few": 0.01, "many": 0.6}


def weights(dtype: Any, shape: tuple[int, ...], share: float, zero: int, seed: int) -> np.ndarray:
    """Returns small distances from the zero point and, where chance says so, the type's ends."""
    rng = np.random.default_rng(seed)
    info = np.iinfo(dtype)
    values = zero + rng.integers(-40, 41, shape)
    ends = np.array([info.min, info.min + 1, info.max - 1, info.max])
    values = np.where(rng.random(shape) < share, rng.choice(ends, shape), values)
    return np.clip(values, info.min, info.max).astype(dtype)


def product_model(a: np.ndarray, b: np.ndarray, zeros: np.ndarray, constant: bool) -> onnx.ModelProto:
    types = {np.dtype(np.int8): "int8", np.dtype(np.uint8): "uint8"}
    signature = f"{types[a.dtype]}[m,{a.shape[1]}] a, {types[a.dtype]} az"
    if not constant:
        signature += f", {types[b.dtype]}[{b.shape[0]},{b.shape[1]}] b, {types[b.dtype]}[{zeros.size}] bz"
    model = onnx.parser.parse_model(
        f'<ir_version: 10, opset_import: ["": 21]> g ({signature}) => (int32[m,{b.shape[1]}] y) '
        "{ y = MatMulInteger(a, b, az, bz) }"
    )
    if constant:
        model.graph.initializer.extend(
            [onnx.numpy_helper.from_array(b, "b"), onnx.numpy_helper.from_array(zeros, "bz")]
        )
    return model


def check_product(a: np.ndarray, a_zero: int, b: np.ndarray, zeros: np.ndarray, *, constant: bool = True) -> None:
    feeds = {"a": a, "az": np.array(a_zero, a.dtype)}
    if not constant:
        feeds |= {"b": b, "bz": zeros}
    expected = (a.astype(np.int64) - a_zero) @ (b.astype(np.int64) - zeros.astype(np.int64))
    for threads in (1, 3):
        options = fastort.SessionOptions()
        options.intra_op_num_threads = threads
        session = fastort.InferenceSession(product_model(a, b, zeros, constant).SerializeToString(), options)
        np.testing.assert_array_equal(session.run(None, feeds)[0], expected)


@pytest.mark.parametrize("share", SHARES.values(), ids=SHARES)
@pytest.mark.parametrize(("b_type", "zero"), [(np.int8, 0), (np.int8, -128), (np.uint8, 128), (np.uint8, 0)])
@pytest.mark.parametrize("a_type", [np.uint8, np.int8])
def test_products_at_the_ends(a_type: Any, b_type: Any, zero: int, share: float) -> None:
    """A of the largest numbers alone, on weights of one sign: every sum of a pair is as large as it can be."""
    for m, k, n in ((7, 1, 1), (7, 4, 16), (7, 67, 33), (7, 256, 129), (50, 67, 33), (49, 256, 129)):
        b = weights(b_type, (k, n), share, zero, k)
        for value in (np.iinfo(a_type).max, np.iinfo(a_type).min):
            a = np.full((m, k), value, a_type)
            check_product(a, 3, b, np.full(n, zero, b_type))
            check_product(a, 3, np.full_like(b, np.iinfo(b_type).max), np.full(n, zero, b_type))
            check_product(a, 3, np.full_like(b, np.iinfo(b_type).min), np.full(n, zero, b_type))


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 70),
    st.integers(1, 200),
    st.integers(1, 70),
    st.sampled_from([np.uint8, np.int8]),
    st.sampled_from([np.uint8, np.int8]),
    st.sampled_from(list(SHARES.values())),
    st.booleans(),
    st.integers(0, 1000),
)
def test_any_product(m: int, k: int, n: int, a_type: Any, b_type: Any, share: float, constant: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    info, b_info = np.iinfo(a_type), np.iinfo(b_type)
    a = rng.integers(info.min, info.max + 1, (m, k)).astype(a_type)
    zeros = rng.integers(b_info.min, b_info.max + 1, n).astype(b_type)
    b = weights(b_type, (k, n), share, int(zeros[0]), seed)
    check_product(a, int(rng.integers(info.min, info.max + 1)), b, zeros, constant=constant)


@pytest.mark.parametrize("share", SHARES.values(), ids=SHARES)
@pytest.mark.parametrize("x_type", [np.uint8, np.int8])
@pytest.mark.parametrize(("channels", "taps", "groups"), [(8, 1, 1), (16, 1, 2), (3, 3, 1), (12, 3, 2), (5, 5, 1)])
def test_convolutions(channels: int, taps: int, groups: int, x_type: Any, share: float) -> None:
    """Scales that leave most results inside of the bytes; one sum that is off by one changes some of them."""
    import torch

    rng = np.random.default_rng(channels)
    info = np.iinfo(x_type)
    x = rng.integers(info.min, info.max + 1, (2, channels, 13, 11)).astype(x_type)
    w = weights(np.int8, (24, channels // groups, taps, taps), share, 0, taps)
    zero = int(info.min) + 9
    pad = taps // 2
    # Sums of bytes are whole numbers that double holds.
    sums = torch.nn.functional.conv2d(
        torch.from_numpy(x.astype(np.float64) - zero),
        torch.from_numpy(w.astype(np.float64)),
        padding=pad,
        groups=groups,
    ).numpy()
    scale = np.float32(np.abs(sums).max() / 120)
    model = onnx.parser.parse_model(
        f'<ir_version: 10, opset_import: ["": 21]> g ({"uint8" if x_type is np.uint8 else "int8"}[n,{channels},h,w] x) '
        f"=> (int8[n,24,a,b] y) {{ y = QLinearConv<pads = [{pad}, {pad}, {pad}, {pad}], group = {groups}>"
        "(x, one, xz, weight, one, wz, scale, yz) }"
    )
    named = {
        "one": np.float32(1),
        "xz": np.array(zero, x_type),
        "weight": w,
        "wz": np.int8(0),
        "scale": scale,
        "yz": np.int8(0),
    }
    model.graph.initializer.extend(onnx.numpy_helper.from_array(np.asarray(v), k) for k, v in named.items())
    session = fastort.InferenceSession(model.SerializeToString())
    expected = np.clip(np.rint(sums.astype(np.float32) * (np.float32(1) / scale)), -128, 127)
    np.testing.assert_array_equal(session.run(None, {"x": x})[0], expected)
