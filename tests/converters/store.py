"""Keeps converted models, their inputs and their origin's outputs in the cache that the model zoo uses.

    python tests/converters/store.py                # what the quick tests need
    python tests/converters/store.py --full         # everything
    python tests/converters/store.py gpt2 t5        # the models whose names begin so

A model's folder is named by the hash of the code that builds and exports it and of the versions of the packages
that do. It holds ``<variant>.onnx`` and ``samples.npz`` with every sample's inputs and the origin's outputs.
"""

from __future__ import annotations

import argparse
import ast
import fcntl
import hashlib
import importlib.metadata
import inspect
import sys
import time
import types
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.models import export, zoo

if TYPE_CHECKING:
    import torch

Feeds = dict[str, np.ndarray]

DYNAMO = export.Variant(dynamo=True, opset=23)
DYNAMO_18 = export.Variant(dynamo=True, opset=18)
TORCHSCRIPT = export.Variant(dynamo=False, opset=17)
PACKAGES = ("torch", "torchvision", "transformers", "onnx", "onnxscript")


@dataclass(frozen=True)
class Model:
    """A module that an exporter of PyTorch converts.

    Attributes:
        name: Name of the model and of its folder in the cache.
        build: Returns the seeded module in evaluation mode; its ``forward`` takes the feeds in their order.
        samples: Inputs of several sizes; the first is what the exporters trace.
        outputs: Names of the outputs, in the module's order.
        axes: Dynamic axes of inputs and outputs, by name.
        quick: Variants that the quick tier exports and runs.
        full: Variants that only the full tier does.
        rtol: Relative tolerance against PyTorch.
        atol: Absolute tolerance against PyTorch.
    """

    name: str
    build: Callable[[], torch.nn.Module]
    samples: Callable[[], list[Feeds]]
    outputs: tuple[str, ...]
    axes: dict[str, dict[int, str]] = field(default_factory=dict)
    quick: tuple[export.Variant, ...] = (DYNAMO, TORCHSCRIPT)
    full: tuple[export.Variant, ...] = (DYNAMO_18,)
    rtol: float = 1e-4
    atol: float = 1e-4


def sources_of(*functions: Callable[..., Any]) -> list[str]:
    """Returns the code of functions and of all that they name in their modules, however far away.

    As syntax trees, so that neither a comment nor a formatter's taste exports everything anew.
    """
    found: list[Any] = [inspect.unwrap(function) for function in functions]
    for function in found:
        module = inspect.getmodule(function)
        assert isinstance(module, types.ModuleType)
        names = {node.id for node in ast.walk(ast.parse(inspect.getsource(function))) if isinstance(node, ast.Name)}
        for name in sorted(names):
            other = inspect.unwrap(getattr(module, name, None))
            ours = getattr(other, "__module__", "").startswith("tests.")
            if ours and (inspect.isfunction(other) or inspect.isclass(other)) and other not in found:
                found.append(other)
    return [ast.dump(ast.parse(inspect.getsource(function))) for function in found]


def folder_of(name: str, packages: Iterable[str], *functions: Callable[..., Any], also: str = "") -> Path:
    """Returns the folder of what ``functions`` make with these versions of ``packages``."""
    parts = [f"{package} {importlib.metadata.version(package)}" for package in packages]
    parts += sources_of(*functions)
    digest = hashlib.sha256("\0".join([*parts, also]).encode()).hexdigest()[:12]
    return export.cache_root() / "converters" / f"{name}-{digest}"


def write_variant(model: Model, module: torch.nn.Module, variant: export.Variant, path: Path) -> None:
    """Exports a module to ``path``, with its dynamic axes."""
    import logging
    import warnings

    import torch

    feeds = model.samples()[0]
    args = tuple(torch.from_numpy(array) for array in feeds.values())
    options: dict[str, Any] = {}
    if variant.dynamo:
        dynamic = torch.export.Dim.DYNAMIC
        options["dynamic_shapes"] = tuple({axis: dynamic for axis in model.axes.get(name, {})} for name in feeds)  # noqa: C420
        options["external_data"] = False
    else:
        options["dynamic_axes"] = model.axes
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                module,
                args,
                str(path),
                dynamo=variant.dynamo,
                opset_version=variant.opset,
                input_names=list(feeds),
                output_names=list(model.outputs),
                verbose=False,
                **options,
            )
    finally:
        logging.disable(logging.NOTSET)


def write_samples(model: Model, module: torch.nn.Module, path: Path) -> None:
    """Stores every sample's inputs and PyTorch's outputs."""
    import torch

    stored: dict[str, np.ndarray] = {}
    for index, feeds in enumerate(model.samples()):
        with torch.no_grad():
            result = module(*(torch.from_numpy(array) for array in feeds.values()))
        results = (result,) if isinstance(result, torch.Tensor) else tuple(result)
        assert len(results) == len(model.outputs), f"{model.name} has {len(results)} outputs"
        stored |= {f"{index}/in/{name}": array for name, array in feeds.items()}
        stored |= {f"{index}/out/{name}": value.numpy() for name, value in zip(model.outputs, results, strict=True)}
    np.savez(path, **stored)


def read_samples(path: Path) -> list[tuple[Feeds, Feeds]]:
    """Returns the inputs and outputs of every stored sample."""
    samples: list[tuple[Feeds, Feeds]] = []
    with np.load(path) as stored:
        for key in stored.files:
            index, kind, name = key.split("/", 2)
            while len(samples) <= int(index):
                samples.append(({}, {}))
            samples[int(index)][kind == "out"][name] = stored[key]
    return samples


def ensure(model: Model, variants: Iterable[export.Variant], verbose: bool = False) -> Path:
    """Exports what the cache lacks of a model, and returns its folder."""
    facts = repr((model.axes, model.outputs))
    folder = folder_of(model.name, PACKAGES, model.build, model.samples, write_variant, write_samples, also=facts)
    exports = {folder / f"{variant.name}.onnx": variant for variant in variants}
    samples = folder / "samples.npz"
    if all(path.exists() for path in (*exports, samples)):
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        started = time.monotonic()
        module = model.build()
        if not samples.exists():
            with export.written(samples) as scratch:
                write_samples(model, module, scratch)
        for path, variant in exports.items():
            if not path.exists():
                with export.written(path) as scratch:
                    write_variant(model, module, variant, scratch)
        if verbose:
            print(f"{model.name}: {time.monotonic() - started:.0f} s -> {folder}", flush=True)
    return folder


def torch_models() -> tuple[Model, ...]:
    """Returns the models that PyTorch's exporters convert."""
    from tests.converters import torchvision_models, transformers_models

    return (*torchvision_models.MODELS, *transformers_models.MODELS)


def main() -> None:
    """Exports the named models, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="how the names of the models begin (default: all)")
    parser.add_argument("--full", action="store_true", help="what the full tier needs, too")
    options = parser.parse_args()
    zoo.allow_torchvision()
    for model in torch_models():
        if not options.names or model.name.startswith(tuple(options.names)):
            ensure(model, (*model.quick, *(model.full if options.full else ())), verbose=True)


if __name__ == "__main__":
    main()
