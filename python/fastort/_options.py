"""Options of a session, with ONNX Runtime's names and defaults."""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from . import _engine
from ._custom_ops import LIKE_INPUT, OperatorLibrary, Outputs, PythonOperator
from ._enums import ExecutionMode, ExecutionOrder, GraphOptimizationLevel, OrtExecutionProviderDevicePolicy
from ._ep_devices import (
    Delegate,
    OrtEpDevice,
    ask_delegate,
    providers_of_devices,
    providers_of_selection,
    select_devices,
)
from ._left_out import refuse
from ._ort_value import OrtValue
from ._providers import ProviderOptions, get_all_providers

_MAX_CONFIG_KEY = 1024


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
    "strict_placement": False,
    "use_deterministic_compute": False,
    "use_per_session_threads": True,
}


class OrtExternalInitializerInfo:
    """Where the data of an initializer lies in a file beside the model.

    Attributes:
        filepath: The file's path, relative to the model.
        file_offset: Bytes in front of the data.
        byte_size: Bytes of the data.
    """

    __slots__ = ("byte_size", "file_offset", "filepath")

    def __init__(self, filepath: str, file_offset: int, byte_size: int) -> None:
        """Names a place in a file.

        Args:
            filepath: The file's path.
            file_offset: Bytes in front of the data.
            byte_size: Bytes of the data.
        """
        self.filepath = filepath
        self.file_offset = operator.index(file_offset)
        self.byte_size = operator.index(byte_size)


class SessionOptions:
    """Options of an ``InferenceSession``. A session keeps a copy, so that later changes do not reach it.

    Attributes:
        intra_op_num_threads: Threads that one run may use; 0 for every CPU that the process may use (its affinity
            mask and the container's quota).
        inter_op_num_threads: Accepted; nodes run one after the other.
        graph_optimization_level: How far the model is rewritten.
        execution_mode: Accepted; see ``ExecutionMode``.
        execution_order: Accepted; see ``ExecutionOrder``.
        use_deterministic_compute: Bit-identical results for any number of threads: kernels are chosen and work is
            split as for eight threads, however many do it.
        enable_cpu_mem_arena: Accepted; intermediates always share one arena.
        enable_mem_pattern: Accepted; the arena is always planned.
        enable_mem_reuse: Accepted; intermediates always share memory by lifetime.
        use_per_session_threads: Accepted; the process has one pool, of which a session uses at most
            ``intra_op_num_threads``.
        enable_profiling: Records every node of every run; ``InferenceSession.end_profiling`` writes the file.
        profile_file_prefix: How the name of the profile's file starts; the time follows.
        optimized_model_filepath: Where the rewritten model is saved as ONNX; empty for nowhere. Rewrites into operators
            of fastort's own are not in the file: they are made again when it is loaded.
        log_severity_level: 0 (verbose) to 4 (fatal); -1 for the default.
        log_verbosity_level: Only used with ``log_severity_level`` 0.
        logid: A name that stands in front of what is logged.
        disabled_passes: Names of rewrites that are switched off (fastort's own; see ``InferenceSession.explain``).
        strict_placement: Refuse a provider that is not available instead of falling back with a warning (fastort's
            own).
    """

    __slots__ = (
        *_DEFAULTS,
        "__weakref__",
        "_chosen_providers",
        "_config_entries",
        "_custom_ops",
        "_external_files",
        "_free_dimensions_by_denotation",
        "_free_dimensions_by_name",
        "_initializers",
        "_load_cancelled",
        "_policy",
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
    strict_placement: bool
    _custom_ops: list[PythonOperator | OperatorLibrary]
    _external_files: dict[str, bytes]
    _load_cancelled: _engine.Flag
    # By what devices are chosen where `_providers` is empty.
    _policy: OrtExecutionProviderDevicePolicy | Delegate | None
    # What the session runs on; `_providers` is what the user added.
    _chosen_providers: ProviderOptions
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
        self._chosen_providers = {}
        self._config_entries = {}
        self._free_dimensions_by_name = {}
        self._free_dimensions_by_denotation = {}
        self._initializers = {}
        self._providers = {}
        self._custom_ops = []
        self._external_files = {}
        self._load_cancelled = _engine.Flag()
        self._policy = None

    def __getattr__(self, name: str) -> Any:
        """Says why an option of ONNX Runtime's is not there.

        Args:
            name: The option's name.

        Raises:
            AttributeError: Always.
        """
        refuse("'SessionOptions' object", f"SessionOptions.{name}")

    def __setattr__(self, name: str, value: Any) -> None:
        """Sets an option.

        Args:
            name: The option's name.
            value: Its value, of the type of its default; numbers serve as truth values.

        Raises:
            AttributeError: If there is no such option.
            TypeError: If the value has another type.
        """
        expected = type(_DEFAULTS.get(name))
        if expected is int:
            value = _checked_int(name, value)
        elif expected is bool and hasattr(type(value), "__bool__"):
            value = bool(value)  # a number, a NumPy boolean or None, as ONNX Runtime takes them
        elif name in _DEFAULTS and not isinstance(value, expected):
            raise TypeError(f"SessionOptions.{name} takes a {expected.__name__}, not {value!r}")
        try:
            object.__setattr__(self, name, value)
        except AttributeError as error:
            near = [option for option in sorted((*_DEFAULTS, "disabled_passes")) if _alike(name, option)]
            if near:
                raise AttributeError(f"{error}; there is {', '.join(near)}", name=name, obj=self) from None
            raise

    def add_session_config_entry(self, key: str, value: str) -> None:
        """Sets a configuration entry; keys that the engine does not know are kept and ignored.

        Unknown ones that begin with ``"fastort."`` are refused when a session is made. It knows:

        - ``"fastort.cache_dir"``: A folder where packed weights are kept, so that the next process maps them instead of
          packing them again. Off by default. Several processes may share a folder; a damaged file, or one of another
          build of fastort or another processor, is ignored and written anew. Do not cut files off that are in use.
          What was once read, the model's weights included, is known from then on by its file's identity, size and
          times.
        - ``"fastort.cache_max_bytes"``: The size that the folder may reach (default: 4 GiB); the files that were used
          longest ago are deleted above it.
        - ``"fastort.kernel_choice"``: Where an operator has several kernels, ``"rule"`` chooses by estimated costs,
          ``"measure"`` also times the ones in question when a plan is made and keeps the times in the folder of
          ``"fastort.cache_dir"`` (without one, in the memory of the process), and ``"stored"``, the default, uses the
          times that the folder holds and measures nothing. Times are those of this processor, build of fastort and
          number of threads. Sessions with ``use_deterministic_compute`` always choose by the rule.
        - ``"fastort.trial_seconds"``: How long a session may measure in all (default: 2); nodes for which the time
          does not last are left to the rule, and to the next session that measures.
        - ``"fastort.prefer_kernel"``: The name of a kernel, as ``InferenceSession.explain`` shows it, that is taken
          wherever it serves; a name that no operator knows is refused.
        - ``"session.model_external_initializers_file_folder_path"``: Where the files of external data lie for a model
          that is given as bytes (ONNX Runtime's key); the working directory by default.
        - ``"session.optimized_model_external_initializers_file_name"``: The file beside ``optimized_model_filepath``
          that takes its weights; by default they are a part of it, up to 2 GB.
          ``"session.optimized_model_external_initializers_min_size_in_bytes"`` (default: 1024) leaves smaller ones.
        - ``"fastort.allow_winograd"``: ``"0"`` forbids algorithms that trade rounding for speed: Winograd's
          convolutions and Strassen's products.
        - ``"fastort.allow_amx"``: ``"0"`` forbids products and convolutions of float32 on Intel's matrix unit, where a
          number is the sum of three bfloat16: as exact as others, but for numbers below 2**-126, which are lost beside
          larger ones.
        - ``"fastort.huge_pages"``: ``"1"`` packs weights into pages of 2 MB (Linux, where
          ``/sys/kernel/mm/transparent_hugepage/enabled`` is not ``never``), so that a run that reads large weights for
          few rows, as in decoding, takes less time (a step of GPT-2 0.95). The first run may take longer (half a second
          for 500 MB) where the system has to make room for them. By default it replaces small pages by itself, over
          minutes. Of sessions that share weights the first one's wish counts; what is mapped from the folder of
          ``"fastort.cache_dir"`` stays as it is.
        - ``"fastort.allow_blocked_layouts"``: ``"0"`` keeps tensors in the layouts that the model states.

        Args:
            key: The entry's name, as ``"session.disable_prepacking"``.
            value: Its value.

        Raises:
            TypeError: If one of the two is no string.
            RuntimeError: If the key is empty or longer than 1024 letters.
        """
        if not 0 < len(_checked_str("key", key)) <= _MAX_CONFIG_KEY:
            raise RuntimeError(f"Config key is empty or longer than maximum length {_MAX_CONFIG_KEY}")
        self._config_entries[key] = _checked_str("value", value)

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

        Raises:
            TypeError: If the name is no string or the size no integer.
            ValueError: If the size is negative.
        """
        self._free_dimensions_by_name[_checked_str("dim_name", dim_name)] = _checked_size(dim_value)

    def add_free_dimension_override_by_denotation(self, dim_denotation: str, dim_value: int) -> None:
        """Fixes the size of the dimensions with a denotation.

        Args:
            dim_denotation: The denotation, as ``"DATA_BATCH"``.
            dim_value: The size.

        Raises:
            TypeError: If the denotation is no string or the size no integer.
            ValueError: If the size is negative.
        """
        name = _checked_str("dim_denotation", dim_denotation)
        self._free_dimensions_by_denotation[name] = _checked_size(dim_value)

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
            RuntimeError: If there are not as many names as values.
            TypeError: If a value is no OrtValue.
        """
        if len(names) != len(values):
            raise RuntimeError(f"Expecting names and initializers of equal length, not {len(names)} and {len(values)}")
        for name, value in zip(names, values, strict=True):
            self.add_initializer(name, value)

    def add_external_initializers_from_files_in_memory(
        self, names: Sequence[str], buffers: Sequence[bytes | bytearray | memoryview], sizes: Sequence[int]
    ) -> None:
        """Gives the contents of the files in which the model keeps its weights, instead of the files.

        Args:
            names: The files' names as the model has them (``location``).
            buffers: The contents of each; they are copied unless they are ``bytes``.
            sizes: The number of bytes of each.

        Raises:
            RuntimeError: If the three are not of equal length, or a size is more than its buffer has.
        """
        if not len(names) == len(buffers) == len(sizes):
            counts = f"{len(names)}, {len(buffers)} and {len(sizes)}"
            raise RuntimeError(f"Expecting names, buffers and lengths of equal length, not {counts}")
        for name, buffer, size in zip(names, buffers, sizes, strict=True):
            if not 0 <= size <= len(memoryview(buffer).cast("B")):
                raise RuntimeError(f"the file '{name}' has {size} bytes, but its buffer is smaller")
            whole = isinstance(buffer, bytes) and size == len(buffer)
            # Bytes are kept as they are: `bytes(...)` of them is no copy.
            contents = bytes(buffer) if whole else bytes(memoryview(buffer).cast("B")[:size])
            self._external_files[_checked_str("name", name)] = contents

    def add_provider(self, name: str, options: Mapping[str, str]) -> None:
        """Adds an execution provider, which a session uses where it is given none itself.

        Args:
            name: The provider's name.
            options: Its options.

        Raises:
            RuntimeError: If no provider has this name.
        """
        if _checked_str("name", name) not in get_all_providers():
            raise RuntimeError(f"Unknown Provider Type: {name}; fastort has {', '.join(get_all_providers())}")
        self._providers[name] = dict(options)

    def add_provider_for_devices(self, ep_devices: Sequence[OrtEpDevice], provider_options: Mapping[str, str]) -> None:
        """Adds the execution provider of a device, which a session uses where it is given none itself.

        Args:
            ep_devices: Devices out of ``get_ep_devices()``, of one provider.
            provider_options: Options of the provider beside those that choose the device.

        Raises:
            InvalidArgument: If there is no device, or there are devices of several providers, or several of which a
                session would use only one.
            TypeError: If something else is among the devices.
        """
        self.add_provider(*providers_of_devices(list(ep_devices), provider_options))

    def set_provider_selection_policy(self, policy: OrtExecutionProviderDevicePolicy) -> None:
        """Says by what a session that is given no providers chooses its devices.

        Args:
            policy: ``PREFER_GPU`` and ``MAX_PERFORMANCE`` choose the fastest GPU that serves, with the CPU for what it
                cannot run; every other policy, and a machine without a GPU, comes to the CPU.
        """
        self._policy = OrtExecutionProviderDevicePolicy(policy)

    def set_provider_selection_policy_delegate(self, delegate: Delegate) -> None:
        """Lets a function choose the devices of a session that is given no providers.

        Args:
            delegate: Called while the session is made, with the devices of ``get_ep_devices()``, what the model says of
                itself, what the process says of itself, and how many devices may be selected; returns those that the
                session is to use, the preferred one first.

        Raises:
            TypeError: If it cannot be called.
        """
        if not callable(delegate):
            raise TypeError(f"the delegate is a function that selects devices, not {delegate!r}")
        self._policy = delegate

    def set_load_cancellation_flag(self, is_cancel: bool) -> None:
        """Stops, from another thread, the sessions that are made of these options; they raise ``ModelLoadCanceled``.

        Args:
            is_cancel: Whether to stop them.
        """
        self._load_cancelled.set(bool(is_cancel))

    def register_custom_ops_library(self, path: str | os.PathLike[str]) -> None:
        """Loads a shared library with operators for the sessions that are made with these options.

        See ``fastort/custom_op.h`` in the folder ``fastort.get_include()``.

        Args:
            path: The library's path.

        Raises:
            Fail: If it cannot be loaded, or holds no operators of a version that fits.
            InvalidArgument: If it has an operator with the name and domain of one of fastort's own.
        """
        self._custom_ops.append(OperatorLibrary(os.fspath(path)))

    def register_operator(
        self,
        name: str,
        function: Callable[..., Any],
        *,
        domain: str = "ai.onnx.contrib",
        outputs: Outputs = LIKE_INPUT,
    ) -> None:
        """Makes a Python function an operator of the sessions that are made with these options.

        Sessions of other options may have another function under the same name. Options with a function pickle where
        the function does: one of a module, not a lambda.

        Args:
            name: The operator's name, ``op_type`` of the nodes.
            function: The function; see ``fastort.register_operator`` for how it is called.
            domain: The operator's domain; the model must import it.
            outputs: An ``Output`` for each output; anything else is a dtype, with a shape that is not known.

        Raises:
            InvalidArgument: If fastort has an operator of this name and domain itself.
            TypeError: If the function cannot be called, or ONNX has no such type.
        """
        self._custom_ops.append(PythonOperator(name, function, domain, outputs))

    def has_providers(self) -> bool:
        """Returns whether providers were added, or a policy was set by which they are chosen."""
        return bool(self._providers) or self._policy is not None

    def _selected_providers(self, model_metadata: Callable[[], Mapping[str, str]]) -> ProviderOptions:
        # What a session runs on that is given no providers; the metadata is made only for a function that asks.
        if self._providers or self._policy is None:
            return self._providers
        if isinstance(self._policy, OrtExecutionProviderDevicePolicy):
            return providers_of_selection(select_devices(self._policy))
        return providers_of_selection(ask_delegate(self._policy, model_metadata()))

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> SessionOptions:
        """Reads options from a JSON file, as ``fastort tune`` and ``save`` write them.

        Args:
            path: The file.

        Returns:
            The options of the file; what it does not name has its default.

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
        for name in _STATE:
            value = getattr(self, name)
            setattr(copy, name, value.copy() if isinstance(value, (dict, list)) else value)
        # Shared, so that it reaches a session that is being made.
        copy._load_cancelled = self._load_cancelled
        return copy

    def __copy__(self) -> SessionOptions:
        """Returns options of their own with the same values, as a session keeps them."""
        return self._copy()

    def __getstate__(self) -> dict[str, Any]:
        """Returns all options, for another process."""
        return {name: getattr(self, name) for name in _STATE}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Takes over options.

        Args:
            state: What ``__getstate__`` returned.
        """
        self.__init__()  # type: ignore[misc]
        for name, value in state.items():
            setattr(self, name, value)


def restore_run_options(
    kind: type[_engine.RunOptions], state: Mapping[str, Any], entries: Mapping[str, str]
) -> _engine.RunOptions:
    """Makes the run options that were copied or pickled.

    Args:
        kind: Their class.
        state: Their attributes.
        entries: Their configuration entries.
    """
    options = kind()
    for name, value in state.items():
        setattr(options, name, value)
    for key, entry in entries.items():
        options.add_run_config_entry(key, entry)
    return options


_STATE = tuple(name for name in SessionOptions.__slots__ if name not in ("__weakref__", "_load_cancelled"))


def _alike(name: str, option: str) -> bool:
    # A word in common, or about the same letters.
    import difflib

    words = set(name.lower().split("_")) & set(option.split("_"))
    return bool(words - {"enable", "use", "num"}) or difflib.SequenceMatcher(None, name, option).ratio() > 0.75


def _checked_int(name: str, value: Any) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} takes an int, not {value!r}") from None
    if not -(2**31) <= number < 2**31:
        raise TypeError(f"{name} takes an int of 32 bits, not {value!r}")
    return number


def _checked_size(value: Any) -> int:
    try:
        size = operator.index(value)
    except TypeError:
        raise TypeError(f"dim_value takes an int, not {value!r}") from None
    if not 0 <= size < 2**63:
        raise ValueError(f"dim_value is the size of a dimension, at least 0, not {size}")
    return size


def _checked_str(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} takes a str, not {value!r}")
    return value
