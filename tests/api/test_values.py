"""OrtValue's exchange with others: DLPack with NumPy and torch, pickling, NumPy's protocol; devices."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import fastort
from tests.api import models

DTYPES: list[Any] = [
    np.float32,
    np.float64,
    np.float16,
    ml_dtypes.bfloat16,
    np.int8,
    np.int16,
    np.int32,
    np.int64,
    np.uint8,
    np.uint16,
    np.uint32,
    np.uint64,
    np.bool_,
    np.complex64,
    np.complex128,
]


def sample(dtype: Any, shape: tuple[int, ...] = (3, 5)) -> np.ndarray[Any, Any]:
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: np.dtype(dtype).name)
def test_torch_shares_the_memory_both_ways(dtype: Any) -> None:
    import torch

    array = sample(dtype)
    value = fastort.OrtValue.ortvalue_from_numpy(array)
    tensor = torch.from_dlpack(value)
    assert tensor.data_ptr() == value.data_ptr() == array.ctypes.data
    assert tuple(tensor.shape) == array.shape
    back = fastort.OrtValue.from_dlpack(tensor)
    assert back.data_ptr() == array.ctypes.data
    assert back.data_type() == value.data_type()
    np.testing.assert_array_equal(back.numpy(), array)
    tensor[0, 0] = 1
    assert back.numpy()[0, 0] == 1


@pytest.mark.parametrize("shape", [(), (0,), (4,), (2, 0, 3), (1, 2, 3, 4)])
def test_shapes_through_dlpack(shape: tuple[int, ...]) -> None:
    value = fastort.OrtValue.ortvalue_from_numpy(sample(np.float32, shape))
    np.testing.assert_array_equal(np.from_dlpack(value), value.numpy())
    assert fastort.OrtValue.from_dlpack(value.numpy()).shape() == list(shape)


def test_a_bare_capsule() -> None:
    array = sample(np.float32)
    capsule = fastort.OrtValue.ortvalue_from_numpy(array).__dlpack__()
    value = fastort.OrtValue.from_dlpack(capsule)
    np.testing.assert_array_equal(value.numpy(), array)
    with pytest.raises(TypeError, match="nobody has used"):
        fastort.OrtValue.from_dlpack(capsule)


def test_memory_that_is_not_in_order_is_refused() -> None:
    with pytest.raises(BufferError, match="C order"):
        fastort.OrtValue.from_dlpack(sample(np.float32).T)


def test_strings_have_no_dlpack_form() -> None:
    with pytest.raises(BufferError, match="string"):
        fastort.OrtValue.ortvalue_from_numpy(np.array(["a"])).__dlpack__()


def test_a_capsule_keeps_the_memory() -> None:
    class Owner(np.ndarray):
        pass

    array = sample(np.float32).view(Owner)
    alive = weakref.ref(array)
    capsule = fastort.OrtValue.ortvalue_from_numpy(array).__dlpack__()
    del array
    gc.collect()
    assert alive() is not None
    del capsule
    gc.collect()
    assert alive() is None


def test_a_copy_has_memory_of_its_own() -> None:
    array = sample(np.float32)
    value = fastort.OrtValue.ortvalue_from_numpy(array)
    copied = fastort.OrtValue.from_dlpack(value.__dlpack__(copy=True))
    assert copied.data_ptr() != value.data_ptr()
    np.testing.assert_array_equal(copied.numpy(), array)


def test_runs_on_a_torch_tensor() -> None:
    import torch

    session = fastort.InferenceSession(models.negate())
    x = torch.arange(6, dtype=torch.float32).reshape(2, 3)
    (y,) = session.run_with_ort_values(None, {"x": fastort.OrtValue.from_dlpack(x)})
    assert torch.equal(torch.from_dlpack(y), -x)


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
@pytest.mark.parametrize("dtype", [*DTYPES, ml_dtypes.float8_e4m3fn], ids=lambda dtype: np.dtype(dtype).name)
def test_values_pickle(dtype: Any, duplicate: Any) -> None:
    value = fastort.OrtValue.ortvalue_from_numpy(sample(dtype))
    other = duplicate(value)
    assert (other.data_type(), other.shape()) == (value.data_type(), value.shape())
    np.testing.assert_array_equal(other.numpy(), value.numpy())


def test_texts_pickle() -> None:
    value = pickle.loads(pickle.dumps(fastort.OrtValue.ortvalue_from_numpy(np.array(["a", "ü"]))))
    assert value.numpy().tolist() == ["a", "ü"]


def test_numpy_protocol() -> None:
    value = fastort.OrtValue.ortvalue_from_numpy(sample(np.float32))
    assert np.asarray(value).ctypes.data == value.data_ptr()
    assert np.asarray(value, np.float64).dtype == np.float64
    assert np.array(value).ctypes.data != value.data_ptr()
    assert float(np.sum(value)) == 105


def test_update_from_another_value() -> None:
    value = fastort.OrtValue.ortvalue_from_shape_and_type([3, 5], np.float32)
    address = value.data_ptr()
    value.update_inplace(fastort.OrtValue.ortvalue_from_numpy(sample(np.float32)))
    np.testing.assert_array_equal(value.numpy(), sample(np.float32))
    fastort.copy_tensors([value], [other := fastort.OrtValue.ortvalue_from_shape_and_type([15], np.float32)])
    assert other.numpy().tolist() == list(range(15))
    assert value.data_ptr() == address


def test_sessions_and_options_copy() -> None:
    options = fastort.SessionOptions()
    options.add_initializer("w", fastort.OrtValue.ortvalue_from_numpy(np.full(3, 5, np.float32)))
    session = fastort.InferenceSession(models.overridable(), options)
    x = np.ones(3, np.float32)
    for other in (copy.deepcopy(session), copy.copy(session), pickle.loads(pickle.dumps(session))):
        assert other.run(None, {"x": x})[0].tolist() == [6, 6, 6]
    session.close()
    assert other.run(None, {"x": x})[0].tolist() == [6, 6, 6]


def test_devices() -> None:
    device = fastort.OrtDevice.make("cuda", 1)
    assert (device.device_type(), device.device_id(), device.device_vendor_id()) == (1, 1, 0x10DE)
    assert fastort.OrtDevice.make("gpu", 0, fastort.OrtDeviceVendorId.AMD).device_vendor_id() == 0x1002
    entry = fastort.get_ep_devices()[0]
    assert entry.ep_name == "CPUExecutionProvider"
    assert entry.device.type == fastort.OrtHardwareDeviceType.CPU
    info = entry.memory_info(fastort.OrtDeviceMemoryType.HOST_ACCESSIBLE)
    assert (info.name, info.device_mem_type) == ("Cpu", fastort.OrtDeviceMemoryType.HOST_ACCESSIBLE)
    session = fastort.InferenceSession(models.add())
    assert [info.name for info in session.get_input_memory_infos()] == ["Cpu", "Cpu"]
    assert len(session.get_input_epdevices()) == 2


def test_arenas() -> None:
    arena = fastort.OrtArenaCfg(0, -1, 1024, -1)
    assert (arena.max_mem, arena.initial_chunk_size_bytes) == (0, 1024)
    assert fastort.OrtArenaCfg({"max_mem": 7}).max_mem == 7


def test_value_vectors() -> None:
    session = fastort.InferenceSession(models.add())
    binding = session.io_binding()
    x = sample(np.float32, (2, 3))
    binding.bind_cpu_input("a", x)
    binding.bind_cpu_input("b", x)
    binding.bind_output("sum")
    session.run_with_iobinding(binding)
    vector = binding.get_outputs_as_ortvaluevector()
    assert vector.element_type_at(0) == 1
    assert vector.bool_tensor_indices() == []
    vector.push_back(x > 2)
    assert vector.bool_tensor_indices() == [1]
    feeds = [fastort.OrtValue.ortvalue_from_numpy(x)] * 2
    fetches: list[fastort.OrtValue] = []
    session.run_with_ortvaluevector(None, ["a", "b"], feeds, ["difference", "sum"], fetches, None)
    np.testing.assert_array_equal(fetches[1].numpy(), x + x)
