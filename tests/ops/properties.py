"""What the tests with random shapes share: one-node models with sizes written out or erased."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import HealthCheck, settings
from onnx import helper, numpy_helper

import fastort

# The number of examples is that of the tier (see tests/conftest.py).
property_settings = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])


def run(
    op: str, inputs: list[np.ndarray | None], symbolic: bool, outputs: int = 1, **attributes: Any
) -> list[np.ndarray]:
    """The node's outputs; all inputs but the first are initializers where the sizes are not symbolic."""
    names = [f"x{i}" if value is not None else "" for i, value in enumerate(inputs)]
    given = [(name, value) for name, value in zip(names, inputs, strict=True) if value is not None]
    fed = len(given) if symbolic else 1
    kind = helper.np_dtype_to_tensor_dtype
    infos = [
        helper.make_tensor_value_info(name, kind(value.dtype), [None] * value.ndim if symbolic else value.shape)
        for name, value in given[:fed]
    ]
    constants = [numpy_helper.from_array(value, name) for name, value in given[fed:]]
    node = helper.make_node(op, names, [f"y{i}" for i in range(outputs)], **attributes)
    results = [helper.make_empty_tensor_value_info(name) for name in node.output]
    model = helper.make_model(helper.make_graph([node], op, infos, results, constants))
    session = fastort.InferenceSession(model.SerializeToString())
    return session.run(None, dict(given[:fed]))


def check(actual: np.ndarray, expected: np.ndarray) -> None:
    """Equality of type, shape and every element."""
    assert actual.dtype == expected.dtype
    assert actual.shape == expected.shape
    assert np.array_equal(actual, expected)


def check_close(actual: np.ndarray, expected: np.ndarray, tolerance: float) -> None:
    """`expected` may be of a wider type; the tolerance is relative to its largest element, and at least absolute."""
    assert actual.shape == expected.shape
    size = max(1.0, float(np.max(np.abs(expected), initial=0)))
    error = float(np.max(np.abs(actual.astype(np.float64) - expected), initial=0))
    assert error <= tolerance * size, f"{error} away, at most {tolerance * size} is right"
