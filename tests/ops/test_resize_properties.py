"""Resize with random sizes and modes, against PyTorch and against the standard's formulas, axis by axis."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from .properties import check_close, property_settings, run

_scales = [0.25, 0.375, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.625, 4.0]
_coordinates = st.sampled_from(
    [
        "half_pixel",
        "half_pixel_symmetric",
        "pytorch_half_pixel",
        "align_corners",
        "asymmetric",
        "tf_crop_and_resize",
    ]
)
_nearest = st.sampled_from(["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])


def positions(mode: str, size: int, scale: float, out: int, roi: tuple[float, float]) -> np.ndarray:
    """Where each of the outputs lies among the inputs: the standard's x_original."""
    x = np.arange(out, dtype=np.float64)
    resized = scale * size
    match mode:
        case "half_pixel":
            return (x + 0.5) / scale - 0.5
        case "half_pixel_symmetric":
            return size / 2 * (1 - out / resized) + (x + 0.5) / scale - 0.5
        case "pytorch_half_pixel":
            return (x + 0.5) / scale - 0.5 if out > 1 else np.zeros(out)
        case "align_corners":
            return x * (size - 1) / (resized - 1) if out > 1 else np.zeros(out)
        case "asymmetric":
            return x / scale
    first, last = roi
    if out == 1:
        return np.full(1, 0.5 * (first + last) * (size - 1))
    return first * (size - 1) + x * (last - first) * (size - 1) / (resized - 1)


def cubic(x: np.ndarray, a: float) -> np.ndarray:
    x = np.abs(x)
    near = (a + 2) * x**3 - (a + 3) * x**2 + 1
    far = a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0))


def axis_matrix(attributes: dict[str, Any], at: np.ndarray, size: int, scale: float) -> np.ndarray:
    """[outputs, size]: how much each input weighs in each output."""
    matrix = np.zeros((len(at), size))
    mode = attributes["mode"]
    if mode == "nearest":
        rounded = {
            "round_prefer_floor": np.ceil(at - 0.5),
            "round_prefer_ceil": np.floor(at + 0.5),
            "floor": np.floor(at),
            "ceil": np.ceil(at),
        }[attributes["nearest_mode"]]
        matrix[range(len(at)), np.clip(rounded, 0, size - 1).astype(int)] = 1
        return matrix
    stretch = min(scale, 1.0) if attributes.get("antialias") else 1.0
    reach = int(np.ceil(2 / stretch)) + 1
    for row, x in zip(matrix, at, strict=True):
        taps = int(np.floor(x)) + np.arange(-reach, reach + 1)
        away = (taps - x) * stretch
        a = attributes.get("cubic_coeff_a", -0.75)
        weights = np.maximum(0, 1 - np.abs(away)) if mode == "linear" else cubic(away, a)
        if attributes.get("exclude_outside"):
            weights = np.where((taps < 0) | (taps >= size), 0, weights)
        weights = weights / weights.sum()
        np.add.at(row, np.clip(taps, 0, size - 1), weights)
    return matrix


@property_settings
@given(st.data(), st.sampled_from(["nearest", "linear", "cubic"]), _coordinates, st.booleans())
def test_resize(data: st.DataObject, mode: str, coordinates: str, symbolic: bool) -> None:
    spatial = data.draw(st.integers(1, 2 if mode == "cubic" else 3))
    shape = (data.draw(st.integers(1, 3)), data.draw(st.sampled_from([1, 3, 8])))
    shape += tuple(data.draw(st.integers(1, 7)) for _ in range(spatial))
    x = np.random.default_rng(data.draw(st.integers(0, 2**16))).standard_normal(shape).astype(np.float32)
    attributes: dict[str, Any] = {"mode": mode, "coordinate_transformation_mode": coordinates}
    if mode == "nearest":
        attributes["nearest_mode"] = data.draw(_nearest)
    elif coordinates != "tf_crop_and_resize":
        attributes["antialias"] = data.draw(st.integers(0, 1))
        attributes["exclude_outside"] = data.draw(st.integers(0, 1))
    if mode == "cubic":
        attributes["cubic_coeff_a"] = data.draw(st.sampled_from([-0.75, -0.5]))
    axes = list(range(2, 2 + spatial))
    if data.draw(st.booleans()):
        axes = data.draw(st.permutations(axes))
        attributes["axes"] = [axis - len(shape) * data.draw(st.booleans()) for axis in axes]
    by_sizes = data.draw(st.booleans())
    if by_sizes:
        out = [data.draw(st.integers(1, 11)) for _ in axes]
        scales = [n / shape[axis] for n, axis in zip(out, axes, strict=True)]
        policy = data.draw(st.sampled_from(["stretch", "not_larger", "not_smaller"]))
        attributes["keep_aspect_ratio_policy"] = policy
        if policy != "stretch":
            common = min(scales) if policy == "not_larger" else max(scales)
            scales = [common] * len(axes)
            sizes = [int(np.floor(common * shape[axis] + 0.5)) for axis in axes]
        else:
            sizes = out
    else:
        scales = [data.draw(st.sampled_from([s for s in _scales if s * shape[axis] >= 1])) for axis in axes]
        sizes = [int(np.floor(s * shape[axis])) for s, axis in zip(scales, axes, strict=True)]
    rois = [data.draw(st.sampled_from([(0.0, 1.0), (0.125, 0.75), (-0.25, 0.5), (1.0, 0.0)])) for _ in axes]
    whole = attributes.get("axes") is None
    lead = 2 if whole else 0
    target = np.array([*shape[:lead], *out], np.int64) if by_sizes else None
    given_scales = None if by_sizes else np.array([*[1.0] * lead, *scales], np.float32)
    if by_sizes and whole and attributes["keep_aspect_ratio_policy"] != "stretch":
        # The policy would take the batch and the channels for sides of the picture.
        attributes["axes"] = list(axes)
        target = np.array(out, np.int64)
        lead = 0
    roi = None
    if coordinates == "tf_crop_and_resize":
        edges = list(zip(*([(0.0, 1.0)] * lead + rois), strict=True))
        roi = np.array([*edges[0], *edges[1]], np.float32)
        attributes["extrapolation_value"] = 5.0
    expected, outside, unsure = x.astype(np.float64), np.zeros(1, bool), np.zeros(1, bool)
    for axis, scale, n, edge in zip(axes, scales, sizes, rois, strict=True):
        at = positions(coordinates, shape[axis], scale, n, edge)
        matrix = axis_matrix(attributes, at, shape[axis], scale)
        expected = np.moveaxis(np.moveaxis(expected, axis, -1) @ matrix.T, -1, axis)
        along = [1] * len(shape)
        along[axis] = n
        if coordinates == "tf_crop_and_resize":
            outside = outside | ((at < 0) | (at > shape[axis] - 1)).reshape(along)
            # Rounding decides on which side of the border such a place lies.
            close = (np.abs(at) < 1e-5) | (np.abs(at - (shape[axis] - 1)) < 1e-5)
            unsure = unsure | (close & bool(edge not in ((0.0, 1.0), (1.0, 0.0)))).reshape(along)
        if mode == "nearest":
            border = at if attributes["nearest_mode"] in ("floor", "ceil") else at - 0.5
            distance = np.abs(border - np.round(border))
            exact = not by_sizes and coordinates in ("half_pixel", "asymmetric") and float(1 / scale).is_integer()
            unsure = unsure | ((distance < 1e-5) & (not exact)).reshape(along)
    expected = np.where(outside, 5.0, expected)
    actual = run("Resize", [x, roi, given_scales, target], symbolic, **attributes)[0]
    assert actual.shape == expected.shape
    check_close(np.where(unsure, 0, actual), np.where(unsure, 0, expected), 2e-5)


@property_settings
@given(st.data(), st.sampled_from(["nearest", "linear", "cubic", "exact"]), st.booleans(), st.booleans())
def test_resize_like_torch(data: st.DataObject, mode: str, option: bool, symbolic: bool) -> None:
    """`option` is align_corners or antialias."""
    antialias = option and data.draw(st.booleans())
    spatial = 2 if mode == "cubic" or antialias else data.draw(st.integers(1, 3))
    shape = (data.draw(st.integers(1, 2)), data.draw(st.sampled_from([1, 3, 8])))
    # PyTorch's antialiased kernels give the first row everywhere where either picture has one column.
    least = 2 if antialias else 1
    shape += tuple(data.draw(st.integers(least, 9)) for _ in range(spatial))
    size = [data.draw(st.integers(least, 13)) for _ in range(spatial)]
    x = np.random.default_rng(data.draw(st.integers(0, 2**16))).standard_normal(shape).astype(np.float32)
    attributes: dict[str, Any] = {"mode": mode, "coordinate_transformation_mode": "half_pixel"}
    wide = torch.from_numpy(x.astype(np.float64))
    target = np.array([*shape[:2], *size], np.int64)
    if mode == "nearest":
        # Rounding decides where a place is a whole number; such sizes are left to the other test.
        scale = [data.draw(st.sampled_from([1, 2, 4])) for _ in size]
        size = [n * s for n, s in zip(shape[2:], scale, strict=True)]
        target = np.array([*shape[:2], *size], np.int64)
        attributes |= {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        expected = torch.nn.functional.interpolate(wide, size, mode="nearest")
    elif mode == "exact":
        size = [n * data.draw(st.sampled_from([1, 2, 3])) for n in shape[2:]]
        target = np.array([*shape[:2], *size], np.int64)
        attributes |= {"mode": "nearest", "nearest_mode": "round_prefer_ceil"}
        expected = torch.nn.functional.interpolate(wide, size, mode="nearest-exact")
    else:
        name = "bicubic" if mode == "cubic" else ["linear", "bilinear", "trilinear"][spatial - 1]
        if antialias:
            attributes |= {"antialias": 1, "exclude_outside": 1, "cubic_coeff_a": -0.5}
        elif option:
            attributes["coordinate_transformation_mode"] = "align_corners"
        expected = torch.nn.functional.interpolate(
            wide, size, mode=name, align_corners=option and not antialias, antialias=antialias
        )
    actual = run("Resize", [x, None, None, target], symbolic, **attributes)[0]
    check_close(actual, expected.numpy(), 2e-5)
