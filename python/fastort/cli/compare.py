"""``fastort compare``: whether two models, providers or engines agree, and where they part."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from .. import InferenceSession
from ..analysis._files import open_contents
from ..analysis._probe import Feeds, Run
from ..testing import compare_models
from . import DIFFERENT
from .arguments import Dims, Inputs, ModelPath, Seed, Shapes, make_feeds
from .bench import PeerPythons
from .checks import Provider, model_file, names_provider, provider_of
from .console import say, table, working
from .peers import ENGINES, choose_peers, run_on


def compare(
    model: ModelPath,
    other: Annotated[
        str,
        typer.Argument(
            help="Another ONNX file; or an engine, onnxruntime or openvino; or an execution provider of fastort, "
            "as vulkan or vulkan:enable_fp16=storage.",
            metavar="OTHER",
        ),
    ] = "onnxruntime",
    rtol: Annotated[float, typer.Option(help="Relative tolerance.", min=0, metavar="X")] = 1e-3,
    atol: Annotated[float, typer.Option(help="Absolute tolerance.", min=0, metavar="X")] = 1e-4,
    intermediates: Annotated[bool, typer.Option(help="Find the first intermediate tensor that differs.")] = True,
    input: Inputs = None,
    dim: Dims = None,
    shape: Shapes = None,
    seed: Seed = 0,
    peer_python: PeerPythons = None,
) -> None:
    """Compare the outputs of MODEL with those of OTHER on the same inputs; exit with 1 where they differ.

    Where outputs differ, the first intermediate tensor is named at which the two part.
    """
    with InferenceSession(model) as session:
        feeds = make_feeds(model, session, input, dim, shape, seed)
    second: Path = model
    run_other = None
    if other in ENGINES:
        (peer,) = choose_peers([other], peer_python or ())
        run_other = run_on(peer)
        names = ("fastort", other)
    elif names_provider(other):
        run_other = _run_with(provider_of(other))
        names = ("cpu", other)
    else:
        second = model_file(Path(other))
        names = (model.name, second.name) if model.name != second.name else (str(model), other)
    with working("comparing"):
        compared = compare_models(
            model, second, feeds, rtol=rtol, atol=atol, intermediates=intermediates, run_b=run_other, names=names
        )
    rows = [
        (
            found.name,
            "same" if found.max_abs == 0 else "close" if found.close else "DIFFERENT",
            f"{found.max_abs:.2e}",
            f"{found.max_rel:.2e}",
            f"{found.cosine:.7f}",
        )
        for found in compared.outputs
    ]
    table(("output", "", "max abs error", "max rel error", "cosine"), rows, left=2)
    say()
    say(str(compared) if not compared else str(compared).splitlines()[0])
    if not compared:
        raise typer.Exit(DIFFERENT)


def _run_with(provider: Provider) -> Run:
    def run(contents: bytes, names: Sequence[str], feeds: Feeds) -> list[Any]:
        with open_contents(contents, providers=[provider]) as session:
            return session.run(names, feeds)

    return run
