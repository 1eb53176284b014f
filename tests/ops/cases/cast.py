"""Cast, CastLike, BitCast, Where, Clip, Dropout: expected values are NumPy's and ml_dtypes's."""

from __future__ import annotations

import itertools

import ml_dtypes
import numpy as np
import onnx
from onnx import TensorProto, helper

from tests.ops.case import Case

NATIVE = [
    np.float32,
    np.float64,
    np.int8,
    np.int16,
    np.int32,
    np.int64,
    np.uint8,
    np.uint16,
    np.uint32,
    np.uint64,
    np.bool_,
]
HALF = [np.float16, ml_dtypes.bfloat16]
FLOAT8 = [ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e4m3fnuz, ml_dtypes.float8_e5m2, ml_dtypes.float8_e5m2fnuz]
FLOAT6 = [ml_dtypes.float6_e2m3fn, ml_dtypes.float6_e3m2fn]
NARROW = [*FLOAT6, ml_dtypes.float4_e2m1fn, ml_dtypes.int4, ml_dtypes.uint4, ml_dtypes.int2, ml_dtypes.uint2]
rng = np.random.default_rng(6)


def proto(dtype: type) -> int:
    return helper.np_dtype_to_tensor_dtype(np.dtype(dtype))


def exact(op: str, inputs: list, attributes: dict, expected: np.ndarray, id: str, **more: str) -> Case:
    return Case(op, inputs, attributes, expected=[expected], rtol=0, atol=0, id=id, **more)


CASES = []

# Every pair of types, over numbers that both can hold.
for src, dst in itertools.product(NATIVE + HALF + FLOAT8 + NARROW, repeat=2):
    if src in FLOAT8 + NARROW and dst in FLOAT8 + NARROW and src is not FLOAT8[0]:
        continue
    small = {ml_dtypes.int2, ml_dtypes.uint2, np.bool_} & {src, dst}
    low = (
        0
        if {src, dst} & {np.bool_, ml_dtypes.uint2, ml_dtypes.uint4, np.uint8, np.uint16, np.uint32, np.uint64}
        else -1
    )
    numbers = rng.integers(low, 2 if small else 7, 601).astype(np.float32)
    x = numbers.astype(src)
    expected = x.astype(np.float32).astype(dst)
    CASES.append(exact("Cast", [x], {"to": proto(dst)}, expected, f"{np.dtype(src).name}-{np.dtype(dst).name}"))

# Rounding: random bits of the wider type.
for src, dst in [
    (np.float32, np.float16),
    (np.float32, ml_dtypes.bfloat16),
    (np.float64, np.float32),
    (np.float64, np.float16),
    (np.float64, ml_dtypes.bfloat16),
    (np.float16, ml_dtypes.bfloat16),
]:
    bits = rng.integers(0, 1 << (8 * np.dtype(src).itemsize - 1), 20011, dtype=np.uint64).astype(
        f"u{np.dtype(src).itemsize}"
    )
    x = np.concatenate(
        [bits.view(src), rng.uniform(-70000, 70000, 1009).astype(src), rng.uniform(-1e-5, 1e-5, 1009).astype(src)]
    )
    x = np.where(np.isnan(x), 0, x).astype(src)
    with np.errstate(over="ignore"):
        expected = x.astype(dst)
    CASES.append(
        exact("Cast", [x], {"to": proto(dst)}, expected, f"rounding-{np.dtype(src).name}-{np.dtype(dst).name}")
    )

# All bit patterns of the small kinds, outwards; and inwards with and without saturation.
for dtype in FLOAT8 + HALF:
    width = np.dtype(dtype).itemsize
    x = np.arange(1 << (8 * width), dtype=f"u{width}").view(dtype)
    CASES.append(exact("Cast", [x], {"to": TensorProto.FLOAT}, x.astype(np.float32), f"all-{np.dtype(dtype).name}"))
edge = np.concatenate(
    [
        np.float32(
            [
                0,
                -0.0,
                np.nan,
                np.inf,
                -np.inf,
                1e6,
                -1e6,
                1e-9,
                -1e-9,
                447,
                448,
                449,
                463.9,
                464,
                464.1,
                480,
                57344,
                61440,
                61441,
            ]
        ),
        rng.uniform(-600, 600, 5003).astype(np.float32),
        rng.uniform(-0.05, 0.05, 5003).astype(np.float32),
    ]
)
for dtype in FLOAT8:
    for src in (np.float32, np.float16, np.float64):
        x = edge.astype(src)
        name = f"{np.dtype(src).name}-{np.dtype(dtype).name}"
        with np.errstate(all="ignore"):
            saturated = onnx.numpy_helper.saturate_cast(x.astype(np.float64), np.dtype(dtype))
            plain = x.astype(np.float64).astype(dtype)
        CASES.append(exact("Cast", [x], {"to": proto(dtype)}, saturated, f"saturate-{name}"))
        CASES.append(exact("Cast", [x], {"to": proto(dtype), "saturate": 0}, plain, f"wrap-{name}"))
for dtype in [*FLOAT6, ml_dtypes.float4_e2m1fn]:
    name = np.dtype(dtype).name
    x = np.concatenate([edge[:9], rng.uniform(-8, 8, 2003), rng.uniform(-40, 40, 503), rng.uniform(-0.3, 0.3, 503)])
    for src in (np.float32, np.float16, ml_dtypes.bfloat16, np.float64):
        row = x.astype(src)
        CASES.append(exact("Cast", [row], {"to": proto(dtype)}, row.astype(dtype), f"rounding-{row.dtype.name}-{name}"))
    CASES.append(exact("Cast", [row], {"to": proto(dtype), "saturate": 0}, row.astype(dtype), f"unsaturated-{name}"))
    codes = np.arange(8 if dtype is ml_dtypes.float4_e2m1fn else 64, dtype=np.uint8).view(dtype)
    CASES.append(exact("Cast", [codes], {"to": TensorProto.FLOAT}, codes.astype(np.float32), f"all-{name}"))
    # In a file the elements are packed: some numbers of them end inside a byte.
    for count in (0, 1, 2, 3, 4, 5, 7, 61):
        y = np.resize(codes[1:], count)
        CASES.append(exact("Constant", [], {"value": onnx.numpy_helper.from_array(y)}, y, f"{name}-{count}"))
x = np.float32([0, 0.124, 0.25, 0.5, 1.1, 1.5, 2, 3, 1e-39, 3.4e38, 1.7e38, np.nan])
for mode in ("up", "down", "nearest"):
    expected = onnx.numpy_helper.to_float8e8m0(x, True, mode)
    CASES.append(exact("Cast", [x], {"to": TensorProto.FLOAT8E8M0, "round_mode": mode}, expected, f"scale-{mode}"))
CASES.append(exact("Cast", [expected], {"to": TensorProto.FLOAT}, expected.astype(np.float32), "scale-out"))
for dtype in (np.float32, np.float16):
    x = np.arange(-9, 17).astype(dtype)
    for narrow in NARROW[3:]:
        CASES.append(
            exact(
                "Cast",
                [x],
                {"to": proto(narrow)},
                x.astype(narrow),
                f"wrap-{np.dtype(dtype).name}-{np.dtype(narrow).name}",
            )
        )

# Integers lose their high bits; floats truncate.
for src, dst in itertools.product([np.int64, np.uint64, np.int32, np.uint32, np.int16], NATIVE[2:]):
    info = np.iinfo(src)
    x = rng.integers(info.min, info.max, 257, dtype=src, endpoint=True)
    CASES.append(
        exact("Cast", [x], {"to": proto(dst)}, x.astype(dst), f"wrap-{np.dtype(src).name}-{np.dtype(dst).name}")
    )
for dst in (np.int8, np.int16, np.int32, np.int64):
    for src in (np.float32, np.float64, np.float16):
        x = rng.uniform(-127.99, 127.99, (3, 101)).astype(src)
        CASES.append(
            exact("Cast", [x], {"to": proto(dst)}, x.astype(dst), f"truncate-{np.dtype(src).name}-{np.dtype(dst).name}")
        )
# Outside the range: what ONNX Runtime gives on x86.
x = np.float32([300, -1, 3e9, np.nan, np.inf, 1e20, -1e20, -5.7])
for dst, expected in {
    np.int32: [300, -1, -2147483648, -2147483648, -2147483648, -2147483648, -2147483648, -5],
    np.uint8: [44, 255, 0, 0, 0, 0, 0, 251],
    np.int64: [300, -1, 3000000000, *[-9223372036854775808] * 4, -5],
}.items():
    CASES.append(exact("Cast", [x], {"to": proto(dst)}, np.array(expected, dst), f"out-of-range-{np.dtype(dst).name}"))

# Strings, as ONNX Runtime 1.31 writes and reads them.
written = {
    np.float32: (
        [1, 0.1, 1e10, 1e-10, 3.14159265, 1e5, 123456789, np.inf, -np.inf, np.nan, -0.0, 1 / 3, 16777216, -1.5],
        [
            "1",
            "0.1",
            "1e+10",
            "1e-10",
            "3.1415927",
            "100000",
            "1.2345679e+08",
            "INF",
            "-INF",
            "NaN",
            "-0",
            "0.33333334",
            "16777216",
            "-1.5",
        ],
    ),
    np.float64: (
        [1, 0.1, 3.14159265, 1 / 3, 1e300, 123456789012345678],
        ["1", "0.1", "3.1415927", "0.33333333", "1e+300", "1.2345679e+17"],
    ),
    np.float16: ([1, 0.1, 1e-5, np.inf], ["1", "0.099975586", "1.001358e-05", "INF"]),
    np.bool_: ([True, False], ["1", "0"]),
    np.int8: ([1, -128], ["1", "-128"]),
    np.uint64: ([2**64 - 1], ["18446744073709551615"]),
    np.int64: ([-(2**63)], ["-9223372036854775808"]),
}
for dtype, (numbers, texts) in written.items():
    x = np.array(numbers, dtype)
    CASES.append(
        exact("Cast", [x], {"to": TensorProto.STRING}, np.array(texts, object), f"{np.dtype(dtype).name}-string")
    )
texts = np.array(["1", "1.5", "-2e3", "inf", "+INF", "-inf", "NaN", " 3", "0x10"], object)
values = [1, 1.5, -2000, np.inf, np.inf, -np.inf, np.nan, 3, 16]
for dtype in (np.float32, np.float64, np.float16):
    CASES.append(
        exact("Cast", [texts], {"to": proto(dtype)}, np.array(values, dtype), f"string-{np.dtype(dtype).name}")
    )
texts = np.array([["12", "-7"], ["300", " 3"]], object)
for dtype, values in {
    np.int64: [[12, -7], [300, 3]],
    np.int32: [[12, -7], [300, 3]],
    np.int8: [[12, -7], [44, 3]],
    np.bool_: [[1, 1], [1, 1]],
}.items():
    CASES.append(
        exact("Cast", [texts], {"to": proto(dtype)}, np.array(values, dtype), f"string-{np.dtype(dtype).name}")
    )
CASES.append(exact("Cast", [texts], {"to": TensorProto.STRING}, texts, "string-string"))

x = rng.uniform(-9, 9, (3, 7)).astype(np.float32)
for dtype in (np.int32, np.float16, ml_dtypes.float8_e5m2, np.bool_):
    CASES.append(exact("CastLike", [x, np.zeros(1, dtype)], {}, x.astype(dtype), np.dtype(dtype).name))

for src, dst in [
    (np.float32, np.int32),
    (np.int32, np.uint32),
    (np.float64, np.int64),
    (np.float16, ml_dtypes.bfloat16),
    (np.int8, np.uint8),
    (np.uint8, ml_dtypes.float8_e4m3fn),
    (np.uint16, np.float16),
]:
    x = rng.integers(0, 127, (5, 11, np.dtype(src).itemsize)).astype(np.uint8).view(src).reshape(5, 11)
    CASES.append(exact("BitCast", [x], {"to": proto(dst)}, x.view(dst), f"{np.dtype(src).name}-{np.dtype(dst).name}"))
nibbles = np.arange(-8, 8).astype(ml_dtypes.int4)
CASES.append(
    exact(
        "BitCast", [nibbles], {"to": TensorProto.UINT4}, (np.arange(-8, 8) % 16).astype(ml_dtypes.uint4), "int4-uint4"
    )
)

# ---- Where, Clip, Dropout -------------------------------------------------------------------------------------------

WHERE_SHAPES = [
    ((), (), ()),
    ((7,), (7,), (7,)),
    ((5, 7), (), (5, 7)),
    ((5, 7), (5, 7), ()),
    ((5, 7), (), ()),
    ((1,), (5, 7), (1, 7)),
    ((2, 1, 257), (3, 1), (1,)),
    ((600, 1, 2), (1, 3, 1), (2,)),
    ((0, 3), (3,), (1, 1)),
]
for dtype in NATIVE + HALF + [np.complex64, np.complex128]:
    for shapes in WHERE_SHAPES if dtype in (np.float32, np.int64) else WHERE_SHAPES[2:9:3]:
        condition = rng.integers(0, 2, shapes[0]).astype(bool)
        x, y = (rng.integers(0, 100, shape).astype(dtype) for shape in shapes[1:])
        CASES.append(
            exact("Where", [condition, x, y], {}, np.where(condition, x, y), f"{np.dtype(dtype).name}-{shapes}")
        )
words = np.array([["a", "", "β"], ["long enough to live on the heap", "b", "c"]], object)
condition = np.array([True, False, True])
CASES.append(
    exact(
        "Where",
        [condition, words, np.array("no", object)],
        {},
        np.where(condition, words, "no").astype(object),
        "strings",
    )
)

for dtype in NATIVE[:-1] + HALF:
    for shape in [(), (0,), (1031,), (3, 5, 7)] if dtype is np.float32 else [(1031,)]:
        x = rng.integers(0, 100, shape).astype(dtype)
        low, high = np.array(20, dtype), np.array(70, dtype)
        name = f"{np.dtype(dtype).name}-{shape}"
        CASES.append(exact("Clip", [x, low, high], {}, np.asarray(np.clip(x, low, high)).astype(dtype), name))
        CASES.append(exact("Clip", [x, None, high], {}, np.asarray(np.minimum(x, high)), f"{name}-max"))
        CASES.append(exact("Clip", [x, low], {}, np.asarray(np.maximum(x, low)), f"{name}-min"))
        CASES.append(exact("Clip", [x, high, low], {}, np.full(shape, low), f"{name}-crossed"))
        CASES.append(exact("Clip", [x], {}, x, f"{name}-none"))
x = np.float32([np.nan, np.inf, -np.inf, 0.5, -0.0])
CASES.append(exact("Clip", [x, np.float32(-1), np.float32(1)], {}, np.float32([np.nan, 1, -1, 0.5, -0.0]), "special"))
big = np.array([2**62 + 1, -(2**62) - 1, 5], np.int64)
CASES.append(exact("Clip", [big, np.array(-(2**62)), np.array(2**62)], {}, np.array([2**62, -(2**62), 5]), "int64-big"))

for dtype in [np.float32, np.float64, *HALF]:
    x = rng.standard_normal((3, 37)).astype(dtype)
    name = np.dtype(dtype).name
    CASES.append(exact("Dropout", [x], {}, x, name))
    CASES.append(exact("Dropout", [x, np.float32(0.3)], {}, x, f"{name}-ratio"))
    CASES.append(exact("Dropout", [x, np.float32(0.3), np.array(False)], {}, x, f"{name}-inference"))
    ones = np.ones(x.shape, bool)
    CASES.append(Case("Dropout", [x], outputs=2, expected=[x, ones], rtol=0, atol=0, id=f"{name}-mask"))
    training = [x, np.float32(0), np.array(True)]
    CASES.append(Case("Dropout", training, outputs=2, expected=[x, ones], rtol=0, atol=0, id=f"{name}-training-none"))
