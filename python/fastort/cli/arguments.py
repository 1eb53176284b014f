"""The arguments that commands share, and what is made of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from .. import GraphOptimizationLevel, InferenceSession, SessionOptions
from ..analysis import load_feeds, random_feeds
from ..analysis._feeds import id_bounds
from .checks import model_file

ModelPath = Annotated[
    Path, typer.Argument(help="The ONNX file.", show_default=False, metavar="MODEL", callback=model_file)
]
Inputs = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        "-i",
        help="Values of the inputs: an .npz, .npy or .pb file, with NAME= in front where it is for one input. "
        "May be given several times; inputs that no file has are random.",
        metavar="FILE",
        show_default=False,
    ),
]
Dims = Annotated[
    list[str] | None,
    typer.Option(
        "--dim",
        "-d",
        help="Size of a symbolic dimension, as batch=8. Others are 1.",
        metavar="NAME=SIZE",
        show_default=False,
    ),
]
Shapes = Annotated[
    list[str] | None,
    typer.Option("--shape", help="Shape of an input, as image=1x3x224x224.", metavar="NAME=AxBxC", show_default=False),
]
Seed = Annotated[int, typer.Option("--seed", help="Seed of the random inputs.", metavar="N")]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads", "-t", help="Threads of one run; 0 takes every CPU.", min=0, show_default=False, metavar="N"
    ),
]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        help="Session options as JSON, as `fastort tune` writes them.",
        show_default=False,
        metavar="FILE",
    ),
]
Provider = Annotated[
    list[str] | None,
    typer.Option(
        "--provider",
        "-p",
        help="Execution provider, the preferred one first: cpu, vulkan, or a full name; with options as "
        "vulkan:enable_fp16=storage,device_id=1.",
        metavar="NAME[:OPTIONS]",
        show_default=False,
    ),
]
Disabled = Annotated[
    list[str] | None,
    typer.Option("--disable", help="Name of a rewrite to switch off.", metavar="PASS", show_default=False),
]
JsonFile = Annotated[
    Path | None, typer.Option("--json", help="Write the numbers to this file.", show_default=False, metavar="FILE")
]

LEVELS = {
    "none": GraphOptimizationLevel.ORT_DISABLE_ALL,
    "basic": GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "extended": GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "all": GraphOptimizationLevel.ORT_ENABLE_ALL,
}


def level_of(name: str) -> GraphOptimizationLevel:
    """Returns the optimization level of a name.

    Raises:
        typer.BadParameter: If there is none.
    """
    if name not in LEVELS:
        raise typer.BadParameter(f"'{name}' is none of: {', '.join(LEVELS)}")
    return LEVELS[name]


def _pairs(texts: Sequence[str] | None, option: str, form: str) -> list[tuple[str, str]]:
    pairs = []
    for text in texts or ():
        name, equals, value = text.rpartition("=")
        if not equals or not name or not value:
            raise typer.BadParameter(f"{option} takes {form}, not '{text}'")
        pairs.append((name, value))
    return pairs


def _size(text: str, option: str) -> int:
    if not text.isdecimal():
        raise typer.BadParameter(f"{option}: '{text}' is no size")
    return int(text)


def dims_of(texts: Sequence[str] | None) -> dict[str, int]:
    """Reads ``batch=8``."""
    return {name: _size(value, "--dim") for name, value in _pairs(texts, "--dim", "NAME=SIZE")}


def shapes_of(texts: Sequence[str] | None) -> dict[str, list[int]]:
    """Reads ``image=1x3x224x224``."""
    pairs = _pairs(texts, "--shape", "NAME=AxBxC")
    return {name: [_size(part, "--shape") for part in value.replace(",", "x").split("x")] for name, value in pairs}


def make_options(
    config: Path | None = None, threads: int | None = None, disabled: Sequence[str] | None = None
) -> SessionOptions:
    """Returns a session's options: those of a file, changed by what the command line says."""
    options = SessionOptions.from_file(config) if config is not None else SessionOptions()
    if threads is not None:
        options.intra_op_num_threads = threads
    options.disabled_passes = [*options.disabled_passes, *(disabled or ())]
    return options


def make_feeds(
    model: Path,
    session: InferenceSession,
    files: Sequence[str] | None = None,
    dims: Sequence[str] | None = None,
    shapes: Sequence[str] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Returns a value for each input of a session: those of files, and random ones for the rest."""
    inputs = session.get_inputs()
    given = load_feeds(files or (), [*inputs, *session.get_overridable_initializers()])
    made = random_feeds(inputs, dims_of(dims), shapes_of(shapes), seed, id_bounds(model))
    return made | given


def describe_feeds(feeds: dict[str, Any]) -> str:
    """Returns the inputs' shapes and types in one line."""
    parts = []
    for name, value in feeds.items():
        shape = getattr(value, "shape", None)
        parts.append(f"{name} {value.dtype}{list(shape)}" if shape is not None else f"{name} ({type(value).__name__})")
    return ", ".join(parts)
