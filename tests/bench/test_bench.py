"""The benchmarks run: the roof, the count of operations, the comparison with a peer that fails."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from bench import roofline, workloads
from bench.summary import verdict
from fastort.analysis import count_flops

REPOSITORY = Path(__file__).resolve().parents[2]


needs_roof = pytest.mark.skipif(
    roofline.program() is None, reason="bench/roof is not built; tools/test.sh builds it, or tools/build.sh release"
)


@needs_roof
def test_roof() -> None:
    roof = roofline.measure(threads=2, quick=True)
    assert roof is not None
    assert 0.3 < roof["clock_ghz"] < 10
    assert roof["fma_gflops"]["1"] > 1
    assert set(roof["read_gbps"]) == {"L1", "L2", "L3", "memory"}
    assert all(speed > 0.1 for level in roof["read_gbps"].values() for speed in level.values())


@needs_roof
def test_the_roof_of_the_moment() -> None:
    roof = roofline.Roof.of(2)
    assert roof is not None
    try:
        for _ in range(2):
            now = roof.now()
            assert now["fma_gflops"] > 1
            assert now["memory_gbps"] > 0.1
    finally:
        roof.close()


@pytest.mark.parametrize(
    ("name", "peers", "share", "by_memory", "met"),
    [
        ("resnet50", {"onnxruntime": 1.25, "openvino": 1.3}, 0.5, False, "yes"),
        ("resnet50", {"onnxruntime": 1.25, "openvino": 1.2}, 0.5, False, "no"),
        ("resnet50", {"onnxruntime": 1.25, "openvino": 1.2}, 0.9, False, "by the roof"),
        ("shufflenet_v2", {"onnxruntime": 1.0}, math.nan, False, "yes"),
        ("shufflenet_v2", {"onnxruntime": 0.9}, math.nan, False, "no"),
        ("shufflenet_v2", {}, math.nan, False, "no"),
        ("forest_10000", {"onnxruntime": 4.0, "lleaves": 1.0}, math.nan, False, "yes"),
        ("forest_10000", {"onnxruntime": 4.0, "lleaves": 0.9}, math.nan, False, "no"),
        ("forest_10000", {"onnxruntime": 3.9, "lleaves": 2.0}, math.nan, False, "no"),
        ("softmax_16mb", {"onnxruntime": 0.5}, 0.8, True, "yes"),
        ("softmax_16mb", {"onnxruntime": 9.0}, 0.79, True, "no"),
    ],
)
def test_whether_an_aim_is_met(name: str, peers: dict[str, float], share: float, by_memory: bool, met: str) -> None:
    assert verdict(name, 1.0, peers, share, by_memory)[1] == met


def test_operations_are_counted(tmp_path: Path) -> None:
    weights = {"w": (8, 3, 3, 3), "v": (8, 5)}
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("GlobalAveragePool", ["c"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("MatMul", ["f", "v"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, "height", "width"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 5])],
        [onnx.numpy_helper.from_array(np.ones(shape, np.float32), name) for name, shape in weights.items()],
    )
    path = tmp_path / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]), path)
    counted = count_flops(path, {"x": np.zeros((2, 3, 10, 12), np.float32)})
    assert counted.unknown == 0
    assert counted.flops == 2 * (2 * 8 * 10 * 12) * 27 + 2 * (2 * 5) * 8


def test_compare_writes_a_table_and_a_plot(tmp_path: Path) -> None:
    command = [sys.executable, str(REPOSITORY / "bench" / "compare.py"), "mlp", "--out", str(tmp_path)]
    command += ["--engines", "fastort", "torch", "onnxruntime", "--peer", "onnxruntime=/bin/false"]
    command += ["--rounds", "1", "--slice", "0.01"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    table = (tmp_path / "compare.md").read_text()
    rows = {cells[3].strip(): cells for cells in (line.split("|") for line in table.splitlines()) if len(cells) > 8}
    assert float(rows["fastort"][4]) > 0
    assert float(rows["torch"][4]) > 0
    assert float(rows["fastort"][9]) < 1e-5
    assert "failed" in rows["onnxruntime"][4]
    assert (tmp_path / "compare.png").stat().st_size > 1000


def test_models_are_timed() -> None:
    command = [sys.executable, str(REPOSITORY / "bench" / "models.py"), "mlp", "--seconds", "0.05"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "mlp" in done.stdout
    assert "failed" not in done.stdout


def test_worker_answers_in_json() -> None:
    from tests.models import export

    model = export.path_of("mlp")
    command = [sys.executable, str(REPOSITORY / "bench" / "worker.py"), "fastort", "mlp", str(model)]
    command += [str(model.with_name("batch1.npz")), "--threads", "1"]
    done = subprocess.run(command, input="run 3\nquit\n", capture_output=True, text=True, check=True, timeout=120)
    ready, ran, ended = (json.loads(line) for line in done.stdout.splitlines())
    assert ready["difference"] < 1e-5
    assert len(ran["times"]) == 3
    assert ended["peak_mb"] > 10


@pytest.mark.parametrize(
    "settings",
    [{}, {"fresh": True}, {"clients": 3}, {"fusion": False}, {"fresh": True, "feedback": {"sum": "so_far"}}],
    ids=lambda settings: "-".join(settings) or "plain",
)
def test_worker_answers_requests_in_turn(settings: dict[str, object], tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "so_far"], ["sum"])],
        "graph",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in ("x", "so_far")],
        [helper.make_tensor_value_info("sum", TensorProto.FLOAT, ["n"])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]), tmp_path / "model.onnx")
    steps = [np.full(3, value, np.float32) for value in (1, 10, 100)]
    given = {f"{i:03d}/x": step for i, step in enumerate(steps)}
    carried = "feedback" in settings
    for i in range(1 if carried else 3):
        given[f"{i:03d}/so_far"] = np.full(3, 0.5, np.float32)
    want = np.full(3, 111.5 if carried else 100.5, np.float32)
    np.savez(tmp_path / "requests.npz", want=want, **given)
    command = [sys.executable, str(REPOSITORY / "bench" / "worker.py"), "fastort", "sums", str(tmp_path / "model.onnx")]
    command += [str(tmp_path / "requests.npz"), "--threads", "1", "--settings", json.dumps(settings)]
    done = subprocess.run(command, input="run 4\nquit\n", capture_output=True, text=True, check=True, timeout=120)
    ready, ran, ended = (json.loads(line) for line in done.stdout.splitlines())
    assert ready["difference"] == 0
    assert len(ran["times"]) == 4
    assert ended["peak_mb"] > 10


def test_workloads_are_named_apart() -> None:
    from tests.models import zoo

    names = [workload.name for workload in workloads.WORKLOADS] + [model.name for model in zoo.MODELS]
    assert len(set(names)) == len(names)


def test_a_workload_is_compared(tmp_path: Path) -> None:
    command = [sys.executable, str(REPOSITORY / "bench" / "compare.py"), "add_chain", "--out", str(tmp_path)]
    command += ["--engines", "fastort", "--rounds", "1", "--slice", "0.01"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    (cells,) = [line.split("|") for line in (tmp_path / "compare.md").read_text().splitlines() if "add_chain" in line]
    assert float(cells[4]) > 0
    assert float(cells[9]) < 1e-4
