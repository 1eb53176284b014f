"""A model that was made ready through ONNX's backend interface."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from onnx.backend.base import BackendRep

from .. import InferenceSession, RunOptions

# What the interface may set of the options of a run. `terminate` is not among them: it would stop the run.
_RUN_OPTIONS = ("log_severity_level", "log_verbosity_level", "logid", "only_execute_path_to_fetches", "timeout_seconds")


class FastortBackendRep(BackendRep):
    """Runs a session as ONNX's backend interface wants it: inputs in the model's order."""

    def __init__(self, session: InferenceSession) -> None:
        """Wraps a session.

        Args:
            session: The session.
        """
        self._session = session

    def run(self, inputs: Any, **kwargs: Any) -> list[Any]:  # type: ignore[override]
        """Runs the model.

        Args:
            inputs: A list or tuple with a value for each input of the model (fewer where the last ones are not
                needed), a mapping from names to values, or the value of a model's only input.
            **kwargs: Options of the run, by the names of ``RunOptions``. Names that it lacks are ignored.

        Returns:
            A value for each output.

        Raises:
            RuntimeError: If the inputs do not fit in number, or an option may not be set here.
        """
        return self._session.run(None, self._feed(inputs), _run_options(kwargs))

    def _feed(self, inputs: Any) -> dict[str, Any]:
        if isinstance(inputs, Mapping):
            return {name: _value(value) for name, value in inputs.items()}
        names = [info.name for info in self._session.get_inputs()]
        if isinstance(inputs, (list, tuple)):
            if len(inputs) > len(names):
                raise RuntimeError(f"{len(inputs)} values are given for the inputs {names}")
            return {name: _value(value) for name, value in zip(names, inputs, strict=False)}
        if len(names) != 1:
            raise RuntimeError(f"one value is given for the inputs {names}; pass a list with one for each")
        return {names[0]: _value(inputs)}


OnnxRuntimeBackendRep = FastortBackendRep  # under ONNX Runtime's name


def _value(value: Any) -> Any:
    """Returns a NumPy scalar, which test data are full of, as the array that a session takes."""
    return np.asarray(value) if isinstance(value, np.generic) else value


def _run_options(given: Mapping[str, Any]) -> RunOptions:
    options = RunOptions()
    set_allowed(options, given, _RUN_OPTIONS)
    return options


def set_allowed(options: object, given: Mapping[str, Any], allowed: Sequence[str]) -> None:
    """Sets attributes by name.

    Args:
        options: The object that has the attributes.
        given: Values by name. Names that the object lacks are ignored.
        allowed: The names that may be set.

    Raises:
        RuntimeError: If an attribute may not be set.
    """
    for name, value in given.items():
        if name in allowed:
            setattr(options, name, value)
        elif hasattr(options, name):
            raise RuntimeError(
                f"{type(options).__name__}.{name} cannot be set through the backend interface; "
                f"these can: {', '.join(allowed)}"
            )
