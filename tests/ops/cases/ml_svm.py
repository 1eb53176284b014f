"""Support vector machines of ai.onnx.ml: expected values are NumPy's, in float64."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tests.ops.case import Case

_rng = np.random.default_rng(31)
FEATURES = 5
GAMMA, COEF0 = 0.3, 0.25
_x = _rng.standard_normal((37, FEATURES)).astype(np.float32)


def case(op: str, x: np.ndarray, attributes: dict[str, Any], **rest: Any) -> Case:
    return Case(op, [x], attributes, domain="ai.onnx.ml", rtol=1e-4, atol=1e-5, **rest)


def floats(*shape: int) -> np.ndarray:
    return _rng.standard_normal(shape).astype(np.float32)


def similarity(kind: str, x: np.ndarray, vectors: np.ndarray, degree: float = 3) -> np.ndarray:
    x, vectors = x.astype(np.float32).astype(np.float64), vectors.astype(np.float64)
    gamma, coef0 = np.float64(np.float32(GAMMA)), COEF0
    dot = x @ vectors.T
    if kind == "RBF":
        return np.exp(-gamma * ((x[:, None] - vectors[None]) ** 2).sum(-1))
    return {
        "LINEAR": lambda: dot,
        "POLY": lambda: (gamma * dot + coef0) ** degree,
        "SIGMOID": lambda: np.tanh(gamma * dot + coef0),
    }[kind]()


def kernel(kind: str, degree: float = 3) -> dict[str, Any]:
    return {"kernel_type": kind, "kernel_params": [GAMMA, COEF0, degree]}


# ---- SVMRegressor


def regressor(kind: str, x: np.ndarray, supports: int, degree: float = 3, id: str = "", **more: Any) -> Case:
    vectors, weights = floats(supports, FEATURES), floats(supports)
    y = similarity(kind, x, vectors, degree) @ weights.astype(np.float64) + 0.125
    if more.get("one_class"):
        y = np.where(y > 0, 1, -1)
    attributes = {
        **kernel(kind, degree),
        "support_vectors": vectors.ravel().tolist(),
        "coefficients": weights.tolist(),
        "rho": [0.125],
        "n_supports": supports,
        **more,
    }
    return case("SVMRegressor", x, attributes, expected=[y.astype(np.float32).reshape(-1, 1)], id=id)


def regressors() -> Iterator[Case]:
    for kind in ["LINEAR", "POLY", "RBF", "SIGMOID"]:
        for supports in [1, 32, 71]:
            yield regressor(kind, _x, supports, id=f"{kind}-{supports}")
        yield regressor(kind, _x, 13, one_class=1, id=f"{kind}-one-class")
    for degree in [1, 2, 4]:
        yield regressor("POLY", _x, 13, degree, id=f"degree-{degree}")
    for dtype in [np.float64, np.int32, np.int64]:
        yield regressor("RBF", (_x * 2).astype(dtype), 13, id=np.dtype(dtype).name)
    yield regressor("RBF", _x[:0], 13, id="empty")
    yield regressor("RBF", _x[:1], 13, id="one-row")
    weights = floats(FEATURES)
    linear = {"coefficients": weights.tolist(), "rho": [-0.5], "n_supports": 0}
    y = _x.astype(np.float64) @ weights - 0.5
    yield case("SVMRegressor", _x, linear, expected=[y.astype(np.float32)[:, None]], id="no-vectors")
    logistic = 1 / (1 + np.exp(-y))
    yield case(
        "SVMRegressor",
        _x,
        {**linear, "post_transform": "LOGISTIC"},
        expected=[logistic.astype(np.float32)[:, None]],
        id="logistic",
    )


# ---- SVMClassifier


class Machine:
    """A machine of one against one with random vectors."""

    def __init__(self, kind: str, counts: list[int]) -> None:
        self.kind, self.counts, self.classes = kind, counts, len(counts)
        self.pairs = [(i, j) for i in range(self.classes) for j in range(i + 1, self.classes)]
        self.vectors = floats(sum(counts), FEATURES)
        self.weights = floats(self.classes - 1, sum(counts))
        self.rho = floats(len(self.pairs))
        self.prob_a, self.prob_b = -np.abs(floats(len(self.pairs))), floats(len(self.pairs))

    def attributes(self) -> dict[str, Any]:
        return {
            **kernel(self.kind),
            "vectors_per_class": self.counts,
            "support_vectors": self.vectors.ravel().tolist(),
            "coefficients": self.weights.ravel().tolist(),
            "rho": self.rho.tolist(),
        }

    def platt(self) -> dict[str, Any]:
        return {**self.attributes(), "prob_a": self.prob_a.tolist(), "prob_b": self.prob_b.tolist()}

    def scores(self, x: np.ndarray) -> np.ndarray:
        near = similarity(self.kind, x, self.vectors)
        owner = np.repeat(np.arange(self.classes), self.counts)
        columns = []
        for pair, (i, j) in enumerate(self.pairs):
            weights = np.where(owner == i, self.weights[j - 1], 0) + np.where(owner == j, self.weights[i], 0)
            columns.append(near @ weights.astype(np.float64) + self.rho[pair])
        return np.stack(columns, 1)

    def chosen(self, x: np.ndarray) -> np.ndarray:
        wins = np.zeros((len(x), self.classes))
        for score, (i, j) in zip(self.scores(x).T, self.pairs, strict=True):
            wins[np.arange(len(x)), np.where(score > 0, i, j)] += 1
        return wins.argmax(1)

    def probabilities(self, x: np.ndarray) -> np.ndarray:
        """Wu, Lin and Weng's second method, whose minimum is the solution of a linear system."""
        answers = []
        for row in self.scores(x):
            r = np.zeros((self.classes, self.classes))
            for pair, (i, j) in enumerate(self.pairs):
                sure = 1 / (1 + np.exp(row[pair] * self.prob_a[pair] + self.prob_b[pair]))
                r[i, j], r[j, i] = sure, 1 - sure
            q = np.diag((r**2).sum(0)) - r * r.T
            ones = np.ones((self.classes, 1))
            system = np.block([[q, ones], [ones.T, np.zeros((1, 1))]])
            answers.append(np.linalg.solve(system, np.append(np.zeros(self.classes), 1))[:-1])
        return np.array(answers).reshape(len(x), self.classes)


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def classifiers() -> Iterator[Case]:
    three = Machine("RBF", [3, 40, 7])
    ints, strings = {"classlabels_ints": [7, 5, 9]}, {"classlabels_strings": ["a", "b", "c"]}
    labels, words = np.array([7, 5, 9]), np.array(["a", "b", "c"], object)
    for kind in ["LINEAR", "POLY", "RBF", "SIGMOID"]:
        machine = Machine(kind, [3, 40, 7])
        expected = [labels[machine.chosen(_x)], machine.scores(_x).astype(np.float32)]
        yield case("SVMClassifier", _x, {**machine.attributes(), **ints}, outputs=2, expected=expected, id=kind)
    for dtype in [np.float64, np.int32, np.int64]:
        x = (_x * 2).astype(dtype)
        expected = [words[three.chosen(x)], three.scores(x).astype(np.float32)]
        name = np.dtype(dtype).name
        yield case("SVMClassifier", x, {**three.attributes(), **strings}, outputs=2, expected=expected, id=name)
    for post, change in {"SOFTMAX": softmax, "LOGISTIC": lambda s: 1 / (1 + np.exp(-s))}.items():
        attributes = {**three.attributes(), **strings, "post_transform": post}
        expected = [words[three.chosen(_x)], change(three.scores(_x)).astype(np.float32)]
        yield case("SVMClassifier", _x, attributes, outputs=2, expected=expected, id=post)

    # The iteration of the standard's origin, LIBSVM, stops at 0.005 / classes.
    for counts in [[4, 3], [3, 40, 7], [2, 1, 5, 3]]:
        machine = Machine("RBF", counts)
        names = {"classlabels_ints": list(range(len(counts)))}
        expected = [machine.chosen(_x), machine.probabilities(_x).astype(np.float32)]
        yield Case(
            "SVMClassifier",
            [_x],
            {**machine.platt(), **names},
            domain="ai.onnx.ml",
            outputs=2,
            expected=expected,
            atol=5e-3,
            id=f"probabilities-{len(counts)}",
        )

    two = Machine("RBF", [4, 3])
    score = two.scores(_x)[:, 0]
    logistic = 1 / (1 + np.exp(-score))
    for post, pair in {"NONE": (-score, score), "LOGISTIC": (1 - logistic, logistic)}.items():
        attributes = {**two.attributes(), "classlabels_ints": [3, 8], "post_transform": post}
        expected = [np.array([3, 8])[two.chosen(_x)], np.stack(pair, 1).astype(np.float32)]
        yield case("SVMClassifier", _x, attributes, outputs=2, expected=expected, id=f"two-{post}")
    for x, what in [(_x[:0], "empty"), (_x[:1], "one-row")]:
        expected = [labels[three.chosen(x)], three.scores(x).astype(np.float32)]
        yield case("SVMClassifier", x, {**three.attributes(), **ints}, outputs=2, expected=expected, id=what)

    weights = floats(3, FEATURES)
    y = _x.astype(np.float64) @ weights.T + 0.5
    attributes = {"coefficients": weights.ravel().tolist(), "rho": [0.5], **strings}
    expected = [words[y.argmax(1)], y.astype(np.float32)]
    yield case("SVMClassifier", _x, attributes, outputs=2, expected=expected, id="no-vectors")


CASES = [*regressors(), *classifiers()]
