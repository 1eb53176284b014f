"""A product of bytes, the cast of its sums, their scale and a bias become one operator."""

from __future__ import annotations

import numpy as np
import onnx.reference
import pytest

from tests.passes.graphs import Arrays, model, operators, random, session

PASS = "fuse_integer_products"
FUSED = "com.microsoft::MatMulIntegerToFloat"
RNG = np.random.default_rng(8)
WEIGHTS: Arrays = {
    "w": RNG.integers(-128, 128, (6, 5)).astype(np.int8),
    "u": RNG.integers(0, 256, (6, 5)).astype(np.uint8),
    "wz": np.int8(0),
    "cz": RNG.integers(-9, 9, 5).astype(np.int8),
    "uz": np.uint8(120),
    "s": np.float32(0.02),
    "cs": RNG.uniform(0.01, 0.02, 5).astype(np.float32),
    "square": RNG.uniform(0.01, 0.02, (4, 5)).astype(np.float32),
    "b": random(5, seed=1),
    "rows": random(4, 5, seed=2),
    "rz": np.array([[1], [2], [3], [4]], np.uint8),
}
DQ = "q, xs, xz = DynamicQuantizeLinear(x)\n"
HEAD = "(float[4,6] x) => (float[4,5] y"


def check(body: str, expected: bool, head: str = HEAD) -> None:
    proto = model(f"{head}) {{ {DQ}{body} }}", WEIGHTS)
    feeds = {"x": random(4, 6, seed=3)}
    assert (operators(proto).get(FUSED, 0) == 1) == expected
    wanted = onnx.reference.ReferenceEvaluator(proto).run(None, feeds)
    for without in ([], [PASS]):
        for got, want in zip(session(proto, without).run(None, feeds), wanted, strict=True):
            np.testing.assert_allclose(got, want, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize(
    "body",
    [
        "p = MatMulInteger(q, w, xz, wz)\n f = Cast<to = 1>(p)\n t = Mul(xs, s)\n y = Mul(f, t)",
        "p = MatMulInteger(q, w, xz)\n f = Cast<to = 1>(p)\n t = Mul(s, xs)\n y = Mul(t, f)",
        "p = MatMulInteger(q, w, xz, cz)\n f = Cast<to = 1>(p)\n t = Mul(xs, cs)\n y = Mul(f, t)",
        "p = MatMulInteger(q, u, xz, uz)\n f = Cast<to = 1>(p)\n t = Mul(cs, xs)\n y = Mul(f, t)",
        "p = MatMulInteger(q, w, xz)\n f = Cast<to = 1>(p)\n t = Mul(xs, s)\n m = Mul(f, t)\n y = Add(m, b)",
        "p = MatMulInteger(q, w, xz)\n f = Cast<to = 1>(p)\n t = Mul(xs, s)\n m = Mul(f, t)\n y = Add(b, m)",
        # The sum with something else than a vector stays behind.
        "p = MatMulInteger(q, w, xz)\n f = Cast<to = 1>(p)\n t = Mul(xs, s)\n m = Mul(f, t)\n y = Add(m, rows)",
    ],
)
def test_fires(body: str) -> None:
    check(body, True)


def test_takes_the_bias() -> None:
    body = "p = MatMulInteger(q, w, xz)\n f = Cast<to = 1>(p)\n t = Mul(xs, s)\n m = Mul(f, t)\n y = Add(m, b)"
    found = operators(model(f"{HEAD}) {{ {DQ}{body} }}", WEIGHTS))
    assert found == {"DynamicQuantizeLinear": 1, FUSED: 1}


@pytest.mark.parametrize(
    ("body", "outputs"),
    [
        ("p = MatMulInteger(q, w, rz)\n f = Cast<to = 1>(p)\n t = Mul(xs, s)\n y = Mul(f, t)", ""),
        ("p = MatMulInteger(q, w, xz)\n f = Cast<to = 1>(p)\n t = Mul(xs, square)\n y = Mul(f, t)", ""),
        ("p = MatMulInteger(q, w, xz)\n f = Cast<to = 1>(p)\n t = Add(xs, s)\n y = Mul(f, t)", ""),
        ("p = MatMulInteger(q, w, xz)\n f = Cast<to = 1>(p)\n t = Mul(xs, s)\n y = Mul(f, t)", ", float[4,5] f"),
        ("p = MatMulInteger(q, w, xz)\n f = Cast<to = 1>(p)\n t = Mul(xs, s)\n y = Mul(f, t)", ", int32[4,5] p"),
    ],
)
def test_must_not_fire(body: str, outputs: str) -> None:
    """A zero point for each row, a scale for each number, no product of scales, sums that somebody else reads."""
    check(body, False, HEAD + outputs)
