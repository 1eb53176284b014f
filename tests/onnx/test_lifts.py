"""Old forms of operators: what a model of that opset meant, computed with NumPy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import fastort
from fastort.capi.onnxruntime_pybind11_state import NotImplemented

RNG = np.random.default_rng(0)


def floats(*shape: int) -> np.ndarray:
    """Returns normal float32 numbers."""
    return RNG.standard_normal(shape).astype(np.float32)


@dataclass(frozen=True)
class Case:
    """One old node.

    Attributes:
        name: Name of the test.
        opset: Version of the node's domain.
        op: The operator.
        inputs: Its inputs, fed by a run; ``None`` leaves one out.
        expected: Its outputs.
        attributes: Its attributes.
        constants: Indices of the inputs that are initializers.
        domain: The operator's domain.
    """

    name: str
    opset: int
    op: str
    inputs: Sequence[np.ndarray | None]
    expected: Sequence[np.ndarray]
    attributes: dict[str, Any] = field(default_factory=dict)
    constants: Sequence[int] = ()
    domain: str = ""


def softmax(x: np.ndarray, axis: int) -> np.ndarray:
    """Returns the softmax of the matrix whose rows are the dimensions in front of ``axis``."""
    rows = x.reshape(int(np.prod(x.shape[:axis])), -1)
    e = np.exp(rows - rows.max(1, keepdims=True))
    return (e / e.sum(1, keepdims=True)).reshape(x.shape)


def hardmax(x: np.ndarray, axis: int) -> np.ndarray:
    """Returns one at the largest item of each row, zero elsewhere."""
    rows = x.reshape(int(np.prod(x.shape[:axis])), -1)
    return np.eye(rows.shape[1], dtype=x.dtype)[rows.argmax(1)].reshape(x.shape)


def nearest(x: np.ndarray, scales: Sequence[float], rounding: Callable = np.floor) -> np.ndarray:
    """Returns the picture sampled at ``rounding(i / scale)``."""
    for axis, scale in enumerate(scales):
        size = int(x.shape[axis] * scale)
        index = np.minimum(rounding(np.arange(size) / scale), x.shape[axis] - 1)
        x = np.take(x, index.astype(int), axis)
    return x


def linear(x: np.ndarray, scales: Sequence[float]) -> np.ndarray:
    """Returns the picture interpolated between its items at ``i / scale``."""
    for axis, scale in enumerate(scales):
        size = int(x.shape[axis] * scale)
        at = np.minimum(np.arange(size) / scale, x.shape[axis] - 1)
        low = np.floor(at).astype(int)
        high = np.minimum(low + 1, x.shape[axis] - 1)
        weight = (at - low).reshape([-1 if i == axis else 1 for i in range(x.ndim)])
        x = np.take(x, low, axis) * (1 - weight) + np.take(x, high, axis) * weight
    return x.astype(np.float32)


def lp_pool(x: np.ndarray, p: int) -> np.ndarray:
    """Returns the Lp norm of each 2 by 2 block of a [N,C,H,W] tensor."""
    n, c, h, w = x.shape
    blocks = np.abs(x).reshape(n, c, h // 2, 2, w // 2, 2)
    return (blocks**p).sum((3, 5)) ** (1 / p)


X = floats(2, 3, 4)
X4 = floats(2, 3, 4, 6)
PICTURE = floats(1, 2, 4, 6)
C3 = floats(3)
C34 = floats(3, 4)
POSITIVE = np.abs(floats(3)) + 1
BOOLS = X > 0
MEAN, VAR = floats(3), np.abs(floats(3)) + 0.5
PLACE = [floats(3, 4) for _ in range(3)] + [np.abs(floats(3, 4)) + 0.5]


def per_channel(v: np.ndarray) -> np.ndarray:
    """Returns a vector with the shape in which it broadcasts over [N,C,L]."""
    return v.reshape(1, 3, 1)


def batch_norm() -> np.ndarray:
    """Returns X normalised with MEAN, VAR, scaled by POSITIVE and shifted by C3."""
    return (X - per_channel(MEAN)) / np.sqrt(per_channel(VAR) + 1e-5) * per_channel(POSITIVE) + per_channel(C3)


def group_norm(x: np.ndarray, scale: np.ndarray, bias: np.ndarray, groups: int) -> np.ndarray:
    """Returns the group normalisation with one scale and bias for each group."""
    grouped = x.reshape(x.shape[0], groups, -1)
    normal = (grouped - grouped.mean(2, keepdims=True)) / np.sqrt(grouped.var(2, keepdims=True) + 1e-5)
    return (normal * scale.reshape(1, -1, 1) + bias.reshape(1, -1, 1)).reshape(x.shape)


GROUPED = floats(2, 4, 5)
ORDER = np.argsort(-X, 2, kind="stable")
IDS = np.array([[1, 0, 2, 0]], dtype=np.int64)
UPDATES = floats(1, 4)
SCATTERED = C34.copy()
np.put_along_axis(SCATTERED, IDS, UPDATES, 0)

CASES = [
    Case("reduce_mean", 11, "ReduceMean", [X], [X.mean((1, 2))], {"axes": [1, 2], "keepdims": 0}),
    Case("reduce_sum_all", 11, "ReduceSum", [X], [X.sum(keepdims=True).reshape(1, 1, 1)]),
    Case("reduce_max_negative", 11, "ReduceMax", [X], [X.max(2, keepdims=True)], {"axes": [-1]}),
    Case("reduce_l2", 1, "ReduceL2", [X], [np.sqrt((X**2).sum(0))], {"axes": [0], "keepdims": 0}),
    Case("squeeze", 11, "Squeeze", [X[:, :, None]], [X], {"axes": [2]}),
    Case("squeeze_all", 1, "Squeeze", [X[:, :, None]], [X]),
    Case("unsqueeze", 11, "Unsqueeze", [X], [X[None, :, :, None]], {"axes": [0, 3]}),
    Case("split_2", 2, "Split", [X], [X[:, :, :1], X[:, :, 1:]], {"axis": 2, "split": [1, 3]}),
    Case("split_1_attribute", 1, "Split", [X], [X[:, :1], X[:, 1:]], {"axis": 1, "split": [1, 2]}),
    Case("split_13_equal", 13, "Split", [X], [X[:, :, :2], X[:, :, 2:]], {"axis": 2}),
    Case("slice_1", 1, "Slice", [X], [X[:, 1:3, -3:]], {"starts": [1, -3], "ends": [3, 99], "axes": [1, 2]}),
    Case("slice_1_no_axes", 1, "Slice", [X], [X[:1, 1:]], {"starts": [0, 1], "ends": [1, 9]}),
    Case("top_k_1", 1, "TopK", [X], [np.take_along_axis(X, ORDER, 2)[..., :2], ORDER[..., :2]], {"k": 2}),
    Case("reshape_1", 1, "Reshape", [X], [X.reshape(2, 12)], {"shape": [0, -1]}),
    Case("clip_6", 6, "Clip", [X], [X.clip(-0.5, 0.5)], {"min": -0.5, "max": 0.5}),
    Case("clip_1_max", 1, "Clip", [X], [X.clip(None, 0.5)], {"max": 0.5}),
    Case("clip_6_double", 6, "Clip", [X.astype(np.float64)], [X.astype(np.float64).clip(0, None)], {"min": 0.0}),
    Case(
        "pad_2",
        2,
        "Pad",
        [X],
        [np.pad(X, ((0, 1), (1, 0), (2, 0)), constant_values=2)],
        {"pads": [0, 1, 2, 1, 0, 0], "value": 2.0},
    ),
    Case(
        "pad_2_reflect",
        2,
        "Pad",
        [X],
        [np.pad(X, ((0, 0), (0, 0), (1, 2)), "reflect")],
        {"pads": [0, 0, 1, 0, 0, 2], "mode": "reflect"},
    ),
    Case("pad_1", 1, "Pad", [X], [np.pad(X, ((0, 0), (0, 0), (1, 1)))], {"paddings": [0, 0, 1, 0, 0, 1]}),
    Case(
        "tile_1",
        1,
        "Tile",
        [X, np.array([3], np.float32), np.array([1], np.float32)],
        [np.tile(X, (1, 3, 1))],
        constants=(1, 2),
    ),
    Case(
        "upsample_1",
        1,
        "Upsample",
        [PICTURE],
        [nearest(PICTURE, (1, 1, 2, 3))],
        {"height_scale": 2.0, "width_scale": 3.0},
    ),
    Case("upsample_7", 7, "Upsample", [PICTURE], [nearest(PICTURE, (1, 1, 1.5, 2))], {"scales": [1.0, 1.0, 1.5, 2.0]}),
    Case(
        "upsample_9_linear",
        9,
        "Upsample",
        [PICTURE, np.array([1, 1, 2, 2], np.float32)],
        [linear(PICTURE, (1, 1, 2, 2))],
        {"mode": "linear"},
        constants=(1,),
    ),
    Case(
        "resize_10_down",
        10,
        "Resize",
        [PICTURE, np.array([1, 1, 0.6, 0.6], np.float32)],
        [nearest(PICTURE, (1, 1, 0.6, 0.6), np.ceil)],
        constants=(1,),
    ),
    Case(
        "resize_10_up",
        10,
        "Resize",
        [PICTURE, np.array([1, 1, 2, 3], np.float32)],
        [nearest(PICTURE, (1, 1, 2, 3))],
        constants=(1,),
    ),
    Case("add_6_axis", 6, "Add", [X4, C34], [X4 + C34[None, :, :, None]], {"broadcast": 1, "axis": 1}),
    Case("mul_6_negative_axis", 6, "Mul", [X4, C34], [X4 * C34[None, :, :, None]], {"broadcast": 1, "axis": -3}),
    Case("sub_6_suffix", 6, "Sub", [X, C34], [X - C34], {"broadcast": 1}),
    Case("div_6_scalar", 6, "Div", [X, np.array([2], np.float32)], [X / 2], {"broadcast": 1}),
    Case("add_1_equal", 1, "Add", [X, X], [X + X], {"consumed_inputs": [0, 0]}),
    Case(
        "pow_1_axis",
        1,
        "Pow",
        [np.abs(X4), POSITIVE],
        [np.abs(X4) ** POSITIVE[None, :, None, None]],
        {"broadcast": 1, "axis": 1},
    ),
    Case("less_1_axis", 1, "Less", [X4, C3], [np.less(X4, C3[None, :, None, None])], {"broadcast": 1, "axis": 1}),
    Case(
        "and_1_axis",
        1,
        "And",
        [BOOLS, BOOLS[0, :, 0]],
        [BOOLS & BOOLS[0, :, 0][None, :, None]],
        {"broadcast": 1, "axis": 1},
    ),
    Case("prelu_6_channels", 6, "PRelu", [X4, C3], [np.where(X4 < 0, X4 * C3[None, :, None, None], X4)]),
    Case("prelu_6_shared", 6, "PRelu", [X4, C3[:1]], [np.where(X4 < 0, X4 * C3[0], X4)], constants=(1,)),
    Case("gemm_6", 6, "Gemm", [C34, C34, C3], [C34 @ C34.T + C3], {"transB": 1, "broadcast": 1}),
    Case("softmax_11", 11, "Softmax", [X], [softmax(X, 1)]),
    Case("softmax_11_last", 11, "Softmax", [X], [softmax(X, 2)], {"axis": 2}),
    Case("log_softmax_1", 1, "LogSoftmax", [X], [np.log(softmax(X, 1))]),
    Case("hardmax_1", 1, "Hardmax", [X], [hardmax(X, 1)]),
    Case(
        "batch_norm_1",
        1,
        "BatchNormalization",
        [X, POSITIVE, C3, MEAN, VAR],
        [batch_norm()],
        {"is_test": 1, "consumed_inputs": [0, 0, 0, 1, 1]},
    ),
    Case("batch_norm_7", 7, "BatchNormalization", [X, POSITIVE, C3, MEAN, VAR], [batch_norm()]),
    Case(
        "batch_norm_8_places",
        8,
        "BatchNormalization",
        [X, PLACE[0], PLACE[1], PLACE[2], PLACE[3]],
        [(X - PLACE[2]) / np.sqrt(PLACE[3] + 1e-5) * PLACE[0] + PLACE[1]],
        {"spatial": 0},
    ),
    Case(
        "group_norm_18",
        18,
        "GroupNormalization",
        [GROUPED, POSITIVE[:2], C3[:2]],
        [group_norm(GROUPED, POSITIVE[:2], C3[:2], 2)],
        {"num_groups": 2},
    ),
    Case("dropout_6", 6, "Dropout", [X], [X], {"ratio": 0.3}),
    Case("dropout_7_mask", 7, "Dropout", [X], [X, np.ones_like(X)], {"ratio": 0.3}),
    Case("dropout_10_mask", 10, "Dropout", [X], [X, np.ones_like(X, dtype=bool)]),
    Case("cast_1", 1, "Cast", [X], [X.astype(np.int32)], {"to": "INT32"}),
    Case("concat_1", 1, "Concat", [X, X], [np.concatenate([X, X], 1)]),
    Case("lp_pool_1", 1, "LpPool", [X4], [lp_pool(X4, 3)], {"p": 3.0, "kernel_shape": [2, 2], "strides": [2, 2]}),
    Case("global_lp_pool_1", 1, "GlobalLpPool", [X4], [np.sqrt((X4**2).sum((2, 3), keepdims=True))], {"p": 2.0}),
    Case("selu_1", 1, "Selu", [X], [1.0507 * np.where(X > 0, X, 1.6732 * (np.exp(X) - 1))]),
    Case("scatter_9", 9, "Scatter", [C34, IDS, UPDATES], [SCATTERED]),
    Case("max_1", 1, "Max", [X, -X], [np.abs(X)], {"consumed_inputs": [0, 0]}),
    Case("arg_max_1", 1, "ArgMax", [X], [X.argmax(1)], {"axis": 1, "keepdims": 0}),
    Case(
        "dft_17",
        17,
        "DFT",
        [X[..., None]],
        [np.stack([np.fft.fft(X, axis=2).real, np.fft.fft(X, axis=2).imag], -1).astype(np.float32)],
        {"axis": 2},
    ),
    Case("relu_1", 1, "Relu", [X], [X.clip(0)], {"consumed_inputs": [0]}),
    Case(
        "label_encoder_1",
        1,
        "LabelEncoder",
        [np.array(["b", "a", "x"], dtype=object)],
        [np.array([1, 0, -1])],
        {"classes_strings": ["a", "b"]},
        domain="ai.onnx.ml",
    ),
    Case("affine", 7, "Affine", [X], [2 * X + 1], {"alpha": 2.0, "beta": 1.0}),
    Case("scaled_tanh", 7, "ScaledTanh", [X], [2 * np.tanh(3 * X)], {"alpha": 2.0, "beta": 3.0}),
    Case(
        "parametric_softplus", 7, "ParametricSoftplus", [X], [2 * np.log1p(np.exp(3 * X))], {"alpha": 2.0, "beta": 3.0}
    ),
    Case(
        "image_scaler",
        7,
        "ImageScaler",
        [PICTURE],
        [PICTURE / 2 + C3[:2].reshape(1, 2, 1, 1)],
        {"scale": 0.5, "bias": C3[:2].tolist()},
    ),
    Case("crop", 7, "Crop", [PICTURE], [PICTURE[:, :, 1:, 2:-1]], {"border": [2, 1, 1, 0]}),
    Case("crop_to_size", 7, "Crop", [PICTURE], [PICTURE[:, :, 1:3, 2:5]], {"border": [2, 1, 0, 0], "scale": [2, 3]}),
    Case(
        "mean_variance_normalization_7",
        7,
        "MeanVarianceNormalization",
        [X4],
        # Over the batch too, as in the operator that was released, and as ONNX Runtime does.
        [(X4 - X4.mean((0, 2, 3), keepdims=True)) / X4.std((0, 2, 3), keepdims=True)],
    ),
    Case("scatter_11_withdrawn", 11, "Scatter", [C34, IDS, UPDATES], [SCATTERED]),
    Case(
        "upsample_10_withdrawn",
        10,
        "Upsample",
        [PICTURE, np.array([1, 1, 2, 2], np.float32)],
        [nearest(PICTURE, (1, 1, 2, 2))],
        constants=(1,),
    ),
]


def build(case: Case, with_shapes: bool) -> onnx.ModelProto:
    """Returns the model of a case; without shapes no input's rank is known."""
    inputs, initializers = [], []
    names = ["" if value is None else f"input_{i}" for i, value in enumerate(case.inputs)]
    for i, value in enumerate(case.inputs):
        if value is None:
            continue
        if i in case.constants:
            initializers.append(numpy_helper.from_array(value, names[i]))
            continue
        kind = helper.np_dtype_to_tensor_dtype(value.dtype)
        inputs.append(helper.make_tensor_value_info(names[i], kind, value.shape if with_shapes else None))
    outputs = [
        helper.make_tensor_value_info(f"output_{i}", helper.np_dtype_to_tensor_dtype(value.dtype), None)
        for i, value in enumerate(case.expected)
    ]
    node = helper.make_node(case.op, names, [info.name for info in outputs], domain=case.domain, **case.attributes)
    graph = helper.make_graph([node], "old", inputs, outputs, initializers)
    opsets = [helper.make_opsetid(case.domain, case.opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=4)


@pytest.mark.parametrize("with_shapes", [True, False], ids=["shapes", "no_shapes"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_old_form(case: Case, with_shapes: bool) -> None:
    try:
        data = build(case, with_shapes).SerializeToString()
        session = fastort.InferenceSession(data, providers=["CPUExecutionProvider"])
    except NotImplemented as missing:
        pytest.skip(str(missing))
    feeds = {f"input_{i}": x for i, x in enumerate(case.inputs) if x is not None and i not in case.constants}
    results = session.run(None, feeds)
    assert len(results) == len(case.expected)
    for result, expected in zip(results, case.expected, strict=True):
        assert result.shape == expected.shape
        if expected.dtype.kind == "f":
            np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5)
        else:
            np.testing.assert_array_equal(result, expected)


def run_one(graph: onnx.GraphProto, opset: int, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    """Runs a graph of an old opset."""
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=4)
    return fastort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, feeds)


def test_scan_8_runs_each_element_of_the_batch() -> None:
    """A running sum and the items' sum plus a captured constant."""
    body = helper.make_graph(
        [
            helper.make_node("Add", ["state", "item"], ["sum"]),
            helper.make_node("Add", ["sum", "offset"], ["shifted"]),
        ],
        "body",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, [2]) for n in ("state", "item")],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, [2]) for n in ("sum", "shifted")],
    )
    scan = helper.make_node("Scan", ["", "initial", "items"], ["final", "all"], body=body, num_scan_inputs=1)
    graph = helper.make_graph(
        [scan],
        "scan",
        [
            helper.make_tensor_value_info("initial", TensorProto.FLOAT, [3, 2]),
            helper.make_tensor_value_info("items", TensorProto.FLOAT, [3, 5, 2]),
            helper.make_tensor_value_info("offset", TensorProto.FLOAT, [2]),
        ],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in ("final", "all")],
    )
    initial, items, offset = floats(3, 2), floats(3, 5, 2), floats(2)
    final, everything = run_one(graph, 8, {"initial": initial, "items": items, "offset": offset})
    sums = initial[:, None] + np.cumsum(items, 1)
    np.testing.assert_allclose(final, sums[:, -1], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(everything, sums + offset, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"value_float": 2.5}, np.float32(2.5)),
        ({"value_floats": [1.0, 2.0]}, np.array([1, 2], np.float32)),
        ({"value_int": 7}, np.int64(7)),
        ({"value_ints": [7, 8]}, np.array([7, 8])),
        ({"value": numpy_helper.from_array(C34)}, C34),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_constants(attributes: dict[str, Any], expected: np.ndarray) -> None:
    kind = helper.np_dtype_to_tensor_dtype(np.asarray(expected).dtype)
    graph = helper.make_graph(
        [helper.make_node("Constant", [], ["c"], **attributes), helper.make_node("Neg", ["c"], ["y"])],
        "constant",
        [],
        [helper.make_tensor_value_info("y", kind, None)],
    )
    np.testing.assert_array_equal(run_one(graph, 13, {})[0], -expected)
