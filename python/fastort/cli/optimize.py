"""``fastort optimize``: writes the model as the engine rewrites it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from .. import InferenceSession, SessionOptions
from ..analysis import load_model
from ..analysis._files import bytes_of, name_of, nodes_of, weights_of
from ..testing import compare_models
from . import DIFFERENT
from .arguments import Dims, Disabled, Inputs, ModelPath, Seed, Shapes, level_of, make_feeds, make_options
from .checks import check_writable
from .console import say, size, table, working

_MAX_INSIDE = 1_900_000_000  # bytes of weights that fit into one file of ONNX, with the rest of the model


def optimize(
    model: ModelPath,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.", show_default=False)],
    level: Annotated[str, typer.Option("--level", help="How far to rewrite: basic, extended or all.")] = "extended",
    disable: Disabled = None,
    check: Annotated[bool, typer.Option(help="Run both models on random inputs and compare the outputs.")] = True,
    input: Inputs = None,
    dim: Dims = None,
    shape: Shapes = None,
    seed: Seed = 0,
) -> None:
    """Write the rewritten model, and check that it computes the same."""
    if output.exists() and output.samefile(model):
        raise ValueError(f"'{output}' is the model itself")
    check_writable(output)
    options = make_options()
    options.graph_optimization_level = level_of(level)
    with working("rewriting"):
        if disable:
            _check_names(disable, model, options)
            options.disabled_passes = list(disable)
        options.optimized_model_filepath = str(output)
        large = sum(map(bytes_of, weights_of(load_model(model, weights=False)))) > _MAX_INSIDE
        if large:
            options.add_session_config_entry(
                "session.optimized_model_external_initializers_file_name", f"{output.name}.data"
            )
        with InferenceSession(model, options) as session:
            feeds = make_feeds(model, session, input, dim, shape, seed)
    was, now = (Counter(map(name_of, nodes_of(load_model(path, weights=False).graph))) for path in (model, output))
    table(
        ("", "before", "after"),
        [
            ("nodes", was.total(), now.total()),
            ("file", size(model.stat().st_size), size(output.stat().st_size)),
        ],
    )
    say()
    changed = [(name, was[name], now[name]) for name in dict.fromkeys((*was, *now)) if was[name] != now[name]]
    if changed:
        table(("operator", "before", "after"), changed)
        say()
    beside = output.with_name(output.name + ".data")
    say(f"wrote {output}" + (f", and its weights to {beside}" if large else ""))
    say(_who_runs(now))
    if check:
        with working("comparing"):
            compared = compare_models(output, model, feeds, names=(output.name, model.name), rtol=1e-3, atol=1e-4)
        say(str(compared))
        if not compared:
            raise typer.Exit(DIFFERENT)


def _check_names(disable: list[str], model: Path, options: SessionOptions) -> None:
    with InferenceSession(model, options) as session:
        known = sorted({name for name, _, _ in session._sess.passes()})
    for name in disable:
        if name not in known:
            raise ValueError(f"there is no rewrite '{name}'; there are: {', '.join(known)}")


def _who_runs(operators: Iterable[str]) -> str:
    """Returns whether engines beside fastort can run a model of these operators."""
    others = sorted({name.rpartition(".")[0] for name in operators} - {"", "ai.onnx.ml"})
    if not others:
        return "it has operators of the ONNX standard alone, which other engines run too"
    return f"it has operators of {', '.join(others)} beside those of the ONNX standard: not every engine runs it"
