"""One row for each model: fastort's time, how many times as long each peer takes, and whether that meets the aim."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

OURS = "fastort"
# Time of the fastest peer / time of fastort that a row is to reach. One that keeps the processor's arithmetic or the
# memory busy for _FULL of what it does at best at that moment has reached what there is.
AIMS = {
    "resnet50": 1.25,
    "resnet18": 1.5,
    "vgg16": 1.5,
    "mobilenet_v3_large": 1.2,
    "efficientnet_b0": 1.2,
    "squeezenet1_1": 1.2,
    "densenet121": 1.2,
    "convnext_tiny": 1.15,
    "vit_b_16": 1.15,
    "swin_t": 1.15,
    "bert_3": 1.15,
    "bert_12": 1.15,
    "bert_384": 1.15,
    "bert_lengths": 1.3,
    "bert_3_clients": 1.15,
    "mobilenet_v3_clients": 1.15,
    "gpt2_prefill": 1.2,
    "gpt2_step": 1.2,
    "gpt2_decode": 1.3,
    "crnn": 1.3,
    "mlp": 3.0,
    "add_chain": 5.0,
}
# Of ONNX Runtime alone; lleaves is a peer without a lead over it.
AIMS_OVER_ONNXRUNTIME = {"forest_1": 2.0, "forest_10000": 4.0, "lightgbm_1": 2.0, "lightgbm_10000": 4.0}
_OTHERWISE = 1.0
_FULL = 0.9
_FULL_MEMORY = 0.8


def verdict(name: str, ours: float, peers: dict[str, float], share: float, by_memory: bool) -> tuple[str, str]:
    """Says what a row aims at, and whether it gets there.

    Args:
        name: The model.
        ours: Seconds of fastort's run.
        peers: Seconds of each peer's.
        share: The fraction of the machine's roof that fastort reaches; NaN where there is none.
        by_memory: Whether that is the roof of the memory, for a workload that does little but move bytes.

    Returns:
        The aim, and ``yes``, ``by the roof`` or ``no``.
    """
    if name in AIMS_OVER_ONNXRUNTIME:
        aim = AIMS_OVER_ONNXRUNTIME[name]
        text = f"{aim:g} of ONNX Runtime, 1 of lleaves"
        lead = peers.get("onnxruntime", math.nan) / ours / aim
        lead = min(lead, peers.get("lleaves", math.inf) / ours)
    elif by_memory and name not in AIMS:
        return f"{_FULL_MEMORY:.0%} of memory", "yes" if share >= _FULL_MEMORY else "no"
    else:
        aim = AIMS.get(name, _OTHERWISE)
        text = f"{aim:g}"
        lead = min(peers.values(), default=math.nan) / ours / aim
    # A ratio is known to three digits at best.
    if lead >= 0.995:
        return text, "yes"
    return text, "by the roof" if share >= _FULL else "no"


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Formats rows as a Markdown table."""
    line = "| " + " | ".join(head) + " |\n|" + "---|" * len(head) + "\n"
    return line + "".join("| " + " | ".join(cell.replace("|", "/") for cell in row) + " |\n" for row in rows)
