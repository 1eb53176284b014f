"""The decomposed forms of LayerNormalization and RMSNormalization."""

from __future__ import annotations

import numpy as np
import pytest

from tests.passes.graphs import check, model, operators, random

WEIGHTS = {
    "gamma": random(8, seed=1),
    "beta": random(8, seed=2),
    "two": np.float32(2),
    "eps": np.float32(1e-3),
    "axis": np.array([-1], np.int64),
}
HEAD = "mean = ReduceMean(x, axis) d = Sub(x, mean) "
SQUARES = {"pow": "p = Pow(d, two) ", "mul": "p = Mul(d, d) "}
TAIL = "v = ReduceMean(p, axis) e = Add(v, eps) s = Sqrt(e) "
QUOTIENTS = {"div": "n = Div(d, s) ", "reciprocal": "r = Reciprocal(s) n = Mul(d, r) "}
AFFINE = "g = Mul(n, gamma) y = Add(g, beta)"


def layer_norm(square: str = "pow", quotient: str = "div", affine: str = AFFINE, outputs: str = "float[b,4,8] y"):
    body = HEAD + SQUARES[square] + TAIL + QUOTIENTS[quotient] + affine
    return model(f"(float[b,4,8] x) => ({outputs}) {{ {body.replace(') ', ')' + chr(10))} }}", WEIGHTS)


@pytest.mark.parametrize("quotient", QUOTIENTS)
@pytest.mark.parametrize("square", SQUARES)
def test_layer_normalization(square: str, quotient: str) -> None:
    proto = layer_norm(square, quotient)
    assert operators(proto) == {"LayerNormalization": 1}
    check(proto, {"x": random(2, 4, 8) * 3 + 1}, "fuse_layer_normalization")


@pytest.mark.parametrize("affine", ["g = Mul(gamma, n) y = Identity(g)", "y = Identity(n)"], ids=["no_bias", "bare"])
def test_parts_of_the_affine_form(affine: str) -> None:
    proto = layer_norm(affine=affine)
    assert operators(proto)["LayerNormalization"] == 1
    check(proto, {"x": random(2, 4, 8)}, "fuse_layer_normalization")


def test_several_axes() -> None:
    weights = WEIGHTS | {"gamma": random(4, 8, seed=1), "beta": random(4, 8, seed=2), "axis": np.array([1, 2])}
    body = (HEAD + SQUARES["pow"] + TAIL + QUOTIENTS["div"] + AFFINE).replace(") ", ")\n")
    proto = model(f"(float[b,4,8] x) => (float[b,4,8] y) {{ {body} }}", weights)
    assert operators(proto) == {"LayerNormalization": 1}
    check(proto, {"x": random(3, 4, 8)}, "fuse_layer_normalization")


def test_rms_normalization() -> None:
    body = (
        "p = Pow(x, two)\n v = ReduceMean(p, axis)\n e = Add(v, eps)\n s = Sqrt(e)\n n = Div(x, s)\n y = Mul(n, gamma)"
    )
    proto = model(f"(float[b,4,8] x) => (float[b,4,8] y) {{ {body} }}", WEIGHTS)
    assert operators(proto) == {"RMSNormalization": 1}
    check(proto, {"x": random(2, 4, 8)}, "fuse_layer_normalization")


@pytest.mark.parametrize("inner", ["d", "v", "n"])
def test_an_inner_value_is_an_output(inner: str) -> None:
    shape = "b,4,1" if inner == "v" else "b,4,8"
    proto = layer_norm(outputs=f"float[b,4,8] y, float[{shape}] {inner}")
    found = operators(proto, ["fuse_elementwise_chains"])
    assert found["Sqrt"] == (0 if inner == "n" else 1)  # what comes before the affine form is whole without it
    check(proto, {"x": random(2, 4, 8)}, "fuse_layer_normalization")


def test_an_inner_value_has_another_reader() -> None:
    proto = layer_norm(affine=AFFINE + "\n z = Relu(s)", outputs="float[b,4,8] y, float[b,4,1] z")
    assert operators(proto)["LayerNormalization"] == 0
    check(proto, {"x": random(2, 4, 8)}, "fuse_layer_normalization")


def test_leading_axes_are_something_else() -> None:
    weights = WEIGHTS | {"axis": np.array([1])}
    body = (HEAD + SQUARES["pow"] + TAIL + QUOTIENTS["div"] + AFFINE).replace(") ", ")\n")
    proto = model(f"(float[b,4,8] x) => (float[b,4,8] y) {{ {body} }}", weights)
    assert operators(proto)["LayerNormalization"] == 0
    check(proto, {"x": random(2, 4, 8)}, "fuse_layer_normalization")


def test_the_mean_of_another_value() -> None:
    body = (HEAD + "q = Pow(x, two)\n p = Identity(q) " + TAIL + QUOTIENTS["div"] + AFFINE).replace(") ", ")\n")
    proto = model(f"(float[b,4,8] x) => (float[b,4,8] y) {{ {body} }}", WEIGHTS)
    assert operators(proto)["LayerNormalization"] == 0
    check(proto, {"x": random(2, 4, 8)}, "fuse_layer_normalization")
