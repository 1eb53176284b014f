"""Measures VulkanExecutionProvider on a GPU, beside PyTorch on CUDA and ncnn where the machine has them.

python bench/gpu.py                                # ResNet-50 and BERT-base at batches 1, 8 and 64
python bench/gpu.py resnet50 --batches 1 --save gpu.json
FASTORT_VULKAN_DEVICE=llvmpipe python bench/gpu.py mlp --batches 1 --seconds 0.1 --small   # does it run?

Inputs and outputs stay on the device. Each number is the median wall-clock time of a run; "on the device" is what its
timestamps say of the same model, without the copies. What could not be measured is printed with the reason.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import onnx
from onnx import helper

import fastort
from fastort.analysis import count_flops
from tests.models import export, zoo

VULKAN = "VulkanExecutionProvider"
# The largest batch whose results are compared with PyTorch's.
MOST_COMPARED = 8
# That a session may measure kernels, most of which its driver compiles first.
TUNE_SECONDS = 120
MODES = {"float32": "off", "float16": "storage", "float16 products": "arithmetic"}


def timed(run: Callable[[], Any], seconds: float) -> float:
    """Returns the median seconds of a call, after a few that warm up."""
    for _ in range(3):
        run()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < 5 or time.perf_counter() < end:
        begin = time.perf_counter()
        run()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def bound_run(model: Any, feeds: dict[str, Any], device: dict[str, str]) -> Callable[[], Any]:
    """A run whose inputs and outputs stay on the device."""
    session = fastort.InferenceSession(model, providers=[(VULKAN, {**device, "strict_placement": "1"})])
    binding = session.io_binding()
    for name, value in feeds.items():
        binding.bind_ortvalue_input(name, fastort.OrtValue.ortvalue_from_numpy(value, "vulkan", 0))
    for output in session.get_outputs():
        binding.bind_output(output.name, "vulkan", 0)
    return lambda: session.run_with_iobinding(binding)


def one_node(op: str, shapes: list[list[int]], result: list[int], kind: int) -> bytes:
    """A model of one operator."""
    names = [f"x{i}" for i in range(len(shapes))]
    graph = helper.make_graph(
        [helper.make_node(op, names, ["y"])],
        op,
        [helper.make_tensor_value_info(name, kind, shape) for name, shape in zip(names, shapes, strict=True)],
        [helper.make_tensor_value_info("y", kind, result)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9).SerializeToString()


# What products are measured with.
KERNELS = ("", "tiles+large", "tiles+medium", "matrices+large", "matrices+medium", "matrices+small")


def roofs(device: dict[str, str], seconds: float, small: bool) -> dict[str, float]:
    """What the device reaches through the provider: bytes a second of a copy, operations a second of a product."""
    found: dict[str, float] = {}
    rows = fastort._engine.vulkan_devices()
    matrices = any(row["matrices"] for row in rows if device.get("device_name", "") in row["name"])
    count, size = (1 << 16, 64) if small else (1 << 28, 8192)
    for name, kind, dtype in (("float32", onnx.TensorProto.FLOAT, np.float32), ("float16", 10, np.float16)):
        zeros = np.zeros(count, dtype)
        copy = timed(bound_run(one_node("Neg", [[count]], [count], kind), {"x0": zeros}, device), seconds)
        found[f"copy {name}, bytes/s"] = 2 * zeros.nbytes / copy
        square = np.random.default_rng(0).standard_normal((size, size), np.float32).astype(dtype)
        model = one_node("MatMul", [[size, size]] * 2, [size, size], kind)
        for kernels in KERNELS:
            if kernels.startswith("matrices") and (name == "float32" or not matrices):
                continue
            run = bound_run(model, {"x0": square, "x1": square}, {**device, "kernels": kernels})
            label = f"product {name}, {kernels or 'by rule'}, operations/s"
            found[label] = 2.0 * size**3 / timed(run, seconds)
    return found


def torch_roofs(seconds: float, small: bool) -> dict[str, float]:
    """The same of PyTorch on CUDA."""
    try:
        import torch
    except ImportError:
        return {}
    if not torch.cuda.is_available():
        return {}
    found: dict[str, float] = {}
    count, size = (1 << 16, 64) if small else (1 << 28, 8192)
    for name, dtype in (("float32", torch.float32), ("float16", torch.float16)):
        source = torch.zeros(count, dtype=dtype, device="cuda")
        target = torch.empty_like(source)
        square = torch.randn(size, size, device="cuda").to(dtype)

        def copy(source: Any = source, target: Any = target) -> None:
            target.copy_(source)
            torch.cuda.synchronize()

        def multiply(square: Any = square) -> None:
            torch.matmul(square, square)
            torch.cuda.synchronize()

        found[f"torch copy {name}, bytes/s"] = 2 * source.nbytes / timed(copy, seconds)
        found[f"torch product {name}, operations/s"] = 2.0 * size**3 / timed(multiply, seconds)
    return found


def torch_times(name: str, feeds: dict[str, Any], seconds: float) -> dict[str, float | str]:
    """Seconds of PyTorch on CUDA: eager, compiled, and as a graph."""
    try:
        import torch
    except ImportError:
        return {"torch": "no torch here"}
    if not torch.cuda.is_available():
        return {"torch": "torch sees no CUDA device"}
    found: dict[str, float | str] = {}
    # Vulkan has no TF32: float32 is float32 on both sides.
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    for kind, dtype in (("float32", torch.float32), ("float16", torch.float16)):
        module = zoo.by_name(name).build().eval().to("cuda", dtype)
        inputs = [
            tensor.to(dtype) if tensor.is_floating_point() else tensor
            for tensor in (torch.from_numpy(value).cuda() for value in feeds.values())
        ]

        def call(forward: Callable[..., Any], inputs: list[Any] = inputs) -> None:
            with torch.inference_mode():
                forward(*inputs)
            torch.cuda.synchronize()

        def graphed(module: Any = module, inputs: list[Any] = inputs) -> Callable[[], None]:
            graph = torch.cuda.CUDAGraph()
            with torch.inference_mode():
                for _ in range(3):
                    module(*inputs)
                torch.cuda.synchronize()
                with torch.cuda.graph(graph):
                    module(*inputs)

            def replay() -> None:
                graph.replay()
                torch.cuda.synchronize()

            return replay

        ways: dict[str, Callable[[], Callable[[], None]]] = {
            "eager": lambda call=call, module=module: lambda: call(module),
            "compile": lambda call=call, module=module: (lambda compiled: lambda: call(compiled))(
                torch.compile(module)
            ),
            "graph": graphed,
            "compile+graph": lambda call=call, module=module: (lambda compiled: lambda: call(compiled))(
                torch.compile(module, mode="reduce-overhead")
            ),
        }
        for way, make in ways.items():
            try:
                found[f"torch {way} {kind}"] = timed(make(), seconds)
            except Exception as reason:  # what one way lacks is no reason not to measure the others
                found[f"torch {way} {kind}"] = f"{type(reason).__name__}: {str(reason).splitlines()[0]}"
    return found


def on_device(path: Path, feeds: dict[str, Any], device: dict[str, str], what: str) -> float:
    """The seconds of a run that the device's timestamps say; prints the nodes that take longest."""
    session = fastort.InferenceSession(path, providers=[(VULKAN, {**device, "strict_placement": "1"})])
    profile = session.profile(feeds, runs=5)
    nodes = [node for node in profile.nodes() if node.provider == VULKAN]
    total = sum(node.total_ms for node in nodes) / profile.runs
    print(f"  {what}: {len(nodes)} nodes on the device, {total:.3f} ms; the longest:")
    for node in sorted(nodes, key=lambda node: -node.total_ms)[:8]:
        print(f"    {node.total_ms / profile.runs:9.4f} ms  {node.name}  {node.kernel}  {node.outputs}", flush=True)
    return total / 1e3


def error_of(path: Path, feeds: dict[str, Any], want: np.ndarray, device: dict[str, str]) -> float:
    """The largest difference from PyTorch's result on the CPU, over that one's largest number."""
    session = fastort.InferenceSession(path, providers=[(VULKAN, {**device, "strict_placement": "1"})])
    (got,) = session.run(None, feeds)
    return float(np.abs(got - want).max() / np.abs(want).max())


def fastort_times(
    path: Path, feeds: dict[str, Any], want: np.ndarray | None, device: dict[str, str], seconds: float
) -> dict[str, float | str]:
    """Seconds of a run in each mode, with kernels chosen by rule and by times that the device measures."""
    found: dict[str, float | str] = {}
    for mode, option in MODES.items():
        options = {**device, "enable_fp16": option, "tune": "off"}
        try:
            if want is not None:
                found[f"fastort {mode}, error"] = f"{error_of(path, feeds, want, options):.1e} of the largest number"
            found[f"fastort {mode}, on the device"] = on_device(path, feeds, options, mode)
            found[f"fastort {mode}"] = timed(bound_run(path, feeds, options), seconds)
            options |= {"tune": "measure", "tune_seconds": str(TUNE_SECONDS)}
            found[f"fastort {mode}, tuned, on the device"] = on_device(path, feeds, options, f"{mode}, tuned")
            found[f"fastort {mode}, tuned"] = timed(bound_run(path, feeds, options), seconds)
        except Exception as reason:  # a device without float16, say
            found[f"fastort {mode}"] = f"{type(reason).__name__}: {str(reason).splitlines()[0]}"
    return found


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=["resnet50", "bert_12"], help="models of tests/models/zoo.py")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each number is measured")
    parser.add_argument("--device", default=os.environ.get("FASTORT_VULKAN_DEVICE", ""), help="a part of its name")
    parser.add_argument("--small", action="store_true", help="small tensors for the roofs: a trial without a GPU")
    parser.add_argument("--save", type=Path, help="write the numbers to this file")
    options = parser.parse_args()
    os.environ["FASTORT_VULKAN_DEVICE"] = options.device
    device = {"device_name": options.device} if options.device else {}
    refusal = fastort._engine.vulkan_refusal(device)
    if refusal:
        sys.exit(f"no device to measure: {refusal}")
    results: dict[str, Any] = {"devices": fastort._engine.vulkan_devices()}
    for row in results["devices"]:
        print(f"{row['name']}: subgroups of {row['subgroup']}, {row['cores'] or 'an unknown number of'} processors,")
        print(f"  cooperative matrices (m, n, k), float16 into float32: {row['matrices'] or 'none'}")

    def save() -> None:
        if options.save:
            options.save.write_text(json.dumps(results, indent=1))

    results["roofs"] = roofs(device, options.seconds, options.small) | torch_roofs(options.seconds, options.small)
    for what, rate in results["roofs"].items():
        print(f"{what}: {rate:.3g}", flush=True)
    save()
    for name in options.names:
        path = export.path_of(name)
        for batch in options.batches:
            # PyTorch on the CPU takes long for large batches.
            few = batch <= MOST_COMPARED
            feeds, want = export.sample_of(name, batch) if few else (zoo.by_name(name).feeds(batch), None)
            flops = count_flops(path, feeds).flops
            print(f"\n{name}, batch {batch}", flush=True)
            times = fastort_times(path, feeds, want, device, options.seconds)
            times |= torch_times(name, feeds, options.seconds)
            results[f"{name}, batch {batch}"] = times
            for what, value in times.items():
                shown = value if isinstance(value, str) else f"{1e3 * value:9.3f} ms"
                rate = "" if isinstance(value, str) or not flops else f"  {flops / value / 1e12:8.3f} Tflop/s"
                print(f"  {what:36} {shown}{rate}", flush=True)
            save()


if __name__ == "__main__":
    main()
