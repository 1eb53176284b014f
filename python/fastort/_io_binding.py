"""Inputs and outputs that are bound once and used by many runs."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _engine
from ._devices import OrtDevice, checked_device
from ._ort_value import OrtValue
from ._value_vector import OrtValueVector

if TYPE_CHECKING:
    from ._session import InferenceSession


class IOBinding:
    """Values bound to a session's inputs and outputs, for ``InferenceSession.run_with_iobinding``."""

    def __init__(self, session: InferenceSession) -> None:
        """Starts without any binding.

        Args:
            session: The session whose inputs and outputs are bound.
        """
        self._session = session._sess
        self._input_names = [
            argument.name for argument in (*session.get_inputs(), *session.get_overridable_initializers())
        ]
        self._output_names = [argument.name for argument in session.get_outputs()]
        self._inputs: dict[str, OrtValue] = {}
        self._outputs: dict[str, OrtValue | None] = {}
        self._made_on_device: set[str] = set()  # outputs whose entry only names the device
        self._results: list[OrtValue] = []

    def bind_cpu_input(self, name: str, arr_on_cpu: np.ndarray[Any, Any]) -> None:
        """Binds an array; it is read at every run, so that new contents can be written into it.

        Args:
            name: The input's name.
            arr_on_cpu: The array.

        Raises:
            RuntimeError: If the session has no such input.
        """
        self.bind_ortvalue_input(name, OrtValue.ortvalue_from_numpy(arr_on_cpu))

    def bind_input(
        self, name: str, device_type: str, device_id: int, element_type: Any, shape: Sequence[int], buffer_ptr: int
    ) -> None:
        """Binds memory that the caller keeps alive.

        Args:
            name: The input's name.
            device_type: ``"cpu"`` or ``"vulkan"``.
            device_id: The number of the Vulkan device.
            element_type: A dtype or a number of ``onnx.TensorProto``.
            shape: The tensor's sizes.
            buffer_ptr: The address of the first element; on a Vulkan device, one in the memory of an ``OrtValue``.

        Raises:
            RuntimeError: If the session has no such input, or the device is not available.
        """
        kind = checked_device(device_type)
        self.bind_ortvalue_input(name, _at_address(kind, device_id, buffer_ptr, shape, element_type))

    def bind_ortvalue_input(self, name: str, ortvalue: OrtValue) -> None:
        """Binds a value.

        Args:
            name: The input's name.
            ortvalue: The value.

        Raises:
            RuntimeError: If the session has no such input.
            TypeError: If the value is something else, as an array.
        """
        if name not in self._input_names:
            raise RuntimeError(f"Failed to find NodeArg with name: {name} in the def list: {self._input_names}")
        self._inputs[name] = _checked_value(ortvalue, "bind_cpu_input binds arrays")

    def bind_output(
        self,
        name: str,
        device_type: str = "cpu",
        device_id: int = 0,
        element_type: Any = None,
        shape: Sequence[int] | None = None,
        buffer_ptr: int | None = None,
    ) -> None:
        """Binds an output to memory that the caller keeps alive, or to memory that every run takes anew.

        Args:
            name: The output's name.
            device_type: ``"cpu"`` or ``"vulkan"``. Without a ``buffer_ptr``, another device that ONNX Runtime knows, as
                ``"cuda"``, is taken for the CPU with a warning, as its execution provider is.
            device_id: The number of the Vulkan device.
            element_type: A dtype or a number of ``onnx.TensorProto``; with ``buffer_ptr`` only.
            shape: The tensor's sizes; with ``buffer_ptr`` only.
            buffer_ptr: The address of the first element; ``None`` for memory of the session's.

        Raises:
            RuntimeError: If the session has no such output, or the device is not available.
            ValueError: If there is a ``buffer_ptr`` without a type or a shape.
        """
        self._check_output(name)
        if buffer_ptr is None:
            device_type = _served_device(device_type)
        kind = checked_device(device_type)
        if buffer_ptr is not None and (element_type is None or shape is None):
            raise ValueError("`element_type` and `shape` are to be provided if pre-allocated memory is provided")
        self._made_on_device.discard(name)
        if buffer_ptr is not None:
            self._outputs[name] = _at_address(kind, device_id, buffer_ptr, shape or (), element_type)
        elif kind == "cpu":
            self._outputs[name] = None
        else:
            self._outputs[name] = OrtValue(_engine.OrtValue.request_on_device(device_id))
            self._made_on_device.add(name)

    def bind_ortvalue_output(self, name: str, ortvalue: OrtValue) -> None:
        """Binds an output to the memory of a value.

        Args:
            name: The output's name.
            ortvalue: A tensor of the output's type and shape.

        Raises:
            RuntimeError: If the session has no such output.
            TypeError: If the value is something else, as an array.
        """
        self._check_output(name)
        value = _checked_value(ortvalue, "OrtValue.ortvalue_from_numpy makes one of an array, whose memory it shares")
        self._made_on_device.discard(name)
        self._outputs[name] = value

    def _check_output(self, name: str) -> None:
        if name not in self._output_names and not self._session.has_value(name):
            raise RuntimeError(f"Failed to find NodeArg with name: {name} in the def list: {self._output_names}")

    def synchronize_inputs(self) -> None:
        """Does nothing: a run returns when its results are ready, on whatever device."""

    def synchronize_outputs(self) -> None:
        """Does nothing: a run returns when its results are ready, on whatever device."""

    def get_outputs(self) -> list[OrtValue]:
        """Returns the values of the last run in the order in which they were bound."""
        return list(self._results)

    def get_outputs_as_ortvaluevector(self) -> OrtValueVector:
        """Returns the values of the last run as ONNX Runtime's list of them."""
        return OrtValueVector(self._results)

    def copy_outputs_to_cpu(self) -> list[Any]:
        """Returns the values of the last run as ``InferenceSession.run`` would."""
        return [np.copy(value.numpy()) if value.is_tensor() else value.to_python() for value in self._results]

    def clear_binding_inputs(self) -> None:
        """Forgets the bound inputs."""
        self._inputs.clear()

    def clear_binding_outputs(self) -> None:
        """Forgets the bound outputs."""
        self._outputs.clear()
        self._made_on_device.clear()
        self._results.clear()

    def _run(self, session: _engine.Session, run_options: _engine.RunOptions | None) -> None:
        if session is not self._session:
            raise ValueError(
                "IOBinding must be used with the session that created it. Make one with io_binding() of this session."
            )
        if not self._outputs:
            raise ValueError("At least one output should be requested. Call bind_output or bind_ortvalue_output first.")
        bound = list(self._outputs.values())
        results = session.run_values(list(self._outputs), self._inputs, bound, run_options)
        kept = [None if name in self._made_on_device else value for name, value in self._outputs.items()]
        self._results = [value or OrtValue(result) for value, result in zip(kept, results, strict=True)]


class SessionIOBinding(IOBinding):
    """The binding under the name and with the arguments of ONNX Runtime's inner class."""

    def bind_input(self, name: str, *what: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Binds an array, or memory at an address.

        Args:
            name: The input's name.
            *what: An array; or a device, an element type, a shape and an address.

        Raises:
            RuntimeError: If the session has no such input.
            TypeError: If the arguments are others.
        """
        if len(what) == 1:
            self.bind_cpu_input(name, what[0])
            return
        device, element_type, shape, address = what
        super().bind_input(name, _device_name(device), _device_id(device), element_type, shape, address)

    def bind_output(self, name: str, *what: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Binds an output to memory that every run takes anew, or to memory at an address.

        Args:
            name: The output's name.
            *what: A device; or a device, an element type, a shape and an address.

        Raises:
            TypeError: If the arguments are others.
        """
        super().bind_output(name, _device_name(what[0]), _device_id(what[0]), *what[1:])


def _served_device(name: str) -> str:
    try:
        checked_device(name)
    except RuntimeError:
        OrtDevice.make(name.lower(), 0)  # refuses a name that nobody knows
        warnings.warn(f"There is no device '{name}' here: the output is kept on the CPU.", UserWarning, stacklevel=3)
        return "cpu"
    return name


def _checked_value(value: Any, remedy: str) -> OrtValue:
    if isinstance(value, _engine.OrtValue):
        return OrtValue(value)
    if not isinstance(value, OrtValue):
        raise TypeError(f"an OrtValue is bound here, not {type(value).__name__}; {remedy}")
    return value


def _device_name(device: Any) -> str:
    inner = device._get_c_device() if isinstance(device, OrtDevice) else device
    if inner.device_type() == inner.cpu():
        return "cpu"
    if inner.device_type() == inner.gpu() and inner.vendor_id() == 0:
        return "vulkan"
    return f"device type {inner.device_type()} of vendor {inner.vendor_id()}"


def _device_id(device: Any) -> int:
    inner = device._get_c_device() if isinstance(device, OrtDevice) else device
    return int(inner.device_id())


def _at_address(kind: str, device_id: int, address: int, shape: Sequence[int], element_type: Any) -> OrtValue:
    element_type = np.float32 if element_type is None else element_type
    if kind == "vulkan":
        return OrtValue(_engine.OrtValue.from_device_pointer(address, list(shape), element_type, device_id))
    return OrtValue(_engine.OrtValue.from_pointer(address, list(shape), element_type))
