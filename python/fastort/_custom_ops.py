"""Operators that a program brings along: Python functions, and shared libraries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from . import _engine

Function = TypeVar("Function", bound=Callable[..., Any])


class Output(NamedTuple):
    """What is known of an operator's output before the operator runs.

    Attributes:
        dtype: A NumPy or ``ml_dtypes`` dtype or a number of ``onnx.TensorProto``; ``None`` for that of an input (of
            input ``like``, or of the first).
        like: The number of the input whose shape the output has; ``None`` where the shape is not known.
    """

    dtype: Any = None
    like: int | None = None


def register_operator(
    name: str,
    function: Callable[..., Any],
    *,
    domain: str = "ai.onnx.contrib",
    outputs: Sequence[Output | Any] = (Output(like=0),),
) -> None:
    """Makes a Python function an operator of the sessions that are made from now on.

    The function is called with an array for each input (``None`` for one that is left out) and a keyword for each
    attribute of the node. It returns an array, or a tuple of arrays for several outputs. Runs in several threads call
    it in several threads.

    Args:
        name: The operator's name, ``op_type`` of the nodes.
        function: The function.
        domain: The operator's domain; the model must import it.
        outputs: An ``Output`` for each output; anything else is a dtype, with a shape that is not known.

    Raises:
        InvalidArgument: If fastort has an operator of this name and domain itself.
        TypeError: If ONNX has no such type.

    Example:
        >>> fastort.register_operator("Cumulate", lambda x, axis=0: np.cumsum(x, axis), domain="my.ops")
    """
    if not callable(function):
        raise TypeError(f"an operator's function is callable, not {function!r}")
    specs = [output if isinstance(output, Output) else Output(output) for output in outputs]
    pairs = [(spec.dtype, -1 if spec.like is None else spec.like) for spec in specs]
    _engine.register_python_op(domain, name, function, pairs)


def operator(
    name: str | None = None, *, domain: str = "ai.onnx.contrib", outputs: Sequence[Output | Any] = (Output(like=0),)
) -> Callable[[Function], Function]:
    """Returns a decorator that makes a function an operator; see ``register_operator``.

    Args:
        name: The operator's name; the function's where it is ``None``.
        domain: The operator's domain.
        outputs: What is known of each output.
    """

    def register(function: Function) -> Function:
        register_operator(name or function.__name__, function, domain=domain, outputs=outputs)
        return function

    return register


def load_library(path: str) -> None:
    """Loads a shared library of operators, see ``fastort/custom_op.h``.

    Args:
        path: The library's path.

    Raises:
        Fail: If it cannot be loaded, or holds no operators of a version that fits.
    """
    _engine.load_custom_library(path)
