"""``fastort run``: one run of a model."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from .. import InferenceSession
from ..analysis import save_outputs
from ..analysis._feeds import OUTPUT_KINDS
from .arguments import Config, Dims, Inputs, ModelPath, Provider, Seed, Shapes, Threads, make_feeds, make_options
from .checks import check_writable, providers_of
from .console import milliseconds, say, table, working


def run(
    model: ModelPath,
    input: Inputs = None,
    dim: Dims = None,
    shape: Shapes = None,
    seed: Seed = 0,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Save the outputs to this .npz, .npy or .pb file.", show_default=False),
    ] = None,
    fetch: Annotated[
        list[str] | None,
        typer.Option(
            "--fetch",
            help="Name of an output, or of any tensor of the model; all outputs by default.",
            show_default=False,
        ),
    ] = None,
    provider: Provider = None,
    threads: Threads = None,
    config: Config = None,
) -> None:
    """Run a model once and show or save its outputs.

    Inputs that no file gives are random.
    """
    check_writable(output)
    if output and output.suffix not in OUTPUT_KINDS:
        raise ValueError(f"'{output}': outputs are written to .npz, .npy and .pb files")
    started = time.perf_counter()
    with (
        working("loading") as tell,
        InferenceSession(model, make_options(config, threads), providers=providers_of(provider)) as session,
    ):
        created = time.perf_counter()
        feeds = make_feeds(model, session, input, dim, shape, seed)
        names = fetch or [arg.name for arg in session.get_outputs()]
        tell("running")
        begin = time.perf_counter()
        values = session.run(names, feeds)
        ended = time.perf_counter()
    table(("input", "type", "shape", "values"), [_row(name, value) for name, value in feeds.items()], left=4)
    say()
    table(("output", "type", "shape", "values"), [_row(*pair) for pair in zip(names, values, strict=True)], left=4)
    say()
    say(f"loaded in {milliseconds(created - started)} ms, first run in {milliseconds(ended - begin)} ms")
    if output:
        save_outputs(str(output), names, values)
        say(f"wrote {output}")


def _row(name: str, value: Any) -> tuple[str, str, str, str]:
    if not isinstance(value, np.ndarray):
        shape = f"{len(value)} items" if isinstance(value, list | dict) else ""
        return name, type(value).__name__, shape, ""
    return name, "string" if value.dtype == object else str(value.dtype), str(list(value.shape)), _summary(value)


def _summary(value: np.ndarray[Any, Any]) -> str:
    if not value.size:
        return "empty"
    if value.size <= 6 or value.dtype == object:
        shown = ", ".join(
            f"{item:.6g}" if isinstance(item, float) else str(item) for item in value.ravel()[:6].tolist()
        )
        return shown + (", ..." if value.size > 6 else "")
    if value.dtype.kind in "bc":
        return ""
    wide = value.astype(np.float64)
    text = f"{wide.min():.4g} to {wide.max():.4g}, mean {wide.mean():.4g}"
    broken = int(np.count_nonzero(~np.isfinite(wide)))
    return text + (f", {broken} of {value.size} not finite" if broken else "")
