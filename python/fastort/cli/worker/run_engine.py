"""Runs one model on another engine, as its parent tells it over pipes.

This file runs in the interpreter of the engine, which may be an older Python, so it imports NumPy and that engine
alone. Lines on stdin are answered with lines of JSON: ``run N`` with the seconds of each of N runs, ``clients N
SECONDS`` with the runs a second that N threads reach together, ``save FILE`` by writing the outputs to an .npz file in
their order, ``quit`` by ending.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from typing import Any, Callable, Dict, List, Tuple

Call = Callable[[], List[Any]]
Feeds = Dict[str, Any]


def onnxruntime_call(options: argparse.Namespace, feeds: Feeds) -> Tuple[str, Call]:
    """Makes a model ready on ONNX Runtime; returns its version and a function that runs the model."""
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = options.threads
    settings.log_severity_level = 3
    session = onnxruntime.InferenceSession(options.model, settings, providers=["CPUExecutionProvider"])
    names = {arg.name for arg in (*session.get_inputs(), *session.get_overridable_initializers())}
    feeds = {name: value for name, value in feeds.items() if name in names}
    return onnxruntime.__version__, lambda: session.run(None, feeds)


def openvino_call(options: argparse.Namespace, feeds: Feeds) -> Tuple[str, Call]:
    """Makes a model ready on OpenVINO; returns its version and a function that runs the model."""
    import openvino

    core = openvino.Core()
    model = core.read_model(options.model)
    names = {name for port in model.inputs for name in port.names}
    feeds = {name: value for name, value in feeds.items() if name in names}
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    if options.threads:
        settings["INFERENCE_NUM_THREADS"] = options.threads
    compiled = core.compile_model(model, "CPU", settings)
    local = threading.local()

    def call() -> List[Any]:
        if not hasattr(local, "request"):
            local.request = compiled.create_infer_request()
        return list(local.request.infer(feeds, share_inputs=True).values())

    return openvino.__version__, call


def opencv_call(options: argparse.Namespace, feeds: Feeds) -> Tuple[str, Call]:
    """Makes a model ready on OpenCV's dnn module; returns its version and a function that runs the model."""
    import cv2

    if options.threads:
        cv2.setNumThreads(options.threads)
    idle = [cv2.dnn.readNetFromONNX(options.model)]
    found = list(idle[0].getUnconnectedOutLayersNames())
    names = options.outputs or found
    if set(names) != set(found):
        raise ValueError(f"OpenCV names the outputs {found}, the model {names}")

    def call() -> List[Any]:
        # A net serves one thread at a time.
        try:
            net = idle.pop()
        except IndexError:
            net = cv2.dnn.readNetFromONNX(options.model)
        for name, value in feeds.items():
            net.setInput(value, name)
        outputs = list(net.forward(names))
        idle.append(net)
        return outputs

    return cv2.__version__, call


ENGINES = {"onnxruntime": onnxruntime_call, "openvino": openvino_call, "opencv": opencv_call}


def at_once(call: Call, clients: int, seconds: float) -> float:
    """Returns the runs a second of several threads together."""
    counts = [0] * clients
    end = time.perf_counter() + seconds

    def client(index: int) -> None:
        while not counts[index] or time.perf_counter() < end:
            call()
            counts[index] += 1

    threads = [threading.Thread(target=client, args=(index,)) for index in range(clients)]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.perf_counter() - begin)


def timed(call: Call, count: int) -> List[float]:
    """Returns the seconds of each of some runs."""
    times = []
    for _ in range(count):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return times


def main() -> None:
    """Makes the model ready, says how that went, and follows the parent's lines."""
    parser = argparse.ArgumentParser()
    parser.add_argument("engine", choices=sorted(ENGINES))
    parser.add_argument("model")
    parser.add_argument("feeds", help="an .npz file")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--outputs", nargs="*", help="the outputs' names in the order of the model")
    options = parser.parse_args()
    # Whatever an engine prints must not be taken for an answer.
    answers, sys.stdout = sys.stdout, sys.stderr

    def answer(**fields: object) -> None:
        print(json.dumps(fields), file=answers, flush=True)

    try:
        import numpy as np

        with np.load(options.feeds) as stored:
            # Texts are stored as NumPy's own strings; engines take objects.
            feeds = {k: stored[k].astype(object) if stored[k].dtype.kind == "U" else stored[k] for k in stored.files}
        started = time.perf_counter()
        version, call = ENGINES[options.engine](options, feeds)
        created = time.perf_counter()
        call()
        ended = time.perf_counter()
    except Exception as error:
        answer(error=f"{type(error).__name__}: {error}")
        return
    answer(version=version, create_s=created - started, first_s=ended - created)
    for line in sys.stdin:
        words = line.split(maxsplit=1)
        if words[0] == "quit":
            break
        if words[0] == "run":
            answer(times=timed(call, int(words[1])))
        elif words[0] == "clients":
            clients, seconds = words[1].split()
            at_once(call, int(clients), 0)  # makes what each of them needs for itself
            answer(rate=at_once(call, int(clients), float(seconds)))
        elif words[0] == "save":
            values = [value.astype(str) if value.dtype == object else value for value in map(np.asarray, call())]
            np.savez(words[1].strip(), *values)
            answer(saved=len(values))


if __name__ == "__main__":
    main()
