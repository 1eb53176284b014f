"""Attention that takes a past and makes the present itself."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from tests.passes.graphs import check, model, operators, random, session

FUSED = "fastort::FusedAttention"
PRESENT = ", float[b,2,total,4] k, float[b,2,whole,6] v"


def decoder(
    outputs: str = PRESENT,
    *,
    inputs: str = "float[b,2,t,4] pk, float[b,2,t,6] pv",
    k: str = "k = Concat<axis = -2>(pk, k2)",
    v: str = "v = Concat<axis = 2>(pv, v2)",
    before: str = "",
    tail: str = "",
) -> onnx.ModelProto:
    """A layer as PyTorch exports it: one product for Q, K and V, whose keys and values stand behind a past."""
    constants = {"c": np.float32(0.5), "sizes": np.array([8, 8, 12]), "four": np.array([0, 0, 2, 4])}
    constants |= {"six": np.array([0, 0, 2, 6]), "merge": np.array([0, 0, 12])}
    lines = ["q0, k0, v0 = Split<axis = 2>(x, sizes)"]
    for name, heads in (("q", "four"), ("k", "four"), ("v", "six")):
        lines += [f"{name}1 = Reshape({name}0, {heads})", f"{name}2 = Transpose<perm = [0, 2, 1, 3]>({name}1)"]
    lines += [k, v, before, "kt = Transpose<perm = [0, 1, 3, 2]>(k)", "m = MatMul(q2, kt)", "n = Mul(m, c)"]
    lines += ["s = Add(n, mask)", "p = Softmax(s)", "o = MatMul(p, v)"]
    lines += ["u = Transpose<perm = [0, 2, 1, 3]>(o)", "y = Reshape(u, merge)", tail]
    head = f"(float[b,s,28] x, {inputs}, float[b,1,s,1] mask) => (float[b,s,12] y{outputs})"
    return model(head + " {" + "\n".join(lines) + "}", constants)


def feeds(tokens: int, past: int, batch: int = 2) -> dict[str, np.ndarray]:
    return {
        "x": random(batch, tokens, 28),
        "pk": random(batch, 2, past, 4, seed=1),
        "pv": random(batch, 2, past, 6, seed=2),
        "mask": random(batch, 1, tokens, 1, seed=3),
    }


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize(("tokens", "past"), [(1, 7), (1, 131), (5, 3), (4, 0), (37, 29)])
def test_the_present_goes_out(tokens: int, past: int, batch: int) -> None:
    proto = decoder()
    found = operators(proto)
    assert found[FUSED] == 1
    assert found["Concat"] == found["Transpose"] == 0
    check(proto, feeds(tokens, past, batch), "fuse_past")


def test_one_product_for_all_is_read_where_it_lies() -> None:
    """As in GPT-2: Q, K and V of one size are parts of one tensor, and nothing is split or transposed."""
    constants = {"c": np.float32(0.5), "heads": np.array([0, 0, 2, 4])}
    lines = ["q0, k0, v0 = Split<axis = 2, num_outputs = 3>(x)"]
    lines += [f"{n}1 = Reshape({n}0, heads)\n {n}2 = Transpose<perm = [0, 2, 1, 3]>({n}1)" for n in "qkv"]
    lines += ["k = Concat<axis = 2>(pk, k2)", "v = Concat<axis = 2>(pv, v2)", "kt = Transpose<perm = [0, 1, 3, 2]>(k)"]
    lines += ["m = MatMul(q2, kt)", "s = Mul(m, c)", "p = Softmax(s)", "y = MatMul(p, v)"]
    inputs = "float[b,s,24] x, float[b,2,t,4] pk, float[b,2,t,4] pv"
    outputs = "float[b,2,s,4] y, float[b,2,total,4] k, float[b,2,whole,4] v"
    proto = model(f"({inputs}) => ({outputs}) {{" + "\n".join(lines) + "}", constants)
    assert operators(proto) == {FUSED: 1}
    for tokens, past in ((1, 9), (3, 5), (2, 0)):
        rows = {"pk": random(2, 2, past, 4, seed=1), "pv": random(2, 2, past, 4, seed=2)}
        check(proto, {"x": random(2, tokens, 24)} | rows, "fuse_past")


def test_a_past_that_nobody_wants_back() -> None:
    proto = decoder("")
    assert operators(proto)["Concat"] == 0
    check(proto, feeds(3, 5), "fuse_past")


def test_a_later_reader_of_the_present() -> None:
    proto = decoder(", float[b,2,total,4] z", tail="z = Neg(k)")
    found = operators(proto)
    assert found["Concat"] == 0
    assert found["Neg"] == 1
    check(proto, feeds(2, 5), "fuse_past")


def test_keys_that_are_scaled_before_they_are_kept() -> None:
    proto = decoder(k="k3 = Mul(k2, c)\n k = Concat<axis = 2>(pk, k3)")
    assert operators(proto)["Concat"] == 0
    check(proto, feeds(3, 5), "fuse_past")


@pytest.mark.parametrize(
    "changed",
    [
        {"k": "k = Concat<axis = 2>(k2, pk)", "v": "v = Concat<axis = 2>(v2, pv)"},
        {"k": "k = Concat<axis = 2>(pk, k2, pk)", "v": "v = Concat<axis = 2>(pv, v2, pv)", "outputs": ""},
    ],
)
def test_concatenations_of_another_order_or_number(changed: dict[str, str]) -> None:
    """The order of the rows does not matter to the attention itself, which takes the first operand as the past."""
    proto = decoder(**changed)
    check(proto, feeds(3, 5), "fuse_past")
    check(proto, feeds(3, 0), "fuse_past")


def test_three_pieces_stay() -> None:
    proto = decoder("", k="k = Concat<axis = 2>(pk, k2, pk)", v="v = Concat<axis = 2>(pv, v2, pv)")
    assert operators(proto)["Concat"] == 2


def test_another_axis_stays() -> None:
    """Heads, not rows, side by side."""
    text = "(float[b,1,6,4] pk, float[b,1,6,4] k2, float[b,1,6,3] pv, float[b,1,6,3] v2, float[b,2,5,4] q)"
    lines = ["k = Concat<axis = 1>(pk, k2)", "v = Concat<axis = 1>(pv, v2)", "kt = Transpose<perm = [0, 1, 3, 2]>(k)"]
    lines += ["s = MatMul(q, kt)", "p = Softmax(s)", "y = MatMul(p, v)"]
    proto = model(text + " => (float[b,2,5,3] y) {" + "\n".join(lines) + "}")
    found = operators(proto)
    assert found[FUSED] == 1
    assert found["Concat"] == 2
    arrays = {"pk": random(3, 1, 6, 4), "k2": random(3, 1, 6, 4, seed=1), "q": random(3, 2, 5, 4, seed=4)}
    check(proto, arrays | {"pv": random(3, 1, 6, 3, seed=2), "v2": random(3, 1, 6, 3, seed=3)}, "fuse_past")


def test_keys_alone_stay() -> None:
    """Values without a past of their own rows: another concatenation would be needed for them."""
    proto = decoder(inputs="float[b,2,t,4] pk, float[b,2,u,6] pv", v="w = Concat<axis = 2>(pv, v2)\n v = Relu(w)")
    assert operators(proto)["Concat"] == 2
    check(proto, feeds(3, 5), "fuse_past")


def test_an_earlier_reader_stays() -> None:
    """The mask of the attention comes from the present keys: they cannot be made by the attention."""
    constants = {"axes": np.array([1, 2, 3])}
    lines = ["k = Concat<axis = 2>(pk, k2)", "v = Concat<axis = 2>(pv, v2)", "mask = ReduceMax(k, axes)"]
    lines += ["kt = Transpose<perm = [0, 1, 3, 2]>(k)", "m = MatMul(q, kt)", "s = Add(m, mask)", "p = Softmax(s)"]
    lines += ["y = MatMul(p, v)"]
    inputs = "float[b,2,t,4] pk, float[b,2,s,4] k2, float[b,2,t,4] pv, float[b,2,s,4] v2, float[b,2,s,4] q"
    proto = model(f"({inputs}) => (float[b,2,s,4] y) {{" + "\n".join(lines) + "}", constants)
    found = operators(proto)
    assert found[FUSED] == 1
    assert found["Concat"] >= 1
    arrays = {
        name: random(2, 2, 3 if "2" in name or name == "q" else 5, 4, seed=i)
        for i, name in enumerate(("pk", "k2", "pv", "v2", "q"))
    }
    check(proto, arrays, "fuse_past")


def test_double_and_half() -> None:
    for number, bits, tolerance in ((onnx.TensorProto.DOUBLE, np.float64, 1e-10), (10, np.float16, 2e-2)):
        proto = decoder()
        for value in (*proto.graph.input, *proto.graph.output):
            value.type.tensor_type.elem_type = number
        weight = next(w for w in proto.graph.initializer if w.name == "c")
        weight.CopyFrom(onnx.numpy_helper.from_array(np.array(0.5, bits), "c"))
        assert operators(proto)["Concat"] == 0
        given = {name: array.astype(bits) for name, array in feeds(3, 5).items()}
        results = session(proto).run(None, given)
        plain = session(proto, ["fuse_past", "fuse_attention"]).run(None, given)
        for result, wanted in zip(results, plain, strict=True):
            np.testing.assert_allclose(result.astype(np.float64), wanted.astype(np.float64), tolerance, tolerance)


def test_lengths_of_the_pasts_that_differ_are_refused() -> None:
    given = feeds(3, 5)
    given["pv"] = random(2, 2, 4, 6)
    with pytest.raises(Exception, match=r"pv|differ|past"):
        session(decoder()).run(None, given)
