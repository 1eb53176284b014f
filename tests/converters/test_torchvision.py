"""Detection, segmentation and video models of torchvision agree with PyTorch, at several sizes of the picture."""

from __future__ import annotations

import pytest

from tests.converters import agreement, store, torchvision_models


@pytest.mark.parametrize(("model", "variant"), agreement.variants_of(torchvision_models.MODELS))
def test_agrees_with_pytorch(model: store.Model, variant: store.export.Variant) -> None:
    agreement.check_model(model, variant)


@pytest.mark.parametrize("name", ["fasterrcnn", "retinanet", "ssd", "maskrcnn", "keypointrcnn"])
def test_detectors_find_something(name: str) -> None:
    """An agreement on no box at all would show nothing."""
    (model,) = (model for model in torchvision_models.MODELS if model.name == name)
    for _, found in store.read_samples(store.ensure(model, []) / "samples.npz"):
        assert len(found["boxes"]) >= 3
        assert len(set(found["labels"])) >= 2
