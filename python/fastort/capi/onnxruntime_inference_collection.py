"""The session and its values, under ONNX Runtime's module name."""

from .._io_binding import IOBinding
from .._ort_value import OrtDevice, OrtValue, copy_tensors
from .._session import InferenceSession

__all__ = ["IOBinding", "InferenceSession", "OrtDevice", "OrtValue", "copy_tensors"]
