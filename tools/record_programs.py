"""Runs the programs of tests/api/programs under ONNX Runtime and writes what they find.

Run it in an environment with `onnxruntime` and `onnx`:
`python tools/record_programs.py`.
"""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

PROGRAMS = Path(__file__).resolve().parents[1] / "tests" / "api" / "programs"
RESULTS = PROGRAMS / "results.json"


def plain(value: Any) -> Any:
    """Returns what JSON holds of a result; arrays become lists.

    Args:
        value: What a program left in ``results``.
    """
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    return value


def run(path: Path) -> Any:
    """Runs a program and returns its results.

    Args:
        path: The program.
    """
    return plain(runpy.run_path(str(path))["results"])


if __name__ == "__main__":
    found = {path.stem: run(path) for path in sorted(PROGRAMS.glob("*.py"))}
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")
