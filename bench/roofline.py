"""Finds the program that measures the machine's roof, and runs it."""

from __future__ import annotations

import json
import os
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent


def program() -> Path | None:
    """Returns the built ``roof``, the newest one, or ``None`` where none is built."""
    named = os.environ.get("FASTORT_ROOF")
    found = [Path(named)] if named else list(REPOSITORY.glob("build*/bench/roof/roof"))
    found = [path for path in found if path.is_file()]
    return max(found, key=lambda path: path.stat().st_mtime) if found else None


@cache
def measure(threads: int, quick: bool = False) -> dict[str, Any] | None:
    """Returns what ``roof`` prints, or ``None`` where it is not built."""
    path = program()
    if path is None:
        return None
    command = [str(path), "--threads", str(threads), *(["--quick"] if quick else [])]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def peak(threads: int) -> float | None:
    """Returns the peak of fused multiply-adds on so many threads in GFLOP/s."""
    roof = measure(threads)
    return roof and roof["fma_gflops"][str(threads)]
