"""Values that stay on a Vulkan device: made there, bound, handed from one session to the next."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import fastort
from fastort import OrtValue, _engine
from tests.vulkan import DEVICE as NAMED
from tests.vulkan import NAME as VULKAN
from tests.vulkan import OPTIONS as DEVICE
from tests.vulkan import needs_vulkan

pytestmark = needs_vulkan

STAGED = [pytest.param({}, id="direct"), pytest.param({"always_stage": "1"}, id="staged")]


@pytest.fixture(autouse=True)
def device_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers of devices count among those of that name."""
    monkeypatch.setenv("FASTORT_VULKAN_DEVICE", DEVICE["device_name"])


def model(*nodes: onnx.NodeProto, inputs: dict[str, Any], outputs: dict[str, Any], **constants: Any) -> bytes:
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in inputs.items()],
        [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in outputs.items()],
        [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9).SerializeToString()


def step_model() -> bytes:
    """y = tanh(x W), of which one run's result is the next one's input."""
    weight = np.random.default_rng(0).standard_normal((7, 7)).astype(np.float32)
    return model(
        helper.make_node("MatMul", ["x", "w"], ["h"]),
        helper.make_node("Tanh", ["h"], ["y"]),
        inputs={"x": (TensorProto.FLOAT, ["n", 7])},
        outputs={"y": (TensorProto.FLOAT, ["n", 7])},
        w=weight,
    )


def session_of(blob: bytes | str, **options: str) -> fastort.InferenceSession:
    return fastort.InferenceSession(blob, providers=[(VULKAN, {"strict_placement": "1", **DEVICE, **options})])


def some(*shape: int, seed: int = 1) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize(
    "dtype", [np.float32, np.float16, np.float64, np.int64, np.int32, np.uint8, np.int8, np.bool_, np.uint16]
)
def test_contents_go_there_and_back(dtype: Any) -> None:
    array = (np.arange(3 * 5 * 7) % 5).reshape(3, 5, 7).astype(dtype)
    value = OrtValue.ortvalue_from_numpy(array, "vulkan", 0)
    assert value.device_name() == "vulkan"
    assert value.shape() == [3, 5, 7]
    assert value.data_ptr() != 0
    back = value.numpy()
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)
    back[...] = 0  # memory of its own
    np.testing.assert_array_equal(np.asarray(value), array)
    changed = (array + 1).astype(dtype)
    value.update_inplace(changed)
    np.testing.assert_array_equal(value.numpy(), changed)


def test_shape_and_type() -> None:
    value = OrtValue.ortvalue_from_shape_and_type([2, 3], np.float32, "vulkan", 0)
    assert (value.device_name(), value.shape(), value.data_type()) == ("vulkan", [2, 3], "tensor(float)")
    np.testing.assert_array_equal(value.numpy(), np.zeros((2, 3), np.float32))
    empty = OrtValue.ortvalue_from_shape_and_type([0, 3], np.float32, "vulkan", 0)
    assert empty.numpy().shape == (0, 3)
    assert OrtValue.ortvalue_from_numpy(np.array(3, np.float32), "vulkan", 0).numpy() == 3


def test_values_copy_to_each_other() -> None:
    array = some(4, 5)
    source = OrtValue.ortvalue_from_numpy(array, "vulkan", 0)
    target = OrtValue.ortvalue_from_shape_and_type([4, 5], np.float32, "vulkan", 0)
    host = OrtValue.ortvalue_from_shape_and_type([4, 5], np.float32)
    fastort.copy_tensors([source, source], [target, host])
    np.testing.assert_array_equal(target.numpy(), array)
    np.testing.assert_array_equal(host.numpy(), array)
    target.update_inplace(OrtValue.ortvalue_from_numpy(2 * array))
    np.testing.assert_array_equal(target.numpy(), 2 * array)


@pytest.mark.parametrize("options", STAGED)
def test_chained_runs(options: dict[str, str]) -> None:
    session = session_of(step_model(), **options)
    x = some(3, 7)
    want = x
    for _ in range(4):
        (want,) = session.run(None, {"x": want})
    a = OrtValue.ortvalue_from_numpy(x, "vulkan", 0)
    b = OrtValue.ortvalue_from_shape_and_type([3, 7], np.float32, "vulkan", 0)
    binding = session.io_binding()
    for _ in range(4):
        binding.bind_ortvalue_input("x", a)
        binding.bind_ortvalue_output("y", b)
        session.run_with_iobinding(binding)
        assert binding.get_outputs()[0].data_ptr() == b.data_ptr()
        a, b = b, a
    np.testing.assert_array_equal(a.numpy(), want)
    np.testing.assert_array_equal(binding.copy_outputs_to_cpu()[0], want)


@pytest.mark.parametrize("options", STAGED)
def test_outputs_of_unknown_shape_stay_on_the_device(options: dict[str, str]) -> None:
    session = session_of(step_model(), **options)
    for rows in (3, 5, 3):
        binding = session.io_binding()
        binding.bind_cpu_input("x", some(rows, 7))
        binding.bind_output("y", "vulkan", 0)
        session.run_with_iobinding(binding)
        (first,) = binding.get_outputs()
        assert first.device_name() == "vulkan"
        assert first.shape() == [rows, 7]
        kept = first.numpy()
        np.testing.assert_array_equal(kept, session.run(None, {"x": some(rows, 7)})[0])
        binding.bind_ortvalue_input("x", first)
        session.run_with_iobinding(binding)
        (second,) = binding.get_outputs()
        assert second.data_ptr() != first.data_ptr()
        np.testing.assert_array_equal(first.numpy(), kept)
        np.testing.assert_array_equal(second.numpy(), session.run(None, {"x": kept})[0])


@pytest.mark.parametrize("options", STAGED)
def test_host_and_device_memory_take_turns(options: dict[str, str]) -> None:
    session = session_of(step_model(), **options)
    x = some(3, 7)
    (want,) = session.run(None, {"x": x})
    binding = session.io_binding()
    on_device = OrtValue.ortvalue_from_numpy(x, "vulkan", 0)
    for turn in range(8):
        binding.bind_ortvalue_input("x", on_device if turn & 1 else OrtValue.ortvalue_from_numpy(x))
        binding.bind_output("y", "vulkan" if turn & 2 else "cpu")
        session.run_with_iobinding(binding)
        assert binding.get_outputs()[0].device_name() == ("vulkan" if turn & 2 else "cpu")
        np.testing.assert_array_equal(binding.copy_outputs_to_cpu()[0], want)


def test_input_and_output_may_be_the_same_memory() -> None:
    session = session_of(step_model())
    x = some(3, 7)
    (want,) = session.run(None, {"x": x})
    value = OrtValue.ortvalue_from_numpy(x, "vulkan", 0)
    binding = session.io_binding()
    binding.bind_ortvalue_input("x", value)
    binding.bind_ortvalue_output("y", value)
    session.run_with_iobinding(binding)
    np.testing.assert_array_equal(value.numpy(), want)


@pytest.mark.parametrize("options", STAGED)
def test_memory_by_address(options: dict[str, str]) -> None:
    session = session_of(step_model(), **options)
    both = OrtValue.ortvalue_from_shape_and_type([6, 7], np.float32, "vulkan", 0)
    x = some(3, 7)
    both.update_inplace(np.concatenate([x, np.full((3, 7), 9, np.float32)]))
    binding = session.io_binding()
    binding.bind_input("x", "vulkan", 0, np.float32, [3, 7], both.data_ptr())
    # Neither aligned nor followed by memory of its own: exactly these bytes are written.
    binding.bind_output("y", "vulkan", 0, np.float32, [2, 7], both.data_ptr() + 4 * 7 * 3 + 4)
    with pytest.raises(RuntimeError, match="Got invalid dimensions for output"):
        session.run_with_iobinding(binding)
    binding.bind_input("x", "vulkan", 0, np.float32, [2, 7], both.data_ptr())
    session.run_with_iobinding(binding)
    flat = both.numpy().reshape(-1)
    np.testing.assert_array_equal(flat[: 3 * 7], x.reshape(-1))
    np.testing.assert_array_equal(flat[22 : 22 + 14], session.run(None, {"x": x[:2]})[0].reshape(-1))
    assert flat[21] == 9
    assert (flat[36:] == 9).all()


def test_an_address_of_nobody_is_refused() -> None:
    session = session_of(step_model())
    value = OrtValue.ortvalue_from_numpy(some(3, 7), "vulkan", 0)
    binding = session.io_binding()
    for address in (0, 64, value.data_ptr() + 300):
        with pytest.raises(_engine.InvalidArgument, match=r"84 bytes at the address .* of the device 'vulkan:0'"):
            binding.bind_input("x", "vulkan", 0, np.float32, [3, 7], address)


def test_sessions_share_values_which_outlive_them() -> None:
    first, second = session_of(step_model()), session_of(step_model(), cache_dir="off")
    x = some(3, 7)
    binding = first.io_binding()
    binding.bind_cpu_input("x", x)
    binding.bind_output("y", "vulkan")
    first.run_with_iobinding(binding)
    (value,) = binding.get_outputs()
    wanted = value.numpy()
    first.close()
    del first, binding
    gc.collect()
    np.testing.assert_array_equal(value.numpy(), wanted)
    (result,) = second.run_with_ort_values(None, {"x": value})
    np.testing.assert_array_equal(result.numpy(), second.run(None, {"x": wanted})[0])
    second.close()
    np.testing.assert_array_equal(value.numpy(), wanted)


def test_a_session_on_the_cpu_copies() -> None:
    session = fastort.InferenceSession(step_model(), providers=["CPUExecutionProvider"])
    x = some(3, 7)
    (want,) = session.run(None, {"x": x})
    value = OrtValue.ortvalue_from_numpy(x, "vulkan", 0)
    np.testing.assert_array_equal(session.run(None, {"x": value})[0], want)
    binding = session.io_binding()
    binding.bind_ortvalue_input("x", value)
    binding.bind_output("y", "vulkan", 0)
    session.run_with_iobinding(binding)
    assert binding.get_outputs()[0].device_name() == "vulkan"
    np.testing.assert_array_equal(binding.copy_outputs_to_cpu()[0], want)
    target = OrtValue.ortvalue_from_shape_and_type([3, 7], np.float32, "vulkan", 0)
    binding.bind_ortvalue_output("y", target)
    session.run_with_iobinding(binding)
    np.testing.assert_array_equal(target.numpy(), want)


def test_what_the_host_needs_is_copied() -> None:
    """A shape that the plan needs, a node that runs on the CPU, an output that is an input, a constant."""
    blob = model(
        helper.make_node("Reshape", ["x", "shape"], ["r"]),
        helper.make_node("Unique", ["x"], ["u"], sorted=1),
        helper.make_node("Neg", ["r"], ["y"]),
        helper.make_node("Identity", ["x"], ["same"]),
        helper.make_node("Identity", ["c"], ["constant"]),
        inputs={"x": (TensorProto.FLOAT, ["n", 6]), "shape": (TensorProto.INT64, [2])},
        outputs={
            "y": (TensorProto.FLOAT, ["a", "b"]),
            "u": (TensorProto.FLOAT, ["k"]),
            "same": (TensorProto.FLOAT, ["n", 6]),
            "constant": (TensorProto.FLOAT, [3]),
        },
        c=np.arange(3, dtype=np.float32),
    )
    session = fastort.InferenceSession(blob, providers=[(VULKAN, DEVICE)])
    x, shape = some(2, 6), np.array([3, 4], np.int64)
    binding = session.io_binding()
    binding.bind_ortvalue_input("x", OrtValue.ortvalue_from_numpy(x, "vulkan", 0))
    binding.bind_ortvalue_input("shape", OrtValue.ortvalue_from_numpy(shape, "vulkan", 0))
    for name in ("y", "u", "same", "constant"):
        binding.bind_output(name, "vulkan", 0)
    for _ in range(2):
        session.run_with_iobinding(binding)
        results = binding.get_outputs()
        assert [value.device_name() for value in results] == ["vulkan"] * 4
        y, u, same, constant = binding.copy_outputs_to_cpu()
        np.testing.assert_array_equal(y, -x.reshape(3, 4))
        np.testing.assert_array_equal(u, np.unique(x))
        np.testing.assert_array_equal(same, x)
        np.testing.assert_array_equal(constant, [0, 1, 2])
    on_cpu = OrtValue.ortvalue_from_shape_and_type([3], np.float32)
    binding.bind_ortvalue_output("constant", on_cpu)
    session.run_with_iobinding(binding)
    np.testing.assert_array_equal(on_cpu.numpy(), [0, 1, 2])


def test_bound_memory_of_the_wrong_shape_or_type() -> None:
    session = session_of(step_model())
    binding = session.io_binding()
    binding.bind_cpu_input("x", some(3, 7))
    for shape, dtype, text in (([3, 8], np.float32, "invalid dimensions"), ([3, 7], np.int32, "output data type")):
        binding.bind_ortvalue_output("y", OrtValue.ortvalue_from_shape_and_type(shape, dtype, "vulkan", 0))
        with pytest.raises(RuntimeError, match=text):
            session.run_with_iobinding(binding)


def test_refusals() -> None:
    with pytest.raises(RuntimeError, match="only 'cpu' and 'vulkan' are available"):
        OrtValue.ortvalue_from_numpy(some(2), "cuda", 0)
    with pytest.raises(RuntimeError, match="strings cannot lie on a device"):
        OrtValue.ortvalue_from_numpy(np.array(["a"], object), "vulkan", 0)
    with pytest.raises(_engine.Fail, match="another device_id is asked for"):
        OrtValue.ortvalue_from_numpy(some(2), "vulkan", 77)
    value = OrtValue.ortvalue_from_numpy(some(2), "vulkan", 0)
    assert value.__dlpack_device__() == (7, 0)
    with pytest.raises(BufferError, match=r"copy it with \.numpy\(\)"):
        value.__dlpack__()


def test_dlpack_copies_to_the_cpu_where_that_is_asked_for() -> None:
    array = some(4, 3)
    value = OrtValue.ortvalue_from_numpy(array, "vulkan", 0)
    copied = OrtValue.from_dlpack(value.__dlpack__(dl_device=(1, 0), max_version=(1, 0)))
    np.testing.assert_array_equal(copied.numpy(), array)


def test_names_of_the_device() -> None:
    device = fastort.OrtDevice.make("vulkan", 0)
    assert device.device_type() == fastort.OrtDevice.make("gpu", 0).device_type()
    assert OrtValue.ortvalue_from_numpy(some(2), "gpu", 0).device_name() == "vulkan"


@pytest.mark.parametrize("options", STAGED)
def test_memory_is_counted_and_given_back(options: dict[str, str]) -> None:
    gc.collect()
    before = _engine.device_memory()["allocations"]
    session = session_of(step_model(), **options)
    session.run(None, {"x": some(3, 7)})
    stats = session.memory_stats()
    assert stats["device_allocations"] > before
    assert stats["device_held_bytes"] >= stats["device_used_bytes"] > 0
    value = OrtValue.ortvalue_from_shape_and_type([1000, 1000], np.float32, "vulkan", 0)
    assert session.memory_stats()["device_used_bytes"] >= stats["device_used_bytes"] + 4_000_000
    session.close()
    del session
    gc.collect()
    assert _engine.device_memory()["allocations"] == before + 1
    del value
    assert _engine.device_memory()["allocations"] == before


LARGE = 1 << 19  # elements: what is smaller is copied faster than it is imported


def aligned(count: int, start: int) -> np.ndarray[Any, Any]:
    """Numbers that begin `start` bytes behind an address that all devices take."""
    whole = np.zeros(4 * count + 65536 + start, np.uint8)
    begin = -whole.ctypes.data % 65536 + start
    array = whole[begin : begin + 4 * count].view(np.float32)
    array[:] = np.random.default_rng(start).standard_normal(count)
    return array


def run_counted(session: fastort.InferenceSession, **feeds: Any) -> tuple[list[Any], int]:
    """The results, and how many bytes were copied between the host and the device."""
    before = _engine.device_memory()["copied_bytes"]
    results = session.run(None, feeds)
    return results, _engine.device_memory()["copied_bytes"] - before


def sum_model() -> bytes:
    return model(
        helper.make_node("Neg", ["x"], ["n"]),
        helper.make_node("ReduceSum", ["n"], ["y"], keepdims=0),
        inputs={"x": (TensorProto.FLOAT, ["n"])},
        outputs={"y": (TensorProto.FLOAT, [])},
    )


def reads_host_memory() -> bool:
    found = [device for device in _engine.vulkan_devices() if NAMED in device["name"]]
    reads = bool(found[0]["reads_host_memory"])
    assert reads or "llvmpipe" not in NAMED, "lavapipe imports memory of the host"
    return reads


@pytest.mark.parametrize("start", [0, 16, 4096 + 48])
def test_aligned_inputs_of_the_host_are_not_copied(start: int) -> None:
    session = session_of(sum_model())
    if not reads_host_memory():
        pytest.skip(f"'{NAMED}' has memory of its own, or its driver imports none")
    for array in (aligned(LARGE, start), aligned(LARGE + 3, start), aligned(LARGE, start)):
        for _ in range(2):
            want = -np.sum(array, dtype=np.float64)
            results, copied = run_counted(session, x=array)
            assert copied == 4
            np.testing.assert_allclose(results[0], want, rtol=1e-4, atol=0.05)
            array *= 2  # the next run sees what is there then


def test_other_inputs_of_the_host_are_copied() -> None:
    session = session_of(sum_model())
    staged = session_of(sum_model(), always_stage="1")
    small, odd = aligned(1000, 0), aligned(LARGE, 4)
    for _ in range(2):
        for used, array in ((session, small), (session, odd), (staged, aligned(LARGE, 0))):
            results, copied = run_counted(used, x=array)
            assert copied == array.nbytes + 4
            np.testing.assert_allclose(results[0], -np.sum(array, dtype=np.float64), rtol=1e-4, atol=0.05)


def test_an_input_may_be_written_by_an_output() -> None:
    """Both are memory of the host that a caller bound: the output is written before the last reader of the input."""
    blob = model(
        helper.make_node("Neg", ["x"], ["y"]),
        helper.make_node("Slice", ["y", "begin", "end"], ["s"]),
        helper.make_node("Reshape", ["s", "square"], ["m"]),
        helper.make_node("MaxRoiPool", ["m", "corners"], ["p"], pooled_shape=[1, 1]),  # has no shader
        helper.make_node("Reshape", ["p", "one"], ["d"]),
        helper.make_node("Add", ["x", "d"], ["z"]),
        inputs={"x": (TensorProto.FLOAT, ["n"])},
        outputs={"y": (TensorProto.FLOAT, ["n"]), "z": (TensorProto.FLOAT, ["n"])},
        begin=np.array([0]),
        end=np.array([4]),
        square=np.array([1, 1, 2, 2]),
        corners=np.array([[0, 0, 0, 1, 1]], np.float32),
        one=np.array([1]),
    )
    session = fastort.InferenceSession(blob, providers=[(VULKAN, DEVICE)])
    x = aligned(LARGE, 0)
    want = x + (-x[:4]).max()
    negative = -x
    binding = session.io_binding()
    binding.bind_input("x", "cpu", 0, np.float32, [LARGE], x.ctypes.data)
    binding.bind_output("y", "cpu", 0, np.float32, [LARGE], x.ctypes.data)
    binding.bind_output("z")
    session.run_with_iobinding(binding)
    np.testing.assert_allclose(binding.copy_outputs_to_cpu()[1], want, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(x, negative)


# ---- weights ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", STAGED)
def test_equal_weights_are_held_once(options: dict[str, str], tmp_path: Path) -> None:
    """Of one model loaded twice, from bytes and from a file, and of another model with the same numbers."""
    weight = some(512, 512)

    def blob(name: str, *nodes: onnx.NodeProto) -> bytes:
        return model(
            helper.make_node("MatMul", ["x", name], ["h"]),
            *nodes,
            inputs={"x": (TensorProto.FLOAT, ["n", 512])},
            outputs={"y": (TensorProto.FLOAT, ["n", 512])},
            **{name: weight},
        )

    gc.collect()
    before = _engine.device_memory()["allocations"]
    x = some(3, 512)
    first = session_of(blob("w", helper.make_node("Relu", ["h"], ["y"])), **options)
    want = first.run(None, {"x": x})[0]
    used = first.memory_stats()["device_used_bytes"]
    assert used >= weight.nbytes
    file = tmp_path / "model.onnx"
    file.write_bytes(blob("w", helper.make_node("Relu", ["h"], ["y"])))
    second = session_of(str(file), **options)
    third = session_of(
        blob("v", helper.make_node("Neg", ["h"], ["m"]), helper.make_node("Abs", ["m"], ["y"])), **options
    )
    np.testing.assert_array_equal(second.run(None, {"x": x})[0], want)
    np.testing.assert_allclose(third.run(None, {"x": x})[0], np.abs(x @ weight), rtol=1e-4, atol=1e-4)
    assert second.memory_stats()["device_used_bytes"] < used + weight.nbytes // 2
    first.close()
    np.testing.assert_array_equal(second.run(None, {"x": x})[0], want)
    second.close()
    assert third.memory_stats()["device_used_bytes"] >= weight.nbytes
    np.testing.assert_allclose(third.run(None, {"x": 2 * x})[0], np.abs(2 * x @ weight), rtol=1e-4, atol=1e-4)
    third.close()
    del first, second, third
    gc.collect()
    assert _engine.device_memory()["allocations"] == before


# ---- from one plan to the next ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", STAGED)
def test_a_value_stays_on_the_device_from_one_plan_to_the_next(options: dict[str, str]) -> None:
    """Where the run goes on only when it has seen a shape. One such value is read by the host, too."""
    blob = model(
        helper.make_node("MatMul", ["x", "x"], ["a"]),
        helper.make_node("Softmax", ["x"], ["e"]),
        helper.make_node("Softmax", ["a"], ["out"], axis=0),
        helper.make_node("NonZero", ["flags"], ["n"]),
        helper.make_node("Cast", ["n"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["f"], ["s"], keepdims=0),
        helper.make_node("Mul", ["a", "s"], ["y"]),
        helper.make_node("Add", ["out", "s"], ["z"]),
        helper.make_node("Unsqueeze", ["e", "outer"], ["m"]),
        helper.make_node("MaxRoiPool", ["m", "corners"], ["d"], pooled_shape=[1, 1]),  # has no shader
        inputs={"x": (TensorProto.FLOAT, ["n", "n"]), "flags": (TensorProto.FLOAT, ["k"])},
        outputs={
            "y": (TensorProto.FLOAT, ["n", "n"]),
            "z": (TensorProto.FLOAT, ["n", "n"]),
            "out": (TensorProto.FLOAT, ["n", "n"]),
            "d": (TensorProto.FLOAT, [1, 1, 1, 1]),
        },
        outer=np.array([0, 1]),
        corners=np.array([[0, 0, 0, 1, 1]], np.float32),
    )
    session = fastort.InferenceSession(blob, providers=[(VULKAN, {**DEVICE, **options})])

    def softmax(array: np.ndarray[Any, Any], axis: int) -> np.ndarray[Any, Any]:
        power = np.exp(array - array.max(axis, keepdims=True))
        return power / power.sum(axis, keepdims=True)

    for size, flags in ((7, [0, 1, 0, 1]), (50, [1, 1, 1]), (7, [0, 1, 0, 1]), (7, [0, 0])):
        x, f = some(size, size), np.array(flags, np.float32)
        results, copied = run_counted(session, x=x, flags=f)
        a, total = x @ x, np.float32(np.flatnonzero(f).sum())
        wanted = (
            a * total,
            softmax(a, 0) + total,
            softmax(a, 0),
            softmax(x, -1)[None, None, :2, :2].max((2, 3), keepdims=True),
        )
        for got, want in zip(results, wanted, strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-4)
        assert session.explain().count("plan of nodes") >= 2
        # x in; y, z, out and e (for the host) out; out in again, for it is the caller's. Of a nothing.
        assert copied <= 6 * x.nbytes + 1000, copied / x.nbytes


def test_memory_is_shared_by_file_descriptors() -> None:
    try:
        first = OrtValue.shared_from_shape_and_type([3, 7], np.float32)
    except _engine.EPFail as reason:
        # Any other failure is one.
        if "its driver shares no memory through file descriptors" not in str(reason):
            raise
        pytest.skip(str(reason))
    fd = first.share_fd()
    try:
        second = OrtValue.shared_from_shape_and_type([3, 7], np.float32, fd=fd)
    finally:
        os.close(fd)
    x = some(3, 7)
    first.update_inplace(x)
    np.testing.assert_array_equal(second.numpy(), x)
    session = session_of(step_model())
    binding = session.io_binding()
    binding.bind_ortvalue_input("x", second)
    binding.bind_ortvalue_output("y", first)
    session.run_with_iobinding(binding)
    (want,) = session.run(None, {"x": x})
    np.testing.assert_allclose(second.numpy(), want, rtol=1e-6)
    del first
    np.testing.assert_allclose(second.numpy(), want, rtol=1e-6)
    plain = OrtValue.ortvalue_from_numpy(x, "vulkan", 0)
    with pytest.raises(_engine.InvalidArgument, match="shared_from_shape_and_type"):
        plain.share_fd()
    with pytest.raises(_engine.InvalidArgument, match="is not open"):
        OrtValue.shared_from_shape_and_type([3], np.float32, fd=10_000)
