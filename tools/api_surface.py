"""Describes the public surface of ONNX Runtime's Python API as data, for a test that finds all of it in fastort.

Run it in an environment with ONNX Runtime: `python tools/api_surface.py > tests/api/onnxruntime_surface.json`.
The same functions describe fastort in the test.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import re
import sys
from types import ModuleType
from typing import Any

# Modules whose names are all part of the API, and those of which only the exceptions are.
MODULES = ("", "backend", "datasets")
EXCEPTION_MODULES = ("capi._pybind_state", "capi.onnxruntime_pybind11_state")
# Classes that can be made without arguments, whose attributes' values are defaults.
WITH_DEFAULTS = ("SessionOptions", "RunOptions")
# Only set where a class is described for another reason than being handed to users.
HIDDEN = frozenset({"__init__"})


def _plain(value: object) -> Any:
    """The value as JSON holds it; enum values become their numbers, other objects their type's name."""
    if value is None or isinstance(value, bool | str | float) or type(value) is int:
        return value
    number = getattr(value, "value", None)
    if type(number) is int:
        return number
    if inspect.isclass(value):
        return value.__name__
    return f"<{type(value).__name__}>"


def _parameters(signature: inspect.Signature) -> list[dict[str, Any]]:
    described = []
    for parameter in signature.parameters.values():
        if parameter.name in ("self", "cls"):
            continue
        entry: dict[str, Any] = {"name": parameter.name, "kind": parameter.kind.name}
        if parameter.default is not parameter.empty:
            entry["default"] = _plain(parameter.default)
        described.append(entry)
    return described


def _split(arguments: str) -> list[str]:
    """The arguments of a signature in text, split at the commas that stand outside of brackets."""
    parts, depth = [""], 0
    for letter in arguments:
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts if part.strip()]


def _documented(text: str, name: str) -> list[list[dict[str, Any]]]:
    """The overloads that pybind11 writes into the docstring of a compiled function."""
    overloads = []
    for line in text.splitlines():
        found = re.match(rf"(?:\d+\. )?{re.escape(name)}\((.*)\) -> ", line)
        if not found or found[1] == "*args, **kwargs":
            continue
        described = []
        for part in _split(found[1]):
            head, _, default = part.partition(" = ")
            argument = head.split(":")[0]
            if argument == "self" or argument in ("*", "/"):
                continue
            # `arg0`: a parameter without a name.
            entry: dict[str, Any] = {"name": None if re.fullmatch(r"arg\d+", argument) else argument}
            entry["kind"] = "POSITIONAL_ONLY" if entry["name"] is None else "POSITIONAL_OR_KEYWORD"
            if default:
                entry["default"] = ast.literal_eval(default)
            described.append(entry)
        overloads.append(described)
    return overloads


def _describe_function(function: Any, name: str) -> dict[str, Any]:
    entry: dict[str, Any] = {"kind": "function"}
    text = inspect.getdoc(function) or ""
    overloads = _documented(text, name) if "->" in text.split("\n")[0] or "Overloaded" in text else []
    if not overloads:
        try:
            overloads = [_parameters(inspect.signature(function))]
        except (TypeError, ValueError):
            overloads = []
    entry["overloads"] = overloads
    return entry


def _enum_values(cls: type) -> dict[str, int] | None:
    members = getattr(cls, "__members__", None)
    return {name: int(value) for name, value in members.items()} if members else None


def _describe_class(cls: type) -> dict[str, Any]:
    if issubclass(cls, BaseException):
        return {"kind": "exception"}
    values = _enum_values(cls)
    if values is not None:
        return {"kind": "enum", "values": values}
    members: dict[str, Any] = {}
    for name in sorted(dir(cls)):
        if name.startswith("_") and name not in HIDDEN:
            continue
        member = inspect.getattr_static(cls, name)
        if name == "__init__":
            if type(member).__name__ != "wrapper_descriptor":
                members[name] = _describe_function(getattr(cls, name), name)
        elif callable(getattr(cls, name)):
            members[name] = _describe_function(getattr(cls, name), name)
        else:
            members[name] = {"kind": "property"}
    entry: dict[str, Any] = {"kind": "class", "members": members}
    if cls.__name__ in WITH_DEFAULTS:
        made = cls()
        entry["defaults"] = {
            name: _plain(getattr(made, name)) for name, member in members.items() if member["kind"] == "property"
        }
    return entry


def _is_foreign(value: object, root: str) -> bool:
    return isinstance(value, ModuleType) and value.__name__.split(".")[0] != root


def describe_module(module: ModuleType) -> dict[str, Any]:
    """Describes every public name of a module.

    Args:
        module: The module.

    Returns:
        For each name its kind, and what there is to compare: parameters, members, values.
    """
    root = module.__name__.split(".")[0]
    described: dict[str, Any] = {}
    for name in sorted(dir(module)):
        value = getattr(module, name)
        if (name.startswith("_") and name != "__version__") or _is_foreign(value, root):
            continue
        if isinstance(value, ModuleType):
            described[name] = {"kind": "module"}
        elif inspect.isclass(value):
            described[name] = _describe_class(value)
        elif callable(value):
            described[name] = _describe_function(value, name)
        else:
            described[name] = {"kind": "value", "type": type(value).__name__}
    return described


def describe_package(package: str) -> dict[str, Any]:
    """Describes a package that is ONNX Runtime or stands in for it.

    Args:
        package: Its name.

    Returns:
        The version and the description of each public module, by its name inside of the package.
    """
    root = importlib.import_module(package)
    modules = {}
    for name in MODULES + EXCEPTION_MODULES:
        module = importlib.import_module(f"{package}.{name}" if name else package)
        described = describe_module(module)
        if name in EXCEPTION_MODULES:
            described = {key: entry for key, entry in described.items() if entry["kind"] == "exception"}
        modules[name] = described
    return {"package": package, "version": root.__version__, "modules": modules}


if __name__ == "__main__":
    json.dump(describe_package(sys.argv[1] if len(sys.argv) > 1 else "onnxruntime"), sys.stdout, indent=1)
    sys.stdout.write("\n")
