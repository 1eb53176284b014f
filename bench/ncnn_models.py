"""Makes the models that ncnn runs: the zoo's modules traced by PyTorch and converted by pnnx.

They lie beside the ONNX files in the cache, whose folder is named by the hash of what built them.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from tests.models import zoo

FIND = "import importlib.util as u; print(u.find_spec('pnnx').submodule_search_locations[0] + '/pnnx')"
SHORT = {"float32": "f32", "int64": "i64", "int32": "i32"}


class NotConvertedError(Exception):
    """pnnx has no form of a model; the message says why."""


def traced(model: zoo.Model, batch: int, path: Path) -> None:
    """Traces a module with the inputs of a batch and writes it as TorchScript."""
    import torch

    module = model.build()
    if not isinstance(module, torch.jit.ScriptModule):
        args = tuple(torch.from_numpy(array) for array in model.feeds(batch).values())
        with torch.inference_mode():
            module = torch.jit.trace(module.eval(), args, check_trace=False)
    torch.jit.save(module, str(path))


def ensure(python: str, name: str, folder: Path, sample: Path) -> Path:
    """Converts what the cache lacks.

    Args:
        python: Interpreter of the environment that has pnnx.
        name: Model of the zoo.
        folder: The model's folder in the cache.
        sample: The inputs, whose shapes the converted model is made for.

    Returns:
        The folder with ``model.ncnn.param``, ``model.ncnn.bin`` and ``model_ncnn.py``.

    Raises:
        NotConvertedError: Where the name is no model of the zoo, or pnnx does not convert it.
    """
    model = next((model for model in zoo.MODELS if model.name == name), None)
    if model is None:
        raise NotConvertedError("pnnx converts modules of the zoo alone")
    made = folder / f"ncnn-{sample.stem}"
    if made.exists():
        return made
    with np.load(sample) as stored:
        feeds = [stored[key] for key in stored.files if key.startswith("in_")]
    shapes = ",".join(str(list(array.shape)).replace(" ", "") + SHORT[array.dtype.name] for array in feeds)
    pnnx = subprocess.run([python, "-c", FIND], check=True, capture_output=True, text=True).stdout.strip()
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        traced(model, len(feeds[0]), Path(scratch) / "model.pt")
        command = [pnnx, "model.pt", f"inputshape={shapes}", "fp16=0"]
        done = subprocess.run(command, cwd=scratch, capture_output=True, text=True)
        if done.returncode or not (Path(scratch) / "model.ncnn.bin").exists():
            raise NotConvertedError(f"pnnx: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}")
        kept = Path(scratch) / "kept"
        kept.mkdir()
        for part in ("model.ncnn.param", "model.ncnn.bin", "model_ncnn.py"):
            shutil.move(Path(scratch) / part, kept / part)
        kept.rename(made)
    return made
