"""Runs the models and workloads on fastort and on its peers, side by side, and writes a table and a plot.

    python bench/compare.py                                  # every model, 2 threads
    python bench/compare.py resnet50 mlp --threads 1 2 --engines fastort onnxruntime

Each engine has a process of its own, started from a virtual environment of its own: ``--peer NAME=PYTHON``, or
``FASTORT_PEER_<NAME>``, or what tools/peers.sh made; torch, TorchScript and fastort run in this one. The engines take
turns in short slices, so that a change of the machine's clock or load meets them all, and the medians over all slices
are compared. The table and the plot go to ``--out`` (default: demo_output).
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import ncnn_models, roofline, workloads
from bench.summary import OURS, markdown, verdict
from bench.worker import package_of
from fastort.analysis import count_flops
from fastort.cli.engine_process import EngineProcess, made_interpreter, named_interpreter
from tests.models import export, zoo

ENGINES = ("fastort", "onnxruntime", "openvino", "ncnn", "torch", "torchscript", "torchcompile", "lleaves")
ON_REQUEST = ("fastort-vulkan", "ncnn-vulkan")


def python_of(engine: str, named: dict[str, str]) -> str | None:
    """Returns the interpreter that has an engine, or ``None`` where none is known."""
    package = package_of(engine)
    found = named.get(package) or named_interpreter(package) or made_interpreter(package)
    return found or (sys.executable if package in (OURS, "torch") else None)


@dataclass
class Result:
    """What was measured of one engine on one model.

    Attributes:
        engine: Name of the engine.
        start: What the worker said when the model was ready.
        times: Seconds of each run.
        peak_mb: Peak memory of the process.
        roofs: What the machine did at its best beside the turns (see ``roofline.Roof``).
        error: Why there is no result, where there is none.
    """

    engine: str
    start: dict[str, Any] = field(default_factory=dict)
    times: list[float] = field(default_factory=list)
    peak_mb: float = float("nan")
    roofs: list[dict[str, float]] = field(default_factory=list)
    error: str | None = None

    @property
    def median(self) -> float:
        """Median of the runs in seconds."""
        return statistics.median(self.times) if self.times else float("nan")

    def roof_share(self, target: Target) -> float:
        """Returns the fraction of the roof that a run reaches: of the bandwidth of memory, or of the multiply-adds."""
        if not self.roofs or not self.times:
            return float("nan")
        if target.traffic:
            amount, name = target.traffic, "memory_gbps"
        elif target.operations > 1e6:
            amount, name = target.operations, "fma_gflops"
        else:
            return float("nan")
        return amount / 1e9 / self.median / statistics.median(roof[name] for roof in self.roofs)


@dataclass
class Target:
    """What is measured: a model of the zoo or a workload.

    Attributes:
        name: Its name.
        model: The ONNX file.
        sample: The file of its requests.
        settings: How they are sent (see workloads.py).
        operations: Floating-point operations of a run, 0 where they are not counted.
        traffic: Bytes that a run must move, 0 where memory is not what bounds it.
    """

    name: str
    model: Path
    sample: Path
    settings: dict[str, Any] = field(default_factory=dict)
    operations: float = 0.0
    traffic: int = 0


def target_of(name: str, variant: export.Variant, batch: int) -> Target:
    """Finds a workload or a model by name, and exports what the cache lacks."""
    workload = workloads.by_name(name)
    if workload:
        folder = workloads.ensure(workload)
        counted = workloads.operations(workload, folder)
        files = folder / "model.onnx", folder / "requests.npz"
        return Target(name, *files, workload.settings, counted, workload.traffic)
    model = zoo.by_name(name)
    if variant not in export.variants_of(model, full=True):
        variant = export.VARIANTS[2]
    operations = 0.0
    if not model.scripted:
        operations = count_flops(export.path_of(name), export.sample_of(name, batch)[0]).flops
    path = export.path_of(name, variant)
    return Target(name, path, export.sample_path(name, batch), operations=operations)


class Worker:
    """A model on one engine, in a process of its own; a failure is noted in the result and ends its part."""

    def __init__(self, python: str, engine: str, target: Target, threads: int) -> None:
        self.result = Result(engine)
        self.process: EngineProcess | None = None
        model = target.model
        try:
            if package_of(engine) == "ncnn":
                model = ncnn_models.ensure(python, target.name, target.model.parent, target.sample)
            script = Path(__file__).with_name("worker.py")
            arguments = [str(script), engine, target.name, str(model), str(target.sample)]
            arguments += ["--threads", str(threads), "--settings", json.dumps(target.settings)]
            self.process = EngineProcess(engine, python, arguments, {"OMP_NUM_THREADS": str(threads)})
            self.result.start = self.process.start
        except (ncnn_models.NotConvertedError, RuntimeError) as error:
            self.note(error)

    def note(self, error: Exception) -> None:
        """Notes why the engine takes no further part."""
        self.result.error = str(error).removeprefix(f"{self.result.engine}: ")

    def ask(self, line: str) -> dict[str, Any] | None:
        """Sends a line and reads the answer; ``None`` where the engine has failed."""
        if self.process is None or self.result.error:
            return None
        try:
            return self.process.ask(line)
        except RuntimeError as error:
            self.note(error)
            return None

    def run(self, count: int) -> list[float]:
        """Runs ``count`` times and returns the seconds of each, none where the engine failed."""
        reply = self.ask(f"run {count}")
        return reply["times"] if reply else []

    def close(self) -> Result:
        """Ends the process and returns its result."""
        reply = self.ask("quit")
        if reply:
            self.result.peak_mb = reply["peak_mb"]
        if self.process is not None:
            self.process.close()
        return self.result


def measure(workers: list[Worker], rounds: int, slice_s: float, roof: roofline.Roof | None) -> None:
    """Lets the workers take turns, each for about ``slice_s`` seconds a turn."""
    if not workers:
        return
    counts = {}
    for worker in workers:
        once = worker.run(1)
        if once and once[0] > slice_s:
            counts[worker.result.engine] = 1
            rounds = min(rounds, max(2, round(10 * slice_s / once[0])))
        else:
            once += worker.run(3)
            counts[worker.result.engine] = max(2, min(5000, round(slice_s / min(once)))) if once else 0
    for turn in range(rounds):
        # Another order each time, so that nobody always follows the same one.
        for worker in workers[turn % len(workers) :] + workers[: turn % len(workers)]:
            time.sleep(0.02)  # the one before stops spinning
            count = counts[worker.result.engine]
            warm = max(1, count // 20) if count > 1 else 0
            worker.result.times += worker.run(count + warm)[warm:]
            if roof and (package_of(worker.result.engine) == OURS or len(workers) == 1):
                now = roof.now()
                for other in workers:
                    other.result.roofs.append(now)


def compare(target: Target, options: argparse.Namespace, threads: int) -> list[Result]:
    """Measures one model on all engines."""
    workers = []
    named = dict(pair.split("=", 1) for pair in options.peer)
    for engine in options.engines:
        if engine == "lleaves" and not target.model.with_name("model.txt").exists():
            continue
        python = python_of(engine, named)
        if python is None:
            print(f"  {engine}: no environment (tools/peers.sh makes one)", file=sys.stderr)
        else:
            workers.append(Worker(python, engine, target, threads))
    roof = roofline.Roof.of(threads)
    measure([worker for worker in workers if not worker.result.error], options.rounds, options.slice, roof)
    if roof:
        roof.close()
    return [worker.close() for worker in workers]


def milliseconds(seconds: float) -> str:
    """Formats a time with three digits that matter."""
    value = seconds * 1e3
    return f"{value:.4f}" if value < 1 else f"{value:.2f}" if value < 100 else f"{value:.0f}"


HEAD = ("model", "threads", "engine", "median ms", "peer / fastort", "of the roof", "create + first run s")
HEAD += ("peak MB", "largest difference")


def share_text(result: Result, target: Target) -> str:
    """Formats the fraction of the roof that a run reaches."""
    share = result.roof_share(target)
    return "-" if share != share else f"{share:.0%}" + (" of memory" if target.traffic else "")


def rows_of(target: Target, threads: int, results: Iterable[Result]) -> list[tuple[str, ...]]:
    """Returns the table's rows of one model."""
    results = list(results)
    ours = next((result.median for result in results if package_of(result.engine) == OURS), float("nan"))
    rows = []
    for result in results:
        if result.error:
            rows.append((target.name, str(threads), result.engine, f"failed: {result.error[:120]}", *[""] * 5))
            continue
        ratio = "" if result.engine == OURS else f"{result.median / ours:.2f}"
        start = result.start
        share = share_text(result, target)
        cells = [milliseconds(result.median), ratio, share, f"{start['ready_s']:.2f}", f"{result.peak_mb:.0f}"]
        difference = "-" if start["difference"] is None else f"{start['difference']:.1e}"
        rows.append((target.name, str(threads), result.engine, *cells, difference))
    return rows


def summary_row(target: Target, threads: int, results: list[Result], engines: list[str]) -> list[str]:
    """Returns a model's row of the table that has a column for each peer."""
    found = {result.engine: result for result in results if result.times}
    cells = [target.name, str(threads)]
    if OURS not in found:
        return [*cells, *[""] * (len(engines) + 4)]
    ours = found[OURS]
    peers = {engine: result.median for engine, result in found.items() if engine != OURS}
    ratios = [f"{peers[engine] / ours.median:.2f}" if engine in peers else "" for engine in engines]
    share = ours.roof_share(target)
    aim, met = verdict(target.name, ours.median, peers, share, target.traffic > 0)
    return [*cells, milliseconds(ours.median), *ratios, share_text(ours, target), aim, met]


def plot(measured: dict[tuple[str, int], list[Result]], path: Path) -> None:
    """Draws each engine's median relative to fastort's."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    engines = [
        e for e in ENGINES + ON_REQUEST if any(r.engine == e and r.times for rs in measured.values() for r in rs)
    ]
    _, axes = plt.subplots(figsize=(10, 1 + 0.45 * len(measured) * max(1, len(engines)) * 0.5))
    height = 0.8 / max(1, len(engines))
    labels = [f"{name}, {threads} thr." for name, threads in measured]
    for index, engine in enumerate(engines):
        for row, results in enumerate(measured.values()):
            medians = {result.engine: result.median for result in results}
            ours = medians.get(OURS, medians.get(f"{OURS}-vulkan", float("nan")))
            ratio = medians.get(engine, float("nan")) / ours
            axes.barh(row + (index - len(engines) / 2 + 0.5) * height, ratio - 1, height, left=1, color=f"C{index}")
        axes.barh(0, 0, left=1, color=f"C{index}", label=engine)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_yticks(range(len(labels)), labels)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlabel("time relative to fastort (to the right is slower)")
    axes.legend()
    plt.tight_layout()
    plt.savefig(path, dpi=120)


def report(
    measured: dict[tuple[str, int], list[Result]], targets: dict[str, Target], rows: list[tuple[str, ...]], options: Any
) -> str:
    """Returns the report: the machine, the versions, a row for each model, a row for each engine on it."""
    lines = ["# fastort beside its peers\n"]
    for threads in options.threads:
        roof = roofline.measure(threads)
        if roof:
            lines.append(
                f"{roof['processor']}, {roof['target']}, {threads} threads: clock {roof['clock_ghz']} GHz, "
                f"peak of fused multiply-adds {roof['fma_gflops'][str(threads)]} GFLOP/s, reads "
                + ", ".join(f"{level} {speed[str(threads)]} GB/s" for level, speed in roof["read_gbps"].items())
                + ".\n"
            )
        else:
            lines.append("The roof was not measured: tools/build.sh release builds the program.\n")
    versions = {r.engine: r.start["version"] for results in measured.values() for r in results if r.start}
    lines.append("Versions: " + ", ".join(f"{engine} {version}" for engine, version in versions.items()) + ".\n")
    lines.append(
        f"Model files: {options.variant.name}, batch {options.batch}, float32; medians over {options.rounds} "
        f"interleaved slices of {options.slice} s. The roof is what the machine did at its best beside each of them.\n"
    )
    engines = [engine for engine in options.engines if engine != OURS]
    if OURS in options.engines and engines:
        head = ["model", "threads", "fastort ms", *(f"{engine} / fastort" for engine in engines), "of the roof"]
        table = [summary_row(targets[name], threads, results, engines) for (name, threads), results in measured.items()]
        lines.append(markdown([*head, "aim", "met"], table))
    return "\n".join(lines) + "\n" + markdown(HEAD, rows)


def main() -> None:
    """Compares the named models, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="models and workloads (default: all)")
    parser.add_argument("--engines", nargs="+", default=list(ENGINES), choices=ENGINES + ON_REQUEST)
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PYTHON")
    parser.add_argument("--threads", type=int, nargs="+", default=[2])
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--variant", default=export.DYNAMO_NEWEST.name, choices=[v.name for v in export.VARIANTS])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--slice", type=float, default=0.4, help="seconds of one turn")
    parser.add_argument("--out", type=Path, default=roofline.REPOSITORY / "demo_output")
    options = parser.parse_args()
    options.variant = next(variant for variant in export.VARIANTS if variant.name == options.variant)
    options.out.mkdir(parents=True, exist_ok=True)

    measured: dict[tuple[str, int], list[Result]] = {}
    targets: dict[str, Target] = {}
    rows: list[tuple[str, ...]] = []
    known = [model.name for model in zoo.MODELS] + [workload.name for workload in workloads.WORKLOADS]
    for name in options.names or known:
        target = targets[name] = target_of(name, options.variant, options.batch)
        for threads in options.threads:
            measured[name, threads] = compare(target, options, threads)
            new = rows_of(target, threads, measured[name, threads])
            rows += new
            print("\n".join("  ".join(cell.ljust(12) for cell in row) for row in new), flush=True)
            # After each model, so that what was measured is kept whatever happens to the next.
            (options.out / "compare.md").write_text(report(measured, targets, rows, options))
    plot(measured, options.out / "compare.png")
    print(f"wrote {options.out / 'compare.md'} and {options.out / 'compare.png'}")


if __name__ == "__main__":
    main()
