"""What is built in, settings of the process, and the switches of ONNX Runtime that mean nothing here."""

from __future__ import annotations

import os
import platform
from typing import Any

from . import _engine

# Threads of sessions that ask for the process's own pool.
_global_threads = 0


def get_version_string() -> str:
    """Returns fastort's version."""
    return _engine.__version__


def get_build_info() -> str:
    """Returns the version and the processor for reports."""
    return f"fastort {_engine.__version__}, {_engine.cpu_name()}, {_engine.usable_cpus()} usable CPUs"


def has_collective_ops() -> bool:
    """Returns whether operators that work across processes are built in: they are not."""
    return False


def get_include() -> str:
    """Returns the folder of the header ``fastort/custom_op.h``, for compiled operators."""
    return os.path.join(os.path.dirname(__file__), "include")


def set_seed(seed: int) -> None:
    """Makes the random operators of sessions that are made from now on draw the same numbers in every process.

    Nodes with a ``seed`` of their own keep it.

    Args:
        seed: Any number.
    """
    _engine.set_seed(seed & 0xFFFFFFFFFFFFFFFF)


def set_global_thread_pool_sizes(intra_op_num_threads: int = 0, inter_op_num_threads: int = 0) -> None:
    """Sets how many threads the runs of sessions may use that leave it open, where ``use_per_session_threads`` is off.

    Args:
        intra_op_num_threads: The number; 0 for every CPU that the process may use.
        inter_op_num_threads: Accepted; nodes run one after the other.
    """
    global _global_threads
    _global_threads = intra_op_num_threads


def show_versions() -> None:
    """Prints the versions of fastort, of what it works with and of the machine, for reports of errors."""
    for name, value in _versions():
        print(f"{name:>14}: {value}")


def print_debug_info() -> None:
    """Prints what ``show_versions`` prints, under ONNX Runtime's name."""
    show_versions()


def _versions() -> list[tuple[str, str]]:
    from importlib import metadata

    from ._providers import get_available_providers, vulkan_devices

    rows = [
        ("fastort", _engine.__version__),
        ("providers", ", ".join(get_available_providers())),
        ("processor", _engine.cpu_name()),
        ("Vulkan", "; ".join(map(_describe_device, vulkan_devices())) or "no device"),
        ("usable CPUs", str(_engine.usable_cpus())),
        ("system", platform.platform()),
        ("python", f"{platform.python_version()} ({platform.python_implementation()})"),
    ]
    for package in ("numpy", "ml_dtypes", "onnx", "torch", "onnxruntime", "openvino"):
        try:
            rows.append((package, metadata.version(package)))
        except metadata.PackageNotFoundError:
            rows.append((package, "not installed"))
    return rows


def _describe_device(device: dict[str, Any]) -> str:
    notes = ["computes on the CPU"] if device["is_cpu"] else []
    notes += [device["refusal"]] if device["refusal"] else []
    return str(device["name"]) + (f" ({', '.join(notes)})" if notes else "")


def install_as_onnxruntime() -> None:
    """Makes ``import onnxruntime``, in any module from now on, give fastort.

    Submodules, ``importlib.util.find_spec`` and ``importlib.metadata.version`` go along. Call it before anything
    imports ONNX Runtime. The package then says that it is the version of ONNX Runtime whose API it has. Where ONNX
    Runtime is installed too, its packages ``quantization``, ``tools`` and ``transformers``, which work on models, are
    its own, and run models on fastort.

    Raises:
        ImportError: If ONNX Runtime itself was imported already.
    """
    from . import _alias

    _alias.install()


def uninstall_as_onnxruntime() -> None:
    """Takes ``install_as_onnxruntime`` back for imports that come later."""
    from . import _alias

    _alias.uninstall()


def preload_dlls(cuda: bool = True, cudnn: bool = True, msvc: bool = True, directory: str | None = None) -> None:
    """Does nothing: fastort needs no libraries of CUDA's.

    Args:
        cuda: Ignored.
        cudnn: Ignored.
        msvc: Ignored.
        directory: Ignored.
    """


def disable_telemetry_events() -> None:
    """Does nothing: fastort sends no telemetry."""


def enable_telemetry_events() -> None:
    """Does nothing: fastort sends no telemetry."""


def get_session_threads(intra_op_num_threads: int, use_per_session_threads: bool) -> int:
    """Returns how many threads a session's runs may use; 0 for every CPU.

    Args:
        intra_op_num_threads: What the session's options say.
        use_per_session_threads: Whether the process's own setting does not matter.
    """
    return intra_op_num_threads if intra_op_num_threads or use_per_session_threads else _global_threads
