"""What may be committed: text that we wrote, small, and free of any one machine's names."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.lint.test_size import REPOSITORY, tracked

MAX_BYTES = 1_000_000
BINARY = {".onnx", ".npy", ".npz", ".so", ".a", ".o", ".whl", ".png", ".jpg", ".spv", ".pb", ".zip", ".gz", ".pyc"}
GENERATED = re.compile(r"(^|/)(build|build-[^/]*|dist|__pycache__|\.venv|node_modules|_build|[^/]*\.egg-info)(/|$)")

# A committed text names no machine's folders and no package registry: both are the reader's own.
FOREIGN = (
    (re.compile(r"(?<![\w.])/(?:home|Users|root|work)/[\w.]"), "a path of one machine"),
    (re.compile(r"\b(?:files\.pythonhosted|pypi|download\.pytorch|test\.pypi)\.org\b"), "a package registry's host"),
    (re.compile(r"\b(?:deb|security|snapshot)\.debian\.org\b"), "a package registry's host"),
)


def names() -> list[str]:
    return [path.relative_to(REPOSITORY).as_posix() for path in tracked()]


def text_of(path: Path) -> str | None:
    """Returns a file's text, or ``None`` for one that is not text."""
    try:
        return path.read_text()
    except UnicodeDecodeError:
        return None


def test_no_large_files() -> None:
    large = [f"{path.relative_to(REPOSITORY)}: {path.stat().st_size}" for path in tracked()]
    large = [row for row in large if int(row.rsplit(" ", 1)[1]) > MAX_BYTES]
    assert not large, f"files over {MAX_BYTES} bytes: {large}"


def test_no_binaries() -> None:
    wrong = [name for name in names() if Path(name).suffix in BINARY]
    wrong += [
        name for name in names() if text_of(REPOSITORY / name) is None or "\0" in (text_of(REPOSITORY / name) or "")
    ]
    assert not wrong, f"binaries: {sorted(set(wrong))}"


def test_nothing_generated() -> None:
    wrong = [name for name in names() if GENERATED.search(name)]
    assert not wrong, f"generated files: {wrong}"


def test_notebooks_hold_no_outputs() -> None:
    for name in names():
        if name.endswith(".ipynb"):
            cells = json.loads((REPOSITORY / name).read_text())["cells"]
            full = [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")]
            assert not full, f"{name}: clear its outputs (jupyter nbconvert --clear-output --inplace)"


def test_no_foreign_names() -> None:
    wrong = []
    this = Path(__file__).resolve()
    for path in tracked():
        if path == this:
            continue
        for number, line in enumerate((text_of(path) or "").splitlines(), 1):
            wrong += [
                f"{path.relative_to(REPOSITORY)}:{number}: {what}: {line.strip()[:100]}"
                for pattern, what in FOREIGN
                if pattern.search(line)
            ]
    assert not wrong, "\n".join(wrong)
