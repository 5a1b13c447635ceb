#!/bin/sh
# Runs everything on this machine's GPU: see README.md. Unpacks Node and Dawn, finds the Vulkan driver.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
fail() {
  echo "error: $*" >&2
  exit 1
}
machine="$(uname -s) $(uname -m)"
[ "$machine" = 'Linux x86_64' ] || fail "this pack is for Linux on x86-64, not $machine"

# Unpacked beside this file where it can be written, else in the folder for temporary files.
work=$here/.unpacked
if ! mkdir -p "$work" 2>/dev/null || [ ! -w "$work" ]; then work=$(mktemp -d); fi
mkdir -p "$work/dist/linux-x64" "$work/lib"
unpack() {
  [ -s "$2" ] && [ "$2" -nt "$1" ] && return
  gzip -dc "$1" >"$2.part" || fail "unpacking $1 failed: is gzip there, and is there room in $work?"
  mv "$2.part" "$2"
}
unpack "$here/files/node.gz" "$work/node"
unpack "$here/files/dawn.node.gz" "$work/dist/linux-x64/dawn.node"
chmod +x "$work/node"
cp "$here/files/pack.mjs" "$here/package.json" "$work/"

# Libraries that this system lacks: Vulkan's loader, and what NVIDIA's driver is linked with.
known=$( (ldconfig -p || /sbin/ldconfig -p) 2>/dev/null || true)
rm -f "$work"/lib/*
for file in "$here"/files/lib/*; do
  name=$(basename "$file")
  case $known in *"$name"*) ;; *) cp "$file" "$work/lib/$name" ;; esac
done
export LD_LIBRARY_PATH="$work/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"

# A driver file where the loader does not look: as containers have it, or none at all beside the library.
if [ -z "${VK_DRIVER_FILES:-}${VK_ICD_FILENAMES:-}" ] &&
  ! ls /usr/share/vulkan/icd.d/nvidia*.json /etc/vulkan/icd.d/nvidia*.json >/dev/null 2>&1; then
  if [ -e /usr/local/nvidia/share/vulkan/icd.d/nvidia_icd.json ]; then
    export VK_DRIVER_FILES=/usr/local/nvidia/share/vulkan/icd.d/nvidia_icd.json
  else
    case $known in
      *libGLX_nvidia.so.0*)
        printf '{"file_format_version":"1.0.0","ICD":{"library_path":"%s","api_version":"1.3.0"}}\n' \
          libGLX_nvidia.so.0 >"$work/nvidia_icd.json"
        export VK_DRIVER_FILES="$work/nvidia_icd.json"
        ;;
    esac
  fi
fi
export HOME="${HOME:-$work}" AAND_PACK="$here"
export XDG_CACHE_HOME="${XDG_CACHE_HOME:-$work/cache}"
exec "$work/node" "$work/pack.mjs" "$@"
