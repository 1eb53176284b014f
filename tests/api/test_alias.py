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
from tests.api import models

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


@pytest.mark.usefixtures("alias")
def test_tools_of_an_installed_onnxruntime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its packages that work on models are its own, and run them on fastort; its engine is not loaded."""
    files = {
        "__init__.py": "raise SystemError('the engine was loaded')",
        "capi/__init__.py": "raise SystemError('the engine was loaded')",
        "quantization/__init__.py": "from .quantize import run",
        "quantization/quantize.py": "import onnxruntime\nrun = onnxruntime.InferenceSession",
        "transformers/__init__.py": "",
        "transformers/models/__init__.py": "from onnxruntime.capi import onnxruntime_pybind11_state as state",
    }
    for name, text in files.items():
        path = tmp_path / "onnxruntime" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    from onnxruntime.quantization import run

    assert run is fastort.InferenceSession
    models = importlib.import_module("onnxruntime.transformers.models")
    assert str(models.__file__).startswith(str(tmp_path))
    assert models.state is fastort.capi.onnxruntime_pybind11_state
    assert importlib.util.find_spec("onnxruntime.quantization.nothing") is None
    assert importlib.util.find_spec("onnxruntime.tools") is None


@pytest.mark.usefixtures("alias")
def test_types_by_the_helper_of_transformers() -> None:
    """optimum asks it for the types of what it binds."""
    import numpy as np
    import onnx.parser
    import torch
    from onnxruntime.transformers.io_binding_helper import TypeHelper

    assert TypeHelper.ort_type_to_numpy_type("tensor(float16)") is np.float16
    assert TypeHelper.ort_type_to_torch_type("tensor(double)") is torch.float64
    assert TypeHelper.ort_type_to_torch_type("tensor(bfloat16)") is torch.bfloat16
    assert TypeHelper.ort_type_to_onnx_type("tensor(bfloat16)") == onnx.TensorProto.BFLOAT16
    for name in ("float", "uint8", "int8", "int16", "int32", "int64", "bool", "float16", "double", "complex64"):
        kind = f"tensor({name})"
        own = TypeHelper.ort_type_to_numpy_type(kind)
        assert TypeHelper.ort_type_to_onnx_type(kind) == onnx.helper.np_dtype_to_tensor_dtype(np.dtype(own))
        assert TypeHelper.torch_type_to_numpy_type(TypeHelper.ort_type_to_torch_type(kind)) is own
        assert TypeHelper.numpy_type_to_torch_type(own) is TypeHelper.ort_type_to_torch_type(kind)
    for wrong in ("tensor(string)", "float", "seq(tensor(float))"):
        with pytest.raises(ValueError, match="not found in map"):
            TypeHelper.ort_type_to_numpy_type(wrong)
    with pytest.raises(ValueError, match="no type of NumPy"):
        TypeHelper.torch_type_to_numpy_type(torch.bfloat16)
    with pytest.raises(ValueError, match="no type of PyTorch"):
        TypeHelper.numpy_type_to_torch_type("M8[s]")
    model = onnx.parser.parse_model(
        '<ir_version: 10, opset_import: ["" : 21]> '
        "net (float[2] x, int64[2] i) => (double[2] y) { y = Cast<to = 11>(x) }"
    )
    session = fastort.InferenceSession(model.SerializeToString())
    assert TypeHelper.get_input_type(session, "i") == "tensor(int64)"
    assert TypeHelper.get_output_type(session, "y") == "tensor(double)"
    with pytest.raises(ValueError, match="input name q not found; there are: x, i"):
        TypeHelper.get_input_type(session, "q")
    assert TypeHelper.get_io_numpy_type_map(session) == {"x": np.float32, "i": np.int64, "y": np.float64}
    assert TypeHelper.get_io_onnx_type_map(session) == {"x": 1, "i": 7, "y": 11}
    assert TypeHelper.get_io_torch_type_map(session)["y"] is torch.float64


def test_names_that_are_not_public_but_read() -> None:
    """insightface makes a session like another one by ``session._providers`` and ``session._provider_options``."""
    session = fastort.InferenceSession(models.add())
    assert session._providers == session.get_providers()
    assert session._provider_options == session.get_provider_options()
    assert [entry.name for entry in session._inputs_meta] == ["a", "b"]
    assert [entry.name for entry in session._outputs_meta] == ["sum", "difference"]
    assert session._overridable_initializers == []
    assert session._model_meta.graph_name == session.get_modelmeta().graph_name
    other = fastort.InferenceSession(models.add(), None, session._providers, None)
    assert other.get_providers() == session._providers
