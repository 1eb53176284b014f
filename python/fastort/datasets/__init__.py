"""Small models for examples, with ONNX Runtime's names. They are written on first use."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping

from ._models import logreg_iris, mul_1, sigmoid

_EXAMPLES: Mapping[str, Callable[[], bytes]] = {
    "logreg_iris.onnx": logreg_iris,
    "mul_1.onnx": mul_1,
    "sigmoid.onnx": sigmoid,
}


def get_example(name: str) -> str:
    """Returns the path of an example's file.

    Args:
        name: ``"sigmoid.onnx"`` (y = sigmoid(x), 3x4x5), ``"mul_1.onnx"`` (Y = X * [[1, 2], [3, 4], [5, 6]]) or
            ``"logreg_iris.onnx"`` (a logistic regression of three species).

    Raises:
        FileNotFoundError: If there is no such example.
    """
    if name not in _EXAMPLES:
        raise FileNotFoundError(f"Unable to find example '{name}'; there are {', '.join(sorted(_EXAMPLES))}")
    contents = _EXAMPLES[name]()
    folder = os.path.join(tempfile.gettempdir(), f"fastort-datasets-{os.getuid() if hasattr(os, 'getuid') else 0}")
    os.makedirs(folder, mode=0o700, exist_ok=True)
    path = os.path.join(folder, name)
    if not os.path.exists(path) or os.path.getsize(path) != len(contents):
        # Renamed into place, so that another process never sees half of it.
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
            file.write(contents)
        os.replace(file.name, path)
    return path
