"""What is looked at before a command begins: files to read and to write, and providers."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from .. import get_all_providers
from .._providers import CPU, VULKAN, _vulkan_refusal

Provider = str | tuple[str, Mapping[str, str]]
_SHORT = {"cpu": CPU, "vulkan": VULKAN}


def model_file(path: Path) -> Path:
    """Returns the path of a model's file.

    Raises:
        ValueError: If it cannot be one.
    """
    if path.is_dir():
        raise ValueError(f"'{path}' is a folder; name the ONNX file in it")
    if not path.exists():
        raise ValueError(f"'{path}' is no file")
    if not os.access(path, os.R_OK):
        raise ValueError(f"'{path}' may not be read")
    if path.is_file() and not path.stat().st_size:
        raise ValueError(f"'{path}' is empty")
    return path


def check_writable(*paths: Path | None) -> None:
    """Checks that files can be written, so that nobody finds out after a long run.

    Raises:
        ValueError: If one cannot.
    """
    for path in paths:
        if path is None:
            continue
        folder = path.parent
        if path.is_dir():
            raise ValueError(f"'{path}' is a folder; name a file to write")
        if not folder.is_dir():
            raise ValueError(f"'{path}' cannot be written: there is no folder '{folder}'")
        if not os.access(path if path.exists() else folder, os.W_OK):
            raise ValueError(f"'{path}' cannot be written: permission denied")


def names_provider(text: str) -> bool:
    """Whether a text is the name of a provider, with its options or without."""
    name = text.partition(":")[0]
    return name.lower() in _SHORT or name.endswith("ExecutionProvider")


def provider_of(text: str) -> Provider:
    """Reads ``vulkan``, ``VulkanExecutionProvider`` or ``vulkan:enable_fp16=storage,device_id=1``.

    Raises:
        ValueError: If there is no such provider here.
    """
    name, colon, rest = text.partition(":")
    name = _SHORT.get(name.lower(), name)
    if name not in get_all_providers():
        known = ", ".join(get_all_providers())
        raise ValueError(f"there is no provider '{name}'; there are: {known} (or, for short, {', '.join(_SHORT)})")
    options = {}
    for part in rest.split(",") if colon else ():
        key, equals, value = part.partition("=")
        if not key or not equals:
            raise ValueError(f"the options of a provider are NAME=VALUE,NAME=VALUE, not '{rest}'")
        options[key] = value
    if name == VULKAN:
        refusal = _vulkan_refusal(tuple(sorted(options.items())))
        if refusal:
            hint = "; --provider vulkan:allow_cpu=1 asks for it" if "allow_cpu=1" in refusal else ""
            raise ValueError(f"{VULKAN}: {' '.join(refusal.split())}{hint}")
    return (name, options) if options else name


def providers_of(texts: Sequence[str] | None) -> list[Provider] | None:
    """Reads the values of ``--provider``; ``None`` where there are none."""
    return [provider_of(text) for text in texts] if texts else None
