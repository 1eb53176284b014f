"""The wheel holds the licence of every library that is linked into it."""

from __future__ import annotations

import importlib.util
import sys
import tomllib

import pytest

from tests.lint.test_size import REPOSITORY

FOLDER = REPOSITORY / "third_party" / "licenses"


# They run when fastort is built; nothing of them is in the wheel.
TOOLS = {"glslang"}


def libraries() -> list[str]:
    """The recipes' names, and the library whose headers the extension is made with."""
    spec = importlib.util.spec_from_file_location("recipes", REPOSITORY / "tools" / "recipes.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["recipes"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return [*(recipe.name for recipe in module.RECIPES if recipe.name not in TOOLS), "pybind11"]


@pytest.mark.parametrize("library", libraries())
def test_text_is_there(library: str) -> None:
    folder = FOLDER / library
    assert folder.is_dir(), f"{folder.relative_to(REPOSITORY)} is missing: copy the licence from the source as it is"
    texts = [path.read_text() for path in folder.iterdir()]
    assert any("opyright" in text and len(text) > 500 for text in texts), f"no licence among {list(folder.iterdir())}"


def test_no_text_is_left_over() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(libraries())


def test_wheel_takes_them() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    taken = {path for pattern in project["license-files"] for path in REPOSITORY.glob(pattern)}
    assert taken == {REPOSITORY / "LICENSE", *(path for path in FOLDER.rglob("*") if path.is_file())}
