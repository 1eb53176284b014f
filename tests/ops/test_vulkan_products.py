"""Products of few rows, and products and convolutions whose K is cut into parts."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import fastort
from tests.vulkan import PROVIDER as VULKAN
from tests.vulkan import needs_vulkan

from . import test_cases, test_vulkan, test_vulkan_device, test_vulkan_matrices
from .case import Case

pytestmark = needs_vulkan


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def rounding(steps: int) -> float:
    """What adding up so many products of ordinary numbers in float32 may cost."""
    return max(1e-5, 1e-7 * steps)


def gemm(m: int, k: int, n: int, bias: tuple[int, ...] = (), **attributes: Any) -> Case:
    a = random(*((k, m) if attributes.get("transA") else (m, k)))
    b = random(*((n, k) if attributes.get("transB") else (k, n)))
    y = np.float32(attributes.get("alpha", 1)) * (
        (a.T if attributes.get("transA") else a).astype(np.float64) @ (b.T if attributes.get("transB") else b)
    )
    inputs = [a, b]
    if bias:
        inputs.append(random(*bias))
        y = y + np.float32(attributes.get("beta", 1)) * inputs[2]
    return Case("Gemm", inputs, attributes, expected=[y.astype(np.float32)], atol=rounding(k))


def matmul(a: tuple[int, ...], b: tuple[int, ...]) -> Case:
    x, y = random(*a), random(*b)
    expected = (x.astype(np.float64) @ y).astype(np.float32)
    return Case("MatMul", [x, y], expected=[expected], atol=rounding(a[-1]))


# Columns that fill groups and that do not, lines of 8 and of other numbers, both orders of both factors.
FEW_ROWS = [
    gemm(1, 256, 512),
    gemm(1, 203, 97, (97,)),
    gemm(2, 64, 1000, (1000,), transB=1),
    gemm(3, 129, 33, (3, 33), transB=1, alpha=0.5, beta=2.0),
    gemm(4, 1000, 40, (4, 1), transA=1),
    gemm(4, 77, 61, (1,), transA=1, transB=1),
    gemm(64, 333, 1, (1,)),
    gemm(131, 72, 2, (2,), transB=1),
    gemm(97, 40, 3, (97, 1), transA=1),
    gemm(1, 5, 7),
    gemm(1, 1, 300),
    gemm(2, 4099, 3),
    matmul((5, 2, 96), (5, 96, 88)),
    matmul((2, 3, 1, 41), (3, 41, 7)),
    matmul((300,), (300, 50)),
    matmul((50, 300), (300,)),
]


def conv(x: tuple[int, ...], w: tuple[int, ...], **attributes: Any) -> Case:
    import torch

    inputs = [random(*x), random(*w), random(w[0])]
    y = torch.nn.functional.conv2d(
        *(torch.from_numpy(value) for value in inputs), padding=attributes.get("pads", [0])[0]
    )
    return Case("Conv", inputs, attributes, expected=[y.numpy()], atol=rounding(int(np.prod(w[1:]))))


LONG = [
    gemm(37, 1031, 45, (45,)),
    gemm(64, 512, 64, (64, 1), transA=1, alpha=0.25),
    matmul((3, 20, 700), (3, 700, 24)),
]
LONG_CONVOLUTIONS = [((2, 67, 5, 7), (19, 67, 3, 3), {"pads": [1, 1, 1, 1]}), ((1, 256, 4, 4), (24, 256, 1, 1), {})]


def check(case: Case, options: dict[str, str], shader: str) -> None:
    model, feeds = test_vulkan_device.model_of(case)
    half = "enable_fp16" in options
    session = fastort.InferenceSession(model, providers=[(VULKAN[0], {**VULKAN[1], **options})])
    bounds = test_vulkan_device.half_bounds(case, case.expected) if half else test_vulkan.close(case)
    for run in range(2):
        (got,) = session.run(None, feeds)
        test_cases.assert_close(got, case.expected[0], bounds, f"{case.op}, run {run}")
    assert re.search(shader, session.explain()), session.explain()


MODES = {"float32": {}, "storage": {"enable_fp16": "storage"}, "arithmetic": {"enable_fp16": "arithmetic"}}


def spread(modes: Iterable[str], count: int) -> list[Any]:
    """Each mode with each number; the quick tests take float32 and a few of the others."""
    rows = [(mode, number) for mode in modes for number in range(count)]
    quick = [mode == "float32" or number % 7 == 2 for mode, number in rows]
    return [
        row if taken else pytest.param(*row, marks=pytest.mark.full) for row, taken in zip(rows, quick, strict=True)
    ]


@pytest.mark.parametrize(("mode", "number"), spread(MODES, len(FEW_ROWS)))
def test_few_rows(number: int, mode: str) -> None:
    check(FEW_ROWS[number], {**MODES[mode], "kernels": "rows"}, r"gemm_rows\.(dots|lines)")


@pytest.mark.parametrize("mode", ["float32", pytest.param("storage", marks=pytest.mark.full)])
@pytest.mark.parametrize("number", [0, 1, 3, 4, 12])  # those with more than 64 steps
def test_few_rows_in_parts(number: int, mode: str) -> None:
    check(FEW_ROWS[number], {**MODES[mode], "kernels": "rows+split3"}, r"gemm_rows\.\w+ \+ sum_parts")


@pytest.mark.parametrize(("mode", "number"), spread(MODES, len(LONG)))
@pytest.mark.parametrize(
    "kernels",
    [
        "tiles+small+split2",
        *(pytest.param(f"tiles+{rest}", marks=pytest.mark.full) for rest in ("medium+split5", "large+split99")),
    ],
)
def test_tiles_in_parts(number: int, kernels: str, mode: str) -> None:
    check(LONG[number], {**MODES[mode], "kernels": kernels}, r"gemm_tile \+ sum_parts")


@pytest.mark.parametrize("kernels", ["tiles+small+split2", pytest.param("tiles+medium+split7", marks=pytest.mark.full)])
@pytest.mark.parametrize(("mode", "number"), spread(MODES, len(LONG_CONVOLUTIONS)))
def test_convolutions_in_parts(number: int, kernels: str, mode: str) -> None:
    x, w, attributes = LONG_CONVOLUTIONS[number]
    check(conv(x, w, **attributes), {**MODES[mode], "kernels": kernels}, r"(conv|gemm)_tile \+ sum_parts")


@pytest.mark.parametrize("batch", [1, 3, 9])
def test_convolutions_of_single_pixels(batch: int) -> None:
    """As squeeze-and-excitation has them: products of the batch with the weights."""
    for kernels in ("", "tiles"):
        check(conv((batch, 72, 1, 1), (24, 72, 1, 1)), {"kernels": kernels}, "shader gemm")


def test_what_follows_a_product_in_parts() -> None:
    """An addend, a residual and an activation come once, behind the sum of the parts."""
    x, w, bias, other = random(2, 600), random(600, 24), random(24), random(2, 24)
    node = onnx.helper.make_node
    nodes = [
        node("Gemm", ["x", "w", "b"], ["h"]),
        node("Add", ["h", "r"], ["s"]),
        node("Relu", ["s"], ["y"]),
    ]
    graph = onnx.helper.make_graph(
        nodes,
        "g",
        [onnx.helper.make_tensor_value_info(name, 1, list(v.shape)) for name, v in (("x", x), ("r", other))],
        [onnx.helper.make_tensor_value_info("y", 1, [2, 24])],
        [onnx.numpy_helper.from_array(w, "w"), onnx.numpy_helper.from_array(bias, "b")],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=9)
    expected = np.maximum(x @ w + bias + other, 0)
    for kernels in ("rows", "rows+split4", "tiles+split3"):
        options = {**VULKAN[1], "kernels": kernels}
        session = fastort.InferenceSession(model.SerializeToString(), providers=[(VULKAN[0], options)])
        results = [session.run(None, {"x": x, "r": other})[0] for _ in range(2)]
        np.testing.assert_allclose(results[0], expected, rtol=1e-4, atol=1e-4)
        # Parts are added up in one order, whichever group is done first.
        np.testing.assert_array_equal(results[0], results[1])
        assert "CPUExecutionProvider" not in session.explain()


@pytest.mark.skipif(not test_vulkan_device.IS_LAVAPIPE, reason="the width of subgroups can be chosen on lavapipe alone")
@pytest.mark.parametrize("width", [4, 16])  # 8 is what the other tests run with
def test_widths_of_subgroups(width: int, tmp_path: Path) -> None:
    modes: list[dict[str, str]] = [
        {"kernels": "rows"},
        {"kernels": "rows+split2", "enable_fp16": "storage"},
        *({"kernels": f"tiles+{size}"} for size in ("large", "medium", "small")),
        {"kernels": "tiles+small+split2", "enable_fp16": "storage"},
    ]
    cases = [*FEW_ROWS[1:4], LONG[0], conv(*LONG_CONVOLUTIONS[0][:2], **LONG_CONVOLUTIONS[0][2])]
    environment = {"LP_NATIVE_VECTOR_WIDTH": str(32 * width), "MESA_SHADER_CACHE_DISABLE": "1"}
    results, _ = test_vulkan_device.run_elsewhere(
        cases, [{**mode, "cache_dir": "off"} for mode in modes], environment, tmp_path
    )
    for number, ((got,), explanation) in enumerate(results):
        case, mode = cases[number // len(modes)], modes[number % len(modes)]
        bounds = test_vulkan_device.half_bounds(case, case.expected) if len(mode) > 1 else test_vulkan.close(case)
        test_cases.assert_close(
            got, case.expected[0], bounds, f"{case.op} {mode}, subgroups of {width}:\n{explanation}"
        )


@test_vulkan_matrices.pytestmark
def test_cooperative_matrices_in_parts(tmp_path: Path) -> None:
    cases = [*LONG, conv(*LONG_CONVOLUTIONS[0][:2], **LONG_CONVOLUTIONS[0][2])]
    options = [
        {**test_vulkan_matrices.MATRICES, "kernels": f"matrices+{words}+split3"} for words in ("medium", "khr+small")
    ]
    results, _ = test_vulkan_device.run_elsewhere(
        cases, options, test_vulkan_matrices.ENVIRONMENT, tmp_path, test_vulkan_matrices.LAUNCHER
    )
    for number, ((got,), explanation) in enumerate(results):
        case = cases[number // len(options)]
        assert re.search(r"(conv|gemm)_matrix2? \+ sum_parts, float16", explanation), explanation
        test_cases.assert_close(got, case.expected[0], test_vulkan_device.half_bounds(case, case.expected), case.op)
