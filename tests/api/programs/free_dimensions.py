"""Symbolic dimensions fixed by name and by denotation."""

import numpy as np
import onnx.parser
import onnxruntime as ort

model = onnx.parser.parse_model(
    '<ir_version: 10, opset_import: ["" : 21]> net (float[batch, length] x) => (float[batch, length] y) { y = Abs(x) }'
)
model.graph.input[0].type.tensor_type.shape.dim[0].denotation = "DATA_BATCH"
serialized = model.SerializeToString()
options = ort.SessionOptions()
options.add_free_dimension_override_by_name("length", 3)
by_name = ort.InferenceSession(serialized, options)
options = ort.SessionOptions()
options.add_free_dimension_override_by_denotation("DATA_BATCH", 2)
by_denotation = ort.InferenceSession(serialized, options)
try:
    by_name.run(None, {"x": np.zeros((1, 4), np.float32)})
    refused = ""
except Exception as error:
    refused = type(error).__name__
results = {
    "by_name": by_name.get_inputs()[0].shape,
    "by_denotation": by_denotation.get_inputs()[0].shape,
    "y": by_name.run(None, {"x": np.full((2, 3), -1, np.float32)})[0],
    "refused": refused,
}
