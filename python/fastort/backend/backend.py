"""ONNX's backend interface."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx.backend.base import Backend

from .. import GraphOptimizationLevel, InferenceSession, SessionOptions, get_device
from ..capi import onnxruntime_pybind11_state as errors
from .backend_rep import FastortBackendRep, set_allowed

Model = onnx.ModelProto | InferenceSession | FastortBackendRep | bytes | str | os.PathLike[str]

# What the interface may set of a session's options: nothing that writes files.
_SESSION_OPTIONS = (
    "disabled_passes",
    "enable_cpu_mem_arena",
    "enable_mem_pattern",
    "enable_mem_reuse",
    "execution_mode",
    "execution_order",
    "graph_optimization_level",
    "inter_op_num_threads",
    "intra_op_num_threads",
    "log_severity_level",
    "log_verbosity_level",
    "logid",
    "use_deterministic_compute",
    "use_per_session_threads",
)


class FastortBackend(Backend):
    """fastort behind the interface that ONNX defines for engines. Its methods are functions of this package too."""

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Returns whether models can run on a device.

        Args:
            device: Its kind, as ``"CPU"`` or ``"CUDA"``, or kind and number, as ``"CPU:0"``.
        """
        kind = device.split(":")[0]
        return ("GPU" if kind == "CUDA" else kind) in get_device().split("-")

    @classmethod
    def is_compatible(cls, model: Model, device: str | None = None, **kwargs: Any) -> bool:
        """Returns whether ``prepare`` takes a model.

        Args:
            model: As for ``prepare``.
            device: As for ``prepare``.
            **kwargs: As for ``prepare``.
        """
        if device is not None and not cls.supports_device(device):
            return False
        plain = {"graph_optimization_level": GraphOptimizationLevel.ORT_DISABLE_ALL}
        try:
            cls.prepare(model, device, **{**kwargs, **plain})
        except (errors.NotImplemented, errors.InvalidGraph, errors.InvalidProtobuf, errors.Fail):
            return False
        return True

    @classmethod
    def prepare(cls, model: Model, device: str | None = None, **kwargs: Any) -> FastortBackendRep:
        """Makes a model ready to run.

        Args:
            model: A model, its bytes or a path to its file; or a session or what an earlier call returned, to which
                ``kwargs`` do not apply.
            device: Where to run; ``None`` for wherever it goes best.
            **kwargs: Options of the session, by the names of ``SessionOptions``. Names that it lacks are ignored.

        Returns:
            The model with its ``run`` method.

        Raises:
            RuntimeError: If the device is not there, or an option may not be set here.
            NotImplemented: If the model needs an operator or a mode that is not supported.
            InvalidGraph: If the model breaks the rules of ONNX.
        """
        if device is not None and not cls.supports_device(device):
            raise RuntimeError(f"there is no device '{device}': models run on '{get_device()}'")
        if isinstance(model, FastortBackendRep):
            return model
        if isinstance(model, InferenceSession):
            return FastortBackendRep(model)
        options = SessionOptions()
        set_allowed(options, kwargs, _SESSION_OPTIONS)
        source = model.SerializeToString() if isinstance(model, onnx.ModelProto) else model
        return FastortBackendRep(InferenceSession(source, options))

    @classmethod
    def run_model(cls, model: Model, inputs: Any, device: str | None = None, **kwargs: Any) -> list[Any]:  # type: ignore[override]
        """Makes a model ready and runs it once.

        Args:
            model: As for ``prepare``.
            inputs: As for ``FastortBackendRep.run``.
            device: As for ``prepare``.
            **kwargs: Options of the session and of the run.

        Returns:
            A value for each output.

        Raises:
            RuntimeError: If the device is not there, an option may not be set here, or the inputs do not fit.
        """
        return cls.prepare(model, device, **kwargs).run(inputs, **kwargs)

    @classmethod
    def run_node(  # type: ignore[override]
        cls,
        node: onnx.NodeProto,
        inputs: Any,
        device: str | None = None,
        outputs_info: Sequence[tuple[np.dtype[Any], tuple[int, ...]]] | None = None,
        **kwargs: Any,
    ) -> list[Any]:
        """Runs one operator.

        Args:
            node: The operator's node. What its subgraphs read from outside cannot be given.
            inputs: A list with a value for each input that the node has (left-out ones have none), a mapping from
                names to values, or the array of the only input. A sequence is a list of arrays.
            device: As for ``prepare``.
            outputs_info: Not needed; the types of the outputs follow from the inputs.
            **kwargs: ``opset_version``: the version of the node's domain, else the newest that ``onnx`` knows. Others
                as for ``run_model``.

        Returns:
            A value for each output.

        Raises:
            RuntimeError: If the inputs do not fit in number.
            NotImplemented: If the operator or its mode is not supported.
        """
        names = list(dict.fromkeys(name for name in node.input if name))
        if isinstance(inputs, Mapping):
            values = [inputs[name] for name in names]
        else:
            values = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
        if len(values) != len(names):
            raise RuntimeError(f"{len(values)} values are given for the inputs {names} of {node.op_type}")
        graph = onnx.helper.make_graph(
            [node],
            node.op_type,
            [_value_info(name, value) for name, value in zip(names, values, strict=True)],
            [onnx.helper.make_empty_tensor_value_info(name) for name in node.output if name],
        )
        model = onnx.helper.make_model(graph, opset_imports=_opsets(node.domain, kwargs.pop("opset_version", None)))
        return cls.run_model(model, values, device, **kwargs)


def _value_info(name: str, value: Any) -> onnx.ValueInfoProto:
    """Returns an input of the type of a value; sizes are left open."""
    if isinstance(value, (list, tuple)):
        item = np.asarray(value[0]) if value else np.zeros(0, np.float32)
        return onnx.helper.make_tensor_sequence_value_info(name, _element_type(item), None)
    array = np.asarray(value)
    return onnx.helper.make_tensor_value_info(name, _element_type(array), [None] * array.ndim)


def _element_type(array: np.ndarray) -> int:
    if array.dtype.kind in "OUS":
        return int(onnx.TensorProto.STRING)
    return int(onnx.helper.np_dtype_to_tensor_dtype(array.dtype))


def _opsets(domain: str, version: int | None) -> list[onnx.OperatorSetIdProto]:
    versions = {"": onnx.defs.onnx_opset_version()}
    if domain not in ("", "ai.onnx"):
        known = [schema.since_version for schema in onnx.defs.get_all_schemas() if schema.domain == domain]
        versions[domain] = max(known, default=1)
    if version is not None:
        versions["" if domain == "ai.onnx" else domain] = version
    return [onnx.helper.make_opsetid(name, number) for name, number in versions.items()]


OnnxRuntimeBackend = FastortBackend  # under ONNX Runtime's name

is_compatible = FastortBackend.is_compatible
prepare = FastortBackend.prepare
run = FastortBackend.run_model
run_model = FastortBackend.run_model
run_node = FastortBackend.run_node
supports_device = FastortBackend.supports_device
