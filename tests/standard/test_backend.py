"""The standard's own suite, onnx.backend.test, in four configurations of the engine."""

from __future__ import annotations

import re
import unittest
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import onnx.backend.test
import pytest
from onnx.backend.test.case.test_case import TestCase

import fastort
import fastort.backend

from . import random_cases, suite
from .gaps import GAPS

# How often a random operator is run.
DRAWS = 400


def plain_options() -> fastort.SessionOptions:
    return fastort.SessionOptions()


def no_passes() -> fastort.SessionOptions:
    options = fastort.SessionOptions()
    options.graph_optimization_level = fastort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return options


def plain_layouts() -> fastort.SessionOptions:
    options = fastort.SessionOptions()
    options.add_session_config_entry("fastort.allow_blocked_layouts", "0")
    return options


# `dynamic`: initializers are inputs, and no size is known before the run.
CONFIGURATIONS: dict[str, Callable[[], fastort.SessionOptions]] = {
    "passes": plain_options,
    "no_passes": no_passes,
    "plain_layouts": plain_layouts,
    "dynamic": plain_options,
}


def rows() -> Iterator[Any]:
    for name in suite.all_cases():
        for configuration in CONFIGURATIONS:
            yield pytest.param(name, configuration, id=f"{name.removeprefix('test_')}-{configuration}")


def prepare(name: str, configuration: str) -> tuple[TestCase, Any, list[suite.DataSet], fastort.InferenceSession]:
    case = suite.all_cases()[name]
    model, sets = suite.load(case)
    if configuration == "dynamic":
        model, sets = suite.without_shapes(model, sets)
    assert fastort.backend.is_compatible(model)
    session = fastort.InferenceSession(model.SerializeToString(), CONFIGURATIONS[configuration]())
    if configuration == "dynamic":
        assert session.get_overridable_initializers() == []
        assert not [arg for arg in session.get_inputs() if any(isinstance(size, int) for size in arg.shape)]
    return case, fastort.backend.prepare(session), sets, session


@pytest.mark.parametrize(("name", "configuration"), list(rows()))
def test_case(name: str, configuration: str) -> None:
    if name in GAPS:
        pytest.skip(f"a gap: {GAPS[name].reason}")
    case, prepared, sets, session = prepare(name, configuration)
    for inputs, expected in sets:
        if name in random_cases.CHECKS:
            draws = [prepared.run(inputs) for _ in range(DRAWS)]
            given = list(inputs.values()) if isinstance(inputs, dict) else inputs
            random_cases.CHECKS[name](given, draws, expected)
            continue
        for run in range(2):  # the second one goes by the plan of the first
            results = prepared.run(inputs)
            assert len(results) == len(expected)
            for info, actual, wanted in zip(session.get_outputs(), results, expected, strict=True):
                suite.assert_similar(actual, wanted, case, f"output '{info.name}', run {run}")


def test_the_suite_is_whole() -> None:
    assert len(suite.all_cases()) == 2033
    assert set(random_cases.CHECKS) | set(GAPS) <= set(suite.all_cases())
    assert len(GAPS) <= 5


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
@pytest.mark.parametrize("name", GAPS)
def test_gaps_are_nearer_to_the_truth(name: str, configuration: str) -> None:
    _, prepared, [(inputs, expected)], _ = prepare(name, configuration)
    (actual,) = prepared.run(inputs)
    given = inputs.values() if isinstance(inputs, dict) else inputs
    exact = GAPS[name].exact(*[value.astype(np.float64) for value in given])
    error = np.abs(actual - exact).max()
    assert error <= np.abs(expected[0] - exact).max()
    np.testing.assert_allclose(actual, exact, rtol=2e-3, atol=1e-7)


# What a case of a function's body must not fall back to: the operator itself.
EXPANDED = re.compile(r"(?P<plain>.*)_expanded(_ver\d+)?$")


def expanded_cases() -> Iterator[Any]:
    for name in suite.all_cases():
        if match := EXPANDED.match(name):
            yield pytest.param(name, match["plain"], id=name.removeprefix("test_"))


@pytest.mark.parametrize(("name", "plain"), list(expanded_cases()))
def test_expanded_cases_run_the_body(name: str, plain: str) -> None:
    """No operator of the graph as it runs without passes is the one whose body the case holds."""
    model, _ = suite.load(suite.all_cases()[plain])
    (node,) = model.graph.node
    session = prepare(name, "no_passes")[3]
    operators = set(re.findall(r" = ([\w.:]+)\(", session.print_graph()))
    assert operators
    assert (f"{node.domain}::" if node.domain else "") + node.op_type not in operators


def test_the_suites_own_runner() -> None:
    """One case in twenty through onnx.backend.test.BackendTest, as any engine's backend is tested."""
    runner = onnx.backend.test.BackendTest(fastort.backend, __name__)
    for name in sorted(suite.all_cases())[::20]:
        if name not in GAPS and name not in random_cases.CHECKS:
            runner.include(f"^{name}_cpu$")
    result = unittest.TestResult()
    runner.test_suite.run(result)
    assert result.errors == []
    assert result.failures == []
    ran = result.testsRun - len(result.skipped)
    assert ran >= 95
