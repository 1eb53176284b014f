"""Operators of the model's own: functions in the file, called with attributes."""

import numpy as np
import onnx.parser
import onnxruntime as ort

model = onnx.parser.parse_model("""
<ir_version: 10, opset_import: ["" : 21, "my.ops" : 1]>
net (float[n] x, float[n] y) => (float[n] z)
{
  h = my.ops.Blend <weight = 0.25> (x, y)
  z = my.ops.Blend <weight = 2.0> (h, x)
}
<domain: "my.ops", opset_import: ["" : 21]>
Blend <weight> (a, b) => (c)
{
  w = Constant <value_float: float = @weight> ()
  scaled = Mul (b, w)
  c = Add (a, scaled)
}
""")
session = ort.InferenceSession(model.SerializeToString())
results = {"z": session.run(None, {"x": np.array([1, 2], np.float32), "y": np.array([4, 8], np.float32)})[0]}
