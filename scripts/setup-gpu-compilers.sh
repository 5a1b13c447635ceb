#!/usr/bin/env bash
# Builds what npm run check:gpu needs to compile kernels for GPUs that this machine does not have (Linux).
#   (no option)  Intel, Qualcomm Adreno, Arm Mali: Mesa's drivers with devices that do nothing. 8 minutes.
#   --apple      Apple M1: Mesa's driver. 4 minutes.
#   --nvidia     NVIDIA: a small Debian 13 beside this system with Mesa's driver; needs root. 2 minutes.
# AMD needs none of it: scripts/setup-system.sh --tests is enough. Everything is built once, from the source
# packages of this machine's own apt sources, and kept in the user's cache folder; removing that undoes it.
set -euo pipefail

kind=mesa
for argument in "$@"; do
  case "$argument" in
    --apple) kind=apple ;;
    --nvidia) kind=nvidia ;;
    *) echo "usage: setup-gpu-compilers.sh [--apple | --nvidia]" >&2; exit 2 ;;
  esac
done

say() { echo "setup: $*" >&2; }
fail() { say "$*"; exit 1; }

command -v apt-get >/dev/null || fail 'this needs apt (Debian 12 or later, or Ubuntu 24.04 or later)'
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null && sudo -n true 2>/dev/null || fail 'this needs root, or sudo without a password'
  as_root=(sudo)
fi
export DEBIAN_FRONTEND=noninteractive
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# What a step says is shown where it fails.
quietly() { "$@" >"$work/log" 2>&1 || { tail -n 15 "$work/log" >&2; fail "$1 failed"; }; }
install() { quietly "${as_root[@]}" apt-get install -y --no-install-recommends "$@"; }

cache=${XDG_CACHE_HOME:-$HOME/.cache}/aand-webgpu/gpu-compilers
mkdir -p "$cache"

# The first address of the machine's own sources.
first_source() {
  local uri
  uri=$(sed -n 's/^URIs: *\([^ ]*\).*/\1/p' /etc/apt/sources.list.d/*.sources 2>/dev/null | head -n 1)
  [ -n "$uri" ] ||
    uri=$(sed -nE 's/^deb (\[[^]]*\] )?([^ ]+) .*/\2/p' /etc/apt/sources.list /etc/apt/sources.list.d/*.list \
      2>/dev/null | head -n 1)
  echo "$uri"
}

if [ "$kind" = nvidia ]; then
  root=$cache/debian13
  [ -f "$root/ready" ] && { say "$root is there"; exit 0; }
  [ "$(id -u)" -eq 0 ] || fail '--nvidia needs root, here and when the check runs'
  # shellcheck disable=SC1091
  . /etc/os-release
  [ "${ID:-}" = debian ] || fail '--nvidia needs Debian, whose sources have Debian 13'
  source=$(first_source)
  [ -n "$source" ] || fail 'no apt source was found'
  command -v debootstrap >/dev/null || install debootstrap
  say 'installing a Debian 13 with the driver'
  rm -rf "$root"
  mkdir -p "$root"
  quietly debootstrap --variant=minbase \
    --include=libvulkan1,mesa-vulkan-drivers,mesa-drm-shim,libstdc++6 trixie "$root" "$source"
  touch "$root/ready"
  say "done: $root"
  exit 0
fi

target=$cache/mesa
ready=$target/ready
[ "$kind" = mesa ] || ready=$target/ready-$kind
[ -f "$ready" ] && { say "$target is there"; exit 0; }
mkdir -p "$target"

# The machine's own sources, once more as sources of source packages.
mkdir -p "$work/parts" "$work/lists/partial" "$work/source"
for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
  [ ! -f "$file" ] || sed -n 's/^deb /deb-src /p' "$file" >"$work/parts/$(basename "$file" .list).list"
done
for file in /etc/apt/sources.list.d/*.sources; do
  [ ! -f "$file" ] || sed 's/^Types:.*/Types: deb-src/' "$file" >"$work/parts/$(basename "$file")"
done
# Backports alone where there are any: their Mesa is the one that is installed.
if grep -lq backports "$work"/parts/* 2>/dev/null; then
  for file in "$work"/parts/*; do grep -q backports "$file" || rm "$file"; done
fi
apt=(apt-get -o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$work/parts"
  -o "Dir::State::Lists=$work/lists")
quietly "${as_root[@]}" "${apt[@]}" update
# The files of the packaging are not needed; where they are missing, the source is there all the same.
(cd "$work/source" && "${as_root[@]}" "${apt[@]}" source --download-only mesa >"$work/log" 2>&1) || true
archive=$(find "$work/source" -name 'mesa_*.orig.tar.*' ! -name '*.asc' | head -n 1)
[ -n "$archive" ] || { tail -n 5 "$work/log" >&2; fail "apt's sources did not give the source of Mesa"; }
version=$(basename "$archive" | sed -E 's/^mesa_(.*)\.orig.*/\1/')
[ "${version%%.*}" -ge 24 ] ||
  fail "Mesa $version is too old; on Debian 12 run scripts/setup-system.sh --tests first: it adds backports"

say "installing what builds Mesa $version"
install meson ninja-build gcc g++ libc6-dev python3-mako python3-yaml python3-packaging flex bison \
  libelf-dev libexpat1-dev zlib1g-dev pkg-config glslang-tools libxml2-dev xz-utils
# The headers must be those of the library that is installed.
install "libdrm-dev=$(dpkg-query -W -f '${Version}' libdrm2)"
new_meson() { /usr/bin/meson --version | awk -F. '{ exit !($1 > 1 || $2 >= 3) }'; }
if ! new_meson; then
  # shellcheck disable=SC1091
  . /etc/os-release
  install -t "${VERSION_CODENAME}-backports" meson
  new_meson || fail 'Mesa needs meson 1.3 or later'
fi

tar -xf "$archive" -C "$work"
cd "$work/mesa-$version"
printf "[binaries]\npython3 = '/usr/bin/python3'\npython = '/usr/bin/python3'\n" >native.ini
options=(-Dgallium-drivers= -Dplatforms= -Dglx=disabled -Degl=disabled -Dgbm=disabled -Dopengl=false
  -Dgles1=disabled -Dgles2=disabled -Dzstd=disabled -Dvideo-codecs= -Dbuildtype=release
  -Dc_args=-O1 -Dcpp_args=-O1)
if [ "$kind" = mesa ]; then
  drivers=(freedreno panfrost)
  # Intel's driver is the distribution's; only its device is built.
  options+=(-Dvulkan-drivers=intel_hasvk,freedreno,panfrost -Dfreedreno-kmds=msm -Dtools=drm-shim,intel
    -Dllvm=disabled)
  files=(src/intel/tools/libintel_noop_drm_shim.so
    src/freedreno/vulkan/libvulkan_freedreno.so src/freedreno/drm-shim/libfreedreno_noop_drm_shim.so
    src/panfrost/vulkan/libvulkan_panfrost.so src/panfrost/drm-shim/libpanfrost_noop_drm_shim.so)
else
  drivers=(asahi)
  install llvm-15-dev libclang-15-dev libclang-cpp15-dev libclc-15-dev libllvmspirvlib-15-dev spirv-tools \
    llvm-spirv-15 clang-15
  printf "llvm-config = '/usr/bin/llvm-config-15'\n" >>native.ini
  options+=(-Dvulkan-drivers=asahi -Dtools=drm-shim,asahi -Dllvm=enabled)
  files=(src/asahi/vulkan/libvulkan_asahi.so src/asahi/drm-shim/libasahi_noop_drm_shim.so)
  # Mesa 25.0 looks for no Apple device, because the kernel's interface was not settled when it came out. The
  # device that does nothing has the interface that it is built with.
  sed -i '/Blanket refusal to probe/{n;d}' src/asahi/vulkan/hk_physical_device.c
fi
say "building for ${drivers[*]}"
export PATH=/usr/bin:/bin
quietly meson setup build --native-file native.ini "${options[@]}"
quietly ninja -C build "${files[@]}"
for file in "${files[@]}"; do cp "build/$file" "$target/"; done
for driver in "${drivers[@]}"; do
  library=$target/libvulkan_$driver.so
  printf '{"ICD":{"api_version":"1.3.0","library_path":"%s"},"file_format_version":"1.0.0"}\n' "$library" \
    >"$target/$driver.json"
done
touch "$ready"
say "done: $target"
