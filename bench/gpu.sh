#!/usr/bin/env bash
# On a machine with a GPU, in one call: the tests of VulkanExecutionProvider on it, then its times and roofs beside
# PyTorch on CUDA and ncnn. What a machine lacks is left out with the reason.
#
#   bench/gpu.sh                                # the first GPU
#   FASTORT_VULKAN_DEVICE=H100 bench/gpu.sh     # a part of the device's name
#   STAGES=times bench/gpu.sh --batches 1 --seconds 1    # of: tests times ncnn; arguments go to bench/gpu.py
#
# A machine that cannot fetch dependencies gets build-gpu/ beside the tree (bench/gpu_pack.sh makes it elsewhere): the
# extension is then compiled for the Python that is there. PYTHON names an interpreter.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
say() { printf '\n[gpu] %s (%s s)\n' "$*" "$SECONDS"; }
python=${PYTHON:-.venv/bin/python}
[ -x "$(command -v "$python")" ] || python=python3
stages=" ${STAGES:-tests times ncnn} "
pack=build-gpu

build_extension() {
  local suffix version includes
  suffix=$("$python" -c 'import sysconfig; print(sysconfig.get_config_var("EXT_SUFFIX"))') || return 1
  [ -e "$pack/python/fastort/_engine$suffix" ] && return
  version=$(cat "$pack/version")
  includes=$("$python" -c 'import numpy, sysconfig; print("-isystem", sysconfig.get_path("include"), "-isystem", numpy.get_include())') ||
    return 1
  mkdir -p "$pack/python" "$pack/objects"
  cp -r python/fastort "$pack/python/"
  [ -e "$pack/engine.o" ] || xz -dk "$pack/engine.o.xz" || return 1
  # shellcheck disable=SC2086
  printf '%s\n' cpp/bindings/*.cpp | xargs -P "$(nproc)" -I{} sh -c '
    object=$0/$(basename {} .cpp).o
    [ "$object" -nt {} ] ||
      c++ -O2 -DNDEBUG -std=c++20 -fPIC -fvisibility=hidden -fvisibility-inlines-hidden "$@" -c {} -o "$object"' "$pack/objects" "-DFASTORT_VERSION=\"$version\"" -Icpp -isystem "$pack/include" \
    $includes || return 1
  c++ -shared -o "$pack/python/fastort/_engine$suffix" "$pack"/objects/*.o "$pack/engine.o" \
    -Wl,--exclude-libs,ALL -Wl,--gc-sections -ldl -lpthread
}

if [ -d "$pack" ] && ! "$python" -c 'from fastort import _engine' 2>/dev/null; then
  say "compiling the extension for $("$python" --version)"
  build_extension || { say "the extension does not compile here"; exit 1; }
  export PYTHONPATH="$PWD/$pack/python${PYTHONPATH:+:$PYTHONPATH}"
fi
"$python" -c 'from fastort import _engine' ||
  { say "no fastort in $python: run tools/setup.sh --tests, or bring $pack along (bench/gpu_pack.sh)"; exit 1; }
ldconfig -p 2>/dev/null | grep -q libvulkan.so.1 || export LD_LIBRARY_PATH="$PWD/$pack/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
# Where a container has the driver, and Vulkan's loader does not look.
elsewhere=/usr/local/nvidia/share/vulkan/icd.d/nvidia_icd.json
if [ -z "${VK_DRIVER_FILES:-}" ] && [ -e "$elsewhere" ]; then export VK_DRIVER_FILES=$elsewhere; fi

say "devices"
"$python" - <<'P' || { say "Vulkan cannot be reached here; the driver's description may have to be named (VK_DRIVER_FILES)"; exit 1; }
from fastort import _engine
for number, device in enumerate(_engine.vulkan_devices()):
    print(number, device["name"], "(on the CPU)" if device["is_cpu"] else "", device["refusal"] or "serves")
    print("  subgroups of", device["subgroup"], "- processors:", device["cores"] or "unknown")
    print("  cooperative matrices (m, n, k), float16 into float32:", device["matrices"] or "none")
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

if [[ $stages == *" tests "* ]]; then
  say "tests on $FASTORT_VULKAN_DEVICE"
  if "$python" -c 'import pytest' 2>/dev/null; then
    side_by_side=()
    "$python" -c 'import xdist' 2>/dev/null && side_by_side=(-n "$(($(nproc) / 2 > 1 ? $(nproc) / 2 : 1))")
    # Without a limit the tests could leave no time for the measurements.
    timeout "${TEST_SECONDS:-900}" "$python" -m pytest -q "${side_by_side[@]}" tests/ops/test_vulkan.py \
      tests/ops/test_vulkan_device.py tests/api/test_device_values.py tests/models/test_vulkan_models.py \
      ${TEST_ARGUMENTS:-} || failed=1
  else
    say "tests left out: $python has no pytest"
  fi
fi

if [[ $stages == *" times "* ]]; then
  say "times, roofs, PyTorch on CUDA"
  "$python" bench/gpu.py "$@" || failed=1
fi

if [[ $stages == *" ncnn "* ]]; then
  say "ncnn's Vulkan"
  if [ -n "${FASTORT_PEER_NCNN:-}" ] || [ -x "${XDG_CACHE_HOME:-$HOME/.cache}/fastort/peers/ncnn/bin/python" ]; then
    "$python" bench/compare.py resnet50 --engines fastort ncnn-vulkan || failed=1
  else
    say "ncnn left out: there is no interpreter with it (tools/peers.sh makes one)"
  fi
fi
say "done"
exit $failed
