"""The execution providers: which there are, and what a user's choice comes down to."""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from . import _engine

CPU = "CPUExecutionProvider"
VULKAN = "VulkanExecutionProvider"

ProviderOptions = dict[str, dict[str, str]]

# fmt: off
# ONNX Runtime's other providers, for which a session falls back.
_ELSEWHERE = (
    "ACL", "Azure", "CANN", "CUDA", "CoreML", "Dml", "Dnnl", "Js", "MIGraphX", "Nnapi", "NvTensorRTRTX", "OpenVINO",
    "QNN", "ROCM", "Rknpu", "Tensorrt", "VSINPU", "VitisAI", "WebGpu", "WebNN", "Xnnpack",
)
# fmt: on


def get_available_providers() -> list[str]:
    """Returns the providers that can run a model on this machine, the preferred one first.

    ``VulkanExecutionProvider`` is among them where a device serves without being asked for: implementations of Vulkan
    on the CPU do not, unless the environment variable ``FASTORT_VULKAN_DEVICE`` names one.
    """
    return [VULKAN, CPU] if not _vulkan_refusal(()) else [CPU]


def _vulkan_refusal(options: tuple[tuple[str, str], ...]) -> str:
    """Returns why no Vulkan device serves with these options; nothing where one does."""
    return _refusal_where(options, os.environ.get("FASTORT_VULKAN_DEVICE", ""))


@functools.cache
def _refusal_where(options: tuple[tuple[str, str], ...], device: str) -> str:
    """Returns the refusal while the environment variable has this value, which the engine reads by itself."""
    return _engine.vulkan_refusal(dict(options))


def vulkan_devices() -> list[dict[str, Any]]:
    """Returns the devices of Vulkan, the fastest kind first; none where the machine has no Vulkan."""
    try:
        return _engine.vulkan_devices()
    except _engine.Fail:
        return []


def get_all_providers() -> list[str]:
    """Returns the providers that fastort knows, served on this machine or not."""
    return [VULKAN, CPU]


def get_device() -> str:
    """Returns the kind of device that the preferred provider runs on: ``"CPU"`` or ``"GPU"``."""
    return "GPU" if VULKAN in get_available_providers() else "CPU"


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
        Fail: If no device serves ``VulkanExecutionProvider`` and its option ``strict_placement`` is set.
        InvalidArgument: If a provider has no such option.
    """
    if isinstance(providers, str):
        providers = [providers]
    providers = list(providers or [])
    if provider_options is not None and len(provider_options) != len(providers):
        raise ValueError(
            "'providers' and 'provider_options' should be the same length if both are given; "
            f"there are {len(providers)} and {len(provider_options)}."
        )
    chosen: ProviderOptions = {}
    for index, entry in enumerate(providers):
        name, options = _split(entry)
        if provider_options is not None:
            if options:
                raise ValueError(f"The options of '{name}' are given twice: in 'providers' and in 'provider_options'.")
            options = provider_options[index]
        if not isinstance(options, Mapping):
            raise ValueError(f"'provider_options' values must be dicts, not {options!r}.")
        options = {str(key): str(value) for key, value in options.items()}
        refusal = _refusal(name, options)
        if refusal is not None:
            text = (
                f"Specified provider '{name}' is not in available provider names."
                f"Available providers: '{', '.join(get_available_providers())}'{refusal}"
            )
            if strict:
                raise ValueError(text + " (SessionOptions.strict_placement)")
            warnings.warn(text, UserWarning, stacklevel=3)
        elif name in chosen:
            warnings.warn(f"Duplicate provider '{name}' encountered, ignoring.", UserWarning, stacklevel=3)
        else:
            chosen[name] = options
    chosen.setdefault(CPU, {})
    return chosen


def check_known(providers: str | Sequence[object] | None) -> None:
    """Refuses names of providers that neither fastort nor ONNX Runtime has.

    Args:
        providers: As for ``choose_providers``, which refuses what is no name.

    Raises:
        RuntimeError: If there is such a name.
    """
    entries: Sequence[object] = [providers] if isinstance(providers, str) else list(providers or [])
    for entry in entries:
        name = entry[0] if isinstance(entry, tuple) and entry else entry
        known = not isinstance(name, str) or name in get_all_providers()
        if not known and str(name).removesuffix("ExecutionProvider") not in _ELSEWHERE:
            raise RuntimeError(f"Unknown Provider Type: {name}; fastort has {', '.join(get_all_providers())}")


def _refusal(name: str, options: dict[str, str]) -> str | None:
    """Returns what to add to the warning that a provider does not serve; ``None`` where it does."""
    if name == CPU:
        return None
    if name != VULKAN:
        return ""
    refusal = _vulkan_refusal(tuple(sorted(options.items())))
    if refusal and options.get("strict_placement") in ("1", "true", "True"):
        raise _engine.Fail(f"{VULKAN} with strict_placement: {refusal}")
    return f" ({refusal})" if refusal else None


def _split(entry: object) -> tuple[str, Mapping[Any, Any]]:
    if isinstance(entry, str):
        return entry, {}
    if isinstance(entry, tuple) and len(entry) == 2 and isinstance(entry[0], str) and isinstance(entry[1], Mapping):
        return entry[0], entry[1]
    raise ValueError(f"'providers' values must be either strings or (string, dict) tuples, not {entry!r}.")
