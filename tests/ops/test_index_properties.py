"""Random shapes, indices and modes for the operators that pick and place elements, against NumPy."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from .properties import check, check_close, property_settings, run

_types = [np.float32, np.float64, np.float16, np.int64, np.int32, np.int8, np.uint8, np.uint16]
_sizes = st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple)
_index_types = st.sampled_from([np.int32, np.int64])
_reductions = st.sampled_from(["none", "add", "mul", "min", "max"])
_combine = {
    "none": lambda old, new: new,
    "add": lambda old, new: old + new,
    "mul": lambda old, new: old * new,
    "min": min,
    "max": max,
}


def small_numbers(data: st.DataObject, shape: tuple[int, ...], dtype: type) -> np.ndarray:
    """Whole numbers whose sums and products stay exact; those of narrow integers wrap around."""
    seed = data.draw(st.integers(0, 2**16))
    low = 0 if np.dtype(dtype).kind == "u" else -4
    return np.random.default_rng(seed).integers(low, 5, shape).astype(dtype)


def draw_indices(data: st.DataObject, size: int, shape: tuple[int, ...]) -> np.ndarray:
    seed = data.draw(st.integers(0, 2**16))
    return np.random.default_rng(seed).integers(-size, size, shape)


@property_settings
@given(_sizes, st.data(), st.booleans())
def test_gather_elements(shape: tuple[int, ...], data: st.DataObject, symbolic: bool) -> None:
    x = small_numbers(data, shape, data.draw(st.sampled_from([*_types, np.bool_, np.complex64])))
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    # Sizes other than the axis's may be smaller than the data's.
    picked = [data.draw(st.integers(0, 6 if i == axis % x.ndim else n)) for i, n in enumerate(shape)]
    indices = draw_indices(data, shape[axis], tuple(picked)).astype(data.draw(_index_types))
    cut = x[tuple(slice(None) if i == axis % x.ndim else slice(n) for i, n in enumerate(picked))]
    expected = np.take_along_axis(cut, indices.astype(np.int64), axis)
    check(run("GatherElements", [x, indices], symbolic, axis=axis)[0], expected)


@property_settings
@given(_sizes, st.data(), st.booleans())
def test_gather_nd(shape: tuple[int, ...], data: st.DataObject, symbolic: bool) -> None:
    x = small_numbers(data, shape, data.draw(st.sampled_from([*_types, np.bool_, np.complex64])))
    batch_dims = data.draw(st.integers(0, x.ndim - 1))
    depth = data.draw(st.integers(1, x.ndim - batch_dims))
    middle = tuple(data.draw(st.lists(st.integers(0, 3), max_size=2)))
    batch = shape[:batch_dims]
    columns = [draw_indices(data, shape[batch_dims + i], (*batch, *middle)) for i in range(depth)]
    indices = np.stack(columns, -1).astype(np.int64)
    expected = np.zeros((*batch, *middle, *shape[batch_dims + depth :]), x.dtype)
    for at in np.ndindex(*batch, *middle):
        expected[at] = x[(*at[:batch_dims], *indices[at])]
    check(run("GatherND", [x, indices], symbolic, batch_dims=batch_dims)[0], expected)


@property_settings
@given(_sizes, st.data(), _reductions, st.booleans())
def test_scatter_elements(shape: tuple[int, ...], data: st.DataObject, reduction: str, symbolic: bool) -> None:
    x = small_numbers(data, shape, data.draw(st.sampled_from(_types)))
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    along = axis % x.ndim
    most = x.shape[along] if reduction == "none" else 7
    picked = tuple(data.draw(st.integers(0, most if i == along else n)) for i, n in enumerate(shape))
    if reduction == "none":  # the order among equal indices is not defined
        rng = np.random.default_rng(data.draw(st.integers(0, 2**16)))
        orders = np.argsort(rng.random([*picked[:along], shape[along], *picked[along + 1 :]]), along)
        indices = np.take(orders, range(picked[along]), along)
        indices = np.where(rng.random(indices.shape) < 0.5, indices, indices - shape[along])
    else:
        indices = draw_indices(data, shape[along], picked)
    indices = indices.astype(data.draw(_index_types))
    updates = small_numbers(data, picked, x.dtype)
    expected = x.copy()
    with np.errstate(over="ignore"):
        for at in np.ndindex(*picked):
            to = (*at[:along], indices[at], *at[along + 1 :])
            expected[to] = _combine[reduction](expected[to], updates[at])
    check(run("ScatterElements", [x, indices, updates], symbolic, axis=axis, reduction=reduction)[0], expected)


@property_settings
@given(_sizes, st.data(), _reductions, st.booleans())
def test_scatter_nd(shape: tuple[int, ...], data: st.DataObject, reduction: str, symbolic: bool) -> None:
    x = small_numbers(data, shape, data.draw(st.sampled_from(_types)))
    depth = data.draw(st.integers(1, x.ndim))
    places = list(itertools.product(*map(range, shape[:depth])))
    chosen = st.lists(st.sampled_from(places), max_size=6, unique=reduction == "none")
    picked = data.draw(chosen)
    lead = (len(picked),)
    indices = np.array(picked, np.int64).reshape(*lead, depth)
    for row in indices:
        for i in range(depth):
            row[i] -= shape[i] * data.draw(st.booleans())
    if len(picked) % 2 == 0 and data.draw(st.booleans()):
        lead = (2, len(picked) // 2)
    updates = small_numbers(data, (*lead, *shape[depth:]), x.dtype)
    expected = x.copy()
    rows = updates.reshape(len(picked), *shape[depth:])
    with np.errstate(over="ignore"):
        for place, row in zip(picked, rows, strict=True):
            for at in np.ndindex(*shape[depth:]):
                to = (*place, *at)
                expected[to] = _combine[reduction](expected[to], row[at])
    inputs = [x, indices.reshape(*lead, depth), updates]
    check(run("ScatterND", inputs, symbolic, reduction=reduction)[0], expected)


@property_settings
@given(_sizes, st.data(), st.booleans(), st.booleans(), st.booleans())
def test_top_k(shape: tuple[int, ...], data: st.DataObject, largest: bool, sort: bool, symbolic: bool) -> None:
    x = small_numbers(data, shape, data.draw(st.sampled_from([np.float32, np.float64, np.float16, np.int64, np.int32])))
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    k = data.draw(st.integers(0, x.shape[axis]))
    order = np.argsort(-x if largest else x, axis, kind="stable")
    indices = np.take(order, range(k), axis)
    values = np.take_along_axis(x, indices, axis)
    attributes = {"axis": axis, "largest": int(largest), "sorted": int(sort)}
    results = run("TopK", [x, np.array([k], np.int64)], symbolic, 2, **attributes)
    if not sort:
        check(np.take_along_axis(x, results[1], axis), results[0])
        check(np.sort(results[0], axis), np.sort(values, axis))
        check(np.sort(results[1], axis), np.sort(indices, axis))
        return
    check(results[0], values)
    check(results[1], indices)


@property_settings
@given(st.data(), st.booleans(), st.sampled_from([np.float32, np.float64, np.int64, np.int32]))
def test_einsum(data: st.DataObject, symbolic: bool, dtype: type) -> None:
    labels = "abcdeF"[: data.draw(st.integers(1, 6))]
    sizes = {label: data.draw(st.integers(1, 4)) for label in labels}
    batch = tuple(data.draw(st.lists(st.integers(1, 3), max_size=2)))
    with_ellipsis = data.draw(st.booleans())
    terms, operands = [], []
    for _ in range(data.draw(st.integers(1, 3))):
        term = "".join(data.draw(st.lists(st.sampled_from(labels), max_size=3)))
        lead: tuple[int, ...] = ()
        at = 0
        if with_ellipsis and data.draw(st.booleans()):
            lead = tuple(data.draw(st.sampled_from([1, n])) for n in batch[data.draw(st.integers(0, len(batch))) :])
            at = data.draw(st.integers(0, len(term)))
            shape = (*[sizes[c] for c in term[:at]], *lead, *[sizes[c] for c in term[at:]])
            term = f"{term[:at]}...{term[at:]}"
        else:
            shape = tuple(sizes[c] for c in term)
        terms.append(term)
        operands.append(small_numbers(data, shape, dtype))
    used = sorted({c for term in terms for c in term if c != "."})
    equation = ",".join(terms)
    if data.draw(st.booleans()):
        result = "".join(data.draw(st.permutations(used))[: data.draw(st.integers(0, len(used)))])
        # Without dots on the right their dimensions would have to be summed, which NumPy does not do.
        if any("..." in term for term in terms):
            at = data.draw(st.integers(0, len(result)))
            result = f"{result[:at]}...{result[at:]}"
        equation += f"->{result}"
    assume(any(operand.ndim for operand in operands) or len(operands) > 1)
    expected = np.einsum(equation, *operands).astype(dtype)
    actual = run("Einsum", operands, symbolic, equation=equation)[0]
    assert actual.dtype == dtype
    check_close(actual, expected, 0)
