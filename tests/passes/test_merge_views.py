"""Chains of Reshape, Squeeze, Unsqueeze and Transpose."""

from __future__ import annotations

import numpy as np

from tests.passes.graphs import check, model, operators, random


def test_reshapes_become_one() -> None:
    weights = {"a": np.array([-1, 12]), "b": np.array([-1, 3, 4]), "axis": np.array([0])}
    body = "p = Reshape(x, a)\n q = Unsqueeze(p, axis)\n r = Squeeze(q, axis)\n y = Reshape(r, b)"
    proto = model(f"(float[n,2,6] x) => (float[n,3,4] y) {{ {body} }}", weights)
    assert operators(proto) == {"Reshape": 1}
    check(proto, {"x": random(5, 2, 6)}, "merge_views")


def test_computed_shapes_become_constants() -> None:
    weights = {"zero": np.array([0]), "rest": np.array([2, 3])}
    body = "s = Shape(x)\n n = Gather(s, zero)\n t = Concat<axis = 0>(n, rest)\n r = Reshape(x, t)\n y = Relu(r)"
    proto = model(f"(float[n,6] x) => (float[n,2,3] y) {{ {body} }}", weights)
    assert operators(proto) == {"Reshape": 1, "Relu": 1}
    check(proto, {"x": random(5, 6)}, "merge_views")


def test_an_inner_view_is_an_output() -> None:
    weights = {"a": np.array([-1, 12]), "b": np.array([-1, 3, 4])}
    proto = model(
        "(float[n,2,6] x) => (float[n,12] p, float[n,3,4] y) { p = Reshape(x, a)\n y = Reshape(p, b) }", weights
    )
    assert operators(proto) == {"Reshape": 2}
    check(proto, {"x": random(5, 2, 6)}, "merge_views")


def test_back_and_forth_disappears() -> None:
    weights = {"a": np.array([-1, 12]), "b": np.array([-1, 2, 6])}
    body = "p = Reshape(x, a)\n q = Reshape(p, b)\n"
    body += "r = Transpose<perm = [2, 0, 1]>(q)\n s = Transpose<perm = [1, 2, 0]>(r)"
    proto = model(f"(float[n,2,6] x) => (float[n,2,6] y) {{ {body}\n y = Relu(s) }}", weights)
    assert operators(proto) == {"Relu": 1}
    check(proto, {"x": random(5, 2, 6)}, "merge_views")


def test_transposes_become_one() -> None:
    body = "p = Transpose<perm = [1, 0, 2]>(x)\n y = Transpose<perm = [0, 2, 1]>(p)"
    proto = model(f"(float[n,2,6] x) => (float[2,6,n] y) {{ {body} }}")
    assert operators(proto) == {"Transpose": 1}
    check(proto, {"x": random(5, 2, 6)}, "merge_views")


def test_transpose_of_an_axis_of_size_1_is_a_reshape() -> None:
    proto = model("(float[n,1,6] x) => (float[n,6,1] y) { y = Transpose<perm = [0, 2, 1]>(x) }")
    assert operators(proto) == {"Reshape": 1}
    check(proto, {"x": random(5, 1, 6)}, "merge_views")


def test_a_shape_that_is_not_known_stays_computed() -> None:
    proto = model("(float[n,m] x, int64[2] s) => (float[p,q] y) { y = Reshape(x, s) }")
    assert operators(proto) == {"Reshape": 1}
    check(proto, {"x": random(4, 6), "s": np.array([3, 8])}, "merge_views")


def test_empty_batches() -> None:
    weights = {"zero": np.array([0]), "rest": np.array([2, 3])}
    body = "s = Shape(x)\n n = Gather(s, zero)\n t = Concat<axis = 0>(n, rest)\n y = Reshape(x, t)"
    proto = model(f"(float[n,6] x) => (float[n,2,3] y) {{ {body} }}", weights)
    check(proto, {"x": random(0, 6)}, "merge_views")
