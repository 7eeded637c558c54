#!/bin/sh
# Brings the programs that some tests use and pip cannot install.  Never fails: a test whose program
# is absent is skipped, and says so.
set -u

wanted=""
command -v mosquitto >/dev/null || [ -x /usr/sbin/mosquitto ] || wanted="$wanted mosquitto"
command -v nats-server >/dev/null || [ -x /usr/sbin/nats-server ] || wanted="$wanted nats-server"
command -v chromium >/dev/null || wanted="$wanted chromium"
command -v ffprobe >/dev/null || wanted="$wanted ffmpeg"
command -v exiftool >/dev/null || wanted="$wanted libimage-exiftool-perl"
command -v espeak-ng >/dev/null || wanted="$wanted espeak-ng"
command -v ip >/dev/null || [ -x /sbin/ip ] || wanted="$wanted iproute2"
command -v turnserver >/dev/null || wanted="$wanted coturn"
[ -n "$(ls /usr/lib/*/gstreamer-1.0/libgstwebrtc.so 2>/dev/null)" ] ||
  wanted="$wanted gstreamer1.0-plugins-bad gstreamer1.0-nice gstreamer1.0-plugins-good gstreamer1.0-libav gir1.2-gst-plugins-bad-1.0 python3-gi"
# Playwright's own Node links to it; a bare Debian lacks it.
[ -n "$(ls /usr/lib/*/libatomic.so.1 /usr/lib*/libatomic.so.1 2>/dev/null)" ] ||
  wanted="$wanted libatomic1"
[ -n "$(ls -d /usr/share/fonts/opentype/noto/NotoSansCJK* /usr/share/fonts/truetype/wqy/* 2>/dev/null)" ] ||
  wanted="$wanted fonts-noto-cjk"
# A real RTSP server, for cameras; Debian's own Python has its bindings.
/usr/bin/python3 -c 'import gi; gi.require_version("GstRtspServer", "1.0")' 2>/dev/null ||
  wanted="$wanted gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-ugly gstreamer1.0-plugins-bad"
[ -n "$wanted" ] || exit 0

if ! command -v apt-get >/dev/null; then
  echo "No apt-get here; tests that need these are skipped:$wanted"
  exit 0
fi
as_root=""
if [ "$(id -u)" -ne 0 ]; then
  if ! sudo -n true 2>/dev/null; then
    echo "Neither root nor sudo without a password; tests that need these are skipped:$wanted"
    exit 0
  fi
  as_root="sudo -n"
fi
echo "Installing$wanted"
log=$(mktemp)
apt="$as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120"
# One by one, so that one absent package does not keep the others away.
# shellcheck disable=SC2086  # words are meant
$apt update >"$log" 2>&1
for package in $wanted; do
  # shellcheck disable=SC2086
  $apt install -y --no-install-recommends "$package" >>"$log" 2>&1 ||
    { tail -n 3 "$log"; echo "$package could not be installed; its tests are skipped"; }
done
rm -f "$log"
