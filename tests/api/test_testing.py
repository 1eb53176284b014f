"""``fastort.testing`` with models that are right, and with models that were made wrong on purpose."""

from __future__ import annotations

import re
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import fastort
from fastort.analysis import count_flops, intermediate_names, intermediate_values, random_feeds
from fastort.testing import assert_close_to_pytorch, compare_models, compare_values
from tests.cli import models

FEEDS = {"ids": np.arange(15, dtype=np.int64).reshape(3, 5)}


def test_equal_models_agree(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(models.classifier(), path)
    for other in (path, path.read_bytes(), models.classifier(), fastort.InferenceSession(path)):
        compared = compare_models(other, path, FEEDS)
        compared.check()
        assert compared
        assert [difference.name for difference in compared.outputs] == ["scores"]
        assert compared.outputs[0].max_abs == 0
        assert compared.first is None


@pytest.mark.parametrize(
    ("changed", "tensor", "node"),
    [
        ("table", "embedded", "Gather 'embed'"),
        ("w1", "product", "MatMul 'first'"),
        ("b1", "biased", "Add 'bias'"),
        ("kernel", "mapped", "Conv 'convolve'"),
    ],
)
def test_the_first_tensor_that_parts_is_named(changed: str, tensor: str, node: str) -> None:
    compared = compare_models(models.classifier(changed), models.classifier(), FEEDS)
    assert not compared
    assert compared.first is not None
    assert compared.first.name == tensor
    assert compared.first.max_abs > 1e-2
    with pytest.raises(
        AssertionError, match=f"part first at {tensor}: DIFFERENT.*\n.*computed by {node} of "
    ) as raised:
        compared.check()
    assert "1 of 1 outputs differ" in str(raised.value)


def test_a_wrong_last_node_is_told() -> None:
    compared = compare_models(models.classifier("w2"), models.classifier(), FEEDS)
    assert not compared
    assert compared.first is None
    assert "the last nodes, which compute the outputs, differ" in compared.note


def test_rounding_is_told_from_an_error() -> None:
    # Each layer is off by less than the tolerance of its largest value, small outputs by more than that of their own.
    compared = compare_models(models.classifier("w1", 3e-6), models.classifier(), FEEDS, rtol=1e-7, atol=1e-7)
    assert not compared or compared.outputs[0].max_abs < 1e-6
    compared = compare_models(models.classifier("w1", 1e-6), models.classifier(), FEEDS, rtol=1e-3)
    assert compared


def test_models_without_common_names() -> None:
    renamed = models.classifier("kernel")
    for node in renamed.graph.node:
        node.input[:] = [f"{name}_" if name not in FEEDS else name for name in node.input]
        node.output[:] = [f"{name}_" for name in node.output]
    for entry in (*renamed.graph.initializer, *renamed.graph.output):
        entry.name += "_"
    compared = compare_models(renamed, models.classifier(), FEEDS)
    assert not compared
    assert "no intermediate tensors of the same name" in compared.note


def test_another_engine_can_run_one_side() -> None:
    calls = []

    def wrong(model: bytes, names: list[str], feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
        calls.append(list(names))
        values = fastort.InferenceSession(model).run(names, feeds)
        return [value * 2 if name in ("hidden", "scores") else value for name, value in zip(names, values, strict=True)]

    compared = compare_models(models.classifier(), models.classifier(), FEEDS, run_b=wrong)
    assert calls[0] == ["scores"]
    assert compared.first is not None
    assert compared.first.name == "hidden"


def test_an_error_of_a_fused_kernel_is_found() -> None:
    # Right where all tensors are kept; wrong from "mapped" on where they are asked for one at a time.
    def fused_wrongly(model: bytes, names: list[str], feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
        values = fastort.InferenceSession(model).run(names, feeds)
        return [
            value + 1 if len(names) == 1 and name in ("mapped", "pooled", "scores") else value
            for name, value in zip(names, values, strict=True)
        ]

    compared = compare_models(models.classifier(), models.classifier(), FEEDS, run_a=fused_wrongly)
    assert compared.first is not None
    assert compared.first.name == "mapped"
    assert "fused" in compared.note


def test_models_of_other_outputs_are_refused() -> None:
    other = models.classifier()
    other.graph.output.append(helper.make_tensor_value_info("hidden", TensorProto.FLOAT, None))
    with pytest.raises(ValueError, match="other outputs"):
        compare_models(other, models.classifier(), FEEDS)


@pytest.mark.parametrize(
    ("got", "want", "close", "text"),
    [
        (np.float32([1, 2]), np.float32([1, 2]), True, "same"),
        (np.float32([1, 2.00001]), np.float32([1, 2]), True, "close"),
        (np.float32([1, 2.1]), np.float32([1, 2]), False, r"1 of 2 elements, largest at \[1\]: 2.1, expected 2"),
        (np.float32([np.nan, np.inf]), np.float32([np.nan, np.inf]), True, "same"),
        (np.float32([np.nan]), np.float32([1]), False, "max abs inf"),
        (np.float32([-np.inf]), np.float32([np.inf]), False, "max abs inf"),
        (np.int64([2**62 + 1]), np.int64([2**62]), False, "max abs 1.00e"),
        (np.zeros((2, 3)), np.zeros((3, 2)), False, r"shape \[2, 3\], expected \[3, 2\]"),
        (np.float32([1]), np.float64([1]), False, "type float32, expected float64"),
        (np.array(["a", "b"], object), np.array(["a", "c"], object), False, "1 of 2 differ, first at .1.: 'b'"),
        (np.array([True]), np.array([False]), False, "max abs 1.00e"),
        (np.zeros((0, 2)), np.zeros((0, 2)), True, "empty"),
        (np.array([1], ml_dtypes.bfloat16), np.array([2], ml_dtypes.bfloat16), False, "max abs 1.00e"),
        (np.complex64([1 + 1j]), np.complex64([1 + 1j]), True, "same"),
        ([np.float32(1), np.float32(2)], [np.float32(1), np.float32(3)], False, r"x\[1\]: DIFFERENT"),
        ([np.float32(1)], [], False, "1 items, expected 0"),
        ({1: np.float32(1)}, {2: np.float32(1)}, False, r"keys \[1\], expected \[2\]"),
        (None, np.float32(1), False, "a NoneType, expected a float32"),
        (None, None, True, "same"),
    ],
    ids=lambda value: "",
)
def test_values_of_every_kind(got: object, want: object, close: bool, text: str) -> None:
    difference = compare_values("x", got, want)
    assert difference.close is close
    assert re.search(text, str(difference)), str(difference)


def test_numbers_of_a_difference() -> None:
    difference = compare_values("x", np.array([3.0, 4.0]), np.array([3.0, 5.0]))
    assert difference.max_abs == 1
    assert difference.max_rel == pytest.approx(0.2)
    assert difference.cosine == pytest.approx(29 / (5 * np.sqrt(34)))
    assert difference.scale == 5


def test_a_right_and_a_wrong_export_is_caught(tmp_path: Path) -> None:
    import torch

    torch.manual_seed(0)

    class Two(torch.nn.Module):
        def forward(self, x, y):
            return {"sum": x + y, "product": x * y}

    x, y = torch.randn(2, 3), torch.randn(2, 3)
    assert_close_to_pytorch(Two().eval(), (x,), kwargs={"y": y})
    graph = helper.make_graph(
        [helper.make_node("Add", ["a", "b"], ["sum"]), helper.make_node("Add", ["a", "b"], ["product"])],
        "graph",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 3]) for name in "ab"],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 3]) for name in ("sum", "product")],
    )
    wrong = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]).SerializeToString()
    with pytest.raises(AssertionError, match=r"Two: 1 of 2 outputs differ") as raised:
        assert_close_to_pytorch(Two().eval(), (x, y), onnx_model=wrong)
    lines = str(raised.value).splitlines()
    assert lines[1].startswith("  sum: ")
    assert "DIFFERENT" not in lines[1]
    assert lines[2].startswith("  product: DIFFERENT, max abs")
    assert "inputs: a [2, 3], b [2, 3]" in lines[3]


def test_intermediate_tensors() -> None:
    names = ["embedded", "product", "biased", "hidden", "channels", "mapped", "pooled"]
    assert intermediate_names(models.classifier()) == names
    values = intermediate_values(models.classifier(), FEEDS)
    assert list(values) == names
    np.testing.assert_array_equal(values["channels"], values["hidden"].transpose(0, 2, 1))
    assert list(intermediate_values(models.classifier(), FEEDS, ["hidden"])) == ["hidden"]


def test_operations_of_shapes_that_only_a_run_shows() -> None:
    # The rows that are left depend on the values, and each takes 2 * 4 * 5 operations.
    nodes = [
        helper.make_node("Compress", ["x", "keep"], ["kept"], axis=0),
        helper.make_node("MatMul", ["kept", "w"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "graph",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4]),
            helper.make_tensor_value_info("keep", TensorProto.BOOL, ["n"]),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 5])],
        [onnx.numpy_helper.from_array(np.ones((4, 5), np.float32), "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    counted = count_flops(model, {"x": np.ones((6, 4), np.float32), "keep": np.array([1, 0, 1, 1, 0, 0], bool)})
    assert counted.flops == 3 * 2 * 4 * 5
    assert counted.unknown == 0


@pytest.mark.parametrize(
    ("kind", "check"),
    [
        ("tensor(float)", lambda v: v.dtype == np.float32 and abs(v.mean()) < 0.2),
        ("tensor(float16)", lambda v: v.dtype == np.float16),
        ("tensor(bfloat16)", lambda v: v.dtype == ml_dtypes.bfloat16),
        ("tensor(double)", lambda v: v.dtype == np.float64),
        ("tensor(int64)", lambda v: v.dtype == np.int64 and v.min() == 0 and v.max() == 9),
        ("tensor(uint8)", lambda v: v.dtype == np.uint8 and v.max() > 200),
        ("tensor(int8)", lambda v: v.dtype == np.int8 and v.min() < -100),
        ("tensor(bool)", lambda v: v.dtype == bool and 0 < v.mean() < 1),
        ("tensor(string)", lambda v: v.dtype == object and isinstance(v.flat[0], str)),
        ("seq(tensor(float))", lambda v: isinstance(v, list) and v[0].shape == (20, 30)),
        ("optional(tensor(float))", lambda v: v is None),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_random_values_of_every_type(kind: str, check: object) -> None:
    arg = fastort.NodeArg("x", kind, ["n", 30])
    value = random_feeds([arg], {"n": 20})["x"]
    if isinstance(value, np.ndarray):
        assert value.shape == (20, 30)
    assert check(value)


def test_random_masks_and_ids() -> None:
    inputs = [fastort.NodeArg(name, "tensor(int64)", [4, 50]) for name in ("attention_mask", "input_ids")]
    feeds = random_feeds(inputs, bounds={"input_ids": 3})
    assert feeds["attention_mask"].min() == 1
    assert set(np.unique(feeds["input_ids"])) == {0, 1, 2}


def test_options_are_saved_and_read(tmp_path: Path) -> None:
    options = fastort.SessionOptions()
    options.intra_op_num_threads = 3
    options.graph_optimization_level = fastort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.disabled_passes = ["fuse_conv"]
    options.add_session_config_entry("a.key", "value")
    options.add_free_dimension_override_by_name("batch", 4)
    options.save(tmp_path / "options.json")
    read = fastort.SessionOptions.from_file(tmp_path / "options.json")
    assert read.intra_op_num_threads == 3
    assert read.graph_optimization_level is fastort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    assert read.disabled_passes == ["fuse_conv"]
    assert read.get_session_config_entry("a.key") == "value"
    session = fastort.InferenceSession(models.classifier().SerializeToString(), read)
    assert session.get_session_options().intra_op_num_threads == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is no JSON"),
        ("[]", "has no entry 'session_options'"),
        ('{"session_options": {"threads": 2}}', "there is no session option 'threads'"),
        ('{"session_options": {"_providers": {}}}', "there is no session option '_providers'"),
        ('{"session_options": {"intra_op_num_threads": "two"}}', "'two' is no value of 'intra_op_num_threads'"),
        ('{"session_options": {"graph_optimization_level": "MOST"}}', "'MOST' is no value of"),
        ('{"session_options": {}, "config_entries": 3}', "'config_entries' is not a table"),
    ],
)
def test_a_file_without_options_is_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "options.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        fastort.SessionOptions.from_file(path)
