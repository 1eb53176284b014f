"""fastort under ONNX Runtime's name, for packages that import `onnxruntime` themselves."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.metadata
import importlib.util
import sys
from collections.abc import Iterable, Sequence
from types import ModuleType
from typing import Any

# The version whose API fastort has, for packages that ask for a newest or an oldest one.
ONNXRUNTIME_VERSION = "1.31.1"
_ALIAS = "onnxruntime"
_OWN = "fastort"
# ONNX Runtime's packages of Python alone, which work on models and run them through the names that fastort has.
_TOOLS = frozenset({"quantization", "tools", "transformers"})


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds `onnxruntime` and its submodules as fastort's modules of the same place."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if not _is_of(fullname, _ALIAS):
            return None
        installed = _installed_tool(fullname)
        if installed is not None:
            return installed
        try:
            own = importlib.util.find_spec(_own_name(fullname))
        except ModuleNotFoundError:  # not even the package that it would be in
            return None
        if own is None:
            return None
        spec = importlib.machinery.ModuleSpec(fullname, self, origin=own.origin)
        spec.submodule_search_locations = own.submodule_search_locations
        return spec

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        own = importlib.import_module(_own_name(spec.name))
        # Below the package the modules themselves are handed out, so that classes are the same under both names.
        return _package(own) if spec.name == _ALIAS else own

    def exec_module(self, module: ModuleType) -> None:
        if module.__name__ != _ALIAS:  # the import system has put the alias's specification on a shared module
            module.__spec__ = importlib.machinery.PathFinder.find_spec(
                module.__name__, sys.modules[module.__name__.rpartition(".")[0]].__path__
            )

    def find_distributions(self, context: Any = None) -> Iterable[importlib.metadata.Distribution]:
        if getattr(context, "name", None) == _ALIAS:
            yield _Distribution()


class _Distribution(importlib.metadata.Distribution):
    """What `importlib.metadata` says of `onnxruntime`."""

    def read_text(self, filename: str) -> str | None:
        if filename in ("METADATA", "PKG-INFO"):
            return f"Metadata-Version: 2.1\nName: {_ALIAS}\nVersion: {ONNXRUNTIME_VERSION}\n"
        return None

    def locate_file(self, path: Any) -> Any:
        return importlib.metadata.distribution(_OWN).locate_file(path)


_finder = _Finder()


def install() -> None:
    """See ``fastort.install_as_onnxruntime``.

    Raises:
        ImportError: If ONNX Runtime itself was imported already.
    """
    if _finder in sys.meta_path:
        return
    if _ALIAS in sys.modules:
        raise ImportError("onnxruntime was imported already: call fastort.install_as_onnxruntime() before that")
    sys.meta_path.insert(0, _finder)


def uninstall() -> None:
    """See ``fastort.uninstall_as_onnxruntime``."""
    if _finder in sys.meta_path:
        sys.meta_path.remove(_finder)
        for name in [name for name in sys.modules if _is_of(name, _ALIAS)]:
            del sys.modules[name]


def _package(own: ModuleType) -> ModuleType:
    package = ModuleType(_ALIAS, own.__doc__)
    names = [name for name in dir(own) if not (name.startswith("__") and name.endswith("__"))]
    for name in names:
        setattr(package, name, getattr(own, name))
    package.__all__ = list(own.__all__)  # type: ignore[attr-defined]
    package.__version__ = package.version = ONNXRUNTIME_VERSION  # type: ignore[attr-defined]
    package.__getattr__ = own.__getattr__  # type: ignore[method-assign]
    package.__file__ = own.__file__
    return package


def _installed_tool(name: str) -> importlib.machinery.ModuleSpec | None:
    # A module of ONNX Runtime's own that works on models, where ONNX Runtime is installed too; its engine stays out.
    parts = name.split(".")
    if len(parts) < 2 or parts[1] not in _TOOLS:
        return None
    spec = importlib.machinery.PathFinder.find_spec(_ALIAS)
    for end in range(2, len(parts) + 1):
        if spec is None or not spec.submodule_search_locations:
            return None
        spec = importlib.machinery.PathFinder.find_spec(".".join(parts[:end]), spec.submodule_search_locations)
    return spec


def _is_of(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def _own_name(name: str) -> str:
    return _OWN + name[len(_ALIAS) :]
