"""Times of runs, taken so that they can be compared on a machine that is not idle."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

# Runs a model so many times, and returns the seconds of each.
Timed = Callable[[int], list[float]]


def timed(call: Callable[[], object]) -> Timed:
    """Returns a function that calls ``call`` and takes the time."""

    def run(count: int) -> list[float]:
        times = []
        for _ in range(count):
            begin = time.perf_counter()
            call()
            times.append(time.perf_counter() - begin)
        return times

    return run


def at_once(call: Callable[[], object], clients: int, seconds: float) -> float:
    """Returns the runs a second that several threads reach together.

    Raises:
        Exception: What a run raised.
    """
    counts = [0] * clients
    errors: list[Exception] = []
    end = time.perf_counter() + seconds

    def client(index: int) -> None:
        try:
            while not counts[index] or time.perf_counter() < end:
                call()
                counts[index] += 1
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=client, args=(index,)) for index in range(clients)]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return sum(counts) / (time.perf_counter() - begin)


def take_turns(
    engines: Mapping[str, Timed],
    seconds: float,
    slice_s: float = 0.25,
    tell: Callable[[float], None] = lambda done: None,
) -> dict[str, list[float]]:
    """Lets engines take turns in short slices, so that a change of the clock or the load meets them all.

    Args:
        engines: What runs, by name.
        seconds: How long all of them together may take; each runs at least three times.
        slice_s: The length of a turn.
        tell: Called with the seconds that have passed.

    Returns:
        The seconds of each run, by name.
    """
    started = time.perf_counter()
    times: dict[str, list[float]] = {name: [] for name in engines}
    counts = {}
    for name, run in engines.items():
        once = min(run(2))
        counts[name] = max(1, min(5000, round(min(slice_s, seconds / len(engines) / 3) / max(once, 1e-7))))
    turn = 0
    names = list(engines)
    while turn < 3 or time.perf_counter() - started < seconds:
        # Another order each time, so that nobody always follows the same one.
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            if len(names) > 1:
                time.sleep(0.01)  # the one before stops spinning
            warm = max(1, counts[name] // 20) if len(names) > 1 and counts[name] > 1 else 0
            times[name] += engines[name](counts[name] + warm)[warm:]
            tell(time.perf_counter() - started)
        turn += 1
    return times


@dataclass(frozen=True)
class Summary:
    """The distribution of some times, in seconds."""

    runs: int
    mean: float
    median: float
    p90: float
    p99: float
    fastest: float
    slowest: float


def summary(times: Sequence[float]) -> Summary:
    """Returns the distribution of some times."""
    ordered = sorted(times)

    def quantile(share: float) -> float:
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    return Summary(
        len(ordered),
        statistics.fmean(ordered),
        statistics.median(ordered),
        quantile(0.9),
        quantile(0.99),
        ordered[0],
        ordered[-1],
    )


def histogram(times: Sequence[float], bins: int = 12, width: int = 40) -> list[tuple[float, float, int, str]]:
    """Returns the rows of a histogram between the fastest time and the 98th percentile; the last row has all slower.

    Returns:
        For each row the two edges in seconds, the number of times and a bar.
    """
    ordered = sorted(times)
    low, high = ordered[0], ordered[min(len(ordered) - 1, int(0.98 * len(ordered)))]
    if high <= low:
        return [(low, ordered[-1], len(ordered), "#" * width)]
    step = (high - low) / bins
    counts = [0] * bins
    for value in ordered:
        counts[min(bins - 1, int((value - low) / step))] += 1
    edges = [low + step * index for index in range(bins)] + [ordered[-1]]
    most = max(counts)
    return [
        (edges[i], edges[i + 1], number, "#" * max(round(width * number / most), 1 if number else 0))
        for i, number in enumerate(counts)
    ]
