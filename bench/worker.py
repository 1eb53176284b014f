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
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

Feeds = dict[str, np.ndarray]


@dataclass
class Ready:
    """A model that an engine has made ready.

    Attributes:
        answer: Runs one request.
        outputs: Names of the outputs in the order of the answer.
        convert: Makes a request of arrays into what ``answer`` takes.
    """

    answer: Callable[[Any], Sequence[np.ndarray]]
    outputs: list[str]
    convert: Callable[[Feeds], Any] = lambda feeds: feeds


def memory(field: str) -> float:
    """Returns a field of the process's status in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024
    return float("nan")


def session_of(module: str, options: argparse.Namespace, vulkan: bool = False) -> Callable[[], Ready]:
    """Prepares fastort, which may run on Vulkan, or ONNX Runtime: they share one API."""
    engine = __import__(module)
    # The device that the environment names, or lavapipe: ncnn takes what it finds, too.
    device = {"device_name": os.environ.get("FASTORT_VULKAN_DEVICE", "llvmpipe"), "strict_placement": "1"}
    providers: list[Any] = [("VulkanExecutionProvider", device)] if vulkan else ["CPUExecutionProvider"]

    def create() -> Ready:
        settings = engine.SessionOptions()
        settings.intra_op_num_threads = options.threads
        settings.inter_op_num_threads = 1
        if not options.settings.get("fusion", True):
            settings.graph_optimization_level = engine.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = engine.InferenceSession(options.model, settings, providers=providers)
        names = {arg.name for arg in session.get_inputs()}
        return Ready(
            partial(session.run, None),
            [arg.name for arg in session.get_outputs()],
            lambda feeds: {name: array for name, array in feeds.items() if name in names},
        )

    return create


def openvino(options: argparse.Namespace, requests: list[Feeds]) -> Callable[[], Ready]:
    """Prepares OpenVINO; with the shapes fixed, which it runs fastest with, where all requests have the same."""
    import openvino as ov

    def create() -> Ready:
        core = ov.Core()
        model = core.read_model(options.model)
        names = {name for port in model.inputs for name in port.names}
        if len(requests) == 1:
            model.reshape({name: list(array.shape) for name, array in requests[0].items() if name in names})
        settings = {"INFERENCE_NUM_THREADS": options.threads, "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1}
        settings["INFERENCE_PRECISION_HINT"] = "f32"
        if options.settings.get("clients", 1) > 1:
            settings |= {"PERFORMANCE_HINT": "THROUGHPUT"}
            del settings["NUM_STREAMS"]
        compiled = core.compile_model(model, "CPU", settings)
        local = threading.local()

        def answer(given: Feeds) -> Sequence[np.ndarray]:
            if not hasattr(local, "request"):
                local.request = compiled.create_infer_request()
            return list(local.request.infer(given, share_inputs=True).values())

        return Ready(
            answer,
            [port.any_name for port in model.outputs],
            lambda feeds: {name: array for name, array in feeds.items() if name in names},
        )

    return create


def torch(options: argparse.Namespace, requests: list[Feeds]) -> Callable[[], Ready]:
    """Prepares PyTorch, eager, as frozen TorchScript or compiled, on the module that the model was exported from."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    import torch as engine

    from bench import workloads
    from tests.models import zoo

    engine.set_num_threads(options.threads)
    workload = workloads.by_name(options.name)
    build = workload.module if workload else zoo.by_name(options.name).build
    if build is None:
        raise SystemExit("this workload has no PyTorch form")
    module = build()

    def convert(feeds: Feeds) -> tuple[engine.Tensor, ...]:
        return tuple(engine.from_numpy(array) for array in feeds.values())

    def create() -> Ready:
        called = module
        with engine.inference_mode():
            if options.engine == "torchscript" and not isinstance(module, engine.jit.ScriptModule):
                called = engine.jit.trace(module, convert(requests[0]))
                called = engine.jit.freeze(called.eval()) if isinstance(module, engine.nn.Module) else called
            elif options.engine == "torchcompile":
                called = engine.compile(module)

        def answer(given: tuple[engine.Tensor, ...]) -> Sequence[np.ndarray]:
            with engine.inference_mode():
                return [called(*given).numpy()]

        return Ready(answer, ["output"], convert)

    return create


def ncnn(options: argparse.Namespace, requests: list[Feeds]) -> Callable[[], Ready]:
    """Prepares ncnn, on Vulkan where the engine says so, on what pnnx made of the module (see ncnn_models.py)."""
    import ncnn as engine

    folder = Path(options.model)
    # Which dimension of each input is the batch, 233 for none: noted in the program that pnnx writes beside the model.
    program = (folder / "model_ncnn.py").read_text()
    places = {name: int(index) for name, index in re.findall(r'input\("(\w+)".*batch_index=(\d+)', program)}
    sources = {name: int(index) for name, index in re.findall(r'extract\("(\w+)"\)\s+.*batch_index=(\d+)', program)}

    def create() -> Ready:
        net = engine.Net()
        net.opt.num_threads = options.threads
        net.opt.use_vulkan_compute = options.engine == "ncnn-vulkan"
        for reduced in ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_storage"):
            setattr(net.opt, f"use_{reduced}", False)
        if net.load_param(str(folder / "model.ncnn.param")) or net.load_model(str(folder / "model.ncnn.bin")):
            raise SystemExit("ncnn does not load what pnnx wrote")

        def answer(given: list[tuple[str, Any]]) -> Sequence[np.ndarray]:
            with net.create_extractor() as extractor:
                for name, matrix in given:
                    extractor.input(name, matrix)
                status, output = extractor.extract("out0")
                if status:
                    raise RuntimeError(f"ncnn stopped with status {status}")
                return [output.numpy(batch_index=sources["out0"])]

        def convert(feeds: Feeds) -> list[tuple[str, Any]]:
            arrays = [array.astype(np.int32) if array.dtype == np.int64 else array for array in feeds.values()]
            return [
                (name, engine.Mat(array, batch_index=places[name]).clone())
                for name, array in zip((f"in{index}" for index in range(len(arrays))), arrays, strict=True)
                if name in places
            ]

        return Ready(answer, ["output"], convert)

    return create


def lleaves(options: argparse.Namespace) -> Callable[[], Ready]:
    """Prepares lleaves, which compiles LightGBM's own text."""
    import lleaves as engine

    text = Path(options.model).with_name("model.txt")
    if not text.exists():
        raise SystemExit("lleaves runs LightGBM's models alone")

    def create() -> Ready:
        model = engine.Model(model_file=str(text))
        model.compile()
        return Ready(
            lambda x: [model.predict(x, n_jobs=options.threads)[:, None]], ["output"], lambda feeds: feeds["X"]
        )

    return create


# Engines that fuse operators whatever they are asked.
FUSING = ("openvino", "torchscript", "torchcompile", "ncnn", "ncnn-vulkan")


def prepare(options: argparse.Namespace, requests: list[Feeds]) -> Callable[[], Ready]:
    """Imports an engine and returns what creates a model on it."""
    if options.engine in FUSING and not options.settings.get("fusion", True):
        raise SystemExit("this engine has no option that leaves the operators unfused")
    match options.engine:
        case "fastort" | "onnxruntime":
            return session_of(options.engine, options)
        case "fastort-vulkan":
            return session_of("fastort", options, vulkan=True)
        case "openvino":
            return openvino(options, requests)
        case "torch" | "torchscript" | "torchcompile":
            return torch(options, requests)
        case "ncnn" | "ncnn-vulkan":
            return ncnn(options, requests)
        case "lleaves":
            return lleaves(options)
        case unknown:
            raise SystemExit(f"unknown engine: {unknown}")


def load(path: str) -> tuple[list[Feeds], np.ndarray]:
    """Returns the requests of a file, and the first output that the last of them should have (empty: not known)."""
    with np.load(path) as stored:
        if "want" not in stored.files:
            feeds = {key.removeprefix("in_"): stored[key] for key in stored.files if key.startswith("in_")}
            return [feeds], next(stored[key] for key in stored.files if key.startswith("out_"))
        requests: dict[str, Feeds] = {}
        for key in stored.files:
            index, _, name = key.partition("/")
            if name:
                requests.setdefault(index, {})[name] = stored[key]
        return list(requests.values()), stored["want"]


class Runner:
    """Runs the requests of a model in the way that its settings ask for, and takes the time."""

    def __init__(self, create: Callable[[], Ready], requests: list[Feeds], settings: dict[str, Any]) -> None:
        self.create = create
        self.requests = requests
        self.settings = settings
        self.ready = create()
        self.given = [self.ready.convert(feeds) for feeds in requests]

    def in_turn(self, first: int = 0) -> Sequence[np.ndarray]:
        """Answers the requests from ``first`` on, one after the other."""
        feedback = self.settings.get("feedback")
        if not feedback:
            for given in self.given[first:]:
                answer = self.ready.answer(given)
            return answer
        carried: Feeds = {}
        for feeds in self.requests:
            answer = self.ready.answer(self.ready.convert({**feeds, **carried}))
            named = dict(zip(self.ready.outputs, answer, strict=False))
            carried = {target: named[source] for source, target in feedback.items()}
        return answer

    def fresh(self) -> float:
        """Takes the time of all requests but the first on a new session."""
        self.ready = self.create()
        self.ready.answer(self.given[0])
        begin = time.perf_counter()
        self.in_turn(0 if self.settings.get("feedback") else 1)
        return time.perf_counter() - begin

    def at_once(self, count: int) -> list[float]:
        """Lets several threads send requests; each request's share of the time."""
        clients = self.settings["clients"]
        each = -(-count // clients)

        def client() -> None:
            for _ in range(each):
                self.ready.answer(self.given[0])

        threads = [threading.Thread(target=client) for _ in range(clients)]
        begin = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return [(time.perf_counter() - begin) / (each * clients)] * count

    def run(self, count: int) -> list[float]:
        """Runs ``count`` times; the seconds of each."""
        if self.settings.get("fresh"):
            return [self.fresh() for _ in range(count)]
        if self.settings.get("clients", 1) > 1:
            return self.at_once(count)
        call = partial(self.ready.answer, self.given[0]) if len(self.given) == 1 else self.in_turn
        times = []
        for _ in range(count):
            begin = time.perf_counter()
            call()
            times.append(time.perf_counter() - begin)
        return times


def package_of(engine: str) -> str:
    """Returns the package that an engine comes in."""
    return "torch" if engine.startswith("torch") else engine.partition("-")[0]


def version(engine: str) -> str:
    """Returns an engine's version."""
    try:
        return importlib.metadata.version(package_of(engine))
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
    parser.add_argument("--settings", type=json.loads, default={}, help="see workloads.py")
    options = parser.parse_args()
    # Whatever an engine prints must not be taken for an answer.
    answers = sys.stdout
    sys.stdout = sys.stderr

    def answer(**fields: object) -> None:
        print(json.dumps(fields), file=answers, flush=True)

    requests, want = load(options.sample)
    create = prepare(options, requests)
    before = memory("VmRSS")
    started = time.perf_counter()
    runner = Runner(create, requests, options.settings)
    created = time.perf_counter()
    got = runner.in_turn()[0]
    ended = time.perf_counter()
    if want.size and got.shape != want.shape:
        raise SystemExit(f"answers with the shape {got.shape} instead of {want.shape}")
    answer(
        version=version(options.engine),
        create_s=created - started,
        ready_s=ended - started,
        difference=float(np.abs(got - want).max()) if want.size else None,
        memory_before_mb=before,
    )
    for line in sys.stdin:
        words = line.split()
        if words[0] == "quit":
            break
        answer(times=runner.run(int(words[1])))
    answer(peak_mb=memory("VmHWM"))


if __name__ == "__main__":
    main()
