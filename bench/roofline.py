"""Finds the program that measures the machine's roof, and runs it."""

from __future__ import annotations

import json
import os
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

from fastort.cli.engine_process import EngineProcess

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


class Roof:
    """The program that measures the roof, kept ready: a shared machine does more or less from minute to minute."""

    def __init__(self, path: Path, threads: int) -> None:
        """Starts the program."""
        self._process = EngineProcess("roof", str(path), ["--serve", "--quick", "--threads", str(threads)])

    @classmethod
    def of(cls, threads: int) -> Roof | None:
        """Returns one for so many threads, or ``None`` where the program is not built."""
        path = program()
        return cls(path, threads) if path else None

    def now(self) -> dict[str, float]:
        """Returns ``fma_gflops`` and ``memory_gbps``, the best of three short measurements (a tenth of a second)."""
        return self._process.ask("now")

    def close(self) -> None:
        """Ends the program."""
        self._process.close()
