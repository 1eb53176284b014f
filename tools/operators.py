"""Writes docs/operators.md: every operator, its versions, the types it takes and the providers that compute it.

    python tools/operators.py            # writes the page
    python tools/operators.py --check    # says whether it is up to date

The data are the engine's own tables of operators and the schemas of the installed onnx.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from pathlib import Path

import onnx

PAGE = Path(__file__).resolve().parent.parent / "docs" / "operators.md"
COMMAND = "python tools/operators.py"
PROVIDER = "CPU"
# Where an operator of the standard stands between having a kernel and being refused.
KERNEL, LIFTED, BODY, MISSING = "kernel", "lifted", "body", "missing"

GROUPS = {
    "floats": {"float16", "bfloat16", "float", "double"},
    "integers": {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
    "float8": {"float8e4m3fn", "float8e4m3fnuz", "float8e5m2", "float8e5m2fnuz"},
    "float6": {"float6e2m3", "float6e3m2"},
    "small integers": {"int2", "uint2", "int4", "uint4"},
    "complex": {"complex64", "complex128"},
}
ORDER = ["float16", "bfloat16", "float", "double", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32"]
ORDER += ["uint64", "bool", "string"]

HEAD = f"""# Operators

Made by `{COMMAND}` from the engine's tables and the schemas of onnx {onnx.__version__}; a test holds it up to date.

Models of every opset are read: an old form of an operator is brought to its newest form when the model is loaded, so
that the kernels of the newest form serve all versions. The types are those of the first input; in groups

- floats: float16, bfloat16, float, double
- integers: int8 to int64 and uint8 to uint64
- small integers: int2, uint2, int4, uint4
- float8: float8e4m3fn, float8e4m3fnuz, float8e5m2, float8e5m2fnuz
- float6: float6e2m3, float6e3m2
- complex: complex64, complex128

The remark names types that the standard allows and fastort lacks. What is not served is refused when the session is
made, with `NotImplemented` and the reason.
"""


def element_types(type_strings: set[str]) -> tuple[set[str], set[str]]:
    """Element types of tensors, and the other kinds of values ("sequences")."""
    elements, kinds = set(), set()
    for text in type_strings:
        if text.startswith("tensor("):
            elements.add(text[len("tensor(") : -1])
        else:
            word = text.split("(")[0]
            kinds.add({"seq": "sequences", "optional": "optionals", "map": "maps", "sparse_tensor": "sparse"}[word])
    return elements, kinds


def describe(elements: set[str], kinds: set[str]) -> str:
    """Names of groups where they are whole."""
    words, left = [], set(elements)
    for group, members in GROUPS.items():
        if members <= left:
            words.append(group)
            left -= members
    words += sorted(left, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name))
    return ", ".join([*words, *sorted(kinds)])


def standing(schema: onnx.defs.OpSchema, kernels: set[str], lifted: set[str]) -> str:
    """How an operator of the standard is served."""
    if schema.name in kernels:
        return KERNEL
    if schema.has_function or schema.has_context_dependent_function:
        return BODY
    return LIFTED if schema.name in lifted else MISSING


def rows(domain: str, entries: list[dict[str, object]], schemas: list[onnx.defs.OpSchema]) -> list[tuple[str, ...]]:
    """Name, versions, types, provider, remark."""
    types_of = {str(entry["name"]): set(entry["types"]) for entry in entries if entry["kernels"]}
    lifted = {str(entry["name"]) for entry in entries if not entry["kernels"]}
    versions: dict[str, list[onnx.defs.OpSchema]] = defaultdict(list)
    for schema in sorted(schemas, key=lambda schema: schema.since_version):
        versions[schema.name].append(schema)
    lines = []
    for name in sorted(set(versions) | set(types_of) | lifted, key=str.lower):
        history = versions.get(name, [])
        numbers = ", ".join(str(schema.since_version) for schema in history) or "1"
        meant = [schema for schema in history if not schema.deprecated]
        if not meant:
            types = describe(types_of[name], set()) if name in types_of else "those of what it is written with"
            remark = "" if name in types_of else "written with other operators"
            lines.append((name, numbers, types, PROVIDER, remark))
            continue
        schema = meant[-1]
        how = standing(schema, set(types_of), lifted)
        # Gradient's inputs may be of any type in the standard; it can differentiate by what its outputs may be.
        formals = schema.outputs if name == "Gradient" else schema.inputs
        elements, kinds = element_types(set(formals[0].types) if formals else set())
        lacking = elements - types_of[name] if how == KERNEL else set()
        elements -= lacking
        remark = {KERNEL: "", BODY: "by its body in the standard", LIFTED: "written with other operators"}.get(how, "")
        if schema is not history[-1]:
            remark = ", ".join(part for part in (remark, "withdrawn from the standard") if part)
        if lacking:
            remark = "not " + describe(lacking, set())
        types = "not supported" if how == MISSING else describe(elements, kinds) or "-"
        lines.append((name, numbers, types, "-" if how == MISSING else PROVIDER, remark))
    return lines


def render() -> str:
    """The page's text."""
    from fastort import _engine

    entries: dict[str, list[dict[str, object]]] = defaultdict(list)
    for entry in _engine.operators():
        if entry["domain"] != "fastort":  # what passes make, no model has
            entries[str(entry["domain"])].append(entry)
    schemas: dict[str, list[onnx.defs.OpSchema]] = defaultdict(list)
    for schema in onnx.defs.get_all_schemas_with_history():
        schemas[schema.domain].append(schema)
    parts = [HEAD]
    for domain in sorted(set(entries) | set(schemas)):
        lines = rows(domain, entries[domain], schemas[domain])
        served = sum(line[3] == PROVIDER for line in lines)
        parts.append(f"## {domain or 'ai.onnx'}\n\n{served} of {len(lines)} operators.\n")
        parts.append("| operator | versions | types | provider | remark |\n|---|---|---|---|---|")
        parts[-1] += "".join("\n| " + " | ".join(line).rstrip() + " |" for line in lines) + "\n"
    return "\n".join(parts)


def main() -> int:
    """Writes the page, or compares it."""
    parser = argparse.ArgumentParser(description="Writes docs/operators.md.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail where the page is out of date")
    text = render()
    if parser.parse_args().check:
        if PAGE.exists() and PAGE.read_text() == text:
            return 0
        print(f"docs/operators.md is out of date; write it with: {COMMAND}", file=sys.stderr)
        return 1
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
