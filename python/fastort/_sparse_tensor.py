"""Sparse tensors, fed to a session and returned by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from . import _engine
from ._devices import CDevice, OrtDevice
from ._enums import OrtSparseFormat

Array = np.ndarray[Any, Any]


class SparseCooView:
    """The places of the values of a sparse tensor in coordinate form."""

    __slots__ = ("_indices",)

    def __init__(self, indices: Array) -> None:
        """Wraps the indices.

        Args:
            indices: One linear index, or one row of indices, for each value.
        """
        self._indices = indices

    def indices(self) -> Array:
        """Returns one linear index, or one row of indices, for each value."""
        return self._indices


class SparseCsrView:
    """The places of the values of a sparse matrix in the form of compressed rows."""

    __slots__ = ("_inner", "_outer")

    def __init__(self, inner: Array, outer: Array) -> None:
        """Wraps the indices.

        Args:
            inner: The column of each value.
            outer: Where each row begins among the values, and their number.
        """
        self._inner = inner
        self._outer = outer

    def inner(self) -> Array:
        """Returns the column of each value."""
        return self._inner

    def outer(self) -> Array:
        """Returns where each row begins among the values, and their number."""
        return self._outer


class SparseTensor:
    """The values of a tensor that are not zero, and their places.

    The engine works with coordinates: rows that are compressed are written out when the tensor is made, and results of
    a session are in coordinate form.
    """

    __slots__ = ("__weakref__", "_csr", "_ortvalue")

    def __init__(self, sparse_tensor: _engine.OrtValue) -> None:
        """Wraps a value of the engine; use one of the ``sparse_..._from_numpy`` methods instead.

        Args:
            sparse_tensor: The engine's value.

        Raises:
            ValueError: If it is no value of the engine.
            RuntimeError: If the value is no sparse tensor.
        """
        if not isinstance(sparse_tensor, _engine.OrtValue):
            raise ValueError(f"a SparseTensor wraps a value of the engine, not {sparse_tensor!r}")
        if sparse_tensor.kind() != "sparse":
            raise RuntimeError(f"This OrtValue does not contain a sparse tensor but {sparse_tensor.data_type()}")
        self._ortvalue = sparse_tensor
        self._csr: SparseCsrView | None = None

    @classmethod
    def sparse_coo_from_numpy(
        cls, dense_shape: Sequence[int] | Array, values: Array, coo_indices: Array, ort_device: OrtDevice
    ) -> SparseTensor:
        """Makes a sparse tensor of values and their coordinates. Memory is shared as far as it is C-contiguous.

        Args:
            dense_shape: The sizes of the tensor.
            values: A 1-D array.
            coo_indices: A linear index for each value, or a 2-D array with a row of indices for each.
            ort_device: The CPU.

        Raises:
            RuntimeError: If the arrays do not fit each other, or an index is outside the shape.
        """
        _check_device(ort_device)
        indices = np.asarray(coo_indices, dtype=np.int64)
        return cls(_engine.OrtValue.from_sparse(_sizes(dense_shape), values, indices))

    @classmethod
    def sparse_csr_from_numpy(
        cls,
        dense_shape: Sequence[int] | Array,
        values: Array,
        inner_indices: Array,
        outer_indices: Array,
        ort_device: OrtDevice,
    ) -> SparseTensor:
        """Makes a sparse matrix of compressed rows, as those of ``scipy.sparse.csr_array``.

        Args:
            dense_shape: The rows and columns of the matrix.
            values: A 1-D array.
            inner_indices: The column of each value.
            outer_indices: Where each row begins among the values, and their number.
            ort_device: The CPU.

        Raises:
            RuntimeError: If the arrays do not fit each other, or an index is outside the shape.
        """
        _check_device(ort_device)
        shape = _sizes(dense_shape)
        inner, outer = np.asarray(inner_indices, dtype=np.int64), np.asarray(outer_indices, dtype=np.int64)
        if len(shape) != 2:
            raise RuntimeError(f"compressed rows are those of a matrix, not of a tensor of shape {shape}")
        if inner.shape != values.shape or outer.shape != (shape[0] + 1,):
            raise RuntimeError(
                f"{len(values)} values in {shape[0]} rows need as many inner indices and {shape[0] + 1} outer ones, "
                f"not {inner.shape} and {outer.shape}"
            )
        if outer[0] != 0 or outer[-1] != len(values) or np.any(np.diff(outer) < 0):
            raise RuntimeError(f"the outer indices must rise from 0 to the number of values, {len(values)}")
        rows = np.repeat(np.arange(shape[0], dtype=np.int64), np.diff(outer))
        made = cls(_engine.OrtValue.from_sparse(shape, values, np.stack([rows, inner], axis=1)))
        made._csr = SparseCsrView(inner, outer)
        return made

    def values(self) -> Array:
        """Returns the values as an array that shares their memory (text is copied)."""
        array: Array = self._ortvalue.sparse_values()
        return array

    def as_coo_view(self) -> SparseCooView:
        """Returns the values' coordinates; raises RuntimeError for a tensor in another form."""
        self._check_format(OrtSparseFormat.ORT_SPARSE_COO)
        return SparseCooView(self._ortvalue.sparse_indices())

    def as_csrc_view(self) -> SparseCsrView:
        """Returns the places as compressed rows; raises RuntimeError for a tensor in another form."""
        self._check_format(OrtSparseFormat.ORT_SPARSE_CSRC)
        assert self._csr is not None
        return self._csr

    def as_blocksparse_view(self) -> SparseCooView:
        """Refuses: no tensor here is made of blocks.

        Returns:
            Nothing, for it never returns.

        Raises:
            RuntimeError: Always.
        """
        self._check_format(OrtSparseFormat.ORT_SPARSE_BLOCK_SPARSE)
        raise AssertionError

    def to_cuda(self, ort_device: OrtDevice) -> SparseTensor:
        """Refuses: this build has no CUDA.

        Args:
            ort_device: Ignored.

        Returns:
            Nothing, for it never returns.

        Raises:
            RuntimeError: Always.
        """
        raise RuntimeError("Cuda is not available in this build of fastort; sparse tensors stay on the CPU")

    def format(self) -> OrtSparseFormat:
        """Returns in which form the places are kept."""
        return OrtSparseFormat.ORT_SPARSE_COO if self._csr is None else OrtSparseFormat.ORT_SPARSE_CSRC

    def dense_shape(self) -> list[int]:
        """Returns the sizes of the tensor."""
        return self._ortvalue.shape()

    def data_type(self) -> str:
        """Returns the type as ONNX Runtime writes it: ``"sparse_tensor(float)"``."""
        return self._ortvalue.data_type()

    def device_name(self) -> str:
        """Returns the device that holds the values: ``"cpu"``."""
        return "cpu"

    def __repr__(self) -> str:
        """Returns the type, the shape and the number of values."""
        return f"SparseTensor({self.data_type()}{self.dense_shape()}, {len(self.values())} values)"

    def _check_format(self, wanted: OrtSparseFormat) -> None:
        if self.format() != wanted:
            raise RuntimeError(f"This sparse tensor does not contain {wanted.name} format but {self.format().name}")


def _sizes(dense_shape: Sequence[int] | Array) -> list[int]:
    return [int(size) for size in dense_shape]


def _check_device(device: OrtDevice) -> None:
    if device.device_type() != CDevice.cpu():
        raise RuntimeError(f"a sparse tensor is made of memory of the CPU, not of device type {device.device_type()}")
