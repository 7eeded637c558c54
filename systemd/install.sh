#!/bin/sh
# Installs, upgrades and removes the agent on a device.  Also stands in wheelhouse/, where it needs
# no checkout and no network.
#
#   install.sh install [WHEEL]   into /opt/outpost; the same again is an upgrade
#   install.sh uninstall         leaves /etc/outpost and /var/lib/outpost, unless PURGE=1
#
# Environment: EXTRAS   what the device carries (default media,console; add board on a Raspberry Pi; or none)
#              PYTHON   3.11 or newer (default python3)
#              DESTDIR  stage into this folder; users and services are then left alone
#              PIP_*    as pip reads them
set -eu

DESTDIR=${DESTDIR:-}
PYTHON=${PYTHON:-python3}
EXTRAS=${EXTRAS:-media,console}
PURGE=${PURGE:-}

here=$(cd "$(dirname "$0")" && pwd)
app=/opt/outpost
local_lib=$DESTDIR/usr/local/lib

die() {
  echo "outpost: $*" >&2
  exit 1
}

need_root() {
  [ -n "$DESTDIR" ] || [ "$(id -u)" -eq 0 ] || die "this writes to $app and /etc: run it as root"
}

systemd_runs() {
  [ -z "$DESTDIR" ] && [ -d /run/systemd/system ]
}

# A whole new environment beside the running one: a failure leaves the old version as it was.
build_app() {
  wheel=$1
  wanted=$wheel$([ "$EXTRAS" = none ] || echo "[$EXTRAS]")
  new=$DESTDIR$app.new
  rm -rf "$new"
  mkdir -p "${new%/*}"
  "$PYTHON" -m venv "$new" || die "$PYTHON has no venv: apt-get install python3-venv"
  set -- --quiet --disable-pip-version-check --no-compile
  for lock in "$here/requirements.lock" "$here/../requirements.lock"; do
    [ ! -f "$lock" ] || set -- "$@" -c "$lock"
  done
  for beside in "$here"/outpost-*.whl; do
    [ ! -f "$beside" ] || set -- "$@" --no-index --find-links "$here"
  done
  "$new/bin/python" -m pip install "$@" "$wanted" ||
    die "pip could not install $wanted; what was installed before is untouched"
  (cd / && "$new/bin/python" -c "import agent.__main__") || die "the new version does not start"
  # The scripts in bin/ and pyvenv.cfg hold the folder in which they were made.
  grep -rlIF "$new" "$new/bin" "$new/pyvenv.cfg" | xargs -r sed -i "s#$new#$app#g"
  "$new/bin/python" -m compileall -q -f -s "$new" -p "$app" "$new/lib" || true
}

# $1: folder of the wheel's data files.
place_files() {
  install -d "$local_lib/systemd/system" "$local_lib/udev/rules.d" "$local_lib/sysusers.d" \
    "$local_lib/tmpfiles.d" "$DESTDIR/usr/local/bin" "$DESTDIR/etc/outpost"
  install -m 0644 "$1"/systemd/*.service "$local_lib/systemd/system/"
  install -m 0644 "$1"/systemd/udev/*.rules "$local_lib/udev/rules.d/"
  install -m 0644 "$1/systemd/sysusers.d/outpost.conf" "$local_lib/sysusers.d/outpost.conf"
  install -m 0644 "$1/systemd/tmpfiles.d/outpost.conf" "$local_lib/tmpfiles.d/outpost.conf"
  version=$(systemctl --version 2>/dev/null | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
  if [ "${version:-0}" -ge 254 ]; then
    for unit in outpost outpost-console; do
      install -D -m 0644 "$1/systemd/backoff.conf" \
        "$local_lib/systemd/system/$unit.service.d/backoff.conf"
    done
  fi
  ln -sf "$app/bin/outpost" "$DESTDIR/usr/local/bin/outpost"
  for own in config/agent.toml systemd/console.env; do
    [ -e "$DESTDIR/etc/outpost/${own##*/}" ] ||
      install -m 0644 "$1/$own" "$DESTDIR/etc/outpost/${own##*/}"
  done
}

make_user() {
  [ -z "$DESTDIR" ] || return 0
  if ! command -v systemd-sysusers >/dev/null || ! command -v systemd-tmpfiles >/dev/null; then
    echo "No systemd here: the user outpost and its folders were not made" >&2
    return 0
  fi
  systemd-sysusers "$local_lib/sysusers.d/outpost.conf"
  systemd-tmpfiles --create "$local_lib/tmpfiles.d/outpost.conf"
}

do_install() {
  need_root
  "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    die "Python 3.11 or newer is needed, but $PYTHON is $("$PYTHON" --version 2>&1)"
  wheel=${1:-$(ls "$here"/outpost-*.whl 2>/dev/null | tail -n 1)}
  [ -f "$wheel" ] || die "no wheel: expected a file outpost-*.whl, but read '${1:-}'"
  had=$([ -d "$DESTDIR$app" ] && echo yes || echo no)
  build_app "$wheel"
  place_files "$DESTDIR$app.new/share/outpost"
  make_user
  rm -rf "$DESTDIR$app.old"
  [ "$had" = no ] || mv "$DESTDIR$app" "$DESTDIR$app.old"
  mv "$DESTDIR$app.new" "$DESTDIR$app"
  rm -rf "$DESTDIR$app.old"
  if systemd_runs; then
    systemctl daemon-reload
    udevadm control --reload && udevadm trigger --subsystem-match=tty --subsystem-match=gpio || true
    systemctl try-restart outpost.service outpost-console.service
  fi
  if [ "$had" = yes ]; then
    echo "Upgraded $DESTDIR$app; /etc/outpost is as it was"
  else
    echo "Installed into $DESTDIR$app.  Now:"
    echo "  edit /etc/outpost/agent.toml, then: outpost check /etc/outpost/agent.toml"
    echo "  systemctl enable --now outpost.service                        (outpost-console.service)"
  fi
}

do_uninstall() {
  need_root
  if systemd_runs; then
    systemctl disable --now outpost.service outpost-console.service 2>/dev/null || true
  fi
  rm -rf "$DESTDIR$app" "$DESTDIR$app.new" "$DESTDIR$app.old"
  for unit in outpost outpost-console; do
    rm -rf "$local_lib/systemd/system/$unit.service" "$local_lib/systemd/system/$unit.service.d"
  done
  rm -f "$local_lib/udev/rules.d/98-outpost.rules" "$local_lib/sysusers.d/outpost.conf" \
    "$local_lib/tmpfiles.d/outpost.conf" "$DESTDIR/usr/local/bin/outpost"
  if systemd_runs; then
    systemctl daemon-reload
  fi
  if [ "$PURGE" = 1 ]; then
    rm -rf "$DESTDIR/etc/outpost" "$DESTDIR/var/lib/outpost"
    if [ -z "$DESTDIR" ] && getent passwd outpost >/dev/null; then
      userdel outpost
    fi
    echo "Removed, with configuration and records"
  else
    echo "Removed; /etc/outpost and /var/lib/outpost are left (PURGE=1 removes them)"
  fi
}

case ${1:-} in
  install) do_install "${2:-}" ;;
  uninstall) do_uninstall ;;
  *) die "expected 'install [WHEEL]' or 'uninstall', but read '${1:-}'" ;;
esac
