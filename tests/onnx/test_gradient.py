"""Gradient of ai.onnx.preview.training beside PyTorch's automatic differentiation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

import fastort
from fastort.capi.onnxruntime_pybind11_state import NotImplemented

TRAINING = "ai.onnx.preview.training"
F64 = TensorProto.DOUBLE


@dataclass(frozen=True)
class Row:
    """One operator: its inputs, what PyTorch calls it, and which inputs are differentiated (all where None)."""

    op: str
    inputs: list[np.ndarray]
    torch: Callable[..., torch.Tensor]
    attributes: dict[str, Any] = field(default_factory=dict)
    xs: list[int] | None = None
    id: str = ""


def numbers(*shape: int, low: float = -2, high: float = 2, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed + 17 * len(shape) + sum(shape)).uniform(low, high, shape)


def ints(*items: int) -> np.ndarray:
    return np.array(items, np.int64)


X = numbers(3, 5)
POSITIVE = numbers(3, 5, low=0.2, high=3)
INSIDE = numbers(3, 5, low=-0.9, high=0.9)
ABOVE_ONE = numbers(3, 5, low=1.1, high=4)
CONDITION = numbers(3, 5, seed=5) > 0

ROWS = [
    Row("Abs", [X], torch.abs),
    Row("Acos", [INSIDE], torch.acos),
    Row("Acosh", [ABOVE_ONE], torch.acosh),
    Row("Asin", [INSIDE], torch.asin),
    Row("Asinh", [X], torch.asinh),
    Row("Atan", [X], torch.atan),
    Row("Atanh", [INSIDE], torch.atanh),
    Row("Ceil", [X], torch.ceil),
    Row("Cos", [X], torch.cos),
    Row("Cosh", [X], torch.cosh),
    Row("Elu", [X], lambda x: torch.nn.functional.elu(x, 0.7), {"alpha": 0.7}),
    Row("Erf", [X], torch.erf),
    Row("Exp", [X], torch.exp),
    Row("Floor", [X], torch.floor),
    Row("Gelu", [X], torch.nn.functional.gelu),
    Row("Identity", [X], torch.clone),
    Row("LeakyRelu", [X], lambda x: torch.nn.functional.leaky_relu(x, 0.2), {"alpha": 0.2}),
    Row("Log", [POSITIVE], torch.log),
    Row("Neg", [X], torch.neg),
    Row("Reciprocal", [POSITIVE], torch.reciprocal),
    Row("Relu", [X], torch.relu),
    Row("Round", [X], torch.round),
    Row("Sigmoid", [X], torch.sigmoid),
    Row("Sign", [X], torch.sign),
    Row("Sin", [X], torch.sin),
    Row("Sinh", [X], torch.sinh),
    Row("Softplus", [X], torch.nn.functional.softplus),
    Row("Sqrt", [POSITIVE], torch.sqrt),
    Row("Tan", [INSIDE], torch.tan),
    Row("Tanh", [X], torch.tanh),
    Row("Cast", [X], lambda x: x.float(), {"to": TensorProto.FLOAT}),
    Row("Clip", [X, np.array(-1.0), np.array(0.5)], lambda x, a, b: torch.clip(x, a, b), xs=[0]),
    Row("Clip", [X], torch.clone, id="without bounds"),
    Row("Add", [X, numbers(3, 5, seed=1)], torch.add),
    Row("Add", [X, numbers(5)], torch.add, id="row"),
    Row("Add", [numbers(3, 1), numbers(2, 1, 5)], torch.add, id="both ways"),
    Row("Add", [X, np.array(2.0)], torch.add, id="scalar"),
    Row("Sub", [X, numbers(3, 1)], torch.sub),
    Row("Mul", [X, numbers(1, 5)], torch.mul),
    Row("Div", [X, numbers(5, low=0.5)], torch.div),
    Row("Pow", [POSITIVE, numbers(5)], torch.pow),
    Row("Pow", [X, np.array(3.0)], torch.pow, xs=[0], id="cube"),
    Row("Pow", [np.zeros(3), np.full(3, 2.0)], torch.pow, id="of zero"),
    Row("Sum", [X, numbers(5), numbers(3, 1)], lambda a, b, c: a + b + c),
    Row("Where", [CONDITION, X, numbers(5)], torch.where, xs=[1, 2]),
    Row("MatMul", [numbers(3, 5), numbers(5, 7)], torch.matmul),
    Row("MatMul", [numbers(2, 1, 3, 5), numbers(4, 5, 7)], torch.matmul, id="batches"),
    Row("MatMul", [numbers(5), numbers(5, 7)], torch.matmul, id="row"),
    Row("MatMul", [numbers(2, 3, 5), numbers(5)], torch.matmul, id="column"),
    Row("MatMul", [numbers(5), numbers(5, seed=3)], torch.matmul, id="scalar product"),
    *(
        Row(
            "Gemm",
            [numbers(*((5, 3) if ta else (3, 5))), numbers(*((7, 5) if tb else (5, 7))), numbers(7)],
            lambda a, b, c, ta=ta, tb=tb: 0.5 * ((a.T if ta else a) @ (b.T if tb else b)) + 3 * c,
            {"alpha": 0.5, "beta": 3.0, "transA": ta, "transB": tb},
            id=f"{ta}{tb}",
        )
        for ta in (0, 1)
        for tb in (0, 1)
    ),
    Row("ReduceSum", [X], torch.sum, {"keepdims": 0}, id="all"),
    Row("ReduceSum", [X, ints(-1)], lambda x, axes: x.sum(-1), {"keepdims": 0}, xs=[0]),
    Row("ReduceSum", [X, ints(0)], lambda x, axes: x.sum(0, keepdim=True), xs=[0], id="keepdims"),
    Row("ReduceMean", [X, ints(0, 1)], lambda x, axes: x.mean(), {"keepdims": 0}, xs=[0], id="all"),
    Row("ReduceMean", [X, ints(1)], lambda x, axes: x.mean(1, keepdim=True), xs=[0]),
    Row("Softmax", [X], lambda x: torch.softmax(x, 0), {"axis": 0}),
    Row("LogSoftmax", [X], lambda x: torch.log_softmax(x, -1)),
    Row("Reshape", [X, ints(5, -1)], lambda x, shape: x.reshape(5, 3), xs=[0]),
    Row("Flatten", [numbers(2, 3, 5)], lambda x: x.reshape(2, 15)),
    Row("Squeeze", [numbers(3, 1, 5), ints(1)], lambda x, axes: x.squeeze(1), xs=[0]),
    Row("Unsqueeze", [X, ints(0)], lambda x, axes: x[None], xs=[0]),
    Row("Expand", [numbers(3, 1), ints(2, 3, 5)], lambda x, shape: x.expand(2, 3, 5), xs=[0]),
    Row("Transpose", [numbers(2, 3, 5)], lambda x: x.permute(2, 0, 1), {"perm": [2, 0, 1]}),
    Row("Transpose", [X], torch.t, id="reversed"),
    Row("Concat", [X, numbers(3, 2)], lambda a, b: torch.cat([a, b], 1), {"axis": 1}),
    Row("Concat", [X, numbers(2, 5)], lambda a, b: torch.cat([a, b], 0), {"axis": -2}, id="from the back"),
    Row("Concat", [X, numbers(3, 2)], lambda a, b: torch.cat([a, b], -1), {"axis": -1}, xs=[1], id="last"),
]


def info(name: str, array: np.ndarray, symbolic: bool = False) -> onnx.ValueInfoProto:
    shape = [f"{name}{i}" for i in range(array.ndim)] if symbolic else list(array.shape)
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), shape)


def gradient(xs: list[str], y: str, outputs: list[str], zs: list[str] | None = None, inputs: list[str] | None = None):
    inputs = inputs or [*xs, *(zs or [])]
    attributes = {"zs": zs} if zs else {}
    return helper.make_node("Gradient", inputs, outputs, name="gradient", domain=TRAINING, xs=xs, y=y, **attributes)


def make_model(nodes: list[onnx.NodeProto], inputs: list[onnx.ValueInfoProto], outputs: list[str]) -> bytes:
    empty = [helper.make_empty_tensor_value_info(name) for name in outputs]
    opsets = [helper.make_opsetid("", 22), helper.make_opsetid(TRAINING, 1)]
    return helper.make_model(helper.make_graph(nodes, "g", inputs, empty), opset_imports=opsets).SerializeToString()


def run(model: bytes, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    return fastort.InferenceSession(model).run(None, feeds)


@pytest.mark.parametrize("symbolic", [False, True], ids=["shapes", "symbols"])
@pytest.mark.parametrize("row", [pytest.param(row, id=f"{row.op} {row.id}".strip()) for row in ROWS])
def test_operator(row: Row, symbolic: bool) -> None:
    """The sum of the squared results, so that what flows back is no constant."""
    xs = list(range(len(row.inputs))) if row.xs is None else row.xs
    feeds = {f"x{i}": value for i, value in enumerate(row.inputs)}
    nodes = [
        helper.make_node(row.op, list(feeds), ["r"], **row.attributes),
        helper.make_node("Mul", ["r", "r"], ["s"]),
        helper.make_node("ReduceSum", ["s"], ["y"], keepdims=0),
        gradient([f"x{i}" for i in xs], "y", [f"g{i}" for i in xs]),
    ]
    model = make_model(nodes, [info(k, v, symbolic) for k, v in feeds.items()], [f"g{i}" for i in xs])
    tensors = [torch.tensor(value, requires_grad=i in xs) for i, value in enumerate(row.inputs)]
    (row.torch(*tensors) ** 2).sum().backward()
    for i, actual in zip(xs, run(model, feeds), strict=True):
        assert actual.dtype == row.inputs[i].dtype
        assert actual.shape == row.inputs[i].shape
        np.testing.assert_allclose(actual, tensors[i].grad.numpy(), rtol=1e-5, atol=1e-7)


def test_two_layers() -> None:
    """A network with a value that is read twice."""
    feeds = {"x": numbers(4, 3), "w": numbers(3, 5), "b": numbers(5), "v": numbers(5, 2)}
    nodes = [
        helper.make_node("Gemm", ["x", "w", "b"], ["h"]),
        helper.make_node("Tanh", ["h"], ["t"]),
        helper.make_node("Mul", ["t", "h"], ["m"]),
        helper.make_node("MatMul", ["m", "v"], ["o"]),
        helper.make_node("LogSoftmax", ["o"], ["l"]),
        helper.make_node("ReduceMean", ["l"], ["y"], keepdims=0),
        gradient(["w", "b", "v"], "y", ["gw", "gb", "gv"], zs=["x"]),
    ]
    model = make_model(nodes, [info(k, v, symbolic=True) for k, v in feeds.items()], ["gw", "gb", "gv"])
    x, w, b, v = (torch.tensor(value, requires_grad=True) for value in feeds.values())
    h = x @ w + b
    torch.log_softmax((torch.tanh(h) * h) @ v, -1).mean().backward()
    for actual, wanted in zip(run(model, feeds), (w, b, v), strict=True):
        np.testing.assert_allclose(actual, wanted.grad.numpy(), rtol=1e-9)


def test_split_and_scale() -> None:
    """Several outputs of one node, one of which nothing depends on."""
    x = numbers(6, 2)
    nodes = [
        helper.make_node("Split", ["x"], ["a", "b", "c"], num_outputs=3),
        helper.make_node("Mul", ["a", "c"], ["p"]),
        gradient(["x"], "p", ["g"]),
    ]
    (actual,) = run(make_model(nodes, [info("x", x)], ["g"]), {"x": x})
    np.testing.assert_array_equal(actual, np.concatenate([x[4:], np.zeros((2, 2)), x[:2]]))


def test_second_derivative() -> None:
    x = numbers(7)
    nodes = [
        helper.make_node("Mul", ["x", "x"], ["s"]),
        helper.make_node("Mul", ["s", "x"], ["y"]),
        gradient(["x"], "y", ["first"]),
        gradient(["x"], "first", ["second"]),
    ]
    first, second = run(make_model(nodes, [info("x", x, symbolic=True)], ["first", "second"]), {"x": x})
    np.testing.assert_allclose(first, 3 * x**2, rtol=1e-12)
    np.testing.assert_allclose(second, 6 * x, rtol=1e-12)


def test_at_other_values() -> None:
    """The inputs are the values of xs and zs, which need not be those of the graph."""
    feeds = {"a": numbers(3), "b": numbers(3, seed=2), "p": numbers(3, seed=3), "q": numbers(3, seed=4)}
    nodes = [
        helper.make_node("Mul", ["a", "b"], ["m"]),
        helper.make_node("Exp", ["m"], ["y"]),
        gradient(["a"], "y", ["g"], zs=["b"], inputs=["p", "q"]),
    ]
    g, y = run(make_model(nodes, [info(k, v) for k, v in feeds.items()], ["g", "y"]), feeds)
    np.testing.assert_allclose(g, feeds["q"] * np.exp(feeds["p"] * feeds["q"]), rtol=1e-12)
    np.testing.assert_allclose(y, np.exp(feeds["a"] * feeds["b"]), rtol=1e-12)


def test_by_an_intermediate() -> None:
    x = numbers(5)
    nodes = [
        gradient(["h"], "y", ["g"]),  # in front of what it differentiates
        helper.make_node("Sin", ["x"], ["h"]),
        helper.make_node("Mul", ["h", "h"], ["y"]),
    ]
    (g,) = run(make_model(nodes, [info("x", x)], ["g"]), {"x": x})
    np.testing.assert_allclose(g, 2 * np.sin(x), rtol=1e-12)


def test_no_dependence_is_zero() -> None:
    feeds = {"x": numbers(5), "z": numbers(2)}
    nodes = [helper.make_node("Sin", ["x"], ["y"]), gradient(["x", "z"], "y", ["", "g"])]
    (g,) = run(make_model(nodes, [info(k, v) for k, v in feeds.items()], ["g"]), feeds)
    np.testing.assert_array_equal(g, np.zeros(2))


REFUSED = [
    ([helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[2], name="pool")], "x", "y", "MaxPool node 'pool'"),
    ([helper.make_node("Sin", ["x"], ["y"])], "x", "q", "'q' is no value of the graph"),
    ([helper.make_node("Cast", ["x"], ["y"], to=TensorProto.INT64)], "x", "y", "'y' is not known to hold floating"),
    ([helper.make_node("Gelu", ["x"], ["y"], approximate="tanh", name="g")], "x", "y", "Gelu node 'g': the derivative"),
]


@pytest.mark.parametrize(("nodes", "x", "y", "text"), REFUSED, ids=[row[3] for row in REFUSED])
def test_refusals_name_the_operator(nodes: list[onnx.NodeProto], x: str, y: str, text: str) -> None:
    model = make_model([*nodes, gradient([x], y, ["g"])], [info("x", numbers(1, 2, 6))], ["g"])
    with pytest.raises(NotImplemented, match=rf"Gradient-1 node 'gradient': .*{text}"):
        fastort.InferenceSession(model)
