"""The session: a model made ready to run."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import IO, Any, Self

from . import _engine
from ._io_binding import IOBinding
from ._options import SessionOptions
from ._ort_value import OrtValue
from ._providers import choose_providers

ModelSource = str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes]
Providers = Sequence[str | tuple[str, Mapping[Any, Any]]]


class NodeArg:
    """An input, an output or an overridable initializer of a model.

    Attributes:
        name: Its name.
        type: Its type as ONNX Runtime writes it: ``"tensor(float)"``, ``"seq(tensor(int64))"``.
        shape: A size, a symbol's name or ``None`` for each dimension; empty where the rank is not known.
    """

    __slots__ = ("name", "shape", "type")

    def __init__(self, name: str, type: str, shape: list[int | str | None]) -> None:
        """Describes a value.

        Args:
            name: Its name.
            type: Its type.
            shape: Its dimensions.
        """
        self.name = name
        self.type = type
        self.shape = shape

    def __repr__(self) -> str:
        """Returns name, type and shape."""
        return f"NodeArg(name={self.name!r}, type={self.type!r}, shape={self.shape!r})"


class ModelMetadata:
    """What a model file says about itself.

    Attributes:
        producer_name: The program that made the model.
        producer_version: Its version.
        graph_name: The graph's name.
        domain: The model's name space.
        description: The model's doc string.
        graph_description: The graph's doc string.
        version: The model's version.
        ir_version: The version of the file format.
        opsets: The operator sets' versions by domain.
        custom_metadata_map: Further entries.
    """

    __slots__ = (
        "custom_metadata_map",
        "description",
        "domain",
        "graph_description",
        "graph_name",
        "ir_version",
        "opsets",
        "producer_name",
        "producer_version",
        "version",
    )

    producer_name: str
    producer_version: str
    graph_name: str
    domain: str
    description: str
    graph_description: str
    version: int
    ir_version: int
    opsets: dict[str, int]
    custom_metadata_map: dict[str, str]

    def __init__(self, entries: Mapping[str, Any]) -> None:
        """Takes over the entries of a model.

        Args:
            entries: A value for each attribute.
        """
        for name in self.__slots__:
            setattr(self, name, entries[name])

    def __repr__(self) -> str:
        """Returns all entries."""
        return f"ModelMetadata({', '.join(f'{name}={getattr(self, name)!r}' for name in self.__slots__)})"


class InferenceSession:
    """A model made ready to run. One session may be run from many threads at once."""

    _sess: _engine.Session

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
            providers = list(options._providers.items())
        self._open(source, options, choose_providers(providers, provider_options))

    def _open(self, source: str | bytes, options: SessionOptions, providers: dict[str, dict[str, str]]) -> None:
        self._model_path = source if isinstance(source, str) else None
        self._model_bytes = source if isinstance(source, bytes) else None
        self._sess_options = options
        self._provider_options = providers
        if options.enable_profiling:
            warnings.warn("enable_profiling has no effect: no profile is written", UserWarning, stacklevel=3)
        if isinstance(source, str):
            self._sess = _engine.Session.from_file(os.fsencode(source), options)
        else:
            self._sess = _engine.Session.from_bytes(source, options)

    def run(
        self,
        output_names: Sequence[str] | None,
        input_feed: Mapping[str, Any],
        run_options: _engine.RunOptions | None = None,
    ) -> list[Any]:
        """Runs the model.

        Args:
            output_names: Names of the outputs to compute; ``None`` or an empty list for all of them.
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
        """
        try:
            iobinding._run(self._sess, run_options)
        except (_engine.InvalidArgument, ValueError) as error:
            raise RuntimeError(f"Error in execution: {error}") from error

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
                where the run succeeded; the results are empty where it failed.
            user_data: Anything.
            run_options: As for ``run``.
        """
        import threading

        def work() -> None:
            results: list[Any] = []
            error = ""
            try:
                results = self.run(output_names, input_feed, run_options)
            except Exception as raised:
                error = str(raised) or type(raised).__name__
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
            ValueError: If the providers do not make sense.
        """
        chosen = choose_providers(providers, provider_options)
        if list(chosen) == list(self._provider_options):
            self._provider_options = chosen
            return
        source = self._model_path if self._model_path is not None else self._model_bytes
        assert source is not None
        self._open(source, self._sess_options, chosen)

    def enable_fallback(self) -> None:
        """Does nothing: what a provider cannot run always runs on the CPU."""

    def disable_fallback(self) -> None:
        """Does nothing: what a provider cannot run always runs on the CPU."""

    def end_profiling(self) -> str:
        """Returns the name of the profile's file; empty where none is written."""
        return ""

    def get_profiling_start_time_ns(self) -> int:
        """Returns when profiling began, in nanoseconds; 0 where it did not."""
        return 0

    def explain(self) -> str:
        """Returns, for each node, where it runs, with which kernel, and why not with another.

        Kernels are chosen when a run shows the shapes, so that the text is complete after the first run.
        """
        return self._sess.explain()

    def print_graph(self) -> str:
        """Returns the rewritten model as text, one line a node."""
        return self._sess.print_graph()

    def memory_stats(self) -> dict[str, int]:
        """Returns how many plans are cached (one for each set of input shapes) and the bytes that they take."""
        return {"plan_count": self._sess.plan_count(), "plan_bytes": self._sess.plan_bytes()}

    def trim(self) -> int:
        """Gives idle memory back to the system.

        Returns:
            The number of bytes.
        """
        return self._sess.trim()

    def close(self) -> None:
        """Frees the model; runs in flight end first. A closed session raises RuntimeError when it is used."""
        self._sess.close()
        self._model_bytes = None

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
        source = self._model_path if self._model_path is not None else self._model_bytes
        if source is None:
            raise RuntimeError("the session is closed")
        self._open(source, self._sess_options, self._provider_options)


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
    raise TypeError(f"Unable to load from type '{type(model)}'")
