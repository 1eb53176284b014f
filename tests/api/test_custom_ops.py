"""Operators that a program brings along: Python functions, and a library compiled against `fastort/custom_op.h`."""

from __future__ import annotations

import copy
import gc
import os
import pickle
import shutil
import subprocess
import threading
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest

import fastort
from fastort.capi.onnxruntime_pybind11_state import Fail, InvalidArgument, InvalidGraph, NotImplemented

SOURCE = Path(__file__).with_name("custom_op_library.cpp")


def parse(text: str) -> bytes:
    opsets = '<ir_version: 10, opset_import: ["" : 21, "test.ops" : 1]> '
    serialized: bytes = onnx.parser.parse_model(opsets + text).SerializeToString()
    return serialized


# ---- Python functions ---------------------------------------------------------------------------------------------


def test_function() -> None:
    @fastort.operator(domain="test.ops")
    def Cumulate(x: np.ndarray, axis: int = 0, scale: float = 1.0) -> np.ndarray:  # noqa: N802
        return np.cumsum(x, axis) * np.float32(scale)

    text = "net (float[n, m] x) => (float[n, m] z) { y = test.ops.Cumulate<axis = 1, scale = 2.0>(x) z = Neg(y) }"
    session = fastort.InferenceSession(parse(text))
    assert session.get_outputs()[0].shape == ["n", "m"]
    for n in (1, 3, 1):
        x = np.random.default_rng(n).standard_normal((n, 4)).astype(np.float32)
        np.testing.assert_allclose(session.run(None, {"x": x})[0], -2 * np.cumsum(x, 1), rtol=1e-6)
    assert Cumulate(np.ones(2, np.float32)).tolist() == [1, 2]


def test_several_outputs_of_shapes_that_the_data_decides() -> None:
    fastort.register_operator(
        "Unequal",
        lambda x, y: (np.flatnonzero(x != y), x[x != y], np.array(bool((x != y).any()))),
        domain="test.ops",
        outputs=[np.int64, None, bool],
    )
    text = """net (float[n] x, float[n] y) => (int64[k] i, float[k] doubled, bool any)
    { i, v, any = test.ops.Unequal(x, y) doubled = Add(v, v) }"""
    session = fastort.InferenceSession(parse(text))
    x = np.array([1, 2, 3, 4], np.float32)
    for y, expected in (([1, 0, 3, 0], ([1, 3], [4, 8], True)), ([1, 2, 3, 4], ([], [], False))):
        i, doubled, found = session.run(None, {"x": x, "y": np.array(y, np.float32)})
        assert (i.tolist(), doubled.tolist(), bool(found)) == expected


def test_attributes_of_all_kinds() -> None:
    seen: dict[str, Any] = {}

    def remember(x: np.ndarray, **attributes: Any) -> np.ndarray:
        seen.update(attributes)
        return x

    fastort.register_operator("Remember", remember, domain="test.ops")
    node = onnx.helper.make_node(
        "Remember",
        ["x"],
        ["y"],
        domain="test.ops",
        i=3,
        f=0.5,
        s="text",
        ints=[1, 2],
        floats=[0.5, 1.5],
        strings=["a", "b"],
        t=onnx.numpy_helper.from_array(np.arange(3, dtype=np.int8)),
    )
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph([node], "net", [value("x", 1, [2])], [value("y", 1, [2])])
    opsets = [onnx.helper.make_opsetid("", 21), onnx.helper.make_opsetid("test.ops", 1)]
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=10)
    x = np.ones(2, np.float32)
    y = fastort.InferenceSession(model.SerializeToString()).run(None, {"x": x})[0]
    y += 1  # what comes out is the caller's own
    assert x.tolist() == [1, 1]
    assert seen.pop("t").tolist() == [0, 1, 2]
    assert seen == {"i": 3, "f": 0.5, "s": "text", "ints": [1, 2], "floats": [0.5, 1.5], "strings": ["a", "b"]}


def test_text_and_inputs_that_are_left_out() -> None:
    fastort.register_operator(
        "Join", lambda x, y, end: np.char.add(np.char.add(x.astype(str), end.astype(str)), "!"), domain="test.ops"
    )
    text = "net (string[n] x, string[n] e) => (string[n] z) { z = test.ops.Join(x, , e) }"
    session = fastort.InferenceSession(parse(text))
    assert session.run(None, {"x": np.array(["a", "ü"]), "e": np.array(["b", "c"])})[0].tolist() == ["ab!", "üc!"]


def test_inside_of_a_body() -> None:
    fastort.register_operator("Step", lambda x: x * 2, domain="test.ops")
    text = """net (float[n] x, int64 count) => (float[n] y)
    {
      y = Loop (count, , x) <
        body = step (int64 i, bool go, float[n] a) => (bool more, float[n] b)
        { more = Identity (go) b = test.ops.Step (a) }
      >
    }"""
    session = fastort.InferenceSession(parse(text))
    feed = {"x": np.ones(2, np.float32), "count": np.array(5, np.int64)}
    assert session.run(None, feed)[0].tolist() == [32, 32]


@pytest.mark.parametrize(
    ("function", "outputs", "pieces"),
    [
        (lambda x: 1 / 0, [fastort.Output(like=0)], ["ZeroDivisionError", "Wrong"]),
        (lambda x: x.astype(np.float64), [fastort.Output(like=0)], ["double", "float", "astype"]),
        (lambda x: x[:1], [fastort.Output(like=0)], ["[1]", "[2]"]),
        (lambda x: (), [np.float32], ["0 values", "1 outputs"]),
        (lambda x: "text", [np.float32], ["string", "float"]),
    ],
)
def test_a_function_that_fails(function: Any, outputs: Any, pieces: list[str]) -> None:
    fastort.register_operator("Wrong", function, domain="test.ops", outputs=outputs)
    session = fastort.InferenceSession(parse("net (float[n] x) => (float[k] y) { y = test.ops.Wrong(x) }"))
    with pytest.raises(Fail) as raised:
        session.run(None, {"x": np.ones(2, np.float32)})
    assert all(piece in str(raised.value) for piece in pieces), str(raised.value)


def test_registration_is_checked() -> None:
    with pytest.raises(InvalidArgument, match="Relu"):
        fastort.register_operator("Relu", lambda x: x, domain="")
    with pytest.raises(TypeError, match="callable"):
        fastort.register_operator("Foo", 3, domain="test.ops")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="datetime"):
        fastort.register_operator("Foo", lambda x: x, domain="test.ops", outputs=["datetime64[s]"])
    fastort.register_operator("Two", lambda x: x, domain="test.ops", outputs=[fastort.Output(like=3)])
    with pytest.raises(InvalidGraph, match="input 3"):
        fastort.InferenceSession(parse("net (float[n] x) => (float[n] y) { y = test.ops.Two(x) }"))


def test_a_later_registration_counts_for_later_sessions() -> None:
    model = parse("net (float[n] x) => (float[n] y) { y = test.ops.Later(x) }")
    x = np.ones(2, np.float32)
    fastort.register_operator("Later", lambda x: x + 1, domain="test.ops")
    first = fastort.InferenceSession(model)
    assert first.run(None, {"x": x})[0].tolist() == [2, 2]
    fastort.register_operator("Later", lambda x: x + 2, domain="test.ops")
    assert fastort.InferenceSession(model).run(None, {"x": x})[0].tolist() == [3, 3]
    assert first.run(None, {"x": x})[0].tolist() == [2, 2]
    # A plan for another shape is of the same session.
    assert first.run(None, {"x": np.ones(3, np.float32)})[0].tolist() == [2, 2, 2]


def double(x: np.ndarray) -> np.ndarray:
    return x * 2


def test_operators_of_some_options_alone() -> None:
    model = parse("""net (float[n] x, bool c) => (float[n] z)
    {
      y = test.ops.Scoped(x)
      z = If (c) <then_branch = t () => (float[n] a) { a = test.ops.Scoped(y) },
                  else_branch = e () => (float[n] b) { b = Neg(y) }>
    }""")
    sessions = []
    for k in (2, 3):
        options = fastort.SessionOptions()
        options.register_operator("Scoped", lambda x, k=k: x * np.float32(k), domain="test.ops")
        sessions.append(fastort.InferenceSession(model, options))
    for n in (1, 2, 5):
        x = np.ones(n, np.float32)
        for k, session in zip((2, 3), sessions, strict=True):
            assert session.run(None, {"x": x, "c": np.array(True)})[0].tolist() == [k * k] * n
            assert session.run(None, {"x": x, "c": np.array(False)})[0].tolist() == [-k] * n
            assert session.run(["y"], {"x": x, "c": np.array(False)})[0].tolist() == [k] * n
    with pytest.raises(NotImplemented, match="Scoped"):
        fastort.InferenceSession(model)

    # Those of the options go before those of the process, and the later ones of each before the earlier ones.
    fastort.register_operator("Mine", lambda x: x + 1, domain="test.ops")
    plain = parse("net (float[n] x) => (float[n] y) { y = test.ops.Mine(x) }")
    options = fastort.SessionOptions()
    options.register_operator("Mine", lambda x: x + 2, domain="test.ops")
    options.register_operator("Mine", lambda x: x + 3, domain="test.ops")
    x = np.ones(2, np.float32)
    assert fastort.InferenceSession(plain, options).run(None, {"x": x})[0].tolist() == [4, 4]
    assert fastort.InferenceSession(plain).run(None, {"x": x})[0].tolist() == [2, 2]


def test_options_with_functions_travel_where_the_functions_do() -> None:
    options = fastort.SessionOptions()
    options.register_operator("Doubled", double, domain="test.ops")
    model = parse("net (float[n] x) => (float[n] y) { y = test.ops.Doubled(x) }")
    session = copy.deepcopy(fastort.InferenceSession(model, options))
    assert session.run(None, {"x": np.ones(2, np.float32)})[0].tolist() == [2, 2]
    options.register_operator("Other", lambda x: x, domain="test.ops")
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        pickle.dumps(options)


def test_a_function_is_let_go_with_its_sessions() -> None:
    class Scale:
        def __call__(self, x: np.ndarray) -> np.ndarray:
            return x * 2

    function = Scale()
    gone = weakref.ref(function)
    options = fastort.SessionOptions()
    options.register_operator("Scaled", function, domain="test.ops")
    session = fastort.InferenceSession(parse("net (float[n] x) => (float[n] y) { y = test.ops.Scaled(x) }"), options)
    del function, options
    gc.collect()
    assert session.run(None, {"x": np.ones(2, np.float32)})[0].tolist() == [2, 2]
    del session
    gc.collect()
    assert gone() is None


def test_what_follows_is_planned_with_an_operator_of_known_shape() -> None:
    options = fastort.SessionOptions()
    options.register_operator("Sized", np.sort, domain="test.ops")
    options.register_operator("Unsized", np.sort, domain="test.ops", outputs=[np.float32])
    for name, plans in (("Sized", 1), ("Unsized", 2)):
        text = f"net (float[n] x) => (float[n] z) {{ y = test.ops.{name}(x) w = Neg(y) z = Tanh(w) }}"
        session = fastort.InferenceSession(parse(text), options)
        x = np.array([3, 1, 2], np.float32)
        np.testing.assert_allclose(session.run(None, {"x": x})[0], np.tanh(-np.sort(x)), rtol=1e-6)
        assert session.memory_stats()["plan_count"] == plans, name
        assert x.tolist() == [3, 1, 2]


def test_a_result_in_the_inputs_memory() -> None:
    options = fastort.SessionOptions()
    options.register_operator("Parts", lambda x: (x, x[::-1]), domain="test.ops", outputs=[fastort.Output(like=0)] * 2)
    options.register_operator("Upper", lambda x: np.char.upper(x.astype(str)), domain="test.ops")
    session = fastort.InferenceSession(
        parse("""net (float[n] x, string[n] s) => (float[n] a, float[n] b, string[n] t)
        { y = Neg(x) a, c = test.ops.Parts(y) b = Neg(c) u = test.ops.Upper(s) t = Identity(u) }"""),
        options,
    )
    for n in (0, 1, 4):
        x = np.arange(n, dtype=np.float32)
        s = np.array([f"a{i}" for i in range(n)], object)
        a, b, t = session.run(None, {"x": x, "s": s})
        assert (a.tolist(), b.tolist()) == ((-x).tolist(), x[::-1].tolist())
        assert t.tolist() == [text.upper() for text in s]


def test_threads() -> None:
    fastort.register_operator("Slow", lambda x: np.sort(x), domain="test.ops")
    session = fastort.InferenceSession(parse("net (float[n] x) => (float[n] z) { y = test.ops.Slow(x) z = Neg(y) }"))
    wrong: list[int] = []

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for n in rng.integers(1, 50, 50):
            x = rng.standard_normal(n).astype(np.float32)
            if not np.array_equal(session.run(None, {"x": x})[0], -np.sort(x)):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


# ---- a compiled library -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = os.environ.get("CXX") or shutil.which("c++")
    if compiler is None:
        pytest.skip("no C++ compiler")
    path = tmp_path_factory.mktemp("ops") / "libops.so"
    command = [compiler, "-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", "-fvisibility=hidden"]
    subprocess.run([*command, f"-I{fastort.get_include()}", str(SOURCE), "-o", str(path)], check=True)
    return path


def open_session(library: Path, text: str) -> fastort.InferenceSession:
    options = fastort.SessionOptions()
    options.register_custom_ops_library(library)
    return fastort.InferenceSession(parse(text), options)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_compiled(library: Path, dtype: type) -> None:
    name = {np.float32: "float", np.float64: "double"}[dtype]  # type: ignore[index]
    text = (
        f"net ({name}[n, m] x) => ({name}[n, m] z) {{ y = test.ops.Affine<factor = 3.0, offset = -2>(x) z = Neg(y) }}"
    )
    session = open_session(library, text)
    assert session.get_outputs()[0].shape == ["n", "m"]
    for shape in ((3, 5), (0, 4), (200, 301)):
        x = np.random.default_rng(0).standard_normal(shape).astype(dtype)
        np.testing.assert_allclose(session.run(None, {"x": x})[0], -(x * 3 - 2), rtol=1e-6, atol=1e-6)


def test_compiled_with_unknown_shapes(library: Path) -> None:
    text = """net (float[n] x, float limit) => (float[k] twice, int64[k] i)
    { v, i = test.ops.Above(x, limit) twice = Add(v, v) }"""
    session = open_session(library, text)
    for limit in (0.0, 2.0, 9.0):
        twice, i = session.run(None, {"x": np.array([1, 3, -1, 5], np.float32), "limit": np.array(limit, np.float32)})
        expected = [value for value in (1.0, 3.0, -1.0, 5.0) if value > limit]
        assert twice.tolist() == [2 * value for value in expected]
        assert len(i) == len(expected)


def test_compiled_c(library: Path) -> None:
    session = open_session(library, "net (float[n] x) => (float[n] y) { y = test.ops.Weigh<weights = [0.5, 1.5]>(x) }")
    assert session.run(None, {"x": np.array([1, 2], np.float32)})[0].tolist() == [2, 4]
    session = open_session(library, "net (float[n] x) => (float[n] y) { y = test.ops.Weigh(x) }")
    with pytest.raises(Fail, match="weights are missing"):
        session.run(None, {"x": np.array([1, 2], np.float32)})


@pytest.mark.parametrize(
    ("when", "text"),
    [
        ("compute", "not with these values"),
        ("type", "element type 1, expected 7"),
        ("index", "input 7"),
        ("shape", "cannot have the shape"),
        ("silent", "output"),
    ],
)
def test_a_compiled_operator_that_fails(library: Path, when: str, text: str) -> None:
    session = open_session(library, f'net (float[n] x) => (float[n] y) {{ y = test.ops.Refuse<when = "{when}">(x) }}')
    with pytest.raises(Exception, match=text) as raised:
        session.run(None, {"x": np.ones(2, np.float32)})
    assert "Refuse" in str(raised.value)
    assert type(raised.value).__module__ == "fastort.capi.onnxruntime_pybind11_state"


def test_a_compiled_operator_that_refuses_the_types(library: Path) -> None:
    with pytest.raises(Fail, match="not with these types"):
        open_session(library, 'net (float[n] x) => (float[n] y) { y = test.ops.Refuse<when = "infer">(x) }')


def test_strings_are_refused_by_compiled_operators(library: Path) -> None:
    session = open_session(library, "net (string[n] x) => (string[n] y) { y = test.ops.Weigh(x) }")
    with pytest.raises(InvalidArgument, match="strings"):
        session.run(None, {"x": np.array(["a"])})


def test_options_with_a_library_travel(library: Path) -> None:
    options = fastort.SessionOptions()
    options.register_custom_ops_library(str(library))
    model = parse("net (float[n] x) => (float[n] y) { y = test.ops.Affine<factor = 2.0>(x) }")
    session = pickle.loads(pickle.dumps(fastort.InferenceSession(model, options)))
    assert session.run(None, {"x": np.ones(2, np.float32)})[0].tolist() == [2, 2]


def test_a_library_of_something_else(tmp_path: Path) -> None:
    source = tmp_path / "other.cpp"
    source.write_text('extern "C" int RegisterCustomOps(void*, const void*) { return 0; }\n')
    compiler = shutil.which("c++")
    if compiler is None:
        pytest.skip("no C++ compiler")
    subprocess.run([compiler, "-shared", "-fPIC", str(source), "-o", str(tmp_path / "other.so")], check=True)
    with pytest.raises(Fail, match=r"fastort_register_ops.*ONNX Runtime's C interface"):
        fastort.SessionOptions().register_custom_ops_library(tmp_path / "other.so")
