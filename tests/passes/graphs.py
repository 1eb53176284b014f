"""Models written as text, and what their rewritten graphs consist of and compute."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np
import onnx
import onnx.parser
import onnx.reference
from onnx import helper, numpy_helper

import fastort

Arrays = Mapping[str, np.ndarray]


def model(text: str, weights: Arrays | None = None, opset: int = 20) -> onnx.ModelProto:
    """A graph in onnx's text form, with `weights` as its initializers."""
    graph = onnx.parser.parse_graph("g " + text)
    graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in (weights or {}).items())
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    onnx.checker.check_model(proto)
    return proto


def session(
    proto: onnx.ModelProto, without: Iterable[str] = (), entries: Mapping[str, str] | None = None
) -> fastort.InferenceSession:
    options = fastort.SessionOptions()
    options.disabled_passes = list(without)
    for key, value in (entries or {}).items():
        options.add_session_config_entry(key, value)
    return fastort.InferenceSession(proto.SerializeToString(), options)


def operators(proto: onnx.ModelProto, without: Iterable[str] = ()) -> Counter[str]:
    """How often each operator stands in the rewritten graph; those of other domains than ONNX's as "domain::Name"."""
    lines = session(proto, without).print_graph().splitlines()
    return Counter(found[1] for line in lines if (found := re.search(r" = ([\w.:]+)\(", line)))


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def check(
    proto: onnx.ModelProto,
    feeds: Arrays,
    rewrite: str,
    tolerance: float = 1e-5,
    entries: Mapping[str, str] | None = None,
) -> None:
    """The results are the reference's, with the rewrite and without it."""
    expected = onnx.reference.ReferenceEvaluator(proto).run(None, dict(feeds))
    for without in ([], [rewrite]):
        results = session(proto, without, entries).run(None, dict(feeds))
        for result, wanted in zip(results, expected, strict=True):
            np.testing.assert_allclose(result, wanted, rtol=tolerance, atol=tolerance)
