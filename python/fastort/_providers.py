"""The execution providers: which there are, and what a user's choice comes down to."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

CPU = "CPUExecutionProvider"
VULKAN = "VulkanExecutionProvider"

ProviderOptions = dict[str, dict[str, str]]


def get_available_providers() -> list[str]:
    """Returns the providers that can run a model on this machine, the preferred one first."""
    return [CPU]


def get_all_providers() -> list[str]:
    """Returns the providers that fastort knows, served on this machine or not."""
    return [VULKAN, CPU]


def get_device() -> str:
    """Returns the kind of device that the preferred provider runs on: ``"CPU"``."""
    return "CPU"


def choose_providers(
    providers: str | Sequence[str | tuple[str, Mapping[Any, Any]]] | None,
    provider_options: Sequence[Mapping[Any, Any]] | None,
    strict: bool = False,
) -> ProviderOptions:
    """Picks the providers of a session out of what the user asked for.

    A provider that is not available is left out with a warning. The CPU always comes last.

    Args:
        providers: Names, or pairs of a name and its options, the preferred one first; ``None`` for the CPU.
        provider_options: Options for each of ``providers``, where these are plain names.
        strict: Refuse a provider that is not available.

    Returns:
        The options of each chosen provider, in order of preference.

    Raises:
        ValueError: If a provider is neither a name nor a pair, or the two arguments do not fit together, or a provider
            is not available and ``strict`` is set.
    """
    if isinstance(providers, str):
        providers = [providers]
    providers = list(providers or [])
    if provider_options is not None and len(provider_options) != len(providers):
        raise ValueError("'providers' and 'provider_options' should be the same length if both are given.")
    available = get_available_providers()
    chosen: ProviderOptions = {}
    for index, entry in enumerate(providers):
        name, options = _split(entry)
        if provider_options is not None:
            if options:
                raise ValueError(f"The options of '{name}' are given twice: in 'providers' and in 'provider_options'.")
            options = provider_options[index]
        if name not in available:
            text = (
                f"Specified provider '{name}' is not in available provider names."
                f"Available providers: '{', '.join(available)}'"
            )
            if strict:
                raise ValueError(text + " (SessionOptions.strict_placement)")
            warnings.warn(text, UserWarning, stacklevel=3)
        elif name in chosen:
            warnings.warn(f"Duplicate provider '{name}' encountered, ignoring.", UserWarning, stacklevel=3)
        else:
            chosen[name] = {str(key): str(value) for key, value in options.items()}
    chosen.setdefault(CPU, {})
    return chosen


def _split(entry: object) -> tuple[str, Mapping[Any, Any]]:
    if isinstance(entry, str):
        return entry, {}
    if isinstance(entry, tuple) and len(entry) == 2 and isinstance(entry[0], str) and isinstance(entry[1], Mapping):
        return entry[0], entry[1]
    raise ValueError(f"'providers' values must be either strings or (string, dict) tuples, not {entry!r}.")
