"""Devices and their memory, as far as a program names them. Values lie on the CPU or on a Vulkan device."""

from __future__ import annotations

from collections.abc import Mapping

from ._enums import (
    OrtAllocatorType,
    OrtDeviceMemoryType,
    OrtDeviceVendorId,
    OrtMemoryInfoDeviceType,
    OrtMemType,
)

# The numbers of the kinds of devices by the names that programs use.
_DEVICE_TYPES = {"cpu": 0, "cuda": 1, "gpu": 1, "vulkan": 1, "dml": 4, "webgpu": 1, "cann": 3, "npu": 3, "fpga": 2}
_VENDORS = {
    "cuda": OrtDeviceVendorId.NVIDIA,
    "dml": OrtDeviceVendorId.MICROSOFT,
    "cann": OrtDeviceVendorId.HUAWEI,
}


class CDevice:
    """A device by the numbers of its kind, its memory and its vendor: `OrtDevice` of the `capi` modules."""

    __slots__ = ("_id", "_mem_type", "_type", "_vendor_id")

    def __init__(self, device_type: int, mem_type: int, *vendor_and_device_id: int) -> None:
        """Names a device.

        Args:
            device_type: The number of its kind: ``CDevice.cpu()``, ...
            mem_type: The number of the kind of memory: ``CDevice.default_memory()``.
            *vendor_and_device_id: The vendor's number, which may be left out, and the device's.

        Raises:
            TypeError: If there are not three or four numbers.
        """
        if len(vendor_and_device_id) not in (1, 2):
            raise TypeError("OrtDevice takes a device type, a memory type, a vendor (0 if left out) and a device id")
        self._type = int(device_type)
        self._mem_type = int(mem_type)
        self._vendor_id = int(vendor_and_device_id[0]) if len(vendor_and_device_id) == 2 else 0
        self._id = int(vendor_and_device_id[-1])

    def device_id(self) -> int:
        """Returns the device's number among those of its kind."""
        return self._id

    def device_type(self) -> int:
        """Returns the number of the device's kind."""
        return self._type

    def mem_type(self) -> int:
        """Returns the number of the kind of memory."""
        return self._mem_type

    def vendor_id(self) -> int:
        """Returns the vendor's number."""
        return self._vendor_id

    @staticmethod
    def cpu() -> int:
        """Returns the number of this kind."""
        return _DEVICE_TYPES["cpu"]

    @staticmethod
    def cuda() -> int:
        """Returns the number of this kind."""
        return _DEVICE_TYPES["cuda"]

    @staticmethod
    def gpu() -> int:
        """Returns the number of this kind."""
        return _DEVICE_TYPES["gpu"]

    @staticmethod
    def npu() -> int:
        """Returns the number of this kind."""
        return _DEVICE_TYPES["npu"]

    @staticmethod
    def cann() -> int:
        """Returns the number of this kind."""
        return _DEVICE_TYPES["cann"]

    @staticmethod
    def dml() -> int:
        """Returns the number of this kind."""
        return _DEVICE_TYPES["dml"]

    @staticmethod
    def fpga() -> int:
        """Returns the number of this kind."""
        return _DEVICE_TYPES["fpga"]

    @staticmethod
    def webgpu() -> int:
        """Returns the number of this kind."""
        return _DEVICE_TYPES["webgpu"]

    @staticmethod
    def default_memory() -> int:
        """Returns the number of a device's usual memory."""
        return int(OrtDeviceMemoryType.DEFAULT)


class OrtDevice:
    """A device that can hold values. Naming one is always possible; values are made on ``"cpu"`` and ``"vulkan"``."""

    __slots__ = ("_ort_device",)

    def __init__(self, c_ort_device: CDevice) -> None:
        """Wraps a device; use ``OrtDevice.make`` instead.

        Args:
            c_ort_device: The device by numbers.

        Raises:
            ValueError: If it is something else.
        """
        if not isinstance(c_ort_device, CDevice):
            raise ValueError(
                "`Provided object` needs to be of type `onnxruntime.capi.onnxruntime_pybind11_state.OrtDevice`, "
                f"not {c_ort_device!r}; use OrtDevice.make"
            )
        self._ort_device = c_ort_device

    @staticmethod
    def make(ort_device_name: str, device_id: int, vendor_id: int = -1) -> OrtDevice:
        """Names a device.

        Args:
            ort_device_name: ``"cpu"``, ``"cuda"``, ``"gpu"``, ...
            device_id: Its number among those of its kind.
            vendor_id: The vendor; -1 for what the name says.

        Returns:
            The device, whether or not the machine has it.

        Raises:
            Exception: If there is no such kind of device.
        """
        if ort_device_name not in _DEVICE_TYPES:
            # ONNX Runtime raises this class, of which everything is.
            raise Exception(f"Unsupported device type: {ort_device_name}; there are {', '.join(_DEVICE_TYPES)}")
        vendor = _VENDORS.get(ort_device_name, 0) if vendor_id < 0 else vendor_id
        return OrtDevice(CDevice(_DEVICE_TYPES[ort_device_name], CDevice.default_memory(), vendor, device_id))

    def device_id(self) -> int:
        """Returns the device's number among those of its kind."""
        return self._ort_device.device_id()

    def device_type(self) -> int:
        """Returns the number of the device's kind: 0 for the CPU, 1 for a GPU."""
        return self._ort_device.device_type()

    def device_vendor_id(self) -> int:
        """Returns the vendor's number."""
        return self._ort_device.vendor_id()

    def device_mem_type(self) -> int:
        """Returns the number of the kind of memory."""
        return self._ort_device.mem_type()

    def _get_c_device(self) -> CDevice:
        return self._ort_device


class OrtMemoryInfo:
    """Where memory lies and how it is taken.

    Attributes:
        name: The allocator's name, ``"Cpu"``.
        allocator_type: How memory is taken.
        device_id: The device's number.
        mem_type: What the memory is used for.
        device_mem_type: Whether the CPU reaches it.
        device_vendor_id: The vendor's number.
    """

    __slots__ = ("allocator_type", "device_id", "device_mem_type", "device_vendor_id", "mem_type", "name")

    def __init__(self, name: str, allocator_type: OrtAllocatorType, device_id: int, mem_type: OrtMemType) -> None:
        """Describes memory of the CPU.

        Args:
            name: The allocator's name.
            allocator_type: How memory is taken.
            device_id: The device's number.
            mem_type: What the memory is used for.

        Raises:
            RuntimeError: If the name is not ``"Cpu"``.
        """
        if name.lower() != "cpu":
            raise RuntimeError(
                f"Specified device is not supported. Try OrtMemoryInfo.create_v2. The name is {name!r}, not 'Cpu'."
            )
        self.name = name
        self.allocator_type = OrtAllocatorType(allocator_type)
        self.device_id = int(device_id)
        self.mem_type = OrtMemType(mem_type)
        self.device_mem_type = OrtDeviceMemoryType.DEFAULT
        self.device_vendor_id = 0

    @staticmethod
    def create_v2(
        name: str,
        device_type: OrtMemoryInfoDeviceType,
        vendor_id: int,
        device_id: int,
        device_mem_type: OrtDeviceMemoryType,
        alignment: int,
        allocator_type: OrtAllocatorType,
    ) -> OrtMemoryInfo:
        """Describes memory of any device.

        Args:
            name: A name that the caller chooses.
            device_type: The kind of device.
            vendor_id: The vendor's number.
            device_id: The device's number.
            device_mem_type: Whether the CPU reaches the memory.
            alignment: Bytes to which it is aligned; 0 for the default.
            allocator_type: How memory is taken.

        Returns:
            The description.
        """
        info = OrtMemoryInfo("Cpu", allocator_type, device_id, OrtMemType.DEFAULT)
        info.name = name
        info.device_mem_type = OrtDeviceMemoryType(device_mem_type)
        info.device_vendor_id = int(vendor_id)
        return info


class OrtArenaCfg:
    """How an arena grows. fastort's arenas are planned, so that a session reads nothing of it.

    Attributes:
        max_mem: The most bytes; 0 for no limit.
        arena_extend_strategy: 0 doubles, 1 takes what is asked for; -1 for the default.
        initial_chunk_size_bytes: -1 for the default.
        max_dead_bytes_per_chunk: -1 for the default.
        initial_growth_chunk_size_bytes: -1 for the default.
        max_power_of_two_extend_bytes: -1 for the default.
    """

    __slots__ = (
        "arena_extend_strategy",
        "initial_chunk_size_bytes",
        "initial_growth_chunk_size_bytes",
        "max_dead_bytes_per_chunk",
        "max_mem",
        "max_power_of_two_extend_bytes",
    )

    def __init__(self, *arguments: int | Mapping[str, int]) -> None:
        """Describes an arena.

        Args:
            *arguments: Either a dict of attributes, or the first four attributes.

        Raises:
            ValueError: If the dict has an unknown key.
            TypeError: If there is neither a dict nor four numbers.
        """
        for name in self.__slots__:
            setattr(self, name, 0 if name == "max_mem" else -1)
        if len(arguments) == 1 and isinstance(arguments[0], Mapping):
            for name, value in arguments[0].items():
                if name not in self.__slots__:
                    raise ValueError(f"Invalid OrtArenaCfg option: {name}; there are {', '.join(self.__slots__)}")
                setattr(self, name, int(value))
            return
        if len(arguments) != 4:
            raise TypeError("OrtArenaCfg takes a dict, or max_mem and three more numbers")
        names = ("max_mem", "arena_extend_strategy", "initial_chunk_size_bytes", "max_dead_bytes_per_chunk")
        for name, number in zip(names, arguments, strict=True):
            setattr(self, name, int(number))  # type: ignore[arg-type]


def cpu_memory_info() -> OrtMemoryInfo:
    """Returns where the inputs and outputs of a session on the CPU lie."""
    return OrtMemoryInfo("Cpu", OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, OrtMemType.DEFAULT)


def checked_device(name: str) -> str:
    """Returns the kind of device that values are made on: ``"cpu"`` or ``"vulkan"``.

    Args:
        name: A name that a program gives; ``"gpu"`` is the Vulkan device.

    Raises:
        RuntimeError: If it is another one.
    """
    kind = name.lower()
    if kind in ("vulkan", "gpu"):
        return "vulkan"
    if kind != "cpu":
        raise RuntimeError(f"Can't allocate memory on the device '{name}': only 'cpu' and 'vulkan' are available.")
    return "cpu"
