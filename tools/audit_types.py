"""Tries every operator of the standard with every element type that its schema allows.

Single-node models of the standard's own node tests, or of the case tables in `tests/ops/cases`, serve as samples of
each operator, one for each mode of it. Their inputs are converted to each type that a type constraint of the newest
schema allows, one constraint at a time, and the model is loaded and run. Printed is what fails:

    refused   NotImplemented when the session is made: a gap, but one that is told at once
    late      NotImplemented when it runs: it should have been told at once
    error     anything else
    differs   it runs, but the results are far from those of the same values in the sample's own types

    python tools/audit_types.py [operator ...]
"""

from __future__ import annotations

import argparse
import copy
import importlib
import pickle
import pkgutil
import sys
import warnings
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

# Types of several inputs, or of a body, would have to change together; the case tables have these combinations.
TIED = {"If", "Loop", "Scan", "SequenceMap", "SequenceInsert", "BitCast"}
RANDOM = {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli"}
# Results of a computation in the type against those in the sample's own, relative; integers cut fractions off.
TOLERANCE = {"float": 1e-3, "double": 1e-3, "float16": 2e-2, "bfloat16": 1e-1}
MODES = 8  # of an operator that are tried


@dataclass
class Sample:
    """A node with values for its inputs; None for one that is left out."""

    node: onnx.NodeProto
    values: list[Any]


@dataclass
class Variant:
    """A sample in which one type constraint has the type."""

    constraint: str
    type: str
    sample: Sample
    base: Sample | None = None  # the same values in the types that the sample had before


@dataclass
class Outcome:
    """How a variant ended; `kind` is empty where all is well."""

    constraint: str
    type: str
    kind: str
    message: str


def as_value(value: Any) -> Any:
    """As it is fed: an array, or a list of them."""
    if isinstance(value, (list, tuple)):
        return [as_value(item) for item in value]
    if value is None or isinstance(value, dict):
        return value
    if isinstance(value, onnx.TensorProto):
        value = onnx.numpy_helper.to_array(value)
    array = np.asarray(value)
    return array.astype(object) if array.dtype.kind in "US" else array


def element_name(array: np.ndarray) -> str:
    """ONNX's name of the array's element type."""
    if array.dtype == object:
        return "string"
    return onnx.TensorProto.DataType.Name(helper.np_dtype_to_tensor_dtype(array.dtype)).lower()


def type_of(value: Any) -> str:
    """In ONNX's spelling, "tensor(float)"."""
    if isinstance(value, list):
        return f"seq({type_of(value[0]) if value else 'tensor(float)'})"
    return "map" if isinstance(value, dict) else f"tensor({element_name(value)})"


def element_of(type_string: str) -> str:
    """The element type inside a type."""
    return type_string.rsplit("(", 1)[1].rstrip(")") if "(" in type_string else type_string


def converted(value: Any, type_string: str) -> Any:
    """The value in another type; None where it has none (a tensor as a map)."""
    while type_string.startswith("optional("):
        type_string = type_string[len("optional(") : -1]
    if isinstance(value, dict) or type_string.startswith(("map", "seq(map", "sparse")):
        return None
    if type_string.startswith("seq(") != isinstance(value, list):
        return None
    if isinstance(value, list):
        items = [converted(item, type_string[4:-1]) for item in value]
        return None if any(item is None for item in items) else items
    element = element_of(type_string)
    if element_name(value) == element:
        return value
    if element == "string":
        return np.array([str(item) for item in value.ravel().tolist()], object).reshape(value.shape)
    dtype = helper.tensor_dtype_to_np_dtype(onnx.TensorProto.DataType.Value(element.upper()))
    if value.dtype == object:
        value = np.arange(value.size).reshape(value.shape)
    numbers = value.real if value.dtype.kind == "c" else value
    if element.startswith("complex"):
        return value.astype(np.complex128).astype(dtype)
    with np.errstate(all="ignore"):
        numbers = np.asarray(numbers.astype(np.float64))
        if element.startswith(("uint", "float8e8m0")):
            numbers = np.asarray(np.abs(numbers))
        if element in ("int2", "uint2", "int4", "uint4"):
            numbers = np.asarray(np.clip(numbers, 0, 1))
        return numbers.astype(dtype)


def backend_samples() -> Iterator[Sample]:
    """Nodes of the standard's own tests."""
    from onnx.backend.test.case.node import collect_testcases

    for case in collect_testcases(None):
        if case.model is None or len(case.model.graph.node) != 1 or case.model.graph.initializer:
            continue
        node = case.model.graph.node[0]
        fed = dict(zip([info.name for info in case.model.graph.input], case.data_sets[0][0], strict=False))
        if all(name == "" or name in fed for name in node.input):
            yield Sample(node, [as_value(fed[name]) if name else None for name in node.input])


def table_samples() -> Iterator[Sample]:
    """Rows of the case tables."""
    from tests.ops import cases

    for module in pkgutil.iter_modules(cases.__path__):
        for case in importlib.import_module(f"{cases.__name__}.{module.name}").CASES:
            if case.opset is not None:
                continue
            names = [f"x{i}" if value is not None else "" for i, value in enumerate(case.inputs)]
            attributes = {key: value for key, value in case.attributes.items() if value is not None}
            outputs = [f"y{i}" for i in range(case.outputs)]
            node = helper.make_node(case.op, names, outputs, domain=case.domain, **attributes)
            yield Sample(node, as_value(case.inputs))


def own_samples() -> Iterator[Sample]:
    """Of operators that neither has."""
    number = np.arange(6, dtype=np.float32).reshape(2, 3)
    for op in ("RandomNormal", "RandomUniform"):
        yield Sample(helper.make_node(op, [], ["y"], shape=[3]), [])
        yield Sample(helper.make_node(f"{op}Like", ["x"], ["y"]), [number])
    yield Sample(helper.make_node("Multinomial", ["x"], ["y"], sample_size=2), [number])
    yield Sample(helper.make_node("Optional", ["x"], ["y"]), [number])
    yield Sample(helper.make_node("Optional", ["x"], ["y"]), [[number, number]])


def size_of(sample: Sample) -> int:
    """Elements of all inputs."""
    return sum(value.size if isinstance(value, np.ndarray) else 1 for _, value in given(sample))


def collect_samples(cache: Path | None) -> dict[tuple[str, str], list[Sample]]:
    """Samples by domain and operator, the smallest ones that are not empty first."""
    if cache and cache.exists():
        return pickle.loads(cache.read_bytes())
    samples: dict[tuple[str, str], list[Sample]] = defaultdict(list)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for source in (backend_samples, table_samples, own_samples):
            for sample in source():
                samples[(sample.node.domain, sample.node.op_type)].append(sample)
    for found in samples.values():
        found.sort(key=lambda sample: (size_of(sample) == 0, size_of(sample)))
    if cache:
        cache.write_bytes(pickle.dumps(dict(samples)))
    return samples


def make_info(name: str, value: Any) -> onnx.ValueInfoProto:
    """The declaration of an input."""
    if isinstance(value, list):
        number = onnx.TensorProto.DataType.Value(element_of(type_of(value)).upper())
        return helper.make_tensor_sequence_value_info(name, number, None)
    number = onnx.TensorProto.DataType.Value(element_name(value).upper())
    return helper.make_tensor_value_info(name, number, value.shape)


def make_model(sample: Sample, version: int) -> onnx.ModelProto:
    """The node alone, its inputs fed."""
    node = copy.deepcopy(sample.node)
    node.name = "node"
    del node.input[:], node.output[:]
    node.input.extend(f"x{i}" if value is not None else "" for i, value in enumerate(sample.values))
    node.output.extend(f"y{i}" if name else "" for i, name in enumerate(sample.node.output))
    infos = [make_info(f"x{i}", value) for i, value in given(sample)]
    outputs = [helper.make_empty_tensor_value_info(name) for name in node.output if name]
    opsets = [helper.make_opsetid("", onnx.defs.onnx_opset_version())]
    if node.domain:
        opsets.append(helper.make_opsetid(node.domain, version))
    return helper.make_model(helper.make_graph([node], "audit", infos, outputs), opset_imports=opsets)


def execute(sample: Sample, version: int) -> tuple[str, str, list[Any]]:
    """How it ends, its message, its results."""
    import fastort

    made = False
    try:
        session = fastort.InferenceSession(make_model(sample, version).SerializeToString())
        made = True
        return "", "", session.run(None, {f"x{i}": value for i, value in given(sample)})
    except Exception as error:
        kind = ("late" if made else "refused") if type(error).__name__ == "NotImplemented" else "error"
        return kind, f"{type(error).__name__}: {error}", []


def differs(results: list[Any], base: list[Any], tolerance: float) -> bool:
    """Whether numbers are farther apart than `tolerance`."""
    for one, other in zip(results, base, strict=False):
        if not isinstance(one, np.ndarray) or not isinstance(other, np.ndarray):
            continue
        if {one.dtype, other.dtype} & {np.dtype(object), np.dtype(bool)}:
            continue
        if one.shape != other.shape:
            return True
        with np.errstate(all="ignore"):
            x, y = one.astype(np.complex128), other.astype(np.complex128)
            whole = float(one.dtype.kind in "iu")  # fractions are cut off
            if np.any(np.abs(x - y) > tolerance * (1 + np.abs(y)) + whole):
                return True
    return False


def modes(samples: list[Sample]) -> list[list[Sample]]:
    """Groups that differ in words among the attributes or in which inputs there are."""
    groups: dict[tuple[Any, ...], list[Sample]] = defaultdict(list)
    for sample in samples:
        words = [(a.name, a.s) for a in sample.node.attribute if a.type == onnx.AttributeProto.STRING]
        groups[(tuple(sorted(words)), tuple(value is None for value in sample.values[:8]))].append(sample)
    return list(groups.values())[:MODES]


def variants(schema: onnx.defs.OpSchema, samples: list[Sample]) -> Iterator[Variant]:
    """Every constraint in every type, in every mode."""
    for constraint in schema.type_constraints:
        takes = any(formal.type_str == constraint.type_param_str for formal in schema.inputs)
        vary = by_inputs if takes else by_attributes
        for type_string in sorted(constraint.allowed_type_strs):
            for group in modes(samples):
                found = next(vary(schema, group, constraint.type_param_str, type_string), None)
                if found is not None:
                    yield found


def by_inputs(
    schema: onnx.defs.OpSchema, samples: list[Sample], constraint: str, type_string: str
) -> Iterator[Variant]:
    """The inputs of the constraint in the type; a sample that has it is taken before one that is converted."""
    for sample in samples:
        held = [value for i, value in given(sample) if bound(schema, i, constraint)]
        if held and all(type_of(value) == type_string for value in held):
            yield Variant(constraint, type_string, sample)
    for sample in samples:
        places = [i for i, _ in given(sample) if bound(schema, i, constraint)]
        values, back = list(sample.values), list(sample.values)
        for i in places:
            values[i] = converted(sample.values[i], type_string)
            back[i] = None if values[i] is None else converted(values[i], type_of(sample.values[i]))
        if places and all(values[i] is not None for i in places):
            yield Variant(constraint, type_string, Sample(sample.node, values), Sample(sample.node, back))


def by_attributes(
    schema: onnx.defs.OpSchema, samples: list[Sample], constraint: str, type_string: str
) -> Iterator[Variant]:
    """A constraint of outputs alone is chosen by an attribute."""
    attributes = [name for name in ("to", "dtype", "output_dtype") if name in schema.attributes]
    if not attributes or not type_string.startswith("tensor("):
        return
    number = onnx.TensorProto.DataType.Value(element_of(type_string).upper())
    for sample in samples:
        node = copy.deepcopy(sample.node)
        kept = [attribute for attribute in node.attribute if attribute.name != attributes[0]]
        del node.attribute[:]
        node.attribute.extend([*kept, helper.make_attribute(attributes[0], number)])
        yield Variant(constraint, type_string, Sample(node, sample.values))


def given(sample: Sample) -> list[tuple[int, Any]]:
    """The inputs that are not left out, with their places."""
    return [(i, value) for i, value in enumerate(sample.values) if value is not None]


def bound(schema: onnx.defs.OpSchema, i: int, constraint: str) -> bool:
    """Whether input i has the type of the constraint."""
    return schema.inputs[min(i, len(schema.inputs) - 1)].type_str == constraint


def audit(schema: onnx.defs.OpSchema, samples: list[Sample]) -> Iterator[Outcome]:
    """Runs all variants of one operator."""
    if schema.name in TIED:
        return
    if not samples:
        yield Outcome("-", "-", "error", "no sample of it")
    for variant in variants(schema, samples):
        kind, message, results = execute(variant.sample, schema.since_version)
        if not kind and variant.base is not None and schema.name not in RANDOM:
            base = execute(variant.base, schema.since_version)[2]
            if differs(results, base, TOLERANCE.get(element_of(variant.type), 0.2)):
                kind, message = "differs", f"{results} instead of {base}".replace("\n", " ")
        yield Outcome(variant.constraint, variant.type, kind, message)


def main() -> None:
    """Prints what fails, grouped by message, and how many there are of each kind."""
    parser = argparse.ArgumentParser(description="Tries every operator with every type that its schema allows.")
    parser.add_argument("operators", nargs="*", help="only these")
    parser.add_argument("--samples", type=Path, help="a file that keeps the samples, which take a minute to collect")
    parser.add_argument("--width", type=int, default=160, help="characters of each message")
    arguments = parser.parse_args()
    samples = collect_samples(arguments.samples)
    latest: dict[tuple[str, str], onnx.defs.OpSchema] = {}
    for schema in onnx.defs.get_all_schemas():
        if not schema.deprecated and (not arguments.operators or schema.name in arguments.operators):
            latest[(schema.domain, schema.name)] = schema
    counts: dict[str, int] = defaultdict(int)
    for key, schema in sorted(latest.items()):
        groups: dict[tuple[str, str, str], list[str]] = defaultdict(list)
        for outcome in audit(schema, samples.get(key, [])):
            counts[outcome.kind or "accepted"] += 1
            if outcome.kind:
                message = outcome.message.replace(element_of(outcome.type), "*")[: arguments.width]
                groups[(outcome.constraint, outcome.kind, message)].append(element_of(outcome.type))
        for (constraint, kind, message), types in groups.items():
            name = ".".join(part for part in key if part)
            print(f"{name}-{schema.since_version} {constraint} {kind}: {' '.join(types)} | {message}", flush=True)
    print(dict(counts))


if __name__ == "__main__":
    main()
