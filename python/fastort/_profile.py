"""What a session spends its time on: a table to read, and the trace file of Chrome's and Perfetto's viewers."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Event = Mapping[str, Any]
_PROVIDER = "CPUExecutionProvider"
_Place = tuple[tuple[int, str], ...]  # the node and the attribute of each body around a node
_Key = tuple[_Place, int, str, str]


@dataclass
class NodeTime:
    """The time of one node over all runs of a profile.

    Attributes:
        name: The node's name; that of its first output where it has none.
        op_type: The operator, after rewriting.
        kernel: What computes it.
        provider: The execution provider.
        calls: How often it ran.
        total_ms: Milliseconds of all calls, those of its bodies included.
        outputs: The shapes of its outputs in the last call.
        inside: The bodies in which it stands, the outermost first, as ``"loop.body"``: the name of the node whose body
            it is, and the attribute; empty for a node of the model itself.
        bodies_ms: Milliseconds that the nodes of its own bodies take; part of ``total_ms``.
    """

    name: str
    op_type: str
    kernel: str
    provider: str = _PROVIDER
    calls: int = 0
    total_ms: float = 0.0
    outputs: list[tuple[int, ...]] = field(default_factory=list)
    inside: tuple[str, ...] = ()
    bodies_ms: float = 0.0

    @property
    def own_ms(self) -> float:
        """Milliseconds of all calls without those of the nodes in its bodies."""
        return max(0.0, self.total_ms - self.bodies_ms)


def _node_time(event: Event, inside: tuple[str, ...]) -> NodeTime:
    provider = event.get("provider") or _PROVIDER
    return NodeTime(event["name"], event["op_type"], event["kernel"], provider, inside=inside)


class Profile:
    """The events of some runs. ``print`` shows the table.

    Attributes:
        runs: The number of runs.
        run_ms: Milliseconds of each run.
        events: What was recorded, in the order in which it ended.
    """

    def __init__(self, events: Sequence[Event]) -> None:
        """Takes over the events of a session.

        Args:
            events: The events.
        """
        self.events = list(events)
        self.run_ms = [event["duration_ns"] / 1e6 for event in events if event["name"] == "model_run"]
        self.runs = len(self.run_ms)

    def nodes(self) -> list[NodeTime]:
        """Returns the time of each node, the longest first.

        A node in a body (of ``If``, ``Loop``, ``Scan``) follows the node that has the body.

        Returns:
            The nodes. Times of nodes in bodies are part of the time of the node around them: add up ``own_ms``, or
            the ``total_ms`` of those whose ``inside`` is empty.
        """
        nodes: dict[_Key, NodeTime] = {}
        children: dict[_Place, list[_Key]] = {}
        for event in self.events:
            if not event["is_node"]:
                continue
            place = tuple((index, body) for _, body, index in event["inside"])
            key = (place, event["node_index"], event["name"], event["kernel"])
            node = nodes.get(key)
            if node is None:
                inside = tuple(f"{name}.{body}" for name, body, _ in event["inside"])
                node = nodes[key] = _node_time(event, inside)
                children.setdefault(place, []).append(key)
            node.calls += 1
            node.total_ms += event["duration_ns"] / 1e6
            node.outputs = [tuple(shape) for _, shape, _ in event["outputs"]]
        ordered: list[NodeTime] = []

        def add(place: _Place) -> float:
            total = 0.0
            for key in sorted(children.get(place, ()), key=lambda key: -nodes[key].total_ms):
                node = nodes[key]
                ordered.append(node)
                total += node.total_ms
                bodies = [below for below in children if below[:-1] == place and below and below[-1][0] == key[1]]
                node.bodies_ms = sum(add(below) for below in bodies)
            return total

        add(())
        return ordered

    def operators(self) -> list[NodeTime]:
        """Returns the time of each operator, the longest first.

        Returns:
            An entry for each operator. Nodes in bodies count for their own operators, and the one around them counts
            for what it takes beside them.
        """
        operators: dict[str, NodeTime] = {}
        for node in self.nodes():
            entry = operators.setdefault(node.op_type, NodeTime("", node.op_type, ""))
            entry.calls += node.calls
            entry.total_ms += node.own_ms
        return sorted(operators.values(), key=lambda node: -node.total_ms)

    def table(self, rows: int = 20) -> str:
        """Returns a table of the nodes that take longest; those in bodies are indented under the node around them.

        Args:
            rows: How many.

        Returns:
            The table, a line for each node.
        """
        if not self.runs:
            return "no runs were recorded"
        nodes = self.nodes()
        total = sum(node.own_ms for node in nodes) or 1.0
        median = sorted(self.run_ms)[self.runs // 2]
        lines = [
            f"{self.runs} runs, median {median:.3f} ms; {len(nodes)} steps take {total / self.runs:.3f} ms a run",
            f"{'ms a run':>9} {'share':>6} {'calls':>6}  {'operator':20} {'kernel':28} {'output':20} node",
        ]
        for node in nodes[:rows]:
            shape = "x".join(map(str, node.outputs[0])) if node.outputs else ""
            operator = "  " * len(node.inside) + node.op_type
            body = f" (in {node.inside[-1]})" if node.inside else ""
            lines.append(
                f"{node.total_ms / self.runs:9.3f} {node.total_ms / total:6.1%} {node.calls:6}  {operator[:20]:20}"
                f" {node.kernel[:28]:28} {shape[:20]:20} {node.name}{body}"
            )
        if len(nodes) > rows:
            rest = sum(node.own_ms for node in nodes[rows:])
            lines.append(f"{rest / self.runs:9.3f} {rest / total:6.1%}         {len(nodes) - rows} more steps")
        return "\n".join(lines)

    def __str__(self) -> str:
        """Returns the table."""
        return self.table()

    def chrome_trace(self) -> list[dict[str, Any]]:
        """Returns the events in the form of ONNX Runtime's profiles."""
        return [_trace_event(event) for event in self.events]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the events as JSON, for ``chrome://tracing``, Perfetto and tools for ONNX Runtime's profiles.

        Args:
            path: The file.
        """
        with open(os.fspath(path), "w", encoding="utf-8") as file:
            file.write("[\n" + ",\n".join(json.dumps(event) for event in self.chrome_trace()) + "\n]\n")


def profile_path(prefix: str) -> str:
    """Returns a name for a profile's file as ONNX Runtime makes it: the prefix and the time.

    Args:
        prefix: The prefix.
    """
    now = time.time()
    milliseconds = int(now * 1000) % 1000
    return f"{prefix}_{time.strftime('%Y-%m-%d_%H-%M-%S', time.localtime(now))}_{milliseconds:03}.json"


def _trace_event(event: Event) -> dict[str, Any]:
    traced = {
        "cat": "Node" if event["is_node"] else "Session",
        "pid": os.getpid(),
        "tid": event["thread"],
        "dur": event["duration_ns"] // 1000,
        "ts": event["begin_ns"] // 1000,
        "ph": "X",
        "name": event["name"] + "_kernel_time" if event["is_node"] else event["name"],
        "args": {},
    }
    if event["is_node"]:
        traced["args"] = {
            "op_name": event["op_type"],
            "provider": event.get("provider") or _PROVIDER,
            "kernel": event["kernel"],
            **({"inside": [f"{name}.{body}" for name, body, _ in event["inside"]]} if event["inside"] else {}),
            "node_index": str(event["node_index"]),
            "input_type_shape": [{name: list(shape)} for name, shape, _ in event["inputs"]],
            "output_type_shape": [{name: list(shape)} for name, shape, _ in event["outputs"]],
            "output_size": str(sum(size for _, _, size in event["outputs"])),
            "parameter_size": str(event["parameter_bytes"]),
            "activation_size": str(sum(size for _, _, size in event["inputs"]) - event["parameter_bytes"]),
        }
    return traced
