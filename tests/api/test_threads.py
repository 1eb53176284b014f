"""One session under many threads; the GIL is free while a model runs."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import fastort
from fastort.capi.onnxruntime_pybind11_state import Fail
from tests.api import models

THREADS = 8


def test_one_session_serves_many_threads() -> None:
    session = fastort.InferenceSession(models.add())
    barrier = threading.Barrier(THREADS)

    def work(seed: int) -> None:
        random = np.random.default_rng(seed)
        barrier.wait()
        for _ in range(200):
            rows = int(random.integers(1, 50))
            a, b = random.standard_normal((2, rows, 3), dtype=np.float32)
            total, difference = session.run(None, {"a": a, "b": b})
            np.testing.assert_array_equal(total, a + b)
            np.testing.assert_array_equal(difference, a - b)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, range(THREADS)))


def test_results_of_one_thread_may_die_in_another() -> None:
    session = fastort.InferenceSession(models.negate())
    with ThreadPoolExecutor(THREADS) as pool:
        for x in np.random.default_rng(0).standard_normal((200, 4, 3), dtype=np.float32):
            np.testing.assert_array_equal(pool.submit(session.run, None, {"x": x}).result()[0], -x)


def test_the_gil_is_free_during_a_run() -> None:
    session = fastort.InferenceSession(models.slow())
    options = fastort.RunOptions()
    feed = {"x": np.zeros(4, np.float32), "count": np.array(2**40)}
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(session.run, None, feed, options)
        # Were the GIL held, this thread would not come to count.
        counted = 0
        end = time.monotonic() + 0.2
        while time.monotonic() < end:
            counted += 1
        assert counted > 1000
        assert not run.done()
        options.terminate = True
        with pytest.raises(Fail, match="terminate"):
            run.result(timeout=60)


def test_a_session_may_be_closed_during_a_run() -> None:
    session = fastort.InferenceSession(models.slow())
    feed = {"x": np.ones(4, np.float32), "count": np.array(20000)}
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(session.run, None, feed)
        time.sleep(0.001)
        session.close()
        try:
            np.testing.assert_array_equal(run.result()[0], np.full(4, 20001, np.float32))
        except RuntimeError as error:
            assert "closed" in str(error)  # noqa: PT017


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_ctrl_c_stops_a_run() -> None:
    program = f"""
import os, signal, threading, time
import numpy as np
import fastort
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs inherit that it is ignored
session = fastort.InferenceSession({models.slow()!r})
options = fastort.RunOptions()
threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    session.run(None, {{"x": np.zeros(4, np.float32), "count": np.array(2**40)}}, options)
except KeyboardInterrupt:
    print("interrupted", options.terminate, signal.getsignal(signal.SIGINT) is signal.default_int_handler)
session.run(None, {{"x": np.zeros(4, np.float32), "count": np.array(2)}}, options)
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=100, check=True)
    assert result.stdout == "interrupted False True\n"


def test_sessions_are_made_in_many_threads() -> None:
    def work(_: int) -> np.ndarray:
        return fastort.InferenceSession(models.negate()).run(None, {"x": np.ones((1, 3), np.float32)})[0]

    with ThreadPoolExecutor(THREADS) as pool:
        for result in pool.map(work, range(40)):
            np.testing.assert_array_equal(result, -np.ones((1, 3)))


@pytest.mark.skipif(
    not sysconfig.get_config_var("Py_GIL_DISABLED"),
    reason="this Python always has a GIL; tools/free_threaded.sh has one without",
)
def test_importing_leaves_the_gil_off() -> None:
    program = "import sys, fastort; fastort.RunOptions(); print(sys._is_gil_enabled())"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHON_GIL"}
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert result.stdout == "False\n"


def test_threads_share_whatever_can_be_shared() -> None:
    """One dict of feeds, one OrtValue, one RunOptions, one IOBinding and one list of names for all threads."""
    session = fastort.InferenceSession(models.add())
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    value = fastort.OrtValue.ortvalue_from_numpy(x)
    feed = {"a": x, "b": value}
    names = ["sum", "difference"]
    options = fastort.RunOptions()
    barrier = threading.Barrier(THREADS)

    def work(seed: int) -> None:
        barrier.wait()
        for i in range(200):
            if seed == 0:  # what others are reading changes, but never to anything wrong
                feed["b"] = value if i % 2 else x
                names[:] = names[::-1]
                options.add_run_config_entry("some.entry", str(i))
            results = session.run(None if seed % 2 else ["sum", "difference"], feed, options)
            np.testing.assert_array_equal(results[0], x + x)
            np.testing.assert_array_equal(results[1], x - x)
            assert len(session.run(names, feed)) == 2
            assert value.shape() == [2, 3]
            np.testing.assert_array_equal(value.numpy(), x)
            session.get_inputs()
            session.explain()

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, range(THREADS)))
