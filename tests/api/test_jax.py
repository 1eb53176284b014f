"""OrtValue's exchange of memory with JAX."""

from __future__ import annotations

import os

import ml_dtypes
import numpy as np
import pytest

import fastort
from tests.api import models

os.environ.setdefault("JAX_PLATFORMS", "cpu")
import jax

TYPES = [
    np.float32,
    np.float16,
    ml_dtypes.bfloat16,
    np.int8,
    np.uint8,
    np.int16,
    np.uint16,
    np.int32,
    np.uint32,
    np.bool_,
]


def sample(dtype: type, shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 2 if dtype is np.bool_ else 50, shape).astype(dtype)


@pytest.mark.parametrize("dtype", TYPES, ids=lambda dtype: np.dtype(dtype).name)
@pytest.mark.parametrize("shape", [(), (7,), (2, 3, 5), (0, 3)], ids=str)
def test_both_ways(dtype: type, shape: tuple[int, ...]) -> None:
    x = sample(dtype, shape)
    value = fastort.OrtValue.from_dlpack(jax.numpy.asarray(x))
    assert value.shape() == list(shape)
    np.testing.assert_array_equal(value.numpy(), x)
    back = jax.dlpack.from_dlpack(fastort.OrtValue.ortvalue_from_numpy(x))
    assert back.dtype == x.dtype
    np.testing.assert_array_equal(np.asarray(back), x)


def test_memory_is_shared_and_outlives_its_owner() -> None:
    array = jax.numpy.arange(4096, dtype=np.float32)
    value = fastort.OrtValue.from_dlpack(array)
    assert value.data_ptr() == array.unsafe_buffer_pointer()
    del array
    assert value.numpy()[4095] == 4095
    made = fastort.OrtValue.ortvalue_from_shape_and_type([64, 64], np.float32)
    address = made.data_ptr()
    assert address % 64 == 0  # JAX copies what is not aligned so
    taken = jax.dlpack.from_dlpack(made)
    assert taken.unsafe_buffer_pointer() == address
    del made
    assert float(taken.sum()) == 0


def test_a_run_between_two_functions_of_jax() -> None:
    session = fastort.InferenceSession(models.add())
    a = jax.jit(lambda x: x * 2)(jax.numpy.ones((2, 3)))
    feeds = {"a": fastort.OrtValue.from_dlpack(a), "b": fastort.OrtValue.from_dlpack(a + 1)}
    total, difference = session.run_with_ort_values(["sum", "difference"], feeds)
    np.testing.assert_array_equal(
        np.asarray(jax.jit(lambda x: x + 1)(jax.dlpack.from_dlpack(total))), np.full((2, 3), 6)
    )
    np.testing.assert_array_equal(np.asarray(jax.dlpack.from_dlpack(difference)), np.full((2, 3), -1))
