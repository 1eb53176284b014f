"""Adagrad, Adam and Momentum: expected values from the formulas of the standard in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.ops.case import Case

rng = np.random.default_rng(22)
SHAPES = [(3,), (2, 5)]


def adagrad(rate: float, t: int, x: Any, g: Any, h: Any, a: dict[str, float]) -> list[np.ndarray]:
    g = a["norm_coefficient"] * x + g
    h = h + g * g
    return [x - rate / (1 + t * a["decay_factor"]) * g / (np.sqrt(h) + a["epsilon"]), h]


def adam(rate: float, t: int, x: Any, g: Any, v: Any, h: Any, a: dict[str, float]) -> list[np.ndarray]:
    g = a["norm_coefficient"] * x + g
    v = a["alpha"] * v + (1 - a["alpha"]) * g
    h = a["beta"] * h + (1 - a["beta"]) * g * g
    if t > 0:
        rate = rate * np.sqrt(1 - a["beta"] ** t) / (1 - a["alpha"] ** t)
    return [(1 - a["norm_coefficient_post"]) * (x - rate * v / (np.sqrt(h) + a["epsilon"])), v, h]


def momentum(rate: float, t: int, x: Any, g: Any, v: Any, a: dict[str, Any]) -> list[np.ndarray]:
    g = a["norm_coefficient"] * x + g
    v = a["alpha"] * v + (a["beta"] if t > 0 else 1) * g
    return [x - rate * (g + a["alpha"] * v if a["mode"] == "nesterov" else v), v]


RULES: list[tuple[str, Any, int, dict[str, Any]]] = [
    ("Adagrad", adagrad, 1, {"norm_coefficient": 0.125, "decay_factor": 0.5, "epsilon": 2**-20}),
    (
        "Adam",
        adam,
        2,
        {"norm_coefficient": 0.125, "norm_coefficient_post": 0.25, "alpha": 0.75, "beta": 0.5, "epsilon": 2**-20},
    ),
    ("Momentum", momentum, 1, {"norm_coefficient": 0.125, "alpha": 0.75, "beta": 0.5, "mode": "standard"}),
    ("Momentum", momentum, 1, {"norm_coefficient": 0.125, "alpha": 0.75, "beta": 0.5, "mode": "nesterov"}),
]


def case(index: int, t: int, dtype: type, shapes: list[tuple[int, ...]]) -> Case:
    op, rule, states, attributes = RULES[index]
    groups = [[rng.standard_normal(shape).astype(dtype) for shape in shapes] for _ in range(2)]
    groups += [[rng.random(shape).astype(dtype) for shape in shapes] for _ in range(states)]
    columns = [rule(0.1, t, *tensors, attributes) for tensors in zip(*groups, strict=True)]
    expected = [column[k].astype(dtype) for k in range(1 + states) for column in columns]
    inputs = [np.array(0.1, dtype), np.array(t, np.int64), *[tensor for group in groups for tensor in group]]
    return Case(
        op,
        inputs,
        attributes,
        "ai.onnx.preview.training",
        outputs=len(expected),
        expected=expected,
        id=f"{index}-{t}-{np.dtype(dtype).name}-{len(shapes)}",
    )


CASES = [
    case(index, t, dtype, shapes)
    for index in range(len(RULES))
    for t in (0, 3)
    for dtype in (np.float32, np.float64)
    for shapes in (SHAPES[:1], SHAPES)
]
