"""What ONNX Runtime's API has and fastort leaves out, each with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

_LORA = "adapters are files of a format of ONNX Runtime's own; feed a model's LoRA weights as inputs"
_COMPILED = "models compiled for a provider (EPContext nodes) are tied to ONNX Runtime's providers"
_LIBRARY = "a provider's library is tied to ONNX Runtime's C structs; fastort's providers are built in"
_ALLOCATOR = "there is no shared allocator to register: intermediates lie in arenas that each plan lays out itself"

# By name in the package, methods behind their class.
LEFT_OUT: Mapping[str, str] = {
    "AdapterFormat": _LORA,
    "LoraAdapter": _LORA,
    "RunOptions.add_active_adapter": _LORA,
    "ModelCompiler": _COMPILED + "; SessionOptions.optimized_model_filepath writes the rewritten model",
    "OrtCompileApiFlags": _COMPILED,
    "OrtEpContextData": _COMPILED,
    "OrtEpContextDataBuffer": _COMPILED,
    "SessionOptions.set_ep_context_data_read_func": _COMPILED,
    "SessionOptions.clear_ep_context_data_read_func": _COMPILED,
    "register_execution_provider_library": _LIBRARY,
    "unregister_execution_provider_library": _LIBRARY,
    "create_and_register_allocator": _ALLOCATOR,
    "create_and_register_allocator_v2": _ALLOCATOR,
    "OrtSyncStream": "the CPU has no streams",
}


def refuse(owner: str, name: str) -> NoReturn:
    """Raises AttributeError for a name that is not there, with the reason where ONNX Runtime has it.

    Args:
        owner: What was asked for the name, as ``"module 'fastort'"``.
        name: The name, behind its class where it is a method.
    """
    reason = LEFT_OUT.get(name)
    text = f"{owner} has no attribute '{name.split('.')[-1]}'"
    raise AttributeError(f"{text}: {reason}" if reason else text)
