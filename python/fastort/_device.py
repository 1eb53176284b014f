"""Names of devices."""

from __future__ import annotations


class OrtDevice:
    """A device that holds values. Only the CPU for now."""

    __slots__ = ("_id", "_name")

    def __init__(self, name: str = "cpu", device_id: int = 0) -> None:
        """Names a device.

        Args:
            name: ``"cpu"``.
            device_id: Its number.
        """
        self._name = checked_device(name)
        self._id = device_id

    @staticmethod
    def make(ort_device_name: str, device_id: int, vendor_id: int = -1) -> OrtDevice:
        """Names a device, in ONNX Runtime's way.

        Args:
            ort_device_name: ``"cpu"``.
            device_id: Its number.
            vendor_id: Ignored.
        """
        return OrtDevice(ort_device_name, device_id)

    def device_id(self) -> int:
        """Returns the device's number."""
        return self._id

    def device_type(self) -> str:
        """Returns the kind of device: ``"cpu"``."""
        return self._name


def checked_device(name: str) -> str:
    """Returns the device's name in small letters; raises RuntimeError for one that is not there."""
    if name.lower() != "cpu":
        raise RuntimeError(f"Can't allocate memory on the device '{name}': only 'cpu' is available.")
    return "cpu"
