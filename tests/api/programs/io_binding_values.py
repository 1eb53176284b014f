"""OrtValues bound as inputs and outputs; the result of one run is the input of the next."""

import numpy as np
import onnx.parser
import onnxruntime as ort

model = onnx.parser.parse_model(
    '<ir_version: 10, opset_import: ["" : 21]> net (float[4] x) => (float[4] y)'
    "{ half = Constant <value = float {0.5}> () y = Mul(x, half) }"
)
session = ort.InferenceSession(model.SerializeToString())
state = ort.OrtValue.ortvalue_from_numpy(np.array([8, 16, 32, 64], np.float32))
buffer = ort.OrtValue.ortvalue_from_shape_and_type([4], np.float32, "cpu", 0)
addresses = {state.data_ptr(), buffer.data_ptr()}
for _ in range(3):
    binding = session.io_binding()
    binding.bind_ortvalue_input("x", state)
    binding.bind_ortvalue_output("y", buffer)
    session.run_with_iobinding(binding)
    state, buffer = buffer, state
kept = {state.data_ptr(), buffer.data_ptr()} == addresses
buffer.update_inplace(np.ones(4, np.float32))
results = {"state": state.numpy(), "kept": kept, "updated": buffer.numpy(), "shape": state.shape()}
