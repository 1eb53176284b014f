"""Runs one model on one engine, as its parent tells it over pipes.

This file runs in the virtual environment of the engine that it measures, so it imports NumPy and that engine
alone. It is told what to run by its arguments and by lines on stdin, and answers each with a line of JSON:

    run N    runs N times and answers with the seconds that each run took
    quit     answers with the peak memory of the process, and ends
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

Run = Callable[[], np.ndarray]


def memory(field: str) -> float:
    """Returns a field of the process's status in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024
    return float("nan")


def session_of(module: str, options: argparse.Namespace, feeds: dict[str, np.ndarray]) -> Callable[[], Run]:
    """Prepares fastort or ONNX Runtime, which share one API."""
    engine = __import__(module)

    def create() -> Run:
        settings = engine.SessionOptions()
        settings.intra_op_num_threads = options.threads
        settings.inter_op_num_threads = 1
        session = engine.InferenceSession(options.model, settings, providers=["CPUExecutionProvider"])
        names = {arg.name for arg in session.get_inputs()}
        given = {name: array for name, array in feeds.items() if name in names}
        return lambda: session.run(None, given)[0]

    return create


def openvino(options: argparse.Namespace, feeds: dict[str, np.ndarray]) -> Callable[[], Run]:
    """Prepares OpenVINO, with the shapes fixed, which it runs fastest with."""
    import openvino as ov

    def create() -> Run:
        core = ov.Core()
        model = core.read_model(options.model)
        names = {name for port in model.inputs for name in port.names}
        model.reshape({name: list(array.shape) for name, array in feeds.items() if name in names})
        settings = {"INFERENCE_NUM_THREADS": options.threads, "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1}
        settings["INFERENCE_PRECISION_HINT"] = "f32"
        request = core.compile_model(model, "CPU", settings).create_infer_request()
        given = {name: array for name, array in feeds.items() if name in names}
        return lambda: next(iter(request.infer(given, share_inputs=True).values()))

    return create


def torch(options: argparse.Namespace, feeds: dict[str, np.ndarray], scripted: bool) -> Callable[[], Run]:
    """Prepares PyTorch, eager or as frozen TorchScript; the module is the one that the model was exported from."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    import torch as engine

    from tests.models import zoo

    engine.set_num_threads(options.threads)
    module = zoo.by_name(options.name).build()

    def create() -> Run:
        given = tuple(engine.from_numpy(array) for array in feeds.values())
        with engine.inference_mode():
            called = module
            if scripted and not isinstance(module, engine.jit.ScriptModule):
                called = engine.jit.freeze(engine.jit.trace(module, given).eval())

        def run() -> np.ndarray:
            with engine.inference_mode():
                return called(*given).numpy()

        return run

    return create


def prepare(options: argparse.Namespace, feeds: dict[str, np.ndarray]) -> Callable[[], Run]:
    """Imports an engine and returns what creates a model on it."""
    match options.engine:
        case "fastort" | "onnxruntime":
            return session_of(options.engine, options, feeds)
        case "openvino":
            return openvino(options, feeds)
        case "torch" | "torchscript":
            return torch(options, feeds, scripted=options.engine == "torchscript")
        case unknown:
            raise SystemExit(f"unknown engine: {unknown}")


def version(engine: str) -> str:
    """Returns an engine's version."""
    try:
        return importlib.metadata.version("torch" if engine == "torchscript" else engine)
    except importlib.metadata.PackageNotFoundError:
        return "from the source tree"


def main() -> None:
    """Creates the model, says how that went, and follows the parent's lines."""
    parser = argparse.ArgumentParser()
    parser.add_argument("engine")
    parser.add_argument("name")
    parser.add_argument("model")
    parser.add_argument("sample")
    parser.add_argument("--threads", type=int, required=True)
    options = parser.parse_args()
    # Whatever an engine prints must not be taken for an answer.
    answers = sys.stdout
    sys.stdout = sys.stderr

    def answer(**fields: object) -> None:
        print(json.dumps(fields), file=answers, flush=True)

    with np.load(options.sample) as stored:
        feeds = {key[3:]: stored[key] for key in stored.files if key.startswith("in_")}
        want = next(stored[key] for key in stored.files if key.startswith("out_"))
    create = prepare(options, feeds)
    before = memory("VmRSS")
    started = time.perf_counter()
    run = create()
    created = time.perf_counter()
    got = run()
    ended = time.perf_counter()
    answer(
        version=version(options.engine),
        create_s=created - started,
        ready_s=ended - started,
        difference=float(np.abs(got - want).max()),
        memory_before_mb=before,
    )
    for line in sys.stdin:
        words = line.split()
        if words[0] == "quit":
            break
        times = []
        for _ in range(int(words[1])):
            begin = time.perf_counter()
            run()
            times.append(time.perf_counter() - begin)
        answer(times=times)
    answer(peak_mb=memory("VmHWM"))


if __name__ == "__main__":
    main()
