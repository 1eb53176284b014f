"""Nothing that Python can hand to the API ends the interpreter; see fuzz_api.py for what is handed to it."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
from typing import Any

import pytest

import fastort
from fastort import _engine


def fuzz(seconds: float, seed: int) -> None:
    command = [sys.executable, "-m", "tests.api.fuzz_api", str(seconds), str(seed)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 300, check=False)
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-4000:]
    assert " rounds, " in result.stdout


def test_odd_calls() -> None:
    fuzz(8, 0)


@pytest.mark.full
def test_odd_calls_for_long() -> None:
    fuzz(600, int.from_bytes(os.urandom(4), "little"))


WITHOUT_OBJECT = """
import inspect
from fastort import _engine
for kind in filter(inspect.isclass, vars(_engine).values()):
    for name, member in vars(kind).items():
        function = member.fget if isinstance(member, property) else getattr(kind, name)
        if name.startswith("__") or not callable(function) or isinstance(member, staticmethod):
            continue
        try:
            function(None)
        except TypeError:
            continue
        raise SystemExit(f"{kind.__name__}.{name} took None for its object")
"""


def test_members_refuse_none_for_their_object() -> None:
    result = subprocess.run([sys.executable, "-c", WITHOUT_OBJECT], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("kind", [_engine.Session, _engine.OrtValue, _engine.CustomOp])
def test_what_new_alone_cannot_make(kind: Any) -> None:
    with pytest.raises(TypeError, match=r"cannot create 'fastort\._engine"):
        kind.__new__(kind)
    with pytest.raises(TypeError):
        kind()
    with pytest.raises(TypeError, match="not safe"):
        object.__new__(kind)


def test_what_new_alone_makes_is_whole() -> None:
    options = fastort.RunOptions.__new__(fastort.RunOptions)
    assert (options.terminate, options.log_severity_level, options.logid) == (False, -1, "")
    options.add_run_config_entry("a", "b")
    flag = _engine.Flag.__new__(_engine.Flag)
    flag.set(True)
    assert flag.get()
    with pytest.raises(TypeError, match="subclass"):
        fastort.RunOptions.__new__(int)

    class Named(fastort.RunOptions):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    assert Named("a").name == "a"
    assert Named("a").log_severity_level == -1


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickling_in_all_protocols(protocol: int) -> None:
    options = fastort.RunOptions()
    options.logid = "here"
    options.timeout_seconds = 2
    options.add_run_config_entry("a", "b")
    for made in (pickle.loads(pickle.dumps(options, protocol)), copy.copy(options), copy.deepcopy(options)):
        assert (made.logid, made.timeout_seconds, made.get_run_config_entry("a")) == ("here", 2, "b")
    value = fastort.OrtValue.ortvalue_from_shape_and_type([2])
    for thing in (value._ortvalue, _engine.Flag()):
        with pytest.raises(TypeError, match="cannot pickle"):
            pickle.dumps(thing, protocol)


def test_a_number_is_no_path(tmp_path: Any) -> None:
    """A file descriptor would be closed after use."""
    with (tmp_path / "file").open("w") as file:
        for use in (fastort.SessionOptions.from_file, fastort.SessionOptions().save):
            with pytest.raises(TypeError):
                use(file.fileno())  # type: ignore[operator]
        file.write("still open")
