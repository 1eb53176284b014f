"""The docstrings of all that is public, and the reference that is built from them."""

from __future__ import annotations

import ast
import enum
import importlib
import inspect
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import fastort

REPOSITORY = Path(__file__).resolve().parents[2]
MODULES = (
    "fastort",
    "fastort.analysis",
    "fastort.backend",
    "fastort.datasets",
    "fastort.testing",
    "fastort.transformers.io_binding_helper",
)
# What a summary starts with that says itself what comes back.
RETURNS = re.compile(r"(Returns|Yields|Makes|Whether) ")


def public_objects() -> Iterator[tuple[str, Any]]:
    """Yields the public functions and classes, and the public members that our classes define, by name."""
    seen: set[int] = set()
    for module_name in MODULES:
        module = importlib.import_module(module_name)
        for name in getattr(module, "__all__", []) or [n for n in vars(module) if not n.startswith("_")]:
            item = getattr(module, name)
            if not (inspect.isclass(item) or inspect.isroutine(item)) or id(item) in seen:
                continue
            if not getattr(item, "__module__", "").startswith("fastort"):
                continue
            seen.add(id(item))
            yield f"{module_name}.{name}", item
            if not inspect.isclass(item):
                continue
            for member, value in vars(item).items():
                if member.startswith("_") and member != "__init__":
                    continue
                value = value.__func__ if isinstance(value, staticmethod | classmethod) else value
                if inspect.isfunction(value) or isinstance(value, property):
                    if not getattr(value, "__module__", "fastort").startswith("fastort"):
                        continue  # made by a decorator of the standard library
                    yield f"{module_name}.{name}.{member}", value


OBJECTS = dict(public_objects())
FUNCTIONS = {name: item for name, item in OBJECTS.items() if inspect.isfunction(item)}


def section(text: str, title: str) -> str:
    """Returns the lines of a section of a docstring in Google's style; empty where there is none."""
    found = re.search(rf"^{title}:\n((?:[ \t]+.*\n?|\n)+)", text, re.MULTILINE)
    return textwrap.dedent(found[1]) if found else ""


def documented(function: Any) -> str:
    return inspect.getdoc(function) or ""


def generated(function: Any) -> bool:
    """Whether there is no source: the method of a dataclass, a named tuple or an enumeration."""
    return function.__code__.co_filename.startswith("<")


def test_there_is_something_to_document() -> None:
    assert len(OBJECTS) > 200
    assert {"fastort.InferenceSession.run", "fastort.OrtValue.numpy", "fastort.testing.compare_models"} <= set(OBJECTS)


@pytest.mark.parametrize("name", OBJECTS)
def test_docstring(name: str) -> None:
    item = OBJECTS[name]
    if inspect.isfunction(item) and (generated(item) or name.endswith("__init__")):
        return
    text = inspect.getdoc(item)
    if isinstance(item, property) and not text:
        owner, attribute = name.rsplit(".", 1)
        assert f"{attribute}: " in section(documented(OBJECTS[owner]), "Attributes"), f"{name} has no docstring"
        return
    assert text, f"{name} has no docstring"
    assert text.split("\n")[0].endswith((".", ":", "?")), f"{name}: the first line is no sentence"
    if inspect.isclass(item) and issubclass(item, enum.Enum):
        assert len(text) > 20, f"{name}: say what it is for"


@pytest.mark.parametrize("name", [name for name, item in FUNCTIONS.items() if not generated(item)])
def test_sections(name: str) -> None:
    function = FUNCTIONS[name]
    text = documented(function)
    names = [p for p in inspect.signature(function).parameters if p not in ("self", "cls") and not p.startswith("_")]
    described = re.findall(r"^\**(\w+)(?: \([^)]*\))?: ", section(text, "Args"), re.MULTILINE)
    assert described == names, f"{name}: Args names {described}, the signature has {names}"

    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    returns = inspect.signature(function).return_annotation
    if returns not in ("None", None, "NoReturn", inspect.Signature.empty):
        summary = text.split("\n\n")[0]
        told = section(text, "Returns") or section(text, "Yields") or RETURNS.match(summary)
        assert told, f"{name} returns {returns} and does not say what it is"

    raised = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            called = node.exc.func
            raised.add(called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", ""))
    missing = {kind for kind in raised if kind and not re.search(rf"\b{kind}: ", section(text, "Raises"))}
    assert not missing, f"{name} raises {missing}, which its Raises section does not have"


def resolves(reference: str, owner: Any) -> bool:
    """Whether a dotted name can be found: from fastort, from its public names, or from the class around it."""
    for start in (fastort, owner, fastort.capi.onnxruntime_pybind11_state):
        item: Any = start
        for part in reference.removeprefix("fastort.").split("."):
            fields = getattr(item, "__annotations__", {})
            if not hasattr(item, part) and part not in fields:
                break
            item = getattr(item, part, None)
        else:
            return True
    try:
        importlib.import_module(reference)
    except ImportError:
        return False
    return True


@pytest.mark.parametrize("name", OBJECTS)
def test_references(name: str) -> None:
    item = OBJECTS[name]
    parts = name.split(".")
    owner = OBJECTS.get(".".join(parts[:-1]), item)
    text = inspect.getdoc(item) or ""
    # Calls and dotted names of fastort's: `fastort.x`, `Class.member`.
    for reference in re.findall(r"``((?:fastort|[A-Z]\w+)(?:\.\w+)+)(?:\([^`]*\))?``", text):
        if reference.split(".")[0] in {"fastort", *vars(fastort)}:
            assert resolves(reference, owner), f"{name} refers to {reference}, which does not exist"


def test_the_reference_is_built(tmp_path: Path) -> None:
    command = [sys.executable, str(REPOSITORY / "tools" / "api_reference.py"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Warn" not in done.stderr, done.stderr
    page = (tmp_path / "fastort.html").read_text()
    for name in fastort.__all__:
        if inspect.isclass(getattr(fastort, name)) or inspect.isroutine(getattr(fastort, name)):
            assert f'id="{name}"' in page, f"the reference lacks {name}"
    for anchor in ("InferenceSession.run", "OrtValue.ortvalue_from_numpy", "IOBinding.bind_output"):
        assert f'id="{anchor}"' in page
    # Links inside of the reference lead somewhere.
    for path in tmp_path.rglob("*.html"):
        text = path.read_text()
        for link in re.findall(r'href="([^"#:]*\.html)?#([^"]+)"', text):
            target = (path.parent / link[0]).resolve() if link[0] else path
            assert target.exists(), f"{path.name} links to {link[0]}"
            assert f'id="{link[1]}"' in target.read_text(), f"{path.name} links to {link}"
