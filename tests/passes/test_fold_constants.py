"""What is known when a session is made: constants, and sizes that do not depend on the input."""

from __future__ import annotations

import numpy as np

from tests.passes.graphs import check, model, operators, random


def test_constants() -> None:
    proto = model(
        "(float[b,4] x) => (float[b,4] y) { c = Add(two, two)\n d = Sqrt(c)\n y = Mul(x, d) }", {"two": np.float32(2)}
    )
    assert operators(proto) == {"Mul": 1}
    check(proto, {"x": random(3, 4)}, "fold_constants")


def test_sizes_beside_an_unknown_batch() -> None:
    """The scale 1 / sqrt(size of the last dimension), as the TorchScript exporter writes it."""
    weights = {"i": np.array([2]), "one": np.float32(1)}
    body = "s = Shape(x)\n n = Gather(s, i)\n f = Cast<to = 1>(n)\n r = Sqrt(f)\n c = Div(one, r)\n y = Mul(x, c)"
    proto = model(f"(float[b,t,16] x) => (float[b,t,16] y) {{ {body} }}", weights)
    assert operators(proto) == {"Mul": 1}
    check(proto, {"x": random(2, 3, 16)}, "fold_constants")


def test_sizes_stay_where_they_are_asked_for() -> None:
    proto = model("(float[b,16] x) => (int64[2] y) { y = Shape(x) }")
    assert operators(proto) == {"Shape": 1}
    check(proto, {"x": random(5, 16)}, "fold_constants")


def test_target_of_an_expand() -> None:
    """Sizes are never -1: the exporter's Where(Equal(sizes, -1), 1, sizes) is the sizes."""
    weights = {"minus": np.array([-1, -1]), "ones": np.array([1, 1]), "row": random(1, 8)}
    body = "s = Shape(x)\n e = Equal(s, minus)\n t = Where(e, ones, s)\n z = Expand(row, t)\n y = Add(x, z)"
    proto = model(f"(float[b,8] x) => (float[b,8] y) {{ {body} }}", weights)
    assert operators(proto)["Equal"] == 0
    check(proto, {"x": random(3, 8)}, "fold_constants")


def test_random_numbers_are_not_folded() -> None:
    proto = model("(float[2] x) => (float[2] y) { r = RandomNormal<shape = [2]>()\n y = Add(x, r) }")
    assert operators(proto)["RandomNormal"] == 1


def test_large_results_are_made_in_the_run() -> None:
    weights = {"shape": np.array([2000, 2000]), "one": np.ones((1, 1), np.float32)}
    proto = model("(float[1] x) => (float[2000,2000] y) { z = Expand(one, shape)\n y = Add(x, z) }", weights)
    assert operators(proto) == {"Expand": 1, "Add": 1}
    check(proto, {"x": random(1)}, "fold_constants")
