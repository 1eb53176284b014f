"""DFT, STFT and MelWeightMatrix: expected values are those of numpy.fft, and of onnx's reference for the mel matrix."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from tests.ops.case import Case

rng = np.random.default_rng(23)
TOLERANCES = {np.float32: 1e-5, np.float64: 1e-11, np.float16: 1e-2, ml_dtypes.bfloat16: 5e-2}


def parts(x: np.ndarray, dtype: type) -> np.ndarray:
    """Complex numbers as pairs in a last dimension."""
    return np.stack([x.real, x.imag], -1).astype(dtype)


def signal(shape: tuple[int, ...], dtype: type, is_complex: bool) -> tuple[np.ndarray, np.ndarray]:
    """The input of the operator, and its numbers as NumPy takes them."""
    x = rng.standard_normal((*shape, 2 if is_complex else 1)).astype(dtype)
    wide = x.astype(np.float64)
    return x, wide[..., 0] + 1j * wide[..., 1] if is_complex else wide[..., 0]


def dft(
    shape: tuple[int, ...],
    axis: int | None = None,
    n: int | None = None,
    kind: str = "fft",
    is_complex: bool = False,
    dtype: type = np.float32,
) -> Case:
    x, numbers = signal(shape, dtype, is_complex)
    along = -1 if axis is None else axis + 1 if axis < 0 else axis
    y = getattr(np.fft, kind)(numbers, n=n, axis=along)
    expected = y[..., None].astype(dtype) if kind == "irfft" else parts(y, dtype)
    inputs: list[Any] = [x, None if n is None else np.array(n, np.int64), None if axis is None else np.array(axis)]
    while inputs[-1] is None:
        inputs.pop()
    attributes = {"inverse": int(kind in ("ifft", "irfft")), "onesided": int("r" in kind)}
    tolerance = TOLERANCES[dtype]
    id = f"{kind}-{shape}-{axis}-{n}-{np.dtype(dtype).name}{'-complex' * is_complex}"
    return Case("DFT", inputs, attributes, expected=[expected], rtol=tolerance, atol=3 * tolerance, id=id)


def stft(batch: int, length: int, n: int, step: int, window: bool, onesided: int, dtype: type, given: bool) -> Case:
    x, numbers = signal((batch, length), dtype, is_complex=not onesided)
    weights = rng.random(n).astype(dtype)
    frames = np.lib.stride_tricks.sliding_window_view(numbers, n, axis=1)[:, ::step]
    y = np.fft.fft(frames * (weights.astype(np.float64) if window else 1))
    expected = parts(y[..., : n // 2 + 1] if onesided else y, dtype)
    inputs: list[Any] = [x, np.array(step, np.int64)]
    if window or given:
        inputs.append(weights if window else None)
    if given:
        inputs.append(np.array(n, np.int64))
    tolerance = TOLERANCES[dtype]
    id = f"{batch}-{length}-{n}-{step}-{window}-{onesided}-{np.dtype(dtype).name}-{given}"
    return Case("STFT", inputs, {"onesided": onesided}, expected=[expected], rtol=tolerance, atol=3 * tolerance, id=id)


def mel(bands: int, n: int, rate: int, low: float, high: float, kind: int | None = None) -> Case:
    inputs = [np.array(item, np.int32) for item in (bands, n, rate)] + [np.array(x, np.float32) for x in (low, high)]
    return Case("MelWeightMatrix", inputs, {"output_datatype": kind}, id=f"{bands}-{n}-{rate}-{kind}")


LENGTHS = [1, 2, 3, 4, 5, 6, 8, 12, 13, 16, 17, 30, 49, 64, 97, 101, 128, 143, 210, 360, 512, 1009]
CASES = [
    dft((2, size), kind=kind, is_complex=kind != "rfft")
    for size in LENGTHS
    for kind in ("fft", "ifft", "rfft", "irfft")
    if kind != "irfft" or size > 1
]
CASES += [
    dft((3, 10, 7), axis, n, kind, is_complex, dtype)
    for axis in (0, 1, -2, -3)
    for n in (None, 6, 9, 17)
    for kind, is_complex in (("fft", False), ("fft", True), ("ifft", True), ("rfft", False), ("irfft", True))
    for dtype in ((np.float32, np.float64) if axis == 1 else (np.float32,))
]
CASES += [dft((4, 20), dtype=dtype) for dtype in (np.float16, ml_dtypes.bfloat16)]
CASES += [dft((0, 8)), dft((64, 600), is_complex=True), dft((16, 3000))]
CASES += [
    stft(2, 128, n, step, window, onesided, dtype, given)
    for n, step in ((16, 8), (15, 4), (37, 50), (128, 3))
    for window, given in ((True, True), (True, False), (False, True))
    for onesided in (0, 1)
    for dtype in (np.float32, np.float64)
]
CASES += [stft(1, 24, 24, 5, False, 1, np.float32, False), stft(3, 1000, 64, 16, True, 1, np.float16, True)]
CASES += [mel(8, 16, 8192, 0, 4096), mel(20, 512, 16000, 20, 7600), mel(8, 16, 8192, 0, 4096, 7)]
CASES += [mel(13, 400, 16000, 100, 8000, 11), mel(13, 401, 16000, 100, 8000, 10)]
