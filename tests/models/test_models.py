"""fastort against PyTorch's stored outputs, for every model, exporter, opset and batch size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

import fastort
from tests.models import export, zoo

RTOL = 1e-4
ATOL = 1e-4


def cases() -> list[object]:
    rows = []
    for model in zoo.MODELS:
        quick = export.variants_of(model, full=False)
        for variant in export.variants_of(model, full=True):
            marks = [] if variant in quick else [pytest.mark.full]
            rows.append(pytest.param(model, variant, id=f"{model.name}-{variant.name}", marks=marks))
    return rows


@pytest.mark.parametrize(("model", "variant"), cases())
def test_agrees_with_pytorch(model: zoo.Model, variant: export.Variant, request: pytest.FixtureRequest) -> None:
    folder = export.ensure(model, [variant])
    session = fastort.InferenceSession(folder / f"{variant.name}.onnx", providers=["CPUExecutionProvider"])
    for batch in export.BATCHES if request.config.getoption("--full") else (1, 2):
        feeds, want = export.sample_of(model.name, batch)
        names = {arg.name for arg in session.get_inputs()}
        (got,) = session.run([model.output], {name: array for name, array in feeds.items() if name in names})
        assert got.dtype == want.dtype
        assert got.shape == want.shape
        np.testing.assert_allclose(got, want, rtol=RTOL, atol=ATOL, err_msg=f"batch {batch}")


def test_batches_in_any_order() -> None:
    session = fastort.InferenceSession(export.path_of("mobilenet_v2"), providers=["CPUExecutionProvider"])
    for batch in (5, 1, 2, 1, 5):
        feeds, want = export.sample_of("mobilenet_v2", batch)
        np.testing.assert_allclose(session.run(None, feeds)[0], want, rtol=RTOL, atol=ATOL)


def read_tensor(path: Path) -> np.ndarray:
    return onnx.numpy_helper.to_array(onnx.load_tensor(path))


def test_quantised_mobilenet(real_models: Path) -> None:
    session = fastort.InferenceSession(real_models / "mobilenet_v2_qdq.onnx", providers=["CPUExecutionProvider"])
    image = read_tensor(real_models / "mobilenet_v2_qdq_input_0.pb")
    want = read_tensor(real_models / "mobilenet_v2_qdq_output_0.pb")
    (got,) = session.run(["scores"], {"image": image})
    # Integer rounding may differ by one step between engines; the answer may not.
    assert np.argmax(got) == np.argmax(want)
    assert np.corrcoef(got.ravel(), want.ravel())[0, 1] > 0.99


def test_kitten_is_a_tabby(real_models: Path) -> None:
    from PIL import Image

    picture = np.asarray(Image.open(real_models / "kitten_224.png").convert("RGB"))
    session = fastort.InferenceSession(real_models / "mobilenet_v2_qdq.onnx", providers=["CPUExecutionProvider"])
    (scores,) = session.run(None, {"image": zoo.preprocess(picture, size=244, resize=244)})
    powers = np.exp(scores[0] - scores[0].max())
    probabilities = powers / powers.sum()
    assert np.argmax(probabilities) == 281  # tabby
    assert probabilities[281] == pytest.approx(0.77, abs=0.05)


def test_digits_model_of_opset_7(real_models: Path) -> None:
    session = fastort.InferenceSession(real_models / "mnist.onnx", providers=["CPUExecutionProvider"])
    (source,) = session.get_inputs()
    image = np.zeros(source.shape, np.float32)
    image[0, 0, 4:24, 13:16] = 255.0
    (scores,) = session.run(None, {source.name: image})
    assert scores.shape == (1, 10)
    assert np.argmax(scores) == 1
