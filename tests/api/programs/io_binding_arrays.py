"""Inputs bound as arrays, outputs in the session's memory."""

import numpy as np
import onnx.parser
import onnxruntime as ort

model = onnx.parser.parse_model(
    '<ir_version: 10, opset_import: ["" : 21]> net (float[2, 3] a, float[2, 3] b)'
    " => (float[2, 3] sum, float[2, 3] product)"
    "{ sum = Add(a, b) product = Mul(a, b) }"
)
session = ort.InferenceSession(model.SerializeToString())
binding = session.io_binding()
a = np.arange(6, dtype=np.float32).reshape(2, 3)
binding.bind_cpu_input("a", a)
binding.bind_cpu_input("b", np.full((2, 3), 2, np.float32))
binding.bind_output("sum")
binding.bind_output("product", "cpu")
session.run_with_iobinding(binding)
first = binding.copy_outputs_to_cpu()
a += 10  # the binding reads the array at every run
session.run_with_iobinding(binding)
second = [value.numpy() for value in binding.get_outputs()]
binding.clear_binding_outputs()
binding.bind_output("product")
session.run_with_iobinding(binding)
results = {
    "first": first,
    "second": second,
    "only_product": binding.copy_outputs_to_cpu(),
    "devices": [value.device_name() for value in binding.get_outputs()],
}
