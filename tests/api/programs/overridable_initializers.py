"""An initializer that a run may feed."""

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

graph = helper.make_graph(
    [helper.make_node("Mul", ["x", "scale"], ["y"])],
    "net",
    [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [3]),
        helper.make_tensor_value_info("scale", TensorProto.FLOAT, [1]),
    ],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, [3])],
    [numpy_helper.from_array(np.array([10], np.float32), "scale")],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
session = ort.InferenceSession(model.SerializeToString())
x = np.array([1, 2, 3], np.float32)
results = {
    "inputs": [argument.name for argument in session.get_inputs()],
    "overridable": [[a.name, a.type, a.shape] for a in session.get_overridable_initializers()],
    "default": session.run(None, {"x": x})[0],
    "fed": session.run(None, {"x": x, "scale": np.array([-1], np.float32)})[0],
    "default_again": session.run(None, {"x": x})[0],
}
