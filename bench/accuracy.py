"""Measures the largest errors of fastort's float32 kernels against float64, for ``docs/accuracy.md``.

Run it with ``python bench/accuracy.py``; it prints the rows of the table. "In ulp" is the error in units of the last
place of the exact result; "of the largest" the error relative to the largest exact value of the output.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import onnx
from onnx import helper
from scipy import special

import fastort

Array = np.ndarray
OPSET = 23


def session_of(
    nodes: Sequence[onnx.NodeProto], inputs: Mapping[str, Array], **constants: Array
) -> fastort.InferenceSession:
    """Returns a session of nodes that make "y"."""
    infos = [helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, a.shape) for n, a in inputs.items()]
    result = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)
    weights = [onnx.numpy_helper.from_array(a, n) for n, a in constants.items()]
    graph = helper.make_graph(list(nodes), "accuracy", infos, [result], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    return fastort.InferenceSession(model.SerializeToString())


def run(op: str, inputs: Sequence[Array], **attributes: object) -> Array:
    """Returns the first output of one operator."""
    feeds = {f"x{i}": array for i, array in enumerate(inputs)}
    return session_of([helper.make_node(op, list(feeds), ["y"], **attributes)], feeds).run(None, feeds)[0]


def row(name: str, where: str, got: Array, exact: Array, in_ulp: bool = False) -> str:
    """A row of the table; errors of sums mean nothing in ulp, because what cancels leaves a small one."""
    error = np.abs(got.astype(np.float64) - exact)
    ulp = error / np.spacing(np.maximum(np.abs(exact), np.finfo(np.float32).tiny).astype(np.float32)).astype(np.float64)
    units = f"{ulp.max():.2g}" if in_ulp else "-"
    return f"| {name} | {where} | {error.max():.1e} | {units} | {error.max() / np.abs(exact).max():.1e} |"


def gelu_by_tanh(x: Array) -> Array:
    """GELU with Phi(x) as a logistic function of a cubic polynomial."""
    return x * special.expit(2 * np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))


def functions() -> list[str]:
    """Functions of one number, on the ranges where their results are neither 0 nor constant."""
    tables: list[tuple[str, str, dict[str, object], Callable[[Array], Array], float, float]] = [
        ("Exp", "Exp", {}, np.exp, -87.0, 88.0),
        ("Erf", "Erf", {}, special.erf, -4.0, 4.0),
        ("Tanh", "Tanh", {}, np.tanh, -9.0, 9.0),
        ("Sigmoid", "Sigmoid", {}, special.expit, -87.0, 20.0),
        ("GELU", "Gelu", {}, lambda x: x * special.ndtr(x), -1.0, 8.0),
        ("GELU, left tail", "Gelu", {}, lambda x: x * special.ndtr(x), -6.0, -1.0),
        (
            "GELU by tanh",
            "Gelu",
            {"approximate": "tanh"},
            gelu_by_tanh,
            -6.0,
            8.0,
        ),
    ]
    rows = []
    for name, op, attributes, exact, low, high in tables:
        x = np.random.default_rng(0).uniform(low, high, 1 << 20).astype(np.float32)
        rows.append(row(name, f"[{low:g}, {high:g}]", run(op, [x], **attributes), exact(x.astype(np.float64)), True))
    return rows


def epilogues() -> list[str]:
    """Functions behind a product, which is one with the identity and so exact."""
    width = 48
    tables: list[tuple[str, list[onnx.NodeProto], Callable[[Array], Array], float, float]] = [
        ("GELU", [helper.make_node("Gelu", ["p"], ["y"])], lambda x: x * special.ndtr(x), -1.0, 8.0),
        ("GELU, left tail", [helper.make_node("Gelu", ["p"], ["y"])], lambda x: x * special.ndtr(x), -6.0, -1.0),
        ("GELU by tanh", [helper.make_node("Gelu", ["p"], ["y"], approximate="tanh")], gelu_by_tanh, -6.0, 8.0),
        (
            "SiLU",
            [helper.make_node("Sigmoid", ["p"], ["s"]), helper.make_node("Mul", ["p", "s"], ["y"])],
            lambda x: x * special.expit(x),
            -80.0,
            20.0,
        ),
    ]
    rows = []
    for name, nodes, exact, low, high in tables:
        x = np.random.default_rng(0).uniform(low, high, (1 << 14, width)).astype(np.float32)
        product = helper.make_node("MatMul", ["x", "w"], ["p"], name="product")
        session = session_of([product, *nodes], {"x": x}, w=np.eye(width, dtype=np.float32))
        assert "pass fuse_matmul" in session.explain(), f"{name} is not one with the product"
        got = session.run(None, {"x": x})[0]
        rows.append(row(f"{name}, behind MatMul", f"[{low:g}, {high:g}]", got, exact(x.astype(np.float64)), True))
    return rows


def normal(*shape: int, seed: int = 0) -> Array:
    """Numbers of variance 1."""
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def products() -> list[str]:
    """Matrix products of numbers of variance 1."""
    rows = []
    for m, n, k in ((128, 768, 64), (128, 768, 768), (128, 768, 3072), (7, 33, 20000)):
        a, b = normal(m, k), normal(k, n, seed=1)
        rows.append(
            row("MatMul", f"{m} x {k} x {n}", run("MatMul", [a, b]), a.astype(np.float64) @ b.astype(np.float64))
        )
    return rows


def rows_of_numbers() -> list[str]:
    """Softmax, LayerNormalization and attention."""
    x = normal(64, 1000)
    wide = x.astype(np.float64)
    exact = special.softmax(4 * wide, -1)
    rows = [row("Softmax", "64 x 1000, variance 16", run("Softmax", [4 * x], axis=-1), exact)]
    scale, bias = normal(1000, seed=1), normal(1000, seed=2)
    centred = wide - wide.mean(-1, keepdims=True)
    exact = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * scale + bias
    rows.append(row("LayerNormalization", "64 x 1000", run("LayerNormalization", [x, scale, bias]), exact))
    q, k, v = (normal(1, 4, 197, 64, seed=s) for s in range(3))
    scores = q.astype(np.float64) @ k.astype(np.float64).swapaxes(2, 3) / 8
    exact = special.softmax(scores, -1) @ v.astype(np.float64)
    rows.append(row("Attention", "4 heads of 197 x 64", run("Attention", [q, k, v]), exact))
    return rows


def main() -> None:
    """Prints the table."""
    print("| operator | inputs | largest error | in ulp | of the largest |\n|---|---|---|---|---|")
    print("\n".join([*functions(), *epilogues(), *products(), *rows_of_numbers()]))


if __name__ == "__main__":
    main()
