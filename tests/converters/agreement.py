"""How a converted model is held against its origin."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

import fastort
from tests.converters import store

Sample = tuple[store.Feeds, store.Feeds]


def variants_of(models: Iterable[store.Model]) -> list[object]:
    """Returns a parameter for each model and variant; what the quick tier leaves out is marked."""
    rows = []
    for model in models:
        for variant in (*model.quick, *model.full):
            marks = [] if variant in model.quick else [pytest.mark.full]
            rows.append(pytest.param(model, variant, id=f"{model.name}-{variant.name}", marks=marks))
    return rows


def check_samples(session: fastort.InferenceSession, samples: Iterable[Sample], rtol: float, atol: float) -> None:
    """Runs every sample and compares all outputs, by name."""
    taken = {arg.name for arg in session.get_inputs()}
    names = [arg.name for arg in session.get_outputs()]
    for index, (feeds, want) in enumerate(samples):
        got = session.run(None, {name: array for name, array in feeds.items() if name in taken})
        for name, array in zip(names, got, strict=True):
            assert array.dtype == want[name].dtype, name
            assert array.shape == want[name].shape, f"{name} of sample {index}"
            np.testing.assert_allclose(array, want[name], rtol=rtol, atol=atol, err_msg=f"{name} of sample {index}")


def check_model(model: store.Model, variant: store.export.Variant) -> None:
    """Runs an exported model at each of its sizes, twice in an order that changes plans, against PyTorch."""
    folder = store.ensure(model, [variant])
    session = fastort.InferenceSession(folder / f"{variant.name}.onnx", providers=["CPUExecutionProvider"])
    samples = store.read_samples(folder / "samples.npz")
    check_samples(session, [*samples, samples[0]], model.rtol, model.atol)
