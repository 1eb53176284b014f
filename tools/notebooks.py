"""Runs the notebooks from top to bottom; writes each with its outputs, and its figures, to a folder.

    python tools/notebooks.py                      # all of them
    python tools/notebooks.py bert sklearn --out /tmp/seen

tools/notebooks.sh sets everything up first.
"""

from __future__ import annotations

import argparse
import base64
import os
import sys
import time
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

REPOSITORY = Path(__file__).resolve().parent.parent
FOLDER = REPOSITORY / "notebooks"


def execute(path: Path, environment: dict[str, str] | None = None) -> Any:
    """Runs a notebook in its folder.

    Args:
        path: The notebook.
        environment: The kernel's environment variables; those of this process by default.

    Returns:
        The notebook with its outputs.

    Raises:
        CellExecutionError: If a cell fails.
    """
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=1200,
        kernel_name="python3",
        resources={"metadata": {"path": path.parent}},
        extra_arguments=["--log-level=ERROR"],
    )
    client.execute(env=environment or dict(os.environ))
    return notebook


def figures(notebook: Any) -> list[bytes]:
    """Returns the figures that a notebook showed, as PNG."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return [base64.b64decode(o["data"]["image/png"]) for o in outputs if "image/png" in o.get("data", {})]


def main() -> int:
    """Runs the named notebooks, or all; returns 1 where one failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = sorted(path.stem for path in FOLDER.glob("*.ipynb"))
    parser.add_argument("names", nargs="*", help=f"of: {', '.join(known)} (default: all)")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "demo_output" / "notebooks")
    options = parser.parse_args()
    for name in options.names:
        if name not in known:
            parser.error(f"there is no notebook '{name}'; there are: {', '.join(known)}")
    options.out.mkdir(parents=True, exist_ok=True)
    failed = []
    for name in options.names or known:
        started = time.perf_counter()
        try:
            notebook = execute(FOLDER / f"{name}.ipynb")
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            failed.append(name)
            print(f"{name}: failed\n{error}", file=sys.stderr)
            continue
        nbformat.write(notebook, options.out / f"{name}.ipynb")
        shown = figures(notebook)
        for index, data in enumerate(shown, 1):
            (options.out / f"{name}-{index}.png").write_bytes(data)
        print(f"{name}: {len(shown)} figures after {time.perf_counter() - started:.0f} s", flush=True)
    print(f"the notebooks with their outputs, and their figures: {options.out}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
