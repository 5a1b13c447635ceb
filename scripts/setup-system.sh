#!/usr/bin/env bash
# Makes sure that the operating system gives what the project needs:
#   a Vulkan loader and a driver that Dawn accepts (a GPU's, or Mesa's lavapipe 24 or newer), and,
#   with --tests, what the tests run beside it: Chromium, Firefox, redis-server, mosquitto with its
#   clients, ffmpeg, curl, openssl, and for npm run check:gpu a C compiler, Vulkan's headers and Mesa's
#   driver for AMD GPUs.
# Installs through apt as root or through sudo; anything else gets a message that says what to install.
set -euo pipefail

tests=no
for argument in "$@"; do
  case "$argument" in
    --tests) tests=yes ;;
    *) echo "usage: setup-system.sh [--tests]" >&2; exit 2 ;;
  esac
done

say() { echo "setup: $*" >&2; }
fail() { say "$*"; exit 1; }

icd_folders="${VK_DRIVER_FILES:-} /usr/share/vulkan/icd.d /etc/vulkan/icd.d /usr/local/share/vulkan/icd.d"

has_loader() { { ldconfig -p 2>/dev/null || /sbin/ldconfig -p; } | grep -q 'libvulkan\.so\.1'; }
has_gpu_driver() {
  # A render node with a vendor driver beside it is taken as a GPU; lavapipe alone is not.
  compgen -G '/dev/dri/renderD*' >/dev/null || [ -e /dev/nvidia0 ] || return 1
  # shellcheck disable=SC2086
  ls $icd_folders 2>/dev/null | grep '\.json$' | grep -qv lvp
}
mesa_version() { dpkg-query -W -f '${Version}' mesa-vulkan-drivers 2>/dev/null || echo 0; }
mesa_is_new() { [ "$(mesa_version | sed -E 's/^[0-9]+://; s/[^0-9].*//')" -ge 24 ]; }

need=()
from_backports=()
has_loader || need+=(libvulkan1)
if ! has_gpu_driver && ! mesa_is_new; then from_backports+=(mesa-vulkan-drivers); fi
if [ "$tests" = yes ]; then
  command -v chromium >/dev/null || command -v google-chrome >/dev/null ||
    [ -n "${CHROMIUM:-}" ] || need+=(chromium)
  command -v firefox-esr >/dev/null || command -v firefox >/dev/null ||
    [ -n "${FIREFOX:-}" ] || need+=(firefox-esr)
  command -v redis-server >/dev/null || need+=(redis-server)
  { command -v mosquitto || [ -x /usr/sbin/mosquitto ]; } >/dev/null || need+=(mosquitto)
  command -v mosquitto_sub >/dev/null || need+=(mosquitto-clients)
  command -v ffmpeg >/dev/null || need+=(ffmpeg)
  command -v curl >/dev/null || need+=(curl)
  command -v openssl >/dev/null || need+=(openssl)
  command -v gcc >/dev/null || need+=(gcc)
  [ -f /usr/include/stdio.h ] || need+=(libc6-dev)
  [ -f /usr/include/vulkan/vk_layer.h ] || need+=(libvulkan-dev)
  # Beside a GPU's own driver it may be missing.
  compgen -G '/usr/share/vulkan/icd.d/radeon_icd*.json' >/dev/null || [ ${#from_backports[@]} -gt 0 ] ||
    from_backports+=(mesa-vulkan-drivers)
fi
if [ ${#need[@]} -eq 0 ] && [ ${#from_backports[@]} -eq 0 ]; then exit 0; fi

wanted="${need[*]} ${from_backports[*]}"
command -v apt-get >/dev/null || fail "please install with your package manager: $wanted (Mesa 24 or newer)"
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! { command -v sudo >/dev/null && sudo -n true 2>/dev/null; }; then
    again="sudo bash scripts/setup-system.sh"
    if [ "$tests" = yes ]; then again+=" --tests"; fi
    fail "root rights are needed; please run: $again"
  fi
  as_root=(sudo)
fi

# shellcheck source=/dev/null
. /etc/os-release

# Debian's backports come from wherever this machine's own apt sources come from: no mirror is written down
# here.
add_backports() {
  local suite="${VERSION_CODENAME}-backports" target=/etc/apt/sources.list.d/aand-backports.list uri key
  grep -rqs "$suite" /etc/apt/sources.list /etc/apt/sources.list.d && return 0
  read -r uri key < <(
    find /etc/apt/sources.list.d /etc/apt/sources.list -type f \( -name '*.sources' -o -name '*.list' \) \
      -exec sh -c 'for f; do cat "$f"; echo; done' sh {} + 2>/dev/null |
      awk -v code="$VERSION_CODENAME" '
        /^[[:space:]]*$/ { stanza() }
        /^URIs:/ { uri = $2 }
        /^Suites:/ { suites = " " substr($0, 8) " " }
        /^Signed-By:/ { key = $2 }
        /^deb / {
          signed = ""
          if (match($0, /signed-by=[^] ]*/)) signed = substr($0, RSTART + 10, RLENGTH - 10)
          sub(/\[[^]]*\] */, "")
          if ($3 == code && found == "") found = $2 " " signed
        }
        function stanza() {
          if (uri != "" && index(suites, " " code " ") && found == "") found = uri " " key
          uri = suites = key = ""
        }
        END { stanza(); print found }
      '
  ) || true
  [ -n "${uri:-}" ] ||
    fail "no apt source for $VERSION_CODENAME found; please install mesa-vulkan-drivers 24 or newer"
  echo "deb${key:+ [signed-by=$key]} $uri $suite main" | "${as_root[@]}" tee "$target" >/dev/null
}

say "installing $wanted"
if [ ${#from_backports[@]} -gt 0 ] && [ "${ID:-}" = debian ] && [ "${VERSION_ID%%.*}" -le 12 ]; then
  add_backports
  target=(-t "${VERSION_CODENAME}-backports")
fi
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
"${as_root[@]}" apt-get update >"$log" 2>&1 || { cat "$log" >&2; fail "apt-get update failed"; }
install() {
  "${as_root[@]}" apt-get install -y --no-install-recommends "$@" >"$log" 2>&1 || {
    tail -n 20 "$log" >&2
    fail "apt-get install $* failed"
  }
}
[ ${#from_backports[@]} -eq 0 ] || install "${target[@]}" "${from_backports[@]}"
[ ${#need[@]} -eq 0 ] || install "${need[@]}"
mesa_is_new || has_gpu_driver ||
  fail "Mesa $(mesa_version) is too old for WebGPU: please install mesa-vulkan-drivers 24 or newer"
say "done"
