"""What a plan takes over from the one before it in its session is what it would have made."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import fastort
from tests.api import models

Feeds = dict[str, np.ndarray]


def plan_texts(session: fastort.InferenceSession) -> list[str]:
    """The plans of a session as ``explain`` tells them, without the passes and the bodies' names in front."""
    return [part for part in re.split(r"\n(?=plan of|subgraph )", session.explain()) if part.startswith("plan of")]


def check(proto: onnx.ModelProto, requests: Iterable[Feeds]) -> None:
    """Every request answered by one session for all is answered, and planned, as by a session of its own."""
    data = proto.SerializeToString()
    lasting = fastort.InferenceSession(data)
    for feeds in requests:
        fresh = fastort.InferenceSession(data)
        wanted = fresh.run(None, feeds)
        for _ in range(2):
            for got, want in zip(lasting.run(None, feeds), wanted, strict=True):
                np.testing.assert_array_equal(got, want)
        known = plan_texts(lasting)
        for plan in plan_texts(fresh):
            assert plan.strip() in [text.strip() for text in known]


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def weights(**arrays: np.ndarray) -> list[onnx.TensorProto]:
    return [numpy_helper.from_array(array, name) for name, array in arrays.items()]


def convolutions() -> tuple[onnx.ModelProto, list[Feeds]]:
    """Layouts are chosen anew for each size; channels, and so kernels, stay."""
    constants = weights(w=random(16, 3, 3, 3), v=random(16, 16, 3, 3, seed=1), u=random(5, 16, seed=2))
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "v"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["b", "c"], ["d"]),
        helper.make_node("GlobalAveragePool", ["d"], ["e"]),
        helper.make_node("Flatten", ["e"], ["f"]),
        helper.make_node("Gemm", ["f", "u"], ["y"], transB=1),
    ]
    made = models.model(
        nodes, [models.tensor("x", dims=("n", 3, "h", "w_"))], [models.tensor("y", dims=("n", 5))], constants
    )
    sizes = [(1, 9, 7), (1, 8, 8), (2, 8, 8), (1, 17, 5), (1, 9, 7), (3, 1, 1), (1, 64, 64), (0, 4, 4), (1, 8, 9)]
    return made, [{"x": random(n, 3, h, w)} for n, h, w in sizes]


def decoding() -> tuple[onnx.ModelProto, list[Feeds]]:
    """A growing past: most nodes see nothing of it. The mask is computed from the lengths."""
    constants = weights(
        w=random(8, 24), o=random(8, 8, seed=1), heads=np.array([0, 0, 2, 4]), merge=np.array([0, 0, 8]),
        one=np.int64(1), two=np.array(2), axis=np.array([0]), start=np.int64(0), low=np.float32(-1e9),
        zero=np.float32(0), unsqueeze=np.array([1]),
    )  # fmt: skip
    node = helper.make_node
    nodes = [
        node("MatMul", ["x", "w"], ["qkv"]),
        node("Split", ["qkv"], ["q0", "k0", "v0"], axis=2, num_outputs=3),
        *(
            made
            for name in "qkv"
            for made in (
                node("Reshape", [f"{name}0", "heads"], [f"{name}1"]),
                node("Transpose", [f"{name}1"], [f"{name}2"], perm=[0, 2, 1, 3]),
            )
        ),
        node("Concat", ["pk", "k2"], ["k"], axis=2),
        node("Concat", ["pv", "v2"], ["v"], axis=2),
        node("Shape", ["k"], ["ks"]),
        node("Gather", ["ks", "two"], ["total"]),
        node("Shape", ["x"], ["xs"]),
        node("Gather", ["xs", "one"], ["fresh"]),
        node("Sub", ["total", "fresh"], ["past"]),
        node("Range", ["past", "total", "one"], ["rows"]),
        node("Range", ["start", "total", "one"], ["columns"]),
        node("Unsqueeze", ["rows", "unsqueeze"], ["rows2"]),
        node("LessOrEqual", ["columns", "rows2"], ["seen"]),
        node("Where", ["seen", "zero", "low"], ["mask"]),
        node("Transpose", ["k"], ["kt"], perm=[0, 1, 3, 2]),
        node("MatMul", ["q2", "kt"], ["s"]),
        node("Add", ["s", "mask"], ["m"]),
        node("Softmax", ["m"], ["p"]),
        node("MatMul", ["p", "v"], ["c"]),
        node("Transpose", ["c"], ["t"], perm=[0, 2, 1, 3]),
        node("Reshape", ["t", "merge"], ["r"]),
        node("MatMul", ["r", "o"], ["y"]),
    ]
    inputs = [models.tensor("x", dims=("b", "s", 8))]
    inputs += [models.tensor(name, dims=("b", 2, "t", 4)) for name in ("pk", "pv")]
    outputs = [models.tensor("y", dims=("b", "s", 8))]
    outputs += [models.tensor(name, dims=("b", 2, None, 4)) for name in ("k", "v")]
    made = models.model(nodes, inputs, outputs, constants)
    sizes = [(1, 1, t) for t in (3, 4, 5, 64, 65, 6)] + [(2, 1, 6), (1, 7, 0), (1, 5, 2), (1, 1, 0), (1, 200, 0)]
    return made, [
        {"x": random(b, s, 8), "pk": random(b, 2, t, 4, seed=1), "pv": random(b, 2, t, 4, seed=2)} for b, s, t in sizes
    ]


def folding() -> tuple[onnx.ModelProto, list[Feeds]]:
    """What is computed while planning up to a size becomes a step above it, and is folded again below."""
    constants = weights(start=np.int64(0), one=np.int64(1), at=np.array(0))
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Gather", ["s", "at"], ["n"]),
        helper.make_node("Range", ["start", "n", "one"], ["r"]),
        helper.make_node("Mul", ["r", "r"], ["q"]),
        helper.make_node("Cast", ["q"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["x", "f"], ["y"]),
    ]
    made = models.model(nodes, [models.tensor("x", dims=("n",))], [models.tensor("y", dims=("n",))], constants)
    return made, [{"x": random(n)} for n in (5, 6, 20_000, 20_001, 7, 0, 8200, 3)]


def reshaping() -> tuple[onnx.ModelProto, list[Feeds]]:
    """Contents of an input decide on shapes, and on ranks."""
    nodes = [
        helper.make_node("Reshape", ["x", "shape"], ["a"]),
        helper.make_node("Softmax", ["a"], ["b"]),
        helper.make_node("Exp", ["x"], ["c"]),
        helper.make_node("Reshape", ["b", "flat"], ["y"]),
    ]
    inputs = [models.tensor("x", dims=("n",)), models.tensor("shape", TensorProto.INT64, ("rank",))]
    outputs = [models.tensor("y", dims=("m",)), models.tensor("c", dims=("n",))]
    made = models.model(nodes, inputs, outputs, weights(flat=np.array([-1])))
    shapes = [[4, 6], [6, 4], [2, 3, 4], [24], [4, 6], [-1, 8], [2, 2, 2, 3]]
    requests = [{"x": random(24), "shape": np.array(shape)} for shape in shapes]
    return made, [*requests, {"x": random(12), "shape": np.array([4, -1])}]


def data_dependent() -> tuple[onnx.ModelProto, list[Feeds]]:
    """Plans behind a cut, whose inputs' shapes only the run shows, and control flow."""
    branch = [
        helper.make_graph(
            [helper.make_node(op, ["z", "z"], [f"out_{op}"])], op, [], [models.tensor(f"out_{op}", dims=("k", 3))]
        )
        for op in ("Add", "Mul")
    ]
    nodes = [
        helper.make_node("Greater", ["x", "zero"], ["g"]),
        helper.make_node("ReduceMax", ["g8", "axes"], ["rows"], keepdims=0),
        helper.make_node("Cast", ["rows"], ["picked"], to=TensorProto.BOOL),
        helper.make_node("Compress", ["x", "picked"], ["z"], axis=0),
        helper.make_node("ReduceSum", ["z"], ["total"], keepdims=0),
        helper.make_node("Greater", ["total", "zero"], ["more"]),
        helper.make_node("If", ["more"], ["w"], then_branch=branch[0], else_branch=branch[1]),
        helper.make_node("Relu", ["w"], ["y"]),
    ]
    nodes.insert(1, helper.make_node("Cast", ["g"], ["g8"], to=TensorProto.UINT8))
    constants = weights(zero=np.float32(0), axes=np.array([1]))
    made = models.model(nodes, [models.tensor("x", dims=("n", 3))], [models.tensor("y", dims=("k", 3))], constants)
    requests = [{"x": random(n, 3, seed=n)} for n in (4, 5, 9, 4, 1, 0)]
    return made, [*requests, {"x": -np.ones((3, 3), np.float32)}, {"x": -random(9, 3, seed=9)}]


@pytest.mark.parametrize("case", [convolutions, decoding, folding, reshaping, data_dependent])
def test_plans_are_those_of_a_session_of_their_own(case: Callable[[], tuple[onnx.ModelProto, list[Feeds]]]) -> None:
    check(*case())


def test_a_refused_request_leaves_no_trace() -> None:
    proto, requests = reshaping()
    session = fastort.InferenceSession(proto.SerializeToString())
    wanted = session.run(None, requests[0])
    for _ in range(2):
        with pytest.raises(Exception, match="Reshape"):
            session.run(None, {"x": random(24), "shape": np.array([5, 7])})
        session.run(None, requests[1])
        for got, want in zip(session.run(None, requests[0]), wanted, strict=True):
            np.testing.assert_array_equal(got, want)


def test_contents_that_the_caller_changes_in_place() -> None:
    proto, _ = reshaping()
    session = fastort.InferenceSession(proto.SerializeToString())
    x, shape = random(24), np.array([4, 6])
    for rows in (4, 6, 2, 4):
        shape[:] = (rows, 24 // rows)
        table = x.reshape(rows, -1).astype(np.float64)
        powers = np.exp(table - table.max(axis=1, keepdims=True))
        got = session.run(["y"], {"x": x, "shape": shape})[0]
        np.testing.assert_allclose(got, (powers / powers.sum(axis=1, keepdims=True)).ravel(), rtol=1e-5)
        shape[:] = 0  # what was fed is the caller's again


def test_after_a_trim_plans_are_made_anew() -> None:
    proto, requests = decoding()
    session = fastort.InferenceSession(proto.SerializeToString())
    before = [session.run(None, feeds) for feeds in requests]
    session.trim()
    assert session.memory_stats()["plan_count"] == 1
    for feeds, wanted in zip(requests, before, strict=True):
        for got, want in zip(session.run(None, feeds), wanted, strict=True):
            np.testing.assert_array_equal(got, want)
