"""Times the models on fastort alone: what a change of the engine does, in a minute.

python bench/models.py                       # every model on 2 threads
python bench/models.py resnet50 --threads 1 --batch 5
python bench/models.py --save before.json    # then change something, and
python bench/models.py --against before.json
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

import fastort
from bench import roofline
from bench.compare import milliseconds
from fastort.analysis import count_flops
from tests.models import export, zoo


def measure(path: Path, feeds: zoo.Feeds, threads: int, seconds: float) -> tuple[float, list[float], np.ndarray]:
    """Returns the time until the first answer, the times of the following runs, and the answer."""
    options = fastort.SessionOptions()
    options.intra_op_num_threads = threads
    started = time.perf_counter()
    session = fastort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (got,) = session.run(None, feeds)
    ready = time.perf_counter() - started
    times = []
    end = time.perf_counter() + seconds
    while len(times) < 5 or time.perf_counter() < end:
        begin = time.perf_counter()
        session.run(None, feeds)
        times.append(time.perf_counter() - begin)
    return ready, times[len(times) // 20 :], got


def main() -> None:
    """Times the named models, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="models (default: all)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--variant", default=export.DYNAMO_NEWEST.name, choices=[v.name for v in export.VARIANTS])
    parser.add_argument("--seconds", type=float, default=2.0, help="how long each model runs")
    parser.add_argument("--save", type=Path, help="write the medians to this file")
    parser.add_argument("--against", type=Path, help="compare with the medians of this file")
    options = parser.parse_args()
    wanted = next(variant for variant in export.VARIANTS if variant.name == options.variant)
    before = json.loads(options.against.read_text()) if options.against else {}
    peak = roofline.peak(options.threads)

    print(f"{'model':20} {'first s':>8} {'median ms':>10} {'90% ms':>9} {'GFLOP/s':>8} {'roof':>5} {'difference':>11}")
    medians = {}
    for name in options.names or [model.name for model in zoo.MODELS]:
        model = zoo.by_name(name)
        variant = wanted if wanted in export.variants_of(model, full=True) else export.VARIANTS[2]
        path = export.path_of(name, variant)
        feeds, want = export.sample_of(name, options.batch)
        try:
            ready, times, got = measure(path, feeds, options.threads, options.seconds)
        except Exception as error:
            print(f"{name:20} failed: {error}")
            continue
        median = statistics.median(times)
        medians[name] = median
        operations = 0.0 if model.scripted else count_flops(export.path_of(name), feeds).flops
        rate = operations / median * 1e-9
        share = f"{rate / peak:5.0%}" if peak and operations > 1e6 else "    -"
        slow = sorted(times)[int(len(times) * 0.9)]
        change = f"  {median / before[name]:.2f} x before" if name in before else ""
        difference = float(np.abs(got - want).max())
        columns = (
            f"{ready:8.2f} {milliseconds(median):>10} {milliseconds(slow):>9} {rate:8.1f} {share} {difference:11.1e}"
        )
        print(f"{name:20} {columns}{change}", flush=True)
    if options.save:
        options.save.write_text(json.dumps(medians, indent=1))


if __name__ == "__main__":
    main()
