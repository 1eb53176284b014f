"""Exceptions and option classes, under ONNX Runtime's module name."""

from .._engine import (
    Cancelled,
    EngineError,
    EPFail,
    Fail,
    InvalidArgument,
    InvalidGraph,
    InvalidProtobuf,
    ModelLoaded,
    NoModel,
    NoSuchFile,
    NotImplemented,
    RunOptions,
    RuntimeException,
)
from .._logging import set_default_logger_severity, set_default_logger_verbosity
from .._options import ExecutionMode, ExecutionOrder, GraphOptimizationLevel, SessionOptions
from .._providers import get_all_providers, get_available_providers, get_device
from .._session import ModelMetadata, NodeArg
from .._system import get_build_info, get_version_string

__all__ = [
    "Cancelled",
    "EPFail",
    "EngineError",
    "ExecutionMode",
    "ExecutionOrder",
    "Fail",
    "GraphOptimizationLevel",
    "InvalidArgument",
    "InvalidGraph",
    "InvalidProtobuf",
    "ModelLoaded",
    "ModelMetadata",
    "NoModel",
    "NoSuchFile",
    "NodeArg",
    "NotImplemented",
    "RunOptions",
    "RuntimeException",
    "SessionOptions",
    "get_all_providers",
    "get_available_providers",
    "get_build_info",
    "get_device",
    "get_version_string",
    "set_default_logger_severity",
    "set_default_logger_verbosity",
]
