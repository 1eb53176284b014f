"""Everything at once: many threads run one session while others are made, closed, copied, stopped and forked."""

from __future__ import annotations

import os
import pickle
import random
import resource
import threading
import time
from collections.abc import Callable

import numpy as np
import onnx.parser
import pytest

import fastort
from fastort.capi.onnxruntime_pybind11_state import Fail

MODEL = onnx.parser.parse_model(
    '<ir_version: 10, opset_import: ["" : 21]> net (float[n, 16] x, float[16, 16] w) => (float[n, 16] y, int64[r, k] i)'
    "{ h = MatMul(x, w) t = Relu(h) y = Add(t, x) i = NonZero(t) }"
).SerializeToString()
PAUSE = 0.01  # of the others, so that the runs get on
W = np.random.default_rng(0).standard_normal((16, 16)).astype(np.float32)


def expected(x: np.ndarray) -> np.ndarray:
    return np.maximum(x @ W, 0) + x


def check(session: fastort.InferenceSession, rng: np.random.Generator) -> None:
    x = rng.standard_normal((int(rng.integers(1, 40)), 16)).astype(np.float32)
    y, i = session.run(None, {"x": x, "w": W})
    # Without NumPy's own assertions, which import modules: a fork beside an import leaves Python's lock in the child.
    assert y.shape == x.shape
    assert bool((np.abs(y - expected(x)) < 1e-4 * (1 + np.abs(y))).all())
    assert i.shape[0] == 2


def storm(threads: int, runs: int, seconds: float) -> None:
    session = fastort.InferenceSession(MODEL)
    check(session, np.random.default_rng(0))
    problems: list[BaseException] = []
    done = threading.Event()

    def guarded(work: Callable[[int], None]) -> Callable[[int], None]:
        def run(seed: int) -> None:
            try:
                work(seed)
            except BaseException as error:
                problems.append(error)

        return run

    def runner(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(runs):
            check(session, rng)

    def maker(seed: int) -> None:
        rng = np.random.default_rng(seed)
        while not done.is_set():
            with fastort.InferenceSession(MODEL) as other:
                check(other, rng)
            time.sleep(PAUSE)

    def copier(seed: int) -> None:
        rng = np.random.default_rng(seed)
        while not done.is_set():
            check(pickle.loads(pickle.dumps(session)), rng)
            session.memory_stats()
            session.trim()
            time.sleep(PAUSE)

    def stopper(seed: int) -> None:
        dice = random.Random(seed)
        x = np.ones((400, 16), np.float32)
        while not done.is_set():
            options = fastort.RunOptions()
            timer = threading.Timer(dice.random() / 1000, lambda o=options: setattr(o, "terminate", True))
            timer.start()
            try:
                y = session.run(["y"], {"x": x, "w": W}, options)[0]
                assert bool((np.abs(y - expected(x)) < 1e-3).all())
            except Fail as error:
                if "terminate" not in str(error):
                    raise
            timer.join()
            time.sleep(PAUSE)

    def forker(seed: int) -> None:
        while not done.is_set():
            child = os.fork()
            if child == 0:
                status = 1
                try:
                    check(session, np.random.default_rng(seed))
                    status = 0
                finally:
                    os._exit(status)
            deadline = time.monotonic() + 60
            while os.waitpid(child, os.WNOHANG) == (0, 0):
                assert time.monotonic() < deadline, "a child hangs"
                time.sleep(0.005)
            time.sleep(0.05)

    runners = [threading.Thread(target=guarded(runner), args=(seed,)) for seed in range(threads)]
    others = [
        threading.Thread(target=guarded(work), args=(100 + i,)) for i, work in enumerate((maker, copier, stopper))
    ]
    if hasattr(os, "fork"):
        others.append(threading.Thread(target=guarded(forker), args=(200,)))
    for thread in [*runners, *others]:
        thread.start()
    end = time.monotonic() + seconds
    for thread in runners:
        thread.join(max(0.0, end - time.monotonic()))
    done.set()
    for thread in others:
        thread.join(120)
    assert not any(thread.is_alive() for thread in [*runners, *others]), "a thread hangs"
    assert not problems, problems[:3]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # forking a process with threads
def test_storm() -> None:
    storm(threads=8, runs=30, seconds=120)


@pytest.mark.full
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_long_storm() -> None:
    for _ in range(3):
        storm(threads=16, runs=1000, seconds=300)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(10):
        storm(threads=16, runs=1000, seconds=300)
    # In kilobytes.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000
