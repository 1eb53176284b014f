"""Activations: expected values are the standard's formulas, computed by NumPy in float64."""

from __future__ import annotations

import ml_dtypes
import numpy as np

from tests.ops.case import Case
from tests.ops.cases.unary import erf, real_cases

rng = np.random.default_rng(4)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def softplus(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def gelu(x: np.ndarray) -> np.ndarray:
    return 0.5 * x * (1 + erf(x / np.sqrt(2)))


def gelu_tanh(x: np.ndarray) -> np.ndarray:
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def hard_sigmoid(x: np.ndarray, alpha: float = np.float32(0.2), beta: float = 0.5) -> np.ndarray:
    return np.clip(np.float64(alpha) * x + beta, 0, 1)


def elu(x: np.ndarray, alpha: float = 1.0) -> np.ndarray:
    return np.where(x < 0, np.float64(np.float32(alpha)) * np.expm1(x), x)


def selu(
    x: np.ndarray, alpha: float = 1.67326319217681884765625, gamma: float = 1.05070102214813232421875
) -> np.ndarray:
    return np.float64(np.float32(gamma)) * np.where(x > 0, x, np.float64(np.float32(alpha)) * np.expm1(x))


def celu(x: np.ndarray, alpha: float = 1.0) -> np.ndarray:
    return np.maximum(x, 0) + np.minimum(0, alpha * np.expm1(x / alpha))


def shrink(x: np.ndarray, lambd: float = 0.5, bias: float = 0.0) -> np.ndarray:
    return np.where(x < -lambd, x + bias, np.where(x > lambd, x - bias, 0))


def leaky(alpha: float):
    return lambda x: np.where(x < 0, np.float64(np.float32(alpha)) * x, x)


CASES = [
    *real_cases("Sigmoid", sigmoid, -30, 30),
    *real_cases("Relu", lambda x: np.where(x < 0, 0, x)),
    *real_cases("LeakyRelu", leaky(0.01)),
    *real_cases("LeakyRelu", leaky(0.3), attributes={"alpha": 0.3}),
    *real_cases("Elu", elu),
    *real_cases("Elu", lambda x: elu(x, 2.5), attributes={"alpha": 2.5}),
    *real_cases("Selu", selu),
    *real_cases("Selu", lambda x: selu(x, 2.0, 3.0), attributes={"alpha": 2.0, "gamma": 3.0}),
    *real_cases("Celu", celu),
    *real_cases("Celu", lambda x: celu(x, 2.0), attributes={"alpha": 2.0}),
    *real_cases("ThresholdedRelu", lambda x: np.where(x <= 1, 0, x)),
    *real_cases("ThresholdedRelu", lambda x: np.where(x <= 2.5, 0, x), attributes={"alpha": 2.5}),
    *real_cases("HardSigmoid", hard_sigmoid),
    *real_cases("HardSigmoid", lambda x: hard_sigmoid(x, 0.5, 0.25), attributes={"alpha": 0.5, "beta": 0.25}),
    *real_cases("HardSwish", lambda x: x * np.clip(x / 6 + 0.5, 0, 1)),
    *real_cases("Softplus", softplus, -30, 30),
    *real_cases("Softsign", lambda x: x / (1 + np.abs(x))),
    *real_cases("Mish", lambda x: x * np.tanh(softplus(x)), -20, 20),
    *real_cases("Gelu", gelu, -6, 6),
    *real_cases("Gelu", gelu, -6, 6, {"approximate": "none"}),
    *real_cases("Gelu", gelu_tanh, -6, 6, {"approximate": "tanh"}),
    *real_cases("Swish", lambda x: x * sigmoid(x), -20, 20),
    *real_cases("Swish", lambda x: x * sigmoid(0.5 * x), -20, 20, {"alpha": 0.5}),
    *[row for row in real_cases("Shrink", shrink) if row.inputs[0].dtype != ml_dtypes.bfloat16],
    *[
        row
        for row in real_cases("Shrink", lambda x: shrink(x, 1.5, 0.75), attributes={"lambd": 1.5, "bias": 0.75})
        if row.inputs[0].dtype != ml_dtypes.bfloat16
    ],
    *real_cases("Gelu", gelu, -6, 6, domain="com.microsoft"),
    *real_cases("QuickGelu", lambda x: x * sigmoid(np.float64(np.float32(1.702)) * x), domain="com.microsoft"),
    *real_cases("FastGelu", gelu_tanh, -6, 6, domain="com.microsoft"),
]

for dtype in (np.int8, np.int16, np.int32, np.int64):
    x = rng.integers(-100, 100, (3, 37)).astype(dtype)
    CASES.append(Case("Relu", [x], expected=[np.maximum(x, 0)], id=np.dtype(dtype).name))
    expected = np.where(x < -3, x + 2, np.where(x > 3, x - 2, 0)).astype(dtype)
    CASES.append(Case("Shrink", [x], {"lambd": 3.0, "bias": 2.0}, expected=[expected], id=np.dtype(dtype).name))

for shape in [(5,), (2, 3, 17), (4, 256)]:
    x = rng.standard_normal(shape).astype(np.float32) * 3
    bias = rng.standard_normal(shape[-1:]).astype(np.float32)
    total = (x + bias).astype(np.float64)
    for op, f in (("BiasGelu", gelu), ("FastGelu", gelu_tanh)):
        expected = f(total).astype(np.float32)
        CASES.append(
            Case(op, [x, bias], domain="com.microsoft", expected=[expected], rtol=1e-6, atol=1e-6, id=f"bias{shape}")
        )
