"""Models above 2 GB, whose weights lie in files of their own: what looks into them never reads these."""

from __future__ import annotations

import resource
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import fastort
from fastort.analysis import count_flops, intermediate_values, load_model
from fastort.cli.app import run_app
from fastort.testing import compare_models

ROWS, WIDTH = 72_000_000, 8  # 2.3 GB of float32
FEEDS = {"ids": np.array([[1, 5, ROWS - 1]], np.int64)}


def write_model(folder: Path, change: float = 0.0) -> Path:
    """An embedding of 2.3 GB, in a file that is one hole but for two rows, and a product behind it."""
    weights = folder / "table.bin"
    if not weights.exists():
        with weights.open("wb") as file:
            file.truncate(ROWS * WIDTH * 4)
            for row in (5, ROWS - 1):
                file.seek(row * WIDTH * 4)
                file.write(np.full(WIDTH, row % 7 + 1, np.float32).tobytes())
    table = TensorProto(name="table", data_type=TensorProto.FLOAT, dims=[ROWS, WIDTH])
    table.data_location = TensorProto.EXTERNAL
    table.external_data.add(key="location", value=weights.name)
    factor = (np.arange(WIDTH * 4, dtype=np.float32).reshape(WIDTH, 4) + np.float32(change)) / 4096
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["table", "ids"], ["rows"], name="embed"),
            helper.make_node("MatMul", ["rows", "factor"], ["product"], name="multiply"),
            helper.make_node("Tanh", ["product"], ["scores"], name="squash"),
        ],
        "large",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", 3])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 3, 4])],
        [table, numpy_helper.from_array(factor, "factor")],
    )
    path = folder / f"model{change:g}.onnx"
    path.write_bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9).SerializeToString()
    )
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("large")


@pytest.fixture(scope="module")
def model(folder: Path) -> Path:
    path = write_model(folder)
    assert (folder / "table.bin").stat().st_blocks * 512 < 1 << 20  # cheap on the disk
    return path


@pytest.fixture(autouse=True)
def no_memory_for_the_weights(model: Path) -> Any:
    """The process does not grow by the size of the weights."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1_000_000  # kB


def want(change: float = 0.0) -> np.ndarray[Any, Any]:
    rows = np.stack([np.full(WIDTH, value, np.float32) for value in (0, 6, (ROWS - 1) % 7 + 1)])[None]
    return np.tanh(rows @ ((np.arange(WIDTH * 4, dtype=np.float32).reshape(WIDTH, 4) + np.float32(change)) / 4096))


def test_operations_are_counted(model: Path) -> None:
    counted = count_flops(model, FEEDS)
    assert counted.unknown == 0
    assert counted.by_operator == {"MatMul": 2.0 * 3 * WIDTH * 4}


def test_intermediate_tensors(model: Path) -> None:
    values = intermediate_values(model, FEEDS)
    assert list(values) == ["rows", "product"]
    np.testing.assert_allclose(np.tanh(values["product"]), want(), rtol=1e-5)


def test_comparison_finds_where_models_part(folder: Path, model: Path) -> None:
    assert compare_models(model, model, FEEDS)
    compared = compare_models(write_model(folder, change=0.5), model, FEEDS)
    assert not compared
    assert compared.first is not None
    assert compared.first.name == "product"


def test_a_session_of_bytes_finds_the_folder(folder: Path, model: Path) -> None:
    options = fastort.SessionOptions()
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(folder))
    (got,) = fastort.InferenceSession(model.read_bytes(), options).run(None, FEEDS)
    np.testing.assert_allclose(got, want(), rtol=1e-5)
    with pytest.raises(fastort.capi.onnxruntime_pybind11_state.Fail, match=r"table\.bin' does not exist"):
        fastort.InferenceSession(model.read_bytes())


def test_the_message_alone_is_read(model: Path) -> None:
    assert load_model(model, weights=False).ByteSize() < 10_000


@pytest.mark.parametrize(
    ("command", "extra", "text"),
    [
        ("info", [], "576 M in 2.3 GB"),
        ("run", [], "scores"),
        ("explain", [], "embed"),
        ("compare", ["{model}"], "the outputs agree"),
    ],
)
def test_commands(
    command: str,
    extra: list[str],
    text: str,
    model: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = [item.format(model=model) for item in extra]
    monkeypatch.setattr(sys, "argv", ["fastort", command, str(model), *arguments])
    code = run_app()
    out, err = capsys.readouterr()
    assert (code, err) == (0, "")
    assert text in out
