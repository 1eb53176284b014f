"""Models wholly on a Vulkan device, against PyTorch's stored outputs."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import fastort
from tests.models import export
from tests.vulkan import OPTIONS as DEVICE
from tests.vulkan import needs_vulkan

pytestmark = needs_vulkan

RTOL = 1e-3
ATOL = 1e-3
QUICK = ("mobilenet_v3_large", "crnn")
MODELS = (*QUICK, "resnet50", "efficientnet_b0", "vit_b_16", "swin_t", "bert_3")


def rows() -> list[object]:
    return [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.full]) for name in MODELS]


@pytest.mark.parametrize("name", rows())
def test_runs_on_the_device_alone(name: str) -> None:
    # A node that fell back to the CPU would be an error, unless shapes depend on its result.
    provider = ("VulkanExecutionProvider", {**DEVICE, "strict_placement": "1"})
    session = fastort.InferenceSession(export.path_of(name), providers=[provider])
    for batch in (1, 2):
        feeds, want = export.sample_of(name, batch)
        names = {arg.name for arg in session.get_inputs()}
        (got,) = session.run(None, {key: array for key, array in feeds.items() if key in names})
        np.testing.assert_allclose(got, want, rtol=RTOL, atol=ATOL, err_msg=f"batch {batch}")
    lines = session.explain().splitlines()
    # What the CPU runs makes shapes; the line behind its node says so.
    for line, reason in itertools.pairwise(lines):
        if "CPUExecutionProvider" in line:
            assert "shapes depend on its result" in reason, f"{line}\n{reason}"
    assert any("VulkanExecutionProvider, shader" in line for line in lines)


# float16 has 11 significant bits, and some fifty layers round.
HALF_OF_LARGEST = 0.02


def test_a_float32_model_in_float16() -> None:
    provider = ("VulkanExecutionProvider", {**DEVICE, "strict_placement": "1", "enable_fp16": "storage"})
    session = fastort.InferenceSession(export.path_of("mobilenet_v3_large"), providers=[provider])
    feeds, want = export.sample_of("mobilenet_v3_large", 1)
    (got,) = session.run(None, feeds)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, want, rtol=0, atol=HALF_OF_LARGEST * np.abs(want).max())
    explanation = session.explain()
    assert explanation.count(", float16") == explanation.count("VulkanExecutionProvider, ")
