"""Text in and out."""

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper

nodes = [
    helper.make_node("StringConcat", ["text", "text"], ["twice"]),
    helper.make_node(
        "LabelEncoder",
        ["text"],
        ["code"],
        domain="ai.onnx.ml",
        keys_strings=["ant", "bee"],
        values_int64s=[1, 2],
        default_int64=-1,
    ),
]
graph = helper.make_graph(
    nodes,
    "net",
    [helper.make_tensor_value_info("text", TensorProto.STRING, ["n"])],
    [
        helper.make_tensor_value_info("twice", TensorProto.STRING, ["n"]),
        helper.make_tensor_value_info("code", TensorProto.INT64, ["n"]),
    ],
)
opsets = [helper.make_opsetid("", 20), helper.make_opsetid("ai.onnx.ml", 3)]
session = ort.InferenceSession(helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString())
twice, code = session.run(None, {"text": np.array(["bee", "ant", "cat"])})
from_objects = session.run(["twice"], {"text": np.array(["été", ""], dtype=object)})[0]
results = {"twice": twice.tolist(), "code": code, "dtype": str(twice.dtype), "objects": from_objects.tolist()}
