"""Subgraphs that read values of the graphs around them, and messages about indices that data brings."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import parser

import fastort
from fastort.capi.onnxruntime_pybind11_state import InvalidArgument


def session(text: str) -> fastort.InferenceSession:
    return fastort.InferenceSession(
        parser.parse_model(f'<ir_version: 10, opset_import: ["" : 21]>\n{text}').SerializeToString()
    )


def test_if_reads_outer_values() -> None:
    model = session("""agraph (bool c, float[N] x, float[N] y) => (float[N] z) {
      s = Add(x, y)
      z = If <then_branch = t () => (float[N] r) { r = Mul(s, x) },
              else_branch = e () => (float[N] r) { r = Identity(y) }> (c)
    }""")
    x, y = np.array([1, 2], np.float32), np.array([3, 5], np.float32)
    for _ in range(2):
        assert np.array_equal(model.run(None, {"c": np.array(True), "x": x, "y": y})[0], (x + y) * x)
        assert np.array_equal(model.run(None, {"c": np.array(False), "x": x, "y": y})[0], y)


def test_branches_of_different_shapes() -> None:
    model = session("""agraph (bool c, float[N,3] x) => (float[M,K] z) {
      z = If <then_branch = t () => (float[A,B] r) { r = Transpose(x) }, else_branch = e () => (float[C,D] r) {
        r = Concat <axis = 0> (x, x) }> (c)
      }""")
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert np.array_equal(model.run(None, {"c": np.array(True), "x": x})[0], x.T)
    assert np.array_equal(model.run(None, {"c": np.array(False), "x": x})[0], np.concatenate([x, x]))


def test_loop_reads_outer_values_in_nested_bodies() -> None:
    model = session("""agraph (int64 n, float[2] x, float[2] step) => (float[2] z, float[T,2] seen) {
      yes = Constant <value = bool {1}> ()
      z, seen = Loop <body = outer (int64 i, bool going, float[2] v) => (bool more, float[2] next, float[2] shown) {
        more = Identity(going)
        two = Constant <value_int = 2> ()
        w = Loop <body = inner (int64 k, bool on, float[2] u) => (bool still, float[2] after) {
          still = Identity(on)
          t = Add(u, step)
          after = Add(t, x)
        }> (two, going, v)
        next = Identity(w)
        shown = Add(w, x)
      }> (n, yes, x)
    }""")
    x, step = np.array([1, 2], np.float32), np.array([0.5, -1], np.float32)
    for turns in (3, 0, 1):
        z, seen = model.run(None, {"n": np.array(turns), "x": x, "step": step})
        states = [x + 2 * k * (x + step) for k in range(turns + 1)]
        assert np.allclose(z, states[-1])
        assert seen.shape == (turns, 2)
        assert np.allclose(seen, np.array([state + x for state in states[1:]]).reshape(turns, 2))


def test_loop_builds_a_sequence() -> None:
    model = session("""agraph (int64 n, float[2] x) => (float[M] z) {
      yes = Constant <value = bool {1}> ()
      empty = SequenceEmpty <dtype = 1> ()
      items = Loop <body = turn (int64 i, bool going, seq(float[K]) s) => (bool more, seq(float[K]) next) {
        more = Identity(going)
        f = Cast <to = 1> (i)
        y = Mul(x, f)
        next = SequenceInsert(s, y)
      }> (n, yes, empty)
      z = ConcatFromSequence <axis = 0> (items)
    }""")
    x = np.array([1, 2], np.float32)
    for turns in (4, 1):
        (z,) = model.run(None, {"n": np.array(turns), "x": x})
        assert np.array_equal(z, np.concatenate([x * k for k in range(turns)]))


def test_result_of_data_dependent_shape_goes_on() -> None:
    model = session("""agraph (float[N] x) => (float[M] z) {
      at = NonZero(x)
      zero = Constant <value_ints = [0]> ()
      flat = Squeeze(at, zero)
      kept = Gather(x, flat)
      z = Add(kept, kept)
    }""")
    for x in (np.array([0, 1, 0, 3], np.float32), np.zeros(3, np.float32), np.ones(5, np.float32)):
        assert np.array_equal(model.run(None, {"x": x})[0], 2 * x[x != 0])


def test_views_read_before_and_after_a_data_dependent_shape() -> None:
    model = session("""agraph (float[N] x) => (float[M] z, float[A,B] w) {
      zero = Constant <value_ints = [0]> ()
      view = Unsqueeze(x, zero)
      at = NonZero(view)
      flat = Transpose(at)
      kept = GatherND(view, flat)
      z = Add(kept, kept)
      w = Mul(view, view)
    }""")
    for x in (np.array([3, 0, 1, 0, 5], np.float32), np.ones(7, np.float32), np.array([0, 2], np.float32)):
        z, w = model.run(None, {"x": x})
        assert np.array_equal(z, 2 * x[x != 0])
        assert np.array_equal(w, (x * x)[None])


@pytest.mark.parametrize(
    ("body", "index"),
    [
        ("z = Gather(x, i)", [3]),
        ("z = Gather(x, i)", [-4]),
        ("z = GatherElements(x, j)", [99]),
        ("k = Unsqueeze(i, one) z = GatherND(x, k)", [5]),
        ("z = ScatterElements(x, j, j2)", [-9]),
        ("k = Unsqueeze(i, one) z = ScatterND(x, k, row)", [3]),
    ],
)
def test_bad_index_is_named(body: str, index: list[int]) -> None:
    model = session(f"""agraph (float[3,1] x, int64[1] i) => (float[A,B] z) {{
      one = Constant <value_ints = [1]> ()
      j = Unsqueeze(i, one)
      j2 = Cast <to = 1> (j)
      row = Constant <value = float[1,1] {{1.0}}> ()
      {body}
    }}""")
    x = np.zeros((3, 1), np.float32)
    with pytest.raises(InvalidArgument, match=rf"index {index[0]} .*outside \[-3, 2\]"):
        model.run(None, {"x": x, "i": np.array(index)})


def test_unknown_mode_is_refused() -> None:
    node: Any = onnx.helper.make_node("Pad", ["x", "p"], ["y"], mode="mirror")
    info = onnx.helper.make_tensor_value_info
    pads = onnx.numpy_helper.from_array(np.array([1, 1]), "p")
    graph = onnx.helper.make_graph([node], "g", [info("x", 1, [3])], [info("y", 1, None)], [pads])
    with pytest.raises(Exception, match="mirror"):
        fastort.InferenceSession(onnx.helper.make_model(graph).SerializeToString())


def test_functions_over_strings_sequences_and_optionals() -> None:
    model = parser.parse_model("""<ir_version: 10, opset_import: ["" : 21, "local" : 1]>
      agraph (string[N] x, seq(string[M]) s) => (seq(string[K]) y, string[P] z, bool[Q] m, int64 n) {
        y = local.tidy(s, x)
        z = local.joined(x)
        m = local.check <pattern = "[a-c]+"> (x)
        n = local.count(s)
      }
      <opset_import: ["" : 21], domain: "local"> tidy (s, x) => (y) {
        y = SequenceMap <body = b (string[A] item, string[B] extra) => (string[C] res) {
          up = StringNormalizer <case_change_action = "UPPER"> (item)
          res = Concat <axis = 0> (up, extra)
        }> (s, x)
      }
      <opset_import: ["" : 21], domain: "local"> joined (x) => (z) {
        o = Optional (x)
        h = OptionalHasElement (o)
        z = If <then_branch = t () => (string[U] a) { e = OptionalGetElement (o) a = StringConcat (e, x) },
                else_branch = f () => (string[V] b) { b = Identity (x) }> (h)
      }
      <opset_import: ["" : 21], domain: "local"> check <pattern> (x) => (m) {
        m = RegexFullMatch <pattern: string = @pattern> (x)
      }
      <opset_import: ["" : 21], domain: "local"> count (s) => (n) { t = SequenceErase (s) n = SequenceLength (t) }
    """)
    x = np.array(["ab", "d"], dtype=object)
    s = [np.array(["q", "r"], dtype=object), np.array(["z"], dtype=object)]
    y, z, m, n = fastort.InferenceSession(model.SerializeToString()).run(None, {"x": x, "s": s})
    assert [item.tolist() for item in y] == [["Q", "R", "ab", "d"], ["Z", "ab", "d"]]
    assert z.tolist() == ["abab", "dd"]
    assert m.tolist() == [True, False]
    assert n == 1
