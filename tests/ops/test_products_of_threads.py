"""A product is the same for any number of threads, bit by bit."""

from __future__ import annotations

import numpy as np
import onnx.parser
import pytest
from onnx import helper, numpy_helper

import fastort


def product(a: np.ndarray, b: np.ndarray, constant: bool, threads: int) -> np.ndarray:
    inputs = "float[m,k] a" if constant else "float[m,k] a, float[k,n] b"
    graph = onnx.parser.parse_graph(f"g ({inputs}) => (float[m,n] y) {{ p = MatMul(a, b)\n y = Gelu(p) }}")
    feeds = {"a": a}
    if constant:
        graph.initializer.append(numpy_helper.from_array(b, "b"))
    else:
        feeds["b"] = b
    options = fastort.SessionOptions()
    options.intra_op_num_threads = threads
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return fastort.InferenceSession(model.SerializeToString(), options).run(None, feeds)[0]


@pytest.mark.parametrize("constant", [True, False])
@pytest.mark.parametrize(
    ("m", "k", "n"),
    [(1, 800, 700), (2, 300, 1410), (3, 500, 1001), (13, 301, 90), (129, 800, 70), (203, 65, 33), (999, 31, 5)],
)
def test_threads_change_nothing(m: int, k: int, n: int, constant: bool) -> None:
    rng = np.random.default_rng(m)
    a, b = rng.standard_normal((m, k), dtype=np.float32), rng.standard_normal((k, n), dtype=np.float32)
    alone = product(a, b, constant, 1)
    for threads in (2, 3):
        np.testing.assert_array_equal(product(a, b, constant, threads), alone)
