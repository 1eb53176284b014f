"""Files stay small enough to be read in one sitting."""

from __future__ import annotations

import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
LIMIT = 800
FOLDERS = ("cpp", "python", "shaders", "tests", "bench", "tools", "cmake")
SUFFIXES = {".h", ".cpp", ".py", ".pyi", ".comp", ".glsl", ".sh", ".cmake", ".txt"}


def tracked(*folders: str) -> list[Path]:
    """Returns the files that git knows, or would know if they were added."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *folders]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    paths = [REPOSITORY / name for name in done.stdout.split("\0") if name]
    return sorted(path for path in paths if path.is_file())


def test_no_file_is_too_long() -> None:
    long = []
    for path in tracked(*FOLDERS):
        if path.suffix in SUFFIXES:
            lines = len(path.read_text().splitlines())
            if lines > LIMIT:
                long.append(f"{path.relative_to(REPOSITORY)}: {lines} lines")
    assert not long, f"split along a seam that a newcomer would guess (at most {LIMIT} lines): " + "; ".join(long)
