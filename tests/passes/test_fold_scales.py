"""Constant factors that go into weights."""

from __future__ import annotations

import numpy as np
import pytest

from tests.passes.graphs import check, model, operators, random

WEIGHTS = {"w": random(8, 6), "b": random(6, seed=1), "s": random(6, seed=2) + 3, "half": np.float32(0.5)}
CONV = {"w": random(6, 4, 3, 3), "b": random(6, seed=1), "s": random(6, 1, 1, seed=2) + 3, "half": np.float32(0.5)}


@pytest.mark.parametrize("factor", ["Mul(p, s)", "Mul(s, p)", "Div(p, s)", "Mul(p, half)", "Div(p, half)"])
@pytest.mark.parametrize("product", ["p = MatMul(x, w)", "q = MatMul(x, w)\n p = Add(b, q)"], ids=["bare", "bias"])
def test_matmul(product: str, factor: str) -> None:
    proto = model(f"(float[n,5,8] x) => (float[n,5,6] y) {{ {product}\n y = {factor} }}", WEIGHTS)
    assert sum(operators(proto).values()) == 1
    check(proto, {"x": random(2, 5, 8)}, "fold_scales")


@pytest.mark.parametrize("factor", ["Mul(p, s)", "Div(p, s)", "Mul(half, p)"])
@pytest.mark.parametrize("product", ["p = Conv(x, w)", "p = Conv(x, w, b)"], ids=["bare", "bias"])
def test_conv(product: str, factor: str) -> None:
    proto = model(f"(float[n,4,7,7] x) => (float[n,6,5,5] y) {{ {product}\n y = {factor} }}", CONV)
    assert operators(proto) == {"Conv": 1}
    check(proto, {"x": random(2, 4, 7, 7)}, "fold_scales", 1e-4)


def test_scale_and_shift_behind_a_conv() -> None:
    body = "p = Conv(x, w, b)\n q = Mul(p, s)\n y = Add(q, s)"
    proto = model(f"(float[n,4,7,7] x) => (float[n,6,5,5] y) {{ {body} }}", CONV)
    assert operators(proto) == {"Conv": 1}
    check(proto, {"x": random(2, 4, 7, 7)}, "fold_scales", 1e-4)


@pytest.mark.parametrize(
    ("body", "outputs"),
    [
        ("p = MatMul(x, w)\n y = Mul(p, s)", ", float[n,5,6] p"),
        ("p = MatMul(x, w)\n y = Mul(p, s)\n z = Softmax(p)", ", float[n,5,6] z"),
        ("p = MatMul(x, w)\n y = Mul(p, s)\n z = MatMul(x, w)\n u = Softmax(z)", ", float[n,5,6] z, float[n,5,6] u"),
    ],
    ids=["output", "reader", "shared_weights"],
)
def test_must_not_fire(body: str, outputs: str) -> None:
    proto = model(f"(float[n,5,8] x) => (float[n,5,6] y{outputs}) {{ {body} }}", WEIGHTS)
    assert operators(proto)["Mul"] == 1
    check(proto, {"x": random(2, 5, 8)}, "fold_scales")


def test_a_factor_for_each_row_stays() -> None:
    proto = model(
        "(float[6,8] x) => (float[6,6] y) { p = MatMul(x, w)\n y = Mul(p, t) }", WEIGHTS | {"t": random(6, 1)}
    )
    assert operators(proto)["Mul"] == 1
    check(proto, {"x": random(6, 8)}, "fold_scales")
