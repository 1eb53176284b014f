"""One formatter and one linter for each language, pinned, and run here as pre-commit runs them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lint.test_size import REPOSITORY, tracked

CLANG_FORMAT = "clang-format-16"


def pinned(package: str) -> str:
    """Returns the version of a package that requirements-dev.txt asks for."""
    text = (REPOSITORY / "requirements-dev.txt").read_text()
    found = re.search(rf"^{package}==(\S+)$", text, re.MULTILINE)
    assert found, f"{package} is not pinned in requirements-dev.txt"
    return found[1]


def call(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(list(map(str, command)), cwd=REPOSITORY, capture_output=True, text=True, check=False)


def module(name: str) -> list[str]:
    """Returns the command of a tool that is a Python package, or skips where it is not installed as pinned."""
    if call(sys.executable, "-m", name, "--version").returncode != 0:
        pytest.skip(f"{name} is not installed; tools/setup.sh installs {name} {pinned(name)}")
    version = call(sys.executable, "-m", name, "--version").stdout
    if pinned(name) not in version:
        pytest.skip(f"{name} is {version.strip()}, and {pinned(name)} is pinned: run tools/setup.sh")
    return [sys.executable, "-m", name]


def test_clang_format() -> None:
    if not shutil.which(CLANG_FORMAT):
        pytest.skip(f"{CLANG_FORMAT} is not installed; tools/setup.sh --tests installs it")
    files = [path for path in tracked("cpp", "tests", "bench") if path.suffix in {".h", ".cpp"}]
    assert files
    done = call(CLANG_FORMAT, "--dry-run", "--Werror", *files)
    names = sorted(set(re.findall(r"^(\S+?):\d+:\d+: ", done.stderr, re.MULTILINE)))
    short = " ".join(str(Path(name).relative_to(REPOSITORY)) for name in names)
    assert done.returncode == 0, f"to mend it: {CLANG_FORMAT} -i {short}"


def test_ruff_format() -> None:
    done = call(*module("ruff"), "format", "--check", ".")
    names = sorted(set(re.findall(r"--> (\S+?):\d+", done.stdout)))
    assert done.returncode == 0, f"to mend it: ruff format {' '.join(names) or done.stdout}"


def test_ruff_check() -> None:
    done = call(*module("ruff"), "check", "--output-format=concise", ".")
    assert done.returncode == 0, f"to mend some of it: ruff check --fix .\n{done.stdout}"


def test_mypy() -> None:
    done = call(*module("mypy"), "python/fastort")
    assert done.returncode == 0, done.stdout + done.stderr


def test_pyright() -> None:
    done = call(*module("basedpyright"), "--level", "error")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_stub_and_the_engine_agree() -> None:
    name = pinned("mypy") and "mypy.stubtest"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", name, "fastort._engine", "--concise"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False, env=environment)
    # pybind11 gives classes a metaclass, and those that Python cannot make an __init__ that refuses everything.
    told = [
        line for line in done.stdout.splitlines() if not re.search(r"metaclass differs|__init__ is inc.*\*args", line)
    ]
    assert not told, "\n".join(told)
    assert "fastort._engine" in done.stdout, done.stdout + done.stderr


def test_shell_scripts_parse() -> None:
    scripts = [path for path in tracked("tools", ".ci") if path.suffix == ".sh" or path.name == "run"]
    assert scripts
    for path in scripts:
        done = call("bash", "-n", path)
        assert done.returncode == 0, done.stderr
