"""Any value of the model by its name in `output_names`, and runs of a part of the model."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import fastort
from tests.api.models import model, tensor

RNG = np.random.default_rng(7)
W = RNG.standard_normal((4, 4)).astype(np.float32)
B = RNG.standard_normal(4).astype(np.float32)


def mlp() -> bytes:
    """``y = relu(x @ w + b) @ w``: the sum and the first product are fused away."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["product"]),
        helper.make_node("Add", ["product", "b"], ["sum"]),
        helper.make_node("Relu", ["sum"], ["hidden"]),
        helper.make_node("MatMul", ["hidden", "w"], ["y"]),
        helper.make_node("Shape", ["y"], ["shape"]),
    ]
    weights = [numpy_helper.from_array(W, "w"), numpy_helper.from_array(B, "b")]
    outputs = [tensor("y", dims=["n", 4]), tensor("shape", TensorProto.INT64, [2])]
    return model(nodes, [tensor("x", dims=["n", 4])], outputs, weights).SerializeToString()


@pytest.mark.parametrize("n", [1, 5])
def test_values_by_name(n: int) -> None:
    session = fastort.InferenceSession(mlp())
    x = RNG.standard_normal((n, 4)).astype(np.float32)
    product = x @ W
    expected = {"product": product, "sum": product + B, "hidden": np.maximum(product + B, 0), "w": W, "x": x}
    expected["y"] = expected["hidden"] @ W
    for name, value in expected.items():
        np.testing.assert_allclose(session.run([name], {"x": x})[0], value, rtol=1e-5, atol=1e-6)
    names = ["hidden", "y", "product", "hidden"]
    for name, value in zip(names, session.run(names, {"x": x}), strict=True):
        np.testing.assert_allclose(value, expected[name], rtol=1e-5, atol=1e-6)
    # The whole model is what it was.
    y, shape = session.run(None, {"x": x})
    np.testing.assert_allclose(y, expected["y"], rtol=1e-5, atol=1e-6)
    assert shape.tolist() == [n, 4]


def test_results_share_no_memory() -> None:
    session = fastort.InferenceSession(mlp())
    x = np.ones((2, 4), np.float32)
    first, second, weight = session.run(["hidden", "hidden", "w"], {"x": x})
    first += 1
    weight[:] = 0
    np.testing.assert_array_equal(session.run(["hidden"], {"x": x})[0], second)
    np.testing.assert_array_equal(session.run(["w"], {"x": x})[0], W)


def test_bound_values() -> None:
    session = fastort.InferenceSession(mlp())
    binding = session.io_binding()
    x = np.ones((2, 4), np.float32)
    target = np.zeros((2, 4), np.float32)
    binding.bind_cpu_input("x", x)
    binding.bind_output("hidden", "cpu", 0, np.float32, [2, 4], target.ctypes.data)
    binding.bind_output("y")
    session.run_with_iobinding(binding)
    np.testing.assert_allclose(target, np.maximum(x @ W + B, 0), rtol=1e-5, atol=1e-6)
    with pytest.raises(RuntimeError, match="nothing"):
        binding.bind_output("nothing")


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(fastort.capi._pybind_state.InvalidArgument, match=r"Invalid output name:nothing.*'y'"):
        fastort.InferenceSession(mlp()).run(["nothing"], {"x": np.ones((1, 4), np.float32)})


def test_only_what_is_needed_runs() -> None:
    """With `only_execute_path_to_fetches` a part of the model that fails is left alone."""
    nodes = [
        helper.make_node("Neg", ["x"], ["good"]),
        helper.make_node("Gather", ["x", "i"], ["bad"]),
    ]
    inputs = [tensor("x", dims=[3]), tensor("i", TensorProto.INT64, [1])]
    serialized = model(nodes, inputs, [tensor("good", dims=[3]), tensor("bad", dims=[1])]).SerializeToString()
    session = fastort.InferenceSession(serialized)
    feed = {"x": np.ones(3, np.float32), "i": np.array([9], np.int64)}
    with pytest.raises(fastort.capi._pybind_state.InvalidArgument):
        session.run(["good"], feed)
    options = fastort.RunOptions()
    options.only_execute_path_to_fetches = True
    np.testing.assert_array_equal(session.run(["good"], feed, options)[0], -feed["x"])


def test_many_different_selections_do_not_pile_up() -> None:
    count = 40
    nodes = [helper.make_node("Neg", [f"v{i}"], [f"v{i + 1}"]) for i in range(count)]
    serialized = model(nodes, [tensor("v0", dims=[2])], [tensor(f"v{count}", dims=[2])]).SerializeToString()
    onnx.load_from_string(serialized)
    session = fastort.InferenceSession(serialized)
    x = np.ones(2, np.float32)
    for i in range(1, count):
        np.testing.assert_array_equal(session.run([f"v{i}"], {"v0": x})[0], x if i % 2 == 0 else -x)
