"""Concat, Split and Slice whose parts are made and read where they lie in the whole: no step moves them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import fastort
from tests.api.models import model, tensor

NODE = helper.make_node
FLOAT = np.float32


def session_of(
    nodes: Sequence[onnx.NodeProto],
    inputs: dict[str, Sequence[int]],
    outputs: Sequence[str],
    constants: dict[str, np.ndarray] | None = None,
) -> fastort.InferenceSession:
    """A session that rewrites nothing, so that the steps are the nodes."""
    initializers = [onnx.numpy_helper.from_array(value, name) for name, value in (constants or {}).items()]
    made = model(
        nodes,
        [tensor(name, dims=list(shape)) for name, shape in inputs.items()],
        [tensor(name) for name in outputs],
        initializers,
    )
    options = fastort.SessionOptions()
    options.graph_optimization_level = fastort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return fastort.InferenceSession(made.SerializeToString(), options, providers=["CPUExecutionProvider"])


def feeds_of(session: fastort.InferenceSession) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {arg.name: rng.standard_normal(arg.shape).astype(FLOAT) for arg in session.get_inputs()}


def kernels(session: fastort.InferenceSession, operator: str) -> list[str]:
    """What explain() says of each node of an operator: its kernel."""
    lines = [line.strip() for line in session.explain().splitlines()]
    return [line.split(": ")[1].split(", ")[1].split(" (")[0] for line in lines if line.startswith(operator + " ")]


def check(session: fastort.InferenceSession, want: dict[str, np.ndarray], feeds: dict[str, np.ndarray]) -> None:
    # Twice: what a run leaves behind must not change the next one.
    for _ in range(2):
        got = session.run(list(want), feeds)
        for name, value in zip(want, got, strict=True):
            np.testing.assert_array_equal(value, want[name], err_msg=name)


def joined(a: str, b: str, c: str) -> list[onnx.NodeProto]:
    return [NODE("Neg", ["x"], [a]), NODE("Abs", ["x"], [b]), NODE("Concat", [a, b], [c], axis=0)]


def test_a_concat_of_what_is_made_here_moves_nothing() -> None:
    session = session_of([*joined("a", "b", "c"), NODE("Neg", ["c"], ["y"])], {"x": (16, 4)}, ["y"])
    feeds = feeds_of(session)
    x = feeds["x"]
    check(session, {"y": -np.concatenate([-x, np.abs(x)])}, feeds)
    assert kernels(session, "Concat") == ["in place"]


def test_the_profile_has_no_step_of_it() -> None:
    session = session_of([*joined("a", "b", "c"), NODE("Neg", ["c"], ["y"])], {"x": (16, 4)}, ["y"])
    profile = session.profile(feeds_of(session), runs=1)
    assert sorted(node.op_type for node in profile.nodes()) == ["Abs", "Neg", "Neg"]


def test_growing_concats_share_one_memory() -> None:
    nodes = [
        NODE("Neg", ["x"], ["a"]),
        NODE("Abs", ["x"], ["b"]),
        NODE("Concat", ["a", "b"], ["ab"], axis=0),
        NODE("ReduceSum", ["ab", "axes"], ["s"], keepdims=1),
        NODE("Add", ["x", "s"], ["d"]),
        NODE("Concat", ["a", "b", "d"], ["abd"], axis=0),
        NODE("Exp", ["abd"], ["y"]),
        NODE("Neg", ["a"], ["z"]),
    ]
    session = session_of(nodes, {"x": (16, 4)}, ["y", "z"], {"axes": np.array([0], np.int64)})
    feeds = feeds_of(session)
    x = feeds["x"]
    ab = np.concatenate([-x, np.abs(x)])
    want = np.exp(np.concatenate([ab, x + ab.sum(0, keepdims=True, dtype=FLOAT)]))
    got, z = session.run(["y", "z"], feeds)
    np.testing.assert_allclose(got, want, rtol=1e-5)
    np.testing.assert_array_equal(z, x)
    assert kernels(session, "Concat") == ["in place", "in place"]


def test_a_concat_of_a_concat() -> None:
    nodes = [*joined("a", "b", "c"), NODE("Exp", ["x"], ["e"]), NODE("Concat", ["e", "c"], ["f"], axis=0)]
    session = session_of([*nodes, NODE("Neg", ["f"], ["y"])], {"x": (16, 4)}, ["y"])
    feeds = feeds_of(session)
    x = feeds["x"]
    e = session_of([NODE("Exp", ["x"], ["y"])], {"x": (16, 4)}, ["y"]).run(None, feeds)[0]
    check(session, {"y": -np.concatenate([e, -x, np.abs(x)])}, feeds)
    assert kernels(session, "Concat") == ["in place", "in place"]


def test_a_reader_does_not_write_over_a_part_that_the_whole_needs() -> None:
    # The last reader of a part comes before the reader of the whole, and the other way round.
    for order in (["p", "q"], ["q", "p"]):
        readers = {"p": NODE("Neg", ["a"], ["p"]), "q": NODE("Neg", ["c"], ["q"])}
        nodes = [*joined("a", "b", "c"), *(readers[name] for name in order), NODE("Exp", ["p"], ["r"])]
        session = session_of([*nodes, NODE("Abs", ["q"], ["s"])], {"x": (16, 4)}, ["r", "s"])
        feeds = feeds_of(session)
        x = feeds["x"]
        r, s = session.run(["r", "s"], feeds)
        np.testing.assert_allclose(r, np.exp(x), rtol=1e-6)
        np.testing.assert_array_equal(s, np.abs(np.concatenate([-x, np.abs(x)])))
        assert kernels(session, "Concat") == ["in place"]


@pytest.mark.parametrize("axis", [0, 1])
def test_blocks_of_channels(axis: int) -> None:
    rng = np.random.default_rng(1)
    weights = {f"w{i}": rng.standard_normal((16, 16, 1, 1)).astype(FLOAT) for i in range(2)}
    nodes = [NODE("Conv", ["x", f"w{i}"], [f"c{i}"]) for i in range(2)]
    nodes += [NODE("Concat", ["c0", "c1"], ["c"], axis=axis), NODE("MaxPool", ["c"], ["y"], kernel_shape=[2, 2])]
    for batch in (1, 2):
        session = session_of(nodes, {"x": (batch, 16, 8, 8)}, ["y"], weights)
        feeds = feeds_of(session)
        parts = [np.einsum("nchw,mc->nmhw", feeds["x"], w[:, :, 0, 0]) for w in weights.values()]
        whole = np.concatenate(parts, axis)
        windows = np.lib.stride_tricks.sliding_window_view(whole, (2, 2), (2, 3))
        np.testing.assert_allclose(session.run(None, feeds)[0], windows.max((4, 5)), rtol=1e-4, atol=1e-4)
        contiguous = batch == 1 or axis == 0
        assert (kernels(session, "Concat") == ["in place"]) == contiguous


def test_a_reorder_writes_a_part_where_it_belongs() -> None:
    # 12 channels do not fill blocks of 8 or 16, so the parts are joined row-major, whatever made them.
    rng = np.random.default_rng(1)
    weights = {f"w{i}": rng.standard_normal((12, 12, 3, 3)).astype(FLOAT) for i in range(2)}
    nodes = [NODE("Conv", ["x", f"w{i}"], [f"c{i}"], pads=[1, 1, 1, 1]) for i in range(2)]
    nodes += [NODE("Concat", ["c0", "c1"], ["c"], axis=1), NODE("Neg", ["c"], ["y"]), NODE("Neg", ["c0"], ["z"])]
    session = session_of(nodes, {"x": (1, 12, 32, 32)}, ["y", "z"], weights)
    feeds = feeds_of(session)
    padded = np.pad(feeds["x"], ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3))
    parts = [np.einsum("nchwyx,mcyx->nmhw", windows, w) for w in weights.values()]
    y, z = session.run(None, feeds)
    np.testing.assert_allclose(y, -np.concatenate(parts, 1), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(z, -parts[0], rtol=1e-4, atol=1e-4)
    assert kernels(session, "Concat") == ["in place"]


@pytest.mark.parametrize(
    ("what", "nodes", "inputs", "outputs", "constants"),
    [
        ("the concat is the output", joined("a", "b", "c"), {"x": (16, 4)}, ["c"], {}),
        (
            "a part is an output too",
            [*joined("a", "b", "c"), NODE("Neg", ["c"], ["y"])],
            {"x": (16, 4)},
            ["y", "a"],
            {},
        ),
        (
            "a part stands in it twice",
            [NODE("Neg", ["x"], ["a"]), NODE("Concat", ["a", "a"], ["c"], axis=0), NODE("Neg", ["c"], ["y"])],
            {"x": (16, 4)},
            ["y"],
            {},
        ),
        (
            "a part is a constant",
            [NODE("Neg", ["x"], ["a"]), NODE("Concat", ["a", "k"], ["c"], axis=0), NODE("Neg", ["c"], ["y"])],
            {"x": (16, 4)},
            ["y"],
            {"k": np.ones((16, 4), FLOAT)},
        ),
        (
            "a part is fed",
            [NODE("Neg", ["x"], ["a"]), NODE("Concat", ["a", "x"], ["c"], axis=0), NODE("Neg", ["c"], ["y"])],
            {"x": (16, 4)},
            ["y"],
            {},
        ),
        (
            "the parts are not contiguous",
            [
                NODE("Neg", ["x"], ["a"]),
                NODE("Abs", ["x"], ["b"]),
                NODE("Concat", ["a", "b"], ["c"], axis=1),
                NODE("Neg", ["c"], ["y"]),
            ],
            {"x": (16, 16)},
            ["y"],
            {},
        ),
        (
            "a part begins inside of a cache line",
            [*joined("a", "b", "c"), NODE("Neg", ["c"], ["y"])],
            {"x": (5, 3)},
            ["y"],
            {},
        ),
    ],
)
def test_where_it_must_copy(
    what: str,
    nodes: list[onnx.NodeProto],
    inputs: dict[str, Sequence[int]],
    outputs: list[str],
    constants: dict[str, np.ndarray],
) -> None:
    session = session_of(nodes, inputs, outputs, constants)
    feeds = feeds_of(session)
    values: dict[str, np.ndarray] = {**feeds, **constants}
    for node in nodes:
        operands = [values[name] for name in node.input]
        axis = {attribute.name: attribute.i for attribute in node.attribute}.get("axis", 0)
        function = {"Neg": np.negative, "Abs": np.abs}.get(node.op_type)
        values[node.output[0]] = function(*operands) if function else np.concatenate(operands, axis)
    check(session, {name: values[name] for name in outputs}, feeds)
    assert kernels(session, "Concat") == ["segments"], what


def test_split_and_slice_read_where_the_whole_lies() -> None:
    nodes = [
        NODE("Neg", ["x"], ["n"]),
        NODE("Split", ["n"], ["a", "b"], axis=0, num_outputs=2),
        NODE("Slice", ["n", "starts", "ends", "axes"], ["s"]),
        NODE("Abs", ["a"], ["p"]),
        NODE("Neg", ["b"], ["q"]),
        NODE("Neg", ["s"], ["r"]),
        NODE("Exp", ["n"], ["t"]),
    ]
    constants = {name: np.array([value], np.int64) for name, value in {"starts": 4, "ends": 12, "axes": 0}.items()}
    session = session_of(nodes, {"x": (16, 4)}, ["p", "q", "r", "t"], constants)
    feeds = feeds_of(session)
    x = feeds["x"]
    p, q, r, t = session.run(["p", "q", "r", "t"], feeds)
    np.testing.assert_array_equal(p, np.abs(x[:8]))
    np.testing.assert_array_equal(q, x[8:])
    np.testing.assert_array_equal(r, x[4:12])
    np.testing.assert_allclose(t, np.exp(-x), rtol=1e-6)
    assert kernels(session, "Split") == ["in place"]
    assert kernels(session, "Slice") == ["in place"]


@pytest.mark.parametrize(
    ("axis", "starts", "ends", "steps"), [(0, 1, 9, 1), (1, 0, 2, 1), (0, 0, 16, 2), (0, 15, -17, -1)]
)
def test_a_slice_that_must_copy(axis: int, starts: int, ends: int, steps: int) -> None:
    nodes = [
        NODE("Neg", ["x"], ["n"]),
        NODE("Slice", ["n", "starts", "ends", "axes", "steps"], ["s"]),
        NODE("Neg", ["s"], ["y"]),
    ]
    numbers = {"starts": starts, "ends": ends, "axes": axis, "steps": steps}
    constants = {name: np.array([value], np.int64) for name, value in numbers.items()}
    session = session_of(nodes, {"x": (16, 4)}, ["y"], constants)
    feeds = feeds_of(session)
    index: list[slice] = [slice(None), slice(None)]
    index[axis] = slice(starts, None if ends < -16 else ends, steps)
    check(session, {"y": feeds["x"][tuple(index)]}, feeds)
    assert kernels(session, "Slice") == ["strided_copy"]


def test_a_split_whose_part_is_an_output_copies() -> None:
    nodes = [
        NODE("Neg", ["x"], ["n"]),
        NODE("Split", ["n"], ["a", "b"], axis=0, num_outputs=2),
        NODE("Neg", ["b"], ["y"]),
    ]
    session = session_of(nodes, {"x": (16, 4)}, ["a", "y"])
    feeds = feeds_of(session)
    check(session, {"a": -feeds["x"][:8], "y": feeds["x"][8:]}, feeds)
    assert kernels(session, "Split") == ["segments"]


def test_strings_are_copied() -> None:
    nodes = [NODE("Identity", ["x"], ["a"]), NODE("Concat", ["a", "x"], ["y"], axis=0)]
    made = model(nodes, [tensor("x", TensorProto.STRING, [16])], [tensor("y", TensorProto.STRING)])
    session = fastort.InferenceSession(made.SerializeToString())
    x = np.array([f"item {i}" for i in range(16)], object)
    assert session.run(None, {"x": x})[0].tolist() == [*x, *x]
