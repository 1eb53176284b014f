#!/usr/bin/env bash
# Makes a virtual environment for each engine that bench/compare.py measures fastort against, outside the tree and
# apart from .venv, so that none of them decides another's packages.
#
#   tools/peers.sh                       # all of them
#   tools/peers.sh onnxruntime openvino  # some
set -euo pipefail
python=${PYTHON:-python3}
root=${XDG_CACHE_HOME:-$HOME/.cache}/fastort/peers

wanted=("$@")
for name in "${wanted[@]}"; do
  case "$name" in
    onnxruntime | openvino | ncnn | lleaves) ;;
    *) echo "there is no peer '$name'; there are: onnxruntime, openvino, ncnn, lleaves" >&2; exit 2 ;;
  esac
done

peer() {
  local name=$1
  shift
  if [ ${#wanted[@]} -gt 0 ] && [[ " ${wanted[*]} " != *" $name "* ]]; then
    return
  fi
  if [ ! -e "$root/$name/.done" ]; then
    "$python" -m venv "$root/$name"
    "$root/$name/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
    touch "$root/$name/.done"
  fi
  echo "$name: $root/$name/bin/python"
}

peer onnxruntime onnxruntime==1.31.1 numpy==2.4.6
peer openvino openvino==2026.4.1
# pnnx is a program of its own; what its package asks for beside (PyTorch with CUDA) serves its Python interface alone.
peer ncnn --no-deps ncnn==1.0.20261020 pnnx==20261020 numpy==2.4.6
peer lleaves lleaves==1.3.0 lightgbm==4.7.0 llvmlite==0.44.0
