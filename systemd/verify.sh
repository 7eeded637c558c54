#!/bin/sh
# Lets systemd read the units of this folder, before anything is installed.  Any word it says is a fault.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
if ! command -v systemd-analyze >/dev/null; then
  echo "No systemd-analyze here; the units are not verified"
  exit 0
fi
units=$(mktemp -d)
trap 'rm -rf "$units"' EXIT
for unit in "$here"/*.service; do
  # What ExecStart and Documentation name is there only after the installation.
  sed 's#/opt/outpost/bin/outpost#/bin/true#; /^Documentation=/d' "$unit" >"$units/${unit##*/}"
done
said=$(systemd-analyze verify --man=no "$units"/*.service 2>&1) || true
# The verdict is on these units alone, not on what else this machine has.
said=$(printf '%s' "$said" | grep -F outpost || true)
[ -z "$said" ] || { printf '%s\n' "$said"; exit 1; }
systemd-analyze security --offline=true "$units"/*.service | grep -E 'Overall' || true
