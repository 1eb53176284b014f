"""What the tests of single convolutions share: models, sessions, numbers, and what they should give."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

import fastort


def model_of(
    w: np.ndarray, rank: int, bias: np.ndarray | None = None, residual: bool = False, **attributes: Any
) -> onnx.ModelProto:
    """A convolution of "x" with some weights and, by the engine's own operator, an addend "z" and an activation."""
    fused = residual or "activation" in attributes
    names = ["x", "w", "b" if bias is not None else "", *(["z"] if residual else [])]
    node = helper.make_node("FusedConv" if fused else "Conv", names, ["y"], domain="com.microsoft" if fused else "")
    node.attribute.extend(helper.make_attribute(name, value) for name, value in attributes.items())
    tensors = {"w": w} | ({"b": bias} if bias is not None else {})
    inputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [None] * (rank + 2)) for n in ("x", "z")]
    graph = helper.make_graph(
        [node],
        "g",
        inputs if residual else inputs[:1],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in tensors.items()],
    )
    imports = [helper.make_opsetid("", 20), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=imports, ir_version=10)


def session_of(
    model: onnx.ModelProto, prefer: str = "amx", amx: bool = True, threads: int = 2, blocks: bool = True
) -> fastort.InferenceSession:
    options = fastort.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("fastort.prefer_kernel", prefer)
    options.add_session_config_entry("fastort.allow_amx", "1" if amx else "0")
    options.add_session_config_entry("fastort.allow_blocked_layouts", "1" if blocks else "0")
    return fastort.InferenceSession(model.SerializeToString(), options)


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def exact(x: np.ndarray, w: np.ndarray, **settings: Any) -> np.ndarray:
    """The convolution in double precision; ``pads``: those of each axis at its begin and end."""
    pads = settings.pop("pads", ())
    padded = np.pad(x.astype(np.float64), [(0, 0), (0, 0), *pads] if pads else 0)
    function = torch.nn.functional.conv1d if w.ndim == 3 else torch.nn.functional.conv2d
    return function(torch.tensor(padded), torch.tensor(w).double(), **settings).numpy()
