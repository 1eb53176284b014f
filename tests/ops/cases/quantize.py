"""QuantizeLinear and DequantizeLinear: whole tensors, axes and blocks, every quantized type.

Expected values: the standard's formulas in float64, rounded half to even and saturated, written with NumPy here.
"""

import ml_dtypes
import numpy as np
import onnx

from tests.ops.case import Case

rng = np.random.default_rng(11)
INTEGERS = {
    "int8": (np.int8, -128, 127),
    "uint8": (np.uint8, 0, 255),
    "int16": (np.int16, -32768, 32767),
    "uint16": (np.uint16, 0, 65535),
    "int4": (ml_dtypes.int4, -8, 7),
    "uint4": (ml_dtypes.uint4, 0, 15),
    "int2": (ml_dtypes.int2, -2, 1),
    "uint2": (ml_dtypes.uint2, 0, 3),
}
FLOAT8 = (ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2)


def _spread(parameter: np.ndarray, shape: tuple[int, ...], axis: int, block: int) -> np.ndarray:
    """The scale or zero point of every element."""
    wide = parameter.astype(np.float64)
    if block:
        return np.repeat(wide, block, axis)[tuple(slice(0, n) for n in shape)]
    if parameter.size == 1:
        return np.broadcast_to(wide.reshape(()), shape)
    return np.broadcast_to(wide.reshape([-1 if i == axis else 1 for i in range(len(shape))]), shape)


def _quantize(
    x: np.ndarray, scale: np.ndarray, zero: np.ndarray, axis: int, block: int, low: int, high: int
) -> np.ndarray:
    ratio = (x.astype(np.float32) / _spread(scale, x.shape, axis, block).astype(np.float32)).astype(np.float64)
    return np.clip(np.rint(ratio) + _spread(zero, x.shape, axis, block), low, high).astype(zero.dtype)


def _dequantize(q: np.ndarray, scale: np.ndarray, zero: np.ndarray, axis: int, block: int) -> np.ndarray:
    difference = q.astype(np.float64) - _spread(zero, q.shape, axis, block)
    return (difference * _spread(scale, q.shape, axis, block)).astype(np.float32)


def _layouts(shape: tuple[int, ...]) -> list[tuple[str, tuple[int, ...], int, int]]:
    """Name, shape of the scale, axis and block size."""
    blocked = (*shape[:1], -(-shape[1] // 4), *shape[2:])
    return [("whole", (), 1, 0), ("axis", shape[1:2], 1, 0), ("last", shape[-1:], -1, 0), ("block", blocked, 1, 4)]


CASES: list[Case] = []
for name, (dtype, low, high) in INTEGERS.items():
    for shape in ((3, 13, 7), (1, 1031, 1), (2, 5, 0)):
        for layout, parameters, axis, block in _layouts(shape):
            scale = rng.uniform(0.02, 0.3, parameters).astype(np.float32)
            zero = rng.integers(max(low, -100), min(high, 100) + 1, parameters).astype(dtype)
            x = rng.normal(0, 0.15 * (high - low) / 4 + 0.2, shape).astype(np.float32)
            q = rng.integers(low, high + 1, shape).astype(dtype)
            at = axis % len(shape)
            attributes = {"axis": axis, "block_size": block}
            label = f"{name}-{shape}-{layout}"
            CASES.append(
                Case(
                    "QuantizeLinear",
                    [x, scale, zero],
                    attributes,
                    expected=[_quantize(x, scale, zero, at, block, low, high)],
                    rtol=0,
                    atol=0,
                    id=label,
                )
            )
            CASES.append(
                Case(
                    "DequantizeLinear",
                    [q, scale, zero],
                    attributes,
                    expected=[_dequantize(q, scale, zero, at, block)],
                    id=label,
                )
            )

extremes = np.array([np.inf, -np.inf, 1e4, -1e4, 0.5, 1.5, -0.5, -2.5, 0.0, -0.0], np.float32)
CASES.append(
    Case(
        "QuantizeLinear",
        [extremes, np.float32(1).reshape(())],
        expected=[np.array([255, 0, 255, 0, 0, 2, 0, 0, 0, 0], np.uint8)],
        rtol=0,
        atol=0,
        id="extremes-default-zero-point",
    )
)
for dtype in FLOAT8:
    x = np.array([0.0, 0.3, -1.7, 3.14, 100.0, -250.0, 1e6, -1e6], np.float32)
    largest = float(ml_dtypes.finfo(dtype).max)
    CASES.append(
        Case(
            "QuantizeLinear",
            [x, np.float32(0.5).reshape(()), np.zeros((), dtype)],
            expected=[np.clip(x / np.float32(0.5), -largest, largest).astype(dtype)],
            rtol=0,
            atol=0,
            id=f"{np.dtype(dtype).name}-saturate",
        )
    )
    q = rng.normal(0, 4, (5, 7)).astype(dtype)
    CASES.append(
        Case(
            "DequantizeLinear",
            [q, np.float32(0.25).reshape(())],
            expected=[q.astype(np.float32) * np.float32(0.25)],
            id=np.dtype(dtype).name,
        )
    )
for dtype in (ml_dtypes.float6_e2m3fn, ml_dtypes.float6_e3m2fn, ml_dtypes.float4_e2m1fn):
    name = np.dtype(dtype).name
    x = np.concatenate([rng.normal(0, 3, 95), [np.inf, -np.inf, 1e4, -1e4, 0.0, -0.0]]).astype(np.float32)
    half = np.float32(0.5).reshape(())
    for zero in (0.0, 1.0):
        q = (x / half + np.float32(zero)).astype(dtype)  # ml_dtypes saturates what has no infinity
        label = f"{name}-zero-{zero}"
        inputs = [x, half, np.array(zero, dtype)]
        CASES.append(Case("QuantizeLinear", inputs, expected=[q], rtol=0, atol=0, id=label))
        expected = (q.astype(np.float32) - np.float32(zero)) * half
        CASES.append(Case("DequantizeLinear", [q, half, np.array(zero, dtype)], expected=[expected], id=label))
    to = {"output_dtype": int(onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))}
    CASES.append(Case("QuantizeLinear", [x, half], to, expected=[(x / half).astype(dtype)], rtol=0, atol=0, id=name))
    for count in (1, 2, 3, 5, 61):  # as an initializer the zero points are packed
        zeros, line = rng.normal(0, 2, count).astype(dtype), rng.normal(0, 2, (2, count)).astype(dtype)
        expected = (line.astype(np.float32) - zeros.astype(np.float32)) * np.float32(1.5)
        inputs = [line, np.full(count, 1.5, np.float32), zeros]
        CASES.append(Case("DequantizeLinear", inputs, {"axis": 1}, expected=[expected], id=f"{name}-axis-{count}"))
    grid = rng.normal(0, 2, (6, 9)).astype(dtype)
    scales = rng.uniform(0.1, 2, (6, 3)).astype(np.float32)
    expected = grid.astype(np.float32) * np.repeat(scales, 3, 1)
    blocks = {"axis": 1, "block_size": 3}
    CASES.append(Case("DequantizeLinear", [grid, scales], blocks, expected=[expected], id=f"{name}-block"))
int32 = rng.integers(-(2**20), 2**20, (3, 5)).astype(np.int32)
CASES.append(
    Case(
        "DequantizeLinear",
        [int32, np.float32(1e-3).reshape(())],
        expected=[(int32 * np.float64(np.float32(1e-3))).astype(np.float32)],
        id="int32",
    )
)
