"""Comparisons for test suites: of a model with its PyTorch original, and of two models with each other.

Example:
    >>> from fastort.testing import assert_close_to_pytorch, compare_models
    >>> assert_close_to_pytorch(module, (torch.zeros(1, 16),))
    >>> compare_models("before.onnx", "after.onnx", {"x": x}).check()

Where two models part, the report names the first intermediate tensor at which they do.
"""

from ._compare import Comparison, compare_models
from ._difference import Difference, compare_values
from ._pytorch import assert_close_to_pytorch

__all__ = ["Comparison", "Difference", "assert_close_to_pytorch", "compare_models", "compare_values"]
