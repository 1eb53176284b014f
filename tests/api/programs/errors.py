"""What goes wrong, by class and by the start of the message."""

import os
import tempfile

import numpy as np
import onnx.parser
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as state
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument, NoSuchFile

model = onnx.parser.parse_model(
    '<ir_version: 10, opset_import: ["" : 21]> net (float[2, 3] x) => (float[2, 3] y) { y = Neg(x) }'
).SerializeToString()
session = ort.InferenceSession(model)
x = np.zeros((2, 3), np.float32)


def garbage():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.onnx")
        with open(path, "wb") as file:
            file.write(b"this is no model")
        ort.InferenceSession(path)


attempts = {
    "no_file": lambda: ort.InferenceSession("/nowhere/model.onnx"),
    "garbage": garbage,
    "garbage_bytes": lambda: ort.InferenceSession(b"this is no model"),
    "wrong_source": lambda: ort.InferenceSession(3),
    "missing_input": lambda: session.run(None, {}),
    "unknown_input": lambda: session.run(None, {"x": x, "q": x}),
    "unknown_output": lambda: session.run(["q"], {"x": x}),
    "wrong_type": lambda: session.run(None, {"x": x.astype(np.float64)}),
    "wrong_rank": lambda: session.run(None, {"x": x[0]}),
    "wrong_size": lambda: session.run(None, {"x": x[:, :2].copy()}),
}
caught = {}
for name, attempt in attempts.items():
    try:
        attempt()
        caught[name] = None
    except Exception as error:
        head = str(error).split(" : ")
        caught[name] = [type(error).__name__, head[:3] if str(error).startswith("[ONNX") else ""]
results = {
    "caught": caught,
    "bases": [issubclass(cls, Exception) for cls in (Fail, InvalidArgument, NoSuchFile)],
    "same": state.Fail is Fail,
}
