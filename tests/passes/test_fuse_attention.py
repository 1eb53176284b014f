"""Scaled-dot-product attention in the forms of PyTorch's exporters, BERT, ViT and Swin."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from tests.passes.graphs import check, model, operators, random, session

FUSED = "fastort::FusedAttention"
BHSD = "float[b,2,5,4] q, float[b,2,6,4] k, float[b,2,6,3] v"
FEEDS = {"q": random(3, 2, 5, 4), "k": random(3, 2, 6, 4, seed=1), "v": random(3, 2, 6, 3, seed=2)}
CONSTANTS = {"c": np.float32(0.5), "root": np.array([0.7], np.float32), "low": np.float32(-np.inf)}


def attention(
    scores: str, *, inputs: str = "", outputs: str = "", before: str = "", after: str = ""
) -> onnx.ModelProto:
    head = f"kt = Transpose<perm = [0, 1, 3, 2]>(k)\n{before}\n{scores}"
    body = f"{head}\np = Softmax<axis = -1>(s)\ny = MatMul(p, v)\n{after}"
    return model(f"({BHSD}{inputs}) => (float[b,2,5,3] y{outputs}) {{ {body} }}", CONSTANTS)


@pytest.mark.parametrize(
    "scores",
    [
        "s = MatMul(q, kt)",
        "m = MatMul(q, kt) s = Mul(m, c)",
        "m = MatMul(q, kt) s = Mul(c, m)",
        "m = MatMul(q, kt) s = Div(m, c)",
        "a = Mul(q, root) b2 = Mul(kt, root) s = MatMul(a, b2)",
        "a = Div(q, c) s = MatMul(a, kt)",
    ],
)
def test_scale(scores: str) -> None:
    proto = attention(scores.replace(") ", ")\n"))
    found = operators(proto)
    assert found[FUSED] == 1
    assert found["Softmax"] == found["MatMul"] == found["Mul"] == found["Div"] == 0
    assert found["Transpose"] == 0
    check(proto, FEEDS, "fuse_attention")


@pytest.mark.parametrize("mask", [(3, 2, 5, 6), (3, 1, 1, 6), (2, 5, 6), (5, 6), (6,)])
def test_additive_mask(mask: tuple[int, ...]) -> None:
    dims = ",".join(["b"] * (len(mask) == 4) + [str(n) for n in (mask[1:] if len(mask) == 4 else mask)])
    proto = attention("m = MatMul(q, kt)\n n = Mul(m, c)\n s = Add(n, mask)", inputs=f", float[{dims}] mask")
    assert operators(proto)[FUSED] == 1
    check(proto, FEEDS | {"mask": random(*mask, seed=4)}, "fuse_attention")


@pytest.mark.parametrize("order", ["take, m, low", "drop, low, m"])
def test_boolean_mask(order: str) -> None:
    name = order.split(",")[0]
    proto = attention(f"m = MatMul(q, kt)\n s = Where({order})", inputs=f", bool[b,1,5,6] {name}")
    assert operators(proto)[FUSED] == 1
    mask = np.random.default_rng(3).random((3, 1, 5, 6)) < 0.5
    mask[..., 0] = name == "take"
    check(proto, FEEDS | {name: mask}, "fuse_attention")


def test_two_masks() -> None:
    proto = attention(
        "m = MatMul(q, kt)\n n = Add(bias, m)\n s = Add(n, mask)", inputs=", float[1,2,5,6] bias, float[b,1,1,6] mask"
    )
    assert operators(proto)[FUSED] == 1
    check(proto, FEEDS | {"bias": random(1, 2, 5, 6), "mask": random(3, 1, 1, 6)}, "fuse_attention")


def test_scaled_mask_is_something_else() -> None:
    proto = attention("m = MatMul(q, kt)\n n = Add(m, mask)\n s = Mul(n, c)", inputs=", float[5,6] mask")
    assert operators(proto)[FUSED] == 0
    check(proto, FEEDS | {"mask": random(5, 6)}, "fuse_attention")


def test_finite_mask_is_something_else() -> None:
    proto = attention("m = MatMul(q, kt)\n s = Where(take, m, c)", inputs=", bool[b,1,5,6] take")
    assert operators(proto)[FUSED] == 0


def test_mask_that_makes_the_scores_larger() -> None:
    text = "(float[1,2,5,4] q, float[1,2,6,4] k, float[1,2,6,3] v, float[b,1,1,6] mask) => (float[b,2,5,3] y)"
    body = "kt = Transpose<perm=[0,1,3,2]>(k) m = MatMul(q, kt) s = Add(m, mask) p = Softmax(s) y = MatMul(p, v)"
    proto = model(f"{text} {{ {body.replace(') ', ')' + chr(10))} }}")
    assert operators(proto)[FUSED] == 0
    check(proto, {k: v[:1] for k, v in FEEDS.items()} | {"mask": random(3, 1, 1, 6)}, "fuse_attention")


def test_softmax_over_another_axis() -> None:
    body = "kt = Transpose<perm=[0,1,3,2]>(k)\n s = MatMul(q, kt)\n p = Softmax<axis=2>(s)\n y = MatMul(p, v)"
    proto = model(f"({BHSD}) => (float[b,2,5,3] y) {{ {body} }}")
    assert operators(proto)[FUSED] == 0
    check(proto, FEEDS, "fuse_attention")


@pytest.mark.parametrize(("inner", "shape"), [("p", "b,2,5,6"), ("s", "b,2,5,6"), ("m", "b,2,5,6")])
def test_an_inner_value_is_an_output(inner: str, shape: str) -> None:
    proto = attention("m = MatMul(q, kt)\n s = Mul(m, c)", outputs=f", float[{shape}] {inner}")
    assert operators(proto)[FUSED] == 0
    check(proto, FEEDS, "fuse_attention")


def test_an_inner_value_has_another_reader() -> None:
    proto = attention("s = MatMul(q, kt)", outputs=", float[b,2,5,6] z", after="z = Relu(p)")
    assert operators(proto)[FUSED] == 0
    check(proto, FEEDS, "fuse_attention")


def test_separate_projections_as_in_bert() -> None:
    """MatMul, Add, Reshape and Transpose for each of Q, K and V: the heads are read where they lie."""
    weights = {f"w{n}": random(8, 8, seed=i) for i, n in enumerate("qkv")} | {"bias": random(8), "c": np.float32(0.5)}
    weights |= {"split": np.array([0, 0, 2, 4]), "merge": np.array([0, 0, 8])}
    lines = []
    for name in "qkv":
        perm = "0, 2, 3, 1" if name == "k" else "0, 2, 1, 3"
        lines += [
            f"{name}0 = MatMul(x, w{name})",
            f"{name}1 = Add({name}0, bias)",
            f"{name}2 = Reshape({name}1, split)",
        ]
        lines += [f"{name} = Transpose<perm = [{perm}]>({name}2)"]
    lines += ["m = MatMul(q, k)", "n = Mul(m, c)", "s = Add(n, mask)", "p = Softmax(s)", "o = MatMul(p, v)"]
    lines += ["t = Transpose<perm = [0, 2, 1, 3]>(o)", "y = Reshape(t, merge)"]
    head = "(float[b,t,8] x, float[b,1,1,t] mask) => (float[b,t,8] y)"
    proto = model(head + " {" + "\n".join(lines) + "}", weights)
    assert operators(proto) == {"fastort::MatMulEpilogue": 3, FUSED: 1}
    check(proto, {"x": random(2, 7, 8), "mask": random(2, 1, 1, 7)}, "fuse_attention")


@pytest.mark.parametrize("split", ["gather", "split"])
def test_packed_projection_as_in_swin(split: str) -> None:
    weights = {"w": random(8, 24), "bias": random(24), "c": np.float32(0.5), "merge": np.array([-1, 6, 8])}
    weights |= {"five": np.array([-1, 6, 3, 2, 4]), "four": np.array([-1, 6, 2, 4])}
    weights |= {f"i{i}": np.int64(i) for i in range(3)} | {"position": random(1, 2, 6, 6)}
    lines = ["l0 = MatMul(x, w)", "l = Add(l0, bias)"]
    if split == "gather":
        lines += ["r = Reshape(l, five)", "t = Transpose<perm = [2, 0, 3, 1, 4]>(r)"]
        lines += [f"{name} = Gather<axis = 0>(t, i{i})" for i, name in enumerate("qkv")]
    else:
        lines += ["q0, k0, v0 = Split<axis = -1, num_outputs = 3>(l)"]
        for name in "qkv":
            lines += [f"{name}1 = Reshape({name}0, four)", f"{name} = Transpose<perm = [0, 2, 1, 3]>({name}1)"]
    lines += ["scaled = Mul(q, c)", "kt = Transpose<perm = [0, 1, 3, 2]>(k)", "m = MatMul(scaled, kt)"]
    lines += ["s = Add(m, position)", "p = Softmax(s)", "o = MatMul(p, v)"]
    lines += ["u = Transpose<perm = [0, 2, 1, 3]>(o)", "y = Reshape(u, merge)"]
    proto = model("(float[b,6,8] x) => (float[b,6,8] y) {" + "\n".join(lines) + "}", weights)
    assert operators(proto) == {"fastort::MatMulEpilogue": 1, FUSED: 1}
    check(proto, {"x": random(3, 6, 8)}, "fuse_attention")


def test_windows_as_in_swin() -> None:
    """A mask for each window: it repeats along the batch."""
    weights = {"bias": random(1, 2, 5, 6), "mask": random(1, 4, 1, 5, 6, seed=1), "c": np.float32(0.5)}
    weights |= {"windows": np.array([-1, 4, 2, 5, 6]), "flat": np.array([-1, 2, 5, 6])}
    lines = ["kt = Transpose<perm = [0, 1, 3, 2]>(k)", "scaled = Mul(q, c)", "m = MatMul(scaled, kt)"]
    lines += ["n = Add(m, bias)", "r = Reshape(n, windows)", "w = Add(r, mask)", "s = Reshape(w, flat)"]
    lines += ["p = Softmax(s)", "y = MatMul(p, v)"]
    inputs = {"q": (5, 4), "k": (6, 4), "v": (6, 3)}
    arrays = {name: random(8, 2, *shape, seed=i) for i, (name, shape) in enumerate(inputs.items())}
    # The batch is a multiple of the number of windows as far as one can see.
    signature = ", ".join(f"float[8,2,{rows},{size}] {name}" for name, (rows, size) in inputs.items())
    proto = model(f"({signature}) => (float[8,2,5,3] y) {{" + "\n".join(lines) + "}", weights)
    found = operators(proto)
    assert found == {FUSED: 1}
    check(proto, arrays, "fuse_attention")


def test_tokens_before_the_batch_as_in_vit() -> None:
    """nn.MultiheadAttention: [tokens, batch, 3 * heads * size], picked apart and put together again."""
    weights = {"w": random(8, 24), "bias": random(24), "four": np.array([5, -1, 3, 8]), "zero": np.array([0])}
    weights |= {"minus_two": np.array([-2]), "three": np.array([5, -1, 4]), "heads": np.array([-1, 2, 5, 4])}
    weights |= {f"i{i}": np.int64(i) for i in range(3)} | {"rows": np.array([-1, 8]), "root": np.float32(0.7)}
    lines = ["l0 = MatMul(x, w)", "l = Add(l0, bias)", "r = Reshape(l, four)", "e = Unsqueeze(r, zero)"]
    lines += ["t = Transpose<perm = [3, 1, 2, 0, 4]>(e)", "z = Squeeze(t, minus_two)"]
    for i, name in enumerate("qkv"):
        lines += [f"{name}0 = Gather<axis = 0>(z, i{i})", f"{name}1 = Reshape({name}0, three)"]
        lines += [f"{name}2 = Transpose<perm = [1, 0, 2]>({name}1)", f"{name} = Reshape({name}2, heads)"]
    lines += ["kt = Transpose<perm = [0, 1, 3, 2]>(k)", "a = Mul(q, root)", "c = Mul(kt, root)", "s = MatMul(a, c)"]
    lines += ["p = Softmax(s)", "o = MatMul(p, v)", "u = Transpose<perm = [2, 0, 1, 3]>(o)", "y = Reshape(u, rows)"]
    proto = model("(float[5,b,8] x) => (float[n,8] y) {" + "\n".join(lines) + "}", weights)
    found = operators(proto)
    assert found[FUSED] == 1
    assert found["Transpose"] == found["Gather"] == 0
    check(proto, {"x": random(5, 3, 8)}, "fuse_attention")


@pytest.mark.parametrize("name", ["q", "k", "v"])
def test_operands_with_the_items_of_a_head_apart(name: str) -> None:
    """Q, K or V is made by transposing tokens and items: K is read as it lies, the others are transposed."""
    sizes = {"q": "5,4", "k": "6,4", "v": "6,3"} | {name: {"q": "4,5", "k": "4,6", "v": "3,6"}[name]}
    names = {n: n + "0" if n == name else n for n in "qkv"}
    inputs = ", ".join(f"float[b,2,{sizes[n]}] {names[n]}" for n in "qkv")
    lines = [f"{name} = Transpose<perm = [0, 1, 3, 2]>({name}0)", "kt = Transpose<perm = [0, 1, 3, 2]>(k)"]
    lines += ["s = MatMul(q, kt)", "p = Softmax(s)", "y = MatMul(p, v)"]
    proto = model(f"({inputs}) => (float[b,2,5,3] y) {{" + "\n".join(lines) + "}")
    assert operators(proto)[FUSED] == 1
    feeds = {names[n]: FEEDS[n].swapaxes(2, 3).copy() if n == name else FEEDS[n] for n in "qkv"}
    check(proto, feeds, "fuse_attention")


def test_the_operator_itself() -> None:
    proto = model(f"({BHSD}) => (float[b,2,5,3] y) {{ y = Attention(q, k, v) }}", opset=23)
    assert operators(proto) == {FUSED: 1}
    check(proto, FEEDS, "fuse_attention")


def test_the_operator_with_a_causal_mask_stays() -> None:
    proto = model(f"({BHSD}) => (float[b,2,5,3] y) {{ y = Attention<is_causal = 1>(q, k, v) }}", opset=23)
    assert operators(proto) == {"Attention": 1}


def cached(outputs: str, tail: str = "") -> onnx.ModelProto:
    """A decoder's attention as PyTorch exports it: keys and values stand behind a past, and go out with it."""
    constants = {"heads": np.array([1, -1, 2, 4]), "c": np.float32(0.5)}
    lines = ["q0, k0, v0 = Split<axis = 2, num_outputs = 3>(x)"]
    lines += [f"{n}1 = Reshape({n}0, heads)\n {n}2 = Transpose<perm = [0, 2, 1, 3]>({n}1)" for n in "qkv"]
    lines += [
        "k = Concat<axis = -2>(pk, k2)",
        "v = Concat<axis = -2>(pv, v2)",
        "kt = Transpose<perm = [0, 1, 3, 2]>(k)",
    ]
    lines += ["m = MatMul(q2, kt)", "n = Mul(m, c)", "s = Add(n, mask)", "p = Softmax(s)", "y = MatMul(p, v)", tail]
    inputs = "float[1,s,24] x, float[1,2,t,4] pk, float[1,2,t,4] pv, float[1,1,s,1] mask"
    return model(f"({inputs}) => (float[1,2,s,4] y{outputs}) {{" + "\n".join(lines) + "}", constants)


@pytest.mark.parametrize(("tokens", "past"), [(1, 7), (5, 3), (4, 0)])
def test_keys_and_values_that_go_out_too(tokens: int, past: int) -> None:
    """The names that the model gives to the outputs' sizes hide nothing of how these are computed."""
    proto = cached(", float[1,2,total,4] k, float[1,2,whole,4] v")
    found = operators(proto)
    assert found[FUSED] == 1
    assert found["Softmax"] == found["MatMul"] == 0
    feeds = {"x": random(1, tokens, 24), "mask": random(1, 1, tokens, 1, seed=3)}
    check(proto, feeds | {"pk": random(1, 2, past, 4, seed=1), "pv": random(1, 2, past, 4, seed=2)}, "fuse_attention")


def test_probabilities_that_go_out_are_kept() -> None:
    assert operators(cached(", float[1,2,s,total] p"))[FUSED] == 0


def test_names_of_the_outputs_sizes() -> None:
    outputs = session(cached(", float[1,2,total,4] k, float[1,2,whole,4] v")).get_outputs()
    assert [o.shape for o in outputs] == [[1, 2, "s", 4], [1, 2, "total", 4], [1, 2, "whole", 4]]
