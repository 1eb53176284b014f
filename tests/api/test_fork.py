"""A process that forks while its threads work leaves a child that can work too."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import fastort
from tests.api import models

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]
TIME_OUT = 60


def convolution() -> bytes:
    """A convolution and a product over any size, which oneDNN and the packed weights take part in."""
    random = np.random.default_rng(0)
    weights = {
        "w": random.standard_normal((16, 3, 3, 3), dtype=np.float32),
        "m": random.standard_normal((16, 24), dtype=np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("ReduceMean", ["c", "axes"], ["p"], keepdims=0),
        helper.make_node("MatMul", ["p", "m"], ["y"]),
    ]
    initializers = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    initializers.append(helper.make_tensor("axes", TensorProto.INT64, [2], [2, 3]))
    inputs = [models.tensor("x", dims=["n", 3, "h", "w"])]
    return models.model(nodes, inputs, [models.tensor("y", dims=["n", 24])], initializers).SerializeToString()


def in_child(work: Callable[[], None]) -> None:
    """Calls `work` in a forked process, and fails where it fails or does not end."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
    end = time.monotonic() + TIME_OUT
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            assert os.waitstatus_to_exitcode(status) == 0
            return
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    pytest.fail(f"the child did not end within {TIME_OUT} s")


@contextmanager
def threads(count: int, work: Callable[[int, int], None]) -> Iterator[None]:
    """Calls work(thread, turn) in threads until the block ends."""
    stop = threading.Event()

    def loop(index: int) -> None:
        turn = 0
        while not stop.is_set():
            work(index, turn)
            turn += 1

    workers = [threading.Thread(target=loop, args=(index,)) for index in range(count)]
    for worker in workers:
        worker.start()
    try:
        yield
    finally:
        stop.set()
        for worker in workers:
            worker.join()


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height).standard_normal((1, 3, height, width), dtype=np.float32)


def test_a_fork_while_others_plan() -> None:
    model = convolution()
    session = fastort.InferenceSession(model)
    x = picture(16, 16)
    (expected,) = session.run(None, {"x": x})

    def plan(index: int, turn: int) -> None:
        session.run(None, {"x": picture(8 + turn % 60, 8 + index)})

    def work() -> None:
        for used in (session, fastort.InferenceSession(model)):
            np.testing.assert_allclose(used.run(None, {"x": x})[0], expected, rtol=1e-5, atol=1e-6)
            used.run(None, {"x": picture(11, 100)})

    with threads(3, plan):
        for _ in range(25):
            in_child(work)


def test_a_fork_while_others_make_sessions() -> None:
    model = convolution()
    x = picture(9, 9)
    (expected,) = fastort.InferenceSession(model).run(None, {"x": x})

    def load(index: int, turn: int) -> None:
        fastort.InferenceSession(model).run(None, {"x": picture(5 + turn % 7, 6 + index)})

    def work() -> None:
        (result,) = fastort.InferenceSession(model).run(None, {"x": x})
        np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)

    with threads(3, load):
        for _ in range(25):
            in_child(work)


def test_a_fork_while_others_match_expressions() -> None:
    node = helper.make_node("RegexFullMatch", ["x"], ["y"], pattern=r"(a|b)*c[d-f]{0,20}(g|h)+")
    graph = models.model(
        [node], [models.tensor("x", TensorProto.STRING, ["n"])], [models.tensor("y", TensorProto.BOOL, ["n"])]
    )
    session = fastort.InferenceSession(graph.SerializeToString())
    texts = np.array(["ababc" + "d" * (i % 25) + "gh" * (i % 7) for i in range(500)], dtype=object)
    (expected,) = session.run(None, {"x": texts})
    assert 0 < expected.sum() < expected.size

    def match(index: int, turn: int) -> None:
        session.run(None, {"x": texts})

    def work() -> None:
        np.testing.assert_array_equal(session.run(None, {"x": texts})[0], expected)

    with threads(3, match):
        for _ in range(25):
            in_child(work)


def test_a_child_of_a_child() -> None:
    session = fastort.InferenceSession(models.negate())
    x = np.ones((2, 3), np.float32)
    session.run(None, {"x": x})

    def work() -> None:
        np.testing.assert_array_equal(session.run(None, {"x": x})[0], -x)
        in_child(lambda: np.testing.assert_array_equal(session.run(None, {"x": x})[0], -x))

    in_child(work)
