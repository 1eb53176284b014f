"""The Vulkan device that the tests run on: lavapipe, or the one that `FASTORT_VULKAN_DEVICE` names (a GPU, say)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fastort import _engine

DEVICE = os.environ.get("FASTORT_VULKAN_DEVICE", "llvmpipe")
OPTIONS = {"device_name": DEVICE}
NAME = "VulkanExecutionProvider"
PROVIDER = (NAME, OPTIONS)
# Why the device does not serve; empty where it does.
REFUSAL = _engine.vulkan_refusal(OPTIONS)

needs_vulkan = pytest.mark.skipif(bool(REFUSAL), reason=REFUSAL)


def lavapipe_drivers() -> list[Path]:
    """The descriptions of lavapipe's driver that Vulkan's loader finds without being told."""
    folders = [Path("/usr/share/vulkan/icd.d"), Path("/usr/local/share/vulkan/icd.d"), Path("/etc/vulkan/icd.d")]
    return sorted(found for folder in folders for found in folder.glob("lvp_icd*.json"))


def run_elsewhere(program: str, *arguments: str, **environment: str) -> str:
    """Runs a program in a process of its own, where `environment` is set too, and returns what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
        cwd=Path(__file__).resolve().parents[1],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
