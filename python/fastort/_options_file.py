"""Session options in a JSON file, as ``fastort tune`` writes them.

The file holds ``session_options`` (attributes of ``SessionOptions`` that differ from their defaults; enums by name),
``config_entries``, ``free_dimensions`` and ``providers``. Other entries say where the options come from, and are not
read.
"""

from __future__ import annotations

import enum
import json
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._options import SessionOptions


def read_options(options: SessionOptions, path: str | os.PathLike[str]) -> None:
    """Sets the options of a file; see ``SessionOptions.from_file``."""
    with open(os.fspath(path), encoding="utf-8") as file:
        try:
            stored = json.load(file)
        except ValueError as error:
            raise ValueError(f"'{os.fspath(path)}' is no JSON: {error}") from None
    where = f"'{os.fspath(path)}'"
    if not isinstance(stored, dict) or not isinstance(stored.get("session_options"), dict):
        raise ValueError(f"{where} has no entry 'session_options'")
    for name, value in stored["session_options"].items():
        if name.startswith("_") or not hasattr(options, name) or callable(getattr(options, name)):
            raise ValueError(f"{where}: there is no session option '{name}'")
        current = getattr(options, name)
        try:
            if isinstance(current, enum.Enum) and isinstance(value, str):
                value = type(current)[value]
            setattr(options, name, value)
        except (KeyError, TypeError):
            raise ValueError(f"{where}: {value!r} is no value of '{name}'") from None
    for key, value in _entries(stored, "config_entries", where).items():
        options.add_session_config_entry(key, value)
    for name, size in _entries(stored, "free_dimensions", where).items():
        options.add_free_dimension_override_by_name(name, size)
    for name, settings in _entries(stored, "providers", where).items():
        options.add_provider(name, settings)


def _entries(stored: dict[str, Any], name: str, where: str) -> dict[str, Any]:
    entries = stored.get(name, {})
    if not isinstance(entries, dict):
        raise ValueError(f"{where}: '{name}' is not a table of names and values")
    return entries


def options_as_dict(options: SessionOptions) -> dict[str, Any]:
    """Returns what a file holds: the options that differ from their defaults."""
    plain = type(options)()
    stored: dict[str, Any] = {}
    for name in (name for name in options.__slots__ if not name.startswith("_")):
        value = getattr(options, name)
        if value != getattr(plain, name):
            stored[name] = value.name if isinstance(value, enum.Enum) else value
    found: dict[str, Any] = {"session_options": stored}
    for name, entries in (
        ("config_entries", options._config_entries),
        ("free_dimensions", options._free_dimensions_by_name),
        ("providers", options._providers),
    ):
        if entries:
            found[name] = dict(entries)
    return found


def write_options(options: SessionOptions, path: str | os.PathLike[str], **notes: Any) -> None:
    """Writes options to a file; see ``SessionOptions.save``. ``notes`` say where they come from."""
    with open(os.fspath(path), "w", encoding="utf-8") as file:
        json.dump(options_as_dict(options) | notes, file, indent=1)
        file.write("\n")
