"""Kernels of a Vulkan device that are chosen by measured times, which are kept for the next process."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import fastort
from fastort import _engine
from tests.api.test_kernel_choice import records_of, write_records
from tests.vulkan import PROVIDER as VULKAN
from tests.vulkan import needs_vulkan

from . import test_cases, test_vulkan, test_vulkan_device
from .case import Case
from .test_vulkan_products import conv, gemm

pytestmark = needs_vulkan

PRODUCT = gemm(65, 200, 130, (130,))


@dataclass
class Answer:
    shader: str
    note: str  # the measured times; empty where none are known
    result: np.ndarray


def read(explanation: str) -> tuple[str, str]:
    shader = explanation.split("VulkanExecutionProvider, ")[1].split("\n")[0]
    notes = [line.strip() for line in explanation.splitlines() if line.strip().startswith("measured:")]
    assert len(notes) < 2
    return shader, notes[0] if notes else ""


def answer(case: Case, folder: Path, deterministic: bool = False, **options: str) -> Answer:
    model, feeds = test_vulkan_device.model_of(case)
    settings = fastort.SessionOptions()
    settings.use_deterministic_compute = deterministic
    provider = (VULKAN[0], {**VULKAN[1], "cache_dir": str(folder), **options})
    with fastort.InferenceSession(model, settings, providers=[provider]) as session:
        (result,) = session.run(None, feeds)
        bounds = (
            test_vulkan_device.half_bounds(case, case.expected) if "enable_fp16" in options else test_vulkan.close(case)
        )
        test_cases.assert_close(result, case.expected[0], bounds, f"{case.op} with {options}")
        return Answer(*read(session.explain()), result)


def file_in(folder: Path) -> Path:
    (found,) = folder.glob("vulkan-*.records")
    return found


def ways(note: str) -> dict[str, float]:
    """The ways that were tried, with their times."""
    rows = [row.strip().rsplit(" ", 2) for row in note.removeprefix("measured:").split(",")]
    return {name: float(time) for name, time, _ in rows}


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Answer]:
    folder = tmp_path_factory.mktemp("measured")
    return folder, answer(PRODUCT, folder, tune="measure", tune_seconds="300")


def test_ways_are_measured_and_kept(measured: tuple[Path, Answer]) -> None:
    folder, first = measured
    tried = ways(first.note)
    assert {"by rule", "matrices+small", "matrices+small+split4"} <= set(tried), first.note
    assert all(time > 0 for time in tried.values())
    ((_, value),) = records_of(file_in(folder))
    way, note = value.split("\n", 1)
    assert note == first.note
    assert (way or "by rule") in tried
    # What the rule chooses stays unless another way is clearly faster.
    assert not way or tried[way] < tried["by rule"]


@pytest.mark.parametrize("tune", ["stored", "measure"])
def test_the_next_process_reads_and_times_nothing(tune: str, measured: tuple[Path, Answer], tmp_path: Path) -> None:
    folder, first = measured
    stamp = file_in(folder).stat().st_mtime_ns
    results, _ = test_vulkan_device.run_elsewhere([PRODUCT], [{"cache_dir": str(folder), "tune": tune}], {}, tmp_path)
    (((result,), explanation),) = results
    assert read(explanation) == (first.shader, first.note)
    np.testing.assert_array_equal(result, first.result)
    assert file_in(folder).stat().st_mtime_ns == stamp


def test_a_choice_on_disk_is_honoured(measured: tuple[Path, Answer], tmp_path: Path) -> None:
    file = file_in(measured[0])
    ((key, _),) = records_of(file)
    shaders = {"": None, "matrices+small": "gemm_tile", "matrices+small+split4": "gemm_tile + sum_parts"}
    for number, (way, shader) in enumerate(shaders.items()):
        write_records(tmp_path / str(number) / file.name, [(key, f"{way}\nmeasured: elsewhere")])
        found = answer(PRODUCT, tmp_path / str(number), tune="stored")
        assert found.note == "measured: elsewhere"
        assert shader is None or found.shader == f"shader {shader}"
    # A way that there is not, and a record without any, are as good as none.
    for number, value in enumerate(("fastest\nmeasured: elsewhere", "", "matrices+small")):
        write_records(tmp_path / f"bad{number}" / file.name, [(key, value)])
        assert answer(PRODUCT, tmp_path / f"bad{number}", tune="stored").note == ""


@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "foreign"])
def test_damaged_and_foreign_files_are_ignored(damage: str, measured: tuple[Path, Answer], tmp_path: Path) -> None:
    file = file_in(measured[0])
    data = bytearray(file.read_bytes())
    if damage == "cut":
        data = data[:-3]
    elif damage == "changed":
        data[-1] ^= 1
    elif damage == "empty":
        data = bytearray()
    name = file.name
    if damage == "foreign":  # of another device
        name = "vulkan-0123456789abcdef" + name[len("vulkan-0123456789abcdef") :]
    (tmp_path / name).write_bytes(data)
    assert answer(PRODUCT, tmp_path, tune="stored").note == ""


def test_a_damaged_file_is_replaced(measured: tuple[Path, Answer], tmp_path: Path) -> None:
    file = file_in(measured[0])
    (tmp_path / file.name).write_bytes(b"not a record")
    first = answer(PRODUCT, tmp_path, tune="measure", tune_seconds="300")
    ((key, value),) = records_of(tmp_path / file.name)
    assert value.split("\n", 1)[1] == first.note
    assert key == next(records_of(file))[0]


def test_nothing_is_measured_unasked(measured: tuple[Path, Answer], tmp_path: Path) -> None:
    assert answer(PRODUCT, tmp_path).note == ""
    assert answer(PRODUCT, tmp_path, tune="stored").note == ""
    assert answer(PRODUCT, tmp_path, tune="measure", tune_seconds="0").note == ""
    assert answer(PRODUCT, tmp_path, tune="measure", kernels="tiles").note == ""
    assert answer(PRODUCT, tmp_path, deterministic=True, tune="measure").note == ""
    assert answer(gemm(3, 5, 7), tmp_path, tune="measure").note == ""  # too small to matter
    assert not list(tmp_path.glob("*.records"))
    # What is known is left alone too where it is not asked for.
    shutil.copy(file_in(measured[0]), tmp_path)
    other = tmp_path / "other"
    shutil.copytree(measured[0], other)
    assert answer(PRODUCT, other, tune="off").note == ""
    if test_vulkan_device.IS_LAVAPIPE:
        assert answer(PRODUCT, other).note == ""


@pytest.mark.parametrize("mode", ["off", "storage"])
def test_convolutions(mode: str, tmp_path: Path) -> None:
    case = conv((1, 40, 9, 9), (24, 40, 3, 3), pads=[1, 1, 1, 1])
    values = test_cases.inputs_of(case)
    # Weights that are known, which Winograd transforms where they are float32.
    outputs = [test_cases.helper.make_empty_tensor_value_info("y0")]
    model = test_cases.one_node_model(case, values, "constants", outputs).SerializeToString()
    options = {"cache_dir": str(tmp_path), "tune": "measure", "tune_seconds": "300", "enable_fp16": mode}
    with fastort.InferenceSession(model, providers=[(VULKAN[0], {**VULKAN[1], **options})]) as session:
        (result,) = session.run(None, {"x0": values[0]})
        tried = ways(read(session.explain())[1])
    bounds = test_vulkan.close(case) if mode == "off" else test_vulkan_device.half_bounds(case, case.expected)
    test_cases.assert_close(result, case.expected[0], bounds, "Conv")
    assert {"by rule", "matrices+small", "matrices+medium"} <= set(tried)
    assert ("winograd" in tried) == (mode == "off")


def test_options_are_checked() -> None:
    for options, reason in (
        ({"tune": "fast"}, "tune is 'off', 'stored' or 'measure', not 'fast'"),
        ({"tune_seconds": "long"}, "'tune_seconds' is a number of seconds, not 'long'"),
        ({"tune_seconds": "-1"}, "'tune_seconds' is a number of seconds"),
    ):
        with pytest.raises(_engine.InvalidArgument, match=reason):
            _engine.vulkan_refusal({**VULKAN[1], **options})


@pytest.mark.skipif(not test_vulkan_device.has_validation_layer(), reason="no validation layers")
def test_validation_layers_say_nothing(tmp_path: Path) -> None:
    environment = {"VK_INSTANCE_LAYERS": "VK_LAYER_KHRONOS_validation", "VK_LOADER_DEBUG": "layer"}
    options = {"tune": "measure", "tune_seconds": "300", "cache_dir": "off"}
    results, printed = test_vulkan_device.run_elsewhere([PRODUCT], [options], environment, tmp_path)
    assert "VK_LAYER_KHRONOS_validation" in printed, "the layer was not loaded"
    assert "matrices+small+split4" in results[0][1]
    messages = test_vulkan_device.validation_messages(printed)
    assert not messages, "\n".join(messages[:20])
