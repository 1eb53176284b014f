"""CausalConvWithState; expected values from PyTorch's conv1d in float64."""

from __future__ import annotations

import itertools
from typing import Any

import ml_dtypes
import numpy as np
import torch

from ..case import Case


def expected(x: Any, weight: Any, bias: Any, past: Any, silu: bool) -> list[np.ndarray]:
    batch, channels, _ = x.shape
    state = weight.shape[2] - 1
    before = np.zeros((batch, channels, state), x.dtype) if past is None else past
    padded = np.concatenate([before, x], 2)
    if x.size == 0:
        return [x, padded[:, :, padded.shape[2] - state :]]
    exact = [torch.tensor(array.astype(np.float64)) for array in (padded, weight)]
    shift = None if bias is None else torch.tensor(bias.astype(np.float64))
    y = torch.nn.functional.conv1d(*exact, shift, groups=channels)
    if silu:
        y = torch.nn.functional.silu(y)
    return [y.numpy().astype(x.dtype), padded[:, :, padded.shape[2] - state :]]


def row(
    dtype: Any,
    batch: int,
    channels: int,
    length: int,
    taps: int,
    activation: str | None = None,
    with_bias: bool = False,
    with_past: bool = False,
    scale: float = 1,
) -> Case:
    rng = np.random.default_rng(batch + 3 * channels + 7 * length + 11 * taps)
    x = (scale * rng.standard_normal((batch, channels, length))).astype(dtype)
    weight = rng.standard_normal((channels, 1, taps)).astype(dtype)
    bias = rng.standard_normal(channels).astype(dtype) if with_bias else None
    past = rng.standard_normal((batch, channels, taps - 1)).astype(dtype) if with_past else None
    tolerance = {np.float32: 1e-5, np.float16: 2e-3, ml_dtypes.bfloat16: 1.6e-2}[dtype]
    return Case(
        "CausalConvWithState",
        [x, weight, bias, past],
        {"activation": activation},
        outputs=2,
        expected=expected(x, weight, bias, past, activation in ("silu", "swish")),
        rtol=tolerance,
        atol=tolerance * scale / 10,
        id=f"{np.dtype(dtype).name} {batch}x{channels}x{length} taps {taps} {activation or ''} "
        f"{'bias ' * with_bias}{'past ' * with_past}{scale:g}",
    )


CASES = [
    *(row(dtype, 2, 5, 13, 4, "silu", True, True) for dtype in (np.float32, np.float16, ml_dtypes.bfloat16)),
    *(row(np.float32, 2, 3, 7, 4, None, bias, past) for bias, past in itertools.product((False, True), repeat=2)),
    *(row(np.float32, 1, 3, 11, 3, activation) for activation in ("none", "silu", "swish")),
    *(row(np.float32, 3, 7, 1, taps, "silu", True, True) for taps in (1, 2, 5)),  # a token at a time
    *(row(np.float32, 2, 3, length, 7) for length in (1, 2, 6, 7, 8)),  # shorter than the state
    row(np.float32, 1, 67, 257, 4, "silu", True),
    row(np.float32, 0, 3, 5, 4),
    row(np.float32, 2, 3, 0, 4, with_past=True),
    row(np.float32, 2, 3, 5, 3, "silu", scale=1e4),
]
