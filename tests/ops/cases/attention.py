"""Attention, FusedAttention and RotaryEmbedding. Expected values of the standard's operators come from onnx's reference
evaluator, those of FusedAttention from NumPy in double precision."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.ops.case import Case

CASES: list[Case] = []


def _random(*shape: int, dtype: str = "float32", seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed + sum(shape)).standard_normal(shape).astype(dtype)


def attention(
    q: tuple[int, ...],
    k: tuple[int, ...],
    v: tuple[int, ...] | None = None,
    *,
    mask: np.ndarray | None = None,
    past: int | None = None,
    lengths: list[int] | None = None,
    outputs: int = 1,
    dtype: str = "float32",
    name: str = "",
    factor: float = 1,
    **attributes: Any,
) -> None:
    inputs: list[Any] = [
        _random(*q, dtype=dtype, seed=1) * np.dtype(dtype).type(factor),
        _random(*k, dtype=dtype, seed=2) * np.dtype(dtype).type(factor),
        _random(*(v or k), dtype=dtype, seed=3),
    ]
    inputs += [mask, None, None, None]
    if past is not None:
        heads = attributes.get("kv_num_heads") or k[1]
        sizes = [shape[3] if len(shape) == 4 else shape[2] // heads for shape in (k, v or k)]
        inputs[4] = _random(k[0], heads, past, sizes[0], dtype=dtype, seed=4)
        inputs[5] = _random(k[0], heads, past, sizes[1], dtype=dtype, seed=5)
    if lengths is not None:
        inputs[6] = np.array(lengths, np.int64)
    while inputs[-1] is None:
        inputs.pop()
    # A fused scale is an attribute, and those are float32.
    tolerance = {"float32": 1e-5, "float64": 1e-7, "float16": 4e-3}[dtype]
    text = "-".join(f"{key}{value}" for key, value in attributes.items())
    CASES.append(
        Case(
            "Attention",
            inputs,
            attributes,
            outputs=outputs,
            rtol=tolerance,
            atol=tolerance,
            id=f"{q}-{k}-{v or ''}-m{None if mask is None else (mask.dtype.name, mask.shape)}-p{past}-l{lengths}-"
            f"{outputs}-{dtype}-{text}-{name}".replace(" ", "").replace("'", ""),
        )
    )


_boolean = np.random.default_rng(6).random((2, 1, 7, 9)) > 0.3
_boolean[..., 0] = True
for _dtype in ["float32", "float64", "float16"]:
    attention((2, 3, 7, 8), (2, 3, 9, 8), dtype=_dtype)
    attention((2, 7, 24), (2, 9, 24), (2, 9, 15), q_num_heads=3, kv_num_heads=3, dtype=_dtype)
    attention((2, 3, 7, 8), (2, 3, 9, 8), mask=_random(7, 9, dtype=_dtype, seed=7), dtype=_dtype)
    attention((2, 3, 7, 8), (2, 3, 9, 8), mask=_boolean, dtype=_dtype)
    attention((2, 3, 7, 8), (2, 3, 5, 8), past=4, outputs=3, is_causal=1, dtype=_dtype)
    attention((2, 3, 7, 8), (2, 3, 9, 8), is_causal=1, softcap=1.5, dtype=_dtype)
attention((1, 1, 1, 1), (1, 1, 1, 1))
attention((1, 2, 197, 64), (1, 2, 197, 64))
attention((1, 130, 128), (1, 130, 128), q_num_heads=2, kv_num_heads=2, is_causal=1)
attention((2, 6, 5, 8), (2, 2, 9, 8))
attention((2, 5, 48), (2, 9, 16), q_num_heads=6, kv_num_heads=2, is_causal=1)
attention((2, 6, 5, 8), (2, 1, 9, 8), mask=_random(2, 6, 5, 9, seed=8))
attention((2, 3, 7, 8), (2, 3, 9, 8), (2, 3, 9, 5), scale=0.3)
for _shape in [(9,), (1, 9), (7, 1), (2, 1, 1, 9), (3, 7, 9), (2, 3, 7, 9), (1, 3, 1, 9)]:
    attention((2, 3, 7, 8), (2, 3, 9, 8), mask=_random(*_shape, seed=9))
attention((2, 3, 7, 8), (2, 3, 9, 8), mask=_random(7, 6, seed=10), name="short")
attention((2, 3, 7, 8), (2, 3, 9, 8), mask=_boolean[..., :6].copy(), name="short")
attention((2, 3, 7, 8), (2, 3, 9, 8), mask=_boolean, is_causal=1)
attention((2, 3, 7, 8), (2, 3, 9, 8), mask=_random(7, 9, seed=11), is_causal=1, scale=0.5)
attention((2, 3, 1, 8), (2, 3, 1, 8), past=12, outputs=3, is_causal=1)
attention((2, 4, 16), (2, 4, 16), past=3, outputs=3, q_num_heads=2, kv_num_heads=2)
# More queries than a block has, masks of every kind, scores so large that one of them takes all.
_rows = np.random.default_rng(19).random((2, 1, 79, 37)) > 0.3
_rows[:, :, 40] = False
attention((2, 3, 79, 16), (2, 3, 37, 16), mask=_rows)
attention((2, 3, 79, 16), (2, 3, 37, 16), mask=_rows[:1, :, :1].copy())
attention((2, 3, 79, 16), (2, 3, 37, 16), mask=_random(3, 79, 37, seed=20), is_causal=1)
attention((2, 3, 79, 16), (2, 3, 37, 16), lengths=[0, 23])
attention((2, 4, 41, 16), (2, 2, 50, 16), mask=_random(1, 50, seed=21))
attention((1, 2, 40, 8), (1, 2, 33, 8), factor=1000, name="large")
attention((2, 3, 4, 8), (2, 3, 9, 8), lengths=[5, 9])
attention((2, 3, 4, 8), (2, 3, 9, 8), lengths=[3, 8], is_causal=1)
attention((2, 3, 4, 8), (2, 3, 9, 8), lengths=[4, 7], mask=_random(4, 8, seed=12))
for _mode in range(4):
    attention(
        (2, 3, 7, 8),
        (2, 3, 9, 8),
        mask=_random(7, 9, seed=13),
        softcap=2.0 if _mode else 0.0,  # the reference evaluator caps also the raw scores
        outputs=4,
        qk_matmul_output_mode=_mode,
    )
    attention((2, 3, 7, 8), (2, 3, 5, 8), past=4, is_causal=1, outputs=4, qk_matmul_output_mode=_mode)
for _left, _right in [(2, -1), (-1, 1), (2, 1), (0, 0), (3, 0)]:
    attention((1, 2, 7, 8), (1, 2, 9, 8), left_window_size=_left, right_window_size=_right)
attention((1, 2, 7, 8), (1, 2, 7, 8), left_window_size=2, is_causal=1)
attention((1, 2, 7, 8), (1, 2, 4, 8), past=3, left_window_size=2, right_window_size=1, outputs=3)
# Windows and lengths so large or small that sums with them pass the end of int64.
for _left, _right in [(2**63 - 1, -1), (-1, 2**63 - 1), (2**63 - 1, 2**63 - 1), (2, 2**63 - 2)]:
    attention((1, 2, 7, 8), (1, 2, 9, 8), left_window_size=_left, right_window_size=_right)
for _causal in (0, 1):
    _q, _k = _random(2, 3, 4, 8, seed=22), _random(2, 3, 9, 8, seed=23)
    _scores = np.einsum("hsd,htd->hst", _q[1].astype(np.float64), _k[1].astype(np.float64)) / np.sqrt(8)
    _p = np.exp(_scores - _scores.max(-1, keepdims=True))
    _y = np.einsum("hst,htd->hsd", _p / _p.sum(-1, keepdims=True), _k[1].astype(np.float64)).astype(np.float32)
    CASES.append(
        Case(
            "Attention",
            [_q, _k, _k, None, None, None, np.array([-(2**63), 2**63 - 1], np.int64)],
            {"is_causal": _causal, "right_window_size": 2**63 - 1},
            expected=[np.stack([np.zeros_like(_y), _y])],
            id=f"lengths-at-the-ends-of-int64-{_causal}",
        )
    )
attention((2, 3, 7, 8), (2, 3, 9, 8), softmax_precision=1)

# Rows without any key become zeros.
_none = np.ones((7, 9), bool)
_none[2] = False
attention((2, 3, 7, 8), (2, 3, 9, 8), mask=_none, name="masked")
_minus = np.zeros((7, 9), np.float32)
_minus[3], _minus[4, ::2] = -np.inf, -np.inf
attention((2, 3, 7, 8), (2, 3, 9, 8), mask=_minus, name="masked")
attention((2, 3, 6, 8), (2, 3, 9, 8), lengths=[3, 8], is_causal=1, outputs=4, qk_matmul_output_mode=3, name="masked")


def fused(
    batch: int,
    heads: int,
    queries: int,
    keys: int,
    size: int,
    layouts: tuple[str, str, str, str],
    mask: tuple[int, ...] | None = None,
) -> None:
    q, k, v = (
        _random(batch, heads, queries, size, seed=14),
        _random(batch, heads, keys, size, seed=15),
        _random(batch, heads, keys, size, seed=16),
    )
    bias = (
        None
        if mask is None
        else np.where(_random(*mask, seed=17) > 0.8, -np.inf, _random(*mask, seed=18)).astype(np.float32)
    )
    scores = 0.4 * np.einsum("bhsd,bhtd->bhst", q.astype(np.float64), k.astype(np.float64))
    if bias is not None:
        scores = scores + bias
    p = np.exp(scores - scores.max(-1, keepdims=True))
    y = np.einsum("bhst,bhtd->bhsd", p / p.sum(-1, keepdims=True), v.astype(np.float64))

    def lay(x: np.ndarray, layout: str) -> np.ndarray:
        if layout == "BHDS":
            return np.ascontiguousarray(x.transpose(0, 1, 3, 2))
        if layout == "BSHD":
            return np.ascontiguousarray(x.transpose(0, 2, 1, 3)).reshape(x.shape[0], x.shape[2], -1)
        return x

    inputs = [lay(x, layout) for x, layout in zip((q, k, v), layouts, strict=False)]
    names = ["q_layout", "k_layout", "v_layout", "output_layout"]
    CASES.append(
        Case(
            "FusedAttention",
            inputs if bias is None else [*inputs, bias],
            {"num_heads": heads, "scale": 0.4, **dict(zip(names, layouts, strict=True))},
            domain="fastort",
            expected=[lay(y, layouts[3]).astype(np.float32)],
            atol=1e-5,
            id=f"{batch}-{heads}-{queries}-{keys}-{size}-{'-'.join(layouts)}-m{mask}".replace(" ", ""),
        )
    )


for _layouts in [
    ("BSHD", "BSHD", "BSHD", "BSHD"),
    ("BHSD", "BHSD", "BHSD", "BHSD"),
    ("BHSD", "BHDS", "BSHD", "BSHD"),
    ("BHDS", "BHSD", "BHDS", "BHSD"),
    ("BSHD", "BHSD", "BHSD", "BHSD"),
]:
    fused(2, 3, 13, 17, 8, _layouts)
    fused(1, 2, 128, 128, 64, _layouts, (1, 1, 1, 128))
    fused(2, 2, 65, 200, 40, _layouts, (2, 1, 65, 200))
fused(3, 4, 49, 49, 32, ("BHSD", "BHSD", "BHSD", "BSHD"), (1, 4, 49, 49))
fused(1, 2, 1, 33, 16, ("BHSD", "BHSD", "BHSD", "BSHD"), (33,))


def rotary(
    shape: tuple[int, ...],
    heads: int | None,
    size: int,
    rotated: int,
    interleaved: int,
    gather: bool,
    dtype: str = "float32",
    shared: bool = False,
) -> None:
    batch, tokens = 1 if shared else shape[0], shape[2] if len(shape) == 4 else shape[1]
    half = (rotated or size) // 2
    cache = (11, half) if gather else (batch, tokens, half)
    angles = np.random.default_rng(19).uniform(0, 6, cache)
    inputs: list[Any] = [
        _random(*shape, dtype=dtype, seed=20),
        np.cos(angles).astype(dtype),
        np.sin(angles).astype(dtype),
    ]
    if gather:
        inputs.append(np.random.default_rng(21).integers(0, 11, (batch, tokens)))
    CASES.append(
        Case(
            "RotaryEmbedding",
            inputs,
            {"num_heads": heads, "rotary_embedding_dim": rotated, "interleaved": interleaved},
            rtol=2e-3 if dtype == "float16" else 1e-5,
            atol=2e-3 if dtype == "float16" else 1e-6,
            id=f"{shape}-{rotated}-{interleaved}-{gather}-{dtype}{'-shared' * shared}".replace(" ", ""),
        )
    )


for _interleaved in (0, 1):
    for _gather in (False, True):
        rotary((2, 3, 5, 8), None, 8, 0, _interleaved, _gather)
        rotary((2, 5, 24), 3, 8, 0, _interleaved, _gather)
        rotary((2, 3, 5, 8), None, 8, 4, _interleaved, _gather)
        # PyTorch exports one row of positions for the whole batch.
        rotary((3, 2, 5, 8), None, 8, 0, _interleaved, _gather, shared=True)
rotary((1, 2, 5, 6), None, 6, 0, 0, True, "float16")
