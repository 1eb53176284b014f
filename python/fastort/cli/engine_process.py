"""Other engines' interpreters, and processes of them that answer lines with JSON; ``bench/compare.py`` uses it too."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def made_interpreter(package: str) -> str | None:
    """Returns the interpreter of the environment that ``tools/peers.sh`` made for a package, where it did."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    python = cache / "fastort" / "peers" / package / "bin" / "python"
    return str(python) if python.exists() else None


def named_interpreter(package: str) -> str | None:
    """Returns the interpreter that the environment variable ``FASTORT_PEER_<PACKAGE>`` names, where it does."""
    return os.environ.get(f"FASTORT_PEER_{package.upper()}") or None


def environment_of(python: str, changes: Mapping[str, str] | None = None) -> dict[str, str]:
    """Returns the environment variables for a process of an interpreter."""
    environment = {**os.environ, **(changes or {})}
    if python != sys.executable:
        # Packages of this interpreter are not for another one.
        environment.pop("PYTHONPATH", None)
    return environment


class EngineProcess:
    """A process that says in a line of JSON that it is ready, and answers each line on its stdin with one.

    Attributes:
        start: What it said when it was ready.
    """

    def __init__(
        self, name: str, python: str, arguments: Sequence[str], changes: Mapping[str, str] | None = None
    ) -> None:
        """Starts the process and waits until it is ready.

        Args:
            name: What errors call it.
            python: The interpreter.
            arguments: The script and its arguments.
            changes: Environment variables beside those of this process.

        Raises:
            RuntimeError: If it ends before, or answers with an ``error``.
        """
        self.name = name
        # A file takes whatever the process complains of; a pipe that nobody reads would stop it when it is full.
        self._errors = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115
        self._process = subprocess.Popen(
            [python, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=environment_of(python, changes),
        )
        try:
            self.start = self._answer()
        except BaseException:
            self.close()
            raise

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        answer = json.loads(line) if line else {}
        if not line or "error" in answer:
            self._process.communicate()
            self._errors.seek(0)
            last = (self._errors.read().strip().splitlines() or [f"exit code {self._process.returncode}"])[-1]
            raise RuntimeError(f"{self.name}: {' '.join(str(answer.get('error') or last).split())}")
        return dict(answer)

    def ask(self, line: str) -> dict[str, Any]:
        """Sends a line and returns the answer.

        Raises:
            RuntimeError: If the process has ended, or answers with an ``error``.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # the process has ended; reading tells why
        return self._answer()

    def close(self) -> None:
        """Ends the process, if it has not ended by itself."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()
        self._errors.close()
