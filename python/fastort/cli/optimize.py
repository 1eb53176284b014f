"""``fastort optimize``: writes the model as the engine rewrites it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .. import InferenceSession
from ..analysis import load_model
from ..testing import compare_models
from . import DIFFERENT
from .arguments import Dims, Disabled, Inputs, ModelPath, Seed, Shapes, level_of, make_feeds, make_options
from .console import say, size, table


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
    """Write the rewritten model to a file, and check that it computes the same."""
    if output.exists() and output.samefile(model):
        raise ValueError(f"'{output}' is the model itself")
    options = make_options(disabled=disable)
    options.graph_optimization_level = level_of(level)
    options.optimized_model_filepath = str(output)
    with InferenceSession(model, options) as session:
        feeds = make_feeds(model, session, input, dim, shape, seed)
        changes = [(name, number) for name, number, _ in session._sess.passes() if number]
    before, after = (load_model(path, weights=False) for path in (model, output))
    table(
        ("", "before", "after"),
        [
            ("nodes", len(before.graph.node), len(after.graph.node)),
            ("file", size(model.stat().st_size), size(output.stat().st_size)),
        ],
    )
    say()
    table(("rewrite", "changes"), changes)
    say()
    say(f"wrote {output}")
    if check:
        compared = compare_models(output, model, feeds, names=(output.name, model.name), rtol=1e-3, atol=1e-4)
        say(str(compared))
        if not compared:
            raise typer.Exit(DIFFERENT)
