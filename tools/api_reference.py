#!/usr/bin/env python3
"""Builds the reference of the Python API from its docstrings, as HTML in ``build-reference``.

    .venv/bin/python tools/api_reference.py [folder]

fastort must be importable: installed, or a build's ``python`` folder in ``PYTHONPATH``.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import pdoc
import pdoc.render

REPOSITORY = Path(__file__).resolve().parent.parent
# The command line has a page of its own, and is no API.
MODULES = ("fastort", "!fastort.cli")


def build(folder: Path) -> None:
    """Writes the reference.

    Args:
        folder: Where to; it is made where it does not exist.
    """
    # The constructor that a named tuple gets has annotations which only the standard library can evaluate.
    warnings.filterwarnings("ignore", r"Error parsing type annotation ForwardRef\('Any'\) for fastort\.Output\.")
    pdoc.render.configure(docformat="google", show_source=False)
    pdoc.pdoc(*MODULES, output_directory=folder)


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else REPOSITORY / "build-reference"
    build(target)
    print(target / "index.html")
