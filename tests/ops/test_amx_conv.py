"""Convolutions of float32 on Intel's matrix unit: when they are chosen, that they can be forbidden, how exact they are,
and what they do with pads, strides and numbers that the unit does not take. Skipped on processors without the unit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

import fastort

from .convolutions import exact, model_of, normal, session_of
from .products import without_matrix_unit

pytestmark = pytest.mark.skipif(without_matrix_unit() != "", reason=without_matrix_unit())

# The largest error in outputs of unit variance, against double precision, is this times the square root of the number
# of products: that of the direct method; see docs/accuracy.md.
BOUND = 3e-7


def uses_unit(session: fastort.InferenceSession) -> bool:
    return "CPUExecutionProvider, amx" in session.explain()


@pytest.mark.parametrize(
    ("channels", "outputs", "size", "side"),
    [
        (16, 16, 5, 3),
        (32, 57, 29, 3),
        (64, 64, 56, 3),
        (256, 64, 56, 1),
        (512, 130, 7, 3),
        (1000, 96, 14, 1),
        (19, 33, 13, 5),
    ],
)
def test_error(channels: int, outputs: int, size: int, side: int) -> None:
    x, w = normal(1, channels, size, size), normal(outputs, channels, side, side)
    w /= np.float32(np.sqrt(channels * side**2))
    session = session_of(model_of(w, 2, pads=[side // 2] * 4))
    y = session.run(None, {"x": x})[0]
    assert uses_unit(session)
    error = np.abs(y - exact(x, w, pads=[(side // 2, side // 2)] * 2)).max()
    assert error < BOUND * np.sqrt(channels * side**2)


WINDOWS: dict[str, dict[str, Any]] = {
    "pads that differ": {"pads": [0, 2, 1, 3]},
    "no pads": {},
    "strides": {"strides": [2, 2], "pads": [1, 1, 1, 1]},
    "strides that differ": {"strides": [3, 2], "pads": [0, 1, 2, 0]},
    "a stride beyond the window": {"strides": [4, 5]},
    "dilations": {"dilations": [2, 3], "pads": [2, 2, 1, 3]},
    "strides and dilations": {"strides": [2, 3], "dilations": [3, 2], "pads": [3, 2, 3, 2]},
}


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("side", [(1, 1), (3, 3), (2, 5)])
@pytest.mark.parametrize(("batch", "height", "width"), [(1, 17, 23), (3, 9, 11)])
def test_windows(batch: int, height: int, width: int, side: tuple[int, int], window: str) -> None:
    attributes = WINDOWS[window]
    x, w = normal(batch, 37, height, width), normal(41, 37, *side) / np.float32(np.sqrt(37 * side[0] * side[1]))
    session = session_of(model_of(w, 2, **attributes))
    y = session.run(None, {"x": x})[0]
    assert uses_unit(session)
    pads = attributes.get("pads", [0] * 4)
    expected = exact(
        x,
        w,
        pads=[(pads[0], pads[2]), (pads[1], pads[3])],
        stride=attributes.get("strides", (1, 1)),
        dilation=attributes.get("dilations", (1, 1)),
    )
    np.testing.assert_allclose(y, expected, atol=2e-5)


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_one_spatial_dimension(stride: int) -> None:
    x, w = normal(2, 48, 301), normal(35, 48, 5) / np.float32(15)
    session = session_of(model_of(w, 1, pads=[2, 1], strides=[stride]))
    y = session.run(None, {"x": x})[0]
    assert uses_unit(session)
    np.testing.assert_allclose(y, exact(x, w, pads=[(2, 1)], stride=stride), atol=2e-5)


ACTIVATIONS = {
    "": lambda v: v,
    "Relu": torch.relu,
    "HardSwish": torch.nn.functional.hardswish,
    "Sigmoid": torch.sigmoid,
}


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize(("outputs", "size"), [(16, 3), (21, 7), (47, 30), (300, 14)])
def test_epilogue(outputs: int, size: int, residual: bool, activation: str) -> None:
    """Channels that fill no block or panel, rows that fill no tile, bias, residual and activation."""
    x, w, b = normal(2, 40, size, size), normal(outputs, 40, 3, 3) / np.float32(19), normal(outputs)
    z = normal(2, outputs, size, size)
    extra = {"activation": activation} if activation else {}
    session = session_of(model_of(w, 2, b, residual, pads=[1] * 4, **extra))
    y = session.run(None, {"x": x} | ({"z": z} if residual else {}))[0]
    assert uses_unit(session)
    sums = exact(x, w, pads=[(1, 1)] * 2) + b[:, None, None] + (z if residual else 0)
    np.testing.assert_allclose(y, ACTIVATIONS[activation](torch.tensor(sums)).numpy(), atol=2e-5)


def test_channels_behind_the_last_one_stay_zero() -> None:
    """A convolution that reads what another one wrote, with a function that does not keep zeros."""
    x, w, v = normal(1, 32, 9, 9), normal(21, 32, 1, 1) / np.float32(6), normal(16, 21, 1, 1) / np.float32(5)
    model = model_of(w, 2, activation="Sigmoid")
    model.graph.node[0].output[0] = "t"
    model.graph.node.append(helper.make_node("Conv", ["t", "v"], ["y"]))
    model.graph.initializer.append(numpy_helper.from_array(v, "v"))
    y = session_of(model).run(None, {"x": x})[0]
    inner = 1 / (1 + np.exp(-exact(x, w)))
    np.testing.assert_allclose(y, exact(inner, v), atol=1e-5)


@pytest.mark.parametrize("threads", [2, 3, 8])
@pytest.mark.parametrize(("channels", "outputs", "size"), [(64, 64, 56), (512, 300, 7), (128, 32, 28), (16, 40, 131)])
@pytest.mark.parametrize("numbers", ["normal", "tiny above", "one infinite"])
def test_threads_change_nothing(channels: int, outputs: int, size: int, numbers: str, threads: int) -> None:
    x, model = normal(1, channels, size, size), model_of(normal(outputs, channels, 3, 3), 2, pads=[1] * 4)
    if numbers == "tiny above":
        x[:, :, : size // 2] *= np.float32(1e-36)
    elif numbers == "one infinite":
        x[0, 3, size // 2, 2] = np.inf
    alone = session_of(model, threads=1).run(None, {"x": x})[0]
    np.testing.assert_array_equal(session_of(model, threads=threads).run(None, {"x": x})[0], alone)


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 3.4e38, 1e25, 1e4, -1e4, 1e-30, 1e-42])
@pytest.mark.parametrize("where", ["x", "w"])
def test_extreme_numbers_stay_where_they_belong(where: str, value: float) -> None:
    x, w = normal(2, 48, 20, 19), np.abs(normal(70, 48, 3, 3)) / np.float32(20)
    (x if where == "x" else w)[1, 5, 1, 1] = value  # of w: what never meets the pads
    w[:, 6] = 0  # where zero times infinity would be
    session = session_of(model_of(w, 2, pads=[1] * 4))
    with np.errstate(all="ignore"):
        expected = exact(x, w, pads=[(1, 1)] * 2)
        expected = np.where(np.abs(expected) > np.finfo(np.float32).max, np.sign(expected) * np.inf, expected)
    for _ in range(2):
        y = session.run(None, {"x": x})[0]
        np.testing.assert_allclose(y, expected, rtol=1e-5, atol=3e-5)
    assert uses_unit(session)


@pytest.mark.parametrize("exponent", [-44, -37, -30, -20, 17])
@pytest.mark.parametrize("where", ["x", "w", "an output", "both"])
def test_numbers_near_the_ends_of_float32(where: str, exponent: int) -> None:
    x, w = normal(1, 32, 12, 12), normal(40, 32, 3, 3)
    with np.errstate(under="ignore"):
        factor = 10.0**exponent
        if where == "x":
            x = (x.astype(np.float64) * factor).astype(np.float32)
        elif where == "both":
            x, w = x * np.float32(10.0 ** (exponent / 2)), w * np.float32(10.0 ** (exponent / 2))
        else:
            rows = slice(7, 8) if where == "an output" else slice(None)
            w[rows] = (w[rows].astype(np.float64) * factor).astype(np.float32)
    session = session_of(model_of(w, 2))
    y = session.run(None, {"x": x})[0]
    assert uses_unit(session)
    # Relative to the sum of the products' sizes, as a plain sum; and the last place of the smallest numbers.
    assert np.all(np.abs(y - exact(x, w)) <= 6e-7 * exact(np.abs(x), np.abs(w)) + 2.0**-149)


@pytest.mark.parametrize("value", [1.0, 1e-24, 1e-38, np.inf])
@pytest.mark.parametrize("channels", [16, 40])
def test_gates(channels: int, value: float) -> None:
    """A 1x1 convolution of a map times a factor for each channel, as in squeeze-and-excitation."""
    x, w, s = normal(2, channels, 11, 9), normal(35, channels, 1, 1), normal(2, channels, 1, 1)
    x *= np.float32(value)
    nodes = [helper.make_node("Mul", ["x", "s"], ["t"]), helper.make_node("Conv", ["t", "w"], ["y"])]
    inputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, v.shape) for n, v in (("x", x), ("s", s))]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "g", inputs, [output], [numpy_helper.from_array(w, "w")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    session = session_of(model)
    y = session.run(None, {"x": x, "s": s})[0]
    assert "GatedConv" in session.explain()
    assert uses_unit(session)
    with np.errstate(all="ignore"):
        gated = (x * s).astype(np.float32)
        np.testing.assert_allclose(y, exact(gated, w), rtol=1e-5, atol=2e-5 * min(value, 1) + 2.0**-147)


def test_a_bad_input_changes_nothing_behind_it() -> None:
    x, model = normal(1, 64, 28, 28), model_of(normal(64, 64, 3, 3), 2, pads=[1] * 4)
    session = session_of(model)
    good = session.run(None, {"x": x})[0]
    bad = x.copy()
    bad[0, 3, 14, 14] = np.nan
    y = session.run(None, {"x": bad})[0]
    assert np.isnan(y[:, :, 13:16, 13:16]).all()
    assert np.isnan(y).sum() == 64 * 9
    np.testing.assert_array_equal(session.run(None, {"x": x})[0], good)


@pytest.mark.parametrize(
    ("channels", "outputs", "size", "side", "stride", "expected"),
    [
        (512, 512, 7, 3, 1, True),
        (256, 1024, 14, 1, 1, True),
        (128, 128, 56, 3, 2, True),
        (3, 64, 112, 7, 2, False),
        (16, 16, 8, 1, 1, False),
    ],
)
def test_it_serves_where_it_gains(
    channels: int, outputs: int, size: int, side: int, stride: int, expected: bool
) -> None:
    x, w = normal(1, channels, size, size), normal(outputs, channels, side, side)
    session = session_of(model_of(w, 2, pads=[side // 2] * 4, strides=[stride] * 2), prefer="")
    session.run(None, {"x": x})
    assert uses_unit(session) == expected


def test_it_can_be_forbidden() -> None:
    x, w = normal(1, 64, 28, 28), normal(64, 64, 1, 1)
    session = session_of(model_of(w, 2), amx=False)
    np.testing.assert_allclose(session.run(None, {"x": x})[0], exact(x, w), atol=1e-4)
    assert not uses_unit(session)


@pytest.mark.parametrize("groups", [2, 16])
def test_groups_are_left_to_others(groups: int) -> None:
    x, w = normal(1, 64, 9, 9), normal(64, 64 // groups, 3, 3)
    session = session_of(model_of(w, 2, group=groups))
    np.testing.assert_allclose(session.run(None, {"x": x})[0], exact(x, w, groups=groups), atol=1e-4)
    assert not uses_unit(session)
