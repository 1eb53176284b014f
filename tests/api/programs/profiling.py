"""A profile as a file in Chrome's trace form."""

import json
import os
import tempfile

import numpy as np
import onnx.parser
import onnxruntime as ort

model = onnx.parser.parse_model(
    '<ir_version: 10, opset_import: ["" : 21]> net (float[n, 4] x, float[4, 5] w)'
    " => (float[n, 5] y) { y = MatMul(x, w) }"
)
options = ort.SessionOptions()
options.enable_profiling = True
with tempfile.TemporaryDirectory() as folder:
    options.profile_file_prefix = os.path.join(folder, "trace")
    session = ort.InferenceSession(model.SerializeToString(), options)
    for _ in range(3):
        session.run(None, {"x": np.ones((2, 4), np.float32), "w": np.ones((4, 5), np.float32)})
    started = session.get_profiling_start_time_ns() > 0
    path = session.end_profiling()
    with open(path) as file:
        events = json.load(file)
    named = os.path.basename(path).startswith("trace_") and path.endswith(".json")
nodes = [event for event in events if event["cat"] == "Node"]
results = {
    "named": named,
    "started": started,
    "fields": all({"cat", "pid", "tid", "dur", "ts", "ph", "name", "args"} <= set(event) for event in events),
    "runs": sum(event["name"] == "model_run" for event in events),
    "initialized": any(event["name"] == "session_initialization" for event in events),
    "op_names": sorted({event["args"]["op_name"] for event in nodes}),
    "providers": sorted({event["args"]["provider"] for event in nodes}),
    "inputs": nodes[-1]["args"]["input_type_shape"],
    "outputs": nodes[-1]["args"]["output_type_shape"],
    "output_size": nodes[-1]["args"]["output_size"],
    "again": session.end_profiling(),
}
