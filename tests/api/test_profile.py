"""`InferenceSession.profile` and the profile's file."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import numpy as np
import onnx.parser
import pytest

import fastort
from tests.api import models

X = {"a": np.ones((2, 3), np.float32), "b": np.ones((2, 3), np.float32)}


def test_table() -> None:
    session = fastort.InferenceSession(models.add())
    profile = session.profile(X, runs=7)
    assert profile.runs == 7
    nodes = profile.nodes()
    assert {(node.op_type, node.calls, node.provider) for node in nodes} == {
        ("Add", 7, "CPUExecutionProvider"),
        ("Sub", 7, "CPUExecutionProvider"),
    }
    assert all(node.outputs == [(2, 3)] and node.kernel and node.total_ms > 0 for node in nodes)
    text = str(profile)
    assert "Add" in text
    assert "2x3" in text
    assert sum(node.total_ms for node in nodes) <= sum(profile.run_ms)
    assert [node.op_type for node in profile.operators()] == [
        node.op_type for node in sorted(profile.operators(), key=lambda node: -node.total_ms)
    ]


def test_a_profile_leaves_the_session_as_it_was() -> None:
    session = fastort.InferenceSession(models.add())
    before = session.run(None, X)
    for _ in range(3):
        session.profile(X, runs=1)
    for one, other in zip(session.run(None, X), before, strict=True):
        np.testing.assert_array_equal(one, other)
    assert session.end_profiling() == ""
    assert session.get_profiling_start_time_ns() == 0


def test_trace_file(tmp_path: Path) -> None:
    profile = fastort.InferenceSession(models.add()).profile(X, runs=2)
    profile.save(tmp_path / "trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())
    assert len(events) == 2 * 3
    runs = [event for event in events if event["name"] == "model_run"]
    for event in events:
        assert event["ph"] == "X"
        inside = [
            run for run in runs if run["ts"] <= event["ts"] and event["ts"] + event["dur"] <= run["ts"] + run["dur"] + 1
        ]
        assert inside, "a node outside of every run"


def test_profiling_of_threads(tmp_path: Path) -> None:
    options = fastort.SessionOptions()
    options.enable_profiling = True
    options.profile_file_prefix = str(tmp_path / "threads")
    session = fastort.InferenceSession(models.add(), options)
    threads = [threading.Thread(target=lambda: [session.run(None, X) for _ in range(20)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    events = json.loads(Path(session.end_profiling()).read_text())
    assert sum(event["name"] == "model_run" for event in events) == 80
    assert len({event["tid"] for event in events if event["cat"] == "Node"}) >= 4
    assert session.end_profiling() == ""
    session.run(None, X)


def test_profile_while_profiling(tmp_path: Path) -> None:
    options = fastort.SessionOptions()
    options.enable_profiling = True
    options.profile_file_prefix = str(tmp_path / "p")
    session = fastort.InferenceSession(models.add(), options)
    with pytest.raises(RuntimeError, match="end_profiling"):
        session.profile(X)
    session.end_profiling()
    assert session.profile(X, runs=1).runs == 1


def test_refusals() -> None:
    session = fastort.InferenceSession(models.add())
    with pytest.raises(ValueError, match="runs"):
        session.profile(X, runs=0)
    with pytest.raises(ValueError, match="missing"):
        session.profile({})
    session.profile(X, runs=1)  # a profile that failed has ended


BODIES = """<ir_version: 10, opset_import: ["" : 21]>
net (float[n] x, int64 count, bool c) => (float[n] y, float[n] z)
{
  y = Loop (count, , x) <
    body = step (int64 i, bool go, float[n] a) => (bool more, float[n] b)
    {
      more = Identity (go)
      d = If (c) <then_branch = t () => (float[n] e) { e = Softmax (a) },
                  else_branch = s () => (float[n] g) { g = Sin (a) }>
      b = Tanh (d)
    }
  >
  z = Cos (x)
}"""


@pytest.mark.parametrize("from_start", [False, True])
def test_nodes_in_bodies(from_start: bool, tmp_path: Path) -> None:
    options = fastort.SessionOptions()
    options.enable_profiling = from_start
    options.profile_file_prefix = str(tmp_path / "p")
    model = onnx.parser.parse_model(BODIES).SerializeToString()
    session = fastort.InferenceSession(model, options)
    feed = {"x": np.ones(1000, np.float32), "count": np.array(5), "c": np.array(True)}
    if from_start:
        for _ in range(3):
            session.run(None, feed)
        trace = json.loads(Path(session.end_profiling()).read_text())
    else:
        profile = session.profile(feed, runs=3)
        trace = profile.chrome_trace()
        nodes = {node.op_type: node for node in profile.nodes()}
        loop, branch, tanh, softmax = (nodes[op] for op in ("Loop", "If", "Tanh", "Softmax"))
        assert (loop.calls, branch.calls, tanh.calls, softmax.calls) == (3, 15, 15, 15)
        assert "Sin" not in nodes
        assert (nodes["Cos"].inside, tanh.inside) == ((), (f"{loop.name}.body",))
        assert softmax.inside == (f"{loop.name}.body", f"{branch.name}.then_branch")
        assert softmax.outputs == [(1000,)]
        assert loop.total_ms > loop.bodies_ms > branch.total_ms > branch.bodies_ms >= softmax.total_ms > 0
        assert sum(node.own_ms for node in profile.nodes()) == pytest.approx(
            sum(node.total_ms for node in profile.nodes() if not node.inside)
        )
        order = [node.op_type for node in profile.nodes()]
        assert order.index("Loop") < order.index("If") < order.index("Softmax")
        table = profile.table().splitlines()
        assert any(
            line.split("%")[1].split()[1] == "Softmax" and "    Softmax" in line
            for line in table[2:]
            if "Softmax" in line
        )
    inner = [event for event in trace if event["args"].get("inside")]
    assert {event["args"]["op_name"] for event in inner} >= {"If", "Tanh", "Softmax"}
    loops = [event for event in trace if event["args"].get("op_name") == "Loop"]
    for event in inner:
        around = [e for e in loops if e["ts"] <= event["ts"] and event["ts"] + event["dur"] <= e["ts"] + e["dur"] + 1]
        assert around, "a node of the body outside of the loop's time"
        assert all(event["tid"] == e["tid"] for e in around)
