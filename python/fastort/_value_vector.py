"""ONNX Runtime's list of values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from . import _engine
from ._ort_value import OrtValue

_BOOL = 9  # onnx.TensorProto.BOOL


class OrtValueVector(list[OrtValue]):
    """A list of values with the further methods of ONNX Runtime's class."""

    def push_back(self, value: OrtValue | _engine.OrtValue | Any, is_bool_tensor: bool = False) -> None:
        """Appends a value.

        Args:
            value: The value, or an object with ``__dlpack__``.
            is_bool_tensor: Ignored: the type says it.
        """
        if isinstance(value, _engine.OrtValue):
            value = OrtValue(value)
        self.append(value if isinstance(value, OrtValue) else OrtValue.from_dlpack(value))

    def push_back_batch(self, tensors: Sequence[Any], *_descriptions: Any) -> None:
        """Appends objects with ``__dlpack__``.

        Args:
            tensors: The objects.
        """
        for tensor in tensors:
            self.push_back(tensor)

    def reserve(self, count: int) -> None:
        """Does nothing.

        Args:
            count: How many values there will be.
        """

    def shrink_to_fit(self) -> None:
        """Does nothing."""

    def element_type_at(self, idx: int) -> int:
        """Returns the number in ``onnx.TensorProto`` of a value's element type.

        Args:
            idx: Which value.
        """
        return self[idx].element_type()

    def bool_tensor_indices(self) -> list[int]:
        """Returns which values hold booleans."""
        return [i for i, value in enumerate(self) if value.element_type() == _BOOL]

    def dlpack_at(self, index: int) -> Any:
        """Returns a value as a DLPack capsule.

        Args:
            index: Which value.
        """
        return self[index].__dlpack__()

    def to_dlpacks(self, to_tensor: Callable[[Any], Any] | None) -> list[Any]:
        """Returns all values as DLPack capsules.

        Args:
            to_tensor: What is done to each capsule.
        """
        capsules = [value.__dlpack__() for value in self]
        return capsules if to_tensor is None else [to_tensor(capsule) for capsule in capsules]
