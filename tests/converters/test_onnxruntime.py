"""Models that ONNX Runtime optimized or quantised give its own answers.

``onnxruntime_models.py`` makes them in an environment with onnxruntime and onnx, which ``FASTORT_QUANTIZER`` names by
its interpreter, and they are kept in the models' cache; without cache and environment the tests are skipped.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

import fastort
from tests.converters import agreement, onnxruntime_models, store, test_tf2onnx, torchvision_models, transformers_models

MAKER = Path(onnxruntime_models.__file__)
KERAS = ("mobilenet", "resnet", "unet", "waves")
TRANSFORMERS = ("bert", "gpt2", "llama", "vit")
CASES = [
    *((name, variant) for name in TRANSFORMERS for variant in ("extended", "tool", "dynamic", "qdq")),
    # Where a mask of -3e38 gives the logits their scale, as in BERT, ONNX Runtime's QLinearSoftmax of one item is 0.
    ("vit", "qoperator"),
    *((name, variant) for name in KERAS for variant in ("qdq", "qdq_channels", "qoperator")),
]


def source_of(name: str) -> tuple[Path, Path]:
    """Returns the paths of a converted model and of its samples."""
    if name in KERAS:
        path = test_tf2onnx.ensure(name)
        return path, path.with_suffix(".npz")
    models = (*transformers_models.MODELS, *torchvision_models.MODELS)
    (model,) = (model for model in models if model.name == name)
    folder = store.ensure(model, [store.TORCHSCRIPT])
    return folder / f"{store.TORCHSCRIPT.name}.onnx", folder / "samples.npz"


def ensure(name: str, variant: str) -> Path:
    """Returns the path of a variant, making it if ONNX Runtime is at hand; skips otherwise."""
    source, samples = source_of(name)
    digest = hashlib.sha256(MAKER.read_bytes() + source.read_bytes()).hexdigest()[:12]
    folder = store.export.cache_root() / "converters" / f"onnxruntime-{name}-{digest}"
    path = folder / f"{variant}.onnx"
    interpreter = os.environ.get("FASTORT_QUANTIZER", "")
    if not path.exists():
        if not interpreter:
            pytest.skip(f"{path} is not there, and FASTORT_QUANTIZER names no Python with onnxruntime and onnx")
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            command = [interpreter, MAKER, folder, source, samples, variant]
            made = subprocess.run(command, capture_output=True, text=True, check=False)
        assert made.returncode == 0, made.stderr[-2000:]
    return path


@pytest.mark.parametrize(("name", "variant"), CASES)
def test_agrees_with_onnx_runtime(name: str, variant: str) -> None:
    path = ensure(name, variant)
    session = fastort.InferenceSession(path, providers=["CPUExecutionProvider"])
    samples = store.read_samples(path.with_suffix(".npz"))
    if variant in ("extended", "tool"):
        agreement.check_samples(session, samples, rtol=1e-4, atol=1e-4)
        return
    # A value between two quanta may go to either; so does what is made of it.
    for feeds, want in samples:
        for output, got in zip(session.get_outputs(), session.run(None, feeds), strict=True):
            wanted = want[output.name]
            assert got.dtype == wanted.dtype
            assert got.shape == wanted.shape
            if wanted.size:
                assert np.max(np.abs(got - wanted)) <= 0.03 * np.max(np.abs(wanted)), output.name
                assert np.mean(np.abs(got - wanted)) <= 0.01 * np.max(np.abs(wanted)), output.name
