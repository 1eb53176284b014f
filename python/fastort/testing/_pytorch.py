"""A PyTorch module against the ONNX model that is made of it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .._options import SessionOptions
from .._session import InferenceSession
from ._difference import compare_values


def assert_close_to_pytorch(
    model: Any,
    args: Any,
    *,
    kwargs: Mapping[str, Any] | None = None,
    onnx_model: str | os.PathLike[str] | bytes | None = None,
    rtol: float = 1e-4,
    atol: float = 1e-5,
    sess_options: SessionOptions | None = None,
    providers: Sequence[str] | None = None,
    **export: Any,
) -> None:
    """Asserts that a PyTorch module and its ONNX export, run by fastort, give the same results.

    Args:
        model: A ``torch.nn.Module``. It is exported and called as it is: put it into evaluation mode first.
        args: Its arguments, a tuple or one tensor.
        kwargs: Its keyword arguments.
        onnx_model: A model that was exported already; its inputs are fed in the order of ``args`` and ``kwargs``.
            By default ``torch.onnx.export`` is called.
        rtol: The relative tolerance: ``|fastort - PyTorch| <= atol + rtol * |PyTorch|`` for each element.
        atol: The absolute tolerance.
        sess_options: Options of the session.
        providers: Execution providers of the session.
        **export: Further arguments of ``torch.onnx.export``, as ``opset_version`` or ``dynamic_shapes``.

    Raises:
        AssertionError: If results differ; the message has a line for each output.
        ModuleNotFoundError: If PyTorch, or what its exporter needs, is not installed.
        ValueError: If the module has other results or inputs than the exported model.
    """
    import torch

    args = tuple(args) if isinstance(args, tuple | list) else (args,)
    kwargs = dict(kwargs or {})
    with torch.no_grad():
        want = [_array(leaf) for leaf in _leaves(model(*args, **kwargs))]
    with tempfile.TemporaryDirectory() as folder:
        if onnx_model is None:
            onnx_model = Path(folder) / "model.onnx"
            settings = {"dynamo": True, "verbose": False, **export}
            torch.onnx.export(model, args, str(onnx_model), kwargs=kwargs, **settings)
        with InferenceSession(onnx_model, sess_options, providers=providers) as session:
            names = [arg.name for arg in session.get_inputs()]
            outputs = [arg.name for arg in session.get_outputs()]
            feeds = _feeds(names, args, kwargs)
            got = session.run(None, feeds)
    if len(got) != len(want):
        raise ValueError(f"the exported model has the outputs {outputs}, and the module gives {len(want)} tensors")
    differences = [compare_values(*both, rtol, atol) for both in zip(outputs, got, want, strict=True)]
    if not all(difference.close for difference in differences):
        wrong = sum(not difference.close for difference in differences)
        shapes = ", ".join(f"{name} {list(np.shape(value))}" for name, value in feeds.items())
        lines = [
            f"{type(model).__name__}: {wrong} of {len(want)} outputs differ between fastort and PyTorch "
            f"(rtol={rtol:g}, atol={atol:g})",
            *(f"  {difference}" for difference in differences),
            f"  inputs: {shapes}",
        ]
        if getattr(model, "training", False):
            lines.append("  the module is in training mode; call .eval() first")
        raise AssertionError("\n".join(lines))


def _leaves(value: Any) -> list[Any]:
    """Returns the tensors of nested results in their order."""
    if value is None:
        return []
    if isinstance(value, Mapping):
        return [leaf for item in value.values() for leaf in _leaves(item)]
    if isinstance(value, tuple | list):
        return [leaf for item in value for leaf in _leaves(item)]
    return [value]


def _array(value: Any) -> Any:
    import torch

    if not isinstance(value, torch.Tensor):
        return np.asarray(value)
    value = value.detach().cpu()
    if value.dtype == torch.bfloat16:
        import ml_dtypes

        return value.float().numpy().astype(ml_dtypes.bfloat16)
    return value.numpy()


def _feeds(names: Sequence[str], args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    named = {name: value for name, value in kwargs.items() if name in names}
    rest = [leaf for value in args for leaf in _leaves(value)]
    rest += [leaf for name, value in kwargs.items() if name not in named for leaf in _leaves(value)]
    free = [name for name in names if name not in named]
    if len(free) > len(rest):
        raise ValueError(f"the model has the inputs {list(names)}, and {len(rest) + len(named)} tensors are given")
    return {name: _array(value) for name, value in (*named.items(), *zip(free, rest, strict=False))}
