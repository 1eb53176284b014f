"""Random operators by shape, type and distribution."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

import fastort


def draw(op: str, inputs: list[np.ndarray], runs: int = 1, **attributes: Any) -> list[np.ndarray]:
    names = [f"x{i}" for i in range(len(inputs))]
    node = helper.make_node(op, names, ["y"], **attributes)
    infos = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
        for name, value in zip(names, inputs, strict=True)
    ]
    kind = attributes.get("dtype") or (
        helper.np_dtype_to_tensor_dtype(inputs[0].dtype) if inputs else TensorProto.FLOAT
    )
    graph = helper.make_graph([node], "random", infos, [helper.make_tensor_value_info("y", kind, None)])
    session = fastort.InferenceSession(helper.make_model(graph).SerializeToString())
    return [session.run(None, dict(zip(names, inputs, strict=True)))[0] for _ in range(runs)]


@pytest.mark.parametrize(("kind", "dtype"), [(1, np.float32), (11, np.float64), (10, np.float16)])
def test_uniform(kind: int, dtype: type) -> None:
    (y,) = draw("RandomUniform", [], shape=[100, 1000], low=-2.0, high=3.0, dtype=kind)
    assert y.shape == (100, 1000)
    assert y.dtype == dtype
    y = y.astype(np.float64)
    assert y.min() >= -2
    assert y.max() <= 3
    assert np.abs(np.histogram(y, 10, (-2, 3))[0] / y.size - 0.1).max() < 0.01


def test_normal() -> None:
    (y,) = draw("RandomNormal", [], shape=[1000, 100], mean=1.5, scale=0.5)
    assert abs(y.mean() - 1.5) < 0.01
    assert abs(y.std() - 0.5) < 0.01
    assert abs(((y - 1.5) ** 3).mean()) < 0.01
    assert abs((np.abs(y - 1.5) < 0.5).mean() - 0.6827) < 0.01


def test_like() -> None:
    (y,) = draw("RandomNormalLike", [np.zeros((3, 5), np.float64)])
    assert y.shape == (3, 5)
    assert y.dtype == np.float64
    (y,) = draw("RandomUniformLike", [np.zeros((3, 5), np.int64)], dtype=TensorProto.FLOAT)
    assert y.shape == (3, 5)
    assert y.dtype == np.float32


def test_seed() -> None:
    first, second = draw("RandomUniform", [], runs=2, shape=[64], seed=3.0)
    again = draw("RandomUniform", [], shape=[64], seed=3.0)[0]
    assert np.array_equal(first, again)
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, draw("RandomUniform", [], shape=[64], seed=4.0)[0])
    assert not np.array_equal(*[draw("RandomUniform", [], shape=[64])[0] for _ in range(2)])


def test_bernoulli() -> None:
    (y,) = draw("Bernoulli", [np.full((100, 1000), 0.3, np.float32)], dtype=TensorProto.BOOL)
    assert y.dtype == np.bool_
    assert abs(y.mean() - 0.3) < 0.01
    (y,) = draw("Bernoulli", [np.array([0, 1], np.float64)])
    assert np.array_equal(y, [0.0, 1.0])


def test_multinomial() -> None:
    weights = np.array([[0.2, 0.5, 0.3], [1, 0, 1]])
    with np.errstate(divide="ignore"):
        logits = np.log(weights * [[1], [7]]).astype(np.float32)
    (y,) = draw("Multinomial", [logits], sample_size=50000, dtype=TensorProto.INT64)
    assert y.shape == (2, 50000)
    shares = np.stack([np.bincount(row, minlength=3) / 50000 for row in y])
    assert np.abs(shares - [[0.2, 0.5, 0.3], [0.5, 0, 0.5]]).max() < 0.01
