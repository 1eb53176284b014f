#!/usr/bin/env python3
"""Builds the compiled dependencies once and keeps them outside the tree.

Each dependency is a recipe (``tools/recipes.py``): where its source comes from and how it is built.
The result is installed under ``$FASTORT_DEPS`` (default: ``~/.cache/fastort/deps``) in a folder named
by the hash of the recipe and of the compiler, so that an unchanged recipe is never built twice and a
changed one never finds a stale result.

    python tools/deps.py             # build what is missing, print one install prefix per line
    python tools/deps.py --only onednn --jobs 2
    python tools/deps.py --no-image-codecs --no-vulkan

Two dependencies are built at a time, so that one's configuration fills the cores that another's leaves
idle; a job server keeps the compilers of both together at the number of jobs.

Sources come from Debian's source packages where ``apt-get`` is at hand (checked against a pinned
SHA-256), otherwise from the upstream project's release of the same version.
"""

from __future__ import annotations

import argparse
import fcntl
import functools
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from recipes import IMAGE_CODECS, RECIPES, VULKAN, Recipe, Source

REPO = Path(__file__).resolve().parent.parent

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
    parts = [recipe.text(), repr(COMMON), compiler_id(), os.uname().machine]
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


@functools.cache
def apt_options(suite: str, scratch: Path) -> list[str] | None:
    """Returns the options with which ``apt-get`` knows the sources of ``suite``, or ``None``."""
    stanza = debian_sources(suite)
    if stanza is None:
        return None
    root = scratch / suite
    (root / "lists" / "partial").mkdir(parents=True)
    (root / "fastort.sources").write_text(stanza)
    options = [
        f"-oDir::State::Lists={root / 'lists'}",
        f"-oDir::Etc::SourceList={root / 'fastort.sources'}",
        "-oDir::Etc::SourceParts=/dev/null",
        "-oAPT::Sandbox::User=root" if os.getuid() == 0 else f"-oDir::Cache={root}",
    ]
    subprocess.run(["apt-get", *options, "update"], cwd=root, capture_output=True, check=False)
    return options


_apt = threading.Lock()


def fetch_debian(source: Source, work: Path, scratch: Path, logfile: Path) -> Path | None:
    """Downloads the archive of a Debian source package; ``None`` where that cannot be had."""
    with _apt:
        options = apt_options(source.suite, scratch)
        if options is None:
            return None
        command = ["apt-get", *options, "source", "--download-only", f"{source.package}/{source.suite}"]
        with logfile.open("ab") as out:
            # A missing .dsc fails the call although the archive came, so the file decides.
            subprocess.run(command, cwd=work, stdout=out, stderr=out, check=False)
    archive = work / source.archive
    if not archive.exists():
        return None
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    if digest != source.sha256:
        raise SystemExit(f"[deps] {source.archive} has SHA-256 {digest}, expected {source.sha256}")
    return archive


def fetch(source: Source, work: Path, scratch: Path, logfile: Path) -> Path:
    """Returns the folder of an unpacked source."""
    archive = fetch_debian(source, work, scratch, logfile)
    if archive is None:
        archive = work / source.upstream.rsplit("/", 1)[1]
        log(f"{source.package}: no Debian source package here, fetching {source.upstream}")
        with urllib.request.urlopen(source.upstream) as reply, archive.open("wb") as out:
            shutil.copyfileobj(reply, out)
    into = work / "src" / source.archive
    with tarfile.open(archive) as tar:
        tar.extractall(into, filter="data") if hasattr(tarfile, "data_filter") else tar.extractall(into)
    (top,) = into.iterdir()
    return top / source.folder if (top / source.folder).exists() else top


def fetch_all(recipe: Recipe, work: Path, scratch: Path, logfile: Path) -> Path:
    """Returns the folder of a recipe's source, made whole."""
    assert recipe.source is not None
    top = fetch(recipe.source, work, scratch, logfile)
    others: dict[Source, Path] = {}
    for name, source in recipe.fill:
        if (top / name).exists():
            continue
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        if source is None:
            (top / name).touch()
            continue
        if source not in others:
            others[source] = fetch(source, work, scratch, logfile)
        shutil.copy2(others[source] / name, top / name)
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


def keep_files(recipe: Recipe, work: Path, top: Path, prefix: Path) -> None:
    """Installs what the recipe names."""
    for file, folder in recipe.files:
        root, _, name = file.partition("/")
        found = (top if root == "src" else work / root) / name
        if not found.exists():
            raise SystemExit(f"[deps] {recipe.name}: the build made no {name}")
        (prefix / folder).mkdir(parents=True, exist_ok=True)
        shutil.copy2(found, prefix / folder)


def build(recipe: Recipe, jobs: int | None, scratch: Path) -> Path:
    """Builds a recipe unless its prefix exists, and returns the prefix.

    Args:
        recipe: What to build.
        jobs: How many compilers may run; ``None`` where a job server says so.
        scratch: A folder that lives as long as this process.
    """
    prefix = prefix_of(recipe)
    if (prefix / ".done").exists():
        return prefix
    for need in recipe.needs:
        build(by_name(need), jobs, scratch)
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
            top = fetch_all(recipe, work, scratch, logfile) if recipe.source else work
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
            make = ["cmake", "--build", work / "build"]
            make += ["--parallel", str(jobs)] if jobs else []
            make += ["--target", recipe.target] if recipe.target else []
            run(make, work, logfile)
            if recipe.target:
                keep_files(recipe, work, top, prefix)
            else:
                run(["cmake", "--install", work / "build"], work, logfile)
        (prefix / ".done").touch()
        log(f"{recipe.name} {recipe.version}: {time.monotonic() - started:.0f} s -> {prefix}")
    return prefix


def ninja_takes_jobs() -> bool:
    """Tells whether ``ninja`` asks a job server (from version 1.13 on)."""
    try:
        version = subprocess.run(["ninja", "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return False
    numbers = re.match(r"(\d+)\.(\d+)", version)
    return numbers is not None and tuple(map(int, numbers.groups())) >= (1, 13)


class JobServer:
    """Lends out jobs the way GNU make does: a token in a pipe is one more compiler for whoever takes it."""

    def __init__(self, folder: Path, jobs: int, tokens: int) -> None:
        path = folder / "jobs"
        os.mkfifo(path)
        self._pipe = os.open(path, os.O_RDWR)
        os.environ["MAKEFLAGS"] = f" -j{jobs} --jobserver-auth=fifo:{path}"
        os.environ.pop("CMAKE_BUILD_PARALLEL_LEVEL", None)
        self.give(tokens)

    def give(self, tokens: int = 1) -> None:
        """Adds tokens."""
        os.write(self._pipe, b"+" * tokens)


def build_all(recipes: list[Recipe], jobs: int) -> None:
    """Builds what is missing, two at a time where the jobs can be shared out."""
    missing = [recipe for recipe in recipes if not (prefix_of(recipe) / ".done").exists()]
    if not missing:
        return
    with tempfile.TemporaryDirectory(prefix="fastort-deps-") as name:
        scratch = Path(name)
        if jobs < 2 or len(missing) < 2 or not ninja_takes_jobs():
            for recipe in missing:
                build(recipe, jobs, scratch)
            return
        # Whoever builds has one job without asking.
        lanes = 2
        server = JobServer(scratch, jobs, jobs - lanes)
        lock = threading.Lock()

        def lane() -> None:
            while True:
                with lock:
                    if not missing:
                        break
                    recipe = missing.pop(0)
                try:
                    build(recipe, None, scratch)
                except BaseException:
                    missing.clear()
                    raise
            server.give()

        with ThreadPoolExecutor(lanes) as pool:
            for done in [pool.submit(lane) for _ in range(lanes)]:
                done.result()


def main() -> None:
    """Builds the named recipes (all by default) and prints their prefixes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", help="build this recipe alone (repeatable)")
    parser.add_argument("--no-image-codecs", action="store_true", help="leave out what ImageDecoder needs")
    parser.add_argument("--no-vulkan", action="store_true", help="leave out what the Vulkan provider needs")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    recipes = [
        recipe
        for recipe in RECIPES
        if (not options.only or recipe.name in options.only)
        and not (options.no_image_codecs and recipe.name in IMAGE_CODECS)
        and not (options.no_vulkan and recipe.name in VULKAN)
    ]
    build_all(recipes, options.jobs)
    for recipe in recipes:
        print(prefix_of(recipe), flush=True)


if __name__ == "__main__":
    main()
