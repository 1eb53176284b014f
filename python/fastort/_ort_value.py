"""Values that stay in the engine's form between runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from . import _engine
from ._device import checked_device
from ._sparse_tensor import SparseTensor


class OrtValue:
    """A tensor (also a sparse one), sequence or map in the engine's form: fed, bound and fetched without conversion."""

    __slots__ = ("__weakref__", "_numpy_obj", "_ortvalue", "_sparse")

    def __init__(self, ortvalue: _engine.OrtValue, numpy_obj: np.ndarray[Any, Any] | None = None) -> None:
        """Wraps a value of the engine; use one of the ``ortvalue_from_...`` methods instead.

        Args:
            ortvalue: The engine's value.
            numpy_obj: An array whose memory the value shares.

        Raises:
            TypeError: If it is no value of the engine.
        """
        if not isinstance(ortvalue, _engine.OrtValue):
            raise TypeError(f"an OrtValue wraps a value of the engine, not {ortvalue!r}")
        self._ortvalue = ortvalue
        self._numpy_obj = numpy_obj
        self._sparse: SparseTensor | None = None

    @staticmethod
    def ortvalue_from_numpy(
        numpy_obj: np.ndarray[Any, Any], /, device_type: str = "cpu", device_id: int = 0, vendor_id: int = -1
    ) -> OrtValue:
        """Makes a tensor of an array.

        Args:
            numpy_obj: The array. The value shares its memory where it is C-contiguous and holds no text.
            device_type: ``"cpu"``.
            device_id: Ignored.
            vendor_id: Ignored.

        Raises:
            RuntimeError: If ONNX has no type for the array's dtype, or the device is not available.
        """
        checked_device(device_type)
        return OrtValue(_engine.OrtValue.from_numpy(numpy_obj), numpy_obj)

    @staticmethod
    def ortvalue_from_numpy_with_onnx_type(data: np.ndarray[Any, Any], /, onnx_element_type: int) -> OrtValue:
        """Makes a tensor that reads an array's memory as another type.

        Args:
            data: The array, as one of ``uint16`` that holds the bits of bfloat16 numbers.
            onnx_element_type: The number of the type in ``onnx.TensorProto``, of the same width.

        Raises:
            ValueError: If the widths differ.
        """
        return OrtValue(_engine.OrtValue.from_numpy(data, onnx_element_type), data)

    @staticmethod
    def ortvalue_from_shape_and_type(
        shape: Sequence[int],
        element_type: Any = np.float32,
        device_type: str = "cpu",
        device_id: int = 0,
        vendor_id: int = -1,
    ) -> OrtValue:
        """Makes a tensor of zeros.

        Args:
            shape: Its sizes.
            element_type: A NumPy or ``ml_dtypes`` dtype, or a number of ``onnx.TensorProto``.
            device_type: ``"cpu"``.
            device_id: Ignored.
            vendor_id: Ignored.

        Raises:
            ValueError: If a size is negative or the tensor too large.
            TypeError: If ONNX has no such type.
            RuntimeError: If the device is not available.
        """
        checked_device(device_type)
        return OrtValue(_engine.OrtValue.from_shape(list(shape), element_type))

    @staticmethod
    def ort_value_from_sparse_tensor(sparse_tensor: SparseTensor) -> OrtValue:
        """Makes a value of a sparse tensor, with which it shares its memory.

        Args:
            sparse_tensor: The sparse tensor.
        """
        value = OrtValue(sparse_tensor._ortvalue)
        value._sparse = sparse_tensor
        return value

    @staticmethod
    def from_dlpack(data: Any, /) -> OrtValue:
        """Makes a tensor that shares the memory of an object with ``__dlpack__``, as a ``torch.Tensor`` on the CPU.

        Args:
            data: The object.

        Raises:
            BufferError: If its memory cannot be shared.
        """
        return OrtValue.ortvalue_from_numpy(np.from_dlpack(data))

    def numpy(self) -> np.ndarray[Any, Any]:
        """Returns the tensor as an array that shares its memory (text is copied).

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

    def update_inplace(self, np_arr: np.ndarray[Any, Any]) -> None:
        """Copies an array into the tensor.

        Args:
            np_arr: An array of the tensor's type and number of elements.

        Raises:
            RuntimeError: If it does not fit.
        """
        self._ortvalue.update(np_arr)

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
        """Returns the device that holds the value: ``"cpu"``."""
        return "cpu"

    def data_ptr(self) -> int:
        """Returns the address of the tensor's first element; raises RuntimeError for what is no tensor."""
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

    def __dlpack__(self, **kwargs: Any) -> Any:
        """Returns a DLPack capsule that shares the tensor's memory.

        Args:
            **kwargs: As for ``numpy.ndarray.__dlpack__``.
        """
        return self.numpy().__dlpack__(**kwargs)

    def __dlpack_device__(self) -> tuple[int, int]:
        """Returns DLPack's name of the device."""
        device = self.numpy().__dlpack_device__()
        return int(device[0]), int(device[1])

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
        target.update_inplace(source.numpy())
