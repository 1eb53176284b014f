"""fastort runs ONNX models, with ONNX Runtime's Python API.

A program that uses ONNX Runtime runs unchanged with ``import fastort as onnxruntime``.

Example:
    >>> import numpy as np
    >>> import fastort
    >>> session = fastort.InferenceSession("model.onnx")
    >>> outputs = session.run(None, {"input": np.zeros((1, 3, 224, 224), np.float32)})
"""

from typing import Any as _Any

from . import capi
from ._custom_ops import Output, operator, register_operator
from ._devices import (
    OrtArenaCfg,
    OrtDevice,
    OrtMemoryInfo,
)
from ._engine import RunOptions, __version__
from ._enums import (
    ExecutionMode,
    ExecutionOrder,
    GraphOptimizationLevel,
    OrtAllocatorType,
    OrtDeviceMemoryType,
    OrtDeviceVendorId,
    OrtExecutionProviderDevicePolicy,
    OrtHardwareDeviceType,
    OrtMemoryInfoDeviceType,
    OrtMemType,
    OrtSparseFormat,
)
from ._ep_devices import OrtEpDevice, OrtHardwareDevice, get_ep_devices
from ._io_binding import IOBinding, SessionIOBinding
from ._logging import set_default_logger_severity, set_default_logger_verbosity
from ._model_info import ModelMetadata, NodeArg, OrtEpAssignedNode, OrtEpAssignedSubgraph
from ._options import OrtExternalInitializerInfo, SessionOptions
from ._ort_value import OrtValue, copy_tensors
from ._providers import get_all_providers, get_available_providers, get_device
from ._session import InferenceSession
from ._sparse_tensor import SparseTensor
from ._system import (
    disable_telemetry_events,
    enable_telemetry_events,
    get_build_info,
    get_include,
    get_version_string,
    has_collective_ops,
    install_as_onnxruntime,
    preload_dlls,
    print_debug_info,
    set_global_thread_pool_sizes,
    set_seed,
    show_versions,
    uninstall_as_onnxruntime,
)
from .capi import onnxruntime_validation

package_name = "fastort"
version = __version__
cuda_version = ""
import_capi_exception = None

__all__ = [
    "ExecutionMode",
    "ExecutionOrder",
    "GraphOptimizationLevel",
    "IOBinding",
    "InferenceSession",
    "ModelMetadata",
    "NodeArg",
    "OrtAllocatorType",
    "OrtArenaCfg",
    "OrtDevice",
    "OrtDeviceMemoryType",
    "OrtDeviceVendorId",
    "OrtEpAssignedNode",
    "OrtEpAssignedSubgraph",
    "OrtEpDevice",
    "OrtExecutionProviderDevicePolicy",
    "OrtExternalInitializerInfo",
    "OrtHardwareDevice",
    "OrtHardwareDeviceType",
    "OrtMemType",
    "OrtMemoryInfo",
    "OrtMemoryInfoDeviceType",
    "OrtSparseFormat",
    "OrtValue",
    "Output",
    "RunOptions",
    "SessionIOBinding",
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
    "get_ep_devices",
    "get_include",
    "get_version_string",
    "has_collective_ops",
    "install_as_onnxruntime",
    "onnxruntime_validation",
    "operator",
    "preload_dlls",
    "print_debug_info",
    "register_operator",
    "set_default_logger_severity",
    "set_default_logger_verbosity",
    "set_global_thread_pool_sizes",
    "set_seed",
    "show_versions",
    "uninstall_as_onnxruntime",
]


def __getattr__(name: str) -> _Any:
    from ._left_out import refuse

    refuse("module 'fastort'", name)
