"""Every change that an operator's signature went through has a lift, so that a new release of onnx is noticed."""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from pathlib import Path

import onnx.defs
from onnx.helper import get_attribute_value

SOURCES = Path(__file__).resolve().parents[2] / "cpp" / "onnx"

# Changes of signature that leave the meaning of an old node as it was, or that are read elsewhere.
HARMLESS = {
    ("", "Constant", 11): "every form of it becomes an initializer",
    ("", "GRU", 3): "only the spelling of a default was wrong",
    ("", "OptionalHasElement", 18): "the input became optional",
    ("ai.onnx.ml", "TreeEnsembleClassifier", 5): "withdrawn, and kept as an operator of its own",
    ("ai.onnx.ml", "TreeEnsembleRegressor", 5): "withdrawn, and kept as an operator of its own",
}


def default(attribute: onnx.defs.OpSchema.Attribute) -> object:
    """Returns the default of an attribute, or nothing."""
    proto = attribute.default_value
    return get_attribute_value(proto) if proto.name else None


def changed(old: onnx.defs.OpSchema, new: onnx.defs.OpSchema) -> bool:
    """Says whether a node of the old form means something else under the new one, as far as signatures tell."""
    if new.deprecated:
        return True
    for name, attribute in old.attributes.items():
        after = new.attributes.get(name)
        if after is None or after.type != attribute.type or default(after) != default(attribute):
            return True
    optional = onnx.defs.OpSchema.FormalParameterOption.Optional
    inputs = list(zip(old.inputs, new.inputs, strict=False))
    same_start = all(a.option == b.option or b.option == optional for a, b in inputs)
    longer = new.inputs[len(old.inputs) :]
    return not same_start or len(old.inputs) > len(new.inputs) or any(i.option != optional for i in longer)


def lifts() -> dict[tuple[str, str], set[int]]:
    """Returns the versions below which each operator has a lift, as the tables in the sources say."""
    rows = defaultdict(set)
    for path in SOURCES.glob("lift_*.cpp"):
        for domain, op, below in re.findall(r'\{"([\w.]*)", "(\w+)", (\d+), \w+\}', path.read_text()):
            rows[domain, op].add(int(below))
    return rows


def test_every_change_is_lifted() -> None:
    history = defaultdict(list)
    for schema in onnx.defs.get_all_schemas_with_history():
        history[schema.domain, schema.name].append(schema)
    rows = lifts()
    assert len(rows) > 60
    missing = []
    for (domain, op), schemas in sorted(history.items()):
        schemas.sort(key=lambda schema: schema.since_version)
        for old, new in itertools.pairwise(schemas):
            known = (domain, op, new.since_version) in HARMLESS
            if changed(old, new) and not known and not any(below >= new.since_version for below in rows[domain, op]):
                missing.append(f"{domain or 'ai.onnx'} {op}: {old.since_version} -> {new.since_version}")
    assert not missing
