"""Broken, unusual and large model files: the right exception with a message that names the cause, never a crash."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import fastort
from fastort.capi.onnxruntime_pybind11_state import (
    Fail,
    InvalidArgument,
    InvalidGraph,
    InvalidProtobuf,
    NoSuchFile,
    NotImplemented,
)

FLOAT = TensorProto.FLOAT
X = np.arange(6, dtype=np.float32).reshape(2, 3)


def info(name: str, shape: Sequence[Any] | None = None, kind: int = FLOAT) -> onnx.ValueInfoProto:
    """Returns a typed name."""
    return helper.make_tensor_value_info(name, kind, shape)


def model(
    nodes: Sequence[onnx.NodeProto],
    initializers: Sequence[onnx.TensorProto] = (),
    *,
    inputs: Sequence[onnx.ValueInfoProto] = (),
    opset: int = 17,
    ir_version: int = 8,
    functions: Sequence[onnx.FunctionProto] = (),
    domains: Sequence[tuple[str, int]] = (),
    sparse: Sequence[onnx.SparseTensorProto] = (),
) -> onnx.ModelProto:
    """Returns a model with the input x of shape [2,3] and the output y."""
    graph = helper.make_graph(
        nodes, "g", [info("x", [2, 3]), *inputs], [info("y")], list(initializers), sparse_initializer=list(sparse)
    )
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(*pair) for pair in domains)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=ir_version, functions=list(functions))


def load(source: onnx.ModelProto | bytes | str | Path) -> fastort.InferenceSession:
    """Makes a session on the CPU."""
    if isinstance(source, onnx.ModelProto):
        source = source.SerializeToString()
    return fastort.InferenceSession(source, providers=["CPUExecutionProvider"])


def run(source: onnx.ModelProto | str | Path, **feeds: np.ndarray) -> np.ndarray:
    """Returns the first output for x and the other feeds."""
    return load(source).run(None, {"x": X, **feeds})[0]


def node(op: str, inputs: Sequence[str] = ("x",), outputs: Sequence[str] = ("y",), **attributes: Any) -> onnx.NodeProto:
    """Returns a node called `the_node`."""
    return helper.make_node(op, inputs, outputs, name=attributes.pop("name", "the_node"), **attributes)


def weight(shape: Sequence[int] = (2, 3), raw: bytes = bytes(24)) -> onnx.TensorProto:
    """Returns the initializer w."""
    return TensorProto(name="w", dims=shape, data_type=FLOAT, raw_data=raw)


def external(location: str, **entries: int) -> onnx.TensorProto:
    """Returns the initializer w, stored in a file."""
    tensor = TensorProto(name="w", dims=[2, 3], data_type=FLOAT, data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=str(value))
    return tensor


ADD_W = node("Add", ["x", "w"])

BAD_MODELS = {
    "unknown operator": (model([node("Foo")]), InvalidGraph, "Foo"),
    "unknown domain": (model([node("Foo", domain="com.foo")]), InvalidGraph, "com.foo"),
    "operator of a domain without operators": (
        model([node("Foo", domain="com.foo")], domains=[("com.foo", 1)]),
        NotImplemented,
        "Foo.*the_node",
    ),
    "what ONNX Runtime optimised for one machine": (
        model([node("ReorderInput", domain="com.microsoft.nchwc")], domains=[("com.microsoft.nchwc", 1)]),
        NotImplemented,
        "ReorderInput.*the_node.*ORT_ENABLE_EXTENDED",
    ),
    "too few inputs without a schema": (
        model([node("CDist", domain="com.microsoft")], domains=[("com.microsoft", 1)]),
        InvalidGraph,
        "CDist.*the_node.*input size 1 not in range .min=2",
    ),
    "no inputs without a schema": (
        model([node("Affine", [])], opset=6),
        InvalidGraph,
        "Affine.*the_node.*input size 0 not in range .min=1",
    ),
    "cycle": (
        model([node("Add", ["x", "b"], ["a"], name="n1"), node("Relu", ["a"], ["b"], name="n2"), node("Relu", ["a"])]),
        Fail,
        "not acyclic.*n[12]",
    ),
    "wrong attribute type": (model([node("LeakyRelu", alpha=3)]), InvalidGraph, "the_node.*alpha.*FLOAT.*INT"),
    "unknown attribute": (model([node("Relu", beta=3)]), InvalidGraph, "the_node.*beta"),
    "missing attribute": (model([node("Cast")]), InvalidGraph, "the_node.*'to'"),
    "undefined input": (model([node("Add", ["x", "nobody"])]), InvalidArgument, "nobody.*the_node"),
    "too few inputs": (model([node("Add", ["x"])]), InvalidGraph, "the_node.*input size 1"),
    "too many inputs": (model([node("Relu", ["x", "x"])]), InvalidGraph, "the_node.*input size 2"),
    "required input left out": (model([node("Add", ["x", ""])]), InvalidGraph, "the_node.*input 1"),
    "two producers": (model([node("Relu"), node("Abs")]), Fail, r"Duplicate definition.*\(y\)"),
    "missing output": (model([node("Relu", outputs=["z"])]), Fail, r"\(y\)"),
    "huge dimension": (model([node("Relu")], inputs=[info("n", [2**62, 2**62])]), InvalidGraph, "'n'"),
    "short initializer": (model([ADD_W], [weight(raw=bytes(20))]), Fail, "'w'.*24.*20"),
    "long initializer": (model([ADD_W], [weight(raw=bytes(28))]), Fail, "'w'.*24.*28"),
    "huge initializer": (model([ADD_W], [weight([2**40, 2**40])]), Fail, "'w'"),
    "large initializer without data": (model([ADD_W], [weight([2**30])]), Fail, "'w'"),
    "negative initializer": (model([ADD_W], [weight([-2, 3])]), Fail, "'w'.*-2"),
    "wrong input type": (model([node("Relu", ["s"])], inputs=[info("s", [2], TensorProto.STRING)]), InvalidGraph, ""),
    "axis out of range": (model([node("Softmax", axis=9)]), (Fail, InvalidGraph), "the_node"),
}


@pytest.mark.parametrize("name", BAD_MODELS)
def test_bad_model(name: str) -> None:
    bad, error, message = BAD_MODELS[name]
    with pytest.raises(error, match=f"(?s){message}"):
        load(bad)


@pytest.mark.parametrize("dim", [-1, -2])
def test_negative_dimension_is_unknown(dim: int) -> None:
    relu = model([node("Relu")])
    relu.graph.input[0].CopyFrom(info("x", [dim, 3]))
    relu.graph.output[0].CopyFrom(info("y", [2, dim], FLOAT))
    session = load(relu)
    assert session.get_inputs()[0].shape == [None, 3]
    x = np.array([[-1, 2, -3], [4, -5, 6]], np.float32)
    np.testing.assert_array_equal(session.run(None, {"x": x})[0], np.maximum(x, 0))
    with pytest.raises(InvalidArgument, match="index: 1 Got: 2 Expected: 3"):
        session.run(None, {"x": x[:, :2]})


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(NoSuchFile, match=r"none\.onnx"):
        load(tmp_path / "none.onnx")


def test_empty_and_garbage(tmp_path: Path) -> None:
    (tmp_path / "empty.onnx").write_bytes(b"")
    with pytest.raises(InvalidArgument, match=r"empty\.onnx.*No graph was found"):
        load(tmp_path / "empty.onnx")
    (tmp_path / "garbage.onnx").write_bytes(b"garbage" * 100)
    with pytest.raises(InvalidProtobuf, match=r"garbage\.onnx.*[Pp]rotobuf parsing failed"):
        load(tmp_path / "garbage.onnx")
    with pytest.raises(InvalidProtobuf, match="protobuf parsing failed"):
        load(b"garbage" * 100)


DAMAGE = """
    import random, resource, sys
    import numpy as np
    import fastort
    whole = open(sys.argv[1], "rb").read()
    feed = np.zeros((1, 1, 28, 28), np.float32)

    def attempt(data):
        try:
            session = fastort.InferenceSession(data, providers=["CPUExecutionProvider"])
            session.run(None, {i.name: feed for i in session.get_inputs()})
        except Exception as error:
            assert type(error).__module__.startswith(("fastort", "onnxruntime", "builtins")), type(error)
            assert not isinstance(error, (UnicodeError, MemoryError)), error

    attempt(whole)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for i in range(200):
        attempt(whole[: len(whole) * i // 200])
    rng = random.Random(1)
    for i in range(int(sys.argv[2])):
        data = bytearray(whole)
        data[rng.randrange(len(data))] ^= rng.randrange(1, 256)
        attempt(bytes(data))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown * 1024 < (64 << 20) + 2 * len(whole), grown
"""


@pytest.mark.parametrize("flips", [300, pytest.param(2000, marks=pytest.mark.full)])
def test_damaged_files_neither_crash_nor_take_memory(real_models: Path, flips: int) -> None:
    command = [sys.executable, "-c", textwrap.dedent(DAMAGE), str(real_models / "mnist.onnx"), str(flips)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_nodes_may_be_out_of_order() -> None:
    nodes = [node("Relu", ["a"]), node("Neg", ["x"], ["a"], name="first")]
    np.testing.assert_array_equal(run(model(nodes)), np.maximum(-X, 0))


def test_newer_opset_and_ir_are_read_with_the_newest_meaning() -> None:
    np.testing.assert_array_equal(run(model([node("Neg")], opset=99, ir_version=99)), -X)


def test_a_model_without_opset_is_refused() -> None:
    bad = model([node("Neg")])
    del bad.opset_import[:]
    with pytest.raises(Fail, match="Missing opset"):
        load(bad)


class TestExternalData:
    def save(self, folder: Path, tensor: onnx.TensorProto) -> Path:
        """Writes a model and 32 bytes of data beside it."""
        (folder / "w.bin").write_bytes(b"\0" * 8 + np.arange(6, dtype=np.float32).tobytes())
        path = folder / "m.onnx"
        path.write_bytes(model([ADD_W], [tensor]).SerializeToString())
        return path

    def test_it_is_read(self, tmp_path: Path) -> None:
        path = self.save(tmp_path, external("w.bin", offset=8, length=24))
        np.testing.assert_array_equal(run(path), 2 * X)

    def test_an_offset_without_alignment(self, tmp_path: Path) -> None:
        path = self.save(tmp_path, external("w.bin", offset=7, length=24))
        data = (b"\0" * 8 + X.tobytes())[7:31]
        np.testing.assert_array_equal(run(path), X + np.frombuffer(data, np.float32).reshape(2, 3))

    def test_a_link_inside_the_folder_may_lead_out(self, tmp_path: Path) -> None:
        blobs = tmp_path / "blobs"
        blobs.mkdir()
        (blobs / "0123").write_bytes(X.tobytes())
        folder = tmp_path / "snapshot"
        folder.mkdir()
        (folder / "link.bin").symlink_to(blobs / "0123")
        np.testing.assert_array_equal(run(self.save(folder, external("link.bin"))), 2 * X)

    @pytest.mark.parametrize(
        ("tensor", "message"),
        [
            (external("w.bin", offset=16), "'w'.*24 bytes.*w.bin.*32 bytes"),
            (external("w.bin", length=20), "'w'.*24.*20"),
            (external("none.bin"), "'w'.*none.bin.*does not exist"),
            (external("../w.bin"), "'w'.*leaves the model's folder"),
            (external("a/../../w.bin"), "'w'.*leaves the model's folder"),
            (external("/etc/hostname"), "'w'.*absolute"),
            (external(""), "'w'"),
        ],
        ids=["too short", "wrong length", "missing", "above", "above by detour", "absolute", "no location"],
    )
    def test_what_cannot_be_read(self, tmp_path: Path, tensor: onnx.TensorProto, message: str) -> None:
        with pytest.raises(Fail, match=message):
            load(self.save(tmp_path, tensor))


class TestInitializers:
    @pytest.mark.parametrize(
        "dtype",
        ["float32", "float64", "float16", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"],
    )
    @pytest.mark.parametrize("raw", [True, False], ids=["raw", "typed"])
    def test_types(self, dtype: str, raw: bool) -> None:
        values = np.array([[0, 1, 2], [3, 4, 100]], dtype)
        kind = helper.np_dtype_to_tensor_dtype(values.dtype)
        items = values.tobytes() if raw else values.flatten().tolist()
        tensor = helper.make_tensor("w", kind, values.shape, items, raw=raw)
        nodes = [node("Cast", ["w"], ["c"], to=FLOAT, name="cast"), node("Add", ["x", "c"])]
        np.testing.assert_array_equal(run(model(nodes, [tensor])), X + values.astype(np.float32))

    def test_bools_and_strings(self) -> None:
        flags = helper.make_tensor("w", TensorProto.BOOL, [2, 3], [0, 1, 0, 1, 1, 0])
        expected = np.where([[0, 1, 0], [1, 1, 0]], X, -X)
        nodes = [node("Neg", ["x"], ["n"], name="neg"), node("Where", ["w", "x", "n"])]
        np.testing.assert_array_equal(run(model(nodes, [flags])), expected)

    def test_sparse(self) -> None:
        values = helper.make_tensor("w", FLOAT, [2], [5.0, 7.0])
        for indices in (np.array([1, 5]), np.array([[0, 1], [1, 2]])):
            sparse = helper.make_sparse_tensor(values, numpy_helper.from_array(indices, "i"), [2, 3])
            np.testing.assert_array_equal(run(model([ADD_W], sparse=[sparse])), X + np.array([[0, 5, 0], [0, 0, 7]]))

    def test_a_sparse_index_outside_the_shape(self) -> None:
        values = helper.make_tensor("w", FLOAT, [1], [5.0])
        sparse = helper.make_sparse_tensor(values, numpy_helper.from_array(np.array([6]), "i"), [2, 3])
        with pytest.raises(Fail, match=r"'w'.*index"):
            load(model([ADD_W], sparse=[sparse]))

    def test_overridable_from_ir_4_on(self) -> None:
        overridable = model([ADD_W], [weight(raw=X.tobytes())], inputs=[info("w", [2, 3])])
        session = load(overridable)
        assert [i.name for i in session.get_inputs()] == ["x"]
        assert [i.name for i in session.get_overridable_initializers()] == ["w"]
        np.testing.assert_array_equal(session.run(None, {"x": X})[0], 2 * X)
        np.testing.assert_array_equal(session.run(None, {"x": X, "w": 5 * X})[0], 6 * X)
        np.testing.assert_array_equal(session.run(None, {"x": X})[0], 2 * X)

    def test_constant_before_ir_4(self) -> None:
        old = model([ADD_W], [weight(raw=X.tobytes())], inputs=[info("w", [2, 3])], opset=7, ir_version=3)
        session = load(old)
        assert [i.name for i in session.get_inputs()] == ["x"]
        assert session.get_overridable_initializers() == []


class TestFunctions:
    def function(self, name: str, nodes: Sequence[onnx.NodeProto], opset: int = 17, **more: Any) -> onnx.FunctionProto:
        """Returns a function of a and b that makes r."""
        opsets = [helper.make_opsetid("", opset), helper.make_opsetid("local", 1)]
        return helper.make_function("local", name, ["a", "b"], ["r"], nodes, opsets, **more)

    def call(self, functions: Sequence[onnx.FunctionProto], **attributes: Any) -> onnx.ModelProto:
        """Returns a model that calls the first function with x."""
        nodes = [node(functions[0].name, ["x"], domain="local", **attributes)]
        return model(nodes, functions=functions, domains=[("local", 1)])

    def test_attributes_and_their_defaults(self) -> None:
        leaky = helper.make_node("LeakyRelu", ["a"], ["r"])
        leaky.attribute.add(name="alpha", type=onnx.AttributeProto.FLOAT, ref_attr_name="slope")
        function = self.function("F", [leaky], attribute_protos=[helper.make_attribute("slope", 0.25)])
        x = -X
        for attributes, slope in (({}, 0.25), ({"slope": 0.5}, 0.5)):
            result = load(self.call([function], **attributes)).run(None, {"x": x})[0]
            np.testing.assert_array_equal(result, np.where(x < 0, x * np.float32(slope), x))

    def test_nested_and_called_twice(self) -> None:
        inner = self.function("G", [helper.make_node("Add", ["a", "b"], ["r"])])
        twice = [
            helper.make_node("G", ["a", "a"], ["t"], domain="local"),
            helper.make_node("G", ["t", "a"], ["r"], domain="local"),
        ]
        np.testing.assert_array_equal(run(self.call([self.function("F", twice), inner])), 3 * X)

    def test_its_own_opset(self) -> None:
        body = [helper.make_node("ReduceSum", ["a"], ["r"], axes=[1], keepdims=0)]
        np.testing.assert_array_equal(run(self.call([self.function("F", body, opset=11)])), X.sum(1))

    def test_a_body_that_captures(self) -> None:
        def branch(op: str) -> onnx.GraphProto:
            return helper.make_graph([helper.make_node(op, ["a", "k"], ["o"])], "branch", [], [info("o")])

        body = [
            helper.make_node("Constant", [], ["k"], value_float=3.0),
            helper.make_node("ReduceSum", ["a"], ["sum"], keepdims=0),
            helper.make_node("Greater", ["sum", "k"], ["c"]),
            helper.make_node("If", ["c"], ["r"], then_branch=branch("Mul"), else_branch=branch("Add")),
        ]
        session = load(self.call([self.function("F", body)]))
        np.testing.assert_array_equal(session.run(None, {"x": X})[0], 3 * X)
        np.testing.assert_array_equal(session.run(None, {"x": -X})[0], 3 - X)

    def test_recursion_is_refused(self) -> None:
        f = self.function("F", [helper.make_node("G", ["a"], ["r"], domain="local")])
        g = self.function("G", [helper.make_node("F", ["a"], ["r"], domain="local")])
        with pytest.raises(InvalidGraph, match=r"local\.F calls local\.G calls local\.F"):
            load(self.call([f, g]))

    def test_deep_nesting(self) -> None:
        depth = 50
        chain = [
            self.function(f"F{i}", [helper.make_node(f"F{i + 1}", ["a"], ["r"], domain="local")]) for i in range(depth)
        ]
        last = self.function(f"F{depth}", [helper.make_node("Neg", ["a"], ["r"])])
        np.testing.assert_array_equal(run(self.call([*chain, last])), -X)


class TestSubgraphs:
    def branch(self, nodes: Sequence[onnx.NodeProto], initializers: Sequence[onnx.TensorProto] = ()) -> onnx.GraphProto:
        """Returns a body without inputs that makes r."""
        return helper.make_graph(nodes, "branch", [], [info("r")], list(initializers))

    def test_captures_of_nested_bodies(self) -> None:
        inner = self.branch([helper.make_node("Mul", ["a", "x"], ["r"])])
        other = self.branch([helper.make_node("Identity", ["x"], ["r"])])
        nested = self.branch([helper.make_node("If", ["c"], ["r"], then_branch=inner, else_branch=other)])
        plain = self.branch([helper.make_node("Sub", ["b", "x"], ["r"])])
        nodes = [
            node("Neg", ["x"], ["a"], name="neg"),
            node("Abs", ["x"], ["b"], name="abs"),
            node("If", ["c"], then_branch=nested, else_branch=plain),
        ]
        session = load(model(nodes, inputs=[info("c", [], TensorProto.BOOL)]))
        np.testing.assert_array_equal(session.run(None, {"x": X, "c": np.array(True)})[0], -X * X)
        np.testing.assert_array_equal(session.run(None, {"x": -X, "c": np.array(False)})[0], 2 * X)

    def test_names_shadow_and_siblings_share_them(self) -> None:
        def scaled(factor: float) -> onnx.GraphProto:
            tensor = numpy_helper.from_array(np.float32(factor), "w")
            return self.branch([helper.make_node("Mul", ["x", "w"], ["r"])], [tensor])

        nodes = [node("If", ["c"], then_branch=scaled(2), else_branch=scaled(3))]
        outer = numpy_helper.from_array(np.float32(9), "w")
        session = load(model(nodes, [outer], inputs=[info("c", [], TensorProto.BOOL)]))
        for flag, factor in ((True, 2), (False, 3)):
            np.testing.assert_array_equal(session.run(None, {"x": X, "c": np.array(flag)})[0], factor * X)


def test_schema_functions_stand_in_for_operators() -> None:
    nodes = [node("Shrink", lambd=1.5, bias=0.5)]
    np.testing.assert_array_equal(run(model(nodes)), np.where(X > 1.5, X - np.float32(0.5), 0))
