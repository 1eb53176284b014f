"""A branch and a loop with a trip count that is fed."""

import numpy as np
import onnx.parser
import onnxruntime as ort

model = onnx.parser.parse_model("""
<ir_version: 10, opset_import: ["" : 21]>
net (float[n] x, int64 count) => (float[n] y, float[c, n] steps)
{
  start = Cast <to = 9> (count)
  y, steps = Loop (count, , x) <
    body = step (int64 i, bool go, float[n] before) => (bool more, float[n] after, float[n] out)
  {
    more = Identity (go)
    sum = ReduceSum <keepdims = 0> (before)
    limit = Constant <value = float {100}> ()
    large = Greater (sum, limit)
    after = If (large) <
      then_branch = keep () => (float[n] kept) { kept = Identity (before) },
      else_branch = twice () => (float[n] doubled) { doubled = Add (before, before) }
    >
    out = Identity (after)
  }>
}
""")
session = ort.InferenceSession(model.SerializeToString())
x = np.array([1, 2, 3], np.float32)
results = {str(count): session.run(None, {"x": x, "count": np.array(count, np.int64)}) for count in (1, 3, 8)}
