"""An output whose shape only the run shows."""

import numpy as np
import onnx.parser
import onnxruntime as ort

model = onnx.parser.parse_model(
    '<ir_version: 10, opset_import: ["" : 21]> net (float[n] x) => (int64[r, k] where) { where = NonZero(x) }'
)
session = ort.InferenceSession(model.SerializeToString())
found = []
for values in ([0, 1, 2, 0], [1, 1, 1, 1, 1], [0]):
    binding = session.io_binding()
    binding.bind_cpu_input("x", np.array(values, np.float32))
    binding.bind_output("where")
    session.run_with_iobinding(binding)
    found.append([binding.get_outputs()[0].shape(), binding.copy_outputs_to_cpu()[0]])
results = {"found": found}
