"""The session and its values, under ONNX Runtime's module name."""

from .._devices import OrtDevice
from .._enums import OrtDeviceVendorId
from .._io_binding import IOBinding
from .._ort_value import OrtValue, copy_tensors
from .._session import InferenceSession
from .._sparse_tensor import SparseTensor

Session = InferenceSession

__all__ = [
    "IOBinding",
    "InferenceSession",
    "OrtDevice",
    "OrtDeviceVendorId",
    "OrtValue",
    "Session",
    "SparseTensor",
    "copy_tensors",
]
