"""VulkanExecutionProvider as a choice: where it is listed, what happens where it does not serve, options, threads."""

from __future__ import annotations

import concurrent.futures
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

import fastort
from fastort import _engine
from tests.api.test_device_values import model, session_of, some, step_model
from tests.vulkan import DEVICE, NAME, OPTIONS, REFUSAL, lavapipe_drivers, needs_vulkan, run_elsewhere

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


def test_lavapipe_serves_where_it_is_installed() -> None:
    """So that a provider that refuses every device does not pass for a machine without one."""
    if not lavapipe_drivers() or "llvmpipe" not in DEVICE or "VK_DRIVER_FILES" in os.environ:
        pytest.skip("lavapipe is not installed, or another device is asked for")
    assert REFUSAL == ""


def test_without_a_driver() -> None:
    printed = run_elsewhere(
        WITHOUT, FASTORT_VULKAN_DEVICE="", VK_DRIVER_FILES="/nonexistent.json", VK_ICD_FILENAMES="/nonexistent.json"
    )
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
    run_elsewhere(program, FASTORT_VULKAN_DEVICE="")


@needs_vulkan
def test_sessions_choose_their_device() -> None:
    program = """
import fastort, numpy
from tests.api import models
cpu, device = fastort.get_ep_devices()[:2]
assert device.ep_name == "VulkanExecutionProvider"
assert device.device.type == fastort.OrtHardwareDeviceType.GPU
assert device.device.vendor_id > 0 and device.device.metadata["VulkanVersion"].startswith("1.")
by_device, by_policy, by_function = (fastort.SessionOptions() for _ in range(3))
by_device.add_provider_for_devices([device], {"strict_placement": "1"})
by_policy.set_provider_selection_policy(fastort.OrtExecutionProviderDevicePolicy.PREFER_GPU)
by_function.set_provider_selection_policy_delegate(lambda devices, *_: devices[1:2] + devices[:1])
x = numpy.ones((1, 3), numpy.float32)
for options in (by_device, by_policy, by_function):
    session = fastort.InferenceSession(models.negate(), options)
    assert session.get_providers() == ["VulkanExecutionProvider", "CPUExecutionProvider"], session.get_providers()
    assert session.run(None, {"x": x})[0].tolist() == [[-1, -1, -1]]
    assert session.get_input_epdevices()[0].device.metadata == device.device.metadata
    assert "VulkanExecutionProvider" in session.explain()
"""
    run_elsewhere(program, FASTORT_VULKAN_DEVICE=DEVICE)


@needs_vulkan
def test_options_that_make_no_sense() -> None:
    for options, text in (
        ({"no_such_option": "1"}, "has no option 'no_such_option'; it has device_id, device_name, allow_cpu"),
        ({"device_id": "first"}, "the option 'device_id' is a number of a device, not 'first'"),
        ({"strict_placement": "maybe"}, "the option 'strict_placement' is 0 or 1, not 'maybe'"),
        ({"enable_fp16": "fast"}, "enable_fp16 is 'off', 'storage' or 'arithmetic', not 'fast'"),
        ({"profile": "2"}, "the option 'profile' is 0 or 1, not '2'"),
    ):
        with pytest.raises(_engine.InvalidArgument, match=text):
            fastort.InferenceSession(step_model(), providers=[(NAME, {**OPTIONS, **options})])


def mixed_model() -> bytes:
    """An operator without a shader between two that have one: the smallest number of each map of 2 x 2."""
    return model(
        helper.make_node("Neg", ["x"], ["a"], name="first"),
        helper.make_node("MaxRoiPool", ["a", "corners"], ["b"], name="middle", pooled_shape=[1, 1]),
        helper.make_node("Neg", ["b"], ["y"], name="last"),
        inputs={"x": (TensorProto.FLOAT, [1, "c", 2, 2])},
        outputs={"y": (TensorProto.FLOAT, [1, "c", 1, 1])},
        corners=np.array([[0, 0, 0, 1, 1]], np.float32),
    )


@needs_vulkan
def test_explain_tells_where_and_why() -> None:
    session = fastort.InferenceSession(mixed_model(), providers=[(NAME, OPTIONS)])
    x = some(1, 9, 2, 2)
    np.testing.assert_array_equal(session.run(None, {"x": x})[0], x.min((2, 3), keepdims=True))
    lines = session.explain().splitlines()
    for name, place in (("first", f"{NAME}, shader"), ("middle", CPU), ("last", f"{NAME}, shader")):
        (at,) = [i for i, line in enumerate(lines) if f"'{name}'" in line]
        assert place in lines[at]
        assert name != "middle" or f"not {NAME}: the operator has no shader" in lines[at + 1]


@needs_vulkan
def test_strict_placement_names_the_node_and_the_remedy() -> None:
    session = session_of(mixed_model())
    wanted = r"MaxRoiPool.*'middle'.*strict_placement is set.*the operator has no shader. Leave strict_placement away"
    with pytest.raises(_engine.EPFail, match=wanted):
        session.run(None, {"x": some(1, 9, 2, 2)})


# ---- compiled pipelines on disk --------------------------------------------------------------------------------------


@needs_vulkan
def test_pipelines_are_kept_and_damage_is_harmless(tmp_path: Path) -> None:
    folder = tmp_path / "made" / "when it is needed"
    x = some(3, 7)

    def run() -> np.ndarray:
        with session_of(step_model(), cache_dir=str(folder)) as session:
            return session.run(None, {"x": x})[0]

    want = run()
    (file,) = folder.iterdir()  # no temporary file stays behind
    assert re.fullmatch(r"vulkan-[0-9a-f]{16}-[0-9a-f]{16}\.bin", file.name)
    whole = file.read_bytes()
    assert len(whole) > 8
    for damaged in (b"", whole[:5], whole[: len(whole) // 2], whole[:-1] + bytes([whole[-1] ^ 1]), b"\0" * len(whole)):
        file.write_bytes(damaged)
        program = f"""
import numpy as np
from tests.api.test_vulkan_provider import session_of, some, step_model
session = session_of(step_model(), cache_dir={str(folder)!r})
np.save({str(tmp_path / "y.npy")!r}, session.run(None, {{"x": some(3, 7)}})[0])
"""
        run_elsewhere(program, FASTORT_VULKAN_DEVICE=DEVICE)
        np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), want)
        assert list(folder.iterdir()) == [file]
        assert len(file.read_bytes()) > 8
    folder_of_nobody = tmp_path / "file"
    folder_of_nobody.write_text("")
    with session_of(step_model(), cache_dir=str(folder_of_nobody)) as session:
        np.testing.assert_array_equal(session.run(None, {"x": x})[0], want)
    with session_of(step_model(), cache_dir="off") as session:
        np.testing.assert_array_equal(session.run(None, {"x": x})[0], want)


# ---- threads ---------------------------------------------------------------------------------------------------------


@needs_vulkan
@pytest.mark.parametrize("options", [{}, {"always_stage": "1"}], ids=["direct", "staged"])
def test_threads_share_sessions_and_a_device(options: dict[str, str]) -> None:
    """Two models, three sessions, shapes that change, memory of the host and of the device: all at the same time."""
    other = model(
        helper.make_node("Softmax", ["x"], ["s"]),
        helper.make_node("ReduceSum", ["s"], ["y"], keepdims=1),
        inputs={"x": (TensorProto.FLOAT, ["n", 7])},
        outputs={"y": (TensorProto.FLOAT, [1, 1])},
    )
    blobs = (step_model(), step_model(), other)
    sessions = [session_of(blob, **options) for blob in blobs]
    hosts = [fastort.InferenceSession(blob, providers=[CPU]) for blob in blobs]
    inputs = [some(rows, 7, seed=rows) for rows in (1, 3, 8, 17)]
    wanted = [[host.run(None, {"x": x})[0] for x in inputs] for host in hosts]

    def work(number: int) -> None:
        for turn in range(12):
            which, k = (number + turn) % len(sessions), (number * 5 + turn) % len(inputs)
            if turn % 3 == 2:
                binding = sessions[which].io_binding()
                binding.bind_ortvalue_input("x", fastort.OrtValue.ortvalue_from_numpy(inputs[k], "vulkan", 0))
                binding.bind_output("y", "vulkan", 0)
                sessions[which].run_with_iobinding(binding)
                got = binding.copy_outputs_to_cpu()[0]
            else:
                got = sessions[which].run(None, {"x": inputs[k]})[0]
            np.testing.assert_allclose(got, wanted[which][k], rtol=1e-4, atol=1e-5)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))


# ---- recording and submitting ----------------------------------------------------------------------------------------


@needs_vulkan
def test_rebinding_records_nothing() -> None:
    """The second recording of the process fails: whatever the inputs and outputs are bound to, there is none."""
    program = """
import numpy as np
import pytest
from fastort import OrtValue
from fastort.capi import onnxruntime_pybind11_state as state
from tests.api.test_device_values import session_of, some, step_model

session = session_of(step_model())
want = session.run(None, {"x": some(3, 7)})[0]
values = [OrtValue.ortvalue_from_numpy(some(3, 7), "vulkan", 0) for _ in range(3)]
for turn in range(12):
    binding = session.io_binding()
    if turn % 3:
        binding.bind_ortvalue_input("x", values[turn % 3])
    else:
        binding.bind_cpu_input("x", some(3, 7))
    binding.bind_output("y", "vulkan" if turn % 2 else "cpu")
    session.run_with_iobinding(binding)
    np.testing.assert_array_equal(binding.copy_outputs_to_cpu()[0], want)
with pytest.raises(state.EPFail, match="vkBeginCommandBuffer"):
    session.run(None, {"x": some(4, 7)})
print("recorded once")
"""
    printed = run_elsewhere(program, FASTORT_VULKAN_DEVICE=DEVICE, FASTORT_VULKAN_FAULT="vkBeginCommandBuffer:2:memory")
    assert "recorded once" in printed


@needs_vulkan
def test_long_work_is_cut() -> None:
    """A product that takes seconds is several submissions, so that a run that is to stop does so between two."""
    size = 1000
    weight = np.zeros((size, size), np.float32)
    np.fill_diagonal(weight, 0.5)
    count = 4
    blob = model(
        *(helper.make_node("MatMul", [f"h{i}", "w"], [f"h{i + 1}"]) for i in range(count)),
        inputs={"h0": (TensorProto.FLOAT, [size, size])},
        outputs={f"h{count}": (TensorProto.FLOAT, [size, size])},
        w=weight,
    )
    session = session_of(blob)
    x = some(size, size)
    begin = time.perf_counter()
    np.testing.assert_array_equal(session.run(None, {"h0": x})[0], x * np.float32(0.5**count))
    whole = time.perf_counter() - begin
    options = fastort.RunOptions()
    timer = threading.Timer(0.05, lambda: setattr(options, "terminate", True))
    timer.start()
    begin = time.perf_counter()
    with pytest.raises(_engine.Fail, match="cancelled"):
        session.run(None, {"h0": x}, options)
    assert time.perf_counter() - begin < 0.05 + max(0.7 * whole, 1.5)
    timer.join()
    np.testing.assert_array_equal(session.run(None, {"h0": x})[0], x * np.float32(0.5**count))


@needs_vulkan
def test_devices_are_listed_while_none_is_open() -> None:
    """What a list of devices was made of is gone with it: memory that is freed is overwritten here."""
    code = "from fastort import _engine; print([device['name'] for device in _engine.vulkan_devices()])"
    environment = {**os.environ, "MALLOC_PERTURB_": "165"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str([device["name"] for device in _engine.vulkan_devices()])
