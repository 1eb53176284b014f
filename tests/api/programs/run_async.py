"""Runs that call back from another thread, one of which fails."""

import threading

import numpy as np
import onnx.parser
import onnxruntime as ort

model = onnx.parser.parse_model(
    '<ir_version: 10, opset_import: ["" : 21]> net (float[n] x) => (float[n] y) { y = Neg(x) }'
)
session = ort.InferenceSession(model.SerializeToString())
done = [threading.Event() for _ in range(4)]
answers = [None] * 4


def callback(outputs, user_data, error):
    answers[user_data] = [None if error else outputs[0], bool(error)]
    done[user_data].set()


for i in range(3):
    session.run_async(["y"], {"x": np.full(i + 1, i, np.float32)}, callback, i)
session.run_async(["y"], {"x": np.zeros((2, 2), np.float32)}, callback, 3)
finished = [event.wait(20) for event in done]
results = {"answers": answers, "finished": finished}
