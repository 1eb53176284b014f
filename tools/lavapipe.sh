#!/usr/bin/env bash
# Installs lavapipe, Mesa's Vulkan on the CPU: from backports where the Debian release has a newer one there. The added
# list of packages is made from the machine's own one and used for this call alone.
set -euo pipefail
as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(sudo)
command -v apt-get >/dev/null || { echo "this system has no apt-get" >&2; exit 1; }
suite=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)-backports
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
chmod 755 "$scratch"
log=$scratch/log

options=()
list=$(cd "$(dirname "${BASH_SOURCE[0]}")" && python3 -c '
import sys
import deps
stanza = deps.debian_sources(sys.argv[1])
print((stanza or "").replace("Types: deb-src", "Types: deb"), end="")' "$suite")
if [ -n "$list" ]; then
  printf '%s' "$list" > "$scratch/backports.sources"
  mkdir -p "$scratch/sources" "$scratch/lists/partial"
  cp /etc/apt/sources.list.d/* "$scratch/sources/" 2>/dev/null || true
  cp "$scratch/backports.sources" "$scratch/sources/fastort-backports.sources"
  options=(-o "Dir::Etc::SourceParts=$scratch/sources" -o "Dir::State::Lists=$scratch/lists" -o APT::Sandbox::User=root)
fi
apt() { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q "${options[@]}" "$@" > "$log" 2>&1; }
apt update || { cat "$log" >&2; exit 1; }
apt install -y --no-install-recommends -t "$suite" mesa-vulkan-drivers ||
  apt install -y --no-install-recommends mesa-vulkan-drivers || { cat "$log" >&2; exit 1; }
