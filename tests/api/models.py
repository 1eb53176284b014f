"""Small models for the tests of the Python API, made with onnx's own helpers."""

from __future__ import annotations

from collections.abc import Sequence

import onnx
from onnx import TensorProto, helper

Dims = Sequence[int | str | None] | None


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    initializers: Sequence[onnx.TensorProto] = (),
    opset: int = 21,
) -> onnx.ModelProto:
    graph = helper.make_graph(list(nodes), "graph", list(inputs), list(outputs), list(initializers))
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10, producer_name="tests")


def tensor(name: str, element: int = TensorProto.FLOAT, dims: Dims = None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, element, dims)


def identity(element: int = TensorProto.FLOAT, dims: Dims = None) -> bytes:
    """``y = x``; an output that is an input is a copy of it."""
    nodes = [helper.make_node("Identity", ["x"], ["y"])]
    return model(nodes, [tensor("x", element, dims)], [tensor("y", element, dims)]).SerializeToString()


def identity_of(type_proto: onnx.TypeProto) -> bytes:
    nodes = [helper.make_node("Identity", ["x"], ["y"])]
    arguments = [helper.make_value_info(name, type_proto) for name in "xy"]
    return model(nodes, arguments[:1], arguments[1:]).SerializeToString()


def negate(dims: Dims = ("n", 3)) -> bytes:
    """``y = -x``."""
    nodes = [helper.make_node("Neg", ["x"], ["y"])]
    return model(nodes, [tensor("x", dims=dims)], [tensor("y", dims=dims)]).SerializeToString()


def add(dims: Dims = ("n", 3)) -> bytes:
    """``sum = a + b`` and ``difference = a - b``."""
    nodes = [helper.make_node("Add", ["a", "b"], ["sum"]), helper.make_node("Sub", ["a", "b"], ["difference"])]
    inputs = [tensor("a", dims=dims), tensor("b", dims=dims)]
    outputs = [tensor("sum", dims=dims), tensor("difference", dims=dims)]
    return model(nodes, inputs, outputs).SerializeToString()


def overridable() -> bytes:
    """``y = x + w``, where ``w`` is ``[1, 2, 3]`` unless it is fed."""
    nodes = [helper.make_node("Add", ["x", "w"], ["y"])]
    weight = helper.make_tensor("w", TensorProto.FLOAT, [3], [1.0, 2.0, 3.0])
    inputs = [tensor("x", dims=[3]), tensor("w", dims=[3])]
    return model(nodes, inputs, [tensor("y", dims=[3])], [weight]).SerializeToString()


def with_metadata() -> bytes:
    proto = onnx.load_from_string(negate())
    proto.domain = "org.example"
    proto.doc_string = "a model"
    proto.model_version = 7
    proto.graph.doc_string = "a graph"
    helper.set_model_props(proto, {"key": "value"})
    return proto.SerializeToString()


def slow() -> bytes:
    """``y = x`` added to itself as often as ``count`` says: a run of any length."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["go_on"]), helper.make_node("Add", ["sum", "x"], ["next"])],
        "body",
        [
            tensor("i", TensorProto.INT64, []),
            tensor("go", TensorProto.BOOL, []),
            tensor("sum", dims=["n"]),
        ],
        [tensor("go_on", TensorProto.BOOL, []), tensor("next", dims=["n"])],
    )
    nodes = [helper.make_node("Loop", ["count", "", "x"], ["y"], body=body)]
    inputs = [tensor("x", dims=["n"]), tensor("count", TensorProto.INT64, [])]
    return model(nodes, inputs, [tensor("y", dims=["n"])]).SerializeToString()
