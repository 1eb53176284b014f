"""Random shapes and parameters for the operators that move data, against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

import fastort

_settings = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
_types = [np.float32, np.int64, np.uint8, np.float16, np.complex128]
_shapes = st.lists(st.integers(0, 5), min_size=1, max_size=5).map(tuple)


def run(op: str, inputs: list[np.ndarray], symbolic: bool, outputs: int = 1, **attributes: Any) -> list[np.ndarray]:
    """The node's outputs; all inputs but the first are initializers where the sizes are not symbolic."""
    names = [f"x{i}" for i in range(len(inputs))]
    kinds = [helper.np_dtype_to_tensor_dtype(value.dtype) for value in inputs]
    fed = len(inputs) if symbolic else 1
    infos = [
        helper.make_tensor_value_info(names[i], kinds[i], [None] * value.ndim if symbolic else value.shape)
        for i, value in enumerate(inputs[:fed])
    ]
    constants = [numpy_helper.from_array(value, name) for name, value in zip(names[fed:], inputs[fed:], strict=True)]
    node = helper.make_node(op, names, [f"y{i}" for i in range(outputs)], **attributes)
    results = [helper.make_tensor_value_info(name, kinds[0], None) for name in node.output]
    model = helper.make_model(helper.make_graph([node], op, infos, results, constants))
    session = fastort.InferenceSession(model.SerializeToString())
    return session.run(None, dict(zip(names[:fed], inputs, strict=False)))


def check(actual: np.ndarray, expected: np.ndarray) -> None:
    assert actual.dtype == expected.dtype
    assert actual.shape == expected.shape
    assert np.array_equal(actual, expected)


@st.composite
def arrays(draw: st.DrawFn, shapes: st.SearchStrategy[tuple[int, ...]] = _shapes) -> np.ndarray:
    shape = draw(shapes)
    return np.arange(1, 1 + int(np.prod(shape))).astype(draw(st.sampled_from(_types))).reshape(shape)


@_settings
@given(arrays(), st.data(), st.booleans())
def test_transpose(x: np.ndarray, data: st.DataObject, symbolic: bool) -> None:
    perm = data.draw(st.permutations(range(x.ndim)))
    check(run("Transpose", [x], symbolic, perm=perm)[0], np.transpose(x, perm))


@_settings
@given(arrays(), st.data(), st.booleans())
def test_slice(x: np.ndarray, data: st.DataObject, symbolic: bool) -> None:
    axes = data.draw(st.lists(st.integers(0, x.ndim - 1), min_size=1, unique=True))
    ends = st.one_of(st.integers(-7, 7), st.sampled_from([2**31 - 1, -(2**31), 2**63 - 1, -(2**63)]))
    steps = st.integers(-3, 3).filter(bool)
    starts_ends_steps = [(data.draw(ends), data.draw(ends), data.draw(steps)) for _ in axes]
    index = [slice(None)] * x.ndim
    for axis, (start, end, step) in zip(axes, starts_ends_steps, strict=True):
        size = x.shape[axis]
        first = start + size if start < 0 else start
        last = end + size if end < 0 else end
        low, high = (0, size) if step > 0 else (-1, size - 1)
        first, last = np.clip([first, last], low, high)
        # An end before the first element has no number of its own in Python.
        index[axis] = slice(first if first >= 0 else 0, last if last >= 0 else None, step)
        if first < 0:
            index[axis] = slice(0, 0)
    columns = [np.array(items, np.int64) for items in zip(*starts_ends_steps, strict=True)]
    inputs = [x, columns[0], columns[1], np.array(axes, np.int64), columns[2]]
    check(run("Slice", inputs, symbolic)[0], x[tuple(index)])


@_settings
@given(
    arrays(st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple)),
    st.data(),
    st.sampled_from(["constant", "edge", "reflect", "wrap"]),
    st.booleans(),
)
def test_pad(x: np.ndarray, data: st.DataObject, mode: str, symbolic: bool) -> None:
    pads = [(data.draw(st.integers(0, 7)), data.draw(st.integers(0, 7))) for _ in range(x.ndim)]
    flat = np.array([begin for begin, _ in pads] + [end for _, end in pads], np.int64)
    check(run("Pad", [x, flat], symbolic, mode=mode)[0], np.pad(x, pads, mode=mode))


@_settings
@given(arrays(), st.data(), st.booleans())
def test_expand(x: np.ndarray, data: st.DataObject, symbolic: bool) -> None:
    tail = [data.draw(st.sampled_from([1, 3] if size == 1 else [1, size])) for size in x.shape]
    target = data.draw(st.lists(st.integers(0, 3), max_size=2)) + tail[data.draw(st.integers(0, x.ndim)) :]
    try:
        shape = np.broadcast_shapes(x.shape, tuple(target))
    except ValueError:
        return
    check(run("Expand", [x, np.array(target, np.int64)], symbolic)[0], np.broadcast_to(x, shape))


@_settings
@given(arrays(), st.data(), st.booleans())
def test_tile(x: np.ndarray, data: st.DataObject, symbolic: bool) -> None:
    repeats = [data.draw(st.integers(0, 3)) for _ in x.shape]
    check(run("Tile", [x, np.array(repeats, np.int64)], symbolic)[0], np.tile(x, repeats))


@_settings
@given(arrays(), st.data(), st.booleans())
def test_split_and_concat(x: np.ndarray, data: st.DataObject, symbolic: bool) -> None:
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    cuts = sorted(data.draw(st.lists(st.integers(0, x.shape[axis]), max_size=3)))
    parts = np.split(x, cuts, axis)
    sizes = np.array([part.shape[axis] for part in parts], np.int64)
    results = run("Split", [x, sizes], symbolic, len(parts), axis=axis)
    for result, part in zip(results, parts, strict=True):
        check(result, part)
    check(run("Concat", results, symbolic, axis=axis)[0], x)


@_settings
@given(arrays(), st.data(), st.booleans())
def test_gather(x: np.ndarray, data: st.DataObject, symbolic: bool) -> None:
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    size = x.shape[axis]
    if size == 0:
        return
    shape = data.draw(st.lists(st.integers(0, 3), max_size=3))
    count = int(np.prod(shape))
    indices = np.array(data.draw(st.lists(st.integers(-size, size - 1), min_size=count, max_size=count)))
    indices = indices.astype(data.draw(st.sampled_from([np.int32, np.int64]))).reshape(shape)
    check(run("Gather", [x, indices], symbolic, axis=axis)[0], np.take(x, indices, axis))


@_settings
@given(arrays(), st.data(), st.booleans())
def test_reshape(x: np.ndarray, data: st.DataObject, symbolic: bool) -> None:
    left, shape = x.size, []
    while left > 1 and len(shape) < 4:
        shape.append(data.draw(st.sampled_from([n for n in range(1, left + 1) if left % n == 0])))
        left //= shape[-1]
    shape.append(left)
    target = list(shape)
    if x.size and data.draw(st.booleans()):
        target[data.draw(st.integers(0, len(target) - 1))] = -1
    result = run("Reshape", [x, np.array(target, np.int64)], symbolic, allowzero=int(x.size == 0))[0]
    check(result, x.reshape(shape))


def test_many_shapes_of_one_session() -> None:
    info = helper.make_tensor_value_info
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Gather", ["s", "zero"], ["n"]),
        helper.make_node("Unsqueeze", ["n", "axis"], ["n1"]),
        helper.make_node("Concat", ["n1", "rest"], ["target"], axis=0),
        helper.make_node("Reshape", ["x", "target"], ["y"]),
    ]
    constants = [
        numpy_helper.from_array(np.array(0), "zero"),
        numpy_helper.from_array(np.array([0]), "axis"),
        numpy_helper.from_array(np.array([-1]), "rest"),
    ]
    graph = helper.make_graph(nodes, "flatten", [info("x", 1, ["N", 3, "W"])], [info("y", 1, None)], constants)
    session = fastort.InferenceSession(helper.make_model(graph).SerializeToString())
    for n in range(1, 40):
        x = np.random.default_rng(n).standard_normal((n, 3, n % 5 + 1)).astype(np.float32)
        check(session.run(None, {"x": x})[0], x.reshape(n, -1))
