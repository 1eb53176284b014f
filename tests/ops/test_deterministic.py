"""`use_deterministic_compute`: every row of the tables gives the same bits for any number of threads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import helper

import fastort

from .case import Case
from .test_cases import expected_of, inputs_of, one_node_model, output_info, tables

THREADS = (1, 2, 3, 4, 7)
SLICES = 48  # the quick tier runs every fourth
RANDOM = ("Bernoulli", "Dropout", "Multinomial", "RandomNormal", "RandomUniform")


def slices() -> list[Any]:
    return [pytest.param(i, marks=[] if i % 4 == 0 else [pytest.mark.full]) for i in range(SLICES)]


def bits(value: Any) -> Any:
    if isinstance(value, list):
        return [bits(item) for item in value]
    if isinstance(value, np.ndarray) and value.dtype != object:
        return value.dtype.str, value.shape, value.tobytes()
    return str(value)


def results(case: Case, threads: int) -> list[Any]:
    values = inputs_of(case)
    outputs = [
        helper.make_empty_tensor_value_info(f"y{i}") if value is None else output_info(f"y{i}", value)
        for i, value in enumerate(expected_of(case))
    ]
    model = one_node_model(case, values, "constants", outputs)
    options = fastort.SessionOptions()
    options.use_deterministic_compute = True
    options.intra_op_num_threads = threads
    # Without rewrites nothing is computed while the session is made.
    options.graph_optimization_level = fastort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = fastort.InferenceSession(model.SerializeToString(), options)
    fed = {info.name for info in model.graph.input}
    return session.run(None, {f"x{i}": value for i, value in enumerate(values) if f"x{i}" in fed})


@pytest.mark.parametrize("part", slices())
def test_results_do_not_depend_on_threads(part: int) -> None:
    cases = [parameters.values[0] for parameters in tables()]
    for case in cases[part::SLICES]:
        if case.op.startswith(RANDOM):
            continue
        first = bits(results(case, THREADS[0]))
        for threads in THREADS[1:]:
            assert bits(results(case, threads)) == first, f"{case.op} {case.id}: {threads} threads"
