"""Objects of the engine's classes that come from the ways around their own `__new__` are refused, not half-made."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import onnx

import fastort
from tests.api import models

# With `whole`, an object of each class of the engine's; `kind`, its class; `base`, what pybind11 derives it from.
TRICKS = {
    "object's own way to pickle": "object.__reduce__(whole)",
    "object's __new__": "object.__new__(kind)",
    "the __new__ of the class below": "base.__new__(kind)",
    "copyreg": "copyreg._reconstructor(kind, base, None)",
    "the class below": "base()",
    "a class below without contents": "type('A', (base,), {})()",
    "a class of one's own by the __new__ below": "base.__new__(type('A', (kind,), {}))",
    "another class": "setattr(whole, '__class__', other)",
    "another class of one's own": "setattr(type('A', (_engine.Flag,), {})(), '__class__', Others)",
    "two classes at once": "type('A', (kind, other), {})",
}
PROGRAM = """
import copyreg
import numpy
import fastort
from fastort import _engine


class Others(_engine.RunOptions):
    pass


value = fastort.OrtValue.ortvalue_from_numpy(numpy.ones(3, numpy.float32))
session = fastort.InferenceSession(MODEL)
wholes = [_engine.Flag(), fastort.RunOptions(), value._ortvalue, session._sess]
for name, trick in TRICKS.items():
    for whole in wholes:
        kind = type(whole)
        base = kind.__base__
        other = _engine.RunOptions if kind is not _engine.RunOptions else _engine.Flag
        print(name, kind.__name__, end=": ", flush=True)
        try:
            print("made", eval(trick))
        except TypeError as error:
            print(error)
value.numpy(), session.get_inputs(), fastort.RunOptions().logid
"""


def test_tricks_are_exceptions() -> None:
    program = PROGRAM.replace("MODEL", repr(models.negate())).replace("TRICKS", repr(TRICKS))
    path = os.pathsep.join([str(Path(fastort.__file__).parent.parent), *os.environ.get("PYTHONPATH", "").split(":")])
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout.splitlines()
    assert len(said) == 4 * len(TRICKS), done.stdout
    assert not [line for line in said if ": made " in line]


def test_classes_of_ones_own_are_whole() -> None:
    class Options(fastort.RunOptions):
        def __init__(self, tag: str) -> None:
            self.tag = tag  # the base's __init__ is not called

    options = Options("a")
    options.logid = "b"
    assert (options.tag, options.logid, options.terminate) == ("a", "b", False)


def test_other_modules_objects_are_made_as_before() -> None:
    """pybind11 shares its common base among modules that were built with the same version of it."""
    schema = onnx.defs.OpSchema("Name", "domain", 1)
    assert schema.name == "Name"
