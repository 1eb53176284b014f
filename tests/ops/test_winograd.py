"""Winograd's convolution: when it is chosen, that it can be forbidden, and how exact it is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

import fastort

from .convolutions import exact, model_of, normal

# The largest error in outputs of unit variance, against double precision, is this times the square root of the number
# of products; see docs/accuracy.md.
BOUNDS = {"winograd": 4e-7, "winograd 2x2": 3.5e-7, "direct": 3e-7}


def options_of(kernel: str | None) -> fastort.SessionOptions:
    """Options that take one of Winograd's kernels, or none (``"direct"``), or leave the choice to the engine."""
    options = fastort.SessionOptions()
    options.add_session_config_entry("fastort.allow_winograd", "0" if kernel == "direct" else "1")
    options.add_session_config_entry("fastort.prefer_kernel", kernel if kernel and kernel != "direct" else "")
    return options


def convolution(
    channels: int, size: int, kernel: str | None
) -> tuple[fastort.InferenceSession, np.ndarray, np.ndarray]:
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
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    session = fastort.InferenceSession(model.SerializeToString(), options_of(kernel))
    expected = torch.nn.functional.conv2d(torch.tensor(x).double(), torch.tensor(w).double(), padding=1)
    return session, x, expected.numpy()


@pytest.mark.parametrize(("channels", "size"), [(32, 57), (64, 56), (96, 29), (256, 28), (256, 15), (512, 7)])
@pytest.mark.parametrize("kernel", BOUNDS)
def test_error(channels: int, size: int, kernel: str) -> None:
    session, x, expected = convolution(channels, size, kernel)
    error = np.abs(session.run(None, {"x": x})[0] - expected).max()
    assert (f"CPUExecutionProvider, {kernel} (" in session.explain()) == (kernel != "direct")
    assert error < BOUNDS[kernel] * np.sqrt(9 * channels)


@pytest.mark.parametrize("kernel", ["winograd", "winograd 2x2"])
@pytest.mark.parametrize(
    ("batch", "channels", "outputs", "height", "width"),
    [
        (1, 32, 32, 131, 129),  # many tiles, weights that stay near
        (1, 128, 128, 29, 31),  # pieces of the tiles for each thread
        (3, 64, 48, 37, 35),  # pieces that reach over pictures
        (1, 256, 272, 13, 14),  # panels for each thread
        (1, 32, 400, 7, 9),
        (2, 512, 40, 7, 7),
        (1, 512, 64, 29, 27),  # maps that threads share
        (1, 16, 16, 1, 2),
    ],
)
def test_ways_of_sharing_give_the_same_bits(
    batch: int, channels: int, outputs: int, height: int, width: int, kernel: str
) -> None:
    x = normal(batch, channels, height, width)
    w = normal(outputs, channels, 3, 3) / np.float32(np.sqrt(9 * channels))
    model = model_of(w, 2, pads=[1] * 4).SerializeToString()
    answers = []
    for threads, deterministic in [(1, False), (2, False), (2, True)]:
        options = options_of(kernel)
        options.intra_op_num_threads = threads
        options.use_deterministic_compute = deterministic  # shares the work among eight
        session = fastort.InferenceSession(model, options)
        answers.append(session.run(None, {"x": x})[0])
        assert f"CPUExecutionProvider, {kernel} (" in session.explain()
    expected = exact(x, w, pads=[(1, 1)] * 2)
    assert np.abs(answers[0] - expected).max() < BOUNDS[kernel] * np.sqrt(9 * channels)
    for answer in answers[1:]:
        np.testing.assert_array_equal(answer, answers[0])


def test_it_can_be_forbidden() -> None:
    for allowed in (True, False):
        session, x, _ = convolution(128, 56, None if allowed else "direct")
        session.run(None, {"x": x})
        assert ("CPUExecutionProvider, winograd" in session.explain()) == allowed


@pytest.mark.parametrize("kernel", ["winograd", "winograd 2x2"])
@pytest.mark.parametrize("activation", ["", "Relu", "HardSwish"])
@pytest.mark.parametrize(
    ("height", "width", "pads"), [(7, 7, (1, 1, 1, 1)), (5, 14, (0, 2, 1, 0)), (3, 3, (0, 0, 0, 0))]
)
def test_epilogue_and_edges(
    height: int, width: int, pads: tuple[int, int, int, int], activation: str, kernel: str
) -> None:
    """Channels that fill no block, several pictures, pads that differ, bias, residual and activation."""
    rng = np.random.default_rng(height * width)
    x = rng.standard_normal((3, 19, height, width)).astype(np.float32)
    w = (rng.standard_normal((21, 19, 3, 3)) / 13).astype(np.float32)
    b = rng.standard_normal(21).astype(np.float32)
    top, left, bottom, right = pads
    padded = torch.nn.functional.pad(torch.tensor(x).double(), (left, right, top, bottom))
    plain = torch.nn.functional.conv2d(padded, torch.tensor(w).double(), torch.tensor(b).double())
    z = rng.standard_normal(plain.shape).astype(np.float32)
    functions = {"": lambda v: v, "Relu": torch.relu, "HardSwish": torch.nn.functional.hardswish}
    expected = functions[activation](plain + torch.tensor(z).double()).numpy()
    extra = {"activation": activation} if activation else {}
    graph = helper.make_graph(
        [helper.make_node("FusedConv", ["x", "w", "b", "z"], ["y"], domain="com.microsoft", pads=pads, **extra)],
        "g",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, value.shape) for name, value in (("x", x), ("z", z))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, z.shape)],
        [numpy_helper.from_array(w, "w"), numpy_helper.from_array(b, "b")],
    )
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets)
    session = fastort.InferenceSession(model.SerializeToString(), options_of(kernel))
    (y,) = session.run(None, {"x": x, "z": z})
    assert f"CPUExecutionProvider, {kernel} (" in session.explain()
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)
