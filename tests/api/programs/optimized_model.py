"""The rewritten model as a file that loads again."""

import os
import tempfile

import numpy as np
import onnx
import onnx.parser
import onnxruntime as ort

model = onnx.parser.parse_model(
    '<ir_version: 10, opset_import: ["" : 21]> net (float[n, 4] x) => (float[n, 4] y) {'
    " one = Constant <value = float {1}> () two = Add(one, one) h = Identity(x) k = Mul(h, two) y = Relu(k) }"
)
x = np.linspace(-1, 1, 8, dtype=np.float32).reshape(2, 4)
with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "optimized.onnx")
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = path
    y = ort.InferenceSession(model.SerializeToString(), options).run(None, {"x": x})[0]
    written = onnx.load(path)
    onnx.checker.check_model(written)
    again = ort.InferenceSession(path).run(None, {"x": x})[0]
results = {"y": y, "again": again, "ops": sorted(node.op_type for node in written.graph.node)}
