"""The tensors between the inputs and the outputs of a model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ._files import Contents, Model, load_model, load_to_run, open_contents, require_onnx, serialize

if TYPE_CHECKING:
    import onnx

Feeds = Mapping[str, Any]
# Runs the contents of a model on feeds; returns the named outputs.
Run = Callable[[bytes, Sequence[str], Feeds], list[Any]]


def run_on_fastort(model: bytes, names: Sequence[str], feeds: Feeds) -> list[Any]:
    """Runs a model with the default options.

    Args:
        model: The contents of a file.
        names: Outputs.
        feeds: Values by name; those that the model does not take are left out.
    """
    with open_contents(model, providers=["CPUExecutionProvider"]) as session:
        inputs = {arg.name for arg in (*session.get_inputs(), *session.get_overridable_initializers())}
        return session.run(names, {name: value for name, value in feeds.items() if name in inputs})


def intermediate_names(model: Model) -> list[str]:
    """Returns the names of what the nodes of a model compute, in the order of the nodes, without its outputs.

    Args:
        model: A path, the contents of a file, or an ``onnx.ModelProto``.
    """
    loaded = load_model(model, weights=False)
    outputs = {info.name for info in loaded.graph.output}
    # A constant is known without running.
    nodes = (node for node in loaded.graph.node if node.op_type != "Constant")
    return [name for node in nodes for name in node.output if name and name not in outputs]


def with_outputs(model: onnx.ModelProto, names: Iterable[str], folder: str = "") -> Contents:
    """Returns the contents of a model that answers with other tensors than its outputs.

    Args:
        model: The model; it is changed.
        names: What it shall answer with.
        folder: Where the files of its weights lie, if it has some.
    """
    onnx = require_onnx()
    typed = {info.name: info for info in (*model.graph.output, *model.graph.value_info, *model.graph.input)}
    outputs = [typed[name] if name in typed else onnx.ValueInfoProto(name=name) for name in names]
    del model.graph.output[:]
    model.graph.output.extend(outputs)
    return serialize(model, folder)


def intermediate_values(model: Model, feeds: Feeds, names: Sequence[str] | None = None, run: Run | None = None) -> Any:
    """Runs a model and returns what stands between its inputs and outputs.

    Args:
        model: A path, the contents of a file, or an ``onnx.ModelProto``.
        feeds: A value for each input.
        names: The tensors; ``None`` for all.
        run: What runs the model: called with its contents, the names and the feeds. fastort by default. Contents of a
            model above 2 GB have an attribute ``folder``, in which the files of its weights lie.

    Returns:
        A dict from names to values, in the order of ``names``.
    """
    loaded, folder = load_to_run(model)
    wanted = list(intermediate_names(loaded) if names is None else names)
    if not wanted:
        return {}
    values = (run or run_on_fastort)(with_outputs(loaded, wanted, folder), wanted, feeds)
    return dict(zip(wanted, values, strict=True))
