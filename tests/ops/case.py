"""The one kind of row that every operator's test table is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Case:
    """One call of one operator.

    Expected values never come from fastort. Where `expected` is None they are computed by
    `onnx.reference.ReferenceEvaluator`; otherwise the table says where they come from (NumPy, PyTorch, SciPy, ...);
    what takes long is a function that returns the list, called when the case runs.

    Attributes:
        op: The ONNX name of the operator.
        inputs: The inputs in order; None for an optional one that is left out, a list for a sequence of tensors. In the
            model they are called x0, x1, ..., which is how a subgraph among the attributes captures them.
        attributes: As for `onnx.helper.make_node`; an onnx.GraphProto is a subgraph. None values are left out.
        domain: "" is ai.onnx.
        outputs: How many outputs the node has.
        expected: The values of the outputs (a list for a sequence); an entry of None is not compared.
        rtol: Relative tolerance; 0 with `atol=0` asks for equality.
        atol: Absolute tolerance.
        id: A word or two that tell this row from its neighbours.
        opset: The version of the domain; None for the newest that onnx knows.
    """

    op: str
    inputs: list[Any]
    attributes: dict[str, Any] = field(default_factory=dict)
    domain: str = ""
    outputs: int = 1
    expected: list[Any] | Callable[[], list[Any]] | None = None
    rtol: float = 1e-5
    atol: float = 1e-6
    id: str = ""
    opset: int | None = None
