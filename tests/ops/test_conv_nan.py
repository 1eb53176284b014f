"""NaN stays visible behind a convolution and its activation, by every kernel."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from onnx import helper, numpy_helper

from .convolutions import exact, model_of, normal, session_of
from .products import without_matrix_unit

ACTIVATIONS = {
    "": lambda v: v,
    "Relu": torch.relu,
    "Clip": lambda v: torch.clamp(v, 0, 6),
    "HardSigmoid": lambda v: torch.clamp(0.2 * v + 0.5, 0, 1),
    "HardSwish": torch.nn.functional.hardswish,
    "Sigmoid": torch.sigmoid,
    "LeakyRelu": lambda v: torch.nn.functional.leaky_relu(v, 0.01),
}
PARAMETERS = {"Clip": [0.0, 6.0], "HardSigmoid": [0.2, 0.5], "LeakyRelu": [0.01]}
# Input and output channels, height and width, the window's, stride, groups, and the kernels that take such sizes.
SHAPES = {
    "picture": (3, 32, 20, 3, 2, 1, ["onednn", "reference"]),
    "window": (64, 53, 12, 3, 1, 1, ["onednn", "amx", "winograd", "winograd 2x2"]),
    "point": (64, 96, 11, 1, 1, 1, ["onednn", "amx", "pointwise", "pointwise blocks"]),
    "depthwise": (64, 64, 12, 3, 1, 64, ["onednn", "depthwise", "depthwise blocks"]),
    "groups": (64, 64, 12, 3, 1, 4, ["onednn"]),
    "one pixel": (64, 128, 1, 1, 1, 1, ["onednn", "vector", "pointwise"]),
}
# Height and width of the tiles, all of whose outputs Winograd's sums reach.
TILES = {"winograd": 4, "winograd 2x2": 2}
CASES = [(shape, kernel) for shape, (*_, kernels) in SHAPES.items() for kernel in kernels]


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("where", ["x", "w", "b", "z"])
@pytest.mark.parametrize(("shape", "kernel"), CASES)
def test_nan_is_kept(shape: str, kernel: str, where: str, activation: str) -> None:
    if kernel == "amx" and (reason := without_matrix_unit()):
        pytest.skip(reason)
    channels, outputs, size, side, stride, groups, _ = SHAPES[shape]
    x, w, b = normal(1, channels, size, size), normal(outputs, channels // groups, side, side), normal(outputs)
    sums = exact(x, w, pads=[(side // 2, side // 2)] * 2, stride=stride, groups=groups)
    z = normal(*sums.shape)
    if where == "w":
        w[-1, -1, side // 2, side // 2] = np.nan  # which never meets the pads
    else:
        {"x": x, "b": b, "z": z}[where].ravel()[-1] = np.nan
    sums = exact(x, w, pads=[(side // 2, side // 2)] * 2, stride=stride, groups=groups) + b[:, None, None] + z
    expected = ACTIVATIONS[activation](torch.tensor(sums)).numpy()
    extra = {"activation": activation} if activation else {}
    if activation in PARAMETERS:
        extra["activation_params"] = PARAMETERS[activation]
    model = model_of(w, 2, b, True, pads=[side // 2] * 4, strides=[stride] * 2, group=groups, **extra)
    session = session_of(model, prefer=kernel)
    y = session.run(None, {"x": x, "z": z})[0]
    assert re.search(rf"Conv node.*CPUExecutionProvider, {kernel}( \(|$)", session.explain(), re.MULTILINE)
    nan = np.isnan(expected)
    assert nan.any()
    assert np.isnan(y[nan]).all()
    if tile := TILES.get(kernel):
        ones = np.ones((tile, tile), bool)
        nan = np.kron(nan.reshape(1, outputs, size // tile, tile, size // tile, tile).any((3, 5)), ones)
    np.testing.assert_allclose(y[~nan], expected[~nan], atol=2e-3)


@pytest.mark.parametrize("layout", ["blocks", "plain"])
@pytest.mark.parametrize("activation", ["HardSigmoid", "Clip"])
def test_channels_behind_the_last_one_stay_zero(activation: str, layout: str) -> None:
    """A convolution that reads what oneDNN wrote, with a function that makes something else of zero."""
    x, w, v = normal(2, 32, 9, 9), normal(21, 32, 3, 3) / np.float32(17), normal(16, 21, 1, 1) / np.float32(5)
    parameters = {"HardSigmoid": [0.2, 0.5], "Clip": [0.25, 6.0]}[activation]
    model = model_of(w, 2, pads=[1] * 4, activation=activation, activation_params=parameters)
    model.graph.node[0].output[0] = "t"
    model.graph.node.append(helper.make_node("Conv", ["t", "v"], ["y"]))
    model.graph.initializer.append(numpy_helper.from_array(v, "v"))
    session = session_of(model, prefer="onednn", amx=False, blocks=layout == "blocks")
    y = session.run(None, {"x": x})[0]
    assert re.search(r"FusedConv.*onednn", session.explain())
    sums = exact(x, w, pads=[(1, 1)] * 2)
    inner = np.clip(0.2 * sums + 0.5, 0, 1) if activation == "HardSigmoid" else np.clip(sums, 0.25, 6)
    np.testing.assert_allclose(y, exact(inner, v), atol=1e-5)
