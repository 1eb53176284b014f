"""Inputs are read where they lie and results are the memory that the engine wrote, shown by addresses."""

from __future__ import annotations

import gc
import sys
import weakref

import numpy as np
import pytest

import fastort
from fastort import _engine
from tests.api import models

X = np.arange(6, dtype=np.float32).reshape(2, 3)
ALIGNMENT = 64


def test_results_view_the_engines_memory() -> None:
    (y,) = fastort.InferenceSession(models.negate()).run(None, {"x": X})
    assert y.ctypes.data % ALIGNMENT == 0
    assert not y.flags.owndata
    assert y.flags.writeable
    assert y.flags.c_contiguous
    assert "fastort.buffer" in repr(y.base)
    address, size = _engine.buffer_of_capsule(y.base)
    assert address <= y.ctypes.data
    assert y.ctypes.data + y.nbytes <= address + size


def test_results_keep_their_memory_alive() -> None:
    session = fastort.InferenceSession(models.negate())
    first = session.run(None, {"x": X})[0]
    kept = first[1:, :]
    del first
    others = [session.run(None, {"x": np.full_like(X, i)})[0] for i in range(50)]
    session.close()
    del session
    gc.collect()
    np.testing.assert_array_equal(kept, -X[1:, :])
    assert len({other.ctypes.data for other in others}) == len(others)


def test_memory_of_dropped_results_is_used_again() -> None:
    session = fastort.InferenceSession(models.negate())
    x = np.zeros((1000, 3), np.float32)
    addresses = {session.run(None, {"x": x})[0].ctypes.data for _ in range(100)}
    assert len(addresses) < 10


def test_inputs_are_read_in_place() -> None:
    value = fastort.OrtValue.ortvalue_from_numpy(X)
    assert value.data_ptr() == X.ctypes.data
    assert np.shares_memory(value.numpy(), X)


def test_bound_inputs_are_read_at_every_run() -> None:
    x = X.copy()
    session = fastort.InferenceSession(models.negate())
    binding = session.io_binding()
    binding.bind_cpu_input("x", x)
    binding.bind_output("y")
    for factor in (1, 2):
        x *= factor
        session.run_with_iobinding(binding)
        np.testing.assert_array_equal(binding.get_outputs()[0].numpy(), -x)


def test_bound_outputs_are_written_in_place() -> None:
    session = fastort.InferenceSession(models.negate())
    value = fastort.OrtValue.ortvalue_from_shape_and_type(X.shape)
    address = value.data_ptr()
    binding = session.io_binding()
    binding.bind_cpu_input("x", X)
    binding.bind_ortvalue_output("y", value)
    session.run_with_iobinding(binding)
    assert binding.get_outputs()[0].data_ptr() == address
    np.testing.assert_array_equal(value.numpy(), -X)


@pytest.mark.parametrize("feed", [lambda x: x, fastort.OrtValue.ortvalue_from_numpy], ids=["array", "OrtValue"])
def test_an_output_that_is_an_input_is_a_copy(feed) -> None:
    x = X.copy()
    (y,) = fastort.InferenceSession(models.identity()).run(None, {"x": feed(x)})
    assert not np.shares_memory(x, y)
    y[:] = 0
    np.testing.assert_array_equal(x, X)


def test_runs_hold_no_reference_to_inputs() -> None:
    session = fastort.InferenceSession(models.negate())
    x = X.copy()
    before = sys.getrefcount(x)
    for _ in range(10):
        session.run(None, {"x": x})
        with pytest.raises(fastort.capi.onnxruntime_pybind11_state.InvalidArgument):
            session.run(None, {"x": x, "q": x})
    assert sys.getrefcount(x) == before


def test_values_keep_arrays_alive() -> None:
    class Array(np.ndarray):
        """An array that can be referred to weakly."""

    x = X.copy().view(Array)
    alive = weakref.ref(x)
    inner = _engine.OrtValue.from_numpy(x)
    del x
    gc.collect()
    assert alive() is not None
    np.testing.assert_array_equal(inner.to_python(), X)
    del inner
    gc.collect()
    assert alive() is None
