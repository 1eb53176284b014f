"""Cases of random operators: the standard asks for the shape, the type and the distribution, not for the numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

# A value further from the mean than this many standard deviations is a failure. It happens once in 10^9 runs.
DEVIATIONS = 6


def check_bernoulli(inputs: list[Any], draws: list[list[Any]], expected: list[Any]) -> None:
    """Each element is 1 with the probability that its input states, independently of its neighbours."""
    probability = np.asarray(inputs[0], np.float64)
    for (drawn,) in draws:
        assert drawn.dtype == expected[0].dtype
        assert drawn.shape == expected[0].shape
        assert np.isin(drawn, [0, 1]).all()
    many = np.stack([drawn for (drawn,) in draws]).astype(np.float64)
    deviation = np.sqrt(probability * (1 - probability) / len(draws))
    assert (np.abs(many.mean(0) - probability) <= DEVIATIONS * deviation + 1e-12).all()


def check_bernoulli_body(inputs: list[Any], draws: list[list[Any]], expected: list[Any]) -> None:
    """The body that the standard gives is 1 where a random number exceeds the input: the other way round."""
    check_bernoulli([1 - np.asarray(inputs[0], np.float64)], draws, expected)


def check_dropout(inputs: list[Any], draws: list[list[Any]], expected: list[Any]) -> None:
    """What the mask keeps is scaled, the rest is 0; the share that is kept is the one asked for."""
    x = inputs[0]
    ratio = float(inputs[1])
    kept = []
    for results in draws:
        for result, like in zip(results, expected, strict=True):
            assert result.dtype == like.dtype
            assert result.shape == like.shape
        mask = results[1] if len(results) > 1 else results[0] != 0
        np.testing.assert_allclose(results[0], np.where(mask, x / (1 - ratio), 0), rtol=1e-6)
        kept.append(mask)
    # With a seed every run may draw the same.
    different = {mask.tobytes(): mask for mask in kept}.values()
    deviation = np.sqrt(ratio * (1 - ratio) / (len(different) * x.size))
    assert abs(np.mean(list(different)) - (1 - ratio)) <= DEVIATIONS * deviation


CHECKS: dict[str, Callable[[list[Any], list[list[Any]], list[Any]], None]] = {
    "test_bernoulli": check_bernoulli,
    "test_bernoulli_expanded": check_bernoulli_body,
    "test_bernoulli_double": check_bernoulli,
    "test_bernoulli_double_expanded": check_bernoulli_body,
    "test_bernoulli_seed": check_bernoulli,
    "test_bernoulli_seed_expanded": check_bernoulli_body,
    "test_training_dropout": check_dropout,
    "test_training_dropout_mask": check_dropout,
    "test_training_dropout_default": check_dropout,
    "test_training_dropout_default_mask": check_dropout,
}
