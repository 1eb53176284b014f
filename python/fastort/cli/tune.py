"""``fastort tune``: finds the options with which a model runs fastest on this machine."""

from __future__ import annotations

import importlib.util
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from .. import InferenceSession, __version__, get_available_providers
from .._engine import cpu_name
from .._options_file import options_as_dict, write_options
from .._providers import CPU
from .arguments import Dims, Inputs, ModelPath, Seed, Shapes, describe_feeds, make_feeds
from .checks import Provider, check_writable, providers_of
from .console import milliseconds, progress, say, table, working
from .search import Search


def tune(
    model: ModelPath,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The JSON file to write; by default MODEL.tuned.json.", show_default=False),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option("--report", help="The HTML report to write; by default beside the JSON file.", show_default=False),
    ] = None,
    seconds: Annotated[
        float, typer.Option("--seconds", "-s", help="How long to search.", min=0.1, metavar="SECONDS")
    ] = 60.0,
    clients: Annotated[
        int, typer.Option("--clients", help="Tune the throughput of so many parallel requests.", min=1, metavar="N")
    ] = 1,
    cache_dir: Annotated[
        Path | None,
        typer.Option(
            "--cache-dir",
            help="Also try kernels by measurement; their times, and packed weights, are kept in this folder.",
            show_default=False,
        ),
    ] = None,
    provider: Annotated[
        list[str] | None,
        typer.Option(
            "--provider",
            "-p",
            help="A provider to try beside the CPU, as vulkan:device_id=1; by default all that serve here. On vulkan, "
            "float16 is tried too.",
            metavar="NAME[:OPTIONS]",
            show_default=False,
        ),
    ] = None,
    rtol: Annotated[
        float, typer.Option(help="How far outputs may be from those of the defaults, relative.", metavar="X")
    ] = 1e-3,
    atol: Annotated[float, typer.Option(help="How far they may be, absolute.", metavar="X")] = 1e-4,
    input: Inputs = None,
    dim: Dims = None,
    shape: Shapes = None,
    seed: Seed = 0,
) -> None:
    """Find the options with which a model runs fastest here.

    Threads, providers, precision, kernels and rewrites are tried, and the best written as JSON, with a report. Use them
    with `fastort.SessionOptions.from_file("MODEL.tuned.json")`, or --config of the other commands.

    Precision is float32 or float16 on a GPU. The CPU computes in the types of the model; what rounds otherwise there
    are Winograd's convolutions, without which convolutions are tried too.
    """
    output = output or model.with_name(f"{model.stem}.tuned.json")
    report = report or output.with_suffix(".html")
    check_writable(output, report)
    providers = dict(_named(entry) for entry in providers_of(provider or get_available_providers()) or ())
    providers.pop(CPU, None)
    with working("loading"), InferenceSession(model) as session:
        feeds = make_feeds(model, session, input, dim, shape, seed)
    with progress("tuning", seconds) as tell:
        search = Search(model, feeds, seconds, clients, (rtol, atol), providers, cache_dir, tell)
        search.run()
    notes = {
        "tuned": {
            "fastort": __version__,
            "processor": cpu_name(),
            "model": model.name,
            "inputs": describe_feeds(feeds),
            "clients": clients,
            "times_as_fast": round(search.gain(), 4),
            "median_ms": {name: round(statistics.median(times) * 1e3, 6) for name, times in search.final.items()},
        }
    }
    rows = []
    for trial in search.trials:
        took = milliseconds(statistics.median(trial.times)) if trial.times else ""
        ratio = f"{trial.ratio:.3f}" if trial.times else ""
        rows.append((trial.text, took, ratio, "kept" if trial.kept else "", trial.note))
    table(("tried", "median ms", "of the best so far", "", ""), rows)
    say()
    if not search.finished:
        say("the time did not suffice for all that could be tried; --seconds gives more")
    chosen = _settings(options_as_dict(search.best))
    if search.gain() > 1:
        settings = ", ".join(f"{name}={value}" for name, value in chosen.items())
        say(f"{search.gain():.2f} times as fast as the default options: {settings}")
    else:
        say("nothing was faster than the default options")
    write_options(search.best, output, **notes)
    say(f"wrote {output}")
    if importlib.util.find_spec("matplotlib") is None:
        say("no report: its plots need matplotlib, pip install 'fastort[cli]'")
        return
    from .report import write_report

    write_report(report, search, notes["tuned"], chosen)
    say(f"wrote {report}")


def _named(provider: Provider) -> tuple[str, Mapping[str, str]]:
    return (provider, {}) if isinstance(provider, str) else provider


def _settings(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what an options file sets, in one table."""
    found = {**stored["session_options"], **stored.get("config_entries", {})}
    for name, options in stored.get("providers", {}).items():
        found["provider"] = name + "".join(f" {key}={value}" for key, value in options.items())
    return found
