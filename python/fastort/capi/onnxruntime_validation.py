"""What ONNX Runtime's package checks of itself when it is imported. There is nothing to check here."""

from .. import _engine


def check_distro_info() -> None:
    """Does nothing: the wheel says which systems it is for."""


def get_package_name_and_version_info() -> tuple[str, str, str]:
    """Returns the package's name, its version, and the version of CUDA that it was built with: none."""
    return "fastort", _engine.__version__, ""
