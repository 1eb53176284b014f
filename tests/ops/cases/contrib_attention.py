"""The transformer operators of com.microsoft. Expected values come from their documentation, written out in NumPy and
computed in double precision."""

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np

from tests.ops.case import Case

CASES: list[Case] = []
DOMAIN = "com.microsoft"
TYPES = {"float32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
TOLERANCE = {"float32": 2e-5, "float16": 6e-3, "bfloat16": 5e-2}

_counter = 0


def _random(*shape: int, dtype: str = "float32") -> np.ndarray:
    global _counter
    _counter += 1
    return np.random.default_rng(_counter).standard_normal(shape).astype(TYPES[dtype])


def _wide(x: np.ndarray) -> np.ndarray:
    return x.astype(np.float64)


def _add(
    op: str, inputs: list[Any], attributes: dict[str, Any], expected: list[Any], dtype: str = "float32", name: str = ""
) -> None:
    while inputs[-1] is None:
        inputs.pop()
    CASES.append(
        Case(
            op,
            inputs,
            attributes,
            domain=DOMAIN,
            expected=[
                value if value is None or value.dtype.kind == "i" else value.astype(TYPES[dtype]) for value in expected
            ],
            rtol=TOLERANCE[dtype],
            atol=TOLERANCE[dtype],
            id=f"{name}-{dtype}-{len(CASES)}",
        )
    )


def heads_of(x: np.ndarray, heads: int) -> np.ndarray:
    """[batch, tokens, heads * size] as [batch, heads, tokens, size]."""
    return x.reshape(x.shape[0], x.shape[1], heads, x.shape[2] // heads).transpose(0, 2, 1, 3)


def tokens_of(x: np.ndarray) -> np.ndarray:
    return x.transpose(0, 2, 1, 3).reshape(x.shape[0], x.shape[2], x.shape[1] * x.shape[3])


def attend(
    q: np.ndarray,
    k: np.ndarray,
    v: np.ndarray,
    scale: float | None = None,
    bias: np.ndarray | float = 0.0,
    visible: np.ndarray | None = None,
    softcap: float = 0.0,
    sink: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The result for heads [batch, heads, tokens, size], the scores and the probabilities."""
    group = q.shape[1] // k.shape[1]
    k, v = k.repeat(group, 1), v.repeat(group, 1)
    scores = q @ k.transpose(0, 1, 3, 2) * (scale or 1 / math.sqrt(q.shape[3]))
    if softcap:
        scores = softcap * np.tanh(scores / softcap)
    scores = scores + bias
    seen = scores if visible is None else np.where(visible, scores, -np.inf)
    most = seen.max(-1, keepdims=True, initial=-np.inf)
    exps = np.exp(seen - most)
    total = exps.sum(-1, keepdims=True)
    if sink is not None:
        total = total + np.exp(sink.reshape(1, -1, 1, 1) - most)
    p = exps / total
    return p @ v, scores, p


def key_mask(mask: np.ndarray | None, batch: int, queries: int, keys: int, past: int, low: float) -> Any:
    """The additive form of mask_index: [batch, 1, queries or 1, keys]."""
    if mask is None:
        return 0.0
    positions = np.arange(keys)
    if mask.ndim == 1 and mask.size == 2 * batch:
        keep = (positions < mask[:batch, None]) & (positions >= mask[batch:, None])
    elif mask.ndim == 1:
        keep = positions < mask[:batch, None]
    elif mask.ndim == 4:
        keep = mask[:, 0, past : past + queries, :keys] > 0
    else:
        keep = mask > 0
    keep = keep[:, None, None] if keep.ndim == 2 else keep[:, None]
    return np.where(keep, 0.0, low)


# ---- MultiHeadAttention ---------------------------------------------------------------------------------------------


def multi_head(
    batch: int = 2,
    heads: int = 3,
    queries: int = 5,
    keys: int | None = None,
    size: int = 8,
    value_size: int | None = None,
    form: str = "tokens",
    with_bias: bool = False,
    mask: np.ndarray | None = None,
    scores_bias: tuple[int, int] | None = None,
    past: int | None = None,
    capacity: int | None = None,
    outputs: int = 1,
    op: str = "MultiHeadAttention",
    dtype: str = "float32",
    name: str = "",
    **attributes: Any,
) -> None:
    keys = queries if keys is None else keys
    value_size = value_size or size
    q = _random(batch, queries, heads * size, dtype=dtype)
    k = _random(batch, keys, heads * size, dtype=dtype)
    v = _random(batch, keys, heads * value_size, dtype=dtype)
    bias = _random(heads * (2 * size + value_size), dtype=dtype) if with_bias else None
    cut = [heads * size, 2 * heads * size]
    parts = np.split(_wide(bias), cut) if bias is not None else [0.0] * 3
    cached = form == "cache"
    wide_q = heads_of(_wide(q) + parts[0], heads)
    wide_k = heads_of(_wide(k) + (0 if cached else parts[1]), heads)
    wide_v = heads_of(_wide(v) + (0 if cached else parts[2]), heads)

    def by_head(x: np.ndarray, rows: int) -> np.ndarray:
        return x.reshape(batch, rows, heads, x.shape[2] // heads)

    given: list[Any] = [q, k, v]
    if form == "qkv":
        given = [np.stack([by_head(x, queries) for x in (q, k, v)], 3), None, None]
    elif form == "kv":
        given = [q, np.stack([by_head(k, keys), by_head(v, keys)], 3), None]
    elif form == "side by side":
        given = [np.concatenate([q, k, v], 2), None, None]
    elif cached:
        given = [q] + [np.ascontiguousarray(heads_of(x, heads)) for x in (k, v)]

    rows = past or 0
    past_k = past_v = None
    stored = capacity or rows
    if past is not None:
        past_k = _random(batch, heads, stored, size, dtype=dtype)
        past_v = _random(batch, heads, stored, value_size, dtype=dtype)
        wide_k = np.concatenate([_wide(past_k)[:, :, :rows], wide_k], 2)
        wide_v = np.concatenate([_wide(past_v)[:, :, :rows], wide_v], 2)
    total = rows + keys
    added = None if scores_bias is None else _random(*scores_bias, queries, total, dtype=dtype)
    low = attributes.get("mask_filter_value", -10000.0)
    extra = key_mask(mask, batch, queries, total, rows, low) + (0.0 if added is None else _wide(added))
    visible = None
    if attributes.get("unidirectional") and queries > 1:
        visible = np.arange(total) <= np.arange(queries)[:, None] + rows
    y, scores, _ = attend(wide_q, wide_k, wide_v, attributes.get("scale"), extra, visible)
    if visible is not None:
        scores = np.where(visible, scores, -np.inf)
    present_k, present_v = wide_k, wide_v
    if capacity:
        present_k = np.concatenate([wide_k, _wide(past_k)[:, :, total:]], 2)
        present_v = np.concatenate([wide_v, _wide(past_v)[:, :, total:]], 2)
    length = None if capacity is None else np.array([past], np.int32)
    order = [*given, bias, mask, added, past_k, past_v, length]
    if op != "MultiHeadAttention":
        order = [*given, mask, added, past_k, past_v, length, None, None, bias]
    expected = [tokens_of(y), present_k, present_v, scores][:outputs]
    _add(op, order, {"num_heads": heads, **attributes}, expected, dtype, name or form)


for _dtype in TYPES:
    multi_head(dtype=_dtype)
    multi_head(keys=7, value_size=5, dtype=_dtype)
    multi_head(with_bias=True, past=4, outputs=3, unidirectional=1, dtype=_dtype)
    multi_head(queries=1, past=37, outputs=3, with_bias=True, scores_bias=(1, 3), dtype=_dtype)
    multi_head(queries=1, size=13, past=300, outputs=3, dtype=_dtype)
    multi_head(queries=19, with_bias=True, past=11, dtype=_dtype, name="no present")
    multi_head(queries=1, past=11, dtype=_dtype, name="no present")
    multi_head(queries=1, past=9, capacity=21, outputs=3, dtype=_dtype, name="shared")
    multi_head(queries=3, keys=70, heads=1, form="cache", dtype=_dtype)
    multi_head(queries=23, keys=31, form="kv", with_bias=True, dtype=_dtype)
for _queries in (1, 17, 40):
    multi_head(queries=_queries, form="qkv")
    multi_head(queries=_queries, form="qkv", with_bias=True, outputs=3, unidirectional=1)
    multi_head(queries=_queries, keys=29, form="kv", with_bias=True)
    multi_head(queries=_queries, keys=29, form="cache", with_bias=True)
    multi_head(queries=_queries, past=13, capacity=64, outputs=3, unidirectional=1, name="shared")
    multi_head(queries=_queries, past=0, outputs=3, name="empty past")
    multi_head(queries=_queries, scale=0.3, scores_bias=(2, 1), unidirectional=1)
    multi_head(queries=_queries, keys=531, size=64, heads=2, scores_bias=(1, 1), name="chunks")
    multi_head(queries=_queries, past=520, heads=1, unidirectional=1, outputs=4, name="scores")
    multi_head(queries=_queries, outputs=4, unidirectional=1, name="scores")
multi_head(batch=0)
multi_head(queries=0, keys=0)
multi_head(queries=0, keys=0, past=3, outputs=3, name="nothing new")

_lengths = np.array([3, 6], np.int32)
for _queries, _past in ((1, 6), (6, 1), (20, 3)):
    _total = _queries + _past
    _bits = np.random.default_rng(5).integers(0, 2, (2, _queries, _total)).astype(np.int32)
    _bits[..., 0] = 1
    for _mask in (
        _lengths,
        np.array([3, 6, 1, 0], np.int32),
        np.array([3, 6, 0, 4, 8, 0, 3, 7], np.int32),
        _bits[:, 0].copy(),
        _bits,
    ):
        multi_head(queries=_queries, past=_past, mask=_mask, outputs=3, name=f"mask{_mask.shape}")
        multi_head(
            queries=_queries, past=_past, mask=_mask, scores_bias=(1, 3), unidirectional=1, outputs=3, name="both"
        )
    # With nothing but masked keys their scores decide; float32 keeps few digits of them beside the usual -10000.
    _zeros = np.zeros((2, _total), np.int32)
    multi_head(queries=_queries, past=_past, mask=_zeros, mask_filter_value=-40.0, outputs=3, name="all masked")
    multi_head(queries=_queries, past=_past, mask=_bits, mask_filter_value=-3.0, unidirectional=1, outputs=3)
multi_head(queries=1, past=4, capacity=9, mask=np.array([[1, 0, 1, 1, 1]] * 2, np.int32), outputs=3, name="shared")

for _with_bias in (False, True):
    for _capacity in (None, 40):
        multi_head(
            queries=1,
            past=17,
            capacity=_capacity,
            with_bias=_with_bias,
            outputs=3,
            op="DecoderMaskedMultiHeadAttention",
            past_present_share_buffer=int(_capacity is not None),
        )
multi_head(queries=1, past=5, form="side by side", with_bias=True, outputs=3, op="DecoderMaskedMultiHeadAttention")
multi_head(queries=1, keys=30, form="cache", with_bias=True, op="DecoderMaskedMultiHeadAttention")
multi_head(
    queries=1,
    past=5,
    mask=np.array([[1, 0, 1, 1, 0, 1]] * 2, np.int32),
    scores_bias=(1, 3),
    op="DecoderMaskedMultiHeadAttention",
)


# ---- Attention ------------------------------------------------------------------------------------------------------


def attention(
    batch: int = 2,
    queries: int = 5,
    inner: int = 6,
    heads: int = 2,
    size: int = 4,
    value_size: int | None = None,
    with_bias: bool = True,
    mask: np.ndarray | None = None,
    past: int | None = None,
    capacity: int | None = None,
    scores_bias: tuple[int, int] | None = None,
    outputs: int = 1,
    dtype: str = "float32",
    name: str = "",
    **attributes: Any,
) -> None:
    if value_size:
        attributes["qkv_hidden_sizes"] = [heads * size, heads * size, heads * value_size]
    value_size = value_size or size
    x = _random(batch, queries, inner, dtype=dtype)
    weights = (0.5 * _random(inner, heads * (2 * size + value_size))).astype(TYPES[dtype])
    bias = _random(heads * (2 * size + value_size), dtype=dtype) if with_bias else None
    projected = _wide(x) @ _wide(weights)
    if dtype != "float32":  # what flows between the projection and the heads has the type of the tensors
        projected = _wide(projected.astype(TYPES[dtype]))
    projected = projected + (0 if bias is None else _wide(bias))
    q, k, v = (heads_of(part, heads) for part in np.split(projected, [heads * size, 2 * heads * size], 2))
    rows = past or 0
    both = length = None
    if past is not None:
        both = _random(2, batch, heads, capacity or past, size, dtype=dtype)
        k = np.concatenate([_wide(both)[0][:, :, :rows], k], 2)
        v = np.concatenate([_wide(both)[1][:, :, :rows], v], 2)
    if capacity:
        attributes["past_present_share_buffer"] = 1
        length = np.array([past], np.int32)
    total = rows + queries
    added = None if scores_bias is None else _random(*scores_bias, queries, total, dtype=dtype)
    low = attributes.get("mask_filter_value", -10000.0)
    extra = key_mask(mask, batch, queries, total, rows, low) + (0.0 if added is None else _wide(added))
    visible = None
    if attributes.get("unidirectional"):
        visible = np.arange(total) <= np.arange(queries)[:, None] + rows
    y, _, _ = attend(q, k, v, attributes.get("scale"), extra, visible)
    present = None
    if outputs > 1:
        present = _wide(both) if capacity else np.zeros((2, batch, heads, total, size))
        present[0, :, :, :total], present[1, :, :, :total] = k, v
    _add(
        "Attention",
        [x, weights, bias, mask, both, added, length],
        {"num_heads": heads, **attributes},
        [tokens_of(y), present][:outputs],
        dtype,
        name,
    )


for _dtype in TYPES:
    attention(dtype=_dtype)
    attention(past=3, outputs=2, unidirectional=1, dtype=_dtype)
    attention(queries=1, past=30, outputs=2, unidirectional=1, dtype=_dtype)
    attention(mask=np.array([[1, 1, 1, 0, 1], [0, 1, 1, 1, 1]], np.int32), dtype=_dtype)
attention(with_bias=False)
attention(value_size=7)
attention(outputs=2, name="present without past")
attention(scale=0.7, scores_bias=(1, 2), unidirectional=1)
attention(past=3, scores_bias=(2, 1), outputs=2)
attention(queries=1, past=6, capacity=11, outputs=2)
attention(queries=4, past=6, capacity=11, outputs=2, unidirectional=1)
attention(queries=4, past=0, capacity=11, outputs=2, unidirectional=1)
attention(queries=37, size=16, inner=32, unidirectional=1)
for _mask in (
    np.array([3, 5], np.int32),
    np.array([3, 5, 1, 0], np.int32),
    np.array([3, 5, 0, 3, 8, 0, 3, 8], np.int32),
    np.random.default_rng(6).integers(0, 2, (2, 5, 5)).astype(np.int32),
    np.random.default_rng(6).integers(0, 2, (2, 1, 9, 9)).astype(np.int32),
):
    attention(mask=_mask, name=f"mask{_mask.shape}")
    attention(mask=_mask, unidirectional=1, mask_filter_value=-5.0, name=f"mask{_mask.shape}")
attention(
    queries=3,
    past=4,
    mask=np.random.default_rng(6).integers(0, 2, (2, 1, 9, 9)).astype(np.int32),
    unidirectional=1,
    name="square mask with past",
)


# ---- GroupQueryAttention --------------------------------------------------------------------------------------------


def rotate(x: np.ndarray, cos: np.ndarray, sin: np.ndarray, positions: np.ndarray, interleaved: int) -> np.ndarray:
    """Rotary embedding of [batch, heads, tokens, size] at positions [batch, tokens]."""
    half = cos.shape[1]
    c, s = cos[positions][:, None], sin[positions][:, None]
    first = x[..., 0 : 2 * half : 2] if interleaved else x[..., :half]
    second = x[..., 1 : 2 * half : 2] if interleaved else x[..., half : 2 * half]
    a, b = c * first - s * second, s * first + c * second
    turned = np.stack([a, b], -1).reshape(*a.shape[:-1], 2 * half) if interleaved else np.concatenate([a, b], -1)
    return np.concatenate([turned, x[..., 2 * half :]], -1)


def group_query(
    batch: int = 2,
    heads: int = 4,
    kv_heads: int = 2,
    queries: int = 1,
    size: int = 16,
    totals: list[int] | None = None,
    stored: int | None = None,
    packed: bool = False,
    rotary: int | None = None,
    positions: np.ndarray | None = None,
    scores_bias: tuple[int, int] | None = None,
    sink: bool = False,
    norm: bool = False,
    outputs: int = 3,
    dtype: str = "float32",
    name: str = "",
    **attributes: Any,
) -> None:
    totals = totals or [queries] * batch
    total = max(totals)
    prompt = queries == total
    q = _random(batch, queries, heads * size, dtype=dtype)
    k = _random(batch, queries, kv_heads * size, dtype=dtype)
    v = _random(batch, queries, kv_heads * size, dtype=dtype)
    past = [None, None]
    if stored is not None:
        past = [_random(batch, kv_heads, stored, size, dtype=dtype) for _ in range(2)]
    begins = [0 if prompt else t - queries for t in totals]
    wide_q, wide_k, wide_v = heads_of(_wide(q), heads), heads_of(_wide(k), kv_heads), heads_of(_wide(v), kv_heads)
    norms: list[Any] = [None, None]
    if norm:
        norms = [_random(size, dtype=dtype) for _ in range(2)]
        epsilon = attributes.get("qk_norm_epsilon", 1e-6)
        wide_q = wide_q / np.sqrt((wide_q**2).mean(-1, keepdims=True) + epsilon) * _wide(norms[0])
        wide_k = wide_k / np.sqrt((wide_k**2).mean(-1, keepdims=True) + epsilon) * _wide(norms[1])
    cos = sin = None
    if rotary:
        attributes["do_rotary"] = 1
        angles = np.random.default_rng(7).uniform(0, 6, (total + 20, rotary // 2))
        cos, sin = np.cos(angles).astype(TYPES[dtype]), np.sin(angles).astype(TYPES[dtype])
        at = np.array([[begin + i for i in range(queries)] for begin in begins], np.int64).reshape(batch, queries)
        if positions is not None:
            at = positions[:1, :1] + np.arange(queries)[None].repeat(batch, 0) if prompt else positions
        interleaved = attributes.get("rotary_interleaved", 0)
        wide_q = rotate(wide_q, _wide(cos), _wide(sin), at, interleaved)
        wide_k = rotate(wide_k, _wide(cos), _wide(sin), at, interleaved)
    added = None if scores_bias is None else _random(*scores_bias, queries, total, dtype=dtype)
    sinks = _random(heads, dtype=dtype) if sink else None
    rows = max(stored or 0, total)
    present = [np.zeros((batch, kv_heads, rows, size)) for _ in range(2)]
    y = np.zeros((batch, heads, queries, size))
    scores = np.zeros((batch, heads, queries, total))
    window = attributes.get("local_window_size", -1)
    for b, (begin, end) in enumerate(zip(begins, totals, strict=True)):
        for place, old, fresh in zip(present, past, (wide_k, wide_v), strict=True):
            if old is not None:
                place[b, :, :begin] = _wide(old)[b, :, :begin]
            place[b, :, begin : begin + queries] = fresh[b]
        i, j = np.arange(queries)[:, None] + begin, np.arange(end)
        visible = np.ones((queries, end), bool) if attributes.get("causal") == 0 else j <= i
        if window > 0:
            visible = visible & (j > i - window)
        extra: Any = 0.0
        if added is not None:
            extra = _wide(added)[b if scores_bias and scores_bias[0] > 1 else 0][None, :, :, :end]
        smooth = np.zeros(heads) if attributes.get("smooth_softmax") == 1 else None
        one, raw, p = attend(
            wide_q[b : b + 1],
            present[0][b : b + 1, :, :end],
            present[1][b : b + 1, :, :end],
            attributes.get("scale"),
            extra,
            visible,
            attributes.get("softcap", 0.0),
            _wide(sinks) if sinks is not None else smooth,
        )
        y[b] = one[0]
        scores[b, :, :, :end] = np.where(visible, raw if attributes.get("qk_output") == 1 else p, 0)[0]
    given: list[Any] = [np.concatenate([q, k, v], 2), None, None] if packed else [q, k, v]
    lengths = np.array(totals, np.int32) - 1
    inputs = [*given, *past, lengths, np.array(total, np.int32), cos, sin, positions, added, sinks, None, None, *norms]
    _add(
        "GroupQueryAttention",
        inputs,
        {"num_heads": heads, "kv_num_heads": kv_heads, **attributes},
        [tokens_of(y), *present, scores][:outputs],
        dtype,
        name,
    )


for _dtype in TYPES:
    group_query(queries=7, dtype=_dtype, name="prompt")
    group_query(queries=7, packed=True, rotary=16, dtype=_dtype, name="prompt")
    group_query(totals=[9, 9], stored=8, rotary=16, dtype=_dtype, name="step")
    group_query(totals=[9, 5], stored=21, rotary=8, packed=True, dtype=_dtype, name="buffer")
    group_query(batch=1, queries=20, totals=[33], stored=13, rotary=16, dtype=_dtype, name="second prompt")
    group_query(totals=[600, 301], stored=700, dtype=_dtype, sink=True, name="chunks")
for _heads, _kv_heads, _size in ((1, 1, 8), (8, 2, 24), (6, 3, 7), (8, 1, 64), (32, 8, 128)):
    group_query(heads=_heads, kv_heads=_kv_heads, size=_size, totals=[40, 33], stored=50)
    group_query(heads=_heads, kv_heads=_kv_heads, size=_size, queries=9)
for _size in (1, 3, 40):
    group_query(batch=1, queries=_size, totals=[_size + 11], stored=64, local_window_size=4, name="window")
    group_query(queries=_size, local_window_size=4, name="window")
    group_query(batch=1, queries=_size, totals=[_size + 11], stored=64, softcap=1.5, scores_bias=(1, 4))
    group_query(queries=_size, softcap=1.5, scores_bias=(2, 1))
    group_query(queries=_size, sink=True, local_window_size=3)
    group_query(queries=_size, smooth_softmax=1)
    group_query(queries=_size, causal=0)
    group_query(queries=_size, scale=0.4, rotary=8, rotary_interleaved=1)
    group_query(queries=_size, norm=True, rotary=16, packed=True, name="norm")
    group_query(batch=1, queries=_size, totals=[_size + 6], stored=6, norm=True, qk_norm_epsilon=0.1, name="norm")
    for _scores in (1, 2):
        group_query(batch=1, queries=_size, totals=[_size + 5], stored=64, outputs=4, qk_output=_scores, softcap=2.0)
        group_query(queries=_size, outputs=4, qk_output=_scores)
group_query(totals=[9, 5], stored=12, outputs=4, qk_output=2, name="ragged scores")
group_query(totals=[700, 300], stored=699, local_window_size=270, name="window over chunks")
group_query(queries=4, rotary=16, positions=np.array([[3, 4, 5, 6], [9, 9, 9, 9]]), name="positions of a prompt")
group_query(totals=[9, 5], stored=9, rotary=16, positions=np.array([[2], [7]]), name="positions of a step")
group_query(totals=[9, 5], stored=9, outputs=1, name="no present")


# ---- EmbedLayerNormalization ----------------------------------------------------------------------------------------


def embed(
    segments: bool, mask: np.ndarray | None, ids: np.ndarray | None = None, dtype: str = "float32", **attributes: Any
) -> None:
    batch, length, size = 2, 5, 12
    words = np.random.default_rng(8).integers(0, 11, (batch, length)).astype(np.int32)
    segment_ids = np.random.default_rng(9).integers(0, 2, (batch, length)).astype(np.int32) if segments else None
    tables = [_random(n, size, dtype=dtype) for n in (11, 9, 2)]
    gamma, beta = _random(size, dtype=dtype), _random(size, dtype=dtype)
    total = _wide(tables[0])[words] + _wide(tables[1])[np.arange(length) if ids is None else ids]
    if segments:
        total = total + _wide(tables[2])[segment_ids]
    centred = total - total.mean(-1, keepdims=True)
    epsilon = attributes.get("epsilon", 1e-12)
    y = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + epsilon) * _wide(gamma) + _wide(beta)
    index = np.zeros(batch, np.int32) if mask is None else (mask == 1).sum(1).astype(np.int32)
    third = tables[2] if segments else None
    _add(
        "EmbedLayerNormalization",
        [words, segment_ids, tables[0], tables[1], third, gamma, beta, mask, ids],
        attributes,
        [y, index, total],
        dtype,
    )


_ones = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], np.int32)
for _dtype in ("float32", "float16"):
    embed(True, _ones, dtype=_dtype)
    embed(False, None, dtype=_dtype, epsilon=1e-3)
embed(True, None)
embed(False, _ones, ids=np.array([[3, 4, 5, 6, 8]], np.int32))
embed(True, _ones, ids=np.array([[3, 4, 5, 6, 8], [0, 0, 1, 1, 2]], np.int32))


# ---- operators of diffusion models ----------------------------------------------------------------------------------


def group_norm(
    shape: tuple[int, int, int, int],
    groups: int,
    activation: int,
    channels_last: int,
    skip: str | None = None,
    with_bias: bool = False,
    outputs: int = 1,
    dtype: str = "float32",
    **attributes: Any,
) -> None:
    n, c, h, w = shape
    x = _random(n, c, h, w, dtype=dtype)
    gamma, beta, bias = _random(c), _random(c), _random(c, dtype=dtype)
    total = _wide(x)
    inputs: list[Any] = [x, gamma, beta]
    if skip:
        other = _random(*{"full": (n, c, h, w), "four": (n, c, 1, 1), "two": (n, c)}[skip], dtype=dtype)
        total = total + (_wide(other)[:, :, None, None] if skip == "two" else _wide(other))
        inputs.append(other)
        if with_bias:
            total = total + _wide(bias)[:, None, None]
            inputs.append(bias)
    parts = total.reshape(n, groups, -1)
    centred = parts - parts.mean(-1, keepdims=True)
    y = (centred / np.sqrt((centred**2).mean(-1, keepdims=True) + attributes.get("epsilon", 1e-5))).reshape(shape)
    y = y * _wide(gamma)[:, None, None] + _wide(beta)[:, None, None]
    if activation:
        y = y / (1 + np.exp(-y))
    expected = [y, total][:outputs]
    if channels_last:
        inputs = [np.ascontiguousarray(i.transpose(0, 2, 3, 1)) if i.ndim == 4 else i for i in inputs]
        expected = [np.ascontiguousarray(e.transpose(0, 2, 3, 1)) for e in expected]
    _add(
        "SkipGroupNorm" if skip else "GroupNorm",
        inputs,
        {"groups": groups, "activation": activation, "channels_last": channels_last, **attributes},
        expected,
        dtype,
        skip or "",
    )


for _last in (0, 1):
    for _activation in (0, 1):
        group_norm((2, 6, 3, 5), 3, _activation, _last)
        group_norm((2, 6, 3, 5), 2, _activation, _last, "full", True, 2)
    group_norm((1, 8, 7, 1), 1, 1, _last, epsilon=0.1)
    group_norm((2, 4, 3, 3), 4, 0, _last, "four")
    group_norm((2, 4, 3, 3), 2, 1, _last, "two", True, 2)
    group_norm((2, 4, 3, 3), 2, 1, _last, "two", dtype="float16")

for _dtype in ("float32", "float16"):
    for _shape in [(2, 3, 4), (1, 5, 130), (2, 0, 6)]:
        _x, _bias, _skip = (
            _random(*_shape, dtype=_dtype),
            _random(_shape[2], dtype=_dtype),
            _random(*_shape, dtype=_dtype),
        )
        _sum = _wide(_x) + _wide(_bias)
        _add("BiasAdd", [_x, _bias, _skip], {}, [_sum + _wide(_skip)], _dtype)
        _left, _right = np.split(_sum, 2, -1)
        _erf = np.vectorize(math.erf, otypes=[float])(_right / math.sqrt(2))
        _add("BiasSplitGelu", [_x, _bias], {}, [_left * 0.5 * _right * (1 + _erf)], _dtype)


# ---- NGramRepeatBlock -----------------------------------------------------------------------------------------------


def ngram(tokens: np.ndarray, size: int, words: int = 7) -> None:
    scores = _random(len(tokens), words)
    expected = scores.copy()
    for row, out in zip(tokens.tolist(), expected, strict=True):
        last = row[len(row) - size + 1 :] if size > 1 else []
        for at in range(len(row) - size + 1):
            if row[at : at + size - 1] == last:
                out[row[at + size - 1]] = -np.inf
    _add("NGramRepeatBlock", [tokens, scores], {"ngram_size": size}, [expected])


for _n in (1, 2, 3, 5, 9):
    ngram(np.array([[1, 2, 3, 1, 2], [4, 4, 4, 4, 4]], np.int64), _n)
    ngram(np.random.default_rng(10).integers(0, 3, (3, 40)), _n)
ngram(np.zeros((0, 4), np.int64), 2)


# ---- RotaryEmbedding ------------------------------------------------------------------------------------------------


def rotary_embedding(
    shape: tuple[int, ...], heads: int, rotated: int, positions: np.ndarray, dtype: str = "float32", **attributes: Any
) -> None:
    x = _random(*shape, dtype=dtype)
    angles = np.random.default_rng(11).uniform(0, 6, (12, rotated // 2))
    cos, sin = np.cos(angles).astype(TYPES[dtype]), np.sin(angles).astype(TYPES[dtype])
    wide = _wide(x) if len(shape) == 4 else heads_of(_wide(x), heads)
    at = positions if positions.ndim == 2 else positions[0] + np.arange(wide.shape[2])[None].repeat(shape[0], 0)
    y = rotate(wide, _wide(cos), _wide(sin), at, attributes.get("interleaved", 0))
    y = y if len(shape) == 4 else tokens_of(y)
    _add("RotaryEmbedding", [x, positions, cos, sin], attributes, [y], dtype)


_positions = np.array([[0, 1, 2, 3, 4], [3, 5, 7, 9, 11]], np.int64)
for _dtype in TYPES:
    for _interleaved in (0, 1):
        rotary_embedding((2, 5, 24), 3, 8, _positions, _dtype, interleaved=_interleaved)
        rotary_embedding((2, 3, 5, 8), 3, 8, np.array([3]), _dtype, interleaved=_interleaved)
rotary_embedding((2, 5, 36), 3, 8, _positions, num_heads=3, rotary_embedding_dim=8)
rotary_embedding((2, 3, 5, 12), 3, 8, _positions, num_heads=3, rotary_embedding_dim=8)
rotary_embedding((1, 30, 24), 3, 8, np.arange(30)[None] % 12, is_packed_batching=1)
