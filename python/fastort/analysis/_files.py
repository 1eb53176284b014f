"""Reading a model as a message of the onnx package."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import capi

if TYPE_CHECKING:
    import onnx

Model = Any  # a path, bytes or an onnx.ModelProto


def require_onnx() -> Any:
    """Returns the onnx package.

    Raises:
        ModuleNotFoundError: If it is not installed.
    """
    try:
        import onnx
    except ModuleNotFoundError:
        raise ModuleNotFoundError("this needs the package 'onnx': pip install 'fastort[cli]'") from None
    return onnx


def load_model(model: Model, weights: bool = True) -> onnx.ModelProto:
    """Reads a model.

    Args:
        model: A path, the contents of a file, or an ``onnx.ModelProto``, which is copied.
        weights: Whether weights that lie in files of their own are read too.

    Returns:
        A message that the caller may change.

    Raises:
        NoSuchFile: If there is no such file.
        InvalidProtobuf: If it holds no model.
    """
    require_onnx()
    import onnx

    if isinstance(model, onnx.ModelProto):
        copy = onnx.ModelProto()
        copy.CopyFrom(model)
        return copy
    from google.protobuf.message import DecodeError

    named = "the bytes" if isinstance(model, bytes) else f"'{os.fspath(model)}'"
    loaded: onnx.ModelProto
    try:
        if isinstance(model, bytes):
            loaded = onnx.load_from_string(model)
        else:
            loaded = onnx.load(os.fspath(model), load_external_data=weights)
    except (FileNotFoundError, IsADirectoryError):
        # onnx names the folder of weights in the same way as the model itself.
        there = isinstance(model, bytes) or Path(os.fspath(model)).is_file()
        missing = f"'{model!s}', or a file of its weights," if there else f"'{model!s}'"
        raise capi.onnxruntime_pybind11_state.NoSuchFile(f"{missing} is no file") from None
    except DecodeError:
        raise capi.onnxruntime_pybind11_state.InvalidProtobuf(f"{named} holds no ONNX model") from None
    if not loaded.HasField("graph"):
        raise capi.onnxruntime_pybind11_state.InvalidProtobuf(f"{named} holds no ONNX model: it has no graph")
    return loaded


def serialize(model: onnx.ModelProto) -> bytes:
    """Returns the bytes of a model.

    Raises:
        ValueError: If it is too large for one message.
    """
    from google.protobuf.message import EncodeError

    try:
        return bytes(model.SerializeToString())
    except (ValueError, EncodeError):
        raise ValueError("models above 2 GB cannot be looked into: their message is too large") from None


def name_of(node: onnx.NodeProto) -> str:
    """Returns a node's operator, with its domain where that is not the standard's."""
    return node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"


def graphs_of(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """Yields a graph and the bodies in it."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
                yield from graphs_of(inner)


def nodes_of(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Yields the nodes of a graph and of the bodies in it."""
    for inner in graphs_of(graph):
        yield from inner.node
