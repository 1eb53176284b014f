"""Transposes behind elementwise operators."""

from __future__ import annotations

import pytest

from tests.passes.graphs import check, model, operators, random

TO_LAST, TO_FIRST = "Transpose<perm = [0, 2, 3, 1]>", "Transpose<perm = [0, 3, 1, 2]>"


@pytest.mark.parametrize(
    "middle",
    [
        "m = Relu(t)",
        "m = Mul(t, gamma)",
        "m = Add(column, t)",
        "a = Sigmoid(t)\n m = Mul(t, a)",
        "u = Transpose<perm = [0, 3, 1, 2]>(x2)\n m = Add(t, u)",
    ],
)
def test_a_pair_cancels(middle: str) -> None:
    weights = {"gamma": random(8, 1, 1), "column": random(1, 5)}
    head = "(float[n,4,5,8] x, float[n,4,5,8] x2) => (float[n,4,5,8] y)" if "x2" in middle else ""
    head = head or "(float[n,4,5,8] x) => (float[n,4,5,8] y)"
    proto = model(f"{head} {{ t = {TO_FIRST}(x)\n {middle}\n y = {TO_LAST}(m) }}", weights)
    assert operators(proto)["Transpose"] == 0
    feeds = {"x": random(2, 4, 5, 8)} | ({"x2": random(2, 4, 5, 8, seed=1)} if "x2" in middle else {})
    check(proto, feeds, "move_transposes")


def test_residuals_as_in_convnext() -> None:
    """Two blocks that add to one stream: their sums are taken with the channels last, and only views stay between."""
    weights = {"gamma": random(8, 1, 1)}
    body = f"r = {TO_FIRST}(x)\n"
    for i in range(2):
        body += f"a{i} = {TO_LAST}(r{'' if i == 0 else 1})\n b{i} = Softmax(a{i})\n c{i} = {TO_FIRST}(b{i})\n"
        body += f"d{i} = Mul(gamma, c{i})\n r{i + 1} = Add(d{i}, r{'' if i == 0 else 1})\n"
    proto = model(f"(float[n,4,5,8] x) => (float[n,4,5,8] y) {{ {body} y = {TO_LAST}(r2) }}", weights)
    assert operators(proto) == {"Softmax": 2, "fastort::ElementwiseChain": 2}
    check(proto, {"x": random(2, 4, 5, 8)}, "move_transposes")


def test_different_permutations_stay() -> None:
    body = "t = Transpose<perm = [1, 0, 2]>(x)\n u = Transpose<perm = [2, 1, 0]>(x)\n y = Add(t, u)"
    proto = model(f"(float[4,4,4] x) => (float[4,4,4] y) {{ {body} }}")
    assert operators(proto) == {"Transpose": 2, "Add": 1}
    check(proto, {"x": random(4, 4, 4)}, "move_transposes")


def test_a_transpose_with_another_reader_stays() -> None:
    body = "t = Transpose<perm = [1, 0]>(x)\n y = Relu(t)\n z = Softmax<axis = 0>(t)"
    proto = model(f"(float[4,n] x) => (float[n,4] y, float[n,4] z) {{ {body} }}")
    assert operators(proto) == {"Transpose": 1, "Relu": 1, "Softmax": 1}
    check(proto, {"x": random(4, 3)}, "move_transposes")


def test_a_transpose_that_is_an_output_stays() -> None:
    proto = model("(float[4,n] x) => (float[n,4] t, float[n,4] y) { t = Transpose<perm = [1, 0]>(x)\n y = Relu(t) }")
    assert operators(proto) == {"Transpose": 1, "Relu": 1}
    check(proto, {"x": random(4, 3)}, "move_transposes")


def test_a_computed_operand_without_a_transpose() -> None:
    proto = model("(float[4,n] x, float[n,4] z) => (float[n,4] y) { t = Transpose<perm = [1, 0]>(x)\n y = Add(t, z) }")
    assert operators(proto) == {"Transpose": 1, "Add": 1}
    check(proto, {"x": random(4, 3), "z": random(3, 4)}, "move_transposes")
