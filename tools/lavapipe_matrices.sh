#!/usr/bin/env bash
# Unpacks a lavapipe that has cooperative matrices (Mesa 26, which Debian has in sid) into a private root outside the
# tree, and prints its folder. Nothing is installed: a program sees this lavapipe where it is started through the root's
# own `ld.so`, as tests/ops/test_vulkan_matrices.py does.
set -euo pipefail
root=${XDG_CACHE_HOME:-$HOME/.cache}/fastort/lavapipe-matrices
if [ -e "$root/.done" ]; then
  echo "$root"
  exit
fi
command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || { echo "this system has no apt-get" >&2; exit 1; }
stanza=$(cd "$(dirname "${BASH_SOURCE[0]}")" && python3 -c '
import deps
print((deps.debian_sources("sid") or "").replace("Types: deb-src", "Types: deb"), end="")')
[ -n "$stanza" ] || { echo "no Debian archive among the sources of this system" >&2; exit 1; }

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir -p "$scratch/lists/partial" "$scratch/archives/partial"
printf '%s' "$stanza" > "$scratch/sid.sources"
# An empty status: apt counts nothing as installed, so that all of it comes, the C library included.
touch "$scratch/status"
options=(
  -q -o "Dir::Etc::SourceList=$scratch/sid.sources" -o Dir::Etc::SourceParts=/dev/null
  -o "Dir::State::Lists=$scratch/lists" -o "Dir::State::status=$scratch/status"
  -o "Dir::Cache::archives=$scratch/archives" -o "Dir::Cache::pkgcache=" -o "Dir::Cache::srcpkgcache="
  -o Debug::NoLocking=1 -o APT::Sandbox::User=root
)
log=$scratch/log
apt-get "${options[@]}" update > "$log" 2>&1 || { cat "$log" >&2; exit 1; }
apt-get "${options[@]}" install -y --no-install-recommends --download-only mesa-vulkan-drivers libvulkan1 \
  vulkan-validationlayers > "$log" 2>&1 || { cat "$log" >&2; exit 1; }

mkdir -p "$(dirname "$root")"
fresh=$root.$$
trap 'rm -rf "$scratch" "$fresh"' EXIT
for package in "$scratch"/archives/*.deb; do
  dpkg-deb -x "$package" "$fresh"
done
libraries=$(dirname "$(find "$fresh/usr/lib" -name libvulkan_lvp.so | head -1)")
[ -d "$libraries" ] || { echo "the packages of sid hold no lavapipe" >&2; exit 1; }
# The files name their libraries by the place where packages are installed.
python3 - "$fresh" "$root" "${libraries#"$fresh"}" <<'P'
import json
import sys
from pathlib import Path

fresh, root, libraries = sys.argv[1:]
for kind, name, section in (
    ("usr/share/vulkan/icd.d", "lvp_icd*.json", "ICD"),
    ("usr/share/vulkan/explicit_layer.d", "VkLayer_khronos_validation.json", "layer"),
):
    for path in Path(fresh, kind).glob(name):
        found = json.loads(path.read_text())
        found[section]["library_path"] = root + libraries + "/" + Path(found[section]["library_path"]).name
        path.with_name(name.replace("*", "")).write_text(json.dumps(found))
P
ln -s "${libraries#"$fresh/"}" "$fresh/libraries"
touch "$fresh/.done"
# Another call may have been faster.
mv -T "$fresh" "$root" 2>/dev/null || [ -e "$root/.done" ]
echo "$root"
