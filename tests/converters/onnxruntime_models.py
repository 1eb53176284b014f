"""Optimizes and quantises a model with ONNX Runtime and stores its answers. Runs where onnxruntime and onnx are.

    python tests/converters/onnxruntime_models.py FOLDER MODEL.onnx SAMPLES.npz VARIANT

Writes ``<variant>.onnx`` and ``<variant>.npz`` into FOLDER.

Answers of quantised models are taken without ONNX Runtime's optimizer, or with weights that are unsigned: its
products of uint8 and int8 saturate at 16 bits on processors without VNNI.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

VARIANTS = ("extended", "tool", "dynamic", "qdq", "qdq_channels", "qoperator")


def samples_of(path: Path) -> list[dict[str, np.ndarray]]:
    """Returns the inputs of every sample."""
    samples: list[dict[str, np.ndarray]] = []
    with np.load(path) as stored:
        for key in stored.files:
            index, kind, name = key.split("/", 2)
            while len(samples) <= int(index):
                samples.append({})
            if kind == "in":
                samples[int(index)][name] = stored[key]
    return samples


def session(path: Path, optimize: bool = True, save: Path | None = None) -> Any:
    """Opens a model on one thread."""
    import onnxruntime

    levels = onnxruntime.GraphOptimizationLevel
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    options.graph_optimization_level = levels.ORT_ENABLE_EXTENDED if optimize else levels.ORT_DISABLE_ALL
    if save:
        options.optimized_model_filepath = str(save)
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def convert(variant: str, source: Path, target: Path, samples: list[dict[str, np.ndarray]]) -> None:
    """Writes one variant of a model."""
    from onnxruntime import quantization
    from onnxruntime.transformers import optimizer

    class Reader(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            taken = {arg.name for arg in session(source).get_inputs()}
            self.feeds: Iterator[Any] = iter([{k: v for k, v in feeds.items() if k in taken} for feeds in samples])

        def get_next(self) -> Any:
            return next(self.feeds, None)

    if variant == "extended":
        session(source, save=target)
    elif variant == "tool":
        kind = "gpt2" if "past_key_0" in samples[0] else "bert"
        optimizer.optimize_model(
            str(source), model_type=kind, num_heads=4, hidden_size=32, opt_level=0
        ).save_model_to_file(str(target))
    elif variant == "dynamic":
        quantization.quantize_dynamic(source, target, weight_type=quantization.QuantType.QUInt8)
    else:
        types = quantization.QuantType
        by_operator = variant == "qoperator"
        formats = quantization.QuantFormat
        quantization.quantize_static(
            source,
            target,
            Reader(),
            quant_format=formats.QOperator if by_operator else formats.QDQ,
            activation_type=types.QUInt8,
            weight_type=types.QUInt8 if by_operator else types.QInt8,
            per_channel=variant == "qdq_channels",
        )


def main() -> None:
    """Makes the variant that the command line names."""
    folder, source, stored, variant = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
    samples = samples_of(stored)
    scratch = folder / f".{variant}.onnx"
    convert(variant, source, scratch, samples)
    runner = session(scratch, optimize=not variant.startswith("qdq"))
    taken = {arg.name for arg in runner.get_inputs()}
    names = [arg.name for arg in runner.get_outputs()]
    answers: dict[str, np.ndarray] = {}
    for index, feeds in enumerate(samples):
        fed = {name: array for name, array in feeds.items() if name in taken}
        answers |= {f"{index}/in/{name}": array for name, array in fed.items()}
        results = runner.run(None, fed)
        answers |= {f"{index}/out/{name}": array for name, array in zip(names, results, strict=True)}
    np.savez(folder / f"{variant}.npz", **answers)
    scratch.rename(folder / f"{variant}.onnx")


if __name__ == "__main__":
    main()
