"""BatchNormalization that stands alone, with the Relu behind it."""

from __future__ import annotations

import pytest

from tests.passes.graphs import check, model, operators, random

WEIGHTS = {name: random(9, seed=i) for i, name in enumerate(["gamma", "beta", "mean"])} | {
    "var": random(9, seed=6) ** 2
}
NORM = "p = BatchNormalization(x, gamma, beta, mean, var)\n y = Relu(p)"


@pytest.mark.parametrize("dims", ["n,9", "n,9,6", "n,9,5,6"])
def test_fires(dims: str) -> None:
    proto = model(f"(float[{dims}] x) => (float[{dims}] y) {{ {NORM} }}", WEIGHTS)
    assert operators(proto) == {"fastort::FusedBatchNormalization": 1}
    shape = [2 if size == "n" else int(size) for size in dims.split(",")]
    check(proto, {"x": random(*shape)}, "fuse_batch_normalization")


def test_between_convolutions() -> None:
    """In the layout of the convolutions, whose channels do not fill their last block."""
    weights = WEIGHTS | {"w": random(9, 16, 3, 3), "v": random(16, 9, 1, 1)}
    body = "a = Conv(x, w)\n b = Relu(a)\n p = BatchNormalization(b, gamma, beta, mean, var)\n"
    body += "r = Relu(p)\n y = Conv(r, v)"
    proto = model(f"(float[n,16,40,40] x) => (float[n,16,38,38] y) {{ {body} }}", weights)
    assert operators(proto)["fastort::FusedBatchNormalization"] == 1
    check(proto, {"x": random(1, 16, 40, 40)}, "fuse_batch_normalization", 1e-3)


@pytest.mark.parametrize(("extra", "output"), [("", "p"), ("\n z = Softmax(p)", "z")])
def test_must_not_fire(extra: str, output: str) -> None:
    proto = model(f"(float[n,9,6] x) => (float[n,9,6] y, float[n,9,6] {output}) {{ {NORM}{extra} }}", WEIGHTS)
    assert operators(proto)["BatchNormalization"] == 1
    check(proto, {"x": random(2, 9, 6)}, "fuse_batch_normalization")
