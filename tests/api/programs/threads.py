"""One session in many threads, with inputs of different sizes."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx.parser
import onnxruntime as ort

model = onnx.parser.parse_model(
    '<ir_version: 10, opset_import: ["" : 21]> net (float[n, 8] x, float[8, 8] w) => (float[n, 8] y)'
    "{ h = MatMul(x, w) y = Tanh(h) }"
)
options = ort.SessionOptions()
options.intra_op_num_threads = 2
session = ort.InferenceSession(model.SerializeToString(), options)
w = np.eye(8, dtype=np.float32)


def work(n):
    return session.run(["y"], {"x": np.full((n, 8), n / 10, np.float32), "w": w})[0][:, 0]


with ThreadPoolExecutor(8) as pool:
    answers = list(pool.map(work, [1, 2, 3, 4, 5] * 4))
results = {"answers": answers}
