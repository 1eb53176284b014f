"""If, Loop, Scan, SequenceMap. Bodies are written in ONNX's text form; expected values are NumPy's."""

import numpy as np
import onnx
from onnx import parser

from ..case import Case

_rng = np.random.default_rng(7)


def _body(text: str) -> onnx.GraphProto:
    return parser.parse_graph(text)


def _f(*shape: int) -> np.ndarray:
    return _rng.standard_normal(shape).astype(np.float32)


_x = _f(3, 4)
_rows = _f(5, 3)

_if_constants = {
    "then_branch": _body("agraph () => (float[N] z) { z = Constant <value_floats = [1.0, 2.0]> () }"),
    "else_branch": _body("agraph () => (float[N] z) { z = Constant <value_floats = [3.0]> () }"),
}

_sum_loop = _body("""agraph (int64 i, bool going, float[3,4] sum) => (bool more, float[3,4] next, float[3,4] seen) {
  more = Identity(going)
  next = Add(sum, sum)
  seen = Identity(sum)
}""")
_while_loop = _body("""agraph (int64 i, bool going, float v) => (bool more, float next, int64 turn) {
  ten = Constant <value_float = 10.0> ()
  next = Add(v, v)
  more = Less(next, ten)
  turn = Identity(i)
}""")
_growing_loop = _body("""agraph (int64 i, bool going, float[N] v) => (bool more, float[M] next) {
  more = Identity(going)
  next = Concat <axis = 0> (v, v)
}""")
_nested_loop = _body("""agraph (int64 i, bool going, float[2] v) => (bool more, float[2] next) {
  more = Identity(going)
  two = Constant <value_int = 2> ()
  zero = Constant <value_int = 0> ()
  left = Mod(i, two)
  even = Equal(left, zero)
  next = If <then_branch = t () => (float[2] r) { r = Add(v, v) },
             else_branch = e () => (float[2] r) { r = Neg(v) }> (even)
}""")
_cumulative = _body("""agraph (float[3] sum, float[3] row) => (float[3] next, float[3] seen) {
  next = Add(sum, row)
  seen = Identity(next)
}""")
_pairs = _body("""agraph (float[3] a, float[5] b) => (float s, float[3] d) {
  p = ReduceSum <keepdims = 0> (a)
  q = ReduceSum <keepdims = 0> (b)
  s = Add(p, q)
  d = Add(a, a)
}""")
_twice = _body("agraph (float[N] v) => (float[N] w) { w = Add(v, v) }")

_sums = np.cumsum(_rows, 0)
_wide = _f(5, 5)

CASES = [
    Case("If", [np.array(True)], _if_constants, id="then", expected=[np.array([1, 2], np.float32)]),
    Case("If", [np.array([False])], _if_constants, id="else", expected=[np.array([3], np.float32)]),
    Case(
        "Loop",
        [np.int64(3), np.array(True), _x],
        {"body": _sum_loop},
        outputs=2,
        id="count",
        expected=[8 * _x, np.stack([_x, 2 * _x, 4 * _x])],
    ),
    Case(
        "Loop",
        [np.int64(0), np.array(True), _x],
        {"body": _sum_loop},
        outputs=2,
        id="no-turn",
        expected=[_x, np.zeros((0, 3, 4), np.float32)],
    ),
    Case(
        "Loop",
        [np.int64(5), np.array(False), _x],
        {"body": _sum_loop},
        outputs=2,
        id="false",
        expected=[_x, np.zeros((0, 3, 4), np.float32)],
    ),
    Case(
        "Loop",
        [np.int64(2), None, _x],
        {"body": _sum_loop},
        outputs=2,
        id="for",
        expected=[4 * _x, np.stack([_x, 2 * _x])],
    ),
    Case(
        "Loop",
        [None, np.array(True), np.float32(1)],
        {"body": _while_loop},
        outputs=2,
        id="while",
        expected=[np.float32(16), np.arange(4)],
    ),
    Case(
        "Loop",
        [np.int64(2), np.array(True), np.float32(1)],
        {"body": _while_loop},
        outputs=2,
        id="limited",
        expected=[np.float32(4), np.arange(2)],
    ),
    Case(
        "Loop",
        [np.int64(3), None, _rows[0, :2]],
        {"body": _growing_loop},
        id="growing",
        expected=[np.tile(_rows[0, :2], 8)],
    ),
    Case(
        "Loop",
        [np.int64(3), None, np.array([1, -2], np.float32)],
        {"body": _nested_loop},
        id="nested",
        expected=[np.array([-4, 8], np.float32)],
    ),
    Case(
        "Scan",
        [np.zeros(3, np.float32), _rows],
        {"body": _cumulative, "num_scan_inputs": 1},
        outputs=2,
        expected=[_sums[-1], _sums],
        id="cumulative",
    ),
    Case(
        "Scan",
        [np.zeros(3, np.float32), _rows],
        {"body": _cumulative, "num_scan_inputs": 1, "scan_input_directions": [1], "scan_output_directions": [1]},
        outputs=2,
        expected=[_sums[-1], np.cumsum(_rows[::-1], 0)[::-1]],
        id="reversed",
        atol=1e-5,
    ),
    Case(
        "Scan",
        [np.zeros(3, np.float32), np.ascontiguousarray(_rows.T)],
        {"body": _cumulative, "num_scan_inputs": 1, "scan_input_axes": [1], "scan_output_axes": [-1]},
        outputs=2,
        expected=[_sums[-1], _sums.T],
        id="axes",
        atol=1e-5,
    ),
    Case(
        "Scan",
        [_rows, _wide],
        {"body": _pairs, "num_scan_inputs": 2},
        outputs=2,
        id="pairs",
        atol=1e-5,
        expected=[_rows.sum(1) + _wide.sum(1), 2 * _rows],
    ),
    Case(
        "Scan",
        [np.zeros(3, np.float32), np.zeros((0, 3), np.float32)],
        {"body": _cumulative, "num_scan_inputs": 1},
        outputs=2,
        expected=[np.zeros(3, np.float32), np.zeros((0, 3), np.float32)],
        id="no-turn",
    ),
    Case("SequenceMap", [[_f(2), _f(3)]], {"body": _twice}, id="map"),
]
