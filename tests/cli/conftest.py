"""A model to work on, and the command line to work with."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import onnx
import pytest

from fastort.cli.app import run_app
from tests.cli import models


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    onnx.save(models.classifier(), path)
    return path


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Calls the command line in this process; returns the exit code, stdout and stderr."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["fastort", *map(str, arguments)])
        code = run_app()
        out, err = capsys.readouterr()
        return code, out, err

    return run
