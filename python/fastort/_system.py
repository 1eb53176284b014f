"""What is built in, and the switches of ONNX Runtime that mean nothing here."""

from __future__ import annotations

from . import _engine


def get_version_string() -> str:
    """Returns fastort's version."""
    return _engine.__version__


def get_build_info() -> str:
    """Returns the version and the processor for reports."""
    return f"fastort {_engine.__version__}, {_engine.cpu_name()}, {_engine.usable_cpus()} usable CPUs"


def disable_telemetry_events() -> None:
    """Does nothing: fastort sends no telemetry."""


def enable_telemetry_events() -> None:
    """Does nothing: fastort sends no telemetry."""
