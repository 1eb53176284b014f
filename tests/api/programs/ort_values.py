"""Values that a program makes, reads and exchanges."""

import numpy as np
import onnx
import onnx.parser
import onnxruntime as ort

x = np.arange(6, dtype=np.float32).reshape(2, 3)
value = ort.OrtValue.ortvalue_from_numpy(x)
empty = ort.OrtValue.ortvalue_from_shape_and_type([2, 2], np.int64)
by_number = ort.OrtValue.ortvalue_from_shape_and_type([3], onnx.TensorProto.BFLOAT16)
bits = np.array([0x3F80, 0x4000], np.uint16)
bfloat16 = ort.OrtValue.ortvalue_from_numpy_with_onnx_type(bits, onnx.TensorProto.BFLOAT16)
shared = value.data_ptr() == x.ctypes.data
imported = ort.OrtValue.from_dlpack(x)
exported = np.from_dlpack(value)
model = onnx.parser.parse_model(
    '<ir_version: 10, opset_import: ["" : 21]> net (float[n, m] x) => (float[m, n] y) { y = Transpose(x) }'
)
session = ort.InferenceSession(model.SerializeToString())
(y,) = session.run_with_ort_values(["y"], {"x": value})
fed = session.run(None, {"x": value})[0]
try:
    value.update_inplace(np.zeros(3, np.float32))
    refused = ""
except RuntimeError:
    refused = "RuntimeError"
results = {
    "value": [
        value.shape(),
        value.data_type(),
        value.element_type(),
        value.tensor_size_in_bytes(),
        value.device_name(),
    ],
    "kinds": [value.is_tensor(), value.is_sparse_tensor(), value.is_tensor_sequence(), value.has_value()],
    "others": [empty.data_type(), empty.shape(), by_number.data_type(), bfloat16.element_type(), bfloat16.shape()],
    "shared": shared,
    "dlpack": [imported.numpy(), exported, list(value.__dlpack_device__())],
    "array": np.asarray(value),
    "y": y.numpy(),
    "fed": fed,
    "refused": refused,
}
