"""The commands as a user calls them: what they print, write and exit with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

import fastort
from fastort.cli.app import app
from tests.cli import models


def cells(out: str, first: str) -> list[str]:
    """Returns the cells of the first row of a table that starts with a word."""
    return next(line.split() for line in out.splitlines() if line.split()[:1] == [first])


def test_info(model: Path, call: Any, tmp_path: Path) -> None:
    code, out, err = call("info", model, "--dim", "batch=2", "--json", tmp_path / "info.json")
    assert (code, err) == (0, "")
    assert "opsets ai.onnx 18" in out
    assert cells(out, "ids") == ["ids", "tensor(int64)", "[batch,", "5]"]
    assert cells(out, "Conv")[:2] == ["Conv", "1"]
    facts = json.loads((tmp_path / "info.json").read_text())
    weights = models.WORDS * 8 + 8 * 8 + 8 + 4 * 8 * 3 + 4 * 3
    assert facts["parameters"] == weights + 1
    assert facts["weight_bytes"] == 4 * weights + 8
    assert facts["flops_by_operator"] == {"MatMul": 2.0 * 2 * (5 * 8 * 8 + 4 * 3), "Conv": 2.0 * (2 * 4 * 3) * (8 * 3)}
    assert facts["operators"]["MatMul"] == 2


def test_info_of_a_model_that_does_not_run(call: Any, tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Unheard", ["x"], ["y"], domain="nobody")],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("nobody", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets), tmp_path / "model.onnx")
    code, out, _ = call("info", tmp_path / "model.onnx")
    assert code == 0
    assert "nobody.Unheard" in out
    assert "fastort cannot run it:" in out


def test_run_saves_what_a_session_answers(model: Path, call: Any, tmp_path: Path) -> None:
    ids = np.arange(10, dtype=np.int64).reshape(2, 5)
    np.save(tmp_path / "ids.npy", ids)
    code, out, _ = call("run", model, "-i", f"ids={tmp_path / 'ids.npy'}", "-o", tmp_path / "out.npz", "--threads", "1")
    assert code == 0
    assert "wrote" in out
    (want,) = fastort.InferenceSession(model).run(None, {"ids": ids})
    with np.load(tmp_path / "out.npz") as stored:
        np.testing.assert_array_equal(stored["scores"], want)


@pytest.mark.parametrize("kind", ["npz", "npy", "pb"])
def test_inputs_and_outputs_of_each_kind(kind: str, model: Path, call: Any, tmp_path: Path) -> None:
    ids = np.array([[1, 2, 3, 4, 5]], np.int64)
    given, path = tmp_path / f"in.{kind}", tmp_path / f"out.{kind}"
    if kind == "npz":
        np.savez(given, ids=ids)
    elif kind == "npy":
        np.save(given, ids)
    else:
        given.write_bytes(numpy_helper.from_array(ids, "ids").SerializeToString())
    assert call("run", model, "-i", given, "-o", path)[0] == 0
    (want,) = fastort.InferenceSession(model).run(None, {"ids": ids})
    if kind == "pb":
        got = numpy_helper.to_array(TensorProto.FromString(path.read_bytes()))
    else:
        loaded = np.load(path)
        got = loaded["scores"] if kind == "npz" else loaded
    np.testing.assert_array_equal(got, want)


def test_random_inputs_are_seeded_and_within_the_table(model: Path, call: Any, tmp_path: Path) -> None:
    answers = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        path = tmp_path / f"{name}.npy"
        # Ids beyond the table of 23 words would make the run fail.
        assert call("run", model, "--dim", "batch=50", "--seed", seed, "-o", path)[0] == 0
        answers.append(np.load(path))
    assert answers[0].shape == (50, 3)
    np.testing.assert_array_equal(answers[0], answers[1])
    assert not np.array_equal(answers[0], answers[2])


def test_compare_agrees(model: Path, call: Any, tmp_path: Path) -> None:
    onnx.save(models.classifier(), tmp_path / "other.onnx")
    code, out, _ = call("compare", model, tmp_path / "other.onnx")
    assert code == 0
    assert cells(out, "scores")[1] == "same"
    assert "the outputs agree" in out


def test_compare_names_the_first_tensor_that_parts(model: Path, call: Any, tmp_path: Path) -> None:
    onnx.save(models.classifier(changed="kernel"), tmp_path / "other.onnx")
    code, out, _ = call("compare", model, tmp_path / "other.onnx")
    assert code == 1
    assert cells(out, "scores")[1] == "DIFFERENT"
    assert "they part first at mapped" in out
    assert "computed by Conv 'convolve'" in out


def test_explain_names_nodes_and_kernels(model: Path, call: Any) -> None:
    code, out, _ = call("explain", model, "--graph")
    assert code == 0
    assert "convolve" in out
    assert "CPU" in out


def test_optimize_writes_a_model_that_computes_the_same(call: Any, tmp_path: Path) -> None:
    nodes = [helper.make_node("Identity", ["x"], ["a"]), helper.make_node("Identity", ["a"], ["b"])]
    nodes.append(helper.make_node("Neg", ["b"], ["y"]))
    dims = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3]) for name in "xy"]
    graph = helper.make_graph(nodes, "graph", dims[:1], dims[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]), tmp_path / "model.onnx")
    code, out, err = call("optimize", tmp_path / "model.onnx", "-o", tmp_path / "small.onnx")
    assert (code, err) == (0, "")
    assert cells(out, "nodes") == ["nodes", "3", "1"]
    assert "the outputs agree" in out
    assert len(onnx.load(tmp_path / "small.onnx").graph.node) == 1
    assert call("optimize", tmp_path / "small.onnx", "-o", tmp_path / "small.onnx")[0] == 2


def test_bench_measures(model: Path, call: Any, tmp_path: Path) -> None:
    arguments = ("--seconds", "0.05", "--clients", "2", "--peer", "none", "--json", tmp_path / "bench.json")
    code, out, err = call("bench", model, *arguments)
    assert (code, err) == (0, "")
    facts = json.loads((tmp_path / "bench.json").read_text())
    told = facts["latency_s"]["fastort"]
    assert 0 < told["fastest"] <= told["median"] <= told["p90"] <= told["p99"] <= told["slowest"]
    assert facts["runs_a_second"]["fastort"][0] > 0
    assert float(cells(out, "fastort")[1]) == pytest.approx(told["median"] * 1e3, rel=0.02)
    by_operator = {entry["operator"]: entry for entry in facts["operators"]}
    assert by_operator["Gather"]["calls"] == 1
    assert all(entry["ms"] >= 0 for entry in by_operator.values())


PEER = """
import sys, types, time
class Session:
    def __init__(self, *_, **__): pass
    def get_inputs(self): return [types.SimpleNamespace(name="ids")]
    def get_overridable_initializers(self): return []
    def run(self, names, feeds):
        import numpy
        time.sleep(0.002)
        return [numpy.full((len(feeds["ids"]), 3), 5, numpy.float32)]
InferenceSession, SessionOptions, __version__ = Session, types.SimpleNamespace, "9.9"
"""


@pytest.fixture
def peer(tmp_path: Path) -> Path:
    """An interpreter with a package ``onnxruntime`` that takes two milliseconds to answer five."""
    (tmp_path / "packages").mkdir()
    (tmp_path / "packages" / "onnxruntime.py").write_text(PEER)
    script = tmp_path / "python"
    script.write_text(f'#!/bin/sh\nPYTHONPATH="{tmp_path / "packages"}" exec "{sys.executable}" "$@"\n')
    script.chmod(0o755)
    return script


def test_bench_beside_a_peer(model: Path, peer: Path, call: Any, tmp_path: Path) -> None:
    arguments = ("--seconds", "0.1", "--clients", "1", "--peer-python", peer, "--peer", "onnxruntime")
    code, out, err = call("bench", model, *arguments, "--json", tmp_path / "bench.json")
    assert (code, err) == (0, "")
    facts = json.loads((tmp_path / "bench.json").read_text())
    assert facts["latency_s"]["onnxruntime 9.9"]["median"] >= 0.002
    assert cells(out, "onnxruntime")[1] == "9.9"


def test_compare_with_a_peer_that_answers_otherwise(model: Path, peer: Path, call: Any) -> None:
    code, out, _ = call("compare", model, "onnxruntime", "--peer-python", peer, "--no-intermediates")
    assert code == 1
    assert "expected 5\n" in out


OPENCV = """
import numpy
__version__ = "9.9"
class Net:
    inputs = {}
    def getUnconnectedOutLayersNames(self): return ("scores",)
    def setInput(self, value, name): self.inputs[name] = value
    def forward(self, names):
        assert names == ["scores"], names
        return (numpy.full((len(self.inputs["ids"]), 3), 5, numpy.float32),)
class dnn:
    readNetFromONNX = staticmethod(lambda path: Net())
def setNumThreads(number): pass
"""


def test_opencv_is_a_peer(model: Path, peer: Path, call: Any, tmp_path: Path) -> None:
    (tmp_path / "packages" / "cv2.py").write_text(OPENCV)
    arguments = ("--peer-python", peer, "--peer", "opencv", "--threads", "1")
    code, out, err = call("bench", model, "--seconds", "0.05", "--clients", "2", *arguments)
    assert (code, err) == (0, "")
    assert cells(out, "opencv")[1] == "9.9"
    code, out, _ = call("compare", model, "opencv", "--peer-python", peer, "--no-intermediates")
    assert code == 1
    assert "expected 5\n" in out
    (tmp_path / "packages" / "cv2.py").write_text(OPENCV.replace('("scores",)', '("a", "b")'))
    code, _, err = call("compare", model, "opencv", "--peer-python", peer, "--no-intermediates")
    assert code == 2
    assert "OpenCV names the outputs ['a', 'b'], the model ['scores']" in err


def test_compare_runs_on_the_provider_that_is_named(model: Path, call: Any, tmp_path: Path) -> None:
    code, out, err = call("compare", model, "cpu", "--provider", "cpu")
    assert (code, err) == (0, "")
    assert "cpu and cpu: the outputs agree" in out
    onnx.save(models.classifier(), tmp_path / "other.onnx")
    assert call("compare", model, tmp_path / "other.onnx", "-p", "cpu")[0] == 0
    code, _, err = call("compare", model, "cpu", "--provider", "NoExecutionProvider")
    assert (code, err.count("\n")) == (2, 1)
    assert "there is no provider 'NoExecutionProvider'" in err


def test_a_peer_that_fails_is_left_out(model: Path, peer: Path, call: Any, tmp_path: Path) -> None:
    (tmp_path / "packages" / "onnxruntime.py").write_text("raise RuntimeError('broken beyond repair')")
    arguments = ("--seconds", "0.05", "--clients", "1", "--peer-python", peer, "--peer", "onnxruntime")
    code, out, _ = call("bench", model, *arguments)
    assert code == 0
    assert "broken beyond repair" in out


def test_tune_writes_options_and_a_report(model: Path, call: Any, tmp_path: Path) -> None:
    code, out, err = call("tune", model, "--seconds", "1.5", "-o", tmp_path / "best.json")
    assert (code, err) == (0, "")
    assert "1 thread" in out
    stored = json.loads((tmp_path / "best.json").read_text())
    assert stored["tuned"]["median_ms"]["default"] > 0
    options = fastort.SessionOptions.from_file(tmp_path / "best.json")
    for name, value in stored["session_options"].items():
        assert getattr(getattr(options, name), "name", getattr(options, name)) == value
    page = (tmp_path / "best.html").read_text()
    assert page.count("data:image/png;base64,") == 2
    assert "1 thread" in page
    assert call("run", model, "--config", tmp_path / "best.json")[0] == 0


def test_tune_tries_kernels_by_measurement(call: Any, tmp_path: Path) -> None:
    path, folder = tmp_path / "conv.onnx", tmp_path / "cache"
    weight = helper.make_tensor("w", TensorProto.FLOAT, (32, 32, 3, 3), np.ones(32 * 32 * 9, np.float32) / 288)
    node = helper.make_node("Conv", ["x", "w"], ["y"], pads=[1] * 4)
    sizes = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 32, 20, 20)) for name in "xy"]
    onnx.save(helper.make_model(helper.make_graph([node], "g", sizes[:1], sizes[1:], [weight])), path)
    code, out, err = call("tune", path, "--seconds", "20", "--cache-dir", folder)
    assert (code, err) == (0, "")
    assert "kernels by measurement" in out
    assert (folder / "choices.records").exists()
    assert call("run", path, "--config", tmp_path / "conv.tuned.json")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("info", "nowhere.onnx"), "'nowhere.onnx' is no file"),
        (("run", "{broken}"), "broken.onnx"),
        (("run", "{model}", "--dim", "size=2"), "no input has a dimension 'size'; there are: batch"),
        (("run", "{model}", "--shape", "ids=2"), "the input 'ids' has 2 dimensions"),
        (("run", "{model}", "-i", "other={ids}"), "there is no input 'other'; there are: ids"),
        (("run", "{model}", "-i", "ids.csv"), "'ids.csv': inputs are read from .npz, .npy and .pb files"),
        (("run", "{model}", "-o", "out.csv"), "'out.csv': outputs are written to .npz, .npy and .pb files"),
        (("run", "{model}", "--config", "{broken}"), "is no JSON"),
        (("compare", "{model}", "nowhere.onnx"), "'nowhere.onnx' is no file"),
        (("compare", "{model}", "NoExecutionProvider"), "there is no provider 'NoExecutionProvider'"),
        (("bench", "{model}", "--peer", "tortoise"), "'tortoise' is no peer"),
        (("bench", "{model}", "--peer-python", "/bin/false"), "'/bin/false' is no Python interpreter"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_errors_are_one_line(arguments: tuple[str, ...], text: str, model: Path, call: Any, tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    np.save(tmp_path / "ids.npy", np.zeros((1, 5), np.int64))
    places = {"model": model, "broken": tmp_path / "broken.onnx", "ids": tmp_path / "ids.npy"}
    code, _, err = call(*(argument.format(**places) for argument in arguments))
    assert code == 2
    assert err.startswith("error: ")
    assert len(err.splitlines()) == 1
    assert text in err


@pytest.mark.parametrize(
    "arguments", [("run",), ("run", "m", "--dim", "batch"), ("nonsense",), ("tune", "m", "-s", "x")]
)
def test_usage_errors(arguments: tuple[str, ...], model: Path, call: Any) -> None:
    code, _, err = call(*(str(model) if argument == "m" else argument for argument in arguments))
    assert code == 2
    assert err.startswith("error: ")
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("name", ["", "info", "run", "bench", "compare", "explain", "optimize", "tune"])
def test_help(name: str) -> None:
    done = CliRunner().invoke(app, [*([name] if name else []), "--help"])
    assert done.exit_code == 0
    assert "Usage" in done.output
    assert "--help" in done.output


def test_the_module_runs_and_the_package_stays_light(model: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fastort", "info", str(model)], capture_output=True, text=True, check=True, timeout=120
    )
    assert "\x1b" not in done.stdout  # no colours in a pipe
    code = "import sys, fastort; print([n for n in ('typer', 'rich', 'onnx', 'matplotlib') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_it_says_what_is_missing(tmp_path: Path) -> None:
    package = Path(fastort.__file__).absolute().parent.parent
    path = os.pathsep.join([str(package), str(Path(np.__file__).parents[1])])
    code = (
        "import importlib.util as u, sys; find = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name in ('typer', 'rich') else find(name, *rest)\n"
        "from fastort.cli import main; main()"
    )
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 2
    assert done.stderr.strip() == "error: the command line needs typer, rich: pip install 'fastort[cli]'"
