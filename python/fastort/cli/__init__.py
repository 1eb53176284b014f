"""The command ``fastort``: looks into models, runs, measures, compares and tunes them.

It needs more packages than the engine: ``pip install fastort[cli]``. Nothing here is imported by ``import fastort``.
"""

from __future__ import annotations

import importlib.util
import sys

_NEEDED = ("typer", "rich", "onnx")
# Exit codes, those of diff and grep: what was asked holds, it does not, it could not be answered.
OK, DIFFERENT, TROUBLE = 0, 1, 2
INTERRUPTED = 130  # as shells have it


def main() -> None:
    """Runs the command line and ends the process with one of the codes above."""
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        print(f"error: the command line needs {', '.join(missing)}: pip install 'fastort[cli]'", file=sys.stderr)
        sys.exit(TROUBLE)
    try:
        from .app import run_app

        sys.exit(run_app())
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
