"""DequantizeLinear, operator, QuantizeLinear become one operator on bytes."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import onnx
import onnx.reference
import pytest

from tests.passes.graphs import Arrays, model, operators, random, session

PASS = "fuse_quantized"
RNG = np.random.default_rng(5)


def integers(dtype: type, *shape: int) -> np.ndarray:
    info = np.iinfo(dtype)
    return RNG.integers(info.min, info.max + 1, shape).astype(dtype)


WEIGHTS: dict[str, np.ndarray] = {
    "xs": np.float32(0.02),
    "xz": np.uint8(117),
    "ys": np.float32(0.05),
    "yz": np.uint8(90),
    "low": np.uint8(0),
    "w": integers(np.int8, 6, 4, 3, 3),
    "ws": RNG.uniform(0.001, 0.01, 6).astype(np.float32),
    "wz": integers(np.int8, 6) // 8,
    "w1": np.float32(0.004),
    "z1": np.int8(0),
    "b": integers(np.int8, 6).astype(np.int32) * 50,
    "bz": np.int32(0),
    "d": integers(np.int8, 4, 1, 3, 3),
    "m": integers(np.int8, 4, 8),
    "ms": RNG.uniform(0.001, 0.01, 8).astype(np.float32),
    "mz": np.zeros(8, np.int8),
    "f": random(6, seed=3) * 0.1,
    "three": np.float32(3.0),
    "shape": np.array([0, -1], np.int64),
}
WEIGHTS["bs"] = (WEIGHTS["xs"] * WEIGHTS["ws"]).astype(np.float32)
HEAD = "(uint8[n,4,7,7] x, uint8[n,4,7,7] r) => (uint8[n,c,h,k] y"
DQ = "a = DequantizeLinear(x, xs, xz)\n e = DequantizeLinear(r, ys, yz)\n"
W = "v = DequantizeLinear<axis = 0>(w, ws, wz)\n u = DequantizeLinear<axis = 0>(b, bs)\n"
Q = "\n y = QuantizeLinear(p, ys, yz)"
FEEDS = {"x": integers(np.uint8, 2, 4, 7, 7), "r": integers(np.uint8, 2, 4, 7, 7)}
QCONV = "fastort::QLinearConv"


def agree(proto: onnx.ModelProto, feeds: Arrays) -> None:
    """With the pass, without it and by the reference the results differ by one quantum at most."""
    expected = onnx.reference.ReferenceEvaluator(proto).run(None, dict(feeds))
    for without in ([], [PASS]):
        results = session(proto, without).run(None, dict(feeds))
        for result, wanted in zip(results, expected, strict=True):
            assert result.dtype == wanted.dtype
            close = 1 if result.dtype.kind in "iu" else 1e-4
            assert np.max(np.abs(result.astype(np.float64) - wanted.astype(np.float64)), initial=0) <= close


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (W + "p = Conv(a, v, u)", {QCONV: 1}),
        (W + "p = Conv<pads = [1, 1, 1, 1], strides = [2, 2]>(a, v)", {QCONV: 1}),
        (W + "p = Conv<dilations = [2, 2]>(a, v, f)", {QCONV: 1}),
        (W + "q = Conv(a, v, u)\n p = Relu(q)", {QCONV: 1}),
        (W + "q = Conv(a, v, u)\n p = Clip(q, , three)", {QCONV: 1}),
        ("v = DequantizeLinear(w, w1)\n p = Conv(a, v)", {QCONV: 1}),
        ("v = DequantizeLinear(d, w1, z1)\n p = Conv<group = 4, pads = [1, 1, 1, 1]>(a, v)", {QCONV: 1}),
        ("p = Add(a, e)", {"fastort::QLinearAdd": 1}),
        ("q = Add(a, e)\n p = Relu(q)", {"fastort::QLinearAdd": 1}),
        ("p = Mul(a, e)", {"com.microsoft::QLinearMul": 1}),
        ("p = GlobalAveragePool(a)", {"com.microsoft::QLinearGlobalAveragePool": 1}),
        ("p = AveragePool<kernel_shape = [2, 3]>(a)", {"com.microsoft::QLinearAveragePool": 1}),
        ("p = MaxPool<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(e)", {"MaxPool": 1}),
        ("p = Transpose<perm = [0, 1, 3, 2]>(e)", {"Transpose": 1}),
        ("p = Concat<axis = 1>(a, e)", {"com.microsoft::QLinearConcat": 1}),
        ("p = Concat<axis = 1>(e, e)", {"Concat": 1}),
        ("p = Softmax<axis = 1>(a)", {"com.microsoft::QLinearSoftmax": 1}),
        ("p = Sigmoid(a)", {"fastort::ByteTable": 1}),
        ("q = HardSwish(a)\n p = Tanh(q)", {"fastort::ByteTable": 1}),
        ("p = Relu(a)", {"fastort::ByteTable": 1}),
        ("p = Identity(a)", {"fastort::ByteTable": 1}),
    ],
)
def test_fires(body: str, expected: dict[str, int]) -> None:
    proto = model(f"{HEAD}) {{ {DQ}{body}{Q} }}", WEIGHTS)
    assert operators(proto) == expected
    agree(proto, FEEDS)


def test_table_of_what_a_shape_makes_known() -> None:
    body = """(float[n,4] x) => (float[k] y) {
        zero = Constant<value_int = 0>() one = Constant<value_int = 1>()
        size = Shape<start = 0, end = 1>(x)
        stop = Squeeze(size)
        range = Range(zero, stop, one)
        numbers = Cast<to = 1>(range)
        q = QuantizeLinear(numbers, xs, low)
        a = DequantizeLinear(q, xs, low)
        p = Sigmoid(a)
        r = QuantizeLinear(p, w1, low)
        y = DequantizeLinear(r, w1, low) }"""
    proto = model(body, WEIGHTS)
    assert operators(proto)["fastort::ByteTable"] == 1
    agree(proto, {"x": random(5, 4)})


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("bias", ["", ", u"])
def test_fires_for_products(transposed: bool, bias: str) -> None:
    weights = {**WEIGHTS, "t": WEIGHTS["m"].T.copy(), "g": integers(np.int8, 8).astype(np.int32)}
    operand = "t" if transposed else "m"
    body = f"""(uint8[n,4] x) => (uint8[n,8] y) {{
        a = DequantizeLinear(x, xs, xz)
        v = DequantizeLinear<axis = {0 if transposed else 1}>({operand}, ms, mz)
        u = DequantizeLinear(g, w1)
        p = Gemm<transB = {int(transposed)}>(a, v{bias}){Q} }}"""
    proto = model(body, weights)
    assert operators(proto) == {"fastort::QGemm": 1}
    agree(proto, {"x": integers(np.uint8, 3, 4)})


def test_fires_for_matmul() -> None:
    body = f"""(uint8[n,3,4] x) => (uint8[n,3,8] y) {{
        a = DequantizeLinear(x, xs, xz)
        v = DequantizeLinear<axis = 1>(m, ms, mz)
        p = MatMul(a, v){Q} }}"""
    proto = model(body, WEIGHTS)
    assert operators(proto) == {"QLinearMatMul": 1}
    agree(proto, {"x": integers(np.uint8, 2, 3, 4)})


def test_a_chain_stays_in_bytes() -> None:
    body = f"""{DQ}{W} c1 = Conv(a, v, u)
        c2 = Relu(c1)
        c3 = QuantizeLinear(c2, xs, low)
        c4 = DequantizeLinear(c3, xs, low)
        c5 = Sigmoid(c4)
        c6 = QuantizeLinear(c5, ys, yz)
        c7 = DequantizeLinear(c6, ys, yz)
        p = GlobalAveragePool(c7){Q}"""
    proto = model(f"{HEAD}) {{ {body} }}", WEIGHTS)
    expected = {QCONV: 1, "fastort::ByteTable": 1, "com.microsoft::QLinearGlobalAveragePool": 1}
    assert operators(proto) == expected
    agree(proto, FEEDS)


def test_other_readers_keep_their_floats() -> None:
    """The dequantized input has a reader outside of the group, which goes on reading floats."""
    proto = model(f"{HEAD}, float[n,4,7,7] z) {{ {DQ}{W} p = Conv(a, v, u)\n z = Softplus(a){Q} }}", WEIGHTS)
    found = operators(proto)
    assert found[QCONV] == 1
    assert found["DequantizeLinear"] == 1
    agree(proto, FEEDS)


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        (W + "p = Conv(a, v, u)", "Conv"),
        ("p = Add(a, e)", "Add"),
        ("p = Mul(a, e)", "Mul"),
        ("p = AveragePool<kernel_shape = [2, 3]>(a)", "AveragePool"),
        ("p = Concat<axis = 1>(a, e)", "Concat"),
        ("p = Sigmoid(a)", "Sigmoid"),
    ],
)
@pytest.mark.parametrize("other", ["output", "reader"])
def test_must_not_fire_where_the_floats_are_read(body: str, kept: str, other: str) -> None:
    extra, output = ("", "p") if other == "output" else ("\n z = Softplus(p)", "z")
    proto = model(f"{HEAD}, float[n,c,h,k] {output}) {{ {DQ}{body}{extra}{Q} }}", WEIGHTS)
    assert operators(proto, ["fuse_elementwise_chains"])[kept] == 1
    agree(proto, FEEDS)


@pytest.mark.parametrize(
    ("signature", "body", "kept"),
    [
        (
            "(uint8[n,4,7,7] x, uint8[n,4,7,7] r, float s)",
            f"a = DequantizeLinear(x, s, xz)\n {W} p = Conv(a, v, u)",
            "Conv",
        ),
        ("(uint8[n,4,7,7] x, uint8[n,4,7,7] r, float s)", "a = DequantizeLinear(x, s, xz)\n p = Sigmoid(a)", "Sigmoid"),
        ("(uint8[n,4,7,7] x, uint8[n,4,7,7] r)", f"{DQ} p = Transpose<perm = [0, 1, 3, 2]>(a)", "QuantizeLinear"),
        ("(uint8[n,4,7,7] x, uint8[n,4,7,7] r)", f"{DQ} p = MaxPool<kernel_shape = [2, 2]>(a)", "QuantizeLinear"),
        ("(uint8[n,4,7,7] x, uint8[n,4,7,7] r)", f"{DQ}{W} q = Conv(a, v, u)\n p = LeakyRelu(q)", "FusedConv"),
    ],
)
def test_must_not_fire_elsewhere(signature: str, body: str, kept: str) -> None:
    """A scale that only the run knows, other parameters behind a movement, an operator in between."""
    proto = model(f"{signature} => (uint8[n,c,h,k] y) {{ {body}{Q} }}", WEIGHTS)
    found = {name.split("::")[-1]: count for name, count in operators(proto, ["fuse_elementwise_chains"]).items()}
    assert kept in found
    agree(proto, {**FEEDS, **({"s": np.array(0.03, np.float32)} if "float s" in signature else {})})


def test_must_not_fire_where_a_pool_gives_indices() -> None:
    body = f"{DQ} p, i = MaxPool<kernel_shape = [3, 3]>(e){Q}"
    proto = model(f"{HEAD}, int64[n,c,h,k] i) {{ {body} }}", WEIGHTS)
    assert operators(proto)["QuantizeLinear"] == 1
    pooled, indices = session(proto, []).run(None, dict(FEEDS))
    # The result has the parameters of what is pooled.
    np.testing.assert_array_equal(FEEDS["r"].ravel()[indices], pooled)
    windows = np.lib.stride_tricks.sliding_window_view(FEEDS["r"], (3, 3), axis=(2, 3))
    np.testing.assert_array_equal(pooled, windows.max(axis=(-2, -1)))


def test_sixteen_bits_stay() -> None:
    weights = {**WEIGHTS, "hz": np.uint16(7)}
    proto = model(
        "(uint16[n,4] x) => (uint16[n,4] y) { a = DequantizeLinear(x, xs, hz)\n p = Tanh(a)\n"
        " y = QuantizeLinear(p, xs, hz) }",
        weights,
        opset=21,
    )
    assert operators(proto)["Tanh"] == 1
    agree(proto, {"x": integers(np.uint16, 5, 4)})


def test_weights_that_no_group_takes_become_floats() -> None:
    proto = model(
        "(float[n,4] x) => (float[n,8] y) { v = DequantizeLinear<axis = 1>(m, ms, mz)\n y = MatMul(x, v) }", WEIGHTS
    )
    assert operators(proto) == {"MatMul": 1}
    assert operators(proto, ["fold_dequantized"])["DequantizeLinear"] == 1
    agree(proto, {"x": random(3, 4)})


def test_four_bit_weights_become_floats() -> None:
    weights = {"q": RNG.integers(-8, 8, (4, 8)).astype(ml_dtypes.int4), "s": np.float32(0.5)}
    proto = model(
        "(float[n,4] x) => (float[n,8] y) { v = DequantizeLinear(q, s)\n y = MatMul(x, v) }", weights, opset=21
    )
    assert operators(proto) == {"MatMul": 1}
    agree(proto, {"x": random(3, 4)})
