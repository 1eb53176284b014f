"""MatMul and Gemm with bias, residual and activation."""

from __future__ import annotations

import numpy as np
import pytest

from tests.passes.graphs import check, model, operators, random

WEIGHTS = {
    "w": random(8, 6),
    "b": random(6, seed=1),
    "two": np.float32(1.4142135),
    "one": np.float32(1),
    "half": np.float32(0.5),
}
HEAD = "(float[n,5,8] x, float[n,5,6] r) => (float[n,5,6] y"
FEEDS = {"x": random(2, 5, 8), "r": random(2, 5, 6)}
FUSED = "fastort::MatMulEpilogue"
GELU = "e = Div(q, two)\n f = Erf(e)\n g = Add(f, one)\n h = Mul(q, g)\n y = Mul(h, half)"


@pytest.mark.parametrize(
    "body",
    [
        "p = MatMul(x, w)\n y = Add(p, b)",
        "p = MatMul(x, w)\n y = Add(b, p)",
        "p = MatMul(x, w)\n q = Add(p, b)\n y = Add(q, r)",
        "p = MatMul(x, w)\n q = Add(p, b)\n y = Relu(q)",
        f"p = MatMul(x, w)\n q = Add(p, b)\n {GELU}",
    ],
)
def test_fires(body: str) -> None:
    proto = model(f"{HEAD}) {{ {body} }}", WEIGHTS)
    assert operators(proto) == {FUSED: 1}
    check(proto, FEEDS, "fuse_matmul")


@pytest.mark.parametrize(
    "body",
    [
        "t = Transpose<perm = [0, 2, 1]>(z)\n y = MatMul(x, t)",
        "t = Transpose<perm = [0, 2, 1]>(x)\n u = Transpose<perm = [0, 2, 1]>(t)\n s = MatMul(u, v)\n y = Mul(s, half)",
        "t = Transpose<perm = [0, 2, 1]>(z)\n s = MatMul(x, t)\n q = Div(s, two)\n y = Add(q, b)",
    ],
)
def test_transposed_and_scaled_products(body: str) -> None:
    inputs = "float[n,5,8] x, float[n,6,8] z, float[n,8,6] v"
    proto = model(f"({inputs}) => (float[n,5,6] y) {{ {body} }}", WEIGHTS)
    assert operators(proto) == {FUSED: 1}
    check(proto, {"x": FEEDS["x"], "z": random(2, 6, 8), "v": random(2, 8, 6)}, "fuse_matmul")


ROWS = {"flat": np.array([-1, 8]), "back": np.array([-1, 5, 6]), "other": np.array([-1, 6, 5]), "wt": random(6, 8)}


@pytest.mark.parametrize(
    "body",
    [
        "p = Gemm(f, w)\n y = Reshape(p, back)",
        "p = Gemm(f, w, b)\n y = Reshape(p, back)",
        "p = Gemm<transB = 1, alpha = 0.5>(f, wt, b)\n y = Reshape(p, back)",
        "p = Gemm(f, w, b)\n q = Reshape(p, back)\n y = Relu(q)",
        "p = Gemm(f, w, b)\n q = Reshape(p, back)\n y = Add(r, q)",
    ],
)
def test_reshaped_rows(body: str) -> None:
    proto = model(f"{HEAD}) {{ f = Reshape(x, flat)\n {body} }}", WEIGHTS | ROWS)
    assert operators(proto) == {FUSED: 1}
    check(proto, FEEDS, "fuse_matmul")


@pytest.mark.parametrize(
    "body",
    [
        "p = Gemm<beta = 0.5>(f, w, b)\n y = Reshape(p, back)",
        "p = Gemm(f, w, half)\n y = Reshape(p, back)",
    ],
)
def test_reshaped_rows_with_another_addend(body: str) -> None:
    proto = model(f"{HEAD}) {{ f = Reshape(x, flat)\n {body} }}", WEIGHTS | ROWS)
    assert operators(proto)["Gemm"] == 1
    check(proto, FEEDS, "fuse_matmul")


def test_rows_that_become_others() -> None:
    proto = model(
        "(float[n,5,8] x) => (float[m,6,5] y) { f = Reshape(x, flat)\n p = Gemm(f, w, b)\n y = Reshape(p, other) }",
        WEIGHTS | ROWS,
    )
    assert operators(proto)["Gemm"] == 1
    check(proto, {"x": FEEDS["x"]}, "fuse_matmul")


def test_rows_that_others_read() -> None:
    proto = model(
        f"{HEAD}, float[m,6] p) {{ f = Reshape(x, flat)\n p = Gemm(f, w, b)\n y = Reshape(p, back) }}", WEIGHTS | ROWS
    )
    assert operators(proto)["Gemm"] == 1
    check(proto, FEEDS, "fuse_matmul")


def test_gemm_with_activation() -> None:
    proto = model("(float[n,8] x) => (float[n,6] y) { p = Gemm(x, w, b)\n y = Relu(p) }", WEIGHTS)
    assert operators(proto) == {"com.microsoft::FusedGemm": 1}
    check(proto, {"x": random(3, 8)}, "fuse_matmul")


@pytest.mark.parametrize("tail", ["y = Add(p, b)", "y = Add(p, r)", "y = Relu(p)"])
@pytest.mark.parametrize("other", ["output", "reader"])
def test_must_not_fire(tail: str, other: str) -> None:
    extra, output = ("", "p") if other == "output" else ("\n z = Softmax(p)", "z")
    proto = model(f"{HEAD}, float[n,5,6] {output}) {{ p = MatMul(x, w)\n {tail}{extra} }}", WEIGHTS)
    assert operators(proto)["MatMul"] == 1
    check(proto, FEEDS, "fuse_matmul")


def test_a_bias_that_makes_the_product_larger_stays() -> None:
    proto = model("(float[n,1,8] x, float[n,5,6] r) => (float[n,5,6] y) { p = MatMul(x, w)\n y = Add(p, r) }", WEIGHTS)
    assert operators(proto) == {"MatMul": 1, "Add": 1}
    check(proto, {"x": random(2, 1, 8), "r": FEEDS["r"]}, "fuse_matmul")
