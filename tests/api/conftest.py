from __future__ import annotations

from collections.abc import Iterator

import pytest

import fastort


@pytest.fixture
def alias() -> Iterator[None]:
    """While a test runs, ``import onnxruntime`` gives fastort."""
    fastort.install_as_onnxruntime()
    yield
    fastort.uninstall_as_onnxruntime()
