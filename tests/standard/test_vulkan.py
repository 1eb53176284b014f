"""The standard's own suite on a Vulkan device, beside the CPU: the same cases pass, and most run wholly on the device.

`gaps_vulkan.txt` lists the cases of which something runs on the CPU, or of which nothing is left to run (a view, what
is computed beforehand). It only shrinks: a case whose nodes all run on the device must leave it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import fastort
import fastort.backend
from tests.vulkan import OPTIONS as DEVICE
from tests.vulkan import needs_vulkan

from . import random_cases, suite
from .gaps import GAPS as FAILURES

GAPS = Path(__file__).with_name("gaps_vulkan.txt")
# Cases that run with every node on the device.
LEAST = 1600
# Every so manieth case runs in the quick tier.
QUICK = 12

pytestmark = needs_vulkan


def gaps() -> set[str]:
    return {line for line in GAPS.read_text().splitlines() if line and not line.startswith("#")}


def names() -> list[str]:
    """The cases with data: those of the large models have none of their own, and random ones are the CPU's."""
    return [
        name
        for name, case in suite.all_cases().items()
        if name not in FAILURES and name not in random_cases.CHECKS and (case.model or case.model_dir)
    ]


def rows() -> list[Any]:
    return [
        pytest.param(name, id=name.removeprefix("test_"), marks=[] if i % QUICK == 0 else [pytest.mark.full])
        for i, name in enumerate(names())
    ]


def run(name: str, strict: bool) -> str:
    """Runs a case twice, compares, and returns the explanation of its session."""
    case = suite.all_cases()[name]
    model, sets = suite.load(case)
    provider = ("VulkanExecutionProvider", {**DEVICE, "strict_placement": "1" if strict else "0"})
    session = fastort.InferenceSession(model.SerializeToString(), providers=[provider, "CPUExecutionProvider"])
    prepared = fastort.backend.prepare(session)
    for inputs, expected in sets:
        for turn in range(2):  # the second one submits what the first one recorded
            results = prepared.run(inputs)
            assert len(results) == len(expected)
            for info, actual, wanted in zip(session.get_outputs(), results, expected, strict=True):
                suite.assert_similar(actual, wanted, case, f"output '{info.name}', run {turn}")
    return str(session.explain())


@pytest.mark.parametrize("name", rows())
def test_case(name: str) -> None:
    gap = name in gaps()
    explanation = run(name, strict=not gap)
    on_device = "CPUExecutionProvider" not in explanation and "VulkanExecutionProvider, shader" in explanation
    if gap:
        assert not on_device, f"{name} runs on the device now: take it off {GAPS.name}"
    else:
        assert on_device, f"{name} does not run on the device alone:\n{explanation}"


def test_most_of_the_suite_is_on_the_device(capsys: pytest.CaptureFixture[str]) -> None:
    known = set(names())
    assert gaps() <= known, f"not among the cases: {sorted(gaps() - known)}"
    # `test_case` sees to it that each of the others does.
    count = len(known - gaps())
    with capsys.disabled():
        print(f"\n{count} of {len(known)} cases of the standard's suite run wholly on {DEVICE['device_name']}")
    assert count >= LEAST
