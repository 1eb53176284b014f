"""Providers by name, with options, unknown, and changed later."""

import warnings

import numpy as np
import onnx.parser
import onnxruntime as ort

model = onnx.parser.parse_model(
    '<ir_version: 10, opset_import: ["" : 21]> net (float[n] x) => (float[n] y) { y = Neg(x) }'
).SerializeToString()
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    session = ort.InferenceSession(model, providers=["CUDAExecutionProvider", "CPUExecutionProvider"])
plain = ort.InferenceSession(model, providers=[("CPUExecutionProvider", {})])
plain.set_providers(["CPUExecutionProvider"])
results = {
    "providers": session.get_providers(),
    "warned": [
        str(warning.message).startswith("Specified provider 'CUDAExecutionProvider' is not in available")
        for warning in caught
    ],
    "available": "CPUExecutionProvider" in ort.get_available_providers(),
    "device": ort.get_device(),
    "y": plain.run(None, {"x": np.ones(2, np.float32)})[0],
    "options": plain.get_provider_options(),
}
