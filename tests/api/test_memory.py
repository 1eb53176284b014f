"""What a session keeps in memory: plans, buffers, weights and their packed form; the cache of packed weights on disk.

Resident memory is measured in processes of their own, where nothing else allocates.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import fastort
from tests.api import models

SIZE = 2048  # of square weights: 16 MB each
WEIGHT_MB = SIZE * SIZE * 4 / 2**20


def measure(code: str, *arguments: object, **environment: str) -> Any:
    """Runs code with ``rss()`` (MB) in a new process, and returns what it gives to ``answer``."""
    prelude = """
        import json, sys
        from pathlib import Path

        import numpy as np

        import fastort

        def rss():
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            return pages * 4096 / 2**20

        def answer(**fields):
            print(json.dumps(fields))

        arguments = sys.argv[1:]
    """
    script = textwrap.dedent(prelude) + textwrap.dedent(code)
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=1500,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def shapes_model() -> onnx.ModelProto:
    """Products, a convolution, normalization and shape arithmetic over two free dimensions."""
    rng = np.random.default_rng(0)
    weights = {
        "w": rng.standard_normal((16, 24), np.float32),
        "k": rng.standard_normal((6, 1, 3, 3), np.float32),
        "scale": np.ones(24, np.float32),
        "shape": np.array([0, -1], np.int64),
        "axes": np.array([1], np.int64),
    }
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"]),
        helper.make_node("LayerNormalization", ["a", "scale"], ["b"]),
        helper.make_node("Unsqueeze", ["b", "axes"], ["c"]),
        helper.make_node("Conv", ["c", "k"], ["d"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["d"], ["e"]),
        helper.make_node("Reshape", ["e", "shape"], ["f"]),
        helper.make_node("Softmax", ["f"], ["y"]),
    ]
    return models.model(
        nodes,
        [models.tensor("x", dims=("n", "t", 16))],
        [models.tensor("y", dims=("n", None))],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )


@pytest.mark.parametrize("count", [4000, pytest.param(10_000, marks=pytest.mark.full)])
def test_memory_is_flat_over_random_shapes(count: int, tmp_path: Path) -> None:
    path = tmp_path / "shapes.onnx"
    onnx.save(shapes_model(), path)
    code = """
        path, count = arguments[0], int(arguments[1])
        session = fastort.InferenceSession(path)
        rng = np.random.default_rng(1)
        largest = np.ones((4, 4000, 16), np.float32)
        session.run(None, {"x": largest[:1, :1]})
        start = rss()
        seen = []
        for i in range(count):
            n, t = int(rng.integers(1, 5)), int(rng.integers(1, 4000))
            session.run(None, {"x": largest[:n, :t].copy()})
            seen.append(rss())
        # Until then the caches fill: of plans, of outputs' memory, and of oneDNN's code for AVX-512.
        later = np.array(seen[2500:])
        slope = np.polyfit(np.arange(later.size), later, 1)[0]
        stats = session.memory_stats()
        session.trim()
        left = session.memory_stats()["plan_count"]
        answer(growth=slope * count, held=seen[-1] - start, kept=rss() - start, left=left, **stats)
    """
    found = measure(code, path, count)
    assert found["growth"] < 12, found
    assert found["plan_count"] <= 512
    assert found["left"] == 1
    assert found["kept"] < found["held"] / 2, found


def weights_model(count: int, offset: int, transposed: bool = False) -> onnx.ModelProto:
    """A chain of products with ``count`` weights of 16 MB. ``offset`` shifts where they lie in the file."""
    rng = np.random.default_rng(2)
    names = [f"w{i}" for i in range(count)]
    weights = [
        numpy_helper.from_array(rng.standard_normal((SIZE, SIZE), np.float32) / np.float32(50), name) for name in names
    ]
    nodes, last = [], "x"
    for i, name in enumerate(names):
        to = "y" if i == count - 1 else f"h{i}"
        if transposed:
            nodes.append(helper.make_node("Gemm", [last, name], [to], transB=1))
        else:
            nodes.append(helper.make_node("MatMul", [last, name], [to]))
        last = to
    made = models.model(nodes, [models.tensor("x", dims=("n", SIZE))], [models.tensor("y", dims=("n", SIZE))], weights)
    made.graph.name = "g" * (1 + offset)
    return made


SESSION = """
    path = arguments[0]
    x = np.ones((3, 2048), np.float32)
    options = fastort.SessionOptions()
    options.intra_op_num_threads = 2
    def create():
        session = fastort.InferenceSession(path, options)
        return session, session.run(None, {"x": x})[0]
"""


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("offset", range(4))
def test_packed_weights_give_their_plain_form_up(offset: int, transposed: bool, tmp_path: Path) -> None:
    path = tmp_path / "weights.onnx"
    onnx.save(weights_model(4, offset, transposed), path)
    code = """
        before = rss()
        session, y = create()
        answer(grown=rss() - before)
    """
    grown = measure(textwrap.dedent(SESSION) + textwrap.dedent(code), path)["grown"]
    assert grown > 3.5 * WEIGHT_MB  # the packed weights themselves
    assert grown < 4 * WEIGHT_MB + 20


def test_the_plain_form_comes_back_for_another_plan(tmp_path: Path) -> None:
    """A weight that one plan packs is read in its plain form by the variant in which it can be fed."""
    made = weights_model(1, 1)
    made.graph.input.append(models.tensor("w0", dims=(SIZE, SIZE)))
    path = tmp_path / "weights.onnx"
    onnx.save(made, path)
    session = fastort.InferenceSession(path)
    weight = numpy_helper.to_array(made.graph.initializer[0])
    x = np.ones((3, SIZE), np.float32)
    want = x @ weight
    np.testing.assert_allclose(session.run(None, {"x": x})[0], want, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(session.run(None, {"x": x, "w0": weight * 2})[0], want * 2, rtol=1e-4, atol=1e-3)
    session.trim()
    np.testing.assert_allclose(session.run(None, {"x": x[:1]})[0], want[:1], rtol=1e-4, atol=1e-3)


def test_a_weight_that_is_an_output_too_is_a_copy(tmp_path: Path) -> None:
    made = weights_model(1, 2)
    made.graph.output.append(models.tensor("w0", dims=(SIZE, SIZE)))
    path = tmp_path / "weights.onnx"
    onnx.save(made, path)
    session = fastort.InferenceSession(path)
    weight = numpy_helper.to_array(made.graph.initializer[0])
    x = np.ones((1, SIZE), np.float32)
    first, given = session.run(None, {"x": x})
    np.testing.assert_array_equal(given, weight)
    given[:] = 0
    second, again = session.run(None, {"x": x})
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(again, weight)


def test_sessions_of_one_process_share_packed_weights(tmp_path: Path) -> None:
    path = tmp_path / "weights.onnx"
    onnx.save(weights_model(4, 1), path)
    code = """
        first, y = create()
        one = rss()
        others = [create() for _ in range(3)]
        answer(grown=rss() - one, equal=all(bool((other[1] == y).all()) for other in others))
    """
    found = measure(textwrap.dedent(SESSION) + textwrap.dedent(code), path)
    assert found["equal"]
    assert found["grown"] < WEIGHT_MB


def huge_pages_mode() -> str:
    """What the system does with pages of 2 MB: ``always``, ``madvise`` or ``never``."""
    path = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    return path.read_text().split("[")[1].split("]")[0] if path.exists() else "never"


@pytest.mark.skipif(huge_pages_mode() == "never", reason="the system gives no pages of 2 MB")
def test_weights_lie_in_huge_pages_where_they_are_asked_for(tmp_path: Path) -> None:
    onnx.save(weights_model(2, 0), tmp_path / "model.onnx")
    code = """
        import mmap

        def huge():
            lines = Path("/proc/self/smaps").read_text().splitlines()
            return sum(int(line.split()[1]) for line in lines if line.startswith("AnonHugePages")) / 1024

        def gives_huge():
            before = huge()
            memory = mmap.mmap(-1, 8 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            memory.madvise(mmap.MADV_HUGEPAGE)
            memory.write(bytes(8 << 20))
            return huge() > before

        def advised():
            return sum(" hg" in line for line in Path("/proc/self/smaps").read_text().splitlines())

        x = np.ones((1, 2048), np.float32)
        found = {}
        for wanted in "01":
            options = fastort.SessionOptions()
            options.add_session_config_entry("fastort.huge_pages", wanted)
            before = huge(), advised()
            session = fastort.InferenceSession(arguments[0], options)
            y = session.run(None, {"x": x})[0]
            found[wanted] = {"huge": huge() - before[0], "advised": advised() - before[1], "sum": float(y.sum())}
            del session
        answer(left=huge(), given=gives_huge(), **found)
    """
    found = measure(code, tmp_path / "model.onnx")
    assert found["0"]["advised"] > 0
    assert found["1"]["advised"] > 0
    assert found["1"]["sum"] == found["0"]["sum"] != 0
    if not found["given"]:
        pytest.skip("the system gives no page of 2 MB to a mapping that asks for them")
    assert found["1"]["huge"] > 0
    assert found["left"] < found["1"]["huge"] / 2


def test_trim_gives_memory_back(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    nodes = [helper.make_node("Transpose", ["x"], ["t"]), helper.make_node("MatMul", ["t", "x"], ["y"])]
    dims = [models.tensor("x", dims=("n", "m"))], [models.tensor("y", dims=("m", "m"))]
    onnx.save(models.model(nodes, *dims), path)
    code = """
        session = fastort.InferenceSession(arguments[0])
        x = np.ones((2000, 2000), np.float32)
        first = session.run(None, {"x": x})[0][:10, :10].copy()
        for n in range(1, 50):
            session.run(None, {"x": x[:n]})
        plans = session.memory_stats()["plan_count"]
        before = rss()
        freed = session.trim()
        answer(
            before=before, after=rss(), freed=freed / 2**20, plans=plans, left=session.memory_stats()["plan_count"],
            equal=bool((session.run(None, {"x": x})[0][:10, :10] == first).all()),
        )
    """
    found = measure(code, path)
    assert found["equal"]
    assert found["freed"] > 14  # the arena with the transposed matrix, at least
    assert found["before"] - found["after"] > 14
    assert found["plans"] == 50
    assert found["left"] == 1


def cached(folder: Path, **entries: str) -> fastort.SessionOptions:
    options = fastort.SessionOptions()
    options.add_session_config_entry("fastort.cache_dir", str(folder))
    for name, value in entries.items():
        options.add_session_config_entry(f"fastort.{name}", value)
    return options


CACHED = """
    options.add_session_config_entry("fastort.cache_dir", arguments[1])
    session, y = create()
    private = sum(
        int(line.split()[1]) for line in Path("/proc/self/smaps_rollup").read_text().splitlines()
        if line.startswith(("Private_Clean", "Private_Dirty"))
    ) / 1024
    files = sum(".packed" in line for line in Path("/proc/self/maps").read_text().splitlines())
    answer(y=y.tolist(), files=files, private=private)
"""


def run_cached(path: Path, folder: Path) -> Any:
    return measure(textwrap.dedent(SESSION) + textwrap.dedent(CACHED), path, folder)


def packed_files(folder: Path) -> Sequence[Path]:
    return sorted(folder.glob("*.packed"))


def test_the_next_process_maps_the_packed_weights(tmp_path: Path) -> None:
    path, folder = tmp_path / "weights.onnx", tmp_path / "cache" / "packed"
    onnx.save(weights_model(3, 1), path)
    first = run_cached(path, folder)
    assert first["files"] == 0
    assert len(packed_files(folder)) == 3
    second = run_cached(path, folder)
    assert second["files"] == 3
    assert second["y"] == first["y"]
    files = packed_files(folder)
    files[0].write_bytes(files[0].read_bytes()[:-1000])
    data = bytearray(files[1].read_bytes())
    data[-5] ^= 8
    files[1].write_bytes(data)
    files[2].write_bytes(b"")
    third = run_cached(path, folder)
    assert third["files"] == 0
    assert third["y"] == first["y"]
    fourth = run_cached(path, folder)
    assert fourth["files"] == 3
    assert fourth["y"] == first["y"]


def convolutions_model() -> onnx.ModelProto:
    """Convolutions on maps of many channels, whose weights oneDNN packs."""
    rng = np.random.default_rng(6)
    nodes, weights, last = [], [], "x"
    for i in range(6):
        weights.append(numpy_helper.from_array(rng.standard_normal((128, 128, 1, 1), np.float32) / 11, f"w{i}"))
        nodes.append(helper.make_node("Conv", [last, f"w{i}"], [f"h{i}"]))
        nodes.append(helper.make_node("Relu", [f"h{i}"], [f"r{i}"]))
        last = f"r{i}"
    sizes = [models.tensor("x", dims=(1, 128, 20, 20))], [models.tensor(last, dims=(1, 128, 20, 20))]
    return models.model(nodes, *sizes, weights)


def test_the_next_process_finds_all_that_was_packed(tmp_path: Path) -> None:
    path, folder = tmp_path / "convolutions.onnx", tmp_path / "cache"
    onnx.save(convolutions_model(), path)
    code = """
        options = fastort.SessionOptions()
        options.add_session_config_entry("fastort.cache_dir", arguments[1])
        x = np.random.default_rng(1).standard_normal((1, 128, 20, 20), np.float32)
        answer(y=fastort.InferenceSession(arguments[0], options).run(None, {"x": x})[0].ravel().tolist())
    """
    # The C library fills memory that nobody wrote yet with these bytes.
    first = measure(code, path, folder, MALLOC_PERTURB_="17")
    files = packed_files(folder)
    assert len(files) == 6
    assert measure(code, path, folder, MALLOC_PERTURB_="101") == first
    assert packed_files(folder) == files


def test_a_model_that_was_replaced_is_not_taken_for_the_one_before(tmp_path: Path) -> None:
    """The same path, size and time, but other weights: in the same file, and in another one."""
    path, folder = tmp_path / "weights.onnx", tmp_path / "cache"
    one, two = weights_model(1, 0), weights_model(1, 0)
    two.graph.initializer[0].raw_data = (numpy_helper.to_array(one.graph.initializer[0]) * 2).tobytes()
    onnx.save(one, path)
    times = (1e9, 1e9)
    os.utime(path, times)
    time.sleep(3)  # a file that was just changed is always read
    first = run_cached(path, folder)
    assert run_cached(path, folder)["y"] == first["y"]
    with path.open("r+b") as file:
        file.write(two.SerializeToString())
    os.utime(path, times)
    time.sleep(3)
    second = run_cached(path, folder)
    np.testing.assert_allclose(second["y"], np.multiply(first["y"], 2), rtol=1e-5, atol=1e-4)
    assert run_cached(path, folder)["y"] == second["y"]
    onnx.save(one, tmp_path / "other.onnx")
    os.utime(tmp_path / "other.onnx", times)
    (tmp_path / "other.onnx").replace(path)
    assert run_cached(path, folder)["y"] == first["y"]


def test_processes_may_write_the_cache_at_the_same_time(tmp_path: Path) -> None:
    path, folder = tmp_path / "weights.onnx", tmp_path / "cache"
    onnx.save(weights_model(2, 3), path)
    script = textwrap.dedent("""
        import sys
        import numpy as np
        import fastort
        options = fastort.SessionOptions()
        options.add_session_config_entry("fastort.cache_dir", sys.argv[2])
        session = fastort.InferenceSession(sys.argv[1], options)
        print(float(session.run(None, {"x": np.ones((1, 2048), np.float32)})[0].sum()))
    """)
    arguments = [sys.executable, "-c", script, str(path), str(folder)]
    processes = [subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    answers = {process.communicate(timeout=300)[0] for process in processes}
    assert all(process.returncode == 0 for process in processes)
    assert len(answers) == 1
    assert len(packed_files(folder)) == 2
    assert {path.suffix for path in folder.iterdir()} == {".packed", ".records"}


def test_the_cache_is_bounded(tmp_path: Path) -> None:
    path, folder = tmp_path / "weights.onnx", tmp_path / "cache"
    onnx.save(weights_model(4, 0), path)
    options = cached(folder, cache_max_bytes=str(int(2.5 * WEIGHT_MB * 2**20)))
    fastort.InferenceSession(path, options).run(None, {"x": np.ones((1, SIZE), np.float32)})
    assert 1 <= len(packed_files(folder)) <= 2


def test_a_folder_that_cannot_be_made_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "weights.onnx"
    onnx.save(weights_model(1, 0), path)
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    fastort.InferenceSession(path, cached(blocked)).run(None, {"x": np.ones((1, SIZE), np.float32)})
    assert blocked.read_text() == "no folder"


def test_the_bound_must_be_a_number(tmp_path: Path) -> None:
    with pytest.raises(fastort.capi.onnxruntime_pybind11_state.InvalidArgument, match=r"fastort\.cache_max_bytes"):
        fastort.InferenceSession(models.negate(), cached(tmp_path, cache_max_bytes="much"))


def test_element_types_that_are_half_as_wide_pack_from_where_they_lie(tmp_path: Path) -> None:
    for offset in range(2):
        weight = np.random.default_rng(3).standard_normal((300, 500)).astype(np.float16)
        made = models.model(
            [helper.make_node("MatMul", ["x", "w"], ["y"])],
            [models.tensor("x", TensorProto.FLOAT16, ("n", 300))],
            [models.tensor("y", TensorProto.FLOAT16, ("n", 500))],
            [numpy_helper.from_array(weight, "w")],
        )
        made.graph.name = "g" * (1 + offset)
        path = tmp_path / f"half{offset}.onnx"
        onnx.save(made, path)
        x = np.eye(300, dtype=np.float16)
        np.testing.assert_array_equal(fastort.InferenceSession(path).run(None, {"x": x})[0], weight)
