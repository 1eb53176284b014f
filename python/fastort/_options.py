"""Options of a session, with ONNX Runtime's names and defaults."""

from __future__ import annotations

import enum
import operator
import os
from collections.abc import Mapping, Sequence
from typing import Any

from ._ort_value import OrtValue
from ._providers import ProviderOptions


class _Enum(enum.IntEnum):
    def __str__(self) -> str:
        return f"{type(self).__name__}.{self.name}"


class GraphOptimizationLevel(_Enum):
    """How far a model is rewritten before it runs."""

    ORT_DISABLE_ALL = 0
    ORT_ENABLE_BASIC = 1
    ORT_ENABLE_EXTENDED = 2
    ORT_ENABLE_LAYOUT = 3
    ORT_ENABLE_ALL = 99


class ExecutionMode(_Enum):
    """Whether independent nodes may run at the same time. Nodes run one after the other in both modes."""

    ORT_SEQUENTIAL = 0
    ORT_PARALLEL = 1


class ExecutionOrder(_Enum):
    """In which order nodes run that could run in several. The model's order is kept in all modes."""

    DEFAULT = 0
    PRIORITY_BASED = 1
    MEMORY_EFFICIENT = 2


# What each attribute of SessionOptions starts with; its type is the type that can be assigned.
_DEFAULTS: Mapping[str, object] = {
    "enable_cpu_mem_arena": True,
    "enable_mem_pattern": True,
    "enable_mem_reuse": True,
    "enable_profiling": False,
    "execution_mode": ExecutionMode.ORT_SEQUENTIAL,
    "execution_order": ExecutionOrder.DEFAULT,
    "graph_optimization_level": GraphOptimizationLevel.ORT_ENABLE_ALL,
    "inter_op_num_threads": 0,
    "intra_op_num_threads": 0,
    "log_severity_level": -1,
    "log_verbosity_level": 0,
    "logid": "",
    "optimized_model_filepath": "",
    "profile_file_prefix": "onnxruntime_profile_",
    "use_deterministic_compute": False,
    "use_per_session_threads": True,
}


class SessionOptions:
    """Options of an ``InferenceSession``. A session keeps a copy, so that later changes do not reach it.

    Attributes:
        intra_op_num_threads: Threads that one run may use; 0 for every CPU that the process may use (its affinity
            mask and the container's quota).
        inter_op_num_threads: Accepted; nodes run one after the other.
        graph_optimization_level: How far the model is rewritten.
        execution_mode: Accepted; see ``ExecutionMode``.
        execution_order: Accepted; see ``ExecutionOrder``.
        use_deterministic_compute: Bit-identical results for any number of threads.
        enable_cpu_mem_arena: Accepted; intermediates always share one arena.
        enable_mem_pattern: Accepted; the arena is always planned.
        enable_mem_reuse: Accepted; intermediates always share memory by lifetime.
        use_per_session_threads: Accepted; the process has one pool, of which a session uses at most
            ``intra_op_num_threads``.
        enable_profiling: Not supported; a session warns of it.
        profile_file_prefix: How a profile's file name would start.
        optimized_model_filepath: Where the rewritten model is saved; empty for nowhere.
        log_severity_level: 0 (verbose) to 4 (fatal); -1 for the default.
        log_verbosity_level: Only used with ``log_severity_level`` 0.
        logid: A name that stands in front of what is logged.
        disabled_passes: Names of rewrites that are switched off (fastort's own; see ``InferenceSession.explain``).
    """

    __slots__ = (
        *_DEFAULTS,
        "_config_entries",
        "_free_dimensions_by_denotation",
        "_free_dimensions_by_name",
        "_initializers",
        "_providers",
        "disabled_passes",
    )

    intra_op_num_threads: int
    inter_op_num_threads: int
    graph_optimization_level: GraphOptimizationLevel
    execution_mode: ExecutionMode
    execution_order: ExecutionOrder
    use_deterministic_compute: bool
    enable_cpu_mem_arena: bool
    enable_mem_pattern: bool
    enable_mem_reuse: bool
    use_per_session_threads: bool
    enable_profiling: bool
    profile_file_prefix: str
    optimized_model_filepath: str
    log_severity_level: int
    log_verbosity_level: int
    logid: str
    disabled_passes: list[str]
    _config_entries: dict[str, str]
    _free_dimensions_by_name: dict[str, int]
    _free_dimensions_by_denotation: dict[str, int]
    _initializers: dict[str, OrtValue]
    _providers: ProviderOptions

    def __init__(self) -> None:
        """Makes options with ONNX Runtime's defaults."""
        for name, value in _DEFAULTS.items():
            setattr(self, name, value)
        self.disabled_passes = []
        self._config_entries = {}
        self._free_dimensions_by_name = {}
        self._free_dimensions_by_denotation = {}
        self._initializers = {}
        self._providers = {}

    def __setattr__(self, name: str, value: Any) -> None:
        """Sets an option.

        Args:
            name: The option's name.
            value: Its value, of the type of its default.

        Raises:
            AttributeError: If there is no such option.
            TypeError: If the value has another type.
        """
        expected = type(_DEFAULTS.get(name))
        if expected is int:
            value = _checked_int(name, value)
        elif name in _DEFAULTS and not isinstance(value, expected):
            raise TypeError(f"SessionOptions.{name} takes a {expected.__name__}, not {value!r}")
        object.__setattr__(self, name, value)

    def add_session_config_entry(self, key: str, value: str) -> None:
        """Sets a configuration entry; keys that the engine does not know are kept and ignored.

        Args:
            key: The entry's name, as ``"session.disable_prepacking"``.
            value: Its value.

        Raises:
            TypeError: If one of the two is no string.
        """
        self._config_entries[_checked_str("key", key)] = _checked_str("value", value)

    def get_session_config_entry(self, key: str) -> str:
        """Returns a configuration entry.

        Args:
            key: The entry's name.

        Raises:
            RuntimeError: If there is none of this name.
        """
        try:
            return self._config_entries[key]
        except KeyError:
            raise RuntimeError(f"SessionOptions does not have configuration with key: {key}") from None

    def add_free_dimension_override_by_name(self, dim_name: str, dim_value: int) -> None:
        """Fixes the size of a symbolic dimension of the model's inputs.

        Args:
            dim_name: The symbol, as ``"batch"``.
            dim_value: Its size.
        """
        self._free_dimensions_by_name[_checked_str("dim_name", dim_name)] = _checked_int("dim_value", dim_value)

    def add_free_dimension_override_by_denotation(self, dim_denotation: str, dim_value: int) -> None:
        """Fixes the size of the dimensions with a denotation.

        Args:
            dim_denotation: The denotation, as ``"DATA_BATCH"``.
            dim_value: The size.
        """
        name = _checked_str("dim_denotation", dim_denotation)
        self._free_dimensions_by_denotation[name] = _checked_int("dim_value", dim_value)

    def add_initializer(self, name: str, value: OrtValue) -> None:
        """Replaces an initializer of the model. The memory is shared with the session and must not change.

        Args:
            name: The initializer's name.
            value: A tensor of the initializer's type and shape.

        Raises:
            TypeError: If the value is no OrtValue.
        """
        if not isinstance(value, OrtValue):
            raise TypeError(f"the initializer '{name}' is an OrtValue, not {value!r}")
        self._initializers[_checked_str("name", name)] = value

    def add_external_initializers(self, names: Sequence[str], values: Sequence[OrtValue]) -> None:
        """Replaces several initializers whose data the model keeps outside of its file.

        Args:
            names: The initializers' names.
            values: A tensor for each.

        Raises:
            ValueError: If there are not as many names as values.
            TypeError: If a value is no OrtValue.
        """
        for name, value in zip(names, values, strict=True):
            self.add_initializer(name, value)

    def add_provider(self, name: str, options: Mapping[str, str]) -> None:
        """Adds an execution provider, which a session uses where it is given none itself.

        Args:
            name: The provider's name.
            options: Its options.
        """
        self._providers[_checked_str("name", name)] = dict(options)

    def has_providers(self) -> bool:
        """Returns whether ``add_provider`` was called."""
        return bool(self._providers)

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> SessionOptions:
        """Reads options from a JSON file, as ``fastort tune`` and ``save`` write them.

        Args:
            path: The file.

        Raises:
            OSError: If the file cannot be read.
            ValueError: If it holds no options, or one that does not exist.
        """
        from ._options_file import read_options

        options = cls()
        read_options(options, path)
        return options

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the options that differ from their defaults to a JSON file, which ``from_file`` reads.

        Initializers and overrides by denotation are not written.

        Args:
            path: The file.
        """
        from ._options_file import write_options

        write_options(self, path)

    def _copy(self) -> SessionOptions:
        copy = SessionOptions()
        for name in SessionOptions.__slots__:
            value = getattr(self, name)
            setattr(copy, name, value.copy() if isinstance(value, (dict, list)) else value)
        return copy


def _checked_int(name: str, value: Any) -> int:
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{name} takes an int, not {value!r}") from None


def _checked_str(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} takes a str, not {value!r}")
    return value
