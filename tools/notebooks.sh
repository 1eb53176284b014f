#!/usr/bin/env bash
# Sets everything up (tools/setup.sh, and the peers that the notebooks compare with), runs the notebooks, and writes
# them with their outputs and figures to demo_output/notebooks. Arguments go to tools/notebooks.py.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tools/setup.sh --tests
tools/peers.sh onnxruntime openvino >&2
exec .venv/bin/python tools/notebooks.py "$@"
