"""Reading a model as a message of the onnx package."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import capi
from .._options import SessionOptions
from .._session import InferenceSession

if TYPE_CHECKING:
    import onnx

Model = Any  # a path, bytes or an onnx.ModelProto
_MAX_MESSAGE = (1 << 31) - 1  # bytes that protobuf writes
_FOLDER_KEY = "session.model_external_initializers_file_folder_path"


class Contents(bytes):
    """The contents of a model's file.

    Attributes:
        folder: Where the files of its weights lie, if it has some beside it; otherwise empty.
    """

    folder: str = ""


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


def load_to_run(model: Model) -> tuple[onnx.ModelProto, str]:
    """Reads a model that is to be changed and run.

    Weights in files of their own become a part of it, if the whole is then small enough for one message. Otherwise they
    are left where they are, and never read here.

    Args:
        model: A path, the contents of a file, or an ``onnx.ModelProto``, which is copied.

    Returns:
        The model, and the folder of its weights' files, empty where there are none.
    """
    from onnx.external_data_helper import load_external_data_for_model, uses_external_data

    loaded = load_model(model, weights=False)
    if isinstance(model, bytes) or not isinstance(model, str | os.PathLike):
        return loaded, getattr(model, "folder", "")
    outside = [t for graph in graphs_of(loaded.graph) for t in graph.initializer if uses_external_data(t)]
    if not outside:
        return loaded, ""
    folder = str(Path(os.fspath(model)).absolute().parent)
    if loaded.ByteSize() + sum(map(bytes_of, outside)) > _MAX_MESSAGE - (1 << 20):
        return loaded, folder
    try:
        load_external_data_for_model(loaded, folder)
    except FileNotFoundError as error:
        raise capi.onnxruntime_pybind11_state.NoSuchFile(f"a file of the weights of '{model!s}': {error}") from None
    return loaded, ""


def serialize(model: onnx.ModelProto, folder: str = "") -> Contents:
    """Returns the contents of a file with a model.

    Args:
        model: The model.
        folder: Where the files of its weights lie, if it has some.

    Raises:
        ValueError: If it is too large for one message.
    """
    from google.protobuf.message import EncodeError

    try:
        contents = Contents(model.SerializeToString())
    except (ValueError, EncodeError):
        raise ValueError(
            "the model is too large for one message (2 GB): save its weights in a file of their own, with "
            "onnx.save(model, path, save_as_external_data=True)"
        ) from None
    contents.folder = folder
    return contents


def open_contents(
    contents: bytes, options: SessionOptions | None = None, providers: list[Any] | None = None
) -> InferenceSession:
    """Makes a session of the contents of a file, of ``Contents`` with the weights beside it."""
    options = options or SessionOptions()
    if folder := getattr(contents, "folder", ""):
        options.add_session_config_entry(_FOLDER_KEY, folder)
    return InferenceSession(contents, options, providers=providers)


def external_locations(contents: bytes) -> list[str]:
    """Returns the files in which weights of a model lie, relative to its folder."""
    if not getattr(contents, "folder", ""):
        return []
    tensors = [t for graph in graphs_of(load_model(contents).graph) for t in graph.initializer]
    return sorted({entry.value for t in tensors for entry in t.external_data if entry.key == "location"})


def bytes_of(tensor: onnx.TensorProto) -> int:
    """Returns how many bytes a tensor's numbers take in memory."""
    from onnx.helper import tensor_dtype_to_np_dtype

    elements: int = math.prod(tensor.dims)
    return elements * int(tensor_dtype_to_np_dtype(tensor.data_type).itemsize)


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


def weights_of(model: onnx.ModelProto) -> list[onnx.TensorProto]:
    """Returns the initializers and constants of a model and of the bodies in it; their numbers may be elsewhere."""
    found = [tensor for graph in graphs_of(model.graph) for tensor in graph.initializer]
    for node in nodes_of(model.graph):
        found += [a.t for a in node.attribute if node.op_type == "Constant" and a.HasField("t")]
    return found
