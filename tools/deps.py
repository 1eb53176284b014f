#!/usr/bin/env python3
"""Builds the compiled dependencies once and keeps them outside the tree.

Each dependency is a recipe: where its source comes from and how it is built. The result is installed
under ``$FASTORT_DEPS`` (default: ``~/.cache/fastort/deps``) in a folder named by the hash of the
recipe and of the compiler, so that an unchanged recipe is never built twice and a changed one never
finds a stale result.

    python tools/deps.py             # build what is missing, print one install prefix per line
    python tools/deps.py --only onednn --jobs 2

Sources come from Debian's source packages where ``apt-get`` is at hand (checked against a pinned
SHA-256), otherwise from the upstream project's release of the same version.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Source:
    """Where the source of a dependency comes from."""

    package: str
    suite: str
    archive: str
    sha256: str
    upstream: str


@dataclass(frozen=True)
class Recipe:
    """How one dependency is built.

    Attributes:
        name: Short name, also the folder's prefix.
        version: Version of the source.
        source: Where the source comes from; ``None`` for one that an installed package carries.
        cmake: Arguments of the CMake configure step.
        cmake_dir: Folder of the ``CMakeLists.txt``, relative to the source; a leading ``repo:``
            means a folder of this repository.
        prune: Regular expressions; a ``.cpp`` whose path, less its suffix, matches one is left out.
        opt: Pairs of (regular expression as above, flag): the optimisation level of single files.
        needs: Recipes whose prefixes this one finds.
    """

    name: str
    version: str
    source: Source | None
    cmake: tuple[str, ...] = ()
    cmake_dir: str = "."
    prune: tuple[str, ...] = ()
    opt: tuple[tuple[str, str], ...] = ()
    needs: tuple[str, ...] = field(default=())


RECIPES = (
    Recipe(
        name="onednn",
        version="3.7.2",
        source=Source(
            package="onednn",
            suite="trixie",
            archive="onednn_3.7.2+ds.orig.tar.xz",
            sha256="0cc51ca26c1af6a2bb1e71e378e7046f3ceb3e71791ee9d4e246d50f904a6ea6",
            upstream="https://github.com/uxlfoundation/oneDNN/archive/refs/tags/v3.7.2.tar.gz",
        ),
        cmake=(
            "-DONEDNN_LIBRARY_TYPE=STATIC",
            "-DONEDNN_CPU_RUNTIME=THREADPOOL",
            "-DONEDNN_GPU_RUNTIME=NONE",
            "-DONEDNN_BUILD_GRAPH=OFF",
            "-DONEDNN_BUILD_DOC=OFF",
            "-DONEDNN_BUILD_EXAMPLES=OFF",
            "-DONEDNN_BUILD_TESTS=OFF",
            "-DONEDNN_ENABLE_WORKLOAD=INFERENCE",
            "-DONEDNN_ENABLE_PRIMITIVE=CONVOLUTION;MATMUL;POOLING;REORDER",
            "-DONEDNN_ENABLE_PRIMITIVE_CPU_ISA=AVX512",
            "-DONEDNN_ENABLE_JIT_PROFILING=OFF",
            "-DONEDNN_ENABLE_ITT_TASKS=OFF",
            "-DONEDNN_EXPERIMENTAL=OFF",
            "-DONEDNN_ENABLE_MAX_CPU_ISA=ON",
            "-DONEDNN_ENABLE_PRIMITIVE_CACHE=ON",
        ),
        # An inference-only build with four primitives never refers to these.
        prune=(
            r"src/cpu/(x64/)?rnn/",
            r"src/cpu/x64/(lrn|prelu|shuffle)/",
            r"src/cpu/(x64/)?(?!cpu_)[^/]*(batch|group|instance|layer)_normalization[^/]*$",
            r"src/cpu/(x64/)?(?!cpu_)[^/]*(lrn|resampling|softmax|shuffle|prelu|deconv)[^/]*$",
            r"src/cpu/x64/jit_uni_(binary|eltwise|eltwise_int|reduction|reduction_kernel|xf16_sum)$",
            r"src/cpu/(ref|gemm_x8s8s32x)_inner_product[^/]*$",
            r"src/cpu/gemm_inner_product$",
            r"src/cpu/x64/(gemm_bf16|jit_brgemm)_inner_product[^/]*$",
            r"src/cpu/x64/jit_brgemm_conv_bwd[^/]*$",
            r"src/cpu/x64/jit_avx512_core_amx_(1x1_)?convolution$",
            r"src/cpu/x64/jit_avx512_core_amx_1x1_conv_kernel$",
            r"src/cpu/sycl/",
        ),
        # These only emit machine code when a primitive is made; how they were optimised themselves
        # does not change what they emit.
        opt=(
            (r"src/cpu/x64/gemm/.*_kern(_part\d)?(_autogen)?$", "-O0"),
            (r"src/cpu/x64/.*(kernel|injector|copy_utils|transpose_utils|postops|io_helper)[^/]*$", "-O1"),
            (r"src/cpu/x64/jit_(uni_reorder|brgemm_post_ops)[^/]*$", "-O1"),
            (r"src/cpu/reorder/", "-O1"),
        ),
    ),
    Recipe(
        name="highway",
        version="1.2.0",
        source=Source(
            package="highway",
            suite="trixie",
            archive="highway_1.2.0.orig.tar.gz",
            sha256="7e0be78b8318e8bdbf6fa545d2ecb4c90f947df03f7aadc42c1967f019e63343",
            upstream="https://github.com/google/highway/archive/refs/tags/1.2.0.tar.gz",
        ),
        cmake=(
            "-DHWY_ENABLE_CONTRIB=OFF",
            "-DHWY_ENABLE_EXAMPLES=OFF",
            "-DHWY_ENABLE_TESTS=OFF",
            "-DBUILD_TESTING=OFF",
        ),
    ),
    Recipe(
        name="protobuf",
        version="3.21.12",
        source=Source(
            package="protobuf",
            suite="bookworm",
            archive="protobuf_3.21.12.orig.tar.gz",
            sha256="930c2c3b5ecc6c9c12615cf5ad93f1cd6e12d0aba862b572e076259970ac3a53",
            upstream="https://github.com/protocolbuffers/protobuf/archive/refs/tags/v3.21.12.tar.gz",
        ),
        cmake=(
            "-Dprotobuf_BUILD_TESTS=OFF",
            "-Dprotobuf_BUILD_PROTOC_BINARIES=OFF",
            "-Dprotobuf_BUILD_SHARED_LIBS=OFF",
            "-Dprotobuf_WITH_ZLIB=OFF",
        ),
    ),
    Recipe(
        name="onnx",
        version="1.23.2",
        source=None,
        cmake_dir="repo:cmake/onnx",
        needs=("protobuf",),
    ),
)

COMMON = (
    "-GNinja",
    "-DCMAKE_BUILD_TYPE=Release",
    "-DCMAKE_CXX_FLAGS_RELEASE=-O2 -DNDEBUG",
    "-DCMAKE_POSITION_INDEPENDENT_CODE=ON",
    "-DCMAKE_C_VISIBILITY_PRESET=hidden",
    "-DCMAKE_CXX_VISIBILITY_PRESET=hidden",
    "-DCMAKE_VISIBILITY_INLINES_HIDDEN=ON",
    "-DCMAKE_POLICY_VERSION_MINIMUM=3.5",
    "-DBUILD_SHARED_LIBS=OFF",
    "-DCMAKE_INSTALL_LIBDIR=lib",
)


def cache_root() -> Path:
    """Returns the folder that holds the built dependencies."""
    base = os.environ.get("FASTORT_DEPS")
    if base:
        return Path(base)
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "fastort" / "deps"


def log(text: str) -> None:
    """Writes progress to stderr, because stdout carries the prefixes."""
    print(f"[deps] {text}", file=sys.stderr, flush=True)


def run(command: Iterable[str | Path], cwd: Path, logfile: Path) -> None:
    """Runs a command; its output goes to ``logfile``, whose end is shown on failure."""
    with logfile.open("ab") as out:
        done = subprocess.run(list(map(str, command)), cwd=cwd, stdout=out, stderr=out, check=False)
    if done.returncode != 0:
        tail = logfile.read_text(errors="replace")[-6000:]
        raise SystemExit(f"[deps] failed: {' '.join(map(str, command))}\n{tail}\n(full log: {logfile})")


def compiler_id() -> str:
    """Returns the C++ compiler's own version string."""
    cxx = os.environ.get("CXX", "c++")
    line = subprocess.run([cxx, "--version"], capture_output=True, text=True, check=True).stdout.split("\n")[0]
    # The same compiler goes by several names: a build of the wheel sets CXX to what Python was built with.
    return re.sub(r"^\S+", "c++", line)


def prefix_of(recipe: Recipe) -> Path:
    """Returns the install prefix of a recipe: its name, version and hash."""
    parts = [repr(recipe), repr(COMMON), compiler_id(), os.uname().machine]
    if recipe.cmake_dir.startswith("repo:"):
        folder = REPO / recipe.cmake_dir.removeprefix("repo:")
        parts += [path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()]
    parts += [prefix_of(by_name(need)).name for need in recipe.needs]
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]
    return cache_root() / f"{recipe.name}-{recipe.version}-{digest}"


def by_name(name: str) -> Recipe:
    """Returns the recipe called ``name``."""
    return next(recipe for recipe in RECIPES if recipe.name == name)


def debian_sources(suite: str) -> str | None:
    """Returns a deb-src list for ``suite`` made from the machine's own mirrors, or ``None``."""
    if not shutil.which("apt-get"):
        return None
    for path in sorted(Path("/etc/apt").glob("sources.list.d/*.sources")):
        for stanza in re.split(r"\n\s*\n", path.read_text()):
            fields = dict(re.findall(r"^([A-Za-z-]+):[ \t]*(.+)$", stanza, re.MULTILINE))
            uris = fields.get("URIs", "")
            if fields.get("Suites", "").split() and "security" not in uris and "debian" in uris:
                signed = f"Signed-By: {fields['Signed-By']}\n" if "Signed-By" in fields else ""
                return f"Types: deb-src\nURIs: {uris}\nSuites: {suite}\nComponents: main\n{signed}"
    for path in [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt").glob("sources.list.d/*.list"))]:
        text = path.read_text() if path.exists() else ""
        for uri in re.findall(r"^deb\s+(?:\[[^\]]*\]\s+)?(\S*debian\S*)\s+\S+\s+main", text, re.MULTILINE):
            if "security" not in uri:
                return f"Types: deb-src\nURIs: {uri}\nSuites: {suite}\nComponents: main\n"
    return None


def fetch_debian(source: Source, work: Path, logfile: Path) -> Path | None:
    """Downloads the archive of a Debian source package; ``None`` where that cannot be had."""
    stanza = debian_sources(source.suite)
    if stanza is None:
        return None
    lists = work / "lists"
    (lists / "partial").mkdir(parents=True)
    (work / "fastort.sources").write_text(stanza)
    options = [
        f"-oDir::State::Lists={lists}",
        f"-oDir::Etc::SourceList={work / 'fastort.sources'}",
        "-oDir::Etc::SourceParts=/dev/null",
        "-oAPT::Sandbox::User=root" if os.getuid() == 0 else f"-oDir::Cache={work}",
    ]
    with logfile.open("ab") as out:
        for command in (["update"], ["source", "--download-only", f"{source.package}/{source.suite}"]):
            # A missing .dsc fails the call although the archive came, so the file decides.
            subprocess.run(["apt-get", *options, *command], cwd=work, stdout=out, stderr=out, check=False)
    archive = work / source.archive
    if not archive.exists():
        return None
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    if digest != source.sha256:
        raise SystemExit(f"[deps] {source.archive} has SHA-256 {digest}, expected {source.sha256}")
    return archive


def fetch(recipe: Recipe, work: Path, logfile: Path) -> Path:
    """Returns the unpacked source folder of a recipe."""
    assert recipe.source is not None
    archive = fetch_debian(recipe.source, work, logfile)
    if archive is None:
        archive = work / recipe.source.upstream.rsplit("/", 1)[1]
        log(f"{recipe.name}: no Debian source package here, fetching {recipe.source.upstream}")
        with urllib.request.urlopen(recipe.source.upstream) as reply, archive.open("wb") as out:
            shutil.copyfileobj(reply, out)
    into = work / "src"
    with tarfile.open(archive) as tar:
        tar.extractall(into, filter="data") if hasattr(tarfile, "data_filter") else tar.extractall(into)
    (top,) = into.iterdir()
    return top


def trim(recipe: Recipe, top: Path) -> None:
    """Leaves out pruned sources and appends the flags of single files to their folder's CMakeLists."""
    for path in sorted(top.rglob("*.cpp")):
        name = path.relative_to(top).with_suffix("").as_posix()
        if any(re.search(pattern, name) for pattern in recipe.prune):
            path.unlink()
            continue
        flag = next((flag for pattern, flag in recipe.opt if re.search(pattern, name)), None)
        if flag is None:
            continue
        folder = next(up for up in path.parents if (up / "CMakeLists.txt").exists())
        with (folder / "CMakeLists.txt").open("a") as out:
            out.write(f'\nset_property(SOURCE "{path}" APPEND PROPERTY COMPILE_OPTIONS {flag})')


def build(recipe: Recipe, jobs: int) -> Path:
    """Builds a recipe unless its prefix exists, and returns the prefix."""
    prefix = prefix_of(recipe)
    if (prefix / ".done").exists():
        return prefix
    prefix.parent.mkdir(parents=True, exist_ok=True)
    with (prefix.parent / f".{prefix.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (prefix / ".done").exists():
            return prefix
        started = time.monotonic()
        log(f"{recipe.name} {recipe.version}: building")
        logfile = prefix.parent / f"{prefix.name}.log"
        logfile.unlink(missing_ok=True)
        with tempfile.TemporaryDirectory(prefix=f"fastort-{recipe.name}-") as name:
            work = Path(name)
            top = fetch(recipe, work, logfile) if recipe.source else work
            trim(recipe, top)
            source = top / recipe.cmake_dir
            if recipe.cmake_dir.startswith("repo:"):
                source = REPO / recipe.cmake_dir.removeprefix("repo:")
            search = ";".join(str(prefix_of(by_name(need))) for need in recipe.needs)
            shutil.rmtree(prefix, ignore_errors=True)
            run(
                [
                    "cmake",
                    "-S",
                    source,
                    "-B",
                    work / "build",
                    *COMMON,
                    *recipe.cmake,
                    f"-DCMAKE_INSTALL_PREFIX={prefix}",
                    f"-DCMAKE_PREFIX_PATH={search}",
                    f"-DPython_EXECUTABLE={sys.executable}",
                ],
                work,
                logfile,
            )
            run(["cmake", "--build", work / "build", "--parallel", str(jobs)], work, logfile)
            run(["cmake", "--install", work / "build"], work, logfile)
        (prefix / ".done").touch()
        log(f"{recipe.name} {recipe.version}: {time.monotonic() - started:.0f} s -> {prefix}")
    return prefix


def main() -> None:
    """Builds the named recipes (all by default) and prints their prefixes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", help="build this recipe alone (repeatable)")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    for recipe in RECIPES:
        if not options.only or recipe.name in options.only:
            print(build(recipe, options.jobs), flush=True)


if __name__ == "__main__":
    main()
