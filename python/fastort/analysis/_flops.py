"""Counts the floating-point operations of a model from the shapes of one run."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .. import _engine
from .._enums import GraphOptimizationLevel
from .._options import SessionOptions
from ._files import Model, load_to_run, open_contents, require_onnx, serialize

if TYPE_CHECKING:
    import onnx

Shape = tuple[int, ...]
Counter = Callable[["onnx.NodeProto", list[Shape], Shape], float]
_PREFIX = "fastort.shape of "


@dataclass
class Count:
    """The operations of a model.

    Attributes:
        flops: Operations of its convolutions, matrix products, attention and recurrences; a multiply-add is two.
        unknown: Nodes of those kinds whose shapes no run showed, which are not counted.
        by_operator: The operations by operator.
    """

    flops: float = 0
    unknown: int = 0
    by_operator: dict[str, float] = field(default_factory=dict)


def _attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    from onnx.helper import get_attribute_value

    return next((get_attribute_value(a) for a in node.attribute if a.name == name), default)


def _conv(weight: int) -> Counter:
    def count(node: onnx.NodeProto, shapes: list[Shape], out: Shape) -> float:
        # The weight is [M, C / group, ...kernel]: each element of the output takes all of it but M.
        return 2.0 * math.prod(out) * math.prod(shapes[weight][1:])

    return count


def _conv_transpose(node: onnx.NodeProto, shapes: list[Shape], out: Shape) -> float:
    return 2.0 * math.prod(shapes[0]) * math.prod(shapes[1][1:])


def _gemm(node: onnx.NodeProto, shapes: list[Shape], out: Shape) -> float:
    inner = shapes[0][0] if _attribute(node, "transA", 0) else shapes[0][1]
    return 2.0 * math.prod(out) * inner


def _matmul(node: onnx.NodeProto, shapes: list[Shape], out: Shape) -> float:
    return 2.0 * math.prod(out) * shapes[0][-1]


def _einsum(node: onnx.NodeProto, shapes: list[Shape], out: Shape) -> float:
    equation = _attribute(node, "equation", b"").decode().replace(" ", "")
    terms = equation.split("->")[0].split(",")
    if len(terms) < 2 or "..." in equation:
        return 0.0
    sizes = {
        letter: size
        for term, shape in zip(terms, shapes, strict=True)
        for letter, size in zip(term, shape, strict=True)
    }
    return 2.0 * math.prod(sizes.values())


def _recurrence(gates: int) -> Counter:
    def count(node: onnx.NodeProto, shapes: list[Shape], out: Shape) -> float:
        steps, batch, size = shapes[0]
        directions, rows, _ = shapes[1]
        hidden = rows // gates
        return 2.0 * steps * batch * directions * rows * (size + hidden)

    return count


def _attention(node: onnx.NodeProto, shapes: list[Shape], out: Shape) -> float:
    # [batch, heads, tokens, size], or [batch, tokens, heads * size]: both products together.
    query, key, value = shapes[:3]
    return 2.0 * math.prod(query) * key[-2] + 2.0 * math.prod(query[:-1]) * key[-2] * value[-1]


_COUNTERS: dict[str, Counter] = {
    "Conv": _conv(1),
    "ConvInteger": _conv(1),
    "FusedConv": _conv(1),
    "QLinearConv": _conv(3),
    "ConvTranspose": _conv_transpose,
    "Gemm": _gemm,
    "FusedGemm": _gemm,
    "MatMul": _matmul,
    "FusedMatMul": _matmul,
    "MatMulInteger": _matmul,
    "MatMulNBits": _matmul,
    "QLinearMatMul": _matmul,
    "Einsum": _einsum,
    "LSTM": _recurrence(4),
    "GRU": _recurrence(3),
    "RNN": _recurrence(1),
    "Attention": _attention,
}


def _counter(node: onnx.NodeProto) -> Counter | None:
    # com.microsoft's Attention takes its weights itself, so that its inputs are others.
    return None if (node.op_type, node.domain) == ("Attention", "com.microsoft") else _COUNTERS.get(node.op_type)


def _run_shapes(model: onnx.ModelProto, folder: str, feeds: Mapping[str, Any]) -> dict[str, Shape]:
    """Runs a model once and returns the shapes of what its counted nodes read and write."""
    onnx = require_onnx()
    wanted: dict[str, None] = {}
    for node in model.graph.node:
        if _counter(node):
            wanted |= dict.fromkeys(name for name in (*node.input, node.output[0]) if name)
    shapes: dict[str, Shape] = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    asked = [name for name in wanted if name not in shapes]
    if not asked:
        return shapes
    # A Shape node for each of them: what it answers is small, and the tensors need not be kept.
    del model.graph.output[:]
    for name in asked:
        model.graph.node.append(onnx.helper.make_node("Shape", [name], [_PREFIX + name]))
        model.graph.output.append(onnx.helper.make_tensor_value_info(_PREFIX + name, onnx.TensorProto.INT64, None))
    options = SessionOptions()
    options.graph_optimization_level = GraphOptimizationLevel.ORT_DISABLE_ALL
    session = open_contents(serialize(model, folder), options)
    needed = {arg.name for arg in session.get_inputs()}
    answers = session.run(None, {name: value for name, value in feeds.items() if name in needed})
    return shapes | {name: tuple(map(int, answer)) for name, answer in zip(asked, answers, strict=True)}


def count_flops(model: Model, feeds: Mapping[str, Any]) -> Count:
    """Counts the operations of one run of a model.

    The bodies of loops and branches and of the model's own functions are not looked into.

    Args:
        model: A path, the contents of a file, or an ``onnx.ModelProto``.
        feeds: A value for each input; the shapes are what counts.

    Returns:
        The operations.

    Raises:
        RuntimeError: If the model does not run on these feeds.
    """
    loaded, folder = load_to_run(model)
    nodes = list(loaded.graph.node)
    try:
        shapes = _run_shapes(loaded, folder, feeds)
    except (_engine.NotImplemented, _engine.Fail) as error:
        raise RuntimeError(f"the model does not run, so that its operations cannot be counted: {error}") from error
    result = Count()
    for node in nodes:
        counter = _counter(node)
        if counter is None:
            continue
        known = [shapes.get(name) for name in node.input if name]
        out = shapes.get(node.output[0])
        if out is None or any(shape is None for shape in known):
            result.unknown += 1
            continue
        flops = counter(node, [shape for shape in known if shape is not None], out)
        result.flops += flops
        result.by_operator[node.op_type] = result.by_operator.get(node.op_type, 0.0) + flops
    return result
