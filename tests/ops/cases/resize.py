"""Resize, GridSample, AffineGrid, RoiAlign, Col2Im, CenterCropPad."""

import ml_dtypes
import numpy as np
import torch

from ..case import Case

_rng = np.random.default_rng(5)


def _f(*shape: int) -> np.ndarray:
    return _rng.standard_normal(shape).astype(np.float32)


def _i(*items: int) -> np.ndarray:
    return np.array(items, np.int64)


def _s(*items: float) -> np.ndarray:
    return np.array(items, np.float32)


_x = _f(2, 3, 5, 7)
_modes = ["nearest", "linear", "cubic"]
_coordinates = ["half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric"]


def _scales(name: str, *scales: float, x: np.ndarray = _x, **attributes: object) -> Case:
    return Case("Resize", [x, None, _s(*scales)], attributes, atol=1e-5, id=name)


def _sizes(name: str, *sizes: int, x: np.ndarray = _x, **attributes: object) -> Case:
    return Case("Resize", [x, None, None, _i(*sizes)], attributes, atol=1e-5, id=name)


_resizes = [
    *[
        _sizes(
            f"{mode}-{coordinates}-{'up' if size[2] > 5 else 'down'}",
            *size,
            mode=mode,
            coordinate_transformation_mode=coordinates,
        )
        for mode in _modes
        for coordinates in _coordinates
        for size in ((2, 3, 8, 11), (2, 3, 3, 4))
    ],
    *[
        _scales(
            f"nearest-{nearest}-{coordinates}",
            1,
            1,
            2,
            0.6,
            mode="nearest",
            nearest_mode=nearest,
            coordinate_transformation_mode=coordinates,
        )
        for nearest in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
        for coordinates in ("half_pixel", "asymmetric", "align_corners")
    ],
    *[
        Case(
            "Resize",
            [_x, _s(0, 0, 0.1, 0.2, 1, 1, 0.9, 1.3), None, _i(2, 3, 6, 6)],
            {"mode": mode, "coordinate_transformation_mode": "tf_crop_and_resize", "extrapolation_value": 9.0},
            id=f"{mode}-crop",
        )
        for mode in _modes
    ],
    _scales("x2", 1, 1, 2, 2, mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
    _scales("linear-x2", 1, 1, 2, 2, mode="linear"),
    _scales("fraction", 1, 1, 1.3, 0.7, mode="linear"),
    _scales("symmetric-fraction", 1, 1, 1.3, 0.7, mode="linear", coordinate_transformation_mode="half_pixel_symmetric"),
    _scales("cubic-a", 1, 1, 1.5, 2, mode="cubic", cubic_coeff_a=-0.5),
    _scales("exclude", 1, 1, 1.5, 0.8, mode="cubic", exclude_outside=1),
    _scales("linear-antialias", 1, 1, 0.6, 0.3, mode="linear", antialias=1),
    _scales("cubic-antialias", 1, 1, 0.6, 0.5, mode="cubic", antialias=1),
    _scales("antialias-exclude", 1, 1, 0.4, 0.7, mode="cubic", antialias=1, exclude_outside=1),
    _sizes("antialias-up", 2, 3, 9, 14, mode="linear", antialias=1),
    _sizes("one", 2, 3, 1, 1, mode="linear", coordinate_transformation_mode="align_corners"),
    _sizes("batch-and-channels", 3, 5, 5, 7, mode="linear"),
    _sizes("same", 2, 3, 5, 7, mode="linear"),
    _sizes("three", 2, 9, 4, x=_f(2, 5, 7), mode="linear"),
    _sizes("volume", 1, 2, 5, 6, 7, x=_f(1, 2, 3, 4, 5), mode="linear"),
    _sizes("axes", 8, 9, axes=[2, 3], mode="linear"),
    _scales("axes-turned", 2, 0.5, axes=[3, 2], mode="nearest"),
    _sizes("not-larger", 9, 9, axes=[2, 3], keep_aspect_ratio_policy="not_larger", mode="linear"),
    _sizes("not-smaller", 9, 9, axes=[2, 3], keep_aspect_ratio_policy="not_smaller", mode="nearest"),
    _sizes("double", 2, 3, 8, 8, x=_x.astype(np.float64), mode="cubic"),
    Case(
        "Resize",
        [_x.astype(np.float16), None, None, _i(2, 3, 8, 8)],
        {"mode": "linear"},
        rtol=2e-3,
        atol=1e-3,
        id="float16",
    ),
    _sizes("uint8", 1, 1, 8, 8, x=_rng.integers(0, 255, (1, 1, 5, 7)).astype(np.uint8), mode="linear"),
    _sizes("int8-cubic", 1, 1, 8, 8, x=_rng.integers(-128, 127, (1, 1, 5, 7)).astype(np.int8), mode="cubic"),
    _sizes("int32", 1, 1, 8, 8, x=_rng.integers(-(10**9), 10**9, (1, 1, 5, 7)).astype(np.int32), mode="linear"),
    _sizes("nearest-int64", 1, 1, 8, 8, x=np.arange(35).reshape(1, 1, 5, 7)),
]

_ten = _f(1, 1, 10, 10)
_theta = _f(2, 2, 3)
_grid = (_rng.random((2, 4, 6, 2)) * 2.6 - 1.3).astype(np.float32)
_volume_grid = (_rng.random((1, 2, 3, 4, 3)) * 2.4 - 1.2).astype(np.float32)


def _grid_sample(mode: str, padding: str, align: int) -> Case:
    x = _f(2, 3, 5, 4)
    attributes = {"mode": mode, "padding_mode": padding, "align_corners": align}
    expected = None
    if mode == "cubic":
        # PyTorch and ONNX Runtime bound each pixel that is read; onnx's evaluator bounds the place between them.
        result = torch.nn.functional.grid_sample(
            torch.from_numpy(x), torch.from_numpy(_grid), "bicubic", padding, bool(align)
        )
        expected = [result.numpy()]
    name = f"{mode}-{padding}-{align}"
    return Case("GridSample", [x, _grid], attributes, expected=expected, rtol=1e-4, atol=1e-5, id=name)


CASES = [
    *_resizes,
    *[
        _grid_sample(mode, padding, align)
        for mode in _modes
        for padding in ("zeros", "border", "reflection")
        for align in (0, 1)
    ],
    Case("GridSample", [_f(1, 2, 3, 4, 5), _volume_grid], {"mode": "linear"}, rtol=1e-4, atol=1e-5, id="volume"),
    Case("GridSample", [_f(1, 2, 3, 4, 5).astype(np.float64), _volume_grid], {"mode": "nearest"}, id="volume-nearest"),
    *[
        Case("AffineGrid", [_theta, _i(2, 3, 4, 5)], {"align_corners": align}, atol=1e-5, id=f"align{align}")
        for align in (0, 1)
    ],
    *[
        Case(
            "RoiAlign",
            [_f(2, 3, 9, 11), _s(0, 0, 7, 6, 2, 1, 9, 9, -3, -2, 30, 5).reshape(3, 4), _i(0, 1, 0)],
            {
                "mode": mode,
                "coordinate_transformation_mode": transformation,
                "output_height": 3,
                "output_width": 2,
                "sampling_ratio": ratio,
                "spatial_scale": 0.8,
            },
            rtol=1e-4,
            atol=1e-5,
            id=f"{mode}-{transformation}-{ratio}",
        )
        for mode in ("avg", "max")
        for transformation in ("half_pixel", "output_half_pixel")
        for ratio in (0, 2)
    ],
    Case("Col2Im", [_f(1, 5, 5), _i(5, 5), _i(1, 5)]),
    Case("Col2Im", [_f(2, 18, 12), _i(6, 5), _i(3, 3)], {"pads": [0, 0, 0, 0]}, id="channels"),
    Case("Col2Im", [_f(1, 4, 9), _i(5, 5), _i(2, 2)], {"strides": [2, 2], "pads": [0, 0, 1, 1]}, id="strides"),
    Case("Col2Im", [_f(1, 4, 5), _i(6, 6), _i(2, 2)], {"dilations": [1, 5], "strides": [1, 1]}, id="dilations"),
    Case("Col2Im", [_f(1, 10, 12), _i(3, 4, 5), _i(1, 1, 5)], id="volume"),
    Case("CenterCropPad", [_f(10, 7), _i(6, 9)]),
    Case("CenterCropPad", [_f(4, 5, 6), _i(9, 3)], {"axes": [-1, 1]}, id="axes"),
    Case("Resize", [_ten.astype(ml_dtypes.bfloat16), None, _s(1, 1, 2, 2)], {"mode": "nearest"}, id="bfloat16"),
]
