"""Slice, Pad, Tile, Trilu, ReverseSequence."""

import numpy as np

from ..case import Case

_rng = np.random.default_rng(3)


def _f(*shape: int) -> np.ndarray:
    return _rng.standard_normal(shape).astype(np.float32)


def _i(*items: int) -> np.ndarray:
    return np.array(items, np.int64)


_x = _f(5, 6, 7)
_far = 2**63 - 1


def _slice(x: np.ndarray, slices: dict[int, slice], name: str, dtype: type = np.int64) -> Case:
    """The node's form of NumPy's slices; an open end is written as exporters do."""
    full = [slice(None)] * x.ndim
    starts, ends, axes, steps = [], [], [], []
    for axis, part in slices.items():
        full[axis] = part
        step = part.step or 1
        starts.append(part.start if part.start is not None else 0 if step > 0 else _far)
        ends.append(part.stop if part.stop is not None else _far if step > 0 else -_far)
        axes.append(axis)
        steps.append(step)
    inputs = [
        np.array(items, np.int64).clip(np.iinfo(dtype).min, np.iinfo(dtype).max).astype(dtype)
        for items in (starts, ends, axes, steps)
    ]
    return Case("Slice", [x, *inputs], expected=[x[tuple(full)]], rtol=0, atol=0, id=name)


def _pad(x: np.ndarray, pads: list[int], mode: str, name: str, **more: np.ndarray) -> Case:
    return Case("Pad", [x, _i(*pads), more.get("value"), more.get("axes")], {"mode": mode}, rtol=0, atol=0, id=name)


_pads = [
    _pad(_f(2, 3, 4, 5), [0, 0, 1, 2, 0, 0, 3, 4], "constant", "spatial"),
    _pad(_f(2, 3), [1, 0, 0, 2], "constant", "value", value=np.float32(1.5)),
    _pad(_f(4, 5), [2, 1], "constant", "axes", value=np.float32(7), axes=_i(-1)),
    _pad(_f(3, 4), [1, 0, 0, 0], "constant", "inner-whole"),
    _pad(np.arange(12).reshape(3, 4), [1, 1, 1, 1], "constant", "int64", value=np.int64(9)),
    _pad(np.array([["a", "b"]], object), [0, 1, 1, 0], "constant", "strings", value=np.array("x", object)),
    _pad(np.array([True, True]), [1, 1], "constant", "bool"),
    _pad(_f(3, 4, 5), [0, 2, 1, 0, 1, 3], "reflect", "reflect"),
    _pad(_f(3), [5, 7], "reflect", "reflect-long"),
    _pad(_f(3, 4), [2, 3, 1, 4], "edge", "edge"),
    _pad(_f(3, 4), [2, 5, 4, 9], "wrap", "wrap"),
    _pad(_f(0, 3), [1, 0, 1, 0], "constant", "empty", value=np.float32(2)),
]

_lower = _f(3, 5, 4)

CASES = [
    _slice(_x, {0: slice(1, 4), 1: slice(2, 5), 2: slice(0, 3)}, "all"),
    _slice(_x, {1: slice(None, None, 2)}, "step"),
    _slice(_x, {2: slice(None, None, -1)}, "reversed"),
    _slice(_x, {0: slice(4, 0, -2), 2: slice(-1, -6, -3)}, "negative-step"),
    _slice(_x, {1: slice(-3, -1)}, "negative"),
    _slice(_x, {1: slice(3, 3)}, "empty"),
    _slice(_x, {0: slice(-100, 100), 1: slice(100, None)}, "clamped"),
    _slice(_x, {-1: slice(1, None)}, "negative-axis"),
    _slice(_x, {2: slice(1, 5, 3)}, "int32", np.int32),
    _slice(np.arange(20), {0: slice(3, 17, 4)}, "int64"),
    _slice(np.array(["a", "b", "c", "d"], object), {0: slice(None, None, -2)}, "strings"),
    _slice(_f(3, 300, 40), {1: slice(7, 290)}, "large"),
    Case("Slice", [_x, _i(1, 1), _i(3, 4)], expected=[_x[1:3, 1:4]], id="defaults"),
    *_pads,
    # Negative pads cut off; NumPy's pad does not know them.
    Case(
        "Pad",
        [_lower, _i(-1, 0, 1, 0, -2, -1)],
        {"mode": "constant"},
        expected=[np.pad(_lower[1:, :3, :3], ((0, 0), (0, 0), (1, 0)))],
        id="negative",
    ),
    Case(
        "Pad",
        [_lower, _i(0, -1, 2, 0, 1, -1)],
        {"mode": "edge"},
        expected=[np.pad(_lower[:, 1:, :3], ((0, 0), (0, 1), (2, 0)), mode="edge")],
        id="negative-edge",
    ),
    Case("Tile", [_f(2, 3), _i(2, 3)]),
    Case("Tile", [_f(2, 1, 3), _i(1, 4, 1)], id="middle"),
    Case("Tile", [_f(2, 3), _i(0, 2)], id="none"),
    Case("Tile", [np.array(["a", "b"], object), _i(3)], id="strings"),
    Case("Tile", [np.arange(4, dtype=np.uint8).reshape(2, 2), _i(2, 2)], id="uint8"),
    *[
        Case("Trilu", [_lower, np.int64(k)], {"upper": upper}, id=f"{'upper' if upper else 'lower'}{k}")
        for upper in (0, 1)
        for k in (-9, -2, 0, 1, 9)
    ],
    Case("Trilu", [_lower], id="default"),
    Case("Trilu", [np.arange(9, dtype=np.int64).reshape(3, 3)], {"upper": 0}, id="int64"),
    Case("ReverseSequence", [_f(4, 3, 2), _i(4, 1, 2)], {"time_axis": 0, "batch_axis": 1}, id="time-first"),
    Case("ReverseSequence", [_f(3, 4), _i(0, 3, 4)], {"time_axis": 1, "batch_axis": 0}, id="batch-first"),
]
