"""Sequences and optionals."""

import numpy as np
from onnx import TensorProto

from ..case import Case

_rng = np.random.default_rng(8)


def _f(*shape: int) -> np.ndarray:
    return _rng.standard_normal(shape).astype(np.float32)


_items = [_f(2, 3), _f(2, 3), _f(2, 3)]
_a, _b, _c = _items
_ragged = [_f(2, 1), _f(2, 4)]
_x = _f(5, 6)

CASES = [
    Case("SequenceConstruct", [_a, _b], expected=[[_a, _b]]),
    Case("SequenceConstruct", [_a, _f(1)], id="shapes"),
    Case("SequenceAt", [_items, np.int64(1)], expected=[_b]),
    Case("SequenceAt", [_items, np.int32(-1)], id="negative", expected=[_c]),
    Case("SequenceLength", [_items], expected=[np.array(3)]),
    Case("SequenceInsert", [_items, _x], id="end", expected=[[*_items, _x]]),
    Case("SequenceInsert", [_items, _x, np.int64(1)], id="middle", expected=[[_a, _x, _b, _c]]),
    Case("SequenceInsert", [_items, _x, np.int64(-1)], id="negative", expected=[[_a, _b, _x, _c]]),
    Case("SequenceErase", [_items], id="last", expected=[[_a, _b]]),
    Case("SequenceErase", [_items, np.int64(0)], id="first", expected=[[_b, _c]]),
    Case("SplitToSequence", [_x, np.array([2, 3], np.int64)], id="sizes", expected=[[_x[:2], _x[2:]]]),
    Case("SplitToSequence", [_x, np.int64(4)], {"axis": 1}, id="chunks", expected=[[_x[:, :4], _x[:, 4:]]]),
    Case("SplitToSequence", [_x], id="ones", expected=[[_x[i : i + 1] for i in range(5)]]),
    Case("SplitToSequence", [_x], {"keepdims": 0, "axis": -1}, id="drop", expected=[[_x[:, i] for i in range(6)]]),
    Case("ConcatFromSequence", [_items], {"axis": 0}, id="axis0", expected=[np.concatenate(_items, 0)]),
    Case("ConcatFromSequence", [_ragged], {"axis": -1}, id="ragged", expected=[np.concatenate(_ragged, -1)]),
    Case("ConcatFromSequence", [_items], {"axis": 1, "new_axis": 1}, id="stack", expected=[np.stack(_items, 1)]),
    Case("ConcatFromSequence", [_items], {"axis": -1, "new_axis": 1}, id="stack-last", expected=[np.stack(_items, -1)]),
    Case("OptionalHasElement", [_x], expected=[np.array(True)]),
    Case("OptionalHasElement", [], expected=[np.array(False)], id="none"),
    Case("OptionalGetElement", [_x], expected=[_x]),
    Case("OptionalGetElement", [_items], expected=[_items], id="sequence"),
    Case("SequenceEmpty", [], {"dtype": TensorProto.FLOAT}, expected=[[]]),
]
