"""The search of ``fastort tune``: one change after the other, kept where it makes runs faster."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from .. import GraphOptimizationLevel, InferenceSession, SessionOptions
from .._providers import VULKAN
from ..analysis import load_model
from ..analysis._files import nodes_of
from ..testing import compare_values
from .measure import Timed, at_once, take_turns, timed

# A change is kept if it saves at least this share of the time: less is within what measuring twice differs by.
_GAIN = 0.02
# One that is so many times as slow in its best of two runs is not measured further.
_HOPELESS = 3.0
_PRECISIONS = {"storage": "tensors as float16", "arithmetic": "float16 throughout"}


@dataclass(frozen=True)
class Change:
    """One thing that may be set otherwise.

    Attributes:
        text: What is set, for the reader.
        apply: Sets it.
    """

    text: str
    apply: Callable[[SessionOptions], None]


@dataclass
class Trial:
    """A change that was tried.

    Attributes:
        text: What was set.
        times: Seconds of each run; with several clients, the seconds in which one more run ends.
        ratio: Its median as a share of that of the best so far, taken in turns with it.
        kept: Whether it was kept.
        note: Why it was not measured, where it was not.
    """

    text: str
    times: list[float] = field(default_factory=list)
    ratio: float = float("nan")
    kept: bool = False
    note: str = ""


@dataclass
class Search:
    """Tries changes of the session's options on one model.

    Attributes:
        model: The file.
        feeds: A value for each input.
        seconds: How long the search may take.
        clients: Requests at the same time; 1 tunes the latency, more the throughput.
        tolerances: How far outputs may be from those of the default options, relative and absolute.
        providers: Providers beside the CPU that are tried, by name, with their options.
        cache_dir: A folder for measured times of kernels; none: kernels are chosen by their costs alone.
        tell: Called with the seconds that have passed and what is being tried.
    """

    model: Path
    feeds: Mapping[str, Any]
    seconds: float
    clients: int = 1
    tolerances: tuple[float, float] = (1e-3, 1e-4)
    providers: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    cache_dir: Path | None = None
    tell: Callable[[float, str], None] = lambda done, text: None
    trials: list[Trial] = field(default_factory=list)
    best: SessionOptions = field(default_factory=SessionOptions)
    final: dict[str, list[float]] = field(default_factory=dict)
    finished: bool = False

    def run(self) -> None:
        """Searches, and measures the default and the best options once more side by side."""
        started = time.perf_counter()
        # A sixth of the time is for the last measurement.
        end = started + self.seconds * 5 / 6
        base = InferenceSession(self.model, SessionOptions())
        want = base.run(None, self.feeds)
        names = [arg.name for arg in base.get_outputs()]
        best = base
        changes = list(self._changes(base))
        for index, change in enumerate(changes):
            left = end - time.perf_counter()
            if left <= 0:
                break
            self.tell(time.perf_counter() - started, change.text)
            trial = Trial(change.text)
            self.trials.append(trial)
            options = self.best._copy()
            change.apply(options)
            try:
                session = InferenceSession(self.model, options)
                got = session.run(None, self.feeds)
            except Exception as error:
                trial.note = " ".join(str(error).split())[:200]
                continue
            wrong = [
                difference
                for difference in (compare_values(*v, *self.tolerances) for v in zip(names, got, want, strict=True))
                if not difference.close
            ]
            if wrong:
                trial.note = (
                    f"other results: '{wrong[0].name}' is {wrong[0].max_abs:.1e} off, --rtol and --atol allow more"
                )
                continue
            once = min(self._timed(session)(2)), min(self._timed(best)(2))
            if once[0] > _HOPELESS * once[1]:
                trial.times, trial.ratio = [once[0]], once[0] / once[1]
                session.close()
                continue
            share = min(2.0, left / (len(changes) - index))
            times = take_turns({"best": self._timed(best), "trial": self._timed(session)}, share, share / 8)
            trial.times = times["trial"]
            trial.ratio = statistics.median(times["trial"]) / statistics.median(times["best"])
            if trial.ratio < 1 - _GAIN:
                trial.kept = True
                self.best = options
                if best is not base:
                    best.close()
                best = session
            else:
                session.close()
        else:
            self.finished = True
        self._measure_again(base, best, started)
        best.close()
        base.close()

    def _measure_again(self, base: InferenceSession, best: InferenceSession, started: float) -> None:
        self.tell(time.perf_counter() - started, "the default and the best once more")
        left = max(0.2, started + self.seconds - time.perf_counter())
        if best is base:
            self.final = take_turns({"default": self._timed(base)}, min(left, 2.0))
            return
        self.final = take_turns({"default": self._timed(base), "best": self._timed(best)}, left)
        if self.gain() < 1:
            # What looked like a gain was not one.
            self.best = SessionOptions()
            for trial in self.trials:
                trial.kept = False

    def gain(self) -> float:
        """Returns how many times as fast the best options are as the default ones."""
        if "best" not in self.final:
            return 1.0
        return statistics.median(self.final["default"]) / statistics.median(self.final["best"])

    def _timed(self, session: InferenceSession) -> Timed:
        def call() -> Sequence[Any]:
            return session.run(None, self.feeds)

        if self.clients == 1:
            return timed(call)

        def together(count: int) -> list[float]:
            times = timed(call)(1)
            rate = at_once(call, self.clients, max(0.05, times[0] * count / self.clients))
            return [1 / rate] * max(1, count // 4) if rate else times

        return together

    def _changes(self, session: InferenceSession) -> Iterator[Change]:
        for provider, options in self.providers.items():
            name = provider.removesuffix("ExecutionProvider")
            yield Change(f"on {name}", partial(_add_provider, name=provider, settings=options))
            if provider == VULKAN:
                for mode, text in _PRECISIONS.items():
                    settings = {**options, "enable_fp16": mode}
                    yield Change(f"on {name}, {text}", partial(_add_provider, name=provider, settings=settings))
        cpus = len(os.sched_getaffinity(0))
        for number in sorted({1, 2, 4, 8, 16, 32, cpus // 2, cpus}):
            if 0 < number <= cpus:
                yield Change(_plural(number, "thread"), _setter("intra_op_num_threads", number))
        if self.cache_dir is not None:
            yield Change("kernels by measurement", partial(_measure_kernels, folder=self.cache_dir))
        kinds = {node.op_type for node in nodes_of(load_model(self.model, weights=False).graph)}
        if kinds & {"Conv", "MatMul", "Gemm"}:
            yield Change("without Winograd and Strassen", _entry("fastort.allow_winograd", "0"))
        if "Conv" in kinds:
            yield Change("plain layouts alone", _entry("fastort.allow_blocked_layouts", "0"))
        levels = (GraphOptimizationLevel.ORT_ENABLE_EXTENDED, GraphOptimizationLevel.ORT_ENABLE_BASIC)
        for level in (*levels, GraphOptimizationLevel.ORT_DISABLE_ALL):
            yield Change(level.name, _setter("graph_optimization_level", level))
        # Only a rewrite that did something can matter.
        for name in dict.fromkeys(name for name, changes, _ in session._sess.passes() if changes):
            yield Change(f"without {name}", partial(_disable, name=name))


def _add_provider(options: SessionOptions, name: str, settings: Mapping[str, str]) -> None:
    options.add_provider(name, settings)


def _entry(key: str, value: str) -> Callable[[SessionOptions], None]:
    return lambda options: options.add_session_config_entry(key, value)


def _measure_kernels(options: SessionOptions, folder: Path) -> None:
    options.add_session_config_entry("fastort.cache_dir", str(folder.resolve()))
    options.add_session_config_entry("fastort.kernel_choice", "measure")


def _disable(options: SessionOptions, name: str) -> None:
    options.disabled_passes.append(name)


def _setter(name: str, value: object) -> Callable[[SessionOptions], None]:
    return lambda options: setattr(options, name, value)


def _plural(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("s" if number != 1 else "")
