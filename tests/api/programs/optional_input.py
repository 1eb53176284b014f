"""An optional input with and without a value."""

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper

tensor = helper.make_tensor_type_proto(TensorProto.FLOAT, [2])
nodes = [helper.make_node("OptionalHasElement", ["maybe"], ["has"])]
graph = helper.make_graph(
    nodes,
    "net",
    [helper.make_value_info("maybe", helper.make_optional_type_proto(tensor))],
    [helper.make_tensor_value_info("has", TensorProto.BOOL, [])],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
session = ort.InferenceSession(model.SerializeToString())
results = {
    "type": session.get_inputs()[0].type,
    "with": session.run(None, {"maybe": np.ones(2, np.float32)}),
    "without": session.run(None, {"maybe": None}),
}
