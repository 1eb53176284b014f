"""fastort.backend: ONNX's backend interface, with ONNX Runtime's extras."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx.backend.base import BackendRep

import fastort
import fastort.backend
from fastort.backend.backend import FastortBackend, OnnxRuntimeBackend
from fastort.capi.onnxruntime_pybind11_state import Fail, InvalidGraph, NotImplemented
from tests.api import models

X = np.ones((2, 3), np.float32)


def sources(folder: Path) -> dict[str, Any]:
    path = folder / "model.onnx"
    path.write_bytes(models.negate())
    session = fastort.InferenceSession(path)
    return {
        "proto": onnx.load(path),
        "bytes": models.negate(),
        "str": str(path),
        "path": path,
        "session": session,
        "prepared": fastort.backend.prepare(session),
    }


@pytest.mark.parametrize("kind", ["proto", "bytes", "str", "path", "session", "prepared"])
def test_models(kind: str, tmp_path: Path) -> None:
    model = sources(tmp_path)[kind]
    prepared = fastort.backend.prepare(model)
    assert isinstance(prepared, BackendRep)
    for result in (prepared.run([X]), fastort.backend.run_model(model, X), fastort.backend.run(model, (X,))):
        np.testing.assert_array_equal(result[0], -X)


@pytest.mark.parametrize("inputs", [X, [X], (X,), {"x": X}], ids=["array", "list", "tuple", "mapping"])
def test_inputs(inputs: Any) -> None:
    np.testing.assert_array_equal(fastort.backend.prepare(models.negate()).run(inputs)[0], -X)


def test_numpy_scalars() -> None:
    (result,) = fastort.backend.run_node(helper.make_node("Neg", ["x"], ["y"]), [np.float32(3)])
    assert result.shape == ()
    assert result == -3


@pytest.mark.parametrize("inputs", [X, [X, X, X]], ids=["one", "three"])
def test_wrong_number_of_inputs(inputs: Any) -> None:
    with pytest.raises(RuntimeError, match=r"\['a', 'b'\]"):
        fastort.backend.prepare(models.add()).run(inputs)


@pytest.mark.parametrize(("device", "there"), [("CPU", True), ("CPU:0", True), ("CUDA", False), ("GPU", False)])
def test_devices(device: str, there: bool) -> None:
    assert fastort.backend.supports_device(device) is there
    assert fastort.backend.is_compatible(models.negate(), device) is there
    if there:
        np.testing.assert_array_equal(fastort.backend.run_model(models.negate(), X, device)[0], -X)
        return
    with pytest.raises(RuntimeError, match=device):
        fastort.backend.prepare(models.negate(), device)


def one_node(op: str, domain: str = "", opset: int = 28, ir_version: int = 14) -> onnx.ModelProto:
    node = helper.make_node(op, ["x"], ["y"], name="node", domain=domain)
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [3]) for name in ("x", "y")]
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("other", 1)]
    graph = helper.make_graph([node], "g", values[:1], values[1:])
    return helper.make_model(graph, opset_imports=opsets, ir_version=ir_version)


@pytest.mark.parametrize(("opset", "ir_version"), [(1, 3), (7, 3), (13, 7), (27, 13), (28, 14)])
def test_versions_are_compatible(opset: int, ir_version: int) -> None:
    assert fastort.backend.is_compatible(one_node("Relu", opset=opset, ir_version=ir_version))


def test_what_is_not_compatible() -> None:
    model = one_node("NoSuchOperator", "other")
    assert not fastort.backend.is_compatible(model)
    with pytest.raises(NotImplemented, match="NoSuchOperator"):
        fastort.backend.prepare(model)
    assert not fastort.backend.is_compatible(b"no model")
    broken = one_node("Relu")
    broken.graph.node[0].input[:] = ["x", "x"]
    assert not fastort.backend.is_compatible(broken)
    with pytest.raises((InvalidGraph, Fail)):
        fastort.backend.prepare(broken)


def test_options() -> None:
    prepared = fastort.backend.prepare(
        models.negate(), intra_op_num_threads=1, disabled_passes=["fold_constants"], rtol=1e-3
    )
    np.testing.assert_array_equal(prepared.run(X, logid="mine", no_option=1)[0], -X)


@pytest.mark.parametrize("name", ["optimized_model_filepath", "enable_profiling", "profile_file_prefix"])
def test_refused_options_of_sessions(name: str) -> None:
    with pytest.raises(RuntimeError, match=f"SessionOptions.{name} cannot be set"):
        fastort.backend.prepare(models.negate(), **{name: "x"})


def test_refused_options_of_runs() -> None:
    with pytest.raises(RuntimeError, match=r"RunOptions.terminate cannot be set"):
        fastort.backend.prepare(models.negate()).run(X, terminate=True)


NODES: list[tuple[onnx.NodeProto, list[Any], dict[str, Any], list[Any]]] = [
    (helper.make_node("Add", ["a", "b"], ["y"]), [X, X], {}, [2 * X]),
    (helper.make_node("Add", ["a", "a"], ["y"]), [X], {}, [2 * X]),
    (helper.make_node("Clip", ["x", "", "high"], ["y"]), [X, np.float32(0.5)], {}, [X / 2]),
    (helper.make_node("Split", ["x"], ["a", "b"], axis=1, num_outputs=2), [X], {}, [X[:, :2], X[:, 2:]]),
    (helper.make_node("TopK", ["x"], ["v", "i"], k=1), [X], {"opset_version": 1}, [X[:, :1], np.zeros((2, 1), int)]),
    (helper.make_node("SequenceAt", ["s", "i"], ["y"]), [[X, 2 * X], np.array(1)], {}, [2 * X]),
    (helper.make_node("Identity", ["x"], ["y"]), [np.array(["a", "b"])], {}, [np.array(["a", "b"], object)]),
    (helper.make_node("Neg", ["x"], ["y"]), [X.astype(ml_dtypes.bfloat16)], {}, [-X.astype(ml_dtypes.bfloat16)]),
    (helper.make_node("Binarizer", ["x"], ["y"], domain="ai.onnx.ml", threshold=0.5), [X], {}, [X]),
    (helper.make_node("Gelu", ["x"], ["y"], domain="com.microsoft"), [0 * X], {}, [0 * X]),
]


@pytest.mark.parametrize(("node", "inputs", "options", "expected"), NODES, ids=[row[0].op_type for row in NODES])
def test_run_node(node: onnx.NodeProto, inputs: list[Any], options: dict[str, Any], expected: list[Any]) -> None:
    results = fastort.backend.run_node(node, inputs, **options)
    assert len(results) == len(expected)
    for result, wanted in zip(results, expected, strict=True):
        assert result.dtype == wanted.dtype
        np.testing.assert_array_equal(result, wanted)


def test_run_node_by_name_and_with_too_few_inputs() -> None:
    node = helper.make_node("Sub", ["a", "b"], ["y"])
    np.testing.assert_array_equal(fastort.backend.run_node(node, {"b": X, "a": 3 * X}, "CPU")[0], 2 * X)
    with pytest.raises(RuntimeError, match=r"1 values are given for the inputs \['a', 'b'\] of Sub"):
        fastort.backend.run_node(node, [X])


def test_names_of_onnx_runtime() -> None:
    assert OnnxRuntimeBackend is FastortBackend
    for name in ("is_compatible", "prepare", "run", "supports_device"):
        assert callable(getattr(fastort.backend, name))
