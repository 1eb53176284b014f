"""``fastort explain``: where each node runs, with which kernel, and why not with another."""

from __future__ import annotations

from typing import Annotated

import typer

from .. import InferenceSession
from .arguments import Config, Dims, Inputs, ModelPath, Provider, Seed, Shapes, Threads, make_feeds, make_options
from .checks import providers_of
from .console import say, working


def explain(
    model: ModelPath,
    input: Inputs = None,
    dim: Dims = None,
    shape: Shapes = None,
    seed: Seed = 0,
    graph: Annotated[bool, typer.Option("--graph", help="Print the rewritten graph too, one line a node.")] = False,
    provider: Provider = None,
    threads: Threads = None,
    config: Config = None,
) -> None:
    """Tell where each node runs, with which kernel, and why.

    Kernels depend on shapes: the model is run once, on given or random inputs.
    """
    with InferenceSession(model, make_options(config, threads), providers=providers_of(provider)) as session:
        with working("running"):
            session.run(None, make_feeds(model, session, input, dim, shape, seed))
        say(session.explain().rstrip())
        if graph:
            say()
            say(session.print_graph().rstrip())
