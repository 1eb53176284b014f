"""Classifies a photograph with PyTorch's ResNet-50 on fastort, with PyTorch's own numbers beside it.

Exports the model at opset 12 and at the newest one, runs both on fastort, prints the five best classes, the largest
difference and the latency, and writes the picture with its labels to demo_output/resnet50.png.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

import fastort
from tests.models import export, zoo

if TYPE_CHECKING:
    import torch

REPOSITORY = Path(__file__).resolve().parent.parent
RTOL = 1e-5
ATOL = 1e-4
VARIANTS = (export.Variant(dynamo=False, opset=12), export.DYNAMO_NEWEST)


def pretrained() -> torch.nn.Module:
    """Returns ResNet-50 with the weights that torchvision publishes."""
    zoo.allow_torchvision()
    from torchvision.models import ResNet50_Weights, resnet50

    return resnet50(weights=ResNet50_Weights.IMAGENET1K_V1).eval()


def load_model(download: bool) -> tuple[zoo.Model, torch.nn.Module, bool]:
    """Returns the model's row, the module, and whether its weights are trained."""
    socket.setdefaulttimeout(10)
    try:
        if not download:
            raise OSError("no download wanted")
        return zoo.Model("resnet50_pretrained", pretrained, zoo.picture_feeds), pretrained(), True
    except (OSError, RuntimeError):
        model = zoo.by_name("resnet50")
        return model, model.build(), False
    finally:
        socket.setdefaulttimeout(None)


def class_names() -> list[str]:
    """Returns the names of ImageNet's classes, as torchvision has them."""
    zoo.allow_torchvision()
    from torchvision.models import ResNet50_Weights

    return list(ResNet50_Weights.IMAGENET1K_V1.meta["categories"])


def softmax(logits: np.ndarray) -> np.ndarray:
    """Turns a row of logits into probabilities."""
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints a table, through rich where it is installed."""
    try:
        from rich.console import Console
        from rich.table import Table
    except ImportError:
        print(f"\n{title}")
        widths = [max(len(row[i]) for row in (columns, *rows)) for i in range(len(columns))]
        for row in (columns, *rows):
            print("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)))
        return
    table = Table()
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right")
    for row in rows:
        table.add_row(*row)
    console = Console()
    console.print(f"\n{title}", highlight=False)
    console.print(table)


def medians(calls: dict[str, Callable[[], object]], rounds: int, turns: int = 3) -> dict[str, float]:
    """Times calls in turns, so that a change of the machine's pace meets all of them.

    Args:
        calls: What is timed, by name.
        rounds: How often each has its turn.
        turns: Runs in a row; the first of them warms the caches and does not count.

    Returns:
        The median time of each in milliseconds.
    """
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            time.sleep(0.01)
            for turn in range(turns):
                started = time.perf_counter()
                call()
                if turn:
                    times[name].append((time.perf_counter() - started) * 1e3)
    return {name: statistics.median(values) for name, values in times.items()}


Panel = tuple[np.ndarray, str, list[tuple[str, dict[str, float]]]]


def draw(panels: Sequence[Panel], path: Path) -> None:
    """Writes pictures with bars of their classes' probabilities."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, grid = plt.subplots(len(panels), 2, figsize=(11, 4 * len(panels)), squeeze=False)
    for (image, title, classes), (left, right) in zip(panels, grid, strict=True):
        left.imshow(image)
        left.set_title(f"{title}\n{classes[0][0]}")
        left.axis("off")
        engines = list(classes[0][1])
        height = 0.8 / len(engines)
        for index, engine in enumerate(engines):
            where = np.arange(len(classes)) + (index - (len(engines) - 1) / 2) * height
            right.barh(where, [values[engine] for _, values in classes], height, label=engine)
        right.set_yticks(range(len(classes)), [name for name, _ in classes])
        right.invert_yaxis()
        right.set_xlabel("probability")
        right.legend()
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def resnet50(threads: int, rounds: int, download: bool, names: list[str]) -> tuple[Panel, bool]:
    """Runs ResNet-50 on the cat with both engines; returns what to draw, and whether they agree."""
    import torch

    torch.set_num_threads(threads)
    model, module, trained = load_model(download)
    if trained:
        print("ResNet-50 with torchvision's pretrained weights (IMAGENET1K_V1).")
    else:
        why = "could not be downloaded here" if download else "were not asked for"
        print(
            f"The pretrained weights {why}. ResNet-50 therefore has seeded random weights,\n"
            "with BatchNorm statistics calibrated on the picture so that activations stay in range. The classes that\n"
            "it names mean nothing; that both engines name the same, with the same probabilities, is what is shown."
        )
    folder = export.ensure(model, VARIANTS)
    x = zoo.preprocess(zoo.cat_picture())
    with torch.inference_mode():
        want = module(torch.from_numpy(x)).numpy()

    options = fastort.SessionOptions()
    options.intra_op_num_threads = threads
    sessions = {
        variant: fastort.InferenceSession(folder / f"{variant.name}.onnx", options, providers=["CPUExecutionProvider"])
        for variant in VARIANTS
    }
    got = {variant: session.run(None, {"input": x})[0] for variant, session in sessions.items()}

    newest = got[export.DYNAMO_NEWEST]
    ours, theirs = softmax(newest[0]), softmax(want[0])
    best = np.argsort(-theirs)[:5]
    show(
        f"Five best classes of the cat, opset {export.DYNAMO_NEWEST.opset}",
        ("class", "fastort", "PyTorch"),
        [(f"{index} {names[index]}", f"{ours[index]:.6f}", f"{theirs[index]:.6f}") for index in best],
    )

    def eager() -> object:
        with torch.inference_mode():
            return module(tensor)

    tensor = torch.from_numpy(x)
    calls: dict[str, Callable[[], object]] = {"PyTorch": eager}
    for variant, session in sessions.items():
        calls[variant.name] = lambda session=session: session.run(None, {"input": x})
    took = medians(calls, rounds)
    rows = [("PyTorch", "", "", f"{took['PyTorch']:.1f} ms", "", "")]
    agree = True
    for variant in VARIANTS:
        close = bool(np.allclose(got[variant], want, rtol=RTOL, atol=ATOL))
        agree &= close
        exporter = "dynamo" if variant.dynamo else "TorchScript"
        error = f"{np.abs(got[variant] - want).max():.1e}"
        rows.append(("fastort", exporter, str(variant.opset), f"{took[variant.name]:.1f} ms", error, str(close)))
    head = ("engine", "exporter", "opset", "median", "difference", "allclose")
    show(f"One picture, {threads} threads: median of {rounds} interleaved rounds", head, rows)
    bars = [(names[index], {"fastort": float(ours[index]), "PyTorch": float(theirs[index])}) for index in best]
    title = "ResNet-50" if trained else "ResNet-50, random weights"
    return (zoo.cat_picture(), title, bars), agree


def quantised_mobilenet(folder: Path, threads: int, names: list[str]) -> Panel:
    """Runs a trained, quantised MobileNetV2 on a kitten; returns what to draw."""
    from PIL import Image

    picture = np.asarray(Image.open(folder / "kitten_224.png").convert("RGB"))
    x = zoo.preprocess(picture, size=244, resize=244)
    options = fastort.SessionOptions()
    options.intra_op_num_threads = threads
    session = fastort.InferenceSession(folder / "mobilenet_v2_qdq.onnx", options, providers=["CPUExecutionProvider"])
    (scores,) = session.run(None, {"image": x})
    probabilities = softmax(scores[0])
    best = np.argsort(-probabilities)[:5]
    show(
        "Five best classes of the kitten: MobileNetV2, trained and quantised to 8 bits",
        ("class", "fastort"),
        [(f"{index} {names[index]}", f"{probabilities[index]:.6f}") for index in best],
    )
    return picture, "MobileNetV2, 8 bits", [(names[i], {"fastort": float(probabilities[i])}) for i in best]


def main() -> int:
    """Runs the demonstration; the exit status says whether fastort and PyTorch agree."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=15, help="rounds of the latency measurement")
    parser.add_argument("--no-download", action="store_true", help="do not try to download pretrained weights")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "demo_output" / "resnet50.png")
    options = parser.parse_args()

    names = class_names()
    panel, agree = resnet50(options.threads, options.rounds, not options.no_download, names)
    panels = [panel]
    real = REPOSITORY.parent / "shared" / "models"
    if (real / "mobilenet_v2_qdq.onnx").exists():
        panels.append(quantised_mobilenet(real, options.threads, names))
    draw(panels, options.out)
    print(f"\nThe picture with its labels: {options.out}")
    print(f"np.allclose(fastort, PyTorch, rtol={RTOL:g}, atol={ATOL:g}): {agree}")
    return 0 if agree else 1


if __name__ == "__main__":
    raise SystemExit(main())
