"""Options: defaults, changes, entries."""

import numpy as np
import onnx.parser
import onnxruntime as ort

model = onnx.parser.parse_model(
    '<ir_version: 10, opset_import: ["" : 21]> net (float[n] x) => (float[n] y) { h = Identity(x) y = Sqrt(h) }'
).SerializeToString()
options = ort.SessionOptions()
options.intra_op_num_threads = 1
options.inter_op_num_threads = 1
options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
options.log_severity_level = 3
options.logid = "mine"
options.add_session_config_entry("session.disable_prepacking", "1")
answers = {}
for level in ("ORT_DISABLE_ALL", "ORT_ENABLE_BASIC", "ORT_ENABLE_EXTENDED", "ORT_ENABLE_LAYOUT", "ORT_ENABLE_ALL"):
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, level)
    session = ort.InferenceSession(model, options)
    answers[level] = session.run(None, {"x": np.array([4, 9], np.float32)})[0]
kept = session.get_session_options()
try:
    options.get_session_config_entry("not.there")
    missing = ""
except RuntimeError as error:
    missing = str(error)
results = {
    "answers": answers,
    "entry": options.get_session_config_entry("session.disable_prepacking"),
    "missing": missing,
    "kept": [kept.intra_op_num_threads, kept.logid, str(kept.graph_optimization_level), int(kept.execution_mode)],
    "compares": ort.GraphOptimizationLevel.ORT_ENABLE_ALL == 99,
}
