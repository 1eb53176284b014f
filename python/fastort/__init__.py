"""fastort runs ONNX models, with ONNX Runtime's Python API.

A program that uses ONNX Runtime runs unchanged with ``import fastort as onnxruntime``.

Example:
    >>> import numpy as np
    >>> import fastort
    >>> session = fastort.InferenceSession("model.onnx")
    >>> outputs = session.run(None, {"input": np.zeros((1, 3, 224, 224), np.float32)})
"""

from . import capi
from ._device import OrtDevice
from ._engine import RunOptions, __version__
from ._io_binding import IOBinding
from ._logging import set_default_logger_severity, set_default_logger_verbosity
from ._options import ExecutionMode, ExecutionOrder, GraphOptimizationLevel, SessionOptions
from ._ort_value import OrtValue, copy_tensors
from ._providers import get_all_providers, get_available_providers, get_device
from ._session import InferenceSession, ModelMetadata, NodeArg
from ._sparse_tensor import OrtSparseFormat, SparseTensor
from ._system import disable_telemetry_events, enable_telemetry_events, get_build_info, get_version_string

__all__ = [
    "ExecutionMode",
    "ExecutionOrder",
    "GraphOptimizationLevel",
    "IOBinding",
    "InferenceSession",
    "ModelMetadata",
    "NodeArg",
    "OrtDevice",
    "OrtSparseFormat",
    "OrtValue",
    "RunOptions",
    "SessionOptions",
    "SparseTensor",
    "__version__",
    "capi",
    "copy_tensors",
    "disable_telemetry_events",
    "enable_telemetry_events",
    "get_all_providers",
    "get_available_providers",
    "get_build_info",
    "get_device",
    "get_version_string",
    "set_default_logger_severity",
    "set_default_logger_verbosity",
]
