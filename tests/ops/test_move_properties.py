"""Random shapes and parameters for the operators that move data, against NumPy."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper, numpy_helper

import fastort

from .properties import check, property_settings, run

_types = [np.float32, np.int64, np.uint8, np.float16, np.complex128]
_shapes = st.lists(st.integers(0, 5), min_size=1, max_size=5).map(tuple)


@st.composite
def arrays(draw: st.DrawFn, shapes: st.SearchStrategy[tuple[int, ...]] = _shapes) -> np.ndarray:
    shape = draw(shapes)
    return np.arange(1, 1 + int(np.prod(shape))).astype(draw(st.sampled_from(_types))).reshape(shape)


@property_settings
@given(arrays(), st.data(), st.booleans())
def test_transpose(x: np.ndarray, data: st.DataObject, symbolic: bool) -> None:
    perm = data.draw(st.permutations(range(x.ndim)))
    check(run("Transpose", [x], symbolic, perm=perm)[0], np.transpose(x, perm))
    check(run("Transpose", [x], symbolic)[0], np.transpose(x))


@property_settings
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


@property_settings
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


@property_settings
@given(arrays(), st.data(), st.booleans())
def test_pad_and_cut(x: np.ndarray, data: st.DataObject, symbolic: bool) -> None:
    axes = data.draw(st.lists(st.integers(-x.ndim, x.ndim - 1), unique_by=lambda axis: axis % x.ndim))
    begins, ends = [0] * x.ndim, [0] * x.ndim
    for axis in axes:
        size = x.shape[axis]
        begins[axis] = data.draw(st.integers(max(-3, -size), 4))
        ends[axis] = data.draw(st.integers(max(-3, -size - min(begins[axis], 0)), 4))
    expected = np.full([b + size + e for b, size, e in zip(begins, x.shape, ends, strict=True)], 7, x.dtype)
    # What stays of the input, in its own numbers.
    kept = [(max(0, -b), min(n, n + e)) for b, n, e in zip(begins, x.shape, ends, strict=True)]
    if all(low < high for low, high in kept):
        target = tuple(slice(low + b, high + b) for (low, high), b in zip(kept, begins, strict=True))
        expected[target] = x[tuple(slice(*ends) for ends in kept)]
    pads = np.array([begins[axis] for axis in axes] + [ends[axis] for axis in axes], np.int64)
    inputs = [x, pads, np.array(7, x.dtype), np.array(axes, data.draw(st.sampled_from([np.int32, np.int64])))]
    check(run("Pad", inputs, symbolic)[0], expected)


@property_settings
@given(arrays(), st.data(), st.booleans())
def test_expand(x: np.ndarray, data: st.DataObject, symbolic: bool) -> None:
    tail = [data.draw(st.sampled_from([1, 3] if size == 1 else [1, size])) for size in x.shape]
    target = data.draw(st.lists(st.integers(0, 3), max_size=2)) + tail[data.draw(st.integers(0, x.ndim)) :]
    try:
        shape = np.broadcast_shapes(x.shape, tuple(target))
    except ValueError:
        return
    check(run("Expand", [x, np.array(target, np.int64)], symbolic)[0], np.broadcast_to(x, shape))


@property_settings
@given(arrays(), st.data(), st.booleans())
def test_tile(x: np.ndarray, data: st.DataObject, symbolic: bool) -> None:
    repeats = [data.draw(st.integers(0, 3)) for _ in x.shape]
    check(run("Tile", [x, np.array(repeats, np.int64)], symbolic)[0], np.tile(x, repeats))


@property_settings
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


@property_settings
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


@property_settings
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
    if x.size:  # a zero copies the size
        for axis in range(min(x.ndim, len(shape))):
            if shape[axis] == x.shape[axis] and target[axis] > 0 and data.draw(st.booleans()):
                target[axis] = 0
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
