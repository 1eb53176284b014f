"""Keras models through tf2onnx agree with TensorFlow.

TensorFlow and the project's own packages do not share an environment. The models are made by ``keras_models.py`` in
one of their own (``FASTORT_TENSORFLOW`` names its interpreter; ``python -m venv X && X/bin/pip install tensorflow-cpu
tf2onnx`` makes one) and kept in the models' cache; without cache and environment the tests are skipped.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
from pathlib import Path

import pytest

import fastort
from tests.converters import agreement, keras_models, store

MAKER = Path(keras_models.__file__)


def folder() -> Path:
    """Returns the folder of the models that this version of their maker makes."""
    digest = hashlib.sha256(MAKER.read_bytes()).hexdigest()[:12]
    return store.export.cache_root() / "converters" / f"keras-{digest}"


def ensure(name: str) -> Path:
    """Returns the path of a converted model, making all that lack if TensorFlow is at hand; skips otherwise."""
    path = folder() / f"{name}.onnx"
    interpreter = os.environ.get("FASTORT_TENSORFLOW", "")
    if not path.exists():
        if not interpreter:
            pytest.skip(f"{path} is not there, and FASTORT_TENSORFLOW names no Python with tensorflow and tf2onnx")
        folder().mkdir(parents=True, exist_ok=True)
        with (folder() / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            made = subprocess.run([interpreter, MAKER, folder(), name], capture_output=True, text=True, check=False)
        assert made.returncode == 0, made.stderr[-2000:]
    return path


@pytest.mark.parametrize("name", keras_models.MODELS)
def test_agrees_with_tensorflow(name: str) -> None:
    path = ensure(name)
    session = fastort.InferenceSession(path, providers=["CPUExecutionProvider"])
    agreement.check_samples(session, store.read_samples(path.with_suffix(".npz")), rtol=1e-4, atol=1e-4)
