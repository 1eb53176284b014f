"""Data for the estimators and the comparison of a converted model with its origin."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import fastort

ROWS, FEATURES = 120, 5
_rng = np.random.default_rng(3)


def _grid(rows: int) -> np.ndarray:
    """Numbers of few binary digits: the middle between two of them, where trees split, is exact in float32."""
    return (np.round(_rng.standard_normal((rows, FEATURES)) * 32) / 32).astype(np.float32)


X, X_TEST = _grid(ROWS), _grid(53)
_signal = X @ np.array([1.0, -0.7, 0.4, 0.0, 0.2]) + 0.5 * X[:, 0] * X[:, 1]
TARGET = (_signal + 0.1 * _rng.standard_normal(ROWS)).astype(np.float32)
TARGETS = np.stack([TARGET, X[:, 2] - TARGET / 2], 1)
TWO = (TARGET > 0).astype(np.int64)
THREE = np.digitize(TARGET, [-0.7, 0.7]).astype(np.int64)
NAMES = np.array(["low", "middle", "high"])[THREE]
POSITIVE, POSITIVE_TEST = np.abs(X), np.abs(X_TEST)
HOLES, HOLES_TEST = X.copy(), X_TEST.copy()
HOLES[::4, 1], HOLES[1::5, 3], HOLES_TEST[::3, 1], HOLES_TEST[2::5, 0] = [np.nan] * 4
_colours = np.array(["red", "green", "blue", "grey"])
WORDS = np.stack([_colours[_rng.integers(4, size=ROWS)], _colours[_rng.integers(3, size=ROWS)]], 1).astype(object)
WORDS_TEST = np.stack([_colours[_rng.integers(4, size=29)], _colours[_rng.integers(4, size=29)]], 1).astype(object)
NUMBERS = _rng.integers(0, 6, (ROWS, 2)).astype(np.int64)
NUMBERS_TEST = _rng.integers(0, 8, (31, 2)).astype(np.int64)
TEXTS = np.array(
    [
        "the quick brown fox jumps over the lazy dog",
        "a lazy dog sleeps all day",
        "Brown bears sleep in winter, foxes do not",
        "the fox and the dog",
        "winter is over and the bears jump",
        "all dogs bark over a quick meal",
    ]
)
TEXTS_TEST = np.array(["the lazy fox", "bears bark", "nothing of it is known", "Over and over the dog jumps quick"])


@dataclass(frozen=True)
class Estimator:
    """One estimator, what it learns from and what its conversion must reproduce.

    Attributes:
        id: The name of the test.
        make: Gives the estimator, not yet fitted.
        x: What it is fitted on; the rows for prediction are `x_test`.
        y: The answers, where it needs any.
        methods: The methods whose results the model's outputs must equal, in order.
        options: For the converter.
        rtol: Relative tolerance.
        atol: Absolute tolerance.
        full: Takes seconds, and runs with --full alone.
    """

    id: str
    make: Callable[[], Any]
    x: Any = field(default_factory=lambda: X)
    y: Any = None
    x_test: Any = field(default_factory=lambda: X_TEST)
    methods: tuple[str, ...] = ("predict",)
    options: dict[str, Any] = field(default_factory=dict)
    rtol: float = 1e-4
    atol: float = 1e-5
    full: bool = False


def assert_same(actual: Any, expected: Any, rtol: float, atol: float) -> None:
    """Compares texts and whole numbers for equality, others by the tolerances.

    An estimator may give a sparse matrix, and one column where a model says for both classes what it says for the
    second; axes of size 1 come and go.
    """
    want = np.asarray(expected.toarray() if hasattr(expected, "toarray") else expected)
    have = np.asarray(actual)
    if have.size == 2 * want.size and want.ndim == 1:
        np.testing.assert_array_equal(have[:, 0], -have[:, 1])
        have = have[:, 1]
    assert [size for size in have.shape if size != 1] == [size for size in want.shape if size != 1]
    have = have.reshape(want.shape)
    if want.dtype.kind in "OUS":
        assert have.astype(str).tolist() == want.astype(str).tolist()
    elif want.dtype.kind in "iub":
        np.testing.assert_array_equal(have, want)
    else:
        np.testing.assert_allclose(have, want, rtol=rtol, atol=atol)


def run(model: Any, feeds: dict[str, Any]) -> list[Any]:
    """The outputs of a converted model."""
    return fastort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, feeds)
