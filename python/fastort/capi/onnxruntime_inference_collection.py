"""The session and its values, under ONNX Runtime's module name."""

from .._device import OrtDevice
from .._io_binding import IOBinding
from .._ort_value import OrtValue, copy_tensors
from .._session import InferenceSession
from .._sparse_tensor import SparseTensor

__all__ = ["IOBinding", "InferenceSession", "OrtDevice", "OrtValue", "SparseTensor", "copy_tensors"]
