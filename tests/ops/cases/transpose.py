"""Transpose, DepthToSpace, SpaceToDepth."""

import itertools

import ml_dtypes
import numpy as np

from ..case import Case

_rng = np.random.default_rng(1)


def _f(*shape: int) -> np.ndarray:
    return _rng.standard_normal(shape).astype(np.float32)


def _transpose(x: np.ndarray, perm: tuple[int, ...] | None, name: str) -> Case:
    return Case("Transpose", [x], {"perm": perm}, expected=[np.transpose(x, perm)], rtol=0, atol=0, id=name)


_x = _f(2, 3, 4, 5)
_types = [
    np.int8,
    np.uint16,
    np.int64,
    np.float64,
    np.float16,
    ml_dtypes.bfloat16,
    ml_dtypes.float8_e4m3fn,
    bool,
    np.complex64,
    np.complex128,
]

CASES = [
    *[_transpose(_x, perm, "".join(map(str, perm))) for perm in itertools.permutations(range(4))],
    _transpose(_x, None, "default"),
    _transpose(np.float32(1).reshape(()), None, "scalar"),
    _transpose(_f(0, 3), (1, 0), "empty"),
    _transpose(_f(37, 41), (1, 0), "primes"),
    _transpose(_f(129, 300), (1, 0), "large"),
    _transpose(_f(256, 193), (1, 0), "stride-of-a-cache-set"),
    _transpose(_f(3, 512, 130), (0, 2, 1), "batched-stride-of-a-cache-set"),
    # Input and output together are larger than the last cache of common machines.
    _transpose(np.arange(2112 * 2049, dtype=np.int32).reshape(2112, 2049), (1, 0), "past-caches"),
    _transpose(np.arange(4111 * 1031, dtype=np.int32).reshape(4111, 1031), (1, 0), "past-caches-odd"),
    _transpose(_f(3, 17, 65), (0, 2, 1), "batched"),
    _transpose(_f(1, 12, 7, 16, 6), (0, 1, 4, 2, 3), "rank5"),
    _transpose(_f(2, 3, 2, 3, 2, 3, 2), (6, 4, 2, 0, 5, 3, 1), "rank7"),
    _transpose(_f(65, 31, 3), (2, 0, 1), "nhwc-to-nchw"),
    _transpose(_f(3, 65, 31), (1, 2, 0), "nchw-to-nhwc"),
    *[_transpose((_f(19, 23) * 9).astype(t), (1, 0), np.dtype(t).name) for t in _types],
    *[_transpose((_f(5, 7, 2) * 9).astype(t), (1, 0, 2), f"runs-{np.dtype(t).name}") for t in _types],
    _transpose(np.array([["a", "b", "c"], ["d", "e", ""]], object), (1, 0), "strings"),
    *[Case("DepthToSpace", [_f(2, 18, 3, 5)], {"blocksize": 3, "mode": mode}, id=mode) for mode in ("DCR", "CRD")],
    Case("DepthToSpace", [_f(1, 8, 1, 4)], {"blocksize": 2}, id="default"),
    Case("SpaceToDepth", [_f(2, 3, 6, 9)], {"blocksize": 3}),
    Case("SpaceToDepth", [(_f(1, 2, 4, 2) * 9).astype(np.int64)], {"blocksize": 2}, id="int64"),
    # torch.nn.functional.pixel_unshuffle has the order of CRD.
    Case(
        "SpaceToDepth",
        [np.arange(32, dtype=np.float32).reshape(1, 2, 4, 4)],
        {"blocksize": 2, "mode": "CRD"},
        expected=[
            np.arange(32, dtype=np.float32).reshape(1, 2, 2, 2, 2, 2).transpose(0, 1, 3, 5, 2, 4).reshape(1, 8, 2, 2)
        ],
        id="CRD",
    ),
]
