"""Pooling. Expected values come from onnx's reference evaluator, and from the plain definition in NumPy below."""

from __future__ import annotations

import itertools
from typing import Any

import ml_dtypes
import numpy as np

from tests.ops.case import Case

CASES: list[Case] = []

_TOLERANCE = {"float32": 1e-5, "float64": 1e-12, "float16": 2e-3, "bfloat16": 1.6e-2, "int8": 0, "uint8": 0}


def _random(shape: tuple[int, ...], dtype: str, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if dtype in ("int8", "uint8"):
        info = np.iinfo(dtype)
        return rng.integers(info.min, info.max + 1, shape).astype(dtype)
    values = rng.standard_normal(shape)
    return values.astype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)


def pool_by_definition(x: np.ndarray, kind: str, attributes: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """The definition: one loop over the outputs. Returns values and positions of the maxima."""
    rank = x.ndim - 2
    kernel = attributes["kernel_shape"]
    strides = attributes.get("strides", [1] * rank)
    dilations = attributes.get("dilations", [1] * rank)
    mode = attributes.get("auto_pad", "NOTSET")
    pads = attributes.get("pads", [0] * (2 * rank))
    begin, end, out = [], [], []
    for i, size in enumerate(x.shape[2:]):
        extent = dilations[i] * (kernel[i] - 1) + 1
        if mode.startswith("SAME"):
            count = -(-size // strides[i])
            total = max((count - 1) * strides[i] + extent - size, 0)
            first = total // 2 if mode == "SAME_UPPER" else total - total // 2
            begin.append(first)
            end.append(total - first)
        else:
            begin.append(pads[i])
            end.append(pads[rank + i])
            room = size + begin[i] + end[i] - extent
            if attributes.get("ceil_mode"):
                count = -(-room // strides[i]) + 1
                if (count - 1) * strides[i] >= size + begin[i]:
                    count -= 1
            else:
                count = room // strides[i] + 1
        out.append(count)
    y = np.zeros((*x.shape[:2], *out), np.float64)
    where = np.zeros(y.shape, np.int64)
    wide = x.astype(np.float64)
    for at in itertools.product(*map(range, out)):
        taps = []
        padded = 0
        for tap in itertools.product(*map(range, kernel)):
            position = [at[i] * strides[i] - begin[i] + tap[i] * dilations[i] for i in range(rank)]
            padded += all(p < x.shape[i + 2] + end[i] for i, p in enumerate(position))
            if all(0 <= p < x.shape[i + 2] for i, p in enumerate(position)):
                taps.append(tuple(position))
        values = np.stack([wide[(..., *t)] for t in taps], -1)
        if kind == "Max":
            y[(..., *at)] = values.max(-1)
            spatial = x.shape[2:]
            if attributes.get("storage_order"):
                flat = [np.ravel_multi_index(t[::-1], spatial[::-1]) for t in taps]
            else:
                flat = [np.ravel_multi_index(t, spatial) for t in taps]
            channel = np.arange(np.prod(x.shape[:2])).reshape(x.shape[:2]) * int(np.prod(spatial))
            where[(..., *at)] = channel + np.array(flat)[values.argmax(-1)]
        elif kind == "Lp":
            p = attributes.get("p", 2)
            y[(..., *at)] = (np.abs(values) ** p).sum(-1) ** (1 / p)
        else:
            y[(..., *at)] = values.sum(-1) / (padded if attributes.get("count_include_pad") else len(taps))
    return y.astype(x.dtype), where


def pool(
    kind: str,
    shape: tuple[int, ...],
    *,
    dtype: str = "float32",
    indices: bool = False,
    seed: int = 0,
    id: str = "",
    **attributes: Any,
) -> None:
    """Adds a row of MaxPool, AveragePool or LpPool."""
    x = _random(shape, dtype, seed)
    y, where = pool_by_definition(x, kind, attributes)
    tolerance = _TOLERANCE[dtype]
    CASES.append(
        Case(
            f"{kind}Pool",
            [x],
            attributes,
            outputs=2 if indices else 1,
            expected=[y, where] if indices else [y],
            rtol=tolerance,
            atol=tolerance,
            id=id,
        )
    )


for _kind in ("Max", "Average", "Lp"):
    for _c in (1, 3, 8, 13, 16, 24):
        pool(_kind, (2, _c, 13, 11), kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], id=f"c{_c}")
        pool(_kind, (1, _c, 7, 7), kernel_shape=[2, 2], strides=[2, 2], id=f"c{_c}-2x2")
    pool(_kind, (1, 3, 1, 1), kernel_shape=[1, 1], id="one-pixel")
    pool(_kind, (1, 8, 7, 13), kernel_shape=[7, 13], id="whole-map")
    pool(_kind, (1, 8, 9, 10), kernel_shape=[3, 2], strides=[2, 3], pads=[1, 0, 0, 1], id="asymmetric")
    for _mode in ("SAME_UPPER", "SAME_LOWER", "VALID"):
        pool(_kind, (1, 4, 10, 7), kernel_shape=[4, 3], strides=[2, 1], auto_pad=_mode, id=_mode)
    pool(_kind, (1, 8, 12, 11), kernel_shape=[3, 2], dilations=[2, 3], id="dilations")
    for _c in (1, 8):  # as many taps as pixels, some of which they do not reach
        pool(_kind, (1, _c, 3, 2), kernel_shape=[3, 2], dilations=[2, 1], pads=[0, 0, 2, 0], id=f"past-the-map-c{_c}")
    pool(_kind, (1, 3, 23), kernel_shape=[4], strides=[3], pads=[1, 2], id="1d")
    pool(_kind, (1, 2, 5, 6, 7), kernel_shape=[2, 3, 2], strides=[2, 1, 2], pads=[0, 1, 0, 1, 1, 0], id="3d")
    pool(_kind, (1, 16, 5, 6, 7), kernel_shape=[3, 3, 3], pads=[1] * 6, id="3d-blocks")
    pool(_kind, (0, 3, 6, 6), kernel_shape=[2, 2], id="empty-batch")
    for _t in ("float64", "float16", "bfloat16"):
        pool(_kind, (1, 3, 8, 9), dtype=_t, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], id=_t)
for _kind in ("Max", "Average"):
    pool(_kind, (1, 8, 6, 6), kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1, id="ceil")
    pool(_kind, (1, 3, 4, 7), kernel_shape=[2, 3], strides=[3, 2], pads=[0, 1, 1, 1], ceil_mode=1, id="ceil-pads")
    # The last window would start in the padding behind the input.
    pool(_kind, (1, 1, 2, 2), kernel_shape=[1, 1], strides=[2, 2], ceil_mode=1, id="ceil-left-out")
    pool(_kind, (1, 1, 2, 2), kernel_shape=[3, 3], strides=[3, 3], pads=[1, 1, 1, 1], ceil_mode=1, id="ceil-on-pad")
for _c in (3, 8, 16):
    pool(
        "Average",
        (1, _c, 7, 8),
        kernel_shape=[3, 3],
        strides=[2, 2],
        pads=[1, 1, 1, 1],
        count_include_pad=1,
        id=f"include-pad-c{_c}",
    )
pool(
    "Average",
    (1, 8, 7, 8),
    kernel_shape=[3, 3],
    strides=[2, 2],
    pads=[1, 1, 0, 0],
    count_include_pad=1,
    ceil_mode=1,
    id="include-pad-ceil",
)
pool("Average", (1, 8, 9, 9), kernel_shape=[2, 2], dilations=[3, 2], pads=[1] * 4, count_include_pad=1, id="dilated")
for _p in (1, 3, 4):
    pool("Lp", (1, 3, 7, 8), kernel_shape=[3, 2], p=_p, id=f"p{_p}")
for _t in ("int8", "uint8"):
    pool("Max", (2, 5, 9, 8), dtype=_t, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], id=_t)
for _order in (0, 1):
    for _shape in ((2, 3, 9), (2, 3, 7, 9), (1, 2, 4, 5, 6)):
        _rank = len(_shape) - 2
        pool(
            "Max",
            _shape,
            kernel_shape=[3] * _rank,
            strides=[2] * _rank,
            pads=[1] * (2 * _rank),
            indices=True,
            storage_order=_order,
            id=f"indices-{_rank}d-order{_order}",
        )
pool("Max", (1, 4, 6, 6), dtype="uint8", kernel_shape=[2, 2], indices=True, id="indices-uint8")

for _op in ("GlobalAveragePool", "GlobalMaxPool"):
    _reduce = np.mean if _op == "GlobalAveragePool" else np.max
    for _shape in ((1, 3, 7, 7), (2, 16, 7, 5), (1, 13, 1, 1), (1, 8, 31), (1, 2, 3, 4, 5), (0, 4, 3, 3)):
        for _t in ("float32", "float64", "float16", "bfloat16"):
            _x = _random(_shape, _t, 3)
            _y = _reduce(_x.astype(np.float64), axis=tuple(range(2, len(_shape))), keepdims=True).astype(_x.dtype)
            CASES.append(
                Case(
                    _op,
                    [_x],
                    expected=[_y],
                    rtol=_TOLERANCE[_t],
                    atol=_TOLERANCE[_t],
                    id="x".join(map(str, _shape)) + "-" + _t,
                )
            )
for _p in (1, 2, 3):
    _x = _random((2, 5, 6, 7), "float32", _p)
    _y = ((np.abs(_x.astype(np.float64)) ** _p).sum((2, 3), keepdims=True) ** (1 / _p)).astype(np.float32)
    CASES.append(Case("GlobalLpPool", [_x], {"p": _p}, expected=[_y], id=f"p{_p}"))


def _max_roi_pool(x: np.ndarray, rois: np.ndarray, pooled: list[int], scale: float) -> np.ndarray:
    """Fast R-CNN's definition."""
    y = np.zeros((len(rois), x.shape[1], *pooled), x.dtype)
    for r, (n, x1, y1, x2, y2) in enumerate(rois):
        left, top, right, bottom = (int(np.floor(v * scale + 0.5)) for v in (x1, y1, x2, y2))
        size = (max(bottom - top + 1, 1) / pooled[0], max(right - left + 1, 1) / pooled[1])
        for i, j in itertools.product(*map(range, pooled)):
            h = [int(np.floor(i * size[0])) + top, int(np.ceil((i + 1) * size[0])) + top]
            w = [int(np.floor(j * size[1])) + left, int(np.ceil((j + 1) * size[1])) + left]
            h, w = np.clip(h, 0, x.shape[2]), np.clip(w, 0, x.shape[3])
            if h[1] > h[0] and w[1] > w[0]:
                y[r, :, i, j] = x[int(n), :, h[0] : h[1], w[0] : w[1]].max((1, 2))
    return y


_x = _random((2, 3, 12, 14), "float32", 0)
_rois = np.array([[0, 1, 2, 9, 8], [1, 0, 0, 13, 11], [1, 5, 5, 5, 5], [0, 20, 20, 30, 30]], np.float32)
for _scale in (1.0, 0.5):
    CASES.append(
        Case(
            "MaxRoiPool",
            [_x, _rois],
            {"pooled_shape": [3, 2], "spatial_scale": _scale},
            expected=[_max_roi_pool(_x, _rois, [3, 2], _scale)],
            id=f"scale{_scale}",
        )
    )

_x = np.array([[[[1, 2], [3, 4]]]], np.float32)
_i = np.array([[[[5, 7], [13, 15]]]], np.int64)
_attributes = {"kernel_shape": [2, 2], "strides": [2, 2]}
_y = np.zeros((1, 1, 4, 4), np.float32)
_y[0, 0, 1::2, 1::2] = _x[0, 0]
CASES.append(Case("MaxUnpool", [_x, _i], _attributes, expected=[_y]))
_wide = np.zeros((1, 1, 5, 5), np.float32)
_wide[0, 0, :4, :4] = _y[0, 0]
CASES.append(
    Case("MaxUnpool", [_x, _i, np.array([1, 1, 5, 5], np.int64)], _attributes, expected=[_wide], id="output-shape")
)
