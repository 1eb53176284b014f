"""What a model says of itself, its inputs and its outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class NodeArg:
    """An input, an output or an overridable initializer of a model.

    Attributes:
        name: Its name.
        type: Its type as ONNX Runtime writes it: ``"tensor(float)"``, ``"seq(tensor(int64))"``.
        shape: A size, a symbol's name or ``None`` for each dimension; empty where the rank is not known.
    """

    __slots__ = ("name", "shape", "type")

    def __init__(self, name: str, type: str, shape: list[int | str | None]) -> None:
        """Describes a value.

        Args:
            name: Its name.
            type: Its type.
            shape: Its dimensions.
        """
        self.name = name
        self.type = type
        self.shape = shape

    def __repr__(self) -> str:
        """Returns name, type and shape."""
        return f"NodeArg(name={self.name!r}, type={self.type!r}, shape={self.shape!r})"


class ModelMetadata:
    """What a model file says about itself.

    Attributes:
        producer_name: The program that made the model.
        producer_version: Its version.
        graph_name: The graph's name.
        domain: The model's name space.
        description: The model's doc string.
        graph_description: The graph's doc string.
        version: The model's version.
        ir_version: The version of the file format.
        opsets: The operator sets' versions by domain.
        custom_metadata_map: Further entries.
    """

    __slots__ = (
        "custom_metadata_map",
        "description",
        "domain",
        "graph_description",
        "graph_name",
        "ir_version",
        "opsets",
        "producer_name",
        "producer_version",
        "version",
    )

    producer_name: str
    producer_version: str
    graph_name: str
    domain: str
    description: str
    graph_description: str
    version: int
    ir_version: int
    opsets: dict[str, int]
    custom_metadata_map: dict[str, str]

    def __init__(self, entries: Mapping[str, Any]) -> None:
        """Takes over the entries of a model.

        Args:
            entries: A value for each attribute.
        """
        for name in self.__slots__:
            setattr(self, name, entries[name])

    def __repr__(self) -> str:
        """Returns all entries."""
        return f"ModelMetadata({', '.join(f'{name}={getattr(self, name)!r}' for name in self.__slots__)})"


class OrtEpAssignedNode:
    """A node of the model that runs.

    Attributes:
        name: The node's name.
        domain: The operator's domain.
        op_type: The operator.
    """

    __slots__ = ("domain", "name", "op_type")

    def __init__(self, name: str, domain: str, op_type: str) -> None:
        """Describes a node.

        Args:
            name: The node's name.
            domain: The operator's domain.
            op_type: The operator.
        """
        self.name = name
        self.domain = domain
        self.op_type = op_type


class OrtEpAssignedSubgraph:
    """The nodes that run on one execution provider.

    Attributes:
        ep_name: The provider's name.
    """

    __slots__ = ("_nodes", "ep_name")

    def __init__(self, ep_name: str, nodes: Sequence[OrtEpAssignedNode]) -> None:
        """Lists nodes.

        Args:
            ep_name: The provider's name.
            nodes: The nodes.
        """
        self.ep_name = ep_name
        self._nodes = list(nodes)

    def get_nodes(self) -> list[OrtEpAssignedNode]:
        """Returns the nodes in the order in which they run."""
        return list(self._nodes)
