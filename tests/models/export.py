"""Exports the zoo with PyTorch's exporters and keeps the files, with PyTorch's outputs, outside the tree.

    python tests/models/export.py                 # what the quick tests need
    python tests/models/export.py --full          # every exporter and opset
    python tests/models/export.py resnet50 mlp    # these models alone

The cache is ``$FASTORT_MODELS`` (default: ``~/.cache/fastort/models``). A model's folder is named by
the hash of the code that builds and exports it and of the versions of the packages that do, so that
neither a changed builder nor another PyTorch finds a stale file. The folder holds ``<variant>.onnx``
and ``batch<n>.npz`` with the inputs and PyTorch's outputs for n samples.
"""

from __future__ import annotations

import argparse
import ast
import fcntl
import hashlib
import importlib.metadata
import inspect
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.models import zoo

if TYPE_CHECKING:
    import torch

BATCHES = (1, 2, 5)
PACKAGES = ("torch", "torchvision", "transformers", "onnx", "onnxscript")


@dataclass(frozen=True)
class Variant:
    """An exporter and the opset that it is asked for."""

    dynamo: bool
    opset: int

    @property
    def name(self) -> str:
        """Name of the variant, and of its file."""
        return f"{'dynamo' if self.dynamo else 'torchscript'}{self.opset}"


DYNAMO_NEWEST = Variant(dynamo=True, opset=23)
VARIANTS = (DYNAMO_NEWEST, Variant(True, 18), Variant(False, 17), Variant(False, 12))
QUICK_VARIANTS = (DYNAMO_NEWEST, Variant(False, 17))


def variants_of(model: zoo.Model, full: bool) -> tuple[Variant, ...]:
    """Returns the variants in which a model is exported."""
    chosen = VARIANTS if full else QUICK_VARIANTS
    return tuple(variant for variant in chosen if not (model.scripted and variant.dynamo))


def cache_root() -> Path:
    """Returns the folder that holds the exported models."""
    named = os.environ.get("FASTORT_MODELS")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fastort" / "models"


def called_by(*functions: Callable[..., Any]) -> list[Callable[..., Any]]:
    """Returns functions of the zoo and all of the zoo's functions that they name, however far away."""
    found = list(functions)
    for function in found:
        names = {node.id for node in ast.walk(ast.parse(inspect.getsource(function))) if isinstance(node, ast.Name)}
        others = [getattr(zoo, name) for name in sorted(names) if inspect.isfunction(getattr(zoo, name, None))]
        found += [other for other in others if other not in found]
    return found


def folder_of(model: zoo.Model) -> Path:
    """Returns the cache folder of a model."""
    parts = [f"{name} {importlib.metadata.version(name)}" for name in PACKAGES]
    codes = (*called_by(model.build, model.feeds), write_variant, write_outputs)
    # As a syntax tree, so that neither a comment nor a formatter's taste exports everything anew.
    parts += [ast.dump(ast.parse(inspect.getsource(code))) for code in codes]
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]
    return cache_root() / f"{model.name}-{digest}"


@contextmanager
def plain_attention(active: bool) -> Iterator[None]:
    """Writes attention out in operators that opset 12 has, because the exporter's own forms start later."""
    import torch
    from torch.nn import functional

    def attention(
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attn_mask: torch.Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
    ) -> torch.Tensor:
        if is_causal:
            raise NotImplementedError("causal attention in the plain form")
        scores = query @ key.transpose(-2, -1) * query.shape[-1] ** -0.5
        return torch.softmax(scores if attn_mask is None else scores + attn_mask, dim=-1) @ value

    def unflatten(tensor: torch.Tensor, dim: int, sizes: tuple[int, ...]) -> torch.Tensor:
        dim %= tensor.dim()
        return tensor.reshape(*tensor.shape[:dim], *sizes, *tensor.shape[dim + 1 :])

    originals = functional.scaled_dot_product_attention, torch.Tensor.unflatten
    if active:
        functional.scaled_dot_product_attention, torch.Tensor.unflatten = attention, unflatten
    try:
        yield
    finally:
        functional.scaled_dot_product_attention, torch.Tensor.unflatten = originals


def write_variant(model: zoo.Model, module: torch.nn.Module, variant: Variant, path: Path) -> None:
    """Exports a module to ``path``, with the batch as a dynamic dimension."""
    import torch

    # A sample of two: an exporter may take a dimension of one for a constant.
    feeds = model.feeds(2)
    args = tuple(torch.from_numpy(array) for array in feeds.values())
    axes = zoo.axes(model, feeds)
    options: dict[str, Any] = {}
    if variant.dynamo:
        batch = torch.export.Dim("batch", min=1, max=1024)
        options["dynamic_shapes"] = tuple({0: batch} for _ in feeds) if axes else None
        options["external_data"] = False
    elif axes:
        output_axis = 1 if model.name == "crnn" else 0
        options["dynamic_axes"] = {**axes, model.output: {output_axis: "batch"}}
    with plain_attention(not variant.dynamo and variant.opset < 14), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            args,
            str(path),
            dynamo=variant.dynamo,
            opset_version=variant.opset,
            input_names=list(feeds),
            output_names=[model.output],
            **({"verbose": False} | options),
        )


def write_outputs(model: zoo.Model, module: torch.nn.Module, batch: int, path: Path) -> None:
    """Stores a batch of inputs and PyTorch's output for it."""
    import torch

    feeds = model.feeds(batch)
    with torch.no_grad():
        output = module(*(torch.from_numpy(array) for array in feeds.values()))
    np.savez(
        path,
        **{f"in_{name}": array for name, array in feeds.items()},
        **{f"out_{model.output}": output.detach().numpy()},
    )


@contextmanager
def written(path: Path) -> Iterator[Path]:
    """Gives a temporary name that becomes ``path`` when all went well, so that no half-written file is found."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        scratch = Path(folder) / path.name
        yield scratch
        scratch.rename(path)


def ensure(model: zoo.Model, variants: Iterable[Variant], verbose: bool = False) -> Path:
    """Exports what the cache lacks of a model, and returns its folder."""
    folder = folder_of(model)
    exports = {folder / f"{variant.name}.onnx": variant for variant in variants}
    outputs = {folder / f"batch{batch}.npz": batch for batch in BATCHES}
    if all(path.exists() for path in (*exports, *outputs)):
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        started = time.monotonic()
        module = None
        for path, variant in exports.items():
            if not path.exists():
                module = module or model.build()
                with written(path) as scratch:
                    write_variant(model, module, variant, scratch)
        for path, batch in outputs.items():
            if not path.exists():
                module = module or model.build()
                with written(path) as scratch:
                    write_outputs(model, module, batch, scratch)
        if verbose:
            print(f"{model.name}: {time.monotonic() - started:.0f} s -> {folder}", flush=True)
    return folder


def path_of(name: str, variant: Variant = DYNAMO_NEWEST) -> Path:
    """Returns the path of an exported model, exporting it if need be."""
    return ensure(zoo.by_name(name), [variant]) / f"{variant.name}.onnx"


def sample_path(name: str, batch: int = 1) -> Path:
    """Returns the path of a model's inputs and PyTorch's output for a batch size, making it if need be."""
    model = zoo.by_name(name)
    path = ensure(model, []) / f"batch{batch}.npz"
    if not path.exists():
        with written(path) as scratch:
            write_outputs(model, model.build(), batch, scratch)
    return path


def sample_of(name: str, batch: int = 1) -> tuple[zoo.Feeds, np.ndarray]:
    """Returns a model's inputs for a batch size, and PyTorch's output for them."""
    model = zoo.by_name(name)
    with np.load(sample_path(name, batch)) as stored:
        feeds = {key.removeprefix("in_"): stored[key] for key in stored.files if key.startswith("in_")}
        return feeds, stored[f"out_{model.output}"]


def main() -> None:
    """Exports the named models, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="models to export (default: all)")
    parser.add_argument("--full", action="store_true", help="every exporter and opset")
    parser.add_argument("--print", action="store_true", help="print the models' folders and export nothing")
    options = parser.parse_args()
    for model in [zoo.by_name(name) for name in options.names] or zoo.MODELS:
        if options.print:
            print(folder_of(model))
        else:
            ensure(model, variants_of(model, options.full), verbose=True)


if __name__ == "__main__":
    main()
