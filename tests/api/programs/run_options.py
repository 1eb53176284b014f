"""Options of a run; a run that is told to stop before it begins."""

import numpy as np
import onnx.parser
import onnxruntime as ort

model = onnx.parser.parse_model(
    '<ir_version: 10, opset_import: ["" : 21]> net (float[n] x) => (float[n] y) { y = Neg(x) }'
).SerializeToString()
session = ort.InferenceSession(model)
options = ort.RunOptions()
defaults = [options.log_severity_level, options.logid, options.terminate, options.only_execute_path_to_fetches]
options.logid = "one run"
options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
x = {"x": np.ones(2, np.float32)}
y = session.run(None, x, options)[0]
options.terminate = True
try:
    session.run(None, x, options)
    stopped = None
except Exception as error:
    stopped = isinstance(error, ort.capi.onnxruntime_pybind11_state.Fail)
options.terminate = False
results = {
    "defaults": defaults,
    "y": y,
    "entry": options.get_run_config_entry("memory.enable_memory_arena_shrinkage"),
    "stopped": stopped,
    "again": session.run(["y"], x, run_options=options)[0],
}
