"""MatMul, Gemm, their fused and quantized kin, Einsum. Expected values are NumPy's in double precision (wrapping
integers in their own type), activations PyTorch's."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import torch
from torch.nn import functional

from tests.ops.case import Case

CASES: list[Case] = []

_TOLERANCE = {"float32": 1e-5, "float64": 1e-12, "float16": 2e-3, "bfloat16": 1.6e-2}
_ACTIVATION = {
    "Relu": torch.relu,
    "LeakyRelu": lambda x, a=0.01: functional.leaky_relu(x, a),
    "Clip": lambda x, a, b: x.clamp(a, b),
    "Sigmoid": torch.sigmoid,
    "Tanh": torch.tanh,
    "HardSigmoid": lambda x, a=0.2, b=0.5: (a * x + b).clamp(0, 1),
    "HardSwish": functional.hardswish,
    "Silu": functional.silu,
    "Gelu": functional.gelu,
    "GeluTanh": lambda x: functional.gelu(x, approximate="tanh"),
}


def _random(shape: tuple[int, ...], dtype: str = "float32", seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed + sum(shape) * 7)
    if dtype.startswith(("int", "uint")):
        info = np.iinfo(dtype)
        return rng.integers(max(info.min, -100), min(info.max, 100), shape, dtype=dtype, endpoint=True)
    kind = np.dtype(ml_dtypes.bfloat16) if dtype == "bfloat16" else np.dtype(dtype)
    return rng.standard_normal(shape).astype(kind)


def _wide(array: np.ndarray) -> np.ndarray:
    return array if array.dtype.kind in "iu" and array.dtype.isbuiltin else array.astype(np.float64)


def _add(
    op: str, inputs: list[Any], expected: np.ndarray, attributes: dict[str, Any] | None = None, **more: Any
) -> None:
    first = next(array for array in inputs if array is not None)
    tolerance = _TOLERANCE.get(first.dtype.name, 0)
    depth = max(1, first.shape[-1] if first.ndim else 1)
    CASES.append(
        Case(
            op,
            inputs,
            attributes or {},
            expected=[np.asarray(expected).astype(more.pop("result", first.dtype))],
            rtol=more.pop("rtol", tolerance),
            atol=more.pop("atol", tolerance * depth**0.5),
            **more,
        )
    )


def matmul(a: tuple[int, ...], b: tuple[int, ...], dtype: str = "float32") -> None:
    x, y = _random(a, dtype, 1), _random(b, dtype, 2)
    _add("MatMul", [x, y], np.matmul(_wide(x), _wide(y)), id=f"{a}x{b}-{dtype}".replace(" ", ""))


def _activate(name: str | None, parameters: list[float], x: np.ndarray) -> np.ndarray:
    return x if name is None else _ACTIVATION[name](torch.from_numpy(x), *parameters).numpy()


def _activation_attributes(name: str | None, parameters: list[float]) -> dict[str, Any]:
    keys = ["activation_alpha", "activation_beta"]
    return {} if name is None else {"activation": name, **dict(zip(keys, parameters, strict=False))}


def gemm(
    m: int,
    k: int,
    n: int,
    c: tuple[int, ...] | None,
    *,
    dtype: str = "float32",
    trans_a: int = 0,
    trans_b: int = 0,
    alpha: float = 1.0,
    beta: float = 1.0,
    activation: str | None = None,
    parameters: list[float] | None = None,
) -> None:
    a = _random((k, m) if trans_a else (m, k), dtype, 3)
    b = _random((n, k) if trans_b else (k, n), dtype, 4)
    bias = None if c is None else _random(c, dtype, 5)
    product = alpha * ((_wide(a).T if trans_a else _wide(a)) @ (_wide(b).T if trans_b else _wide(b)))
    if bias is not None:
        product = product + beta * _wide(bias)
    attributes: dict[str, Any] = {"transA": trans_a, "transB": trans_b, "alpha": alpha, "beta": beta}
    attributes |= _activation_attributes(activation, parameters or [])
    _add(
        "FusedGemm" if activation else "Gemm",
        [a, b] if bias is None else [a, b, bias],
        _activate(activation, parameters or [], product),
        attributes,
        domain="com.microsoft" if activation else "",
        id=f"{m}x{k}x{n}-c{c}-t{trans_a}{trans_b}-{alpha}-{beta}-{dtype}-{activation or ''}".replace(" ", ""),
    )


# Every way to broadcast, with sizes that fill no vector, no panel and no tile.
for _a, _b in [
    ((1, 1), (1, 1)),
    ((3, 5), (5, 7)),
    ((6, 16), (16, 16)),
    ((7, 17), (17, 33)),
    ((13, 31), (31, 15)),
    ((1, 129), (129, 65)),
    ((5, 300), (300, 31)),
    ((97, 67), (67, 101)),
    ((128, 769), (769, 48)),
    ((19, 1500), (1500, 17)),
    ((5,), (5,)),
    ((5,), (5, 3)),
    ((3, 5), (5,)),
    ((5,), (2, 5, 3)),
    ((2, 3, 5), (5,)),
    ((2, 3, 4, 5), (5,)),
    ((2, 3, 5), (5, 4)),
    ((3, 5), (2, 5, 4)),
    ((2, 3, 5), (2, 5, 4)),
    ((2, 1, 3, 5), (4, 5, 6)),
    ((1, 4, 3, 5), (2, 1, 5, 6)),
    ((2, 1, 1, 3, 5), (3, 4, 5, 2)),
    ((2, 23, 17), (1, 17, 40)),
    ((3, 40, 33), (3, 33, 18)),
    ((0, 5), (5, 3)),
    ((3, 0), (0, 4)),
    ((7, 0), (0, 20)),
    ((3, 5), (5, 0)),
    ((0, 3, 5), (5, 4)),
    ((2, 3, 0), (2, 0, 4)),
    ((0,), (0,)),
]:
    matmul(_a, _b)
# Every height of a tile and of the two that share a short rest, depths around the steps of the inner loops.
_DEPTHS = [1, 2, 3, 4, 5, 63, 64, 65, 127, 129, 191, 767, 769]
_WIDTHS = [16, 17, 31, 33, 8, 9, 24, 48, 7, 15, 40, 1, 65]
for _m, _k, _n in zip(range(1, 14), _DEPTHS, _WIDTHS, strict=True):
    matmul((_m, _k), (_k, _n))
    matmul((12 + _m, 70), (70, _n))
# Products that are cut: by rows, by depth, by columns of which the last are few.
for _a, _b in [
    ((131, 900), (900, 50)),
    ((260, 1601), (1601, 17)),
    ((700, 12), (12, 8)),
    ((61, 70), (70, 1027)),
    ((1, 1000), (1000, 515)),
    ((3, 5, 200), (200, 130)),
    ((40, 9, 33), (40, 33, 21)),
]:
    matmul(_a, _b)
# Few rows: panels side by side, all of them and a rest, depths around the steps that are summed up.
for _m in (1, 2, 3):
    for _k, _n in [(1, 64), (255, 63), (256, 65), (257, 100), (600, 33), (513, 16), (300, 15), (70, 1), (40, 260)]:
        matmul((_m, _k), (_k, _n))
    for _k, _n in [(64, 24), (40, 136)]:
        matmul((_m, _k), (_k, _n))
for _dtype in ["float64", "float16", "bfloat16", "int32", "int64", "uint32", "uint64"]:
    matmul((7, 13), (13, 19), _dtype)
    matmul((2, 1, 3, 5), (4, 5, 6), _dtype)
    matmul((65,), (65, 3), _dtype)

# NaN and infinities reach exactly the sums that they are part of.
_x, _y = _random((9, 11), seed=6), _random((11, 20), seed=7)
_x[2, 3], _x[4, 0], _y[5, 6] = np.nan, np.inf, -np.inf
with np.errstate(invalid="ignore"):
    _add("MatMul", [_x, _y], _wide(_x) @ _wide(_y), id="nan-inf")
_add(
    "MatMul",
    [np.full((2, 9), 1e30, np.float32), np.full((9, 3), -1e30, np.float32)],
    np.full((2, 3), -np.inf),
    id="overflow",
)
_add("MatMul", [np.array([[2**31 - 1]], np.int32), np.array([[2]], np.int32)], np.array([[-2]]), id="int32-wraps")

for _c in [None, (), (1,), (37,), (1, 37), (23, 1), (1, 1), (23, 37)]:
    gemm(23, 11, 37, _c)
    gemm(23, 11, 37, _c, alpha=0.5, beta=-1.5)
for _t in [(0, 1), (1, 0), (1, 1)]:
    gemm(23, 11, 37, (37,), trans_a=_t[0], trans_b=_t[1])
    gemm(1, 16, 32, (32,), trans_a=_t[0], trans_b=_t[1])
    gemm(70, 130, 50, (70, 1), trans_a=_t[0], trans_b=_t[1])
gemm(1, 16, 32, (32,))
gemm(1, 32, 4, (4,), trans_b=1)
gemm(4, 3, 5, (5,), beta=0.0)
for _m in (1, 2, 3):
    gemm(_m, 270, 75, (75,), activation="Gelu", trans_b=_m % 2)
    gemm(_m, 270, 75, (_m, 1), alpha=0.5)
gemm(0, 3, 5, (5,))
gemm(4, 0, 5, (5,))
gemm(4, 3, 0, (0,))
for _dtype in ["float64", "float16", "bfloat16"]:
    gemm(9, 21, 34, (34,), dtype=_dtype, trans_b=1, alpha=0.5, beta=2.0)
    gemm(9, 21, 34, (9, 1), dtype=_dtype, trans_a=1)
    gemm(9, 21, 34, (9, 34), dtype=_dtype)
for _dtype in ["int32", "int64", "uint32", "uint64"]:
    gemm(5, 7, 6, (6,), dtype=_dtype, trans_b=1)
for _name, _parameters in [
    ("Relu", []),
    ("LeakyRelu", [0.3]),
    ("Sigmoid", []),
    ("Tanh", []),
    ("HardSigmoid", [0.3, 0.4]),
    ("Clip", [-0.5, 1.5]),
    ("HardSwish", []),
    ("Silu", []),
    ("Gelu", []),
    ("GeluTanh", []),
]:
    gemm(13, 19, 37, (37,), activation=_name, parameters=_parameters)
    gemm(1, 5, 3, None, activation=_name, parameters=_parameters)
    gemm(97, 65, 35, (35,), activation=_name, parameters=_parameters)
gemm(13, 19, 37, (37,), activation="Gelu", dtype="float64", trans_b=1)
gemm(150, 800, 33, (33,), activation="Gelu")

# An activation of what is no number, or too large for a polynomial of it.
_bias = np.array([np.nan, np.inf, 1e4, -1e4, 1e30, -1e30, 40, -40, 0, -0.0, 1e-40, -30.5] * 3, np.float32)
with np.errstate(invalid="ignore"):
    for _name in ["Gelu", "GeluTanh", "Silu", "Sigmoid", "Relu"]:
        _x, _y = np.zeros((7, 5), np.float32), _random((5, 36), seed=21)
        _attributes = {"alpha": 1.0, "beta": 1.0, **_activation_attributes(_name, [])}
        _want = _activate(_name, [], np.broadcast_to(_wide(_bias), (7, 36)).copy())
        _add("FusedGemm", [_x, _y, _bias], _want, _attributes, domain="com.microsoft", id=f"extremes-{_name}")


def epilogue(
    a: tuple[int, ...], b: tuple[int, ...], bias: bool, residual: bool, activation: str | None, dtype: str = "float32"
) -> None:
    x, y = _random(a, dtype, 8), _random(b, dtype, 9)
    product = 0.5 * np.matmul(_wide(x), _wide(y))
    inputs: list[Any] = [x, y, None, None]
    if bias:
        inputs[2] = _random((b[-1],), dtype, 10)
        product = product + _wide(inputs[2])
    if residual:
        inputs[3] = _random(product.shape, dtype, 11)
        product = product + _wide(inputs[3])
    while inputs[-1] is None:
        inputs.pop()
    _add(
        "MatMulEpilogue",
        inputs,
        _activate(activation, [], product),
        {"alpha": 0.5, **_activation_attributes(activation, [])},
        domain="fastort",
        id=f"{a}x{b}-{bias}-{residual}-{activation}-{dtype}".replace(" ", ""),
    )


for _bias, _residual, _name in [
    (True, False, None),
    (False, True, None),
    (True, True, "Relu"),
    (True, True, "Gelu"),
    (False, False, "Tanh"),
]:
    epilogue((2, 7, 12), (12, 21), _bias, _residual, _name)
    epilogue((2, 19, 12), (2, 12, 40), _bias, _residual, _name)
    for _rows in (1, 2, 3):
        epilogue((_rows, 290), (290, 85), _bias, _residual, _name)
epilogue((2, 7, 12), (12, 21), True, True, "Silu", "float16")
epilogue((2, 7, 12), (12, 21), True, True, "Silu", "float64")


def fused_matmul(a: tuple[int, ...], b: tuple[int, ...], **attributes: Any) -> None:
    x, y = _random(a, seed=12), _random(b, seed=13)
    wide = []
    for array, name in [(_wide(x), "A"), (_wide(y), "B")]:
        if attributes.get(f"transBatch{name}"):
            array = np.moveaxis(array, 0, -2)
        if attributes.get(f"trans{name}"):
            array = np.swapaxes(array, -1, -2)
        wide.append(array)
    product = attributes.get("alpha", 1.0) * np.matmul(*wide)
    text = "-".join(f"{key}{value}" for key, value in attributes.items())
    _add("FusedMatMul", [x, y], product, attributes, domain="com.microsoft", id=f"{a}x{b}-{text}".replace(" ", ""))


fused_matmul((2, 3, 5, 7), (2, 3, 5, 9), transA=1, alpha=0.25)
fused_matmul((2, 3, 7, 5), (2, 3, 9, 5), transB=1)
fused_matmul((2, 3, 5, 7), (3, 9, 5), transA=1, transB=1)
fused_matmul((20, 2, 3, 5), (2, 3, 5, 9), transBatchA=1)
fused_matmul((2, 3, 20, 5), (5, 2, 3, 9), transBatchB=1)
fused_matmul((5, 2, 3, 20), (9, 2, 3, 5), transBatchA=1, transA=1, transBatchB=1, transB=1)
_x, _y = _random((3, 8, 5), seed=14), _random((3, 8, 6), seed=15)
_add("TransposeMatMul", [_x, _y], np.swapaxes(_wide(_x), 1, 2) @ _wide(_y), {"transA": 1}, domain="com.microsoft")


def integer(a: tuple[int, ...], b: tuple[int, ...], types: tuple[str, str], zeros: list[Any]) -> None:
    x, y = _random(a, types[0], 16), _random(b, types[1], 17)
    a_zero = None if zeros[0] is None else np.array(zeros[0], types[0])
    b_zero = None if zeros[1] is None else np.array(zeros[1], types[1])
    wide_a = x.astype(np.int32) - (
        0
        if a_zero is None
        else a_zero.astype(np.int32)[..., None]
        if a_zero.ndim == 1 and a_zero.size > 1
        else a_zero.astype(np.int32)
    )
    wide_b = y.astype(np.int32) - (0 if b_zero is None else b_zero.astype(np.int32))
    inputs = [x, y, a_zero, b_zero]
    while inputs[-1] is None:
        inputs.pop()
    _add(
        "MatMulInteger",
        inputs,
        np.matmul(wide_a, wide_b),
        result=np.int32,
        id=f"{a}x{b}-{types[0]}-{types[1]}-{zeros}".replace(" ", ""),
    )


for _types in [("uint8", "uint8"), ("uint8", "int8"), ("int8", "int8"), ("int8", "uint8")]:
    integer((5, 13), (13, 70), _types, [None, None])
    integer((5, 13), (13, 70), _types, [3, 7])
    integer((2, 5, 13), (13, 4), _types, [None, [1, 2, 3, 4]])
    integer((3, 13), (13, 4), _types, [[1, 2, 3], 5])
integer((13,), (13,), ("uint8", "int8"), [3, 4])
integer((0, 13), (13, 3), ("uint8", "int8"), [3, 4])
integer((2, 0), (0, 3), ("uint8", "int8"), [3, 4])


def qlinear(
    a: tuple[int, ...], b: tuple[int, ...], types: tuple[str, str, str], b_scale: Any, scale_type: str = "float32"
) -> None:
    x, y = _random(a, types[0], 18), _random(b, types[1], 19)
    scales = [np.array(value, scale_type) for value in (0.02, b_scale, 0.37)]
    zeros = [np.array(2, types[0]), np.full(np.shape(b_scale), 3, types[1]), np.array(5, types[2])]
    product = np.matmul(x.astype(np.int32) - 2, y.astype(np.int32) - 3)
    scaled = np.rint(
        product * (scales[0].astype(np.float32) * scales[1].astype(np.float32) / scales[2].astype(np.float32))
    )
    info = np.iinfo(types[2])
    _add(
        "QLinearMatMul",
        [x, scales[0], zeros[0], y, scales[1], zeros[1], scales[2], zeros[2]],
        np.clip(scaled + 5, info.min, info.max),
        result=types[2],
        rtol=0,
        atol=1,  # a tie rounds either way
        id=f"{a}x{b}-{types}-{scale_type}".replace(" ", ""),
    )


for _types in [("uint8", "uint8", "uint8"), ("int8", "int8", "int8"), ("uint8", "int8", "uint8")]:
    qlinear((5, 13), (13, 70), _types, 0.05)
    qlinear((2, 3, 13), (13, 4), _types, [0.01, 0.02, 0.03, 0.04])
qlinear((5, 13), (13, 7), ("uint8", "uint8", "uint8"), 0.05, "float16")


def einsum(equation: str, *shapes: tuple[int, ...], dtype: str = "float32") -> None:
    arrays = [_random(shape, dtype, 20 + i) for i, shape in enumerate(shapes)]
    wide = [_wide(array) for array in arrays]
    CASES.append(
        Case(
            "Einsum",
            arrays,
            {"equation": equation},
            expected=[np.asarray(np.einsum(equation, *wide)).astype(arrays[0].dtype)],
            rtol=_TOLERANCE.get(arrays[0].dtype.name, 0),
            atol=10 * _TOLERANCE.get(arrays[0].dtype.name, 0),
            id=f"{equation}-{dtype}".replace(" ", "").replace(".", "_"),
        )
    )


for _equation, _shapes in [
    ("i->", [(7,)]),
    ("ij->ji", [(3, 5)]),
    ("ij->i", [(3, 5)]),
    ("ii->i", [(5, 5)]),
    ("ii", [(5, 5)]),
    ("iji->j", [(3, 4, 3)]),
    ("ij,jk->ik", [(13, 17), (17, 23)]),
    ("ij,jk", [(3, 4), (4, 5)]),
    ("ij , kj -> ik", [(13, 17), (23, 17)]),
    ("ji,jk->ki", [(17, 13), (17, 23)]),
    ("bij,bjk->bik", [(2, 3, 4), (2, 4, 5)]),
    ("bhid,bhjd->bhij", [(2, 3, 5, 4), (2, 3, 7, 4)]),
    ("bihd,bjhd->bhij", [(2, 5, 3, 4), (2, 7, 3, 4)]),
    ("bhij,bjhd->bihd", [(2, 3, 5, 7), (2, 7, 3, 4)]),
    ("...ij,...jk->...ik", [(2, 3, 4, 5), (3, 5, 6)]),
    ("...ij,jk->...ik", [(2, 3, 4, 5), (5, 6)]),
    ("i...->...", [(3, 4, 5)]),
    ("i,j->ij", [(3,), (5,)]),
    ("i,i->", [(30,), (30,)]),
    (",ij->ij", [(), (3, 4)]),
    ("ij,ij->ij", [(3, 4), (3, 4)]),
    ("ij,ik,il->jkl", [(3, 4), (3, 5), (3, 2)]),
    ("ij,jk,kl->il", [(3, 4), (4, 5), (5, 2)]),
    ("bij,jk->bik", [(0, 3, 4), (4, 5)]),
    ("ik,kj->ij", [(3, 0), (0, 5)]),
    ("aB,Bc", [(2, 3), (3, 4)]),
]:
    einsum(_equation, *_shapes)
for _dtype in ["float64", "float16", "bfloat16", "int32", "int64", "uint32"]:
    einsum("ij,jk->ik", (4, 6), (6, 5), dtype=_dtype)
