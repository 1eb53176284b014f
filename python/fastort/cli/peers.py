"""Other engines on this machine, each run by an interpreter that has it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from ..analysis._files import external_locations
from .engine_process import EngineProcess, environment_of, made_interpreter, named_interpreter

# Engines that read an .onnx file themselves, by the modules that are imported; those that want it converted first would
# be measured on another model.
_MODULES = {"onnxruntime": "onnxruntime", "openvino": "openvino", "opencv": "cv2"}
ENGINES = tuple(_MODULES)
_WORKER = Path(__file__).parent / "worker" / "run_engine.py"
_FIND = (
    "import importlib.util, json; print(json.dumps([n for n, m in {modules}.items() if importlib.util.find_spec(m)]))"
)


@dataclass(frozen=True)
class Peer:
    """An engine and the interpreter that has it."""

    engine: str
    python: str


def _engines_of(python: str, names: Sequence[str]) -> list[str]:
    """Returns the engines that an interpreter has.

    Raises:
        ValueError: If it does not run.
    """
    command = [python, "-c", _FIND.format(modules={name: _MODULES[name] for name in names})]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=60, env=environment_of(python)
        )
        return list(json.loads(done.stdout))
    except (OSError, subprocess.SubprocessError, ValueError):
        raise ValueError(f"'{python}' is no Python interpreter that runs") from None


def find_peers(pythons: Sequence[str] = ()) -> list[Peer]:
    """Returns the engines that are found, each with the first interpreter that has it.

    They are looked for in the given interpreters, in those that ``FASTORT_PEER_<NAME>`` names, in this one, and in
    those that ``tools/peers.sh`` made.

    Raises:
        ValueError: If a given interpreter does not run, or has none.
    """
    found: dict[str, Peer] = {}
    named: list[tuple[str, Sequence[str]]] = [(python, ENGINES) for python in pythons]
    named += [(python, (name,)) for name in ENGINES if (python := named_interpreter(name))]
    for python, names in (*named, (sys.executable, ENGINES)):
        engines = _engines_of(python, names)
        if not engines and python in pythons:
            raise ValueError(f"'{python}' has none of {', '.join(ENGINES)}")
        for engine in engines:
            found.setdefault(engine, Peer(engine, python))
    for name in ENGINES:
        python_made = made_interpreter(name)
        if name not in found and python_made:
            found[name] = Peer(name, python_made)
    return [found[engine] for engine in ENGINES if engine in found]


def choose_peers(wanted: Sequence[str], pythons: Sequence[str]) -> list[Peer]:
    """Returns the peers of the given names: ``none``, ``all`` that are there, or engines.

    Raises:
        ValueError: If one is not there.
    """
    if "none" in wanted:
        return []
    found = find_peers(pythons)
    if not wanted or "all" in wanted:
        return found
    for name in wanted:
        if name not in ENGINES:
            raise ValueError(f"'{name}' is no peer; there are: {', '.join(ENGINES)}, all, none")
        if name not in {peer.engine for peer in found}:
            raise ValueError(f"'{name}' is not installed here; name an interpreter that has it with --peer-python")
    return [peer for peer in found if peer.engine in wanted]


class PeerProcess(EngineProcess):
    """A model that a peer has made ready in a process of its own."""

    def __init__(
        self,
        peer: Peer,
        model: str | os.PathLike[str],
        feeds: Mapping[str, Any],
        threads: int = 0,
        outputs: Sequence[str] = (),
    ) -> None:
        """Starts the process and waits until the model has run once.

        Raises:
            RuntimeError: If the peer does not run the model.
            ValueError: If the inputs cannot be handed over.
        """
        self._folder = tempfile.TemporaryDirectory(prefix="fastort-")
        stored = Path(self._folder.name) / "feeds.npz"
        _save_feeds(stored, feeds)
        arguments = [str(_WORKER), peer.engine, os.fspath(model), str(stored), "--threads", str(threads)]
        if outputs:
            arguments += ["--outputs", *outputs]
        super().__init__(peer.engine, peer.python, arguments)

    def run(self, count: int) -> list[float]:
        """Runs ``count`` times; returns the seconds of each."""
        return list(self.ask(f"run {count}")["times"])

    def at_once(self, clients: int, seconds: float) -> float:
        """Returns the runs a second that several threads reach together."""
        return float(self.ask(f"clients {clients} {seconds}")["rate"])

    def outputs(self) -> list[Any]:
        """Returns the outputs of a run."""
        path = Path(self._folder.name) / "outputs.npz"
        self.ask(f"save {path}")
        with np.load(path) as stored:
            values = [stored[f"arr_{index}"] for index in range(len(stored.files))]
        return [value.astype(object) if value.dtype.kind == "U" else value for value in values]

    def close(self) -> None:
        """Ends the process."""
        super().close()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        """Returns the process itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Ends the process."""
        self.close()


def _save_feeds(path: Path, feeds: Mapping[str, Any]) -> None:
    arrays: dict[str, Any] = {}
    for name, value in feeds.items():
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "biufcOU":
            raise ValueError(f"the input '{name}' is no tensor of a type that NumPy has, and is not handed to a peer")
        arrays[name] = value.astype(np.str_) if value.dtype == object else value
    np.savez(path, **arrays)


def run_on(peer: Peer) -> Any:
    """Returns a function that runs the contents of a model on a peer, for ``compare_models``."""

    def run(model: bytes, names: Sequence[str], feeds: Mapping[str, Any]) -> list[Any]:
        with tempfile.TemporaryDirectory(prefix="fastort-") as folder:
            path = Path(folder) / "model.onnx"
            path.write_bytes(model)
            for location in external_locations(model):
                link = path.parent / location
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(Path(getattr(model, "folder", "")) / location)
            with PeerProcess(peer, path, feeds, outputs=names) as process:
                return process.outputs()

    return run
