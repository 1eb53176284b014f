"""Dead nodes, identities and equal nodes."""

from __future__ import annotations

import numpy as np

from tests.passes.graphs import check, model, operators, random

X = {"x": random(3, 4)}


def test_dead_nodes() -> None:
    proto = model("(float[n,4] x) => (float[n,4] y) { a = Exp(x)\n b = Sqrt(a)\n y = Relu(x) }")
    assert operators(proto) == {"Relu": 1}
    check(proto, X, "remove_dead_nodes")


def test_identities() -> None:
    weights = {"none": np.zeros(4, np.int64)}
    body = "a = Identity(x)\n b = Cast<to = 1>(a)\n c = Dropout(b)\n d = Pad(c, none)\n e = Concat<axis = 0>(d)"
    proto = model(f"(float[n,4] x) => (float[n,4] y) {{ {body}\n y = Relu(e) }}", weights)
    assert operators(proto) == {"Relu": 1}
    check(proto, X, "remove_identities")


def test_an_identity_that_is_an_output() -> None:
    proto = model("(float[n,4] x) => (float[n,4] y, float[n,4] z) { a = Relu(x)\n y = Identity(a)\n z = Exp(a) }")
    check(proto, X, "remove_identities")


def test_equal_nodes() -> None:
    proto = model("(float[n,4] x) => (float[n,4] y) { a = Exp(x)\n b = Exp(x)\n y = Add(a, b) }")
    assert operators(proto) == {"Exp": 1, "Add": 1}
    check(proto, X, "merge_equal_nodes")


def test_equal_nodes_with_different_attributes() -> None:
    body = "a = LeakyRelu<alpha = 0.1>(x)\n b = LeakyRelu<alpha = 0.2>(x)\n y = Add(a, b)"
    proto = model(f"(float[n,4] x) => (float[n,4] y) {{ {body} }}")
    assert operators(proto, ["fuse_elementwise_chains"]) == {"LeakyRelu": 2, "Add": 1}
    check(proto, X, "merge_equal_nodes")


def test_equal_nodes_that_are_outputs() -> None:
    proto = model("(float[n,4] x) => (float[n,4] y, float[n,4] z) { y = Exp(x)\n z = Exp(x) }")
    assert operators(proto) == {"Exp": 2}
    check(proto, X, "merge_equal_nodes")


def test_random_nodes_are_never_equal() -> None:
    proto = model("(float[2] x) => (float[2] y) { a = RandomNormalLike(x)\n b = RandomNormalLike(x)\n y = Sub(a, b) }")
    assert operators(proto)["RandomNormalLike"] == 2
