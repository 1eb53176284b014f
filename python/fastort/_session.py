"""The session: a model made ready to run."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self

from . import _engine
from ._devices import OrtMemoryInfo, cpu_memory_info
from ._enums import GraphOptimizationLevel
from ._ep_devices import OrtEpDevice, device_of_provider
from ._io_binding import IOBinding
from ._model_info import ModelMetadata, NodeArg, OrtEpAssignedNode, OrtEpAssignedSubgraph
from ._options import SessionOptions
from ._ort_value import OrtValue
from ._providers import CPU, check_known, choose_providers
from ._system import get_session_threads

if TYPE_CHECKING:
    from ._profile import Profile

ModelSource = str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes]
Providers = Sequence[str | tuple[str, Mapping[Any, Any]]]


class InferenceSession:
    """A model made ready to run. One session may be run from many threads at once."""

    _sess: _engine.Session
    _profiled: str | None  # the file of a profile that has ended

    def __init__(
        self,
        path_or_bytes: ModelSource,
        sess_options: SessionOptions | None = None,
        providers: Providers | None = None,
        provider_options: Sequence[Mapping[Any, Any]] | None = None,
        **kwargs: Any,
    ) -> None:
        """Loads a model and makes it ready.

        Args:
            path_or_bytes: A path to an ONNX file, the contents of one, or a file opened for reading in binary mode.
            sess_options: Options; the session keeps a copy.
            providers: Names of execution providers, or pairs of a name and its options, the preferred one first. One
                that is not available is left out with a warning; the CPU serves always.
            provider_options: Options for each of ``providers``, where these are plain names.
            **kwargs: ``disabled_optimizers``: names of rewrites that are switched off. Others are ignored.

        Raises:
            NoSuchFile: If there is no such file.
            InvalidProtobuf: If it holds no ONNX model.
            InvalidGraph: If the model breaks the rules of ONNX.
            NotImplemented: If the model needs an operator or a mode that is not supported.
            TypeError: If the model or the options are of another type.
            ValueError: If the providers do not make sense.
        """
        if sess_options is not None and not isinstance(sess_options, SessionOptions):
            raise TypeError(f"sess_options is a SessionOptions or None, not {sess_options!r}")
        source = _model_source(path_or_bytes)
        options = sess_options._copy() if sess_options is not None else SessionOptions()
        options.disabled_passes += kwargs.get("disabled_optimizers") or []
        if not providers and options.has_providers():
            providers = list(options._selected_providers(lambda: _metadata(source, options)).items())
        self._open(source, options, choose_providers(providers, provider_options, options.strict_placement))

    def _open(self, source: str | bytes, options: SessionOptions, providers: dict[str, dict[str, str]]) -> None:
        self._model_path = source if isinstance(source, str) else None
        self._model_bytes = source if isinstance(source, bytes) else None
        self._sess_options = options
        self._provider_options = providers
        options._chosen_providers = providers
        self._profiled = None
        threads = options.intra_op_num_threads
        options.intra_op_num_threads = get_session_threads(threads, options.use_per_session_threads)
        try:
            if isinstance(source, str):
                self._sess = _engine.Session.from_file(os.fsencode(source), options)
            else:
                self._sess = _engine.Session.from_bytes(source, options)
        except _engine.Cancelled:
            text = "[ONNXRuntimeError] : 12 : MODEL_LOAD_CANCELED : Model loading canceled due to user request."
            raise _engine.ModelLoadCanceled(text) from None
        finally:
            options.intra_op_num_threads = threads

    def run(
        self,
        output_names: Sequence[str] | None,
        input_feed: Mapping[str, Any],
        run_options: _engine.RunOptions | None = None,
    ) -> list[Any]:
        """Runs the model.

        Args:
            output_names: Names of the outputs to compute; ``None`` or an empty list for all of them. Any other value
                of the model may be named too: what it needs is then computed as if it were an output.
            input_feed: A value for each input by name. A C-contiguous array of the input's type is read where it lies;
                other arrays of the type are copied. Sequences are lists of arrays, maps are dicts, an optional without
                a value is ``None``. Text is an array of ``str``; types that NumPy lacks are those of ``ml_dtypes``.
            run_options: Options of this run.

        Returns:
            A value for each output, in the order of ``output_names``. An array owns the memory that the engine wrote.

        Raises:
            ValueError: If an input is missing.
            InvalidArgument: If a name, a type or a shape does not fit the model.
            RuntimeError: If a value is of a kind that cannot be fed, or the session is closed.
            RuntimeException: If an operator fails on the data.
            Fail: If the run was stopped by ``run_options``.
        """
        return self._sess.run(output_names, input_feed, run_options)

    def run_with_ort_values(
        self,
        output_names: Sequence[str] | None,
        input_dict_ort_values: Mapping[str, OrtValue],
        run_options: _engine.RunOptions | None = None,
    ) -> list[OrtValue]:
        """Runs the model on values of the engine.

        Args:
            output_names: Names of the outputs to compute; ``None`` or an empty list for all of them.
            input_dict_ort_values: A value for each input by name.
            run_options: Options of this run.

        Returns:
            A value for each output.

        Raises:
            ValueError: If an input is missing.
            InvalidArgument: If a name, a type or a shape does not fit the model.
        """
        return [
            OrtValue(value) for value in self._sess.run_values(output_names, input_dict_ort_values, [], run_options)
        ]

    def io_binding(self) -> IOBinding:
        """Returns an empty binding of this session's inputs and outputs."""
        return IOBinding(self)

    def run_with_iobinding(self, iobinding: IOBinding, run_options: _engine.RunOptions | None = None) -> None:
        """Runs the model on bound values.

        Args:
            iobinding: The binding; it holds the results afterwards.
            run_options: Options of this run.

        Raises:
            RuntimeError: If a bound value does not fit.
            ValueError: If the binding is another session's.
        """
        if iobinding._session is not self._sess:
            raise ValueError(
                "IOBinding must be used with the session that created it. Make one with io_binding() of this session."
            )
        try:
            iobinding._run(self._sess, run_options)
        except (_engine.InvalidArgument, ValueError) as error:
            raise RuntimeError(f"Error in execution: {_without_status(error)}") from error

    def run_with_ortvaluevector(
        self,
        run_options: _engine.RunOptions | None,
        feed_names: Sequence[str],
        feeds: Sequence[OrtValue],
        fetch_names: Sequence[str],
        fetches: list[OrtValue],
        fetch_devices: Sequence[object] | None,
    ) -> None:
        """Runs the model on lists of values.

        Args:
            run_options: Options of this run.
            feed_names: The inputs' names.
            feeds: A value for each.
            fetch_names: The outputs' names.
            fetches: Receives a value for each output; values that stand in it already are written into.
            fetch_devices: Ignored: results lie in the CPU's memory.

        Raises:
            ValueError: If names and values are not equally many.
        """
        bound: list[OrtValue | None] = [*fetches, *([None] * (len(fetch_names) - len(fetches)))]
        feed = dict(zip(feed_names, feeds, strict=True))
        results = self._sess.run_values(list(fetch_names), feed, bound, run_options)
        fetches[:] = [value or OrtValue(result) for value, result in zip(bound, results, strict=True)]

    def run_async(
        self,
        output_names: Sequence[str] | None,
        input_feed: Mapping[str, Any],
        callback: Callable[[list[Any], Any, str], None],
        user_data: Any,
        run_options: _engine.RunOptions | None = None,
    ) -> None:
        """Starts a run in another thread and returns at once.

        Args:
            output_names: As for ``run``.
            input_feed: As for ``run``; must not change before the callback is called.
            callback: Called from the other thread with the results, ``user_data`` and an error text, which is empty
                where the run succeeded; the results are empty where it failed. What it raises itself goes to
                ``threading.excepthook``.
            user_data: Anything.
            run_options: As for ``run``.

        Raises:
            ValueError: If an input is missing.
            TypeError: If the callback cannot be called.
        """
        import threading

        if not callable(callback):
            raise TypeError(f"run_async(): callback is called with results, user_data and error, not {callback!r}")
        missing = [name for name, kind, _ in self._sess.inputs() if name not in input_feed and "optional" not in kind]
        if missing:
            declared = ", ".join(f"'{arg.name}': {arg.type}{arg.shape}" for arg in self.get_inputs())
            raise ValueError(
                f"Required inputs ({missing}) are missing from input feed ({list(input_feed)}). "
                f"The model's inputs are {declared}."
            )

        def work() -> None:
            results: list[Any] = []
            error = ""
            try:
                results = self.run(output_names, input_feed, run_options)
            except Exception as raised:
                error = _without_status(raised) or type(raised).__name__
            callback(results, user_data, error)

        threading.Thread(target=work, name="fastort.run_async", daemon=True).start()

    async def arun(
        self,
        output_names: Sequence[str] | None,
        input_feed: Mapping[str, Any],
        run_options: _engine.RunOptions | None = None,
    ) -> list[Any]:
        """Runs the model in another thread, for ``await``. A cancelled task stops the run.

        Args:
            output_names: As for ``run``.
            input_feed: As for ``run``.
            run_options: As for ``run``.

        Returns:
            As ``run``.
        """
        import asyncio

        options = _engine.RunOptions() if run_options is None else run_options
        try:
            return await asyncio.get_running_loop().run_in_executor(None, self.run, output_names, input_feed, options)
        except asyncio.CancelledError:
            options.terminate = True
            raise

    def get_inputs(self) -> list[NodeArg]:
        """Returns the inputs that a run must feed."""
        return [NodeArg(*entry) for entry in self._sess.inputs()]

    def get_outputs(self) -> list[NodeArg]:
        """Returns the outputs."""
        return [NodeArg(*entry) for entry in self._sess.outputs()]

    def get_overridable_initializers(self) -> list[NodeArg]:
        """Returns the initializers that a run may feed."""
        return [NodeArg(*entry) for entry in self._sess.overridable()]

    def get_modelmeta(self) -> ModelMetadata:
        """Returns what the model says about itself."""
        return ModelMetadata(self._sess.model_meta())

    def get_session_options(self) -> SessionOptions:
        """Returns a copy of the session's options."""
        return self._sess_options._copy()

    def get_providers(self) -> list[str]:
        """Returns the names of the execution providers, the preferred one first."""
        return list(self._provider_options)

    def get_provider_options(self) -> dict[str, dict[str, str]]:
        """Returns the options of each execution provider."""
        return {name: dict(options) for name, options in self._provider_options.items()}

    def set_providers(
        self, providers: Providers | None = None, provider_options: Sequence[Mapping[Any, Any]] | None = None
    ) -> None:
        """Chooses other execution providers and makes the model ready for them.

        Args:
            providers: As in the constructor.
            provider_options: As in the constructor.

        Raises:
            RuntimeError: If neither fastort nor ONNX Runtime knows a provider of that name, or the session is closed.
            ValueError: If the providers do not make sense.
        """
        check_known(providers)
        chosen = choose_providers(providers, provider_options, self._sess_options.strict_placement)
        if chosen == self._provider_options:
            return
        self._open(self._source(), self._sess_options, chosen)

    def enable_fallback(self) -> None:
        """Does nothing: what a provider cannot run always runs on the CPU."""

    def disable_fallback(self) -> None:
        """Does nothing: what a provider cannot run always runs on the CPU."""

    def get_input_memory_infos(self) -> list[OrtMemoryInfo]:
        """Returns where each input is to lie."""
        return [cpu_memory_info() for _ in self._sess.inputs()]

    def get_output_memory_infos(self) -> list[OrtMemoryInfo]:
        """Returns where each output lies."""
        return [cpu_memory_info() for _ in self._sess.outputs()]

    def get_input_epdevices(self) -> list[OrtEpDevice]:
        """Returns the device that reads each input: that of the preferred provider."""
        name, options = next(iter(self._provider_options.items()))
        return [device_of_provider(name, options)] * len(self._sess.inputs())

    def get_provider_graph_assignment_info(self) -> list[OrtEpAssignedSubgraph]:
        """Returns which nodes of the rewritten model run on which execution provider.

        Raises:
            Fail: If the session's options lack the entry ``session.record_ep_graph_assignment_info`` of ``"1"``.
        """
        if self._sess_options._config_entries.get("session.record_ep_graph_assignment_info") != "1":
            raise _engine.Fail(
                "[ONNXRuntimeError] : 1 : FAIL : Session configuration entry "
                "'session.record_ep_graph_assignment_info' must be set to \"1\" to retrieve EP graph assignment "
                "information."
            )
        nodes = [OrtEpAssignedNode(name, domain, op_type) for domain, op_type, name in self._sess.nodes()]
        return [OrtEpAssignedSubgraph(CPU, nodes)]

    def create_ortvalue_from_shape_and_type(
        self, shape: Sequence[int], element_type: Any, device_type: str, device_id: int = 0, vendor_id: int = -1
    ) -> OrtValue:
        """Makes a tensor of zeros; see ``OrtValue.ortvalue_from_shape_and_type``.

        Args:
            shape: Its sizes.
            element_type: A dtype or a number of ``onnx.TensorProto``.
            device_type: ``"cpu"``.
            device_id: Ignored.
            vendor_id: Ignored.
        """
        return OrtValue.ortvalue_from_shape_and_type(shape, element_type, device_type, device_id, vendor_id)

    def set_ep_dynamic_options(self, options: Mapping[str, str]) -> None:
        """Changes options of the execution providers.

        Args:
            options: Options by name. ``ep.dynamic.workload_type`` of ``"Default"`` or ``"Efficient"`` is a hint, on
                which nothing depends.

        Raises:
            NotImplemented: If there is any other.
        """
        for name, value in options.items():
            if name == "ep.dynamic.workload_type" and value in ("Default", "Efficient"):
                continue
            text = f"{CPU} has no option '{name}' with the value '{value}' that a session can change"
            raise _engine.NotImplemented(f"[ONNXRuntimeError] : 9 : NOT_IMPLEMENTED : {text}")

    def get_tuning_results(self) -> list[dict[str, Any]]:
        """Returns what was tuned: an empty list, as for every provider without a tuner."""
        return []

    def set_tuning_results(self, results: Sequence[Mapping[str, Any]], *, error_on_invalid: bool = False) -> None:
        """Takes over what was tuned.

        Args:
            results: What ``get_tuning_results`` returned.
            error_on_invalid: Refuse results of another provider.

        Raises:
            RuntimeError: If there is one and ``error_on_invalid`` is set.
        """
        if results and error_on_invalid:
            raise RuntimeError(f"{CPU} has no tuner, so that it takes no results: {results!r}")

    def release_captured_graph(self, graph_annotation_id: int = 0) -> None:
        """Does nothing: no runs are captured.

        Args:
            graph_annotation_id: Ignored.
        """

    def end_profiling(self) -> str:
        """Writes the profile that ``SessionOptions.enable_profiling`` began, for Chrome's and Perfetto's viewers.

        Returns:
            The file's name, ``profile_file_prefix`` and the time; empty where nothing was recorded.

        Raises:
            OSError: If the file cannot be written.
        """
        if not self._sess_options.enable_profiling or self._profiled is not None:
            return ""
        from ._profile import Profile, profile_path

        self._profiled = profile_path(self._sess_options.profile_file_prefix)
        Profile(self._sess.stop_profiling()).save(self._profiled)
        return self._profiled

    def get_profiling_start_time_ns(self) -> int:
        """Returns when profiling began, in nanoseconds since 1970; 0 where it did not."""
        return self._sess.profiling_start_time_ns()

    def profile(self, input_feed: Mapping[str, Any], runs: int = 10, warmup: int = 2) -> Profile:
        """Runs the model some times and records what every node takes.

        Args:
            input_feed: As for ``run``.
            runs: The number of runs that are recorded.
            warmup: The number of runs before them.

        Returns:
            What was recorded; ``print`` shows it as a table, ``save`` writes a trace file.

        Raises:
            ValueError: If ``runs`` is not positive.
            RuntimeError: If the session is being profiled already.
        """
        if runs < 1:
            raise ValueError(f"profile(): runs is at least 1, not {runs}")
        from ._profile import Profile

        if self._sess.is_profiling():
            raise RuntimeError("the session is being profiled already; call end_profiling() first")
        self._sess.start_profiling()
        try:
            for _ in range(warmup):
                self._sess.run(None, input_feed)
            self._sess.clear_profile()
            for _ in range(runs):
                self._sess.run(None, input_feed)
        finally:
            events = self._sess.stop_profiling()
        return Profile(events)

    def explain(self) -> str:
        """Returns, for each node, where it runs, with which kernel, and why not with another.

        Kernels are chosen when a run shows the shapes, so that the text is complete after the first run.

        Returns:
            A text: the rewrites that changed the model, then for each plan its nodes with the provider and the kernel,
            indented under them what was fused into a node and the kernels that stood in front, each with its reason.
        """
        return self._sess.explain()

    def print_graph(self) -> str:
        """Returns the rewritten model as text, one line a node."""
        return self._sess.print_graph()

    def memory_stats(self) -> dict[str, int]:
        """Returns what memory is used for, in bytes.

        Returns:
            ``plan_count`` and ``plan_bytes``: cached plans, one for each set of input shapes. ``idle_arena_bytes``:
            room for intermediates that the next runs use again; ``trim`` frees it. For the whole process:
            ``process_packed_weight_bytes`` (weights in the kernels' own forms, held once for equal contents) and
            ``process_idle_output_bytes`` (memory of results that were dropped, for the next ones). Of the session's
            GPU, which other sessions and values may share: ``device_held_bytes`` (taken from its driver),
            ``device_used_bytes`` (of it by weights, values, intermediates and copies) and ``device_allocations``
            (how many pieces these are).
        """
        return self._sess.memory_stats()

    def trim(self) -> int:
        """Gives idle memory back to the system.

        Buffers of finished runs and all plans but the latest are freed; the packed weights stay.

        Returns:
            The number of bytes.
        """
        return self._sess.trim()

    def close(self) -> None:
        """Frees the model; runs in flight end first. A closed session raises RuntimeError when it is used."""
        self._sess.close()
        self._model_path = self._model_bytes = None

    def __enter__(self) -> Self:
        """Returns the session itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Closes the session.

        Args:
            kind: Ignored.
            error: Ignored.
            traceback: Ignored.
        """
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        """Returns what another process needs to load the model again: its path or its bytes, and the options."""
        return {name: value for name, value in self.__dict__.items() if name != "_sess"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Loads the model again.

        Args:
            state: What ``__getstate__`` returned.
        """
        self.__dict__.update(state)
        self._open(self._source(), self._sess_options, self._provider_options)

    # Names of ONNX Runtime's own that packages read although they are not public: insightface the providers, others
    # the inputs and outputs.

    @property
    def _providers(self) -> list[str]:
        return self.get_providers()

    @property
    def _inputs_meta(self) -> list[NodeArg]:
        return self.get_inputs()

    @property
    def _outputs_meta(self) -> list[NodeArg]:
        return self.get_outputs()

    @property
    def _overridable_initializers(self) -> list[NodeArg]:
        return self.get_overridable_initializers()

    @property
    def _model_meta(self) -> ModelMetadata:
        return self.get_modelmeta()

    def _source(self) -> str | bytes:
        source = self._model_path if self._model_path is not None else self._model_bytes
        if source is None:
            raise RuntimeError("the session is closed: make another InferenceSession of the model")
        return source


def _metadata(source: str | bytes, options: SessionOptions) -> dict[str, str]:
    # What a model says of itself, by ONNX's names, before it is known where it will run.
    plain = options._copy()
    plain.graph_optimization_level = GraphOptimizationLevel.ORT_DISABLE_ALL
    plain.optimized_model_filepath = ""
    plain._policy = None
    with InferenceSession(source, plain) as session:
        meta = session.get_modelmeta()
    return {
        "producer_name": meta.producer_name,
        "producer_version": meta.producer_version,
        "domain": meta.domain,
        "model_version": str(meta.version),
        "doc_string": meta.description,
        "graph_name": meta.graph_name,
        "graph_description": meta.graph_description,
        **meta.custom_metadata_map,
    }


def _without_status(error: Exception) -> str:
    # ONNX Runtime's callbacks and bindings tell what went wrong without the status in front.
    return re.sub(r"^\[ONNXRuntimeError\] : \d+ : [A-Z_]+ : ", "", str(error))


def _model_source(model: object) -> str | bytes:
    if isinstance(model, str | os.PathLike):
        return os.fsdecode(model)
    if isinstance(model, bytes):
        return model
    if isinstance(model, bytearray | memoryview):
        return bytes(model)
    read = getattr(model, "read", None)
    contents = read() if callable(read) else None
    if isinstance(contents, bytes | bytearray | memoryview):
        return bytes(contents)
    if callable(read):
        raise TypeError("Unable to load from a file opened as text; open it in binary mode, with 'rb'")
    raise TypeError(
        f"Unable to load from type '{type(model)}'; pass a path, the contents of a file as bytes, "
        "or a file opened with 'rb'"
    )
