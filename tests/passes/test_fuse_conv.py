"""Conv with bias, BatchNormalization, residual and activation."""

from __future__ import annotations

import pytest

from tests.passes.graphs import check, model, operators, random

WEIGHTS = {"w": random(6, 4, 3, 3), "b": random(6, seed=1), "c": random(6, 1, 1, seed=2)}
WEIGHTS |= {
    "gamma": random(6, seed=3),
    "beta": random(6, seed=4),
    "mean": random(6, seed=5),
    "var": random(6, seed=6) ** 2,
}
FUSED = "com.microsoft::FusedConv"
HEAD = "(float[n,4,7,7] x, float[n,6,5,5] r) => (float[n,6,5,5] y"
FEEDS = {"x": random(2, 4, 7, 7), "r": random(2, 6, 5, 5)}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("p = Conv(x, w)\n y = Add(p, c)", {"Conv": 1}),
        ("p = Conv(x, w, b)\n y = Add(c, p)", {"Conv": 1}),
        ("p = Conv(x, w, b)\n y = Relu(p)", {FUSED: 1}),
        ("p = Conv(x, w, b)\n y = Add(p, r)", {FUSED: 1}),
        ("p = Conv(x, w)\n q = Add(r, p)\n y = Relu(q)", {FUSED: 1}),
        ("p = Conv(x, w)\n q = Sigmoid(p)\n y = Mul(p, q)", {FUSED: 1}),
        ("p = Conv(x, w, b)\n q = BatchNormalization(p, gamma, beta, mean, var)\n y = Relu(q)", {FUSED: 1}),
        ("p = Conv(x, w)\n y = BatchNormalization(p, gamma, beta, mean, var)", {"Conv": 1}),
    ],
)
def test_fires(body: str, expected: dict[str, int]) -> None:
    proto = model(f"{HEAD}) {{ {body} }}", WEIGHTS)
    assert operators(proto) == expected
    check(proto, FEEDS, "fuse_conv", 1e-4)
    check(proto, FEEDS, "fold_batch_normalization", 1e-4)


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        ("p = Conv(x, w, b)\n y = Relu(p)", "Relu"),
        ("p = Conv(x, w, b)\n y = Add(p, r)", "Add"),
        ("p = Conv(x, w, b)\n y = BatchNormalization(p, gamma, beta, mean, var)", "BatchNormalization"),
    ],
)
@pytest.mark.parametrize("other", ["output", "reader"])
def test_must_not_fire(body: str, kept: str, other: str) -> None:
    extra, output = ("", "p") if other == "output" else ("\n z = Softmax(p)", "z")
    proto = model(f"{HEAD}, float[n,6,5,5] {output}) {{ {body}{extra} }}", WEIGHTS)
    assert operators(proto)[kept] == 1
    check(proto, FEEDS, "fuse_conv", 1e-4)


def test_a_residual_that_broadcasts_stays() -> None:
    proto = model(
        "(float[n,4,7,7] x, float[n,6,1,1] r) => (float[n,6,5,5] y) { p = Conv(x, w, b)\n y = Add(p, r) }", WEIGHTS
    )
    assert operators(proto) == {"Conv": 1, "Add": 1}
    check(proto, {"x": FEEDS["x"], "r": random(2, 6, 1, 1)}, "fuse_conv", 1e-4)
