"""Values that stay in the engine's form between runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from . import _engine
from ._devices import OrtMemoryInfo, checked_device
from ._sparse_tensor import SparseTensor


class OrtValue:
    """A tensor (also a sparse one), sequence or map in the engine's form: fed, bound and fetched without conversion."""

    __slots__ = ("__weakref__", "_numpy_obj", "_ortvalue", "_session", "_sparse")

    def __init__(
        self, ortvalue: _engine.OrtValue, numpy_obj: np.ndarray[Any, Any] | None = None, session: object = None
    ) -> None:
        """Wraps a value of the engine; use one of the ``ortvalue_from_...`` methods instead.

        Args:
            ortvalue: The engine's value.
            numpy_obj: An array whose memory the value shares.
            session: The session that made the value; it is kept alive.

        Raises:
            ValueError: If it is no value of the engine.
        """
        if not isinstance(ortvalue, _engine.OrtValue):
            raise ValueError(
                "`Provided ortvalue` needs to be of type `onnxruntime.capi.onnxruntime_pybind11_state.OrtValue`, "
                f"not {ortvalue!r}; use OrtValue.ortvalue_from_numpy"
            )
        self._ortvalue = ortvalue
        self._numpy_obj = numpy_obj
        self._session = session
        self._sparse: SparseTensor | None = None

    @classmethod
    def ortvalue_from_numpy(
        cls, numpy_obj: np.ndarray[Any, Any], /, device_type: str = "cpu", device_id: int = 0, vendor_id: int = -1
    ) -> Self:
        """Makes a tensor of an array.

        Args:
            numpy_obj: The array. The value shares its memory where it is C-contiguous and holds no text; on a device it
                is a copy.
            device_type: ``"cpu"`` or ``"vulkan"``.
            device_id: The number of the Vulkan device, as the provider's option ``device_id`` counts them.
            vendor_id: Ignored.

        Raises:
            RuntimeError: If ONNX has no type for the array's dtype, or the device is not available.
        """
        if checked_device(device_type) == "vulkan":
            return cls(_engine.OrtValue.from_numpy_on_device(numpy_obj, device_id))
        return cls(_engine.OrtValue.from_numpy(numpy_obj), numpy_obj)

    @classmethod
    def ortvalue_from_numpy_with_onnx_type(cls, data: np.ndarray[Any, Any], /, onnx_element_type: int) -> Self:
        """Makes a tensor that reads an array's memory as another type.

        Args:
            data: The array, as one of ``uint16`` that holds the bits of bfloat16 numbers.
            onnx_element_type: The number of the type in ``onnx.TensorProto``, of the same width.

        Raises:
            ValueError: If the widths differ.
        """
        return cls(_engine.OrtValue.from_numpy(data, onnx_element_type), data)

    @classmethod
    def ortvalue_from_shape_and_type(
        cls,
        shape: Sequence[int],
        element_type: Any = np.float32,
        device_type: str = "cpu",
        device_id: int = 0,
        vendor_id: int = -1,
        memory_info: OrtMemoryInfo | None = None,
    ) -> Self:
        """Makes a tensor of zeros.

        Args:
            shape: Its sizes.
            element_type: A NumPy or ``ml_dtypes`` dtype, or a number of ``onnx.TensorProto``.
            device_type: ``"cpu"`` or ``"vulkan"``.
            device_id: The number of the Vulkan device.
            vendor_id: Ignored.
            memory_info: Where the memory is to lie, if ``device_type`` does not say it; it is the CPU's.

        Raises:
            ValueError: If a size is negative or the tensor too large.
            TypeError: If ONNX has no such type.
            RuntimeError: If the device is not available.
        """
        if checked_device(device_type) == "vulkan":
            return cls(_engine.OrtValue.from_shape_on_device(list(shape), element_type, device_id))
        return cls(_engine.OrtValue.from_shape(list(shape), element_type))

    @classmethod
    def shared_from_shape_and_type(
        cls, shape: Sequence[int], element_type: Any = np.float32, device_id: int = 0, fd: int = -1
    ) -> Self:
        """Makes a tensor on a Vulkan device in memory that other processes and interfaces can open.

        CUDA maps it with ``cudaImportExternalMemory`` (an opaque file descriptor), so that PyTorch reads and writes the
        same bytes. A value made of another one's descriptor, with the same shape and type on the same device, shares
        its memory. Nobody is told when the other side writes: take turns.

        Args:
            shape: Its sizes.
            element_type: A NumPy or ``ml_dtypes`` dtype, or a number of ``onnx.TensorProto``.
            device_id: The number of the Vulkan device.
            fd: What ``share_fd`` of another value returned; -1 for new memory, whose contents are not initialised.

        Raises:
            EPFail: If the driver shares no memory through file descriptors, or does not take this one.
        """
        return cls(_engine.OrtValue.shared_on_device(list(shape), element_type, device_id, fd))

    def share_fd(self) -> int:
        """Returns a new file descriptor for the memory of a value made by ``shared_from_shape_and_type``.

        The caller closes it, unless it is handed to an interface that takes it over, as CUDA does.

        Raises:
            InvalidArgument: If the value's memory was not made to be shared.
            RuntimeError: If the value lies on the CPU.
        """
        return self._ortvalue.share_fd()

    @classmethod
    def ort_value_from_sparse_tensor(cls, sparse_tensor: SparseTensor) -> Self:
        """Makes a value of a sparse tensor, with which it shares its memory.

        Args:
            sparse_tensor: The sparse tensor.
        """
        value = cls(sparse_tensor._ortvalue)
        value._sparse = sparse_tensor
        return value

    @classmethod
    def from_dlpack(cls, data: Any, /) -> Self:
        """Makes a tensor that shares the memory of an object with ``__dlpack__``, as a ``torch.Tensor`` on the CPU.

        Args:
            data: The object.

        Raises:
            BufferError: If its memory cannot be shared.
        """
        dtype = getattr(data, "dtype", None)
        is_bool = str(getattr(dtype, "name", dtype)) in ("bool", "bool_", "torch.bool")
        capsule = data.__dlpack__() if hasattr(data, "__dlpack__") else data
        return cls(_engine.OrtValue.from_dlpack(capsule, is_bool))

    def numpy(self) -> np.ndarray[Any, Any]:
        """Returns the tensor as an array that shares its memory (text, and what lies on a device, is copied).

        Raises:
            RuntimeError: If the value is no tensor.
        """
        if not self.is_tensor():
            raise RuntimeError("the OrtValue holds no tensor")
        array: np.ndarray[Any, Any] = self._ortvalue.to_python()
        return array

    def as_sparse_tensor(self) -> SparseTensor:
        """Returns the sparse tensor that it holds; raises RuntimeError for anything else."""
        return self._sparse if self._sparse is not None else SparseTensor(self._ortvalue)

    def to_python(self) -> Any:
        """Returns what ``run`` returns for this value: an array, a sparse tensor, a list, a dict or ``None``."""
        return self._ortvalue.to_python()

    def update_inplace(self, data: np.ndarray[Any, Any] | OrtValue) -> None:
        """Copies an array into the tensor.

        Args:
            data: An array, or a value, of the tensor's type and number of elements.

        Raises:
            TypeError: If it is neither.
            RuntimeError: If it does not fit.
        """
        if isinstance(data, OrtValue):
            self._ortvalue.update(data._ortvalue)
            return
        if not isinstance(data, np.ndarray):
            raise TypeError(f"data must be a numpy.ndarray or an OrtValue, not {type(data).__name__}.")
        self._ortvalue.update(data)

    def shape(self) -> list[int]:
        """Returns the sizes of a tensor, also of a sparse one; raises RuntimeError for what is no tensor."""
        return self._ortvalue.shape()

    def data_type(self) -> str:
        """Returns the type as ONNX Runtime writes it: ``"tensor(float)"``."""
        return self._ortvalue.data_type()

    def element_type(self) -> int:
        """Returns the element type's number in ``onnx.TensorProto``; raises RuntimeError for what is no tensor."""
        return self._ortvalue.element_type()

    def device_name(self) -> str:
        """Returns the device that holds the value: ``"cpu"`` or ``"vulkan"``."""
        return self._ortvalue.device()[0]

    def data_ptr(self) -> int:
        """Returns the address of the tensor's first element, on the device that holds it.

        Raises:
            RuntimeError: If the value is no tensor.
        """
        return self._ortvalue.data_ptr()

    def tensor_size_in_bytes(self) -> int:
        """Returns the number of bytes of the tensor's elements; raises RuntimeError for what is no tensor."""
        return self._ortvalue.byte_size()

    def has_value(self) -> bool:
        """Returns False for an optional without a value."""
        return self._ortvalue.kind() != "none"

    def is_tensor(self) -> bool:
        """Returns whether it is a dense tensor."""
        return self._ortvalue.kind() == "tensor"

    def is_tensor_sequence(self) -> bool:
        """Returns whether it is a sequence."""
        return self._ortvalue.kind() == "sequence"

    def is_sparse_tensor(self) -> bool:
        """Returns whether it is a sparse tensor."""
        return self._ortvalue.kind() == "sparse"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        """Returns the tensor as an array, for ``numpy.asarray``.

        Args:
            dtype: The array's type; the tensor's where it is ``None``.
            copy: Whether the array has memory of its own; ``None`` for only where it must.

        Raises:
            ValueError: If the memory cannot be shared and ``copy`` is false.
        """
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __reduce__(self) -> tuple[Any, ...]:
        """Returns how another process makes the value, if it is a tensor.

        Raises:
            TypeError: If it is no tensor.
        """
        if not self.is_tensor():
            raise TypeError(f"only tensors can be pickled, not {self!r}")
        array = self.numpy()
        # NumPy pickles the types that it lacks as bytes of their width.
        return _unpickle, (array.shape, self.element_type(), array if array.dtype == object else array.tobytes())

    def _get_c_value(self) -> _engine.OrtValue:
        return self._ortvalue

    def __dlpack__(self, *, stream: object = None, **kwargs: Any) -> Any:
        """Returns a DLPack capsule that shares the tensor's memory.

        Args:
            stream: Ignored: the CPU has no streams.
            **kwargs: What newer versions of the protocol ask; ``copy=True`` is answered with memory of its own, and so
                is ``dl_device=(1, 0)`` for a tensor on a device.

        Raises:
            BufferError: If DLPack has no form for the tensor's type, or the tensor lies on a device and no copy on the
                CPU is asked for.
        """
        value = self
        if self.device_name() != "cpu":
            if kwargs.get("dl_device") != (1, 0) or kwargs.get("copy") is False:
                raise BufferError(
                    f"DLPack has no form for memory of the device '{self.device_name()}' that another library could "
                    "open; copy it with .numpy(), or ask for dl_device=(1, 0)"
                )
            value = OrtValue(self._ortvalue.on_host())
        elif kwargs.get("copy"):
            value = OrtValue.ortvalue_from_shape_and_type(self.shape(), self.element_type())
            value.update_inplace(self)
        # Of the first version NumPy takes what it reads to be read-only.
        versioned = (kwargs.get("max_version") or (0, 0))[0] >= 1
        return value._ortvalue.to_dlpack(versioned)

    def __dlpack_device__(self) -> tuple[int, int]:
        """Returns DLPack's name of the device: the CPU's, or Vulkan's."""
        name, number = self._ortvalue.device()
        return (1, 0) if name == "cpu" else (7, number)

    def __repr__(self) -> str:
        """Returns the type and the shape."""
        shape = self.shape() if self.is_tensor() or self.is_sparse_tensor() else ""
        return f"OrtValue({self.data_type() or 'no value'}{shape})"


def copy_tensors(src: Sequence[OrtValue], dst: Sequence[OrtValue], stream: object = None) -> None:
    """Copies tensors into others.

    Args:
        src: The tensors to read.
        dst: A tensor of the same type and size for each.
        stream: Ignored.

    Raises:
        ValueError: If there are not as many sources as destinations.
        RuntimeError: If a pair does not fit.
    """
    for source, target in zip(src, dst, strict=True):
        target.update_inplace(source)


def _unpickle(shape: tuple[int, ...], element_type: int, contents: Any) -> OrtValue:
    if isinstance(contents, np.ndarray):
        return OrtValue.ortvalue_from_numpy(contents)
    value = OrtValue.ortvalue_from_shape_and_type(shape, element_type)
    target = value.numpy()
    target[...] = np.frombuffer(contents, target.dtype).reshape(shape)
    return value
