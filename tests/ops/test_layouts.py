"""The same model in sessions that may choose layouts and ones that may not, in one process."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

import fastort

# Sizes of X and W: maps of one pixel, of one channel, and both.
SHAPES = [
    ((1, 4, 1), (4, 4, 5)),
    ((1, 8, 1, 1), (16, 8, 3, 3)),
    ((1, 1, 9, 11), (1, 1, 3, 3)),
    ((2, 1, 1, 1), (1, 1, 3, 3)),
    ((1, 16, 1, 1), (8, 16, 5, 5)),
]


@pytest.mark.parametrize(("x_shape", "w_shape"), SHAPES, ids=str)
def test_convolutions_whose_layouts_are_one(x_shape: tuple[int, ...], w_shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(5)
    x, w = (rng.standard_normal(shape).astype(np.float32) for shape in (x_shape, w_shape))
    pads = [size // 2 for size in w_shape[2:]] * 2
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"], pads=pads)],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x_shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(w, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)]).SerializeToString()
    convolve = torch.nn.functional.conv1d if len(x_shape) == 3 else torch.nn.functional.conv2d
    expected = convolve(torch.tensor(x), torch.tensor(w), padding=pads[: len(pads) // 2]).numpy()
    sessions = []  # kept, so that what they made is still there when the next one asks for it
    for allowed in ("1", "0", "1", "0"):
        options = fastort.SessionOptions()
        options.add_session_config_entry("fastort.allow_blocked_layouts", allowed)
        sessions.append(fastort.InferenceSession(model, options))
        np.testing.assert_allclose(sessions[-1].run(None, {"x": x})[0], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("channels", [16, 13, 32])
@pytest.mark.parametrize("reduction", ["ReduceMean", "ReduceMax", "GlobalAveragePool"])
def test_a_reduction_over_pixels_leaves_the_layout_as_it_is(channels: int, reduction: str) -> None:
    rng = np.random.default_rng(6)
    x = rng.standard_normal((1, 3, 40, 44)).astype(np.float32)
    w = rng.standard_normal((channels, 3, 3, 3)).astype(np.float32)
    inputs = ["c"] if reduction == "GlobalAveragePool" else ["c", "axes"]
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["c"]), helper.make_node(reduction, inputs, ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(w, "w"), numpy_helper.from_array(np.array([2, 3], np.int64), "axes")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)]).SerializeToString()
    session = fastort.InferenceSession(model)
    maps = torch.nn.functional.conv2d(torch.tensor(x), torch.tensor(w))
    expected = maps.amax((2, 3), True) if reduction == "ReduceMax" else maps.mean((2, 3), keepdim=True)
    np.testing.assert_allclose(session.run(None, {"x": x})[0], expected.numpy(), rtol=1e-4, atol=1e-4)
    # Only a result whose channels do not fill their blocks is rearranged.
    steps = 2 if channels % 16 == 0 else 3
    assert f": {steps} steps" in session.explain()
    assert "onednn (" in session.explain()
