"""Counts the floating-point operations of an ONNX model from its shapes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnx_ir
from onnx import numpy_helper, shape_inference
from onnxscript import optimizer

Shape = tuple[int, ...]


@dataclass
class Count:
    """The operations of a model.

    Attributes:
        flops: Operations of its convolutions, matrix products, attention and recurrences; a multiply-add is two.
        unknown: Nodes of those kinds whose shapes are not known, which are not counted.
    """

    flops: float = 0
    unknown: int = 0


def attribute(node: onnx.NodeProto, name: str, default: int) -> int:
    """Returns an integer attribute of a node."""
    return next((a.i for a in node.attribute if a.name == name), default)


def conv(node: onnx.NodeProto, shapes: list[Shape], out: Shape) -> float:
    # The weight is [M, C / group, ...kernel]: each element of the output takes all of it but M.
    return 2.0 * math.prod(out) * math.prod(shapes[1][1:])


def conv_transpose(node: onnx.NodeProto, shapes: list[Shape], out: Shape) -> float:
    return 2.0 * math.prod(shapes[0]) * math.prod(shapes[1][1:])


def gemm(node: onnx.NodeProto, shapes: list[Shape], out: Shape) -> float:
    inner = shapes[0][0] if attribute(node, "transA", 0) else shapes[0][1]
    return 2.0 * math.prod(out) * inner


def matmul(node: onnx.NodeProto, shapes: list[Shape], out: Shape) -> float:
    return 2.0 * math.prod(out) * shapes[0][-1]


def recurrence(gates: int) -> Callable[[onnx.NodeProto, list[Shape], Shape], float]:
    def count(node: onnx.NodeProto, shapes: list[Shape], out: Shape) -> float:
        steps, batch, size = shapes[0]
        directions, rows, _ = shapes[1]
        hidden = rows // gates
        return 2.0 * steps * batch * directions * rows * (size + hidden)

    return count


def attention(node: onnx.NodeProto, shapes: list[Shape], out: Shape) -> float:
    # [batch, heads, tokens, size], or [batch, tokens, heads * size]: both products together.
    query, key, value = shapes[:3]
    return 2.0 * math.prod(query) * key[-2] + 2.0 * math.prod(query[:-1]) * key[-2] * value[-1]


COUNTERS: dict[str, Callable[[onnx.NodeProto, list[Shape], Shape], float]] = {
    "Conv": conv,
    "ConvInteger": conv,
    "ConvTranspose": conv_transpose,
    "Gemm": gemm,
    "MatMul": matmul,
    "MatMulInteger": matmul,
    "LSTM": recurrence(4),
    "GRU": recurrence(3),
    "RNN": recurrence(1),
    "Attention": attention,
}


def shape_of(info: onnx.ValueInfoProto) -> Shape | None:
    """Returns the shape of a value where all of it is known."""
    if not info.type.tensor_type.HasField("shape"):
        return None
    dims = info.type.tensor_type.shape.dim
    return tuple(dim.dim_value for dim in dims) if all(dim.HasField("dim_value") for dim in dims) else None


def fix_inputs(model: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> None:
    """Writes the shapes of ``feeds`` into a model and forgets what was known of the values between."""
    del model.graph.value_info[:]
    for info in model.graph.input:
        if info.name in feeds:
            shape = info.type.tensor_type.shape
            del shape.dim[:]
            for size in feeds[info.name].shape:
                shape.dim.add().dim_value = size
    for info in model.graph.output:
        info.type.tensor_type.ClearField("shape")


def count(path: Path, feeds: dict[str, np.ndarray]) -> Count:
    """Counts the operations of one run of the model in ``path`` on ``feeds``."""
    model = onnx.load(path)
    fix_inputs(model, feeds)
    shapes: dict[str, Shape | None] = {}
    for tensor in model.graph.initializer:
        shapes[tensor.name] = tuple(tensor.dims)
        # The values of weights change no shape, and passing them around takes long.
        if math.prod(tensor.dims) > 4096:
            tensor.ClearField("raw_data")
    # Shape arithmetic that plain inference does not see through becomes constants first.
    folded = onnx_ir.serde.deserialize_model(model)
    optimizer.fold_constants(folded, onnx_shape_inference=True, input_size_limit=4096)
    model = onnx_ir.serde.serialize_model(folded)
    shapes |= {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    model = shape_inference.infer_shapes(model, data_prop=True)
    for info in (*model.graph.input, *model.graph.value_info, *model.graph.output):
        shapes[info.name] = shape_of(info)
    for node in model.graph.node:
        if node.op_type == "Constant":
            value = next((a.t for a in node.attribute if a.name == "value"), None)
            if value is not None:
                shapes[node.output[0]] = numpy_helper.to_array(value).shape

    result = Count()
    for node in model.graph.node:
        counter = COUNTERS.get(node.op_type)
        if counter is None:
            continue
        known = [shapes.get(name) for name in node.input if name]
        out = shapes.get(node.output[0])
        if out is None or any(shape is None for shape in known):
            result.unknown += 1
            continue
        result.flops += counter(node, [shape for shape in known if shape is not None], out)
    return result
