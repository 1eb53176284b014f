"""Operators that a program brings along: Python functions, and shared libraries."""

from __future__ import annotations

import os
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


Outputs = Sequence[Output | Any]
LIKE_INPUT: Outputs = (Output(like=0),)


class PythonOperator:
    """A Python function as an operator; what pickles takes the function along by its name.

    Attributes:
        ops: What the engine knows of it.
    """

    def __init__(self, name: str, function: Callable[..., Any], domain: str, outputs: Outputs) -> None:
        """Makes an operator; see ``register_operator``.

        Args:
            name: The operator's name.
            function: The function.
            domain: The operator's domain.
            outputs: What is known of each output.

        Raises:
            InvalidArgument: If fastort has an operator of this name and domain itself.
            TypeError: If the function cannot be called, or ONNX has no such type.
        """
        if not callable(function):
            raise TypeError(f"an operator's function is callable, not {function!r}")
        specs = [output if isinstance(output, Output) else Output(output) for output in outputs]
        pairs = [(spec.dtype, -1 if spec.like is None else spec.like) for spec in specs]
        self._arguments = (name, function, domain, tuple(specs))
        self.ops = [_engine.python_op(domain, name, function, pairs)]

    def __reduce__(self) -> tuple[Any, ...]:
        """Returns how another process makes the operator."""
        return PythonOperator, self._arguments


class OperatorLibrary:
    """A shared library of operators.

    Attributes:
        ops: What the engine knows of them.
    """

    def __init__(self, path: str) -> None:
        """Loads a library, see ``fastort/custom_op.h``.

        Args:
            path: The library's path, or a name that the system's loader finds.

        Raises:
            Fail: If it cannot be loaded, or holds no operators of a version that fits.
        """
        # The loader would not look for a bare name in the working directory.
        self._path = os.path.abspath(path) if os.path.isfile(path) else path
        self.ops = _engine.load_custom_library(self._path)

    def __reduce__(self) -> tuple[Any, ...]:
        """Returns how another process loads the library."""
        return OperatorLibrary, (self._path,)


def register_operator(
    name: str,
    function: Callable[..., Any],
    *,
    domain: str = "ai.onnx.contrib",
    outputs: Outputs = LIKE_INPUT,
) -> None:
    """Makes a Python function an operator of all sessions that are made from now on.

    ``SessionOptions.register_operator`` does the same for the sessions of some options alone, and goes before it.

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
        TypeError: If the function cannot be called, or ONNX has no such type.

    Example:
        >>> fastort.register_operator("Cumulate", lambda x, axis=0: np.cumsum(x, axis), domain="my.ops")
    """
    for op in PythonOperator(name, function, domain, outputs).ops:
        _engine.register_custom_op(op)


def operator(
    name: str | None = None, *, domain: str = "ai.onnx.contrib", outputs: Outputs = LIKE_INPUT
) -> Callable[[Function], Function]:
    """Returns a decorator that makes a function an operator; see ``register_operator``.

    Args:
        name: The operator's name; the function's where it is ``None``.
        domain: The operator's domain.
        outputs: What is known of each output.

    Returns:
        The decorator, which returns the function as it is.
    """

    def register(function: Function) -> Function:
        register_operator(name or function.__name__, function, domain=domain, outputs=outputs)
        return function

    return register
