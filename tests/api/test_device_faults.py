"""A lost device, exhausted memory, a submission that does not end; where a run's time goes on the device."""

from __future__ import annotations

import numpy as np
import pytest

from tests.api.test_device_values import session_of, some, step_model
from tests.vulkan import DEVICE, needs_vulkan, run_elsewhere
from tests.vulkan import NAME as VULKAN

pytestmark = needs_vulkan

# Each fault is met by the third run: the sessions that share the device stop, later ones and those on the CPU go on.
PROGRAM = """
import gc
import sys
import numpy as np
import fastort
from fastort.capi import onnxruntime_pybind11_state as state
from tests.api.test_device_values import session_of, some, step_model

first, second = session_of(step_model()), session_of(step_model())
host = fastort.InferenceSession(step_model(), providers=["CPUExecutionProvider"])
x = some(3, 7)
want = first.run(None, {"x": x})[0]
second.run(None, {"x": x})
for session, text in ((first, sys.argv[1]), (second, sys.argv[2])):
    try:
        session.run(None, {"x": x})
        print("no error")
    except state.EPFail as error:
        print(error)
        assert text in str(error), text
np.testing.assert_allclose(host.run(None, {"x": x})[0], want, rtol=1e-4, atol=1e-5)
np.testing.assert_array_equal(session_of(step_model()).run(None, {"x": x})[0], want)
first.close()
second.close()
print("went on")
"""

LOST_BEFORE = "was lost in an earlier run: close its sessions and make new ones"


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ("vkWaitSemaphores:3:lost", "VK_ERROR_DEVICE_LOST. The device is lost for the sessions that use it"),
        ("vkQueueSubmit:3:lost", "vkQueueSubmit gives VK_ERROR_DEVICE_LOST"),
        ("vkWaitSemaphores:3:timeout", "VK_TIMEOUT after 120 s"),
    ],
)
def test_others_go_on_after_a_lost_device(fault: str, text: str) -> None:
    printed = run(PROGRAM, fault, text, LOST_BEFORE)
    assert "went on" in printed


def test_exhausted_memory_loses_nothing() -> None:
    program = """
import numpy as np
from fastort import OrtValue
from fastort.capi import onnxruntime_pybind11_state as state
from tests.api.test_device_values import session_of, some, step_model

x = some(3, 7)
session = session_of(step_model())
want = session.run(None, {"x": x})[0]
for turn in range(9):
    try:
        OrtValue.ortvalue_from_shape_and_type([100, 1000, 1000], np.float32, "vulkan", 0)
    except state.EPFail as error:
        print(error)
        break
np.testing.assert_array_equal(session.run(None, {"x": x})[0], want)
print("went on")
"""
    printed = run(program, "vkAllocateMemory:4:memory")
    assert "has no memory left for 382 MiB more (VK_ERROR_OUT_OF_DEVICE_MEMORY); fastort holds" in printed
    assert "use a smaller batch, or run on the CPU" in printed
    assert "went on" in printed


def run(program: str, fault: str, *arguments: str) -> str:
    return run_elsewhere(program, *arguments, FASTORT_VULKAN_DEVICE=DEVICE, FASTORT_VULKAN_FAULT=fault)


@pytest.mark.parametrize("options", [{}, {"always_stage": "1"}, {"profile": "1"}])
def test_profiles_tell_the_nodes_of_the_device(options: dict[str, str]) -> None:
    session = session_of(step_model(), **options)
    x = some(300, 7)
    (want,) = session.run(None, {"x": x})
    profile = session.profile({"x": x}, runs=5)
    on_device = [node for node in profile.nodes() if node.provider == VULKAN]
    assert sum(node.calls for node in on_device) == 5 * len(on_device) > 0
    assert all(node.total_ms > 0 and node.outputs == [(300, 7)] for node in on_device)
    assert all(node.kernel.startswith("shader ") for node in on_device)
    assert sum(node.total_ms for node in profile.nodes()) <= sum(profile.run_ms)
    providers = {event["args"].get("provider") for event in profile.chrome_trace()}
    assert VULKAN in providers
    # The commands that run when nobody measures are recorded anew.
    np.testing.assert_array_equal(session.run(None, {"x": x})[0], want)
