"""The command line in the hands of users: bad input, narrow terminals, Ctrl-C, providers."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import fastort
from fastort.cli import measure, peers
from fastort.cli.search import Search
from tests import vulkan

LAVAPIPE = f"vulkan:device_name={vulkan.DEVICE}"


@pytest.fixture
def places(model: Path, tmp_path: Path) -> dict[str, Path]:
    """Files that are not what they should be, by name."""
    found = {name: tmp_path / name for name in ("text", "cut", "empty", "folder", "nowhere", "unheard")}
    found["text"].write_text("hello there")
    found["cut"].write_bytes(model.read_bytes()[:300])
    found["empty"].write_bytes(b"")
    found["folder"].mkdir()
    ends = [[helper.make_tensor_value_info(name, TensorProto.FLOAT, [2])] for name in "xy"]
    graph = helper.make_graph([helper.make_node("Unheard", ["x"], ["y"])], "g", *ends)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), found["unheard"])
    for name, value in {
        "wide": np.zeros((1, 6), np.int64),
        "floats": np.zeros((1, 5), np.float32),
        "objects": np.array([[1, None]], object),
    }.items():
        np.savez(tmp_path / f"{name}.npz", ids=value)
        found[name] = tmp_path / f"{name}.npz"
    for kind in ("npz", "npy", "pb"):
        (tmp_path / f"bad.{kind}").write_text("zz")
        found[kind] = tmp_path / f"bad.{kind}"
    return {"model": model, **found}


COMMANDS = ("info", "run", "bench", "compare", "explain", "optimize", "tune")


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("nowhere", "' is no file"),
        ("folder", "' is a folder; name the ONNX file in it"),
        ("empty", "' is empty"),
        ("text", "holds no ONNX model"),
        ("cut", "holds no ONNX model"),
        ("unheard", "No Op registered for Unheard"),
    ],
)
def test_models_that_are_none(command: str, name: str, text: str, places: dict[str, Path], call: Any) -> None:
    extra = {"optimize": ["-o", str(places["model"].with_name("out.onnx"))], "tune": ["-s", "1"]}.get(command, [])
    code, out, err = call(command, places[name], *extra)
    if (command, name) == ("info", "unheard"):
        assert code == 0
        assert "fastort cannot run it: " in out
        assert text in out
        return
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert len(err.splitlines()) == 1
    assert text in err
    assert "ONNXRuntimeError" not in err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("run", "{model}", "-i", "{wide}"), "The input has the shape [1,6], the model declares [batch,5]"),
        (("run", "{model}", "-i", "{floats}"), "convert it with array.astype(np.int64)"),
        (("run", "{model}", "-i", "{objects}"), "store texts as NumPy's own"),
        (("run", "{model}", "-i", "{npz}"), "is no .npz file"),
        (("run", "{model}", "-i", "{npy}"), "is no .npy file"),
        (("run", "{model}", "-i", "{pb}"), "holds no tensor of ONNX"),
        (("run", "{model}", "-i", "missing.npz"), "'missing.npz': No such file or directory"),
        (("run", "{model}", "--config", "missing.json"), "'missing.json': No such file or directory"),
        (("run", "{model}", "-p", "nonsense"), "there is no provider 'nonsense'; there are: "),
        (("run", "{model}", "-p", "CUDAExecutionProvider"), "there is no provider 'CUDAExecutionProvider'"),
        (("run", "{model}", "-p", "vulkan:fast"), "options of a provider are NAME=VALUE"),
        (("run", "{model}", "-p", "vulkan:device_name=nobody's"), "no Vulkan device"),
        (("run", "{model}", "-o", "{folder}"), "is a folder; name a file to write"),
        (("run", "{model}", "-o", "{nowhere}/x.npz"), "there is no folder"),
        (("info", "{model}", "--json", "{nowhere}/x.json"), "there is no folder"),
        (("bench", "{model}", "--json", "{nowhere}/x.json"), "there is no folder"),
        (("tune", "{model}", "-o", "{nowhere}/x.json"), "there is no folder"),
        (("tune", "{model}", "--report", "{nowhere}/x.html"), "there is no folder"),
        (("optimize", "{model}", "-o", "{nowhere}/x.onnx"), "there is no folder"),
        (("optimize", "{model}", "-o", "{model}.2", "--disable", "nonsense"), "there is no rewrite 'nonsense'"),
        (("optimize", "{model}", "-o", "{model}.2", "--level", "most"), "'most' is none of: none, basic"),
        (("run", "{model}", "--fetch", "nothing"), "Invalid output name:nothing"),
        (("run", "{model}", "--nonsense"), "No such option: --nonsense"),
        (("run", "{model}", "--threads", "-1"), "fastort run --help shows what there is"),
        (("nonsense",), "No such command 'nonsense' (fastort --help shows what there is)"),
        (("run",), "MODEL"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_errors_say_what_to_do(arguments: tuple[str, ...], text: str, places: dict[str, Path], call: Any) -> None:
    code, _, err = call(*(argument.format(**places) for argument in arguments))
    assert code == 2
    assert err.startswith("error: ")
    assert len(err.splitlines()) == 1
    assert text in err


def test_a_folder_that_may_not_be_written(model: Path, call: Any, tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    if os.geteuid() == 0:
        locked = Path("/sys/kernel")  # root may write nearly everywhere, but makes no files there
    code, _, err = call("run", model, "-o", locked / "x.npz")
    assert (code, err.lower().count("permission denied")) == (2, 1)
    assert len(err.splitlines()) == 1


def test_warnings_are_one_line(model: Path, call: Any, tmp_path: Path) -> None:
    options = fastort.SessionOptions()
    options.add_provider("VulkanExecutionProvider", {"device_name": "nobody's"})
    options.save(tmp_path / "options.json")
    code, out, err = call("run", model, "--config", tmp_path / "options.json")
    assert code == 0
    assert "scores" in out
    assert err.startswith("warning: Specified provider 'VulkanExecutionProvider'")
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("command", ["bench", "tune"])
def test_ctrl_c_ends_with_one_word(command: str, model: Path) -> None:
    code = (
        "import os, signal, sys, threading\n"
        "from fastort.cli.app import run_app\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it\n"
        "threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
        f"sys.argv = ['fastort', {command!r}, {str(model)!r}, '--seconds', '60']\n"
        "sys.exit(run_app())"
    )
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert time.perf_counter() - started < 40
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


def on_terminal(arguments: list[str], columns: int) -> tuple[int, str]:
    """Runs the command line on a terminal of a width; returns the exit code and what was shown, without colours."""
    controller, terminal = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm"}
    command = [sys.executable, "-m", "fastort", *arguments]
    process = subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal, env=environment)
    os.close(terminal)
    shown = b""
    try:
        while data := os.read(controller, 65536):
            shown += data
    except OSError:
        pass  # Linux says so when the last writer has gone
    os.close(controller)
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode())
    return process.wait(timeout=60), text


def test_a_narrow_terminal(model: Path) -> None:
    code, text = on_terminal(["bench", str(model), "--seconds", "0.05", "--clients", "1", "--peer", "none"], 60)
    assert code == 0
    assert "latency ━" in text  # the progress bar
    table = text[text.index("latency in ms") : text.index("fastort's runs")].splitlines()[1:]
    names = [line.split()[0] for line in table if line.strip()]
    assert names == ["engine", "median", "p90", "p99", "fastest", "mean", "runs", "create", "first"]
    assert max(map(len, (line.rstrip() for line in table))) <= 60


def test_a_pipe_gets_plain_lines(model: Path) -> None:
    command = [sys.executable, "-m", "fastort", "bench", str(model), "--seconds", "0.05", "--clients", "1"]
    done = subprocess.run([*command, "--peer", "none"], capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr == ""
    assert "\x1b" not in done.stdout
    assert "\r" not in done.stdout


def test_a_reader_that_has_seen_enough(model: Path) -> None:
    command = f"{sys.executable} -m fastort explain {model} --graph | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == "0"


@pytest.mark.parametrize("level", ["basic", "extended", "all"])
def test_optimized_models_are_valid_onnx(level: str, model: Path, call: Any, tmp_path: Path) -> None:
    code, out, _ = call("optimize", model, "-o", tmp_path / "out.onnx", "--level", level)
    assert code == 0
    assert "the outputs agree" in out
    assert "operators of the ONNX standard alone" in out
    written = onnx.load(tmp_path / "out.onnx")
    onnx.checker.check_model(written, full_check=True)
    assert {node.domain for node in written.graph.node} == {""}


def test_weights_of_a_large_model_go_into_a_file_of_their_own(
    call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fastort.cli.optimize._MAX_INSIDE", 1000)
    weight = np.arange(400, dtype=np.float32).reshape(20, 20)
    ends = [[helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 20])] for name in "xy"]
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    graph = helper.make_graph([node], "g", *ends, [onnx.numpy_helper.from_array(weight, "w")])
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), tmp_path / "model.onnx"
    )
    code, out, _ = call("optimize", tmp_path / "model.onnx", "-o", tmp_path / "out.onnx")
    assert code == 0
    assert f"and its weights to {tmp_path / 'out.onnx.data'}" in out
    assert "the outputs agree" in out
    assert (tmp_path / "out.onnx").stat().st_size < 400
    onnx.checker.check_model(str(tmp_path / "out.onnx"), full_check=True)
    (tensor,) = onnx.load(tmp_path / "out.onnx").graph.initializer
    np.testing.assert_array_equal(onnx.numpy_helper.to_array(tensor), weight)


def test_optimize_says_who_runs_the_model(call: Any, tmp_path: Path) -> None:
    ends = [[helper.make_tensor_value_info(name, TensorProto.FLOAT, [2])] for name in "xy"]
    graph = helper.make_graph([helper.make_node("QuickGelu", ["x"], ["y"], domain="com.microsoft")], "g", *ends)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), tmp_path / "model.onnx")
    code, out, _ = call("optimize", tmp_path / "model.onnx", "-o", tmp_path / "out.onnx")
    assert code == 0
    assert "it has operators of com.microsoft beside those of the ONNX standard" in out


@vulkan.needs_vulkan
def test_providers_with_options(model: Path, call: Any) -> None:
    code, out, err = call("explain", model, "-p", LAVAPIPE, "-p", "cpu")
    assert (code, err) == (0, "")
    assert "VulkanExecutionProvider, shader" in out
    code, out, _ = call("compare", model, LAVAPIPE)
    assert code == 0
    assert f"cpu and {LAVAPIPE}: the outputs agree" in out
    assert f"\n{LAVAPIPE}: " in out
    assert " nodes on VulkanExecutionProvider" in out
    code, out, _ = call("compare", model, "cpu", "-p", LAVAPIPE)
    assert code == 0
    assert f"{LAVAPIPE} and cpu: the outputs agree" in out


@vulkan.needs_vulkan
def test_tune_tries_vulkan_and_precision(model: Path, call: Any, tmp_path: Path) -> None:
    code, out, err = call("tune", model, "-s", "4", "-p", LAVAPIPE, "-o", tmp_path / "best.json", "--rtol", "0.1")
    assert (code, err) == (0, "")
    assert "\non Vulkan" in out
    assert "on Vulkan" in (tmp_path / "best.html").read_text()
    search = Search(model, {}, 1.0, providers={vulkan.NAME: vulkan.OPTIONS})
    texts = [change.text for change in search._changes(fastort.InferenceSession(model))]
    assert texts[:3] == ["on Vulkan", "on Vulkan, tensors as float16", "on Vulkan, float16 throughout"]
    assert "without Winograd and Strassen" in texts


@vulkan.needs_vulkan
def test_what_tune_finds_on_vulkan_makes_a_session(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def faster(engines: Any, *_: object, **__: object) -> dict[str, list[float]]:
        fast = "trial" if "trial" in engines else "best"
        return {name: [0.5 if name == fast else 1.0] * 3 for name in engines}

    # As on a machine whose GPU is fast: what is tried last among the providers is kept.
    monkeypatch.setattr("fastort.cli.search.take_turns", faster)
    monkeypatch.setattr("fastort.cli.search._HOPELESS", float("inf"))
    monkeypatch.setattr(Search, "_changes", _only_vulkan(Search._changes))
    feeds = {"ids": np.ones((1, 5), np.int64)}
    providers = {vulkan.NAME: vulkan.OPTIONS}
    search = Search(model, feeds, 30.0, tolerances=(0.1, 0.1), providers=providers)
    search.run()
    search.best.save(tmp_path / "best.json")
    assert json.loads((tmp_path / "best.json").read_text())["providers"] == {
        vulkan.NAME: {**vulkan.OPTIONS, "enable_fp16": "arithmetic"}
    }
    session = fastort.InferenceSession(model, fastort.SessionOptions.from_file(tmp_path / "best.json"))
    assert session.get_providers()[0] == vulkan.NAME
    assert session.run(None, feeds)[0].shape == (1, 3)


def _only_vulkan(changes: Any) -> Any:
    return lambda search, session: [change for change in changes(search, session) if change.text.startswith("on ")]


def test_a_hopeless_change_costs_two_runs(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastort.cli.search._HOPELESS", 0.0)
    search = Search(model, {"ids": np.ones((1, 5), np.int64)}, 30.0)
    search.run()
    assert search.finished
    assert all(len(trial.times) == 1 and not trial.kept for trial in search.trials if trial.times)


def test_peers_that_were_made_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tmp_path / "fastort" / "peers" / "openvino" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("FASTORT_PEER_OPENVINO", raising=False)
    monkeypatch.setattr(peers, "_engines_of", lambda *_: [])
    assert peers.find_peers() == [peers.Peer("openvino", str(python))]
    monkeypatch.setattr(peers, "_engines_of", lambda *_: ["openvino"])
    assert peers.find_peers() == [peers.Peer("openvino", sys.executable)]


def test_turns_reach_every_engine() -> None:
    times = measure.take_turns({"a": lambda n: [1e-4] * n, "b": lambda n: [2e-4] * n}, 0.05)
    assert set(times["a"]) == {1e-4}
    assert set(times["b"]) == {2e-4}
    assert min(map(len, times.values())) >= 3
