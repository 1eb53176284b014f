"""Activations that exporters write as several nodes."""

from __future__ import annotations

import numpy as np
import pytest

from tests.passes.graphs import check, model, operators, random

NUMBERS = {"zero": 0, "three": 3, "six": 6, "half": 0.5, "one": 1, "two": np.sqrt(2), "root": np.sqrt(0.5)}
NUMBERS |= {"cubic": 0.044715, "pi": np.sqrt(2 / np.pi), "sixth": 1 / 6}
WEIGHTS = {name: np.float32(value) for name, value in NUMBERS.items()}
TANH = "c = Pow(x, three)\n d = Mul(cubic, c)\n e = Add(x, d)\n f = Mul(pi, e)\n t = Tanh(f)\n g = Add(one, t)\n"
SIGMOID = "s = Sigmoid(x)\n y = Mul(x, s)"


def activation(body: str, outputs: str = ""):
    return model(f"(float[n,7] x) => (float[n,7] y{outputs}) {{ {body} }}", WEIGHTS)


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("Swish", SIGMOID),
        ("Swish", "s = Sigmoid(x)\n y = Mul(s, x)"),
        ("HardSwish", "a = Add(x, three)\n c = Clip(a, zero, six)\n m = Mul(x, c)\n y = Div(m, six)"),
        ("HardSwish", "a = Add(x, three)\n c = Clip(a, zero, six)\n d = Div(c, six)\n y = Mul(x, d)"),
        ("HardSwish", "h = HardSigmoid<alpha = 0.16666667, beta = 0.5>(x)\n y = Mul(x, h)"),
        ("Mish", "s = Softplus(x)\n t = Tanh(s)\n y = Mul(x, t)"),
        ("Gelu", "d = Div(x, two)\n e = Erf(d)\n a = Add(e, one)\n m = Mul(x, a)\n y = Mul(m, half)"),
        ("Gelu", "d = Mul(x, root)\n e = Erf(d)\n a = Add(one, e)\n m = Mul(half, a)\n y = Mul(x, m)"),
        ("Gelu", TANH + "h = Mul(half, x)\n y = Mul(h, g)"),
    ],
)
def test_fires(name: str, body: str) -> None:
    proto = activation(body)
    assert operators(proto) == {name: 1}
    check(proto, {"x": random(5, 7) * 4}, "recognize_activations")


@pytest.mark.parametrize(
    ("body", "outputs"),
    [
        (SIGMOID, ", float[n,7] s"),
        (SIGMOID + "\n z = Softmax(s)", ", float[n,7] z"),
        ("d = Div(x, two)\n e = Erf(d)\n a = Add(e, one)\n m = Mul(x, a)\n y = Mul(m, half)", ", float[n,7] e"),
        ("d = Div(x, one)\n e = Erf(d)\n a = Add(e, one)\n m = Mul(x, a)\n y = Mul(m, half)", ""),
        ("a = Add(x, three)\n c = Clip(a, zero, three)\n m = Mul(x, c)\n y = Div(m, six)", ""),
    ],
    ids=["output", "reader", "inner_output", "other_divisor", "other_bound"],
)
def test_must_not_fire(body: str, outputs: str) -> None:
    proto = activation(body, outputs)
    found = operators(proto)
    assert not {"Swish", "HardSwish", "Gelu"} & set(found)
    check(proto, {"x": random(5, 7) * 4}, "recognize_activations")
