#!/usr/bin/env bash
# Builds the Python extension for a free-threaded Python (3.13t or newer) and runs the Python API's tests with it, the
# GIL off. The engine's objects are those of build/ again where ccache is used.
#
#   tools/free_threaded.sh python3.13t                                       # the concurrency tests
#   tools/free_threaded.sh python3.13t tests/api -k 'not jax'
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=${1:?usage: tools/free_threaded.sh PYTHON [pytest arguments]}
shift
[ $# -gt 0 ] || set -- tests/api/test_threads.py tests/api/test_storm.py tests/api/test_control.py tests/api/test_session.py
build=build-free-threaded
export PATH="$PWD/.venv/bin:$PATH"
interpreter="$PWD/$build/venv/bin/python"
if [ ! -x "$interpreter" ]; then
  "$python" -c 'import sys, sysconfig; sys.exit(0 if sysconfig.get_config_var("Py_GIL_DISABLED") else "a Python with a GIL")'
  "$python" -m venv "$build/venv"
  "$interpreter" -m pip install --only-binary :all: numpy ml_dtypes onnx pytest hypothesis
fi
cmake -S . -B "$build" -G Ninja -DFASTORT_BUILD_TESTS=OFF -DPython_EXECUTABLE="$interpreter" \
  -Dpybind11_DIR="$(python -m pybind11 --cmakedir)" ${CCACHE:+-DCMAKE_CXX_COMPILER_LAUNCHER="$CCACHE"}
cmake --build "$build" --target _engine
PYTHON_GIL=0 PYTHONPATH="$build/python" "$interpreter" -m pytest -q "$@"
