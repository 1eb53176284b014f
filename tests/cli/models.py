"""Small models for the tests of the command line and of ``fastort.testing``."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WORDS, WIDTH = 23, 8


def classifier(changed: str | None = None, amount: float = 0.25) -> onnx.ModelProto:
    """Ids [batch, 5] -> embedding -> two layers and a convolution -> scores [batch, 3]; one weight may be changed."""
    rng = np.random.default_rng(7)
    weights = {
        "table": rng.standard_normal((WORDS, WIDTH), np.float32),
        "w1": rng.standard_normal((WIDTH, WIDTH), np.float32),
        "b1": np.full(WIDTH, 2, np.float32),
        "kernel": rng.standard_normal((4, WIDTH, 3), np.float32),
        "w2": rng.standard_normal((4, 3), np.float32),
    }
    if changed:
        weights[changed].flat[3 if changed != "table" else slice(None)] += np.float32(amount)
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["embedded"], name="embed"),
        helper.make_node("MatMul", ["embedded", "w1"], ["product"], name="first"),
        helper.make_node("Add", ["product", "b1"], ["biased"], name="bias"),
        helper.make_node("Tanh", ["biased"], ["hidden"], name="squash"),
        helper.make_node("Transpose", ["hidden"], ["channels"], name="turn", perm=[0, 2, 1]),
        helper.make_node("Conv", ["channels", "kernel"], ["mapped"], name="convolve"),
        helper.make_node("ReduceMax", ["mapped", "last"], ["pooled"], name="pool", keepdims=0),
        helper.make_node("MatMul", ["pooled", "w2"], ["scores"], name="second"),
    ]
    initializers = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    initializers.append(numpy_helper.from_array(np.array([2], np.int64), "last"))
    graph = helper.make_graph(
        nodes,
        "classifier",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", 5])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 3])],
        initializers,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9, producer_name="tests")
