"""Programs written for ONNX Runtime, unchanged, under fastort's alias: they find what they find under ONNX Runtime."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tools import record_programs

# What the programs found under ONNX Runtime 1.31.1, by tools/record_programs.py.
RECORDED = json.loads(record_programs.RESULTS.read_text())
PROGRAMS = sorted(record_programs.PROGRAMS.glob("*.py"))


def differences(found: Any, expected: Any, path: str = "results") -> Iterator[str]:
    if isinstance(expected, dict) and isinstance(found, dict) and found.keys() == expected.keys():
        for key, value in expected.items():
            yield from differences(found[key], value, f"{path}[{key!r}]")
    elif isinstance(expected, list) and isinstance(found, list) and len(found) == len(expected):
        for i, value in enumerate(expected):
            yield from differences(found[i], value, f"{path}[{i}]")
    elif isinstance(expected, float) and isinstance(found, float):
        if not math.isclose(found, expected, rel_tol=1e-5, abs_tol=1e-6):
            yield f"{path}: {found}, ONNX Runtime has {expected}"
    elif found != expected or type(found) is not type(expected):
        yield f"{path}: {found!r}, ONNX Runtime has {expected!r}"


def test_every_program_is_recorded() -> None:
    assert [path.stem for path in PROGRAMS] == sorted(RECORDED)
    assert len(PROGRAMS) >= 20


@pytest.mark.usefixtures("alias")
@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_program(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = record_programs.run(path)
    wrong = list(differences(json.loads(json.dumps(found)), RECORDED[path.stem]))
    assert not wrong, "\n".join(wrong)


def test_a_difference_is_found() -> None:
    assert list(differences({"a": [1.0]}, {"a": [1.1]}))
    assert list(differences({"a": [1]}, {"a": [True]}))
    assert list(differences({"a": [1.0]}, {"a": [1.0, 2.0]}))


@pytest.mark.parametrize("how", ["import fastort as onnxruntime", "import fastort; fastort.install_as_onnxruntime()"])
def test_programs_in_an_interpreter_of_their_own(how: str) -> None:
    body = (record_programs.PROGRAMS / "basic_run.py").read_text()
    if "as onnxruntime" in how:
        body = body.replace("import onnxruntime as ort", "ort = onnxruntime")
    result = subprocess.run([sys.executable, "-c", f"{how}\n{body}"], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
