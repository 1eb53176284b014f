"""Cooperative matrices, on the lavapipe that tools/lavapipe_matrices.sh unpacks into a private root.

Python runs through that root's own `ld.so`, since its libraries want a newer C library than the machine's.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from . import test_cases, test_vulkan_device
from .case import Case

TREE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fastort" / "lavapipe-matrices"

pytestmark = pytest.mark.skipif(
    not (TREE / ".done").exists(), reason=f"no lavapipe with cooperative matrices in {TREE}: tools/lavapipe_matrices.sh"
)

LAUNCHER = [str(TREE / "usr/lib64/ld-linux-x86-64.so.2"), "--library-path", str(TREE / "libraries"), sys.executable]
ENVIRONMENT = {
    "VK_DRIVER_FILES": str(TREE / "usr/share/vulkan/icd.d/lvp_icd.json"),
    "VK_ADD_LAYER_PATH": str(TREE / "usr/share/vulkan/explicit_layer.d"),
    "LP_NATIVE_VECTOR_WIDTH": "256",
}
MATRICES = {"enable_fp16": "storage", "kernels": "matrices", "cache_dir": "off"}


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def product(a: np.ndarray, b: np.ndarray, **attributes: Any) -> Case:
    """A product whose factors lie as the attributes say."""
    y = (a.T if attributes.get("transA") else a) @ (b.T if attributes.get("transB") else b)
    return Case("Gemm" if attributes else "MatMul", [a, b], attributes, expected=[y])


# Tiles that are full, that end within, and that hold less than one matrix; lines of 8, and of other numbers.
PRODUCTS = [
    product(random(64, 64), random(64, 64)),
    product(random(72, 40), random(40, 136)),
    product(random(67, 33), random(33, 61)),
    product(random(3, 5), random(5, 7)),
    product(random(2, 3, 41, 24), random(3, 24, 16)),
    product(random(40, 72), random(40, 64), transA=1),
    product(random(72, 40), random(64, 40), transB=1),
    product(random(37, 19), random(23, 37), transA=1, transB=1),
]


def cases(full: bool) -> list[Case]:
    if full:
        return PRODUCTS + test_vulkan_device.cases_of(("MatMul", "Gemm", "Conv"), 100)
    return PRODUCTS + test_vulkan_device.cases_of(("MatMul", "Gemm"), 1) + test_vulkan_device.cases_of(("Conv",), 5)


def matrix_shader(explanation: str, second: bool) -> bool:
    """Whether the cooperative kernel served, by NVIDIA's second version of the extension where that is asked for."""
    return re.search(rf"(gemm|conv)_matrix{'2' * second}( \+ sum_parts)?, float16", explanation) is not None


def takes_matrices(case: Case) -> bool:
    """Whether a cooperative kernel serves the case: all products, and convolutions of one group over maps."""
    if case.op != "Conv":
        return True
    crops = any(pad < 0 for pad in case.attributes.get("pads", []))
    return case.attributes.get("group", 1) == 1 and np.ndim(case.inputs[1]) < 5 and not crops


@pytest.mark.parametrize(
    ("size", "full"),
    [
        ("medium", False),
        ("khr+medium", False),
        *(pytest.param(size, True, marks=pytest.mark.full) for size in ("large", "medium", "small", "khr+medium")),
    ],
)
def test_products_and_convolutions(size: str, full: bool, tmp_path: Path) -> None:
    chosen = [
        case
        for case in cases(full)
        if all(map(test_vulkan_device.holds, (*test_cases.inputs_of(case), *test_cases.expected_of(case))))
    ]
    options = [{**MATRICES, "kernels": f"matrices+{size}"}]
    results, _ = test_vulkan_device.run_elsewhere(chosen, options, ENVIRONMENT, tmp_path, LAUNCHER)
    by_matrices = 0
    for case, (outputs, explanation) in zip(chosen, results, strict=True):
        what = f"{case.op} {case.id} of {[np.shape(value) for value in case.inputs]}"
        assert "CPUExecutionProvider" not in explanation, explanation
        if all(np.size(value) for value in case.inputs[:2]):  # without elements there is nothing to multiply
            assert matrix_shader(explanation, "khr" not in size) == takes_matrices(case), f"{what}:\n{explanation}"
        by_matrices += takes_matrices(case)
        bounds = test_vulkan_device.half_bounds(case, test_cases.expected_of(case))
        for actual, wanted in zip(outputs, test_cases.expected_of(case), strict=True):
            test_cases.assert_close(actual, wanted, bounds, what)
    assert by_matrices > len(chosen) / 2


def test_the_rule_takes_them_for_float16_alone(tmp_path: Path) -> None:
    options = [{**MATRICES, "enable_fp16": "off"}, {**MATRICES, "kernels": "tiles"}, {**MATRICES, "kernels": ""}]
    results, _ = test_vulkan_device.run_elsewhere(PRODUCTS[:1], options, ENVIRONMENT, tmp_path, LAUNCHER)
    shaders = [explanation.split("VulkanExecutionProvider, ")[1].split("\n")[0] for _, explanation in results]
    assert [shader.split("  ")[0] for shader in shaders] == [
        "shader gemm_tile",
        "shader gemm_tile, float16",
        "shader gemm.narrow, float16",
    ]


def test_attention_multiplies_by_them(tmp_path: Path) -> None:
    q, k, v = random(2, 3, 17, 24), random(2, 3, 40, 24), random(2, 3, 40, 16)
    scores = np.exp(q @ k.swapaxes(2, 3) / np.float32(24**0.5))
    case = Case("Attention", [q, k, v], expected=[scores / scores.sum(axis=3, keepdims=True) @ v])
    results, _ = test_vulkan_device.run_elsewhere([case], [MATRICES], ENVIRONMENT, tmp_path, LAUNCHER)
    ((got,), explanation) = results[0]
    assert "shader gemm_matrix2 + attention_softmax, float16" in explanation, explanation
    test_cases.assert_close(got, case.expected[0], test_vulkan_device.half_bounds(case, case.expected), "Attention")


def test_attention_of_the_case_table(tmp_path: Path) -> None:
    """Masks, causality, a past, grouped heads, scores that the caller gets."""
    chosen = [
        case
        for case in test_vulkan_device.cases_of(("Attention", "MultiHeadAttention"), 12)
        if all(map(test_vulkan_device.holds, (*test_cases.inputs_of(case), *test_cases.expected_of(case))))
    ]
    results, _ = test_vulkan_device.run_elsewhere(chosen, [MATRICES], ENVIRONMENT, tmp_path, LAUNCHER)
    by_matrices = many = 0
    for case, (outputs, explanation) in zip(chosen, results, strict=True):
        shape = test_cases.as_array(case.inputs[0]).shape
        many += (
            shape[2 if case.op == "Attention" and len(shape) == 4 else 1] > 4
        )  # one group of the other kernel makes four
        by_matrices += "gemm_matrix" in explanation and "attention_softmax" in explanation
        bounds = test_vulkan_device.half_bounds(case, test_cases.expected_of(case))
        for actual, wanted in zip(outputs, test_cases.expected_of(case), strict=True):
            if wanted is not None:
                test_cases.assert_close(actual, wanted, bounds, f"{case.op} {case.id}:\n{explanation}")
    assert len(chosen) > many > len(chosen) / 3
    assert by_matrices > many / 2


def test_validation_layers_say_nothing(tmp_path: Path) -> None:
    chosen = [*PRODUCTS[:3], *test_vulkan_device.cases_of(("Conv", "Attention"), 2)]
    environment = {**ENVIRONMENT, "VK_INSTANCE_LAYERS": "VK_LAYER_KHRONOS_validation", "VK_LOADER_DEBUG": "layer"}
    modes = [MATRICES, {**MATRICES, "kernels": "matrices+khr"}]
    _, printed = test_vulkan_device.run_elsewhere(chosen, modes, environment, tmp_path, LAUNCHER)
    assert "VK_LAYER_KHRONOS_validation" in printed, "the layer was not loaded"
    messages = test_vulkan_device.validation_messages(printed)
    assert not messages, "\n".join(messages[:20])
