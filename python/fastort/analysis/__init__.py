"""What can be said of a model before and beside running it: its size, its operations, its intermediate tensors.

The functions here read the model with the ``onnx`` package (``pip install fastort[cli]``), which running a model does
not need.
"""

from ._feeds import load_feeds, random_feeds, save_outputs
from ._files import load_model
from ._flops import Count, count_flops
from ._probe import intermediate_names, intermediate_values

__all__ = [
    "Count",
    "count_flops",
    "intermediate_names",
    "intermediate_values",
    "load_feeds",
    "load_model",
    "random_feeds",
    "save_outputs",
]
