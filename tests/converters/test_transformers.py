"""Models of transformers agree with PyTorch at several batch sizes, lengths and lengths of the past."""

from __future__ import annotations

import pytest

from tests.converters import agreement, store, transformers_models


@pytest.mark.parametrize(("model", "variant"), agreement.variants_of(transformers_models.MODELS))
def test_agrees_with_pytorch(model: store.Model, variant: store.export.Variant) -> None:
    agreement.check_model(model, variant)
