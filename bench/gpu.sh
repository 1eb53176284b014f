#!/usr/bin/env bash
# On a machine with a GPU, in one call: the tests of VulkanExecutionProvider on it, then its times and roofs beside
# PyTorch on CUDA and ncnn. What a machine lacks is left out with the reason.
#
#   bench/gpu.sh                                # the first GPU
#   FASTORT_VULKAN_DEVICE=H100 bench/gpu.sh     # a part of the device's name
#   bench/gpu.sh --batches 1 --seconds 1        # arguments go to bench/gpu.py
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
say() { printf '\n[gpu] %s\n' "$*"; }
python=${PYTHON:-.venv/bin/python}
[ -x "$(command -v "$python")" ] || { say "no $python: run tools/setup.sh --tests first, or name one with PYTHON=..."; exit 1; }

say "devices"
"$python" - <<'P' || { say "Vulkan cannot be reached here; the driver's description may have to be named (VK_DRIVER_FILES)"; exit 1; }
from fastort import _engine
for number, device in enumerate(_engine.vulkan_devices()):
    print(number, device["name"], "(on the CPU)" if device["is_cpu"] else "", device["refusal"] or "serves")
P
if [ -z "${FASTORT_VULKAN_DEVICE:-}" ]; then
  FASTORT_VULKAN_DEVICE=$("$python" - <<'P'
from fastort import _engine
print(next((d["name"] for d in _engine.vulkan_devices() if not d["is_cpu"] and not d["refusal"]), ""))
P
)
fi
if [ -z "$FASTORT_VULKAN_DEVICE" ]; then
  say "no GPU here, only implementations on the CPU: name one with FASTORT_VULKAN_DEVICE=llvmpipe to try the script"
  exit 1
fi
export FASTORT_VULKAN_DEVICE
failed=0

say "tests on $FASTORT_VULKAN_DEVICE"
if "$python" -c 'import pytest' 2>/dev/null; then
  "$python" -m pytest -q tests/ops/test_vulkan.py tests/ops/test_vulkan_device.py tests/api/test_device_values.py \
    tests/models/test_vulkan_models.py || failed=1
else
  say "tests left out: $python has no pytest"
fi

say "times, roofs, PyTorch on CUDA"
"$python" bench/gpu.py "$@" || failed=1

say "ncnn's Vulkan"
if [ -n "${FASTORT_PEER_NCNN:-}" ] || [ -x "${XDG_CACHE_HOME:-$HOME/.cache}/fastort/peers/ncnn/bin/python" ]; then
  "$python" bench/compare.py resnet50 --engines fastort ncnn-vulkan || failed=1
else
  say "ncnn left out: there is no interpreter with it (tools/peers.sh makes one)"
fi
exit $failed
