"""fastort has all of ONNX Runtime's public Python API, but for what a short list leaves out with its reasons."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import fastort
from fastort._left_out import LEFT_OUT
from tools import api_surface

SURFACE = json.loads((Path(__file__).parent / "onnxruntime_surface.json").read_text())
OURS = api_surface.describe_package("fastort")
POSITIONAL = ("POSITIONAL_ONLY", "POSITIONAL_OR_KEYWORD")


def missing_parameters(theirs: list[list[dict[str, Any]]], ours: list[list[dict[str, Any]]]) -> Iterator[str]:
    """Yields what calls of the one function could not be calls of the other."""
    for overload in theirs:
        reasons = [list(overload_gaps(overload, candidate)) for candidate in ours]
        if [] not in reasons:
            yield from min(reasons, key=len) if reasons else ["no signature"]


def overload_gaps(theirs: list[dict[str, Any]], ours: list[dict[str, Any]]) -> Iterator[str]:
    takes_any = any(entry["kind"] == "VAR_POSITIONAL" for entry in ours)
    by_name = {entry["name"]: entry for entry in ours}
    positions = [entry for entry in ours if entry["kind"] in POSITIONAL]
    for place, entry in enumerate(theirs):
        name = entry["name"]
        if entry["kind"] in POSITIONAL and place >= len(positions) and not takes_any:
            yield f"takes no argument {place}"
            continue
        if name is None:
            continue
        if name not in by_name:
            yield f"has no parameter {name}"
        elif entry["kind"] in POSITIONAL and positions[place]["name"] != name:
            yield f"{name} stands in another place"
        elif "default" in entry and entry["default"] != by_name[name].get("default", "none"):
            yield f"the default of {name} is {by_name[name].get('default')!r}, not {entry.get('default')!r}"
    names = {entry["name"] for entry in theirs}
    further = [entry for entry in ours if entry["kind"] == "KEYWORD_ONLY" and entry["name"] not in names]
    for entry in [*positions[len(theirs) :], *further]:
        if "default" not in entry:
            yield f"needs {entry['name']} too"


def gaps(theirs: dict[str, Any], ours: dict[str, Any], path: str) -> Iterator[str]:
    """Yields what of one name is not there."""
    if theirs["kind"] == "enum":
        if theirs["values"] != ours.get("values"):
            yield f"{path}: the values are {ours.get('values')}"
    elif theirs["kind"] == "class":
        if ours["kind"] != "class":
            yield f"{path} is a {ours['kind']}"
            return
        for name, value in theirs.get("defaults", {}).items():
            if ours.get("defaults", {}).get(name) != value:
                yield f"{path}.{name} starts as {ours.get('defaults', {}).get(name)!r}, not {value!r}"
        for name, member in theirs["members"].items():
            where = f"{path}.{name}"
            if where in LEFT_OUT:
                continue
            if name not in ours["members"]:
                yield f"{where} is not there"
            elif member["kind"] == "function":
                overloads = ours["members"][name].get("overloads", [])
                yield from (f"{where}: {text}" for text in missing_parameters(member["overloads"], overloads))
    elif theirs["kind"] == "function":
        yield from (f"{path}: {text}" for text in missing_parameters(theirs["overloads"], ours.get("overloads", [])))
    elif theirs["kind"] != ours["kind"]:
        yield f"{path} is a {ours['kind']}, not a {theirs['kind']}"


@pytest.mark.parametrize("module", SURFACE["modules"])
def test_all_names_are_there(module: str) -> None:
    ours = OURS["modules"][module]
    wrong = []
    for name, entry in SURFACE["modules"][module].items():
        if not module and name in LEFT_OUT:
            continue
        wrong += gaps(entry, ours[name], name) if name in ours else [f"{name} is not there"]
    assert not wrong, f"onnxruntime.{module} {SURFACE['version']}:\n" + "\n".join(wrong)


def test_little_is_left_out() -> None:
    assert len(LEFT_OUT) <= 15


@pytest.mark.parametrize("path", LEFT_OUT)
def test_what_is_left_out_says_why(path: str) -> None:
    assert path.split(".")[0] in SURFACE["modules"][""], "a name that ONNX Runtime does not have"
    owner, _, member = path.rpartition(".")
    target = getattr(fastort, owner)() if owner else fastort
    assert not hasattr(target, member or path)
    if owner != "RunOptions":  # a compiled class
        with pytest.raises(AttributeError) as raised:
            getattr(target, member)
        assert LEFT_OUT[path] in str(raised.value)


def test_a_gap_is_found() -> None:
    """The comparison itself: a missing member, another default, another place."""
    theirs = {"kind": "function", "overloads": [api_surface._parameters(inspect.signature(lambda a, b=1: None))]}
    for other in (lambda a: None, lambda a, b=2: None, lambda b=1, a=0: None, lambda a, b=1, *, c: None):
        ours = {"kind": "function", "overloads": [api_surface._parameters(inspect.signature(other))]}
        assert list(gaps(theirs, ours, "f"))
    assert list(gaps({"kind": "enum", "values": {"A": 1}}, {"kind": "enum", "values": {"A": 2}}, "E"))
    assert list(gaps({"kind": "class", "members": {"x": {"kind": "property"}}}, {"kind": "class", "members": {}}, "C"))
