"""A classifier whose probabilities are a list of dicts."""

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper

nodes = [
    helper.make_node(
        "LinearClassifier",
        ["x"],
        ["label", "scores"],
        domain="ai.onnx.ml",
        coefficients=[1.0, -1.0, 0.5, 2.0, -0.5, 0.25],
        intercepts=[0.1, 0.2, 0.3],
        classlabels_strings=["ant", "bee", "cat"],
        post_transform="SOFTMAX",
    ),
    helper.make_node("ZipMap", ["scores"], ["map"], domain="ai.onnx.ml", classlabels_strings=["ant", "bee", "cat"]),
]
map_type = helper.make_map_type_proto(TensorProto.STRING, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
graph = helper.make_graph(
    nodes,
    "net",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2])],
    [
        helper.make_tensor_value_info("label", TensorProto.STRING, ["n"]),
        helper.make_value_info("map", helper.make_sequence_type_proto(map_type)),
    ],
)
opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
session = ort.InferenceSession(model.SerializeToString())
label, maps = session.run(None, {"x": np.array([[1, 2], [-3, 1]], np.float32)})
results = {
    "type": session.get_outputs()[1].type,
    "label": label.tolist(),
    "maps": [dict(sorted(entry.items())) for entry in maps],
    "python_floats": all(isinstance(value, float) for entry in maps for value in entry.values()),
}
