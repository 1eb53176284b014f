"""Elementwise operators as one pass over the data."""

from __future__ import annotations

import numpy as np
import pytest

from tests.passes.graphs import check, model, operators, random, session

CHAIN = "fastort::ElementwiseChain"
WEIGHTS = {"two": np.float32(2), "row": random(6), "column": random(5, 1), "six": np.float32(6), "zero": np.float32(0)}
HEAD = "(float[n,5,6] x, float[n,5,6] z) => (float[n,5,6] y"
FEEDS = {"x": random(2, 5, 6), "z": random(2, 5, 6, seed=1)}


@pytest.mark.parametrize(
    "body",
    [
        "a = Mul(x, two)\n y = Add(a, row)",
        "a = Sub(row, x)\n b = Abs(a)\n c = Exp(b)\n y = Div(z, c)",
        "a = Add(x, z)\n b = Clip(a, zero, six)\n c = Mul(b, column)\n y = LeakyRelu<alpha = 0.3>(c)",
        "a = Mul(x, x)\n b = Add(a, z)\n y = Mul(b, x)",
        "a = Max(x, z)\n b = Min(a, row)\n y = Tanh(b)",
        "a = Elu<alpha = 0.5>(x)\n b = Sigmoid(a)\n c = HardSigmoid<alpha = 0.3>(b)\n y = Neg(c)",
    ],
)
def test_fires(body: str) -> None:
    proto = model(f"{HEAD}) {{ {body} }}", WEIGHTS)
    assert operators(proto) == {CHAIN: 1}
    check(proto, FEEDS, "fuse_elementwise_chains")


def test_many_operands_make_several_chains() -> None:
    lines = ["a0 = Add(x, z)"] + [f"a{i} = Add(a{i - 1}, r{i})" for i in range(1, 12)] + ["y = Relu(a11)"]
    weights = {f"r{i}": random(6, seed=i) for i in range(1, 12)}
    proto = model(f"{HEAD}) {{ " + "\n".join(lines) + " }", weights)
    assert operators(proto) == {CHAIN: 2}
    check(proto, FEEDS, "fuse_elementwise_chains")


def test_an_inner_value_is_an_output() -> None:
    proto = model(f"{HEAD}, float[n,5,6] a) {{ a = Mul(x, two)\n y = Add(a, row) }}", WEIGHTS)
    assert operators(proto) == {"Mul": 1, "Add": 1}
    check(proto, FEEDS, "fuse_elementwise_chains")


def test_an_inner_value_has_another_reader() -> None:
    proto = model(f"{HEAD}, float[n,5,6] v) {{ a = Mul(x, two)\n y = Add(a, row)\n v = Softmax(a) }}", WEIGHTS)
    assert operators(proto) == {"Mul": 1, "Add": 1, "Softmax": 1}
    check(proto, FEEDS, "fuse_elementwise_chains")


def test_a_smaller_inner_value_stays() -> None:
    """Computed once for each row, not once for each element."""
    proto = model("(float[n,1] x, float[n,6] z) => (float[n,6] y) { a = Exp(x)\n y = Add(a, z) }")
    assert operators(proto) == {"Exp": 1, "Add": 1}
    check(proto, {"x": random(3, 1), "z": random(3, 6)}, "fuse_elementwise_chains")


def test_other_types_stay() -> None:
    proto = model("(double[n] x) => (double[n] y) { a = Exp(x)\n y = Neg(a) }")
    assert operators(proto) == {"Exp": 1, "Neg": 1}
    check(proto, {"x": random(4).astype(np.float64)}, "fuse_elementwise_chains")


ONE_ROW = [
    "a = Add(x, z)\n b = Sub(two, a)\n c = Mul(b, x)\n y = Div(z, c)",
    "a = Div(x, two)\n b = Exp(a)\n c = Add(b, z)\n y = Clip(c, zero, six)",
    "a = Max(x, z)\n b = Min(six, a)\n c = LeakyRelu<alpha = 0.3>(b)\n y = Sub(c, x)",
    "b = Sigmoid(x)\n c = Mul(b, z)\n y = Pow(c, two)",
]
EXTREME = np.array([1.5, -0.0, 0.0, np.inf, -np.inf, np.nan, 1e4, -1e4, 1e-40, 3e38], np.float32)


@pytest.mark.parametrize("body", ONE_ROW)
def test_one_element_has_the_bits_of_many(body: str) -> None:
    proto = model(f"(float[n] x, float[n] z) => (float[n] y) {{ {body} }}", WEIGHTS)
    assert operators(proto) == {CHAIN: 1}
    x, z = (grid.ravel() for grid in np.meshgrid(EXTREME, EXTREME))
    with np.errstate(all="ignore"):
        check(proto, {"x": x, "z": z}, "fuse_elementwise_chains")
    whole = session(proto)
    (many,) = whole.run(None, {"x": x, "z": z})
    for i in range(len(x)):
        (one,) = whole.run(None, {"x": x[i : i + 1], "z": z[i : i + 1]})
        assert one.tobytes() == many[i : i + 1].tobytes() or (np.isnan(one[0]) and np.isnan(many[i]))


@pytest.mark.parametrize("count", [0, 1, 2, 15, 16, 17, 511, 513, 1021, 20011])
def test_rows_beside_single_elements(count: int) -> None:
    proto = model("(float[n] x, float[1] z) => (float[n] y) { a = Mul(x, two)\n b = Sub(z, a)\n y = Tanh(b) }", WEIGHTS)
    assert operators(proto) == {CHAIN: 1}
    check(proto, {"x": random(count), "z": random(1, seed=1)}, "fuse_elementwise_chains")
