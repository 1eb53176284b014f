#!/usr/bin/env bash
# Sets everything up (tools/setup.sh) and classifies a picture with ResNet-50; arguments go to tools/demo.py.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tools/setup.sh
exec .venv/bin/python tools/demo.py "$@"
