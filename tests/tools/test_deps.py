"""The builder of the compiled dependencies."""

from __future__ import annotations

import dataclasses
import importlib.util
import itertools
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import ModuleType

import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools"


@pytest.fixture(scope="module")
def deps() -> ModuleType:
    sys.path.insert(0, str(TOOLS))
    try:
        spec = importlib.util.spec_from_file_location("fastort_deps", TOOLS / "deps.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    finally:
        sys.path.remove(str(TOOLS))


def test_prefixes_depend_on_what_is_kept(deps: ModuleType) -> None:
    zlib = deps.by_name("zlib")
    for change in ({"files": zlib.files[:1]}, {"fill": ()}, {"cmake": ()}, {"version": "1"}):
        assert deps.prefix_of(dataclasses.replace(zlib, **change)) != deps.prefix_of(zlib)
    assert deps.prefix_of(dataclasses.replace(zlib)) == deps.prefix_of(zlib)


def test_a_recipe_stands_behind_what_it_needs(deps: ModuleType) -> None:
    names = [recipe.name for recipe in deps.RECIPES]
    assert len(set(names)) == len(names)
    for recipe in deps.RECIPES:
        assert set(recipe.needs) <= set(names[: names.index(recipe.name)])
        assert bool(recipe.target) == bool(recipe.files)
    assert set(names) > deps.IMAGE_CODECS
    kept = {recipe.name for recipe in deps.RECIPES} - deps.IMAGE_CODECS
    assert all(set(recipe.needs) <= kept for recipe in deps.RECIPES if recipe.name in kept)


def test_jobs_that_are_given_back_are_used(deps: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A build that may run one command at a time runs two once another job is there."""
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if not deps.ninja_takes_jobs():
        pytest.skip("this ninja asks no job server")
    stamp = "date +%s.%N"
    rule = f"rule wait\n  command = {stamp} > $out && sleep 0.2 && {stamp} >> $out\n"
    (tmp_path / "build.ninja").write_text(rule + "".join(f"build out{i}: wait\n" for i in range(20)))
    monkeypatch.setenv("MAKEFLAGS", "")
    server = deps.JobServer(tmp_path, 2, 0)
    given: list[float] = []

    def give() -> None:
        given.append(time.time())
        server.give()

    threading.Timer(1, give).start()
    subprocess.run(["ninja"], cwd=tmp_path, capture_output=True, check=True)
    spans = sorted(tuple(map(float, path.read_text().split())) for path in tmp_path.glob("out*"))
    assert len(spans) == 20
    together = [later[0] for earlier, later in itertools.pairwise(spans) if later[0] < earlier[1]]
    assert together
    assert min(together) > given[0]


def test_another_version_lends_what_is_missing(
    deps: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = deps.by_name("re2")

    def unpack(source: object, work: Path, scratch: Path, logfile: Path) -> Path:
        top = work / ("main" if source == recipe.source else "other")
        (top / "re2").mkdir(parents=True)
        names = ["unicode_groups.cc"] if source == recipe.source else [Path(name).name for name, _ in recipe.fill]
        for name in names:
            (top / "re2" / name).write_text(top.name)
        return top

    monkeypatch.setattr(deps, "fetch", unpack)
    top = deps.fetch_all(recipe, tmp_path, tmp_path, tmp_path / "log")
    assert {path.name: path.read_text() for path in (top / "re2").iterdir()} == {
        "unicode_groups.cc": "main",
        "unicode_casefold.cc": "other",
        "perl_groups.cc": "other",
    }
