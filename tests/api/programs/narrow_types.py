"""Half precision, booleans and eight-bit integers."""

import numpy as np
import onnx.parser
import onnxruntime as ort

model = onnx.parser.parse_model(
    '<ir_version: 10, opset_import: ["" : 21]> net (float16[n] h, bool[n] b, int8[n] i)'
    " => (float16[n] hh, bool[n] bb, int8[n] ii)"
    "{ hh = Add(h, h) bb = Not(b) ii = Abs(i) }"
)
session = ort.InferenceSession(model.SerializeToString())
hh, bb, ii = session.run(
    None,
    {
        "h": np.array([0.5, 1.5], np.float16),
        "b": np.array([True, False]),
        "i": np.array([-128 + 1, 5], np.int8),
    },
)
results = {"hh": hh.astype(np.float32), "bb": bb, "ii": ii, "dtypes": [str(a.dtype) for a in (hh, bb, ii)]}
