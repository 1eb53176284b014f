#!/usr/bin/env bash
# Makes build-gpu/: all of a build of fastort but its Python extension, which bench/gpu.sh compiles on a machine that has a
# GPU, another Python, a compiler, and no way to fetch dependencies. The folder goes there beside the tree.
#
#   tools/build.sh release && bench/gpu_pack.sh           # or name the build's folder
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=${1:-build}
into=build-gpu
[ -f "$build/libfastort_core.a" ] || { echo "no build of fastort in $build: tools/build.sh release" >&2; exit 1; }
rule=$(awk '/^build python\/fastort\/_engine/ {found = 1} found && /LINK_LIBRARIES = / {print; exit}' "$build/build.ninja")
# Those that the system has are linked there.
read -r -a libraries <<< "$(sed 's/.*= libfastort_core.a//; s/ -l[a-z]*//g' <<< "$rule")"
version=$(sed -n 's/.*-DFASTORT_VERSION=\\"\([0-9.]*\)\\".*/\1/p' "$build/build.ninja" | head -1)
[ ${#libraries[@]} -gt 0 ] || { echo "$build/build.ninja names no libraries" >&2; exit 1; }
rm -rf "$into"
mkdir -p "$into/lib"
printf '%s' "$version" > "$into/version"

# One object of what is needed of the archives; its symbols stay those that the bindings are compiled against.
c++ -r -nostdlib -o "$into/engine.o" -Wl,--whole-archive "$build/libfastort_core.a" -Wl,--no-whole-archive \
  -Wl,--start-group "${libraries[@]}" -Wl,--end-group
strip --strip-debug "$into/engine.o"
xz -T0 -3 -f "$into/engine.o"
loader=$(ldconfig -p | sed -n 's/.*libvulkan\.so\.1 .*=> //p' | head -1)
[ -n "$loader" ] && cp -L "$loader" "$into/lib/libvulkan.so.1"
cp -r "$(.venv/bin/python -c 'import pybind11; print(pybind11.get_include())')" "$into/include"
du -sh "$into" >&2
