"""`fastort.install_as_onnxruntime()`: other people's packages get fastort when they import onnxruntime."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import json
import sys
from pathlib import Path

import pytest

import fastort

SURFACE = json.loads((Path(__file__).parent / "onnxruntime_surface.json").read_text())


@pytest.mark.usefixtures("alias")
def test_the_package() -> None:
    import onnxruntime

    assert onnxruntime.InferenceSession is fastort.InferenceSession
    assert onnxruntime.__version__ == importlib.metadata.version("onnxruntime") == SURFACE["version"]
    assert importlib.metadata.metadata("onnxruntime")["Name"] == "onnxruntime"
    with pytest.raises(AttributeError, match="LoRA"):
        _ = onnxruntime.LoraAdapter


@pytest.mark.usefixtures("alias")
@pytest.mark.parametrize(
    "name",
    [
        "capi",
        "capi._pybind_state",
        "capi.onnxruntime_pybind11_state",
        "capi.onnxruntime_inference_collection",
        "backend",
        "backend.backend",
        "datasets",
    ],
)
def test_submodules(name: str) -> None:
    own = importlib.import_module(f"fastort.{name}")
    assert importlib.import_module(f"onnxruntime.{name}") is own
    assert importlib.util.find_spec(f"onnxruntime.{name}") is not None
    # The shared module stays fastort's.
    assert own.__name__ == f"fastort.{name}" == own.__spec__.name  # type: ignore[union-attr]


@pytest.mark.usefixtures("alias")
def test_what_is_not_there() -> None:
    assert importlib.util.find_spec("onnxruntime.not_there") is None
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("onnxruntime.not_there")
    with pytest.raises(importlib.metadata.PackageNotFoundError):
        importlib.metadata.version("onnxruntime-gpu")


@pytest.mark.usefixtures("alias")
def test_from_imports() -> None:
    from onnxruntime import GraphOptimizationLevel, OrtValue
    from onnxruntime.capi._pybind_state import OrtDevice
    from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument

    assert GraphOptimizationLevel is fastort.GraphOptimizationLevel
    assert OrtValue is fastort.OrtValue
    assert issubclass(InvalidArgument, Exception)
    assert OrtDevice(OrtDevice.cpu(), OrtDevice.default_memory(), 0).device_id() == 0


@pytest.mark.usefixtures("alias")
def test_twice_is_once() -> None:
    finders = list(sys.meta_path)
    fastort.install_as_onnxruntime()
    assert sys.meta_path == finders


def test_without_it_nothing_is_there() -> None:
    fastort.uninstall_as_onnxruntime()
    if importlib.util.find_spec("onnxruntime") is None:
        with pytest.raises(ImportError):
            importlib.import_module("onnxruntime")


def test_too_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", object())
    with pytest.raises(ImportError, match="before"):
        fastort.install_as_onnxruntime()


def test_examples() -> None:
    import numpy as np

    from fastort import datasets

    session = fastort.InferenceSession(datasets.get_example("sigmoid.onnx"))
    x = np.linspace(-3, 3, 60, dtype=np.float32).reshape(3, 4, 5)
    np.testing.assert_allclose(session.run(None, {"x": x})[0], 1 / (1 + np.exp(-x)), rtol=1e-6)
    session = fastort.InferenceSession(datasets.get_example("mul_1.onnx"))
    factors = np.arange(1, 7, dtype=np.float32).reshape(3, 2)
    np.testing.assert_array_equal(session.run(None, {"X": factors})[0], factors * factors)
    session = fastort.InferenceSession(datasets.get_example("logreg_iris.onnx"))
    label, probabilities = session.run(None, {"float_input": np.array([[5, 3.5], [6.5, 2.8], [6, 2.2]], np.float32)})
    assert label[0] == 0
    assert set(label) <= {0, 1, 2}
    assert [round(sum(entry.values()), 5) for entry in probabilities] == [1, 1, 1]
    with pytest.raises(FileNotFoundError, match=r"sigmoid\.onnx"):
        datasets.get_example("nothing.onnx")
