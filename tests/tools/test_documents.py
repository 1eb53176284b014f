"""The code and the commands in README.md and docs/, run as they stand."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import fastort

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
PACKAGE = Path(fastort.__file__).absolute().parent.parent

# What the reader of each page has at hand.
BEFORE = {
    "README.md": """
        import torch
        model_bytes = open("resnet50.onnx", "rb").read()
        x = np.zeros((1, 3, 224, 224), np.float32)
        module = torch.nn.Linear(16, 4)
    """,
    "testing.md": """
        import numpy as np, torch
        class Model(torch.nn.Module):
            def forward(self, x): return torch.relu(x).mean((2, 3))
        feeds = {"input": np.ones((1, 3, 224, 224), np.float32)}
    """,
    "accuracy.md": "import fastort; options = fastort.SessionOptions()",
    "command_line.md": "import fastort",
}
AFTER = {
    "README.md": "assert fastort.InferenceSession('resnet50.onnx').run(None, {'input': x})[0].shape == scores[0].shape",
    "testing.md": "test_export()",
}
MODELS = ("resnet50", "model", "before", "after", "quantized", "original")


def blocks(page: Path, language: str) -> list[str]:
    """Returns the blocks of a language on a page."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)


def network() -> onnx.ModelProto:
    """Pictures [batch, 3, 224, 224] -> mean of each channel -> four scores, with the names of the page."""
    factor = np.arange(12, dtype=np.float32).reshape(3, 4) / 12
    graph = helper.make_graph(
        [
            helper.make_node("GlobalAveragePool", ["input"], ["mean"]),
            helper.make_node("Flatten", ["mean"], ["flat"]),
            helper.make_node("Relu", ["flat"], ["layer4_relu"]),
            helper.make_node("MatMul", ["layer4_relu", "factor"], ["output"]),
        ],
        "network",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 3, 224, 224])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["batch", 4])],
        [numpy_helper.from_array(factor, "factor")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the files that the pages name."""
    for name in MODELS:
        onnx.save(network(), tmp_path / f"{name}.onnx")
    options = fastort.SessionOptions()
    options.intra_op_num_threads = 1
    options.save(tmp_path / "model.tuned.json")
    return tmp_path


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": f"{PACKAGE}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=300
    )


def test_custom_operators(folder: Path) -> None:
    page = REPOSITORY / "docs" / "custom-operators.md"
    for op in ("Cumulate", "Affine"):
        ends = [[helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 3])] for name in "xy"]
        graph = helper.make_graph([helper.make_node(op, ["x"], ["y"], domain="my.ops")], "g", *ends)
        opsets = [helper.make_opsetid("", 18), helper.make_opsetid("my.ops", 1)]
        onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), folder / f"{op}.onnx")
    (folder / "Cumulate.onnx").replace(folder / "model.onnx")
    (folder / "my_ops.cpp").write_text(*blocks(page, "cpp"))
    (compile_it,) = blocks(page, "sh")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = run(["env", f"PATH={path}", "sh", "-ec", compile_it], folder)
    assert done.returncode == 0, done.stderr
    after = (
        "x = np.ones((2, 3), np.float32)\n"
        "assert session.run(None, {'x': x})[0].tolist() == [[1, 1, 1], [2, 2, 2]]\n"
        "session = fastort.InferenceSession('Affine.onnx', options)\n"
        "assert session.run(None, {'x': x})[0].tolist() == x.tolist()\n"
    )
    done = run([sys.executable, "-c", "\n".join([*blocks(page, "python"), after])], folder)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", [page for page in PAGES if page.name in BEFORE], ids=lambda page: page.name)
def test_python(page: Path, folder: Path) -> None:
    code = blocks(page, "python")
    assert code
    before = "\n".join(line.removeprefix("        ") for line in BEFORE[page.name].splitlines())
    if page.name == "README.md":
        code.insert(1, before)  # it needs what the first block imports
    else:
        code.insert(0, before)
    source = "\n".join([*code, AFTER.get(page.name, "")])
    # Notebooks and `python -m asyncio` know `await` outside of functions; so it is here.
    runner = (
        "import ast, asyncio, inspect, sys\n"
        "code = compile(sys.stdin.read(), 'page', 'exec', flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)\n"
        "names = {'__name__': 'page'}\n"
        "made = eval(code, names)\n"
        "asyncio.run(made) if inspect.iscoroutine(made) else None\n"
    )
    environment = {**os.environ, "PYTHONPATH": f"{PACKAGE}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    done = subprocess.run(
        [sys.executable, "-c", runner],
        input=source,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr


def commands() -> list[tuple[str, str]]:
    """Returns the page and the text of each command of the pages."""
    found = []
    for page in PAGES:
        for block in blocks(page, "sh"):
            lines = block.replace("\\\n", " ").splitlines()
            found += [(page.name, line.partition(" #")[0].strip()) for line in lines if line.strip()]
    return found


def test_there_are_commands() -> None:
    texts = [text for _, text in commands()]
    assert {text.split()[1] for text in texts if text.startswith("fastort ")} >= {
        "info",
        "run",
        "bench",
        "compare",
        "tune",
    }
    assert "tools/notebooks.sh" in texts


@pytest.mark.parametrize(("page", "text"), commands())
def test_commands(page: str, text: str, folder: Path) -> None:
    words = shlex.split(text)
    if words[0] == "fastort":
        if words[1] in ("bench", "tune"):
            words = [w for w in words if w != "--seconds" and not w.isdecimal()] + ["--seconds", "0.2"]
        if words[1] == "bench":
            words += ["--peer", "none"]
        if "vulkan" in words:
            words[words.index("vulkan")] = f"vulkan:device_name={_device()}"
        done = run([sys.executable, "-m", *words], folder)
        assert done.returncode == 0, done.stderr
        return
    # What sets up or builds is run by people and by the tools' own tests: here its files and options are looked at.
    files = [word for word in words if re.fullmatch(r"[\w/.]+\.(sh|py)", word) and not word.startswith("my_")]
    assert files or words[0] in ("pip", "c++", "build/bench/roof/roof"), text
    for file in files:
        assert (REPOSITORY / file).is_file()
        if file.endswith(".sh"):
            assert os.access(REPOSITORY / file, os.X_OK)
            assert run(["bash", "-n", str(REPOSITORY / file)], folder).returncode == 0
        else:
            helped = run([sys.executable, str(REPOSITORY / file), "--help"], folder)
            assert helped.returncode == 0, helped.stderr
            for word in words:
                assert not word.startswith("--") or word in helped.stdout, f"{file} has no option {word}"


def _device() -> str:
    from tests import vulkan

    if vulkan.REFUSAL:
        pytest.skip(vulkan.REFUSAL)
    return vulkan.DEVICE


@pytest.mark.parametrize(
    "page",
    [*PAGES, *(REPOSITORY / name for name in ("ARCHITECTURE.md", "CONTRIBUTING.md", "ROADMAP.md"))],
    ids=lambda page: page.name,
)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        assert target.startswith("http") or (page.parent / target).exists(), target
