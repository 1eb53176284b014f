"""Hands the engine's messages to Python's ``logging``, under the name ``fastort``."""

from __future__ import annotations

from . import _engine

_FATAL = 4
_PYTHON_LEVELS = (10, 20, 30, 40, 50)  # verbose, info, warning, error, fatal
_severity = 2


def set_default_logger_severity(severity: int) -> None:
    """Sets from which severity on messages reach the logger ``fastort``.

    Args:
        severity: 0 verbose, 1 info, 2 warning (the default), 3 error, 4 fatal.

    Raises:
        RuntimeError: If the severity is another number.
    """
    global _severity
    if not 0 <= severity <= _FATAL:
        raise RuntimeError(
            f"Invalid logging severity. 0:Verbose, 1:Info, 2:Warning, 3:Error, 4:Fatal; not {severity!r}"
        )
    _severity = severity


def set_default_logger_verbosity(verbosity: int) -> None:
    """Accepted for ONNX Runtime's sake; verbose messages have no levels among themselves.

    Args:
        verbosity: Any number.
    """


def _log(severity: int, text: str) -> None:
    if severity < _severity:
        return
    import logging

    logging.getLogger("fastort").log(_PYTHON_LEVELS[min(severity, _FATAL)], text)


_engine.set_logger(_log)
