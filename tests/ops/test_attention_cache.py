"""Attention operators with a cache that past and present share, and what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import fastort

from .cases.contrib_attention import attend, heads_of, tokens_of

HEADS, KV_HEADS, SIZE, CAPACITY = 4, 2, 16, 300


def model(op: str, inputs: list[tuple[str, int, list[Any]] | None], outputs: list[str], **attributes: Any) -> bytes:
    node = helper.make_node(op, [i[0] if i else "" for i in inputs], outputs, domain="com.microsoft", **attributes)
    graph = helper.make_graph(
        [node],
        "attention",
        [helper.make_tensor_value_info(*i) for i in inputs if i],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
    )
    opsets = [helper.make_opsetid("", onnx.defs.onnx_opset_version()), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets).SerializeToString()


def group_query(**attributes: Any) -> bytes:
    return model(
        "GroupQueryAttention",
        [
            ("q", TensorProto.FLOAT, [1, "tokens", HEADS * SIZE]),
            ("k", TensorProto.FLOAT, [1, "tokens", KV_HEADS * SIZE]),
            ("v", TensorProto.FLOAT, [1, "tokens", KV_HEADS * SIZE]),
            ("past_k", TensorProto.FLOAT, [1, KV_HEADS, CAPACITY, SIZE]),
            ("past_v", TensorProto.FLOAT, [1, KV_HEADS, CAPACITY, SIZE]),
            ("lengths", TensorProto.INT32, [1]),
            ("total", TensorProto.INT32, [1]),
        ],
        ["y", "present_k", "present_v"],
        num_heads=HEADS,
        kv_num_heads=KV_HEADS,
        **attributes,
    )


def multi_head(**attributes: Any) -> bytes:
    cache = [1, HEADS, CAPACITY, SIZE]
    return model(
        "MultiHeadAttention",
        [
            *((name, TensorProto.FLOAT, [1, "tokens", HEADS * SIZE]) for name in "qkv"),
            None,
            None,
            None,
            ("past_k", TensorProto.FLOAT, cache),
            ("past_v", TensorProto.FLOAT, cache),
            ("past", TensorProto.INT32, [1]),
        ],
        ["y", "present_k", "present_v"],
        num_heads=HEADS,
        unidirectional=1,
        **attributes,
    )


@pytest.mark.parametrize("op", ["GroupQueryAttention", "MultiHeadAttention"])
@pytest.mark.parametrize("threads", [1, 2])
def test_steps_write_into_the_bound_cache(op: str, threads: int) -> None:
    group = op == "GroupQueryAttention"
    kv_heads = KV_HEADS if group else HEADS
    options = fastort.SessionOptions()
    options.intra_op_num_threads = threads
    session = fastort.InferenceSession(group_query() if group else multi_head(), options)
    rng = np.random.default_rng(0)
    # What lies behind the rows in use must not matter.
    buffers = [np.full((1, kv_heads, CAPACITY, SIZE), np.nan, np.float32) for _ in range(2)]
    caches = [fastort.OrtValue.ortvalue_from_numpy(buffer) for buffer in buffers]
    keys = values = np.zeros((1, kv_heads, 0, SIZE))
    for tokens in [20, 1, 1, 3, 240, 1, 2]:
        q = rng.standard_normal((1, tokens, HEADS * SIZE)).astype(np.float32)
        k, v = (rng.standard_normal((1, tokens, kv_heads * SIZE)).astype(np.float32) for _ in range(2))
        past = keys.shape[2]
        total = past + tokens
        keys = np.concatenate([keys, heads_of(k.astype(np.float64), kv_heads)], 2)
        values = np.concatenate([values, heads_of(v.astype(np.float64), kv_heads)], 2)
        visible = np.arange(total) <= np.arange(tokens)[:, None] + past
        expected, _, _ = attend(heads_of(q.astype(np.float64), HEADS), keys, values, visible=visible)

        binding = session.io_binding()
        feeds = {"q": q, "k": k, "v": v}
        if group:
            feeds |= {"lengths": np.array([total - 1], np.int32), "total": np.array([total], np.int32)}
        else:
            feeds |= {"past": np.array([past], np.int32)}
        for name, array in feeds.items():
            binding.bind_cpu_input(name, array)
        for name, cache in zip("kv", caches, strict=True):
            binding.bind_ortvalue_input(f"past_{name}", cache)
            binding.bind_ortvalue_output(f"present_{name}", cache)
        binding.bind_output("y")
        session.run_with_iobinding(binding)
        results = dict(zip(["present_k", "present_v", "y"], binding.get_outputs(), strict=True))
        np.testing.assert_allclose(results["y"].numpy(), tokens_of(expected), rtol=2e-5, atol=2e-5)
        for cache, rows in zip(caches, (keys, values), strict=True):
            np.testing.assert_allclose(cache.numpy()[:, :, :total], rows, rtol=1e-6)
            assert np.isnan(cache.numpy()[:, :, total:]).all()


def feeds_of(lengths: int, total: int, tokens: int = 1) -> dict[str, np.ndarray]:
    return {
        "q": np.zeros((1, tokens, HEADS * SIZE), np.float32),
        "k": np.zeros((1, tokens, KV_HEADS * SIZE), np.float32),
        "v": np.zeros((1, tokens, KV_HEADS * SIZE), np.float32),
        "past_k": np.zeros((1, KV_HEADS, CAPACITY, SIZE), np.float32),
        "past_v": np.zeros((1, KV_HEADS, CAPACITY, SIZE), np.float32),
        "lengths": np.array([lengths], np.int32),
        "total": np.array([total], np.int32),
    }


@pytest.mark.parametrize(("lengths", "total"), [(-1, 5), (-7, 5), (5, 5), (2**31 - 1, 5), (400, 402), (3, -1)])
def test_lengths_outside_the_cache_are_refused(lengths: int, total: int) -> None:
    session = fastort.InferenceSession(group_query())
    with pytest.raises(Exception, match="GroupQueryAttention"):
        session.run(None, feeds_of(lengths, total))


@pytest.mark.parametrize("past", [-1, 300, 2**31 - 1])
def test_a_past_outside_the_buffer_is_refused(past: int) -> None:
    session = fastort.InferenceSession(multi_head())
    cache = np.zeros((1, HEADS, CAPACITY, SIZE), np.float32)
    tokens = np.zeros((1, 1, HEADS * SIZE), np.float32)
    feeds = {"q": tokens, "k": tokens, "v": tokens, "past_k": cache, "past_v": cache}
    with pytest.raises(Exception, match="MultiHeadAttention"):
        session.run(None, {**feeds, "past": np.array([past], np.int32)})


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"k_quant_type": "PER_TENSOR"}, "k_quant_type"),
        ({"v_quant_type": "PER_CHANNEL"}, "v_quant_type"),
        ({"kv_cache_bit_width": 8}, "quantized cache"),
        ({"sliding_window_cache": 1, "local_window_size": 8}, "sliding_window_cache"),
    ],
)
def test_other_caches_are_refused(attributes: dict[str, Any], reason: str) -> None:
    with pytest.raises(Exception, match=reason):
        fastort.InferenceSession(group_query(**attributes))


def test_rotation_inside_attention_is_refused() -> None:
    bytes_ = model(
        "Attention",
        [("x", TensorProto.FLOAT, [1, 2, 8]), ("w", TensorProto.FLOAT, [8, 48])],
        ["y"],
        num_heads=2,
        do_rotary=1,
    )
    with pytest.raises(Exception, match="do_rotary"):
        fastort.InferenceSession(bytes_)


def test_rotation_outside_the_caches_is_refused() -> None:
    inputs: list[Any] = [
        ("q", TensorProto.FLOAT, [1, 2, 64]),
        None,
        None,
        None,
        None,
        ("lengths", TensorProto.INT32, [1]),
        ("total", TensorProto.INT32, [1]),
        ("cos", TensorProto.FLOAT, [2, 8]),
        ("sin", TensorProto.FLOAT, [2, 8]),
        ("positions", TensorProto.INT64, [1, 2]),
    ]
    session = fastort.InferenceSession(
        model("GroupQueryAttention", inputs, ["y"], num_heads=2, kv_num_heads=1, do_rotary=1)
    )
    caches = np.zeros((2, 8), np.float32)
    feeds = {"q": np.zeros((1, 2, 64), np.float32), "cos": caches, "sin": caches}
    feeds |= {"lengths": np.array([1], np.int32), "total": np.array([2], np.int32)}
    for positions in ([-1, 0], [1, 2], [2, 3]):
        with pytest.raises(Exception, match="position"):
            session.run(None, {**feeds, "positions": np.array([positions], np.int64)})
