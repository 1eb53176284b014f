"""The examples' models as bytes, written by hand in protobuf's wire format, so that no package is needed for them."""

from __future__ import annotations

import struct
from collections.abc import Sequence

_FLOAT = 1
_INT64 = 7

# scikit-learn 1.9.1: OneVsRestClassifier(LogisticRegression()) fitted to the first two columns of load_iris().
_COEFFICIENTS = (-3.388281, 3.16456, 0.127176, -2.385396, 2.22196, -0.512745)
_INTERCEPTS = (8.323155, 5.68615, -12.529599)


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _int(field: int, number: int) -> bytes:
    return _varint(field << 3) + _varint(number)


def _bytes(field: int, contents: bytes | str) -> bytes:
    contents = contents.encode() if isinstance(contents, str) else contents
    return _varint(field << 3 | 2) + _varint(len(contents)) + contents


def _floats(field: int, numbers: Sequence[float]) -> bytes:
    return _bytes(field, struct.pack(f"<{len(numbers)}f", *numbers))


def _tensor_type(element: int, dims: Sequence[int]) -> bytes:
    shape = b"".join(_bytes(1, _int(1, size)) for size in dims)
    return _bytes(1, _int(1, element) + _bytes(2, shape))


def _value(name: str, type_proto: bytes) -> bytes:
    return _bytes(1, name) + _bytes(2, type_proto)


def _node(
    op_type: str, inputs: Sequence[str], outputs: Sequence[str], attributes: bytes = b"", ml: bool = False
) -> bytes:
    names = b"".join(_bytes(1, name) for name in inputs) + b"".join(_bytes(2, name) for name in outputs)
    return names + _bytes(3, op_type) + _bytes(4, op_type) + attributes + (_bytes(7, "ai.onnx.ml") if ml else b"")


# AttributeProto: name 1, i 3, s 4, floats 7, ints 8, type 20.
def _int_attribute(name: str, number: int) -> bytes:
    return _bytes(5, _bytes(1, name) + _int(3, number) + _int(20, 2))


def _text_attribute(name: str, text: str) -> bytes:
    return _bytes(5, _bytes(1, name) + _bytes(4, text) + _int(20, 3))


def _floats_attribute(name: str, numbers: Sequence[float]) -> bytes:
    return _bytes(5, _bytes(1, name) + _floats(7, numbers) + _int(20, 6))


def _ints_attribute(name: str, numbers: Sequence[int]) -> bytes:
    return _bytes(5, _bytes(1, name) + _bytes(8, b"".join(map(_varint, numbers))) + _int(20, 7))


def _model(name: str, body: bytes, domain: str, version: int) -> bytes:
    return _int(1, 3) + _bytes(2, "fastort") + _bytes(7, body + _bytes(2, name)) + _bytes(8, _opset(domain, version))


def _opset(domain: str, version: int) -> bytes:
    return _bytes(1, domain) + _int(2, version)


def sigmoid() -> bytes:
    """Returns the model of a sigmoid of a [3, 4, 5] tensor."""
    body = _bytes(1, _node("Sigmoid", ["x"], ["y"]))
    body += _bytes(11, _value("x", _tensor_type(_FLOAT, (3, 4, 5))))
    body += _bytes(12, _value("y", _tensor_type(_FLOAT, (3, 4, 5))))
    return _model("test_sigmoid", body, "", 9)


def mul_1() -> bytes:
    """Returns the model of Y = X * [[1, 2], [3, 4], [5, 6]]."""
    weight = _int(1, 3) + _int(1, 2) + _int(2, _FLOAT) + _floats(4, [1, 2, 3, 4, 5, 6]) + _bytes(8, "W")
    body = _bytes(1, _node("Mul", ["X", "W"], ["Y"])) + _bytes(5, weight)
    body += _bytes(11, _value("X", _tensor_type(_FLOAT, (3, 2))))
    body += _bytes(12, _value("Y", _tensor_type(_FLOAT, (3, 2))))
    return _model("mul test", body, "", 7)


def logreg_iris() -> bytes:
    """Returns a logistic regression on the first two features of the iris data, for three flowers at once."""
    attributes = (
        _ints_attribute("classlabels_ints", [0, 1, 2])
        + _floats_attribute("coefficients", _COEFFICIENTS)
        + _floats_attribute("intercepts", _INTERCEPTS)
        + _int_attribute("multi_class", 0)
        + _text_attribute("post_transform", "LOGISTIC")
    )
    body = _bytes(1, _node("LinearClassifier", ["float_input"], ["label", "scores"], attributes, ml=True))
    body += _bytes(1, _node("Normalizer", ["scores"], ["normalized"], _text_attribute("norm", "L1"), ml=True))
    labels = _ints_attribute("classlabels_int64s", [0, 1, 2])
    body += _bytes(1, _node("ZipMap", ["normalized"], ["probabilities"], labels, ml=True))
    body += _bytes(11, _value("float_input", _tensor_type(_FLOAT, (3, 2))))
    body += _bytes(12, _value("label", _tensor_type(_INT64, (3,))))
    # sequence(map(int64, tensor(float)))
    map_type = _bytes(5, _int(1, _INT64) + _bytes(2, _bytes(1, _int(1, _FLOAT))))
    body += _bytes(12, _value("probabilities", _bytes(4, _bytes(1, map_type))))
    return _model("logreg_iris", body, "ai.onnx.ml", 1)
