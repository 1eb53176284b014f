"""Runs the C++ tests from pytest, each case by its own name."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


def program() -> Path | None:
    """The built C++ tests: $FASTORT_CPP_TESTS, or the newest that a build folder holds."""
    named = os.environ.get("FASTORT_CPP_TESTS")
    found = [Path(named)] if named else list(REPOSITORY.glob("build*/fastort_tests"))
    found = [path for path in found if path.is_file()]
    return max(found, key=lambda path: path.stat().st_mtime) if found else None


def cases() -> list[str]:
    path = program()
    if path is None:
        return []
    done = subprocess.run([path, "--list-test-cases"], capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    return [line for line in lines if line and not line.startswith(("[doctest]", "=="))]


def test_the_program_is_built() -> None:
    if program() is None:
        pytest.skip("the C++ tests are not built; tools/test.sh builds them, or tools/build.sh release")
    assert cases()


@pytest.mark.parametrize("case", cases())
def test_case(case: str) -> None:
    path = program()
    assert path is not None
    # Commas separate patterns, so a name that has one is matched by a wildcard in its place.
    pattern = "--test-case=" + case.replace(",", "?")
    done = subprocess.run([path, pattern], capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
