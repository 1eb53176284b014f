"""The types of a session's inputs and outputs in the terms of NumPy, PyTorch and ONNX."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._model_info import NodeArg
from .._session import InferenceSession

# NumPy's type, PyTorch's name and ONNX's number of each element type that all three have.
_TYPES: dict[str, tuple[type, str, int]] = {
    "float": (np.float32, "float32", 1),
    "uint8": (np.uint8, "uint8", 2),
    "int8": (np.int8, "int8", 3),
    "uint16": (np.uint16, "uint16", 4),
    "int16": (np.int16, "int16", 5),
    "int32": (np.int32, "int32", 6),
    "int64": (np.int64, "int64", 7),
    "bool": (bool, "bool", 9),
    "float16": (np.float16, "float16", 10),
    "double": (np.float64, "float64", 11),
    "uint32": (np.uint32, "uint32", 12),
    "uint64": (np.uint64, "uint64", 13),
    "complex64": (np.complex64, "complex64", 14),
    "complex128": (np.complex128, "complex128", 15),
}
_BFLOAT16 = ("bfloat16", 16)  # which NumPy lacks


class TypeHelper:
    """Translates the types that ``NodeArg.type`` names."""

    @staticmethod
    def get_input_type(ort_session: InferenceSession, name: str) -> str:
        """Returns the type of an input, as ``"tensor(float)"``.

        Args:
            ort_session: The session.
            name: The input's name.

        Raises:
            ValueError: If there is none of this name.
        """
        return _type_of(ort_session.get_inputs(), "input", name)

    @staticmethod
    def get_output_type(ort_session: InferenceSession, name: str) -> str:
        """Returns the type of an output, as ``"tensor(float)"``.

        Args:
            ort_session: The session.
            name: The output's name.

        Raises:
            ValueError: If there is none of this name.
        """
        return _type_of(ort_session.get_outputs(), "output", name)

    @staticmethod
    def ort_type_to_numpy_type(ort_type: str) -> type:
        """Returns the type of NumPy's elements.

        Args:
            ort_type: A type as ``"tensor(float)"``.

        Raises:
            ValueError: If NumPy has no such type.
        """
        return _entry(ort_type)[0]

    @staticmethod
    def ort_type_to_torch_type(ort_type: str) -> Any:
        """Returns the ``torch.dtype``.

        Args:
            ort_type: A type as ``"tensor(float)"``.

        Raises:
            ValueError: If PyTorch has no such type.
        """
        import torch

        return getattr(torch, _BFLOAT16[0] if ort_type == "tensor(bfloat16)" else _entry(ort_type)[1])

    @staticmethod
    def ort_type_to_onnx_type(ort_type: str) -> int:
        """Returns the number of the type in ``onnx.TensorProto``.

        Args:
            ort_type: A type as ``"tensor(float)"``.

        Raises:
            ValueError: If it is no such type.
        """
        return _BFLOAT16[1] if ort_type == "tensor(bfloat16)" else _entry(ort_type)[2]

    @staticmethod
    def numpy_type_to_torch_type(numpy_type: Any) -> Any:
        """Returns the ``torch.dtype`` of a type of NumPy's.

        Args:
            numpy_type: A type or a dtype.

        Raises:
            ValueError: If PyTorch has no such type.
        """
        import torch

        for own, name, _ in _TYPES.values():
            if np.dtype(own) == np.dtype(numpy_type):
                return getattr(torch, name)
        raise ValueError(f"{numpy_type} has no type of PyTorch")

    @staticmethod
    def torch_type_to_numpy_type(torch_type: Any) -> type:
        """Returns NumPy's type of a ``torch.dtype``.

        Args:
            torch_type: The type.

        Raises:
            ValueError: If NumPy has no such type.
        """
        for own, name, _ in _TYPES.values():
            if str(torch_type) == f"torch.{name}":
                return own
        raise ValueError(f"{torch_type} has no type of NumPy")

    @staticmethod
    def get_io_onnx_type_map(ort_session: InferenceSession) -> dict[str, int]:
        """Returns the number of the type in ``onnx.TensorProto`` of each input and output.

        Args:
            ort_session: The session.
        """
        return {name: TypeHelper.ort_type_to_onnx_type(kind) for name, kind in _types(ort_session)}

    @staticmethod
    def get_io_numpy_type_map(ort_session: InferenceSession) -> dict[str, type]:
        """Returns NumPy's type of each input and output.

        Args:
            ort_session: The session.
        """
        return {name: TypeHelper.ort_type_to_numpy_type(kind) for name, kind in _types(ort_session)}

    @staticmethod
    def get_io_torch_type_map(ort_session: InferenceSession) -> dict[str, Any]:
        """Returns the ``torch.dtype`` of each input and output.

        Args:
            ort_session: The session.
        """
        return {name: TypeHelper.ort_type_to_torch_type(kind) for name, kind in _types(ort_session)}


def _types(session: InferenceSession) -> list[tuple[str, str]]:
    return [(entry.name, entry.type) for entry in (*session.get_inputs(), *session.get_outputs())]


def _type_of(entries: list[NodeArg], what: str, name: str) -> str:
    for entry in entries:
        if entry.name == name:
            return entry.type
    raise ValueError(f"{what} name {name} not found; there are: {', '.join(entry.name for entry in entries)}")


def _entry(ort_type: str) -> tuple[type, str, int]:
    found = _TYPES.get(ort_type.removeprefix("tensor(").removesuffix(")"))
    if found is None or not ort_type.startswith("tensor("):
        raise ValueError(f"{ort_type} not found in map")
    return found
