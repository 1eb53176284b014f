"""The exceptions: ONNX Runtime's classes and how their texts begin, and what the texts add."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

import fastort
from fastort.capi import _pybind_state, onnxruntime_pybind11_state
from fastort.capi.onnxruntime_pybind11_state import (
    Fail,
    InvalidArgument,
    InvalidGraph,
    InvalidProtobuf,
    NoSuchFile,
    NotImplemented,
)
from tests.api import models

X = np.ones((2, 3), np.float32)
CLASSES = [
    "Fail",
    "InvalidArgument",
    "NoSuchFile",
    "NoModel",
    "EngineError",
    "RuntimeException",
    "InvalidProtobuf",
    "ModelLoaded",
    "NotImplemented",
    "InvalidGraph",
    "EPFail",
]


@pytest.mark.parametrize("name", CLASSES)
def test_classes(name: str) -> None:
    kind = getattr(onnxruntime_pybind11_state, name)
    assert kind.__mro__ == (kind, Exception, BaseException, object)
    assert getattr(_pybind_state, name) is kind
    assert kind.__module__ == "fastort.capi.onnxruntime_pybind11_state"
    error = pickle.loads(pickle.dumps(kind("text")))
    assert type(error) is kind
    assert error.args == ("text",)


# Models, feeds or output names that do not fit: class, and the pieces that the text must hold.
RUNS: dict[str, tuple[bytes, Any, Any, type[Exception], list[str]]] = {
    "missing": (models.negate(), None, {}, ValueError, ["Required inputs (['x']) are missing from input feed ([])."]),
    "missing, other given": (
        models.negate(),
        None,
        {"y": X},
        ValueError,
        ["Required inputs (['x']) are missing from input feed (['y']).", "tensor(float)[n,3]"],
    ),
    "two missing": (models.add(), None, {}, ValueError, ["Required inputs (['a', 'b']) are missing from input feed"]),
    "one of two missing": (
        models.add(),
        None,
        {"a": X},
        ValueError,
        ["Required inputs (['b']) are missing", "(['a'])"],
    ),
    "missing before others": (models.add(), ["q"], {"a": 1.0, "q": X}, ValueError, ["Required inputs (['b'])"]),
    "surplus": (models.negate(), None, {"x": X, "q": X}, InvalidArgument, ["Invalid input name: q", "['x']"]),
    "name no string": (models.negate(), None, {"x": X, 3: X}, TypeError, ["run()", "3"]),
    "bytes as name": (models.negate(), None, {b"x": X}, ValueError, ["(['x']) are missing from input feed ([b'x'])"]),
    "no mapping": (models.negate(), None, [("x", X)], AttributeError, ["'list' object has no attribute 'keys'"]),
    "None": (models.negate(), None, None, AttributeError, ["'NoneType' object has no attribute 'keys'"]),
    "unknown output": (models.negate(), ["q"], {"x": X}, InvalidArgument, ["Invalid output name:q", "['y']"]),
    "output no list": (models.negate(), "y", {"x": X}, TypeError, ["run()"]),
    "output no string": (models.negate(), [3], {"x": X}, TypeError, ["run()"]),
    "rank": (
        models.negate(),
        None,
        {"x": X[0]},
        InvalidArgument,
        ["Invalid rank for input: x Got: 1 Expected: 2 Please fix either the inputs/outputs or the model.", "[3]"],
    ),
    "scalar": (models.negate(), None, {"x": np.array(1, np.float32)}, InvalidArgument, ["Got: 0 Expected: 2"]),
    "one dimension": (
        models.negate(),
        None,
        {"x": X[:, :2]},
        InvalidArgument,
        [
            "Got invalid dimensions for input: x for the following indices\n index: 1 Got: 2 Expected: 3\n"
            " Please fix either the inputs/outputs or the model.",
            "[2,2]",
            "[n,3]",
        ],
    ),
    "two dimensions": (
        models.negate((4, 4)),
        None,
        {"x": X},
        InvalidArgument,
        ["x for the following indices\n index: 0 Got: 2 Expected: 4\n index: 1 Got: 3 Expected: 4\n Please fix"],
    ),
    "overridden initializer": (
        models.overridable(),
        None,
        {"x": X[0], "w": np.ones(4, np.float32)},
        InvalidArgument,
        ["Got invalid dimensions for input: w", "index: 0 Got: 4 Expected: 3"],
    ),
    "type of an initializer": (
        models.overridable(),
        None,
        {"x": X[0], "w": np.ones(3)},
        InvalidArgument,
        ["Unexpected input data type. Actual: (tensor(double)) , expected: (tensor(float))", "'w'"],
    ),
    "only an initializer": (models.overridable(), None, {"w": X[0]}, ValueError, ["Required inputs (['x'])"]),
}


@pytest.mark.parametrize("name", RUNS)
def test_runs(name: str) -> None:
    model, outputs, feed, error, pieces = RUNS[name]
    session = fastort.InferenceSession(model)
    with pytest.raises(error) as caught:
        session.run(outputs, feed)
    assert type(caught.value) is error
    for piece in pieces:
        assert piece in str(caught.value)
    if error is InvalidArgument:
        assert str(caught.value).startswith("[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : ")


def test_a_session_survives_errors() -> None:
    session = fastort.InferenceSession(models.negate())
    for _ in range(3):
        with pytest.raises(InvalidArgument):
            session.run(None, {"x": X.astype(np.float64)})
        np.testing.assert_array_equal(session.run(None, {"x": X})[0], -X)


def test_inputs_that_disagree_name_the_node() -> None:
    session = fastort.InferenceSession(models.add((None, 3)))
    with pytest.raises(Fail, match=r"Non-zero status code returned while running .*Add.*\[2,3\].*\[5,3\]"):
        session.run(None, {"a": X, "b": np.ones((5, 3), np.float32)})


def test_run_options_of_another_type() -> None:
    with pytest.raises(TypeError, match=r"run\(\)"):
        fastort.InferenceSession(models.negate()).run(None, {"x": X}, 3)


def test_a_file_that_does_not_exist(tmp_path: Path) -> None:
    path = tmp_path / "absent.onnx"
    with pytest.raises(NoSuchFile) as caught:
        fastort.InferenceSession(path)
    assert str(caught.value).startswith(f"[ONNXRuntimeError] : 3 : NO_SUCHFILE : Load model from {path} failed:")


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises((NoSuchFile, InvalidProtobuf, Fail), match=r"Load model from|folder|directory"):
        fastort.InferenceSession(tmp_path)


@pytest.mark.parametrize("contents", [b"abc", b"abcdefg" * 30, b"\x00" * 100])
def test_contents_that_are_no_model(tmp_path: Path, contents: bytes) -> None:
    with pytest.raises(InvalidProtobuf, match=r"^.ONNXRuntimeError. : 7 : INVALID_PROTOBUF : "):
        fastort.InferenceSession(contents)
    path = tmp_path / "junk.onnx"
    path.write_bytes(contents)
    with pytest.raises(InvalidProtobuf, match=r"junk.onnx failed:"):
        fastort.InferenceSession(path)


def test_an_empty_model(tmp_path: Path) -> None:
    with pytest.raises((InvalidArgument, InvalidProtobuf, InvalidGraph)):
        fastort.InferenceSession(b"")
    path = tmp_path / "empty.onnx"
    path.write_bytes(b"")
    with pytest.raises((InvalidArgument, InvalidProtobuf, InvalidGraph), match=r"empty.onnx failed:"):
        fastort.InferenceSession(path)


@pytest.mark.parametrize("model", [3, None, X], ids=str)
def test_models_of_another_type(model: Any) -> None:
    with pytest.raises(TypeError, match="Unable to load from type '<class"):
        fastort.InferenceSession(model)


def test_a_file_opened_as_text(tmp_path: Path) -> None:
    path = tmp_path / "model.txt"
    path.write_text("text")
    with path.open() as file, pytest.raises(TypeError, match="binary"):
        fastort.InferenceSession(file)


def test_an_unknown_operator() -> None:
    nodes = [helper.make_node("NoSuchOperator", ["x"], ["y"], name="odd")]
    model = models.model(nodes, [models.tensor("x", dims=[3])], [models.tensor("y", dims=[3])])
    with pytest.raises((InvalidGraph, NotImplemented, Fail), match="NoSuchOperator"):
        fastort.InferenceSession(model.SerializeToString())


def test_a_cycle() -> None:
    nodes = [helper.make_node("Add", ["x", "b"], ["a"]), helper.make_node("Neg", ["a"], ["b"])]
    model = models.model(nodes, [models.tensor("x", dims=[3])], [models.tensor("b", TensorProto.FLOAT, [3])])
    with pytest.raises(Fail, match=r"This is an invalid model. Error: the graph is not acyclic"):
        fastort.InferenceSession(model.SerializeToString())
