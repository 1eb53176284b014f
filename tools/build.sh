#!/usr/bin/env bash
# Configures and builds one of CMakePresets.json's presets (release, debug, asan, tsan) with .venv's tools.
#
#   tools/build.sh debug
#   tools/build.sh asan -DFASTORT_BUILD_BENCH=ON
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
preset=${1:?usage: tools/build.sh release|debug|asan|tsan [CMake options]}
shift
export PATH="$PWD/.venv/bin:$PATH"
cmake --preset "$preset" -Dpybind11_DIR="$(python -m pybind11 --cmakedir)" "$@"
cmake --build --preset "$preset"
