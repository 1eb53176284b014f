"""ONNX's backend interface, which ``onnx.backend.test`` and other tools drive engines through.

Example:
    >>> import onnx.backend.test
    >>> import fastort.backend
    >>> suite = onnx.backend.test.BackendTest(fastort.backend, __name__)

It needs the ``onnx`` package, on which nothing else in fastort depends.
"""

from .backend import is_compatible, prepare, run, run_model, run_node, supports_device

__all__ = ["is_compatible", "prepare", "run", "run_model", "run_node", "supports_device"]
