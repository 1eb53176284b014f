"""The package: what it exports, what an import costs, and that it gets on with its neighbours."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import fastort
from bench import compare
from tests.api import models

PACKAGE_PATH = str(Path(fastort.__file__).parent.parent)

# The names of ONNX Runtime that everyday programs use.
NAMES = [
    "ExecutionMode",
    "ExecutionOrder",
    "GraphOptimizationLevel",
    "IOBinding",
    "InferenceSession",
    "ModelMetadata",
    "NodeArg",
    "OrtDevice",
    "OrtValue",
    "RunOptions",
    "SessionOptions",
    "__version__",
    "capi",
    "get_all_providers",
    "get_available_providers",
    "get_build_info",
    "get_device",
    "get_version_string",
    "set_default_logger_severity",
    "set_default_logger_verbosity",
    "disable_telemetry_events",
]


def python(program: str, interpreter: str = sys.executable) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([PACKAGE_PATH, *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
    return subprocess.run(
        [interpreter, "-c", program],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )


@pytest.mark.parametrize("name", NAMES)
def test_names(name: str) -> None:
    assert hasattr(fastort, name)


def test_all_names_exist() -> None:
    assert [name for name in fastort.__all__ if not hasattr(fastort, name)] == []


def test_version() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", fastort.__version__)
    assert fastort.get_version_string() == fastort.__version__


def test_every_public_name_is_described() -> None:
    for name in fastort.__all__:
        value = getattr(fastort, name)
        if callable(value):
            assert value.__doc__, name


def test_imports_quickly() -> None:
    """An import takes less than 0.15 s beyond NumPy's own, by the best of several tries."""
    program = "import time, numpy; began = time.perf_counter(); import fastort; print(time.perf_counter() - began)"
    assert min(float(python(program).stdout) for _ in range(5)) < 0.15


def test_imports_little() -> None:
    program = "import sys, fastort; print([m for m in ('ml_dtypes', 'onnx', 'torch', 'asyncio') if m in sys.modules])"
    assert python(program).stdout.strip() == "[]"


def test_stays_silent() -> None:
    result = python("import fastort")
    assert (result.stdout, result.stderr) == ("", "")


NEIGHBOURS = ["onnx, torch", "onnxruntime"]


@pytest.mark.parametrize("order", ["first", "last"])
@pytest.mark.parametrize("neighbour", NEIGHBOURS)
def test_imports_beside(neighbour: str, order: str, tmp_path: Path) -> None:
    interpreter = sys.executable
    for name in neighbour.split(", "):
        if importlib.util.find_spec(name) is None:
            found = compare.python_of(name, {})
            if found is None:
                pytest.skip(f"{name} has no environment here (tools/peers.sh makes one)")
            interpreter = found
    model = tmp_path / "model.onnx"
    model.write_bytes(models.negate())
    imports = ["import fastort", f"import {neighbour}"]
    uses = {
        "onnx": f"onnx.checker.check_model(onnx.shape_inference.infer_shapes(onnx.load({str(model)!r})))",
        "torch": "assert float(torch.nn.functional.conv2d(torch.ones(1, 1, 3, 3), torch.ones(1, 1, 3, 3))) == 9",
        "onnxruntime": f"onnxruntime.InferenceSession({str(model)!r})",
    }
    program = "\n".join(
        [
            *(imports if order == "first" else reversed(imports)),
            "import numpy",
            f"session = fastort.InferenceSession({str(model)!r})",
            *(uses[name] for name in neighbour.split(", ")),
            "assert session.run(None, {'x': numpy.ones((1, 3), numpy.float32)})[0].tolist() == [[-1, -1, -1]]",
        ]
    )
    python(program, interpreter)


def test_exits_cleanly_with_live_objects() -> None:
    program = "\n".join(
        [
            "import fastort, numpy",
            f"session = fastort.InferenceSession({models.negate()!r})",
            "value = fastort.OrtValue.ortvalue_from_numpy(numpy.ones((1, 3), numpy.float32))",
            "result = session.run(None, {'x': value})",
        ]
    )
    assert python(program).stderr == ""
