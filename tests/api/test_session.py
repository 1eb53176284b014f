"""What a session is and answers: loading, names, metadata, values of the engine, bindings, pickling."""

from __future__ import annotations

import asyncio
import io
import pickle
import threading
from pathlib import Path

import numpy as np
import pytest

import fastort
from tests.api import models

X = np.arange(6, dtype=np.float32).reshape(2, 3)


def check_negates(session: fastort.InferenceSession) -> None:
    np.testing.assert_array_equal(session.run(None, {"x": X})[0], -X)


@pytest.mark.parametrize("as_source", [str, Path], ids=["str", "Path"])
def test_loads_a_path(tmp_path: Path, as_source: type) -> None:
    path = tmp_path / "modèle.onnx"
    path.write_bytes(models.negate())
    check_negates(fastort.InferenceSession(as_source(path)))


@pytest.mark.parametrize("as_source", [bytes, bytearray, memoryview, io.BytesIO])
def test_loads_bytes_and_files(as_source: type) -> None:
    check_negates(fastort.InferenceSession(as_source(models.negate())))


def test_loads_an_open_file(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(models.negate())
    with path.open("rb") as file:
        check_negates(fastort.InferenceSession(file))


def test_describes_inputs_and_outputs() -> None:
    session = fastort.InferenceSession(models.add(("n", None, 3)))
    first = session.get_inputs()[0]
    assert [argument.name for argument in session.get_inputs()] == ["a", "b"]
    assert (first.name, first.type, first.shape) == ("a", "tensor(float)", ["n", None, 3])
    assert [argument.name for argument in session.get_outputs()] == ["sum", "difference"]
    assert session.get_overridable_initializers() == []
    assert "tensor(float)" in str(first)


def test_describes_the_model() -> None:
    meta = fastort.InferenceSession(models.with_metadata()).get_modelmeta()
    assert meta.producer_name == "tests"
    assert meta.graph_name == "graph"
    assert meta.domain == "org.example"
    assert meta.description == "a model"
    assert meta.graph_description == "a graph"
    assert meta.version == 7
    assert meta.custom_metadata_map == {"key": "value"}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (None, ["sum", "difference"]),
        ([], ["sum", "difference"]),
        (["sum"], ["sum"]),
        (["difference"], ["difference"]),
        (("difference", "sum"), ["difference", "sum"]),
        (["sum", "sum"], ["sum", "sum"]),
    ],
)
def test_selects_outputs(names: list[str] | None, expected: list[str]) -> None:
    values = {"sum": X + 1, "difference": X - 1}
    session = fastort.InferenceSession(models.add())
    for _ in range(2):
        results = session.run(names, {"a": X, "b": np.ones_like(X)})
        assert len(results) == len(expected)
        for name, result in zip(expected, results, strict=True):
            np.testing.assert_array_equal(result, values[name])


def test_outputs_asked_for_twice_are_two_arrays() -> None:
    first, second = fastort.InferenceSession(models.negate()).run(["y", "y"], {"x": X})
    first[:] = 0
    np.testing.assert_array_equal(second, -X)


def test_runs_with_other_shapes() -> None:
    session = fastort.InferenceSession(models.negate())
    for rows in (1, 5, 0, 2, 5):
        x = np.random.default_rng(rows).standard_normal((rows, 3)).astype(np.float32)
        np.testing.assert_array_equal(session.run(None, {"x": x})[0], -x)


def test_overrides_initializers() -> None:
    session = fastort.InferenceSession(models.overridable())
    x = np.zeros(3, np.float32)
    assert [argument.name for argument in session.get_inputs()] == ["x"]
    (weight,) = session.get_overridable_initializers()
    assert (weight.name, weight.type, weight.shape) == ("w", "tensor(float)", [3])
    np.testing.assert_array_equal(session.run(None, {"x": x})[0], [1, 2, 3])
    np.testing.assert_array_equal(session.run(None, {"x": x, "w": np.full(3, 5, np.float32)})[0], [5, 5, 5])
    np.testing.assert_array_equal(session.run(None, {"x": x})[0], [1, 2, 3])


def test_takes_keywords_as_onnxruntime() -> None:
    session = fastort.InferenceSession(path_or_bytes=models.negate(), sess_options=None, providers=None)
    result = session.run(output_names=["y"], input_feed={"x": X}, run_options=fastort.RunOptions())
    np.testing.assert_array_equal(result[0], -X)


def test_can_be_subclassed() -> None:
    class Doubling(fastort.InferenceSession):
        def run(self, output_names, input_feed, run_options=None):
            return [2 * value for value in super().run(output_names, input_feed, run_options)]

    np.testing.assert_array_equal(Doubling(models.negate()).run(None, {"x": X})[0], -2 * X)


def test_closes() -> None:
    with fastort.InferenceSession(models.negate()) as session:
        (result,) = session.run(None, {"x": X})
    with pytest.raises(RuntimeError, match="closed"):
        session.run(None, {"x": X})
    np.testing.assert_array_equal(result, -X)


def test_pickles() -> None:
    options = fastort.SessionOptions()
    options.intra_op_num_threads = 1
    session = pickle.loads(pickle.dumps(fastort.InferenceSession(models.negate(), options)))
    check_negates(session)
    assert session.get_session_options().intra_op_num_threads == 1


def test_explains() -> None:
    session = fastort.InferenceSession(models.negate())
    session.run(None, {"x": X})
    assert "Neg" in session.explain()
    assert "Neg" in session.print_graph()
    assert session.memory_stats()["plan_count"] >= 1


def test_runs_on_ort_values() -> None:
    session = fastort.InferenceSession(models.negate())
    value = fastort.OrtValue.ortvalue_from_numpy(X)
    assert (value.shape(), value.data_type(), value.device_name()) == ([2, 3], "tensor(float)", "cpu")
    assert value.is_tensor()
    assert value.has_value()
    assert value.tensor_size_in_bytes() == X.nbytes
    (result,) = session.run_with_ort_values(None, {"x": value})
    np.testing.assert_array_equal(result.numpy(), -X)
    np.testing.assert_array_equal(session.run(None, {"x": value})[0], -X)
    (again,) = session.run_with_ort_values(["y"], {"x": result})
    np.testing.assert_array_equal(again.numpy(), X)


def test_updates_ort_values() -> None:
    value = fastort.OrtValue.ortvalue_from_shape_and_type([2, 3], np.float32)
    np.testing.assert_array_equal(value.numpy(), np.zeros((2, 3)))
    value.update_inplace(X)
    np.testing.assert_array_equal(value.numpy(), X)
    with pytest.raises(RuntimeError, match="does not match the size"):
        value.update_inplace(np.zeros(2, np.float32))


def test_exchanges_ort_values_through_dlpack() -> None:
    value = fastort.OrtValue.from_dlpack(X.copy())
    shared = np.from_dlpack(value)
    shared[0, 0] = 42
    assert value.numpy()[0, 0] == 42


def test_binds_inputs_and_outputs() -> None:
    session = fastort.InferenceSession(models.add())
    a, b = X.copy(), np.ones_like(X)
    into = np.zeros_like(X)
    binding = session.io_binding()
    binding.bind_cpu_input("a", a)
    binding.bind_input("b", "cpu", 0, np.float32, b.shape, b.ctypes.data)
    binding.bind_output("sum", "cpu", 0, np.float32, into.shape, into.ctypes.data)
    binding.bind_output("difference")
    session.run_with_iobinding(binding)
    np.testing.assert_array_equal(into, X + 1)
    np.testing.assert_array_equal(binding.get_outputs()[1].numpy(), X - 1)
    a += 10
    session.run_with_iobinding(binding)
    np.testing.assert_array_equal(into, X + 11)
    np.testing.assert_array_equal(binding.copy_outputs_to_cpu()[1], X + 9)
    binding.clear_binding_outputs()
    value = fastort.OrtValue.ortvalue_from_shape_and_type([2, 3], np.float32)
    binding.bind_ortvalue_output("sum", value)
    session.run_with_iobinding(binding)
    np.testing.assert_array_equal(value.numpy(), X + 11)


def test_refuses_bindings_that_do_not_fit() -> None:
    session = fastort.InferenceSession(models.negate((2, 3)))
    binding = session.io_binding()
    with pytest.raises(RuntimeError, match="Failed to find NodeArg with name: q"):
        binding.bind_cpu_input("q", X)
    binding.bind_cpu_input("x", X)
    into = np.zeros((2, 4), np.float32)
    binding.bind_output("y", "cpu", 0, np.float32, into.shape, into.ctypes.data)
    with pytest.raises(RuntimeError, match="Error in execution: "):
        session.run_with_iobinding(binding)
    np.testing.assert_array_equal(into, np.zeros_like(into))


def test_runs_asynchronously() -> None:
    session = fastort.InferenceSession(models.negate())
    done = threading.Event()
    seen: list[object] = []

    def callback(results: list[np.ndarray], user_data: object, error: str) -> None:
        seen.extend([results, user_data, error])
        done.set()

    session.run_async(None, {"x": X}, callback, "mine")
    assert done.wait(60)
    np.testing.assert_array_equal(seen[0][0], -X)
    assert seen[1:] == ["mine", ""]


def test_is_awaitable() -> None:
    session = fastort.InferenceSession(models.negate())

    async def both() -> list[list[np.ndarray]]:
        return await asyncio.gather(session.arun(None, {"x": X}), session.arun(None, {"x": 2 * X}))

    first, second = asyncio.run(both())
    np.testing.assert_array_equal(first[0], -X)
    np.testing.assert_array_equal(second[0], -2 * X)
