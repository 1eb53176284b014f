"""The devices of execution providers, and how sessions come to theirs."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

import fastort
from fastort import OrtExecutionProviderDevicePolicy as Policy
from fastort import _engine, _ep_devices
from fastort.capi.onnxruntime_pybind11_state import InvalidArgument
from tests.api import models

CPU = "CPUExecutionProvider"
VULKAN = "VulkanExecutionProvider"
X = np.ones((1, 3), np.float32)


def entry(name: str, kind: str, **rest: Any) -> dict[str, Any]:
    given = {"vendor_id": 0x10DE, "product_id": 0x2330, "vulkan_version": "1.3.289", "refusal": "", **rest}
    return {"name": name, "kind": kind, "is_cpu": kind == "cpu", **given}


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """A machine with two equal GPUs, one that does not serve, one in the processor, and one on the CPU."""
    devices = [
        entry("Big GPU", "discrete"),
        entry("Big GPU", "discrete"),
        entry("Old GPU", "discrete", refusal="its driver has no Vulkan 1.2"),
        entry("Small GPU", "integrated", vendor_id=0x8086, product_id=7),
        entry("softpipe", "cpu", vendor_id=0x10005),
    ]
    monkeypatch.setattr(_ep_devices, "vulkan_devices", lambda: devices)
    monkeypatch.delenv("FASTORT_VULKAN_DEVICE", raising=False)
    return devices


def described(devices: Sequence[fastort.OrtEpDevice]) -> list[tuple[str, str]]:
    return [(device.ep_name, device.device.metadata["Description"]) for device in devices]


def test_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_ep_devices, "vulkan_devices", list)
    (device,) = fastort.get_ep_devices()
    assert (device.ep_name, device.ep_vendor, device.ep_options) == (CPU, "fastort", {})
    assert device.ep_metadata == {"version": fastort.__version__}
    assert device.device.type == fastort.OrtHardwareDeviceType.CPU
    assert device.device.metadata == {"Description": _engine.cpu_name()}
    known = {"AMD": 0x1022, "Intel": 0x8086, "ARM": 0x13B5, "Apple": 0x106B, "": 0}
    assert known[device.device.vendor] == device.device.vendor_id
    assert device.memory_info(fastort.OrtDeviceMemoryType.DEFAULT).name == "Cpu"
    with pytest.raises(RuntimeError, match="no streams"):
        device.create_sync_stream()


def test_gpus(machine: list[dict[str, Any]]) -> None:
    devices = fastort.get_ep_devices()
    names = [(VULKAN, "Big GPU"), (VULKAN, "Big GPU"), (VULKAN, "Small GPU")]
    assert described(devices)[1:] == names
    assert devices[0].ep_name == CPU
    places = [(device.ep_options["device_name"], device.ep_options["device_id"]) for device in devices[1:]]
    assert places == [("Big GPU", "0"), ("Big GPU", "1"), ("Small GPU", "0")]
    big, small = devices[1].device, devices[3].device
    assert big.type == small.type == fastort.OrtHardwareDeviceType.GPU
    assert (big.vendor, big.vendor_id, big.device_id) == ("NVIDIA", 0x10DE, 0x2330)
    assert (small.vendor, small.vendor_id, small.device_id) == ("Intel", 0x8086, 7)
    assert (big.metadata["Discrete"], small.metadata["Discrete"]) == ("1", "0")
    assert big.metadata["VulkanVersion"] == "1.3.289"
    info = devices[1].memory_info(fastort.OrtDeviceMemoryType.DEFAULT)
    assert (info.name, info.device_vendor_id) == ("Vulkan", 0x10DE)
    assert "Big GPU" in repr(devices[1])


def test_an_implementation_on_the_cpu_is_asked_for(
    machine: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FASTORT_VULKAN_DEVICE", "softpipe")
    _, device = fastort.get_ep_devices()
    assert device.device.metadata["VulkanType"] == "cpu"
    assert device.device.vendor == "Mesa"


@pytest.mark.parametrize("policy", Policy)
def test_policies(machine: list[dict[str, Any]], policy: Policy) -> None:
    options = fastort.SessionOptions()
    assert not options.has_providers()
    options.set_provider_selection_policy(policy)
    assert options.has_providers()
    chosen = options._selected_providers(dict)
    if policy in (Policy.PREFER_GPU, Policy.MAX_PERFORMANCE):
        assert chosen == {VULKAN: {"device_name": "Big GPU", "device_id": "0"}, CPU: {}}
    else:
        assert chosen == {CPU: {}}


def test_a_policy_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_ep_devices, "vulkan_devices", list)
    options = fastort.SessionOptions()
    options.set_provider_selection_policy(Policy.PREFER_GPU)
    session = fastort.InferenceSession(models.negate(), options)
    assert session.get_providers() == [CPU]
    assert session.run(None, {"x": X})[0].tolist() == [[-1, -1, -1]]


def test_providers_that_are_named_come_first(machine: list[dict[str, Any]]) -> None:
    options = fastort.SessionOptions()
    options.set_provider_selection_policy(Policy.PREFER_GPU)
    assert fastort.InferenceSession(models.negate(), options, providers=[CPU]).get_providers() == [CPU]
    options.add_provider(CPU, {})
    assert fastort.InferenceSession(models.negate(), options).get_providers() == [CPU]


def test_a_device_is_added(machine: list[dict[str, Any]]) -> None:
    options = fastort.SessionOptions()
    options.add_provider_for_devices([fastort.get_ep_devices()[2]], {"enable_fp16": "storage"})
    assert options._providers == {VULKAN: {"device_name": "Big GPU", "device_id": "1", "enable_fp16": "storage"}}


def test_devices_that_do_not_fit(machine: list[dict[str, Any]]) -> None:
    devices = fastort.get_ep_devices()
    options = fastort.SessionOptions()
    with pytest.raises(InvalidArgument, match="Must provide one or more OrtEpDevice instances"):
        options.add_provider_for_devices([], {})
    with pytest.raises(InvalidArgument, match=r"must have the same execution provider, not CPU.* and Vulkan"):
        options.add_provider_for_devices(devices[:2], {})
    with pytest.raises(InvalidArgument, match="runs on one device, not on Big GPU, Small GPU"):
        options.add_provider_for_devices([devices[1], devices[3]], {})
    with pytest.raises(TypeError, match="get_ep_devices"):
        options.add_provider_for_devices(["Big GPU"], {})  # type: ignore[list-item]
    assert not options.has_providers()


def first_cpu(
    devices: Sequence[fastort.OrtEpDevice], model: Mapping[str, str], runtime: Mapping[str, str], most: int
) -> list[fastort.OrtEpDevice]:
    return [device for device in devices if device.ep_name == CPU]


def test_a_function_selects() -> None:
    seen: list[Any] = []

    def select(*arguments: Any) -> list[fastort.OrtEpDevice]:
        seen.extend(arguments)
        return first_cpu(*arguments)

    options = fastort.SessionOptions()
    options.set_provider_selection_policy_delegate(select)
    session = fastort.InferenceSession(models.negate(), options)
    assert session.get_providers() == [CPU]
    devices, model, runtime, most = seen
    assert described(devices) == described(fastort.get_ep_devices())
    assert {"producer_name", "graph_name", "model_version"} <= set(model)
    assert runtime == {"version": fastort.__version__}
    assert most == 8
    assert session.run(None, {"x": X})[0].tolist() == [[-1, -1, -1]]


def test_functions_that_select_wrongly() -> None:
    def session(function: Any) -> fastort.InferenceSession:
        options = fastort.SessionOptions()
        options.set_provider_selection_policy_delegate(function)
        return fastort.InferenceSession(models.negate(), options)

    with pytest.raises(TypeError, match="a function that selects devices, not 3"):
        session(3)
    with pytest.raises(InvalidArgument, match="1 to 8 devices, not 0"):
        session(lambda *_: [])
    with pytest.raises(TypeError, match="not 'CPU'"):
        session(lambda *_: ["CPU"])
    with pytest.raises(ZeroDivisionError):  # what the function raises itself
        session(lambda *_: 1 / 0)


def test_options_with_a_function_are_copied() -> None:
    options = fastort.SessionOptions()
    options.set_provider_selection_policy_delegate(first_cpu)
    for other in (copy.copy(options), copy.deepcopy(options), pickle.loads(pickle.dumps(options))):
        assert other.has_providers()
        session = pickle.loads(pickle.dumps(fastort.InferenceSession(models.negate(), other)))
        assert session.get_providers() == [CPU]


def test_the_devices_of_inputs() -> None:
    session = fastort.InferenceSession(models.add())
    assert described(session.get_input_epdevices()) == [(CPU, _engine.cpu_name())] * 2


def test_a_machine_without_vulkan(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def none() -> list[dict[str, Any]]:
        raise _engine.Fail("libvulkan.so.1 is not there")

    monkeypatch.setattr(_engine, "vulkan_devices", none)
    assert [device.ep_name for device in fastort.get_ep_devices()] == [CPU]
    fastort.show_versions()
    assert "no device" in capsys.readouterr().out
