"""Kernels chosen by measurement: what is kept on disk, what a session makes of it, and that every kernel is right."""

from __future__ import annotations

import re
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper

import fastort
from fastort.capi.onnxruntime_pybind11_state import InvalidArgument
from tests.api import models

FILE = "choices.records"


def options_of(folder: Path | None = None, **entries: str) -> fastort.SessionOptions:
    options = fastort.SessionOptions()
    options.intra_op_num_threads = 2
    if folder is not None:
        options.add_session_config_entry("fastort.cache_dir", str(folder))
    for name, value in entries.items():
        options.add_session_config_entry(f"fastort.{name}", value)
    return options


def conv_model(channels: int = 64, size: int = 20, kernel: int = 3, seed: int = 0) -> bytes:
    weight = np.random.default_rng(seed).standard_normal((channels, channels, kernel, kernel), np.float32) / 24
    node = helper.make_node("Conv", ["x", "w"], ["y"], pads=[kernel // 2] * 4)
    sizes = [models.tensor(name, dims=(1, channels, size, size)) for name in "xy"]
    return models.model([node], sizes[:1], sizes[1:], [numpy_helper.from_array(weight, "w")]).SerializeToString()


def feed_of(session: fastort.InferenceSession) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {arg.name: rng.standard_normal(arg.shape, np.float32) for arg in session.get_inputs()}


@dataclass
class Answer:
    """What a session says of the one node of its model.

    Attributes:
        y: The result.
        kernel: The kernel that ran, with its layouts: ``"winograd (nChw8c -> nChw8c)"``.
        tried: The kernels that were measured.
        rule: The kernel that the cost rule would have taken, where others were measured.
    """

    y: np.ndarray
    kernel: str
    tried: list[str]
    rule: str | None


def answer(model: bytes, options: fastort.SessionOptions) -> Answer:
    session = fastort.InferenceSession(model, options)
    y = session.run(None, feed_of(session))[0]
    text = session.explain()
    kernel = re.findall(r"CPUExecutionProvider, (.*)", text)[-1]
    measured = re.findall(r"measured: (.*); the cost rule's choice: (.*)", text)
    tried = re.findall(r"([a-z0-9_ ]+ \(\w+ -> \w+\)) [\d.]+ us", measured[-1][0]) if measured else []
    return Answer(y, kernel, [name.strip() for name in tried], measured[-1][1] if measured else None)


def digest(data: bytes) -> bytes:
    """The engine's digest (cpp/base/digest.cpp)."""
    mask, a, b = 2**64 - 1, 0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F

    def rotated(value: int, by: int) -> int:
        value &= mask
        return (value << by | value >> (64 - by)) & mask

    lanes = list(range(1, 9))
    whole = len(data) // 32 * 32
    for at in range(0, whole, 32):
        for i, word in enumerate(struct.unpack_from("<4Q", data, at)):
            lanes[i] = rotated(lanes[i] ^ word * b, 29) * a & mask
            lanes[i + 4] = rotated(lanes[i + 4] + (word ^ a), 31) * b & mask
    result = [len(data), ~len(data) & mask]
    for i, word in enumerate(struct.unpack("<4Q", data[whole:].ljust(32, b"\0"))):
        result[0] = rotated(result[0] ^ lanes[i] ^ (word * b & mask), 27) * a & mask
        result[1] = rotated(result[1] + lanes[i + 4] + (word ^ a), 33) * b & mask
    return struct.pack("<2Q", *result)


def records_of(path: Path) -> Iterator[tuple[bytes, str]]:
    """The records of a file (cpp/base/record_file.cpp)."""
    data = path.read_bytes()
    magic, count, total = struct.unpack_from("<8sQ16s", data)
    rest = data[32:]
    assert (magic, count, total) == (b"fortrc01", len(rest), digest(rest))
    while rest:
        (size,) = struct.unpack_from("<I", rest, 16)
        yield rest[:16], rest[20 : 20 + size].decode()
        rest = rest[20 + size :]


def write_records(path: Path, records: Sequence[tuple[bytes, str]]) -> None:
    rest = b"".join(key + struct.pack("<I", len(value)) + value.encode() for key, value in records)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<8sQ16s", b"fortrc01", len(rest), digest(rest)) + rest)


def preferring(records: Sequence[tuple[bytes, str]], index: int) -> list[tuple[bytes, str]]:
    """The same records with other times: the way at ``index`` takes 10 µs, the others 10 ms."""
    changed = []
    for key, value in records:
        lines = []
        for i, line in enumerate(value.splitlines()):
            time = 10_000 if i == index else 10_000_000
            lines.append("\t".join([*line.split("\t")[:3], *[str(time)] * 7]) + "\n")
        changed.append((key, "".join(lines)))
    return changed


def test_trials_are_shown_kept_and_used_by_the_next_session(tmp_path: Path) -> None:
    model = conv_model()
    by_rule = answer(model, options_of())
    assert by_rule.tried == []
    first = answer(model, options_of(tmp_path, kernel_choice="measure"))
    assert "winograd (nChw8c -> nChw8c)" in first.tried or "winograd (nChw16c -> nChw16c)" in first.tried
    assert first.rule == by_rule.kernel
    assert first.kernel in first.tried
    ((_, value),) = records_of(tmp_path / FILE)
    assert len(value.splitlines()) == len(first.tried)
    stamp = (tmp_path / FILE).stat().st_mtime_ns
    second = answer(model, options_of(tmp_path))
    assert (second.tried, second.kernel) == (first.tried, first.kernel)
    assert (tmp_path / FILE).stat().st_mtime_ns == stamp
    third = answer(model, options_of(tmp_path, kernel_choice="rule"))
    assert (third.tried, third.kernel) == ([], by_rule.kernel)
    np.testing.assert_allclose(first.y, by_rule.y, rtol=1e-4, atol=1e-4)


def test_nothing_is_measured_unasked(tmp_path: Path) -> None:
    assert answer(conv_model(), options_of(tmp_path)).tried == []
    assert answer(conv_model(), options_of(tmp_path, kernel_choice="measure", trial_seconds="0")).tried == []
    assert not (tmp_path / FILE).exists()


def test_without_a_folder_the_process_remembers() -> None:
    model = conv_model(channels=48, size=23)
    assert answer(model, options_of()).tried == []
    assert answer(model, options_of(kernel_choice="measure")).tried
    assert answer(model, options_of(kernel_choice="measure", trial_seconds="0")).tried
    assert answer(model, options_of()).tried == []


def test_a_choice_on_disk_is_honoured(tmp_path: Path) -> None:
    model = conv_model()
    tried = answer(model, options_of(tmp_path, kernel_choice="measure")).tried
    records = list(records_of(tmp_path / FILE))
    want = answer(model, options_of()).y
    assert len(tried) >= 2
    for index, name in enumerate(tried):
        folder = tmp_path / str(index)
        write_records(folder / FILE, preferring(records, index))
        found = answer(model, options_of(folder))
        assert found.kernel.removesuffix(" (plain -> plain)") == name.removesuffix(" (plain -> plain)")
        np.testing.assert_allclose(found.y, want, rtol=1e-4, atol=1e-4)


def test_a_choice_that_is_not_clear_is_left_to_the_rule(tmp_path: Path) -> None:
    model = conv_model()
    first = answer(model, options_of(tmp_path, kernel_choice="measure"))
    rows = [line.split("\t")[:3] for _, value in records_of(tmp_path / FILE) for line in value.splitlines()]
    rule = first.tried.index(next(name for name in first.tried if name == first.rule))
    ((key, _),) = records_of(tmp_path / FILE)

    def kernel_with(times: Sequence[int], name: str) -> str:
        """Other layouts, which would save or cost reorders, are out of the question."""
        rivals = [times if row[1:] == rows[rule][1:] else [1_000_000] * 7 for row in rows]
        rivals[rule] = [100_000] * 7
        lines = [[*row, *map(str, rival)] for row, rival in zip(rows, rivals, strict=True)]
        write_records(tmp_path / name / FILE, [(key, "".join("\t".join(line) + "\n" for line in lines))])
        return answer(model, options_of(tmp_path / name)).kernel

    assert kernel_with([98_000] * 7, "too little") == first.rule
    assert kernel_with([20_000, 20_000, 20_000, 120_000, 120_000, 120_000, 120_000], "too seldom") == first.rule
    assert kernel_with([20_000] * 7, "clear") != first.rule


def test_deterministic_sessions_do_not_depend_on_trials(tmp_path: Path) -> None:
    model = conv_model()
    tried = answer(model, options_of(tmp_path, kernel_choice="measure")).tried
    write_records(tmp_path / "other" / FILE, preferring(list(records_of(tmp_path / FILE)), len(tried) - 1))

    def deterministic(**entries: str) -> Answer:
        options = options_of(tmp_path / "other", **entries)
        options.use_deterministic_compute = True
        return answer(model, options)

    want = deterministic(kernel_choice="rule")
    for mode in ("stored", "measure"):
        got = deterministic(kernel_choice=mode)
        assert (got.tried, got.kernel) == ([], want.kernel)
        np.testing.assert_array_equal(got.y, want.y)


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "other", "folder"])
def test_a_damaged_file_is_ignored_and_replaced(damage: str, tmp_path: Path) -> None:
    model = conv_model()
    answer(model, options_of(tmp_path / "good", kernel_choice="measure"))
    data = bytearray((tmp_path / "good" / FILE).read_bytes())
    path = tmp_path / "bad" / FILE
    path.parent.mkdir()
    if damage == "folder":
        path.mkdir()
    elif damage == "flipped":
        data[-3] ^= 1
        path.write_bytes(data)
    else:
        path.write_bytes({"cut": data[:-7], "empty": b"", "other": b"something else entirely" * 9}[damage])
    assert answer(model, options_of(path.parent)).tried == []
    assert answer(model, options_of(path.parent, kernel_choice="measure")).tried
    if damage != "folder":
        assert len(list(records_of(path))) == 1


@pytest.mark.parametrize("value", ["winograd", "winograd\t9\t9\t1", "winograd\t2\t2\t-5", "\n\n", "x\t0\t0\tmany"])
def test_a_record_that_is_none_is_ignored(value: str, tmp_path: Path) -> None:
    model = conv_model()
    answer(model, options_of(tmp_path, kernel_choice="measure"))
    ((key, _),) = records_of(tmp_path / FILE)
    write_records(tmp_path / "other" / FILE, [(key, value)])
    assert answer(model, options_of(tmp_path / "other")).tried == []


def test_processes_may_measure_at_the_same_time(tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
from tests.api.test_kernel_choice import answer, conv_model, options_of
sizes = range(int(sys.argv[2]), int(sys.argv[2]) + 4)
print(sum(len(answer(conv_model(32, size), options_of(Path(sys.argv[1]), kernel_choice="measure")).tried) > 0
          for size in sizes))
"""
    root = Path(__file__).resolve().parent.parent.parent
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path), str(16 + 4 * i)], stdout=subprocess.PIPE, text=True, cwd=root
        )
        for i in range(3)
    ]
    answers = [process.communicate(timeout=300)[0] for process in processes]
    assert answers == ["4\n"] * 3
    # Of two that write at the same time one may lose its latest record, which the next one to measure adds again.
    assert 4 <= len(list(records_of(tmp_path / FILE))) <= 12
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".new"] == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kernel_choice", "always"),
        ("prefer_kernel", "no such kernel"),
        ("trial_seconds", "long"),
        ("trial_seconds", "-1"),
        ("trial_seconds", "nan"),
    ],
)
def test_wrong_options_are_refused(name: str, value: str) -> None:
    with pytest.raises(InvalidArgument, match=rf"fastort\.{name}"):
        fastort.InferenceSession(models.negate(), options_of(None, **{name: value}))


def test_a_folder_that_cannot_be_made_does_no_harm(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    assert answer(conv_model(), options_of(blocked, kernel_choice="measure")).tried
    assert blocked.read_text() == "no folder"


def one_node(
    op: str, x: Sequence[int], y: Sequence[int], *weights: np.ndarray, **attributes: object
) -> onnx.ModelProto:
    names = [f"w{i}" for i in range(len(weights))]
    stored = [numpy_helper.from_array(weight, name) for name, weight in zip(names, weights, strict=True)]
    node = helper.make_node(op, ["x", *names], ["y"], **attributes)
    return models.model([node], [models.tensor("x", dims=list(x))], [models.tensor("y", dims=list(y))], stored)


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(len(shape)).standard_normal(shape, np.float32)


def torch_conv(x: np.ndarray, weight: np.ndarray, **settings: int) -> np.ndarray:
    return torch.nn.functional.conv2d(torch.from_numpy(x), torch.from_numpy(weight), **settings).numpy()


# Each: the model, and its result for an input by another library.
NODES = {
    "conv 3x3": lambda x: (
        one_node("Conv", x.shape, (2, 37, 19, 23), w := normal(37, 40, 3, 3), pads=[1] * 4),
        torch_conv(x, w, padding=1),
    ),
    "conv 1x1": lambda x: (one_node("Conv", x.shape, (2, 50, 19, 23), w := normal(50, 40, 1, 1)), torch_conv(x, w)),
    "conv stride 2": lambda x: (
        one_node("Conv", x.shape, (2, 24, 10, 12), w := normal(24, 40, 3, 3), pads=[1] * 4, strides=[2, 2]),
        torch_conv(x, w, padding=1, stride=2),
    ),
    "conv grouped": lambda x: (
        one_node("Conv", x.shape, (2, 40, 19, 23), w := normal(40, 8, 3, 3), pads=[1] * 4, group=5),
        torch_conv(x, w, padding=1, groups=5),
    ),
    "conv depthwise": lambda x: (
        one_node("Conv", x.shape, (2, 40, 19, 23), w := normal(40, 1, 5, 5), pads=[2] * 4, group=40),
        torch_conv(x, w, padding=2, groups=40),
    ),
    "conv transposed": lambda x: (
        one_node("ConvTranspose", x.shape, (2, 21, 38, 46), w := normal(40, 21, 2, 2), strides=[2, 2]),
        torch.nn.functional.conv_transpose2d(torch.from_numpy(x), torch.from_numpy(w), stride=2).numpy(),
    ),
    "max pool": lambda x: (
        one_node("MaxPool", x.shape, (2, 40, 10, 12), kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4),
        torch.nn.functional.max_pool2d(torch.from_numpy(x), 3, 2, 1).numpy(),
    ),
    "mean": lambda x: (
        one_node("ReduceMean", x.shape, (2, 40, 1, 1), np.array([2, 3])),
        x.mean((2, 3), dtype=np.float64, keepdims=True).astype(np.float32),
    ),
    "transpose": lambda x: (
        one_node("Transpose", x.shape, (2, 19, 23, 40), perm=[0, 2, 3, 1]),
        x.transpose(0, 2, 3, 1),
    ),
}


@pytest.mark.parametrize("name", NODES)
def test_every_candidate_is_right(name: str, tmp_path: Path) -> None:
    """Each way that was measured is chosen in turn by the times on disk; each kernel also by its name."""
    x = normal(2, 40, 19, 23)
    made, want = NODES[name](x)
    model = made.SerializeToString()
    scale = np.abs(want).max()

    def check(options: fastort.SessionOptions, kernel: str) -> None:
        session = fastort.InferenceSession(model, options)
        (y,) = session.run(None, {"x": x})
        assert f"CPUExecutionProvider, {kernel}" in session.explain()
        np.testing.assert_allclose(y, want, rtol=1e-4, atol=1e-5 * scale)

    tried = answer(model, options_of(tmp_path, kernel_choice="measure", trial_seconds="60")).tried
    records = list(records_of(tmp_path / FILE)) if tried else []
    for index, way in enumerate(tried):
        write_records(tmp_path / str(index) / FILE, preferring(records, index))
        check(options_of(tmp_path / str(index)), way.removesuffix(" (plain -> plain)"))
    for kernel in {*(way.split(" (")[0] for way in tried), "reference" if name != "transpose" else "strided_copy"}:
        check(options_of(None, prefer_kernel=kernel), kernel)


def test_a_kernel_that_does_not_serve_is_not_preferred() -> None:
    want = answer(conv_model(), options_of())
    assert answer(conv_model(), options_of(prefer_kernel="depthwise")).kernel == want.kernel
