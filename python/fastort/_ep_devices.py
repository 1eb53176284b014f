"""The devices that execution providers serve, and how a session's are chosen among them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from . import _engine
from ._devices import OrtMemoryInfo, cpu_memory_info
from ._enums import (
    OrtAllocatorType,
    OrtDeviceMemoryType,
    OrtExecutionProviderDevicePolicy,
    OrtHardwareDeviceType,
    OrtMemoryInfoDeviceType,
)
from ._providers import CPU, VULKAN, ProviderOptions, vulkan_devices

# PCI's numbers, and those that Khronos gives to makers without one.
_VENDORS = {
    0x1002: "AMD",
    0x1010: "Imagination",
    0x1022: "AMD",
    0x106B: "Apple",
    0x10005: "Mesa",
    0x10DE: "NVIDIA",
    0x13B5: "ARM",
    0x14E4: "Broadcom",
    0x1AE0: "Google",
    0x1AF4: "Red Hat",
    0x5143: "Qualcomm",
    0x8086: "Intel",
}
# How the processors' makers call themselves in their names, and their numbers.
_PROCESSORS = {"amd": 0x1022, "intel": 0x8086, "arm": 0x13B5, "apple": 0x106B}
_MOST_SELECTED = 8  # as many as ONNX Runtime lets a program select

_Policy = OrtExecutionProviderDevicePolicy
_ON_GPU = (_Policy.PREFER_GPU, _Policy.MAX_PERFORMANCE)


class OrtHardwareDevice:
    """A device that computes.

    Attributes:
        type: Its kind.
        vendor: The vendor's name.
        vendor_id: The vendor's number: PCI's, or one that Khronos gave out.
        device_id: The number that the vendor gave to this kind of device, of which a machine may have several; 0 for
            the CPU.
        metadata: Further entries: ``Description`` is its name. Vulkan's devices also have ``Discrete`` (``"1"`` where
            the device has memory of its own), ``VulkanType`` and ``VulkanVersion``.
    """

    __slots__ = ("device_id", "metadata", "type", "vendor", "vendor_id")

    def __init__(
        self, kind: OrtHardwareDeviceType, vendor_id: int, device_id: int, metadata: Mapping[str, str]
    ) -> None:
        """Describes a device.

        Args:
            kind: Its kind.
            vendor_id: The vendor's number.
            device_id: The vendor's number for this kind of device.
            metadata: Further entries.
        """
        self.type = kind
        self.vendor = _VENDORS.get(vendor_id, "")
        self.vendor_id = vendor_id
        self.device_id = device_id
        self.metadata = dict(metadata)

    def __repr__(self) -> str:
        """Returns the kind, the vendor and the name."""
        return f"<OrtHardwareDevice {self.type.name}: {self.vendor} {self.metadata.get('Description', '')!r}>"


class OrtEpDevice:
    """An execution provider together with a device that it serves.

    Attributes:
        ep_name: The provider's name.
        ep_vendor: Who made the provider.
        ep_metadata: Further entries.
        ep_options: Options with which the provider uses the device.
        device: The device.
    """

    __slots__ = ("device", "ep_metadata", "ep_name", "ep_options", "ep_vendor")

    def __init__(self, ep_name: str, device: OrtHardwareDevice, ep_options: Mapping[str, str]) -> None:
        """Joins a provider and a device.

        Args:
            ep_name: The provider's name.
            device: The device.
            ep_options: Options with which the provider uses the device.
        """
        self.ep_name = ep_name
        self.ep_vendor = "fastort"
        self.ep_metadata = {"version": _engine.__version__}
        self.ep_options = dict(ep_options)
        self.device = device

    def __repr__(self) -> str:
        """Returns the provider and the device."""
        return f"<OrtEpDevice {self.ep_name} on {self.device!r}>"

    def memory_info(self, memory_type: OrtDeviceMemoryType) -> OrtMemoryInfo:
        """Returns where the provider's values lie.

        Args:
            memory_type: Which memory of the device.
        """
        memory_type = OrtDeviceMemoryType(memory_type)
        if self.ep_name == CPU or memory_type == OrtDeviceMemoryType.HOST_ACCESSIBLE:
            info = cpu_memory_info()
            info.device_mem_type = memory_type
            return info
        return OrtMemoryInfo.create_v2(
            "Vulkan",
            OrtMemoryInfoDeviceType.GPU,
            self.device.vendor_id,
            0,
            memory_type,
            0,
            OrtAllocatorType.ORT_DEVICE_ALLOCATOR,
        )

    def create_sync_stream(self) -> Any:
        """Refuses: the providers have no streams that a program could wait for.

        Returns:
            Nothing, for it never returns.

        Raises:
            RuntimeError: Always.
        """
        raise RuntimeError(f"{self.ep_name} has no streams: its work is done when a run returns")


def get_ep_devices() -> list[OrtEpDevice]:
    """Returns the devices that execution providers serve on this machine, the CPU first.

    Vulkan's devices follow, the fastest kind first. As with ``get_available_providers()``, an implementation of Vulkan
    on the CPU is among them only where the environment variable ``FASTORT_VULKAN_DEVICE`` names it; it stands for a GPU
    then, and its ``VulkanType`` is ``"cpu"``.
    """
    name = _engine.cpu_name()
    vendor = next((number for word, number in _PROCESSORS.items() if word in name.lower()), 0)
    devices = [OrtEpDevice(CPU, OrtHardwareDevice(OrtHardwareDeviceType.CPU, vendor, 0, {"Description": name}), {})]
    asked = os.environ.get("FASTORT_VULKAN_DEVICE", "")
    listed = vulkan_devices()
    for place, entry in enumerate(listed):
        own = str(entry["name"])
        if entry["refusal"] or asked not in own or (entry["is_cpu"] and not asked):
            continue
        # The number counts the devices whose name has this one in it.
        number = sum(own in other["name"] for other in listed[:place])
        metadata = {
            "Description": own,
            "Discrete": str(int(entry["kind"] == "discrete")),
            "VulkanType": entry["kind"],
            "VulkanVersion": entry["vulkan_version"],
        }
        device = OrtHardwareDevice(OrtHardwareDeviceType.GPU, entry["vendor_id"], entry["product_id"], metadata)
        devices.append(OrtEpDevice(VULKAN, device, {"device_name": own, "device_id": str(number)}))
    return devices


def device_of_provider(name: str, options: Mapping[str, str]) -> OrtEpDevice:
    """Returns the device on which a session's provider runs.

    Args:
        name: The provider.
        options: Its options.
    """
    devices = get_ep_devices()
    served = [device for device in devices if device.ep_name == name]
    part, number = options.get("device_name", ""), options.get("device_id", "0")
    named = [device for device in served if part in device.device.metadata["Description"]]
    return next((device for place, device in enumerate(named) if str(place) == number), (named or devices)[0])


# Chooses among devices, given what the model and the process say of themselves, and how many may be chosen.
Delegate = Callable[[Sequence[OrtEpDevice], Mapping[str, str], Mapping[str, str], int], Sequence[OrtEpDevice]]


def providers_of_devices(devices: Sequence[OrtEpDevice], options: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Returns the provider of devices, with its options.

    Args:
        devices: Devices of one provider.
        options: Options beside those that choose the device.

    Raises:
        InvalidArgument: If there is no device, devices are of several providers, or there is more than one that cannot
            serve one session.
        TypeError: If something else is among them.
    """
    for device in devices:
        if not isinstance(device, OrtEpDevice):
            raise TypeError(f"ep_devices takes devices out of get_ep_devices(), not {device!r}")
    if not devices:
        raise _invalid("Must provide one or more OrtEpDevice instances.")
    names = list(dict.fromkeys(device.ep_name for device in devices))
    if len(names) > 1:
        raise _invalid(
            f"All OrtEpDevice values in ep_devices must have the same execution provider, not {' and '.join(names)}; "
            "call add_provider_for_devices once for each."
        )
    places = [device.ep_options for device in devices]
    if any(place != places[0] for place in places):
        listed = ", ".join(device.device.metadata.get("Description", "?") for device in devices)
        raise _invalid(f"A session of {names[0]} runs on one device, not on {listed}; choose one of them.")
    return names[0], {**places[0], **{str(key): str(value) for key, value in options.items()}}


def select_devices(policy: OrtExecutionProviderDevicePolicy) -> list[OrtEpDevice]:
    """Returns the devices that a policy chooses.

    Args:
        policy: The policy.
    """
    devices = get_ep_devices()
    gpus = [device for device in devices if device.device.type == OrtHardwareDeviceType.GPU]
    return gpus[:1] + devices[:1] if policy in _ON_GPU else devices[:1]


def ask_delegate(delegate: Delegate, model_metadata: Mapping[str, str]) -> list[OrtEpDevice]:
    """Returns the devices that a program's function chooses.

    Args:
        delegate: The function.
        model_metadata: What the model says of itself.

    Raises:
        TypeError: If it returns something else.
        InvalidArgument: If it returns none, or too many.
    """
    runtime = {"version": _engine.__version__}
    selected = list(delegate(get_ep_devices(), dict(model_metadata), runtime, _MOST_SELECTED))
    for device in selected:
        if not isinstance(device, OrtEpDevice):
            raise TypeError(f"the delegate returns devices out of those that it is given, not {device!r}")
    if not 0 < len(selected) <= _MOST_SELECTED:
        raise _invalid(f"the delegate selects 1 to {_MOST_SELECTED} devices, not {len(selected)}")
    return selected


def providers_of_selection(devices: Sequence[OrtEpDevice]) -> ProviderOptions:
    """Returns the options of the providers of selected devices, in the order of the devices.

    Args:
        devices: Devices, of several providers or one.
    """
    names = dict.fromkeys(device.ep_name for device in devices)
    return dict(providers_of_devices([d for d in devices if d.ep_name == name], {}) for name in names)


def _invalid(text: str) -> Exception:
    return _engine.InvalidArgument(f"[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : {text}")
