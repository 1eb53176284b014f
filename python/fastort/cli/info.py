"""``fastort info``: what a model is."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import InferenceSession, NodeArg
from ..analysis import count_flops, load_model
from ..analysis._files import bytes_of, name_of, nodes_of, weights_of
from .arguments import Dims, Inputs, JsonFile, ModelPath, Seed, Shapes, describe_feeds, make_feeds
from .checks import check_writable
from .console import count, heading, say, size, table, working

if TYPE_CHECKING:
    pass


def info(
    model: ModelPath,
    input: Inputs = None,
    dim: Dims = None,
    shape: Shapes = None,
    seed: Seed = 0,
    json_file: JsonFile = None,
) -> None:
    """Show a model's inputs, outputs, operators, FLOPs and memory.

    Operations and memory are those of one run on random inputs; --dim and --shape say how large these are.
    """
    check_writable(json_file)
    loaded = load_model(model, weights=False)
    weights = weights_of(loaded)
    operators = Counter(name_of(node) for node in nodes_of(loaded.graph))
    facts: dict[str, Any] = {
        "model": str(model),
        "producer": f"{loaded.producer_name} {loaded.producer_version}".strip(),
        "ir_version": loaded.ir_version,
        "opsets": {entry.domain or "ai.onnx": entry.version for entry in loaded.opset_import},
        "nodes": sum(operators.values()),
        "operators": dict(operators.most_common()),
        "functions": [function.name for function in loaded.functions],
        "parameters": sum(math.prod(tensor.dims) for tensor in weights),
        "weight_bytes": sum(map(bytes_of, weights)),
    }
    trouble = ""
    feeds: dict[str, Any] = {}
    try:
        with working("running it once"), InferenceSession(model) as session:
            facts["inputs"] = [_facts(arg) for arg in session.get_inputs()]
            facts["outputs"] = [_facts(arg) for arg in session.get_outputs()]
            feeds = make_feeds(model, session, input, dim, shape, seed)
            session.run(None, feeds)
            facts["memory"] = session.memory_stats()
        counted = count_flops(model, feeds)
        facts |= {"flops": counted.flops, "flops_by_operator": counted.by_operator, "uncounted_nodes": counted.unknown}
    except Exception as error:
        trouble = " ".join(str(error).split())
    _show(facts, describe_feeds(feeds), trouble)
    if json_file:
        json_file.write_text(json.dumps(facts | ({"error": trouble} if trouble else {}), indent=1) + "\n")


def _show(facts: dict[str, Any], fed: str, trouble: str) -> None:
    path = Path(facts["model"])
    opsets = ", ".join(f"{domain} {version}" for domain, version in facts["opsets"].items())
    rows = [
        ("file", f"{path.name}, {size(path.stat().st_size)}"),
        ("producer", facts["producer"] or "unknown"),
        ("format", f"IR {facts['ir_version']}; opsets {opsets}"),
        ("nodes", f"{facts['nodes']} of {len(facts['operators'])} operators"),
        ("parameters", f"{count(facts['parameters'])} in {size(facts['weight_bytes'])}"),
    ]
    if "flops" in facts:
        note = f", and {facts['uncounted_nodes']} nodes whose shapes no run showed" if facts["uncounted_nodes"] else ""
        rows.append(("operations", f"{count(facts['flops'])} floating-point operations a run{note}"))
    if "memory" in facts:
        memory = facts["memory"]
        packed, room = memory["process_packed_weight_bytes"], memory["idle_arena_bytes"]
        parts = f"{size(packed)} of packed weights, {size(room)} of intermediates, {size(memory['plan_bytes'])} of plan"
        rows.append(("memory", parts))
    if fed:
        rows.append(("run on", fed))
    width = max(len(name) for name, _ in rows)
    for name, text in rows:
        say(f"{name:{width}}  {text}")
    for title in ("inputs", "outputs"):
        if title in facts:
            heading(title)
            rows_of = [(entry["name"], entry["type"], _shape(entry["shape"])) for entry in facts[title]]
            table(("name", "type", "shape"), rows_of, left=3)
    heading("operators")
    flops = facts.get("flops_by_operator", {})
    table(
        ("operator", "nodes", "FLOPs"),
        [(name, number, count(flops[name]) if name in flops else "") for name, number in facts["operators"].items()],
    )
    if trouble:
        say()
        say(f"fastort cannot run it: {trouble}")


def _facts(arg: NodeArg) -> dict[str, Any]:
    return {"name": arg.name, "type": arg.type, "shape": arg.shape}


def _shape(dims: Iterable[int | str | None]) -> str:
    return "[" + ", ".join("?" if size is None else str(size) for size in dims) + "]"
