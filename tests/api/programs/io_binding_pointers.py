"""Inputs and outputs bound by address, with types as dtypes and as numbers of onnx.TensorProto."""

import numpy as np
import onnx
import onnx.parser
import onnxruntime as ort

model = onnx.parser.parse_model(
    '<ir_version: 10, opset_import: ["" : 21]> net (float[2, 2] x) => (float[2, 2] y) { y = MatMul(x, x) }'
)
session = ort.InferenceSession(model.SerializeToString())
x = np.array([[1, 2], [3, 4]], np.float32)
y = np.zeros((2, 2), np.float32)
binding = session.io_binding()
binding.bind_input("x", "cpu", 0, np.float32, [2, 2], x.ctypes.data)
binding.bind_output("y", "cpu", 0, onnx.TensorProto.FLOAT, [2, 2], y.ctypes.data)
session.run_with_iobinding(binding)
first = y.copy()
x *= 2
session.run_with_iobinding(binding)
try:
    binding.bind_output("y", "cpu", 0, None, None, y.ctypes.data)
    refused = ""
except ValueError as error:
    refused = str(error)
results = {"first": first, "second": y.copy(), "refused": refused}
