"""The tree is the architecture: a folder of cpp/ includes only what lies below it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
CPP = REPOSITORY / "cpp"

# A folder, and the folders that stand directly below it; what those may include, it may include too.
BELOW: dict[str, tuple[str, ...]] = {
    "include": (),
    "base": (),
    "tensor": ("base",),
    "graph": ("tensor",),
    "onnx": ("graph",),
    "kernels": ("tensor",),
    "ops": ("graph", "kernels"),
    "passes": ("ops",),
    "plan": ("ops",),
    "providers": ("plan",),
    "runtime": ("providers", "passes", "onnx", "include"),
    "bindings": ("runtime",),
}

# Headers of other projects, and the only folders that may use them.
ONLY_IN: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"pybind11/|numpy/|Python\.h", ("bindings",)),
    (r"google/protobuf/|onnx/", ("onnx",)),
    (r"dnnl|oneapi/", ("kernels/dnnl",)),
    (r"re2/|utf8proc", ("kernels/text",)),
    (r"jpeglib|jerror|openjpeg|png\.h|tiff|webp/|zlib", ("kernels/image/codecs",)),
    (r"vulkan/|vk_|volk", ("providers/vulkan",)),
)

INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]', re.MULTILINE)


def allowed(folder: str) -> set[str]:
    """Returns the folders that ``folder`` may include, itself among them."""
    found = {folder}
    for below in BELOW[folder]:
        found |= allowed(below)
    return found


def sources() -> list[Path]:
    return sorted(path for path in CPP.rglob("*") if path.suffix in {".h", ".cpp"})


def includes(text: str) -> Iterator[tuple[int, bool, str]]:
    """Yields the line number, whether it stands in quotes, and the name of each header."""
    for found in INCLUDE.finditer(text):
        yield text.count("\n", 0, found.start(1)) + 1, found[1] == '"', found[2]


def complaints(folder: str, parent: str, text: str) -> Iterator[str]:
    """Yields what is wrong with the includes of one file.

    Args:
        folder: The folder directly below cpp/ that the file lies in.
        parent: The file's whole folder, relative to cpp/.
        text: The file's text.
    """
    for line, quoted, header in includes(text):
        top = header.split("/", 1)[0]
        ours = quoted and (CPP / header).exists()
        if ours and top in BELOW:
            if top not in allowed(folder):
                below = ", ".join(sorted(allowed(folder)))
                yield f"{line}: {folder}/ may not include {header} (it may include {below})"
            if folder == "providers" and top == "providers" and header.split("/")[1] != parent.split("/")[1]:
                yield f"{line}: one provider may not include another's {header}"
            continue
        for pattern, places in ONLY_IN:
            if re.match(pattern, header) and not any((parent + "/").startswith(place + "/") for place in places):
                yield f"{line}: {header} may be used in {', '.join(places)} alone"


def test_every_folder_has_its_place() -> None:
    unknown = {path.name for path in CPP.iterdir() if path.is_dir()} - BELOW.keys()
    assert not unknown, f"folders of cpp/ that the table of layers does not know: {sorted(unknown)}"


def test_includes_point_downward() -> None:
    wrong = []
    for path in sources():
        relative = path.relative_to(CPP)
        if len(relative.parts) < 2:
            wrong.append(f"cpp/{relative}: a source lies in one of the folders, not beside them")
            continue
        parent = relative.parent.as_posix()
        wrong += [f"cpp/{relative}:{text}" for text in complaints(relative.parts[0], parent, path.read_text())]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("folder", "parent", "line"),
    [
        ("base", "base", '#include "tensor/shape.h"'),
        ("kernels", "kernels/gemm", '#include "graph/graph.h"'),
        ("graph", "graph", "#include <google/protobuf/message.h>"),
        ("graph", "graph", '#include "onnx/onnx_pb.h"'),
        ("ops", "ops", "#include <oneapi/dnnl/dnnl.hpp>"),
        ("kernels", "kernels/conv", '#include "dnnl.hpp"'),
        ("ops", "ops", "#include <re2/re2.h>"),
        ("kernels", "kernels/image", "#include <png.h>"),
        ("runtime", "runtime", "#  include <pybind11/numpy.h>"),
        ("providers", "providers/cpu", "#include <vulkan/vulkan.h>"),
    ],
)
def test_a_wrong_include_is_found(folder: str, parent: str, line: str) -> None:
    assert list(complaints(folder, parent, line))


def test_a_right_include_passes() -> None:
    text = '#include <vector>\n#include "base/error.h"\n#include "hwy/highway.h"\n'
    assert not list(complaints("kernels", "kernels/gemm", text))
