"""Winograd's convolution: when it is chosen, that it can be forbidden, and how exact it is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

import fastort

# The largest error in outputs of unit variance, against double precision, is this times the square root of the number
# of products; see docs/accuracy.md.
WINOGRAD, DIRECT = 4e-7, 3e-7


def convolution(channels: int, size: int, allowed: bool) -> tuple[fastort.InferenceSession, np.ndarray, np.ndarray]:
    """A session of one 3x3 convolution, its input and the result in double precision, of variance 1."""
    rng = np.random.default_rng(channels + size)
    x = rng.standard_normal((1, channels, size, size)).astype(np.float32)
    w = (rng.standard_normal((channels, channels, 3, 3)) / np.sqrt(9 * channels)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, x.shape)],
        [numpy_helper.from_array(w, "w")],
    )
    options = fastort.SessionOptions()
    options.add_session_config_entry("fastort.allow_winograd", "1" if allowed else "0")
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    session = fastort.InferenceSession(model.SerializeToString(), options)
    expected = torch.nn.functional.conv2d(torch.tensor(x).double(), torch.tensor(w).double(), padding=1)
    return session, x, expected.numpy()


@pytest.mark.parametrize(("channels", "size"), [(32, 57), (64, 56), (96, 29), (256, 28), (256, 15)])
@pytest.mark.parametrize("allowed", [True, False])
def test_error(channels: int, size: int, allowed: bool) -> None:
    session, x, expected = convolution(channels, size, allowed)
    error = np.abs(session.run(None, {"x": x})[0] - expected).max()
    assert error < (WINOGRAD if allowed else DIRECT) * np.sqrt(9 * channels)


def test_it_can_be_forbidden() -> None:
    for allowed in (True, False):
        session, x, _ = convolution(128, 56, allowed)
        session.run(None, {"x": x})
        assert ("CPUExecutionProvider, winograd" in session.explain()) == allowed
