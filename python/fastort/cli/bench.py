"""``fastort bench``: how fast a model runs, and beside what."""

from __future__ import annotations

import json
import os
import time
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from .. import InferenceSession
from .arguments import (
    Config,
    Dims,
    Inputs,
    JsonFile,
    ModelPath,
    Provider,
    Seed,
    Shapes,
    Threads,
    describe_feeds,
    make_feeds,
    make_options,
)
from .checks import check_writable, providers_of
from .console import heading, milliseconds, progress, say, table, working
from .measure import at_once, histogram, summary, take_turns, timed
from .peers import PeerProcess, choose_peers

OURS = "fastort"
Peers = Annotated[
    list[str] | None,
    typer.Option(
        "--peer",
        help="Compare with onnxruntime, openvino, opencv, all of these that are installed (the default), or none. "
        "Engines that want the model converted first are no peers: they would run another model.",
        metavar="NAME",
        show_default=False,
    ),
]
PeerPythons = Annotated[
    list[str] | None,
    typer.Option("--peer-python", help="An interpreter that has a peer.", metavar="PATH", show_default=False),
]


def bench(
    model: ModelPath,
    seconds: Annotated[
        float, typer.Option("--seconds", "-s", help="How long each engine runs.", min=0.01, metavar="SECONDS")
    ] = 3.0,
    clients: Annotated[
        list[int] | None,
        typer.Option(
            "--clients", help="Parallel requests, for the throughput.", min=1, show_default="1, 2, 4", metavar="N"
        ),
    ] = None,
    peer: Peers = None,
    peer_python: PeerPythons = None,
    operators: Annotated[bool, typer.Option(help="Show what each operator takes.")] = True,
    input: Inputs = None,
    dim: Dims = None,
    shape: Shapes = None,
    seed: Seed = 0,
    provider: Provider = None,
    threads: Threads = None,
    config: Config = None,
    json_file: JsonFile = None,
) -> None:
    """Measure latency and throughput, beside the other engines.

    What each operator takes is told, too. Engines take turns in short slices, each in a process of its own.
    """
    check_writable(json_file)
    peers = choose_peers(peer or (), peer_python or ())
    options = make_options(config, threads)
    started = time.perf_counter()
    with ExitStack() as stack:
        waiting = stack.enter_context(ExitStack())
        doing = waiting.enter_context(working("loading"))
        session = stack.enter_context(InferenceSession(model, options, providers=providers_of(provider)))
        created = time.perf_counter()
        feeds = make_feeds(model, session, input, dim, shape, seed)
        call = partial(session.run, None, feeds)
        begin = time.perf_counter()
        call()
        starts = {OURS: (created - started, time.perf_counter() - begin)}
        engines = {OURS: timed(call)}
        processes: dict[str, PeerProcess] = {}
        failed: dict[str, str] = {}
        for found in peers:
            doing(f"loading on {found.engine}")
            try:
                process = stack.enter_context(PeerProcess(found, model, feeds, options.intra_op_num_threads))
            except (RuntimeError, ValueError) as error:
                failed[found.engine] = str(error)
                continue
            name = f"{found.engine} {process.start['version'].split('-')[0]}"
            processes[name] = process
            engines[name] = process.run
            starts[name] = (process.start["create_s"], process.start["first_s"])
        waiting.close()
        counts = clients or [1, 2, 4]
        span = min(1.0, seconds)
        total = seconds * len(engines) + span * len(counts) * len(engines)
        with progress("latency", total) as tell:
            times = take_turns(engines, seconds * len(engines), tell=lambda done: tell(done, ""))
            done = seconds * len(engines)
            rates: dict[str, list[float]] = {name: [] for name in engines}
            for number in counts:
                for name in engines:
                    tell(done, f"throughput, {number} at once")
                    process_of = processes.get(name)
                    rate = process_of.at_once(number, span) if process_of else at_once(call, number, span)
                    rates[name].append(rate)
                    done += span
        profile = session.profile(feeds) if operators else None
    summaries = {name: summary(values) for name, values in times.items()}

    say(f"{Path(model).name} on {describe_feeds(feeds)}; {_threads(options.intra_op_num_threads)}")
    heading("latency in ms" + (", and as a ratio to fastort's median" if len(summaries) > 1 else ""))
    ours = summaries[OURS].median
    columns = ("engine", "median", "p90", "p99", "fastest", "mean", "runs", "create", "first run", "ratio")
    rows = []
    for name, told in summaries.items():
        numbers = (told.median, told.p90, told.p99, told.fastest, told.mean)
        start = (milliseconds(value) for value in starts[name])
        ratio = "" if name == OURS else f"{told.median / ours:.2f}"
        rows.append((name, *map(milliseconds, numbers), told.runs, *start, ratio))
    table(columns if len(rows) > 1 else columns[:-1], rows if len(rows) > 1 else [row[:-1] for row in rows])
    for name, why in failed.items():
        say(f"{name} is left out: {why.removeprefix(name + ': ')}")
    heading("fastort's runs by latency")
    for low, high, number, bar in histogram(times[OURS]):
        say(f"{milliseconds(low):>9} to {milliseconds(high):>9} ms {number:6}  {bar}")
    heading("throughput in runs a second")
    table(
        ("engine", *(f"{number} at once" for number in counts)),
        [(name, *(f"{rate:.4g}" for rate in values)) for name, values in rates.items()],
    )
    by_operator: list[dict[str, Any]] = []
    if profile is not None:
        heading("what each operator takes")
        found_operators = profile.operators()
        whole = sum(entry.total_ms for entry in found_operators) or 1.0
        by_operator = [
            {"operator": e.op_type, "calls": e.calls / profile.runs, "ms": e.total_ms / profile.runs}
            for e in found_operators
        ]
        shown = [
            (e["operator"], f"{e['calls']:g}", f"{e['ms']:.3f}", f"{e['ms'] * profile.runs / whole:.1%}")
            for e in by_operator
        ]
        table(("operator", "calls a run", "ms a run", "share"), shown)
    if json_file:
        facts = {
            "model": str(model),
            "latency_s": {name: asdict(told) for name, told in summaries.items()},
            "create_s": {name: pair[0] for name, pair in starts.items()},
            "first_run_s": {name: pair[1] for name, pair in starts.items()},
            "clients": counts,
            "runs_a_second": rates,
            "operators": by_operator,
            "failed": failed,
        }
        json_file.write_text(json.dumps(facts, indent=1) + "\n")


def _threads(number: int) -> str:
    return f"{number} threads" if number else f"all threads ({len(os.sched_getaffinity(0))} CPUs)"
