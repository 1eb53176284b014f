"""Values for a model's inputs: random ones that suit it, or those of a file."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .._model_info import NodeArg
from ._files import Model, load_model, require_onnx

Array = np.ndarray[Any, Any]

_ELEMENT = re.compile(r"tensor\((\w+)\)$")
_WORDS = ("the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog")
_DEFAULT_IDS = 10  # ids are below this where the model does not show what they look up
_LOOK_UPS = {"Gather": (0, 1), "GatherBlockQuantized": (0, 1)}  # operator: where the table and the ids stand
OUTPUT_KINDS = (".npz", ".npy", ".pb")  # of files
_UNCHANGED = {"Cast", "Reshape", "Squeeze", "Unsqueeze", "Identity", "Flatten"}


def element_dtype(name: str) -> np.dtype[Any]:
    """Returns the dtype of an element type's name, as ``"float16"``.

    Raises:
        ValueError: If NumPy and ml_dtypes have none.
    """
    names = {"float": "float32", "double": "float64", "string": "object", "float8e4m3fn": "float8_e4m3fn"}
    names |= {"float8e5m2": "float8_e5m2", "float8e4m3fnuz": "float8_e4m3fnuz", "float8e5m2fnuz": "float8_e5m2fnuz"}
    try:
        return np.dtype(names.get(name, name))
    except TypeError:
        pass
    import ml_dtypes

    kind: Any = getattr(ml_dtypes, names.get(name, name), None)
    if kind is None:
        raise ValueError(f"random values of the type '{name}' are not made; give the inputs in a file")
    dtype: np.dtype[Any] = np.dtype(kind)
    return dtype


def id_bounds(model: Model) -> dict[str, int]:
    """Returns, for inputs that look up rows of a table, the number of its rows (the smallest where there are more).

    Args:
        model: A path, the contents of a file, or an ``onnx.ModelProto``.
    """
    graph = load_model(model, weights=False).graph
    rows = {tensor.name: tensor.dims for tensor in graph.initializer}
    source = {info.name: info.name for info in graph.input}
    bounds: dict[str, int] = {}
    for node in graph.node:
        if node.op_type in _UNCHANGED and node.input and node.input[0] in source:
            source[node.output[0]] = source[node.input[0]]
        if node.op_type == "EmbedLayerNormalization":
            pairs = [(2, 0), (4, 1)]
        else:
            pairs = [_LOOK_UPS[node.op_type]] if node.op_type in _LOOK_UPS else []
        for table, ids in pairs:
            if max(table, ids) < len(node.input) and node.input[ids] in source and node.input[table] in rows:
                axis = next((a.i for a in node.attribute if a.name == "axis"), 0)
                dims = rows[node.input[table]]
                name = source[node.input[ids]]
                if dims:
                    bounds[name] = min(bounds.get(name, dims[axis]), dims[axis])
    return bounds


def _shape_of(arg: NodeArg, dims: Mapping[str, int], shapes: Mapping[str, Sequence[int]]) -> tuple[int, ...]:
    if arg.name in shapes:
        given = tuple(shapes[arg.name])
        if arg.shape and len(given) != len(arg.shape):
            raise ValueError(f"the input '{arg.name}' has {len(arg.shape)} dimensions, {arg.shape}, not {len(given)}")
        return given
    return tuple(size if isinstance(size, int) else dims.get(str(size), 1) for size in arg.shape)


def _tensor(name: str, element: str, shape: tuple[int, ...], bound: int | None, rng: np.random.Generator) -> Array:
    dtype = element_dtype(element)
    if dtype == np.dtype(object):
        return rng.choice(np.array(_WORDS, dtype=object), size=shape)
    if dtype == np.dtype(bool):
        return rng.integers(0, 2, shape).astype(bool)
    if dtype.kind == "c":
        return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(dtype)
    if dtype.kind not in "iu":
        return rng.standard_normal(shape).astype(np.float32).astype(dtype)
    if bound is None and "mask" in name.lower():
        return np.ones(shape, dtype)
    if bound is None and dtype.itemsize == 1:
        info = np.iinfo(dtype)
        return rng.integers(info.min, info.max + 1, shape).astype(dtype)
    return rng.integers(0, bound or _DEFAULT_IDS, shape).astype(dtype)


def random_feeds(
    inputs: Iterable[NodeArg],
    dims: Mapping[str, int] | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    seed: int = 0,
    bounds: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """Makes random values for a model's inputs.

    Floats are standard normal, masks are one, ids look up rows that exist (see ``bounds``), other integers are below
    10, bytes take all their values, texts are words. An optional input has no value.

    Args:
        inputs: What ``session.get_inputs()`` returns.
        dims: Sizes of symbolic dimensions by name; others are 1.
        shapes: Shapes of inputs by name.
        seed: The same seed makes the same values.
        bounds: Upper bounds of ids by input, as ``id_bounds`` reads them from the model.

    Returns:
        A value for each input.

    Raises:
        ValueError: If an input is of a type that is not made, or a name in ``dims`` or ``shapes`` is none of the model.
    """
    inputs = list(inputs)
    dims, shapes, bounds = dims or {}, shapes or {}, bounds or {}
    symbols = {size for arg in inputs for size in arg.shape if isinstance(size, str)}
    for name in dims:
        if name not in symbols:
            raise ValueError(f"no input has a dimension '{name}'; there are: {', '.join(sorted(symbols)) or 'none'}")
    for name in shapes:
        if name not in {arg.name for arg in inputs}:
            raise ValueError(f"there is no input '{name}'; there are: {', '.join(arg.name for arg in inputs)}")
    rng = np.random.default_rng(seed)
    feeds: dict[str, Any] = {}
    for arg in inputs:
        if arg.type.startswith("optional"):
            feeds[arg.name] = None
            continue
        element = _ELEMENT.match(arg.type.removeprefix("seq(").removesuffix(")") if "seq(" in arg.type else arg.type)
        if element is None:
            raise ValueError(f"random values of the type {arg.type} are not made; give '{arg.name}' in a file")
        value = _tensor(arg.name, element[1], _shape_of(arg, dims, shapes), bounds.get(arg.name), rng)
        feeds[arg.name] = [value] if arg.type.startswith("seq") else value
    return feeds


def load_feeds(files: Iterable[str], inputs: Sequence[NodeArg]) -> dict[str, Any]:
    """Reads values for a model's inputs.

    Args:
        files: ``.npz`` (arrays by the inputs' names), ``.npy`` and ``.pb`` (one value each), with ``NAME=`` in front
            to say which input they are for; without it they are for the inputs in their order.
        inputs: What ``session.get_inputs()`` returns.

    Returns:
        Values by name.

    Raises:
        ValueError: If a file is of another kind, or is for no input.
        OSError: If a file cannot be read.
    """
    feeds: dict[str, Any] = {}
    names = [arg.name for arg in inputs]
    for text in files:
        name, equals, path = text.partition("=")
        if not equals or Path(text).exists():
            name, path = "", text
        value: Any
        if path.endswith(".npz"):
            feeds |= _read_arrays(path)
            continue
        if path.endswith(".npy"):
            value, stored_name = _read_arrays(path)[""], ""
        else:
            value, stored_name = _read_pb(path)
        if not name:
            name = stored_name if stored_name in names else next((n for n in names if n not in feeds), path)
        feeds[name] = value
    for name in feeds:
        if name not in names:
            raise ValueError(f"there is no input '{name}'; there are: {', '.join(names)}")
    return feeds


def _read_arrays(path: str) -> dict[str, Any]:
    """Returns the arrays of an ``.npz`` file by name, or that of an ``.npy`` file by no name."""
    try:
        stored = np.load(path, allow_pickle=False)
        if isinstance(stored, np.ndarray):
            return {"": stored}
        with stored:
            return {key: stored[key] for key in stored.files}
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        if "Object arrays" in str(error):
            raise ValueError(f"'{path}' holds Python objects; store texts as NumPy's own: array.astype(str)") from None
        raise ValueError(f"'{path}' is no {Path(path).suffix} file, or is damaged") from None


def _read_pb(path: str) -> tuple[Array, str]:
    if not path.endswith(".pb"):
        raise ValueError(f"'{path}': inputs are read from .npz, .npy and .pb files")
    onnx = require_onnx()
    from google.protobuf.message import DecodeError

    tensor = onnx.TensorProto()
    try:
        tensor.ParseFromString(Path(path).read_bytes())
        return onnx.numpy_helper.to_array(tensor), tensor.name
    except (DecodeError, TypeError, ValueError):
        raise ValueError(f"'{path}' holds no tensor of ONNX") from None


def save_outputs(path: str, names: Sequence[str], values: Sequence[Any]) -> None:
    """Writes the outputs of a run.

    Args:
        path: A ``.npz`` file for all of them by name, or a ``.npy`` or ``.pb`` file for the only one.
        names: The outputs' names.
        values: Their values.

    Raises:
        ValueError: If the values do not go into such a file.
    """
    for name, value in zip(names, values, strict=True):
        if not isinstance(value, np.ndarray):
            raise ValueError(f"the output '{name}' is no tensor and cannot be saved")
    # Texts as NumPy's own strings, so that reading them back unpickles nothing.
    arrays = [value.astype(np.str_) if value.dtype == object else value for value in values]
    if path.endswith(".npz"):
        with open(path, "wb") as file:
            np.savez(file, **dict(zip(names, arrays, strict=True)))
        return
    if len(arrays) != 1:
        raise ValueError(f"'{path}' holds one output, and the model has {len(arrays)}: write to a .npz file")
    if path.endswith(".npy"):
        np.save(path, arrays[0])
    elif path.endswith(".pb"):
        tensor = require_onnx().numpy_helper.from_array(values[0], names[0])
        Path(path).write_bytes(tensor.SerializeToString())
    else:
        raise ValueError(f"'{path}': outputs are written to .npz, .npy and .pb files")
