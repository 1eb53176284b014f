"""VulkanExecutionProvider as a choice: where it is listed, what happens where it does not serve, options, threads."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.vulkan import DEVICE, REFUSAL, lavapipe_drivers, needs_vulkan

CPU = "CPUExecutionProvider"

# What a program sees where nothing serves: the provider is not listed, asking for it warns and runs on the CPU.
WITHOUT = """
import sys
import warnings
import numpy as np
import fastort
from tests.api.test_device_values import step_model
import pytest

assert fastort.get_available_providers() == ["CPUExecutionProvider"]
assert "VulkanExecutionProvider" in fastort.get_all_providers()
assert fastort.get_device() == "CPU"
name = "VulkanExecutionProvider"
with pytest.warns(UserWarning, match="'VulkanExecutionProvider' is not in available provider names") as seen:
    session = fastort.InferenceSession(step_model(), providers=[name, "CPUExecutionProvider"])
print(seen[0].message)
assert session.get_providers() == ["CPUExecutionProvider"]
assert session.run(None, {"x": np.ones((2, 7), np.float32)})[0].shape == (2, 7)
with pytest.raises(fastort.capi.onnxruntime_pybind11_state.Fail, match="with strict_placement: "):
    fastort.InferenceSession(step_model(), providers=[(name, {"strict_placement": "1"})])
with warnings.catch_warnings():
    warnings.simplefilter("error")
    fastort.InferenceSession(step_model())
"""


def elsewhere(program: str, **environment: str) -> str:
    kept = {key: value for key, value in os.environ.items() if key != "FASTORT_VULKAN_DEVICE"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**kept, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_lavapipe_serves_where_it_is_installed() -> None:
    """So that a provider that refuses every device does not pass for a machine without one."""
    if not lavapipe_drivers() or "llvmpipe" not in DEVICE or "VK_DRIVER_FILES" in os.environ:
        pytest.skip("lavapipe is not installed, or another device is asked for")
    assert REFUSAL == ""


def test_without_a_driver() -> None:
    printed = elsewhere(WITHOUT, VK_DRIVER_FILES="/nonexistent.json", VK_ICD_FILENAMES="/nonexistent.json")
    assert "Vulkan" in printed


@needs_vulkan
def test_an_implementation_on_the_cpu_serves_only_where_it_is_asked_for() -> None:
    """On the machine's devices, of which one may be a GPU."""
    program = """
import fastort
from fastort import _engine
cpus = [device["refusal"] == "" for device in _engine.vulkan_devices() if device["is_cpu"]]
others = [device for device in _engine.vulkan_devices() if not device["is_cpu"] and not device["refusal"]]
listed = "VulkanExecutionProvider" in fastort.get_available_providers()
assert listed == bool(others), (listed, others)
assert any(cpus), cpus
assert bool(_engine.vulkan_refusal({})) != listed
assert _engine.vulkan_refusal({"allow_cpu": "1"}) == ""
assert _engine.vulkan_refusal({"device_name": "llvmpipe"}) == ""
assert _engine.vulkan_refusal({"device_name": "llvmpipe", "device_id": "0"}) == ""
assert "another device_id is asked for" in _engine.vulkan_refusal({"device_name": "llvmpipe", "device_id": "9"})
assert "another device_name is asked for" in _engine.vulkan_refusal({"device_name": "no such device"})
"""
    if "llvmpipe" not in DEVICE:
        pytest.skip("another device is asked for")
    elsewhere(program)
