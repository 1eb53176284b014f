"""The demonstration runs, agrees with PyTorch and writes its picture."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def test_demo(tmp_path: Path) -> None:
    out = tmp_path / "cat.png"
    command = [
        sys.executable,
        str(REPOSITORY / "tools" / "demo.py"),
        "--no-download",
        "--rounds",
        "1",
        "--out",
        str(out),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "seeded random weights" in done.stdout
    assert done.stdout.rstrip().endswith("rtol=1e-05, atol=0.0001): True")
    assert out.stat().st_size > 10_000
