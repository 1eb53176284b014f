"""``fastort compare``: whether two models, providers or engines agree, and where they part."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from .. import InferenceSession
from .._providers import CPU
from ..analysis._files import open_contents
from ..analysis._probe import Feeds, Run
from ..testing import compare_models
from . import DIFFERENT
from .arguments import Dims, Inputs, ModelPath, Seed, Shapes, make_feeds
from .bench import PeerPythons
from .checks import Provider, model_file, names_provider, provider_of
from .console import say, table, working
from .peers import ENGINES, choose_peers, run_on

# How a line of `explain` ends that is about a node: where it runs, and with which kernel.
_RAN_ON = re.compile(r"^  \S.*: (\w+ExecutionProvider), ", re.MULTILINE)


def compare(
    model: ModelPath,
    other: Annotated[
        str,
        typer.Argument(
            help="Another ONNX file; or an engine: onnxruntime, openvino or opencv; or a provider of fastort, "
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
    provider: Annotated[
        str | None,
        typer.Option(
            "--provider",
            "-p",
            help="Execution provider on which fastort runs MODEL, and OTHER where that is a file; the CPU by default. "
            "With another provider as OTHER, the two are compared.",
            metavar="NAME[:OPTIONS]",
            show_default=False,
        ),
    ] = None,
    peer_python: PeerPythons = None,
) -> None:
    """Compare the outputs of MODEL with those of OTHER.

    Both get the same inputs. Where outputs differ, the exit code is 1, and the first intermediate tensor is named at
    which the two part. Nodes that a provider does not take run on the CPU; how many do is told.
    """
    run_own = _RunWith(provider_of(provider)) if provider else None
    with InferenceSession(model) as session:
        feeds = make_feeds(model, session, input, dim, shape, seed)
    second: Path = model
    run_other: Run | None = None
    if other in ENGINES:
        (peer,) = choose_peers([other], peer_python or ())
        run_other = run_on(peer)
        names = (f"fastort on {provider}" if provider else "fastort", other)
    elif names_provider(other):
        run_other = _RunWith(provider_of(other))
        names = (provider or "cpu", other)
    else:
        second = model_file(Path(other))
        run_other = _RunWith(provider_of(provider)) if provider else None
        names = (model.name, second.name) if model.name != second.name else (str(model), other)
    with working("comparing"):
        compared = compare_models(
            model,
            second,
            feeds,
            rtol=rtol,
            atol=atol,
            intermediates=intermediates,
            run_a=run_own,
            run_b=run_other,
            names=names,
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
    for name, side in zip(names, (run_own, run_other), strict=True):
        if isinstance(side, _RunWith) and side.placement:
            say(f"{name}: {side.placement}")
    if not compared:
        raise typer.Exit(DIFFERENT)


class _RunWith:
    """Runs models on a provider.

    Attributes:
        placement: Of the first run, how many nodes each provider took; empty where it is the CPU alone.
    """

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self.placement = ""
        self._ran = False

    def __call__(self, contents: bytes, names: Sequence[str], feeds: Feeds) -> list[Any]:
        with open_contents(contents, providers=[self._provider]) as session:
            taken = {arg.name for arg in (*session.get_inputs(), *session.get_overridable_initializers())}
            values = session.run(names, {name: value for name, value in feeds.items() if name in taken})
            if not self._ran:
                counts = Counter(_RAN_ON.findall(session.explain()))
                if set(counts) - {CPU}:
                    self.placement = ", ".join(f"{number} nodes on {where}" for where, number in counts.items())
            self._ran = True
        return values
