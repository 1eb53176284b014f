"""A model from bytes: what it takes, what it gives."""

import numpy as np
import onnx.parser
import onnxruntime as ort

model = onnx.parser.parse_model(
    '<ir_version: 10, opset_import: ["" : 21]> net (float[n, 3] x) => (float[n, 3] y, float[n, 3] z)'
    "{ y = Relu(x) z = Exp(x) }"
)
session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
x = np.array([[-1.0, 0.0, 2.0], [3.0, -4.0, 0.5]], np.float32)
everything = session.run(None, {session.get_inputs()[0].name: x})
only_z = session.run(["z"], {"x": x})
results = {
    "inputs": [[i.name, i.type, i.shape] for i in session.get_inputs()],
    "outputs": [[o.name, o.type, o.shape] for o in session.get_outputs()],
    "y": everything[0],
    "z": everything[1],
    "only_z": only_z[0],
    "dtype": str(everything[0].dtype),
    "providers": session.get_providers(),
}
