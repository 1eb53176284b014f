"""A Pad in front of a Conv or pool."""

from __future__ import annotations

import numpy as np
import pytest

from tests.passes.graphs import check, model, operators, random, session

WEIGHTS = {
    "w": random(6, 4, 3, 3),
    "pads": np.array([0, 0, 1, 2, 0, 0, 2, 0]),
    "short": np.array([1, 1, 1, 1]),
    "axes": np.array([-2, 3]),
    "zero": np.float32(0),
    "one": np.float32(1),
    "low": np.float32(-np.inf),
    "channels": np.array([0, 1, 0, 0, 0, 1, 0, 0]),
    "crop": np.array([0, 0, -1, 0, 0, 0, 0, 0]),
}
HEAD = "(float[n,4,7,7] x) => (float[n,c,h,v] y"
X = {"x": random(2, 4, 7, 7)}
CONV, POOL = "Conv<pads = [1, 1, 1, 1]>(p, w)", "MaxPool<kernel_shape = [3, 3]>(p)"
AVERAGE = "AveragePool<kernel_shape = [3, 3]"


@pytest.mark.parametrize(
    ("pad", "reader"),
    [
        ("Pad(x, pads)", CONV),
        ("Pad(x, pads, zero)", "Conv<strides = [2, 2]>(p, w)"),
        ("Pad(x, short, zero, axes)", CONV),
        ("Pad(x, pads, low)", POOL),
        ("Pad(x, pads)", AVERAGE + ">(p)"),
        ("Pad(x, short, , axes)", AVERAGE + ", pads = [1, 1, 1, 1], count_include_pad = 1>(p)"),
    ],
)
def test_fires(pad: str, reader: str) -> None:
    proto = model(f"{HEAD}) {{ p = {pad}\n y = {reader} }}", WEIGHTS)
    assert sum(operators(proto).values()) == 1
    check(proto, X, "fold_pads", 1e-4)


@pytest.mark.parametrize(
    ("pad", "reader"),
    [
        ("Pad(x, pads, one)", CONV),
        ("Pad<mode = 'edge'>(x, pads)".replace("'", '"'), CONV),
        ("Pad(x, pads)", POOL),
        ("Pad(x, channels)", AVERAGE + ">(p)"),
        ("Pad(x, short, , axes)", AVERAGE + ", pads = [1, 1, 1, 1]>(p)"),
    ],
)
def test_must_not_fire(pad: str, reader: str) -> None:
    proto = model(f"{HEAD}) {{ p = {pad}\n y = {reader} }}", WEIGHTS)
    assert operators(proto)["Pad"] == 1
    check(proto, X, "fold_pads", 1e-4)


def test_a_pad_that_crops_stays() -> None:
    proto = model(f"{HEAD}) {{ p = Pad(x, crop)\n y = {CONV} }}", WEIGHTS)
    assert operators(proto)["Pad"] == 1
    cropped = model("(float[n,4,6,7] x) => (float[n,6,6,7] y) { y = Conv<pads = [1, 1, 1, 1]>(x, w) }", WEIGHTS)
    results = [session(proto).run(None, X)[0], session(cropped).run(None, {"x": X["x"][:, :, 1:]})[0]]
    np.testing.assert_allclose(*results, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("extra", "output"), [("", "p"), ("\n z = Relu(p)", "z")])
def test_the_padded_value_is_wanted(extra: str, output: str) -> None:
    proto = model(f"{HEAD}, float[n,4,10,9] {output}) {{ p = Pad(x, pads)\n y = {CONV}{extra} }}", WEIGHTS)
    assert operators(proto)["Pad"] == 1
    check(proto, X, "fold_pads", 1e-4)
