"""What holds on every device and in every mode: widths of subgroups, float16, silent validation layers, no growth."""

from __future__ import annotations

import gc
import os
import pickle
import re
import resource
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest

import fastort
from fastort import _engine
from tests.vulkan import DEVICE, needs_vulkan
from tests.vulkan import PROVIDER as VULKAN

from . import test_cases, test_vulkan
from .case import Case

IS_LAVAPIPE = "llvmpipe" in DEVICE
ROOT = Path(__file__).resolve().parents[2]

pytestmark = needs_vulkan

# Operators whose shaders go about things in different ways: rows across a group, tiles, windows, strides, chains.
SLICE = ("Softmax", "ReduceSum", "ReduceMax", "LayerNormalization", "MatMul", "Gemm", "Conv", "Transpose", "Attention",
         "GroupQueryAttention", "GlobalAveragePool", "MaxPool", "Gelu")  # fmt: skip


def cases_of(operators: Iterable[str], each: int) -> list[Case]:
    """The first float32 cases of each operator, spread over its table."""
    chosen: list[Case] = []
    for op in operators:
        rows = [
            row.values[0]
            for row in test_vulkan.rows()
            if row.values[0].op == op
            and row.id not in test_vulkan.gaps()
            and test_cases.as_array(row.values[0].inputs[0]).dtype == np.float32
        ]
        chosen += rows[:: max(1, len(rows) // each)][:each]
    return chosen


def model_of(case: Case) -> tuple[bytes, dict[str, Any]]:
    values, expected = test_cases.inputs_of(case), test_cases.expected_of(case)
    outputs = [
        onnx.helper.make_empty_tensor_value_info(f"y{i}") if value is None else test_cases.output_info(f"y{i}", value)
        for i, value in enumerate(expected)
    ]
    model = test_cases.one_node_model(case, values, "shapes", outputs).SerializeToString()
    return model, {f"x{i}": value for i, value in enumerate(values) if value is not None}


def run_elsewhere(
    cases: list[Case],
    options: list[dict[str, str]],
    environment: dict[str, str],
    folder: Path,
    python: Iterable[str] = (sys.executable,),
) -> tuple[list[Any], str]:
    """The results of each case with each of the options, and what the process printed."""
    work = [(*model_of(case), {**VULKAN[1], **extra}) for case in cases for extra in options]
    source, target = folder / "work", folder / "results"
    source.write_bytes(pickle.dumps(work))
    run = subprocess.run(
        [*python, str(Path(__file__).with_name("vulkan_child.py")), str(source), str(target)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    printed = run.stdout + run.stderr
    assert run.returncode == 0, printed[-4000:]
    return pickle.loads(target.read_bytes()), printed


def compare(case: Case, results: list[Any], what: str) -> None:
    for i, (actual, wanted) in enumerate(zip(results, test_cases.expected_of(case), strict=True)):
        if wanted is not None:
            test_cases.assert_close(actual, wanted, test_vulkan.close(case), f"{case.op} output {i}, {what}")


@pytest.mark.skipif(not IS_LAVAPIPE, reason="the width of subgroups can be chosen on lavapipe alone")
@pytest.mark.parametrize("width", [128, 512])  # subgroups of 4 and 16; 8 is what the other tests run with
def test_widths_of_subgroups(width: int, tmp_path: Path) -> None:
    cases = cases_of(SLICE, 2)
    environment = {"LP_NATIVE_VECTOR_WIDTH": str(width), "MESA_SHADER_CACHE_DISABLE": "1"}
    results, _ = run_elsewhere(cases, [{"cache_dir": "off"}], environment, tmp_path)
    for case, (outputs, explanation) in zip(cases, results, strict=True):
        assert "CPUExecutionProvider" not in explanation
        compare(case, outputs, f"subgroups of {width // 32}")


def has_validation_layer() -> bool:
    folders = ["/usr/share/vulkan/explicit_layer.d", "/etc/vulkan/explicit_layer.d"]
    folders += os.environ.get("VK_LAYER_PATH", "").split(os.pathsep)
    return any((Path(folder) / "VkLayer_khronos_validation.json").exists() for folder in folders if folder)


def validation_messages(printed: str) -> list[str]:
    return [line for line in printed.splitlines() if re.search(r"VUID|UNASSIGNED|Validation (Error|Warning)", line)]


@pytest.mark.skipif(not has_validation_layer(), reason="no validation layers (Debian: vulkan-validationlayers)")
def test_validation_layers_say_nothing(tmp_path: Path) -> None:
    cases = cases_of(SLICE, 1)
    modes = [{}, {"always_stage": "1"}, {"enable_fp16": "storage"}, {"kernels": "tiles+split2"},
             {"kernels": "rows+split2"}]  # fmt: skip
    environment = {"VK_INSTANCE_LAYERS": "VK_LAYER_KHRONOS_validation", "VK_LOADER_DEBUG": "layer"}
    results, printed = run_elsewhere(cases, modes, environment, tmp_path)
    assert re.search(r"VK_LAYER_KHRONOS_validation", printed), "the layer was not loaded"
    messages = validation_messages(printed)
    assert not messages, "\n".join(messages[:20])
    for number, (outputs, _) in enumerate(results):
        case, mode = cases[number // len(modes)], modes[number % len(modes)]
        if "enable_fp16" not in mode:
            compare(case, outputs, str(mode))


@pytest.mark.skipif(not has_validation_layer(), reason="no validation layers (Debian: vulkan-validationlayers)")
def test_validation_layers_say_nothing_of_any_operator(tmp_path: Path) -> None:
    rows: dict[str, list[Case]] = {}
    for row in test_vulkan.rows():
        if row.id not in test_vulkan.gaps():
            rows.setdefault(row.values[0].op, []).append(row.values[0])
    cases = [case for of_one in rows.values() for case in of_one[:: max(1, len(of_one) // 2)][:2]]
    environment = {"VK_INSTANCE_LAYERS": "VK_LAYER_KHRONOS_validation", "VK_LOADER_DEBUG": "layer"}
    _, printed = run_elsewhere(cases, [{}], environment, tmp_path)
    assert re.search(r"VK_LAYER_KHRONOS_validation", printed), "the layer was not loaded"
    messages = validation_messages(printed)
    assert not messages, "\n".join(messages[:20])


# ---- float16 ---------------------------------------------------------------------------------------------------------

# Numbers with 11 significant bits; a sum of them errs by the largest of its terms.
HALF_RTOL = 4e-3
HALF_ATOL = 4e-3
LARGEST_HALF = 6e4


def holds(array: Any) -> bool:
    """Whether float16 can hold the numbers."""
    if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
        return True
    finite = np.abs(array[np.isfinite(array)])
    return finite.size == 0 or bool(finite.max() <= LARGEST_HALF)


def half_bounds(case: Case, expected: list[Any]) -> Case:
    scale = 1.0
    for array in (*test_cases.inputs_of(case), *expected):
        if isinstance(array, np.ndarray) and array.dtype.kind == "f" and array.size:
            finite = np.abs(array.astype(np.float64)[np.isfinite(array.astype(np.float64))])
            scale = max(scale, float(finite.max()) if finite.size else 0.0)
    fields = {name: getattr(case, name) for name in Case.__dataclass_fields__}
    return Case(**{**fields, "rtol": HALF_RTOL, "atol": HALF_ATOL * scale})


def storage_rows() -> list[Any]:
    operators = ("Conv", "MatMul", "Gemm", "Softmax", "LogSoftmax", "ReduceMean", "ReduceL2", "LayerNormalization",
                 "InstanceNormalization", "BatchNormalization", "Add", "Mul", "Sigmoid", "Tanh", "Gelu", "MaxPool",
                 "AveragePool", "Concat", "Transpose", "Slice", "Where", "Gather", "Attention", "Clip")  # fmt: skip
    return [
        pytest.param(case, id=f"{case.op}-{case.id or number}") for number, case in enumerate(cases_of(operators, 3))
    ]


@pytest.mark.parametrize("mode", ["storage", "arithmetic"])
@pytest.mark.parametrize("case", storage_rows())
def test_float32_models_in_float16(case: Case, mode: str) -> None:
    expected = test_cases.expected_of(case)
    if not all(map(holds, (*test_cases.inputs_of(case), *expected))):
        pytest.skip("numbers that float16 does not hold")
    model, feeds = model_of(case)
    session = fastort.InferenceSession(model, providers=[(VULKAN[0], {**VULKAN[1], "enable_fp16": mode})])
    bounds = half_bounds(case, expected)
    for _ in range(2):
        for i, (actual, wanted) in enumerate(zip(session.run(None, feeds), expected, strict=True)):
            if wanted is not None:
                test_cases.assert_close(actual, wanted, bounds, f"{case.op} output {i}")
    assert "CPUExecutionProvider" not in session.explain()


@pytest.mark.parametrize("mode", ["storage", "arithmetic"])
@pytest.mark.parametrize("masked", ["", "added", "bytes", "causal"])
def test_attention_stays_in_float16(mode: str, masked: str) -> None:
    rng = np.random.default_rng(11)
    q, k, v = (rng.standard_normal((2, 3, rows, 16)).astype(np.float32) for rows in (17, 41, 41))
    seen = rng.random((17, 41)) < 0.7
    if masked == "causal":
        seen = np.tril(np.ones((17, 41), bool))
    bias = {"added": np.where(seen, 0.5, -1e4).astype(np.float32), "bytes": seen}.get(masked)
    scores = q @ k.swapaxes(2, 3) / 4 + (np.where(seen, 0.5 * (masked == "added"), -np.inf) if masked else 0)
    weights = np.exp(scores - scores.max(axis=3, keepdims=True))
    expected = weights / weights.sum(axis=3, keepdims=True) @ v
    inputs = [q, k, v] if bias is None else [q, k, v, bias]
    case = Case("Attention", inputs, {"is_causal": int(masked == "causal")}, expected=[expected.astype(np.float32)])
    model, feeds = model_of(case)
    session = fastort.InferenceSession(model, providers=[(VULKAN[0], {**VULKAN[1], "enable_fp16": mode})])
    (got,) = session.run(None, feeds)
    test_cases.assert_close(got, case.expected[0], half_bounds(case, case.expected), masked)
    if IS_LAVAPIPE:
        assert "shader attention, float16" in session.explain(), session.explain()


def tile_rows() -> list[Any]:
    cases = cases_of(("MatMul", "Gemm", "Conv", "Attention"), 6)
    return [pytest.param(case, id=f"{case.op}-{case.id or number}") for number, case in enumerate(cases)]


@pytest.mark.parametrize("mode", ["off", "storage", "arithmetic"])
@pytest.mark.parametrize("case", tile_rows())
def test_tiles_in_work_group_memory(case: Case, mode: str) -> None:
    """What real GPUs run, where lavapipe would take kernels that read through its caches."""
    expected = test_cases.expected_of(case)
    if mode != "off" and not all(map(holds, (*test_cases.inputs_of(case), *expected))):
        pytest.skip("numbers that float16 does not hold")
    model, feeds = model_of(case)
    provider = (VULKAN[0], {**VULKAN[1], "enable_fp16": mode, "tiles": "1"})
    results = fastort.InferenceSession(model, providers=[provider]).run(None, feeds)
    bounds = test_vulkan.close(case) if mode == "off" else half_bounds(case, expected)
    for i, (actual, wanted) in enumerate(zip(results, expected, strict=True)):
        if wanted is not None:
            test_cases.assert_close(actual, wanted, bounds, f"{case.op} output {i}")


# Ways to compute products and convolutions, of which the rule takes "direct" here; the sizes are those of tiles.
FORCED = ("direct", "tiles+large", "tiles+medium", "tiles+small", "winograd", "tiles+winograd")


def forced_rows() -> list[Any]:
    rows = []
    for op, each in (("Conv", 5), ("Gemm", 2), ("MatMul", 1)):
        quick = {id(case) for case in cases_of((op,), each)}
        for number, case in enumerate(cases_of((op,), 1000)):
            for kernels in FORCED if op == "Conv" else FORCED[:4]:
                marks = () if id(case) in quick and kernels != "direct" else (pytest.mark.full,)
                rows.append(pytest.param(case, kernels, id=f"{op}-{case.id or number}-{kernels}", marks=marks))
    return rows


def takes_winograd(case: Case) -> bool:
    fields = {"group": 1, "strides": [1, 1], "dilations": [1, 1]}
    plain = all(case.attributes.get(name, usual) in (usual, None) for name, usual in fields.items())
    crops = any(pad < 0 for pad in case.attributes.get("pads") or [])
    return plain and not crops and np.shape(case.inputs[1])[2:] == (3, 3)


@pytest.mark.parametrize(("case", "kernels"), forced_rows())
def test_forced_kernels(case: Case, kernels: str) -> None:
    values, expected = test_cases.inputs_of(case), test_cases.expected_of(case)
    outputs = [test_cases.helper.make_empty_tensor_value_info(f"y{i}") for i in range(len(expected))]
    # Weights that are known, which Winograd transforms.
    model = test_cases.one_node_model(case, values, "constants", outputs).SerializeToString()
    session = fastort.InferenceSession(model, providers=[(VULKAN[0], {**VULKAN[1], "kernels": kernels})])
    (actual,) = session.run(None, {"x0": values[0]})
    test_cases.assert_close(actual, expected[0], test_vulkan.close(case), f"{case.op} by {kernels}")
    explanation = session.explain()
    if "shader " not in explanation:  # computed while planning, or empty
        return
    assert ("winograd_input" in explanation) == ("winograd" in kernels and takes_winograd(case)), explanation
    if "direct" in kernels:
        assert "_tile" not in explanation
    elif "tiles" in kernels and case.op != "Conv":
        assert "gemm_tile" in explanation, explanation


def test_unknown_kernels_are_refused() -> None:
    with pytest.raises(_engine.InvalidArgument, match=r"out of direct, tiles, .* not 'fast'"):
        _engine.vulkan_refusal({**VULKAN[1], "kernels": "tiles+fast"})


def half_rows(dtype: Any) -> list[Any]:
    """The cases of float16 or bfloat16 numbers whose operators have shaders for float32."""
    rows, seen = [], set()
    for row in test_cases.tables():
        case = row.values[0]
        first = case.inputs[0] if case.inputs else None
        if first is None or isinstance(first, list) or test_cases.as_array(first).dtype != dtype:
            continue
        domain = "" if case.domain == "ai.onnx" else case.domain
        if "float" not in test_vulkan.gpu_types().get((domain, case.op), set()):
            continue
        rows.append(row if case.op not in seen else pytest.param(case, id=row.id, marks=pytest.mark.full))
        seen.add(case.op)
    return rows


@pytest.mark.parametrize("case", half_rows(np.float16))
def test_float16_models(case: Case) -> None:
    run_half(case, 2e-3)


@pytest.mark.parametrize("case", half_rows(ml_dtypes.bfloat16))
def test_bfloat16_models(case: Case) -> None:
    run_half(case, 2e-2)


def run_half(case: Case, error: float) -> None:
    model, feeds = model_of(case)
    expected = test_cases.expected_of(case)
    session = fastort.InferenceSession(model, providers=[VULKAN])
    results = session.run(None, feeds)
    fields = {name: getattr(case, name) for name in Case.__dataclass_fields__}
    exact = not (case.rtol or case.atol)
    bounds = Case(**{**fields, "rtol": max(case.rtol, error), "atol": max(case.atol, error)}) if not exact else case
    for i, (actual, wanted) in enumerate(zip(results, expected, strict=True)):
        if wanted is not None:
            test_cases.assert_close(actual, wanted, bounds, f"{case.op} output {i}")
    assert not re.search("no shader for b?float16", session.explain())


@pytest.mark.parametrize("zero", [None, np.int8(3), np.uint8(100)])
def test_float16_is_quantized_as_on_the_cpu(zero: Any) -> None:
    """The quotient is rounded to float16 first, which moves some of them to another whole number."""
    rng = np.random.default_rng(5)
    x = rng.uniform(-12, 12, 20011).astype(np.float16)
    scale = np.array(0.09, np.float16)
    kind = np.uint8 if zero is None else zero.dtype
    values: list[Any] = [x, scale] if zero is None else [x, scale, np.array(zero)]
    case = Case("QuantizeLinear", values, {})
    model = test_cases.one_node_model(case, values, "shapes", [test_cases.helper.make_empty_tensor_value_info("y0")])
    session = fastort.InferenceSession(model.SerializeToString(), providers=[VULKAN])
    (got,) = session.run(None, {f"x{i}": value for i, value in enumerate(values)})
    bounds = np.iinfo(kind)
    shift = 0 if zero is None else int(zero)
    want = np.clip(np.rint((x / scale).astype(np.float64)) + shift, bounds.min, bounds.max).astype(kind)
    np.testing.assert_array_equal(got, want)
    # In float32 the results would be others.
    in_float = np.clip(np.rint(x.astype(np.float32) / np.float32(scale)) + shift, bounds.min, bounds.max)
    assert (in_float != want).any()
    assert "CPUExecutionProvider" not in session.explain()


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(_engine.InvalidArgument, match="'off', 'storage' or 'arithmetic', not 'fast'"):
        _engine.vulkan_refusal({**VULKAN[1], "enable_fp16": "fast"})


# ---- memory ----------------------------------------------------------------------------------------------------------


def test_changing_shapes_do_not_grow() -> None:
    node = [onnx.helper.make_node("MatMul", ["x", "w"], ["h"]), onnx.helper.make_node("Softmax", ["h"], ["y"])]
    weight = onnx.numpy_helper.from_array(np.ones((16, 16), np.float32), "w")
    info = [onnx.helper.make_tensor_value_info(name, 1, ["n", 16]) for name in ("x", "y")]
    model = onnx.helper.make_model(
        onnx.helper.make_graph(node, "g", info[:1], info[1:], [weight]),
        opset_imports=[onnx.helper.make_opsetid("", 20)],
        ir_version=9,
    )
    gc.collect()
    before = _engine.device_memory()["allocations"]
    session = fastort.InferenceSession(model.SerializeToString(), providers=[VULKAN])

    def peak() -> int:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

    def runs(session: fastort.InferenceSession, count: int) -> None:
        for i in range(count):
            session.run(None, {"x": np.ones((1 + i * 7 % 61, 16), np.float32)})

    runs(session, 200)
    allocations, mebibytes = _engine.device_memory()["allocations"], peak()
    runs(session, 1000)
    assert _engine.device_memory()["allocations"] <= allocations + 2
    assert peak() - mebibytes < 8
    session.close()
    del session
    gc.collect()
    assert _engine.device_memory()["allocations"] == before
