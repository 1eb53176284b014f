"""Weights from outside: replaced one by one, and read from files that lie in memory."""

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper

weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[64], data_location=TensorProto.EXTERNAL)
for key, value in (("location", "weights.bin"), ("offset", "0"), ("length", "256")):
    weight.external_data.add(key=key, value=value)
graph = helper.make_graph(
    [helper.make_node("Add", ["x", "w"], ["y"])],
    "net",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, [64])],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, [64])],
    [weight],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
serialized = model.SerializeToString()
x = {"x": np.ones(64, np.float32)}

options = ort.SessionOptions()
ramp = ort.OrtValue.ortvalue_from_numpy(np.arange(64, dtype=np.float32))
options.add_external_initializers(["w"], [ramp])
by_value = ort.InferenceSession(serialized, options).run(None, x)[0]

options = ort.SessionOptions()
contents = np.full(64, 7, np.float32).tobytes()
options.add_external_initializers_from_files_in_memory(["weights.bin"], [contents], [len(contents)])
by_file = ort.InferenceSession(serialized, options).run(None, x)[0]

plain = onnx.ModelProto.FromString(serialized)
plain.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(np.zeros(64, np.float32), "w"))
options = ort.SessionOptions()
options.add_initializer("w", ramp)
replaced = ort.InferenceSession(plain.SerializeToString(), options).run(None, x)[0]
results = {"by_value": by_value, "by_file": by_file, "replaced": replaced}
