"""Sequences of tensors in and out."""

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper

nodes = [
    helper.make_node("SequenceAt", ["s", "i"], ["item"]),
    helper.make_node("SequenceInsert", ["s", "item"], ["longer"]),
    helper.make_node("SequenceLength", ["longer"], ["length"]),
]
sequence = helper.make_tensor_sequence_value_info
graph = helper.make_graph(
    nodes,
    "net",
    [sequence("s", TensorProto.FLOAT, None), helper.make_tensor_value_info("i", TensorProto.INT64, [])],
    [
        sequence("longer", TensorProto.FLOAT, None),
        helper.make_tensor_value_info("item", TensorProto.FLOAT, None),
        helper.make_tensor_value_info("length", TensorProto.INT64, []),
    ],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
session = ort.InferenceSession(model.SerializeToString())
items = [np.arange(3, dtype=np.float32), np.ones((2, 2), np.float32)]
longer, item, length = session.run(None, {"s": items, "i": np.array(1, np.int64)})
results = {
    "types": [argument.type for argument in (*session.get_inputs(), *session.get_outputs())],
    "longer": longer,
    "item": item,
    "length": length,
    "is_list": isinstance(longer, list),
}
