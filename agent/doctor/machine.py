"""Cameras, sound, GPIO, network, clock and disk of this machine, as the kernel shows them."""

from __future__ import annotations

import array
import contextlib
import fcntl
import os
import re
import shutil
import socket
import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from agent.clock import UnitClock
from agent.doctor.finding import Finding, Level
from agent.messages import Clock

_CARD = re.compile(r"\s*(\d+) \[(\S+)\s*\]: (.*)")
_GPIO_GET_CHIPINFO = 0x8044B401
"""linux/gpio.h: struct gpiochip_info, name[32], label[32], lines."""
_SIOCGIFADDR = 0x8915
_DISK_LOW = 0.1
_CLOCK_WORDS = {Clock.NTP: "clock_ntp", Clock.RTC: "clock_rtc", Clock.FREE: "clock_free"}


def findings(root: Path = Path("/"), store: Path = Path("/var/lib/outpost")) -> Iterator[Finding]:
    """Everything but the ports."""
    yield from cameras(root)
    yield from sound(root)
    yield from gpio(root)
    yield from network(root)
    yield clock()
    yield disk(store)


def cameras(root: Path) -> Iterator[Finding]:
    count = 0
    for entry in sorted((root / "sys/class/video4linux").glob("video*"), key=_numbered):
        device = root / "dev" / entry.name
        if not device.exists():
            continue
        count += 1
        allowed = os.access(device, os.R_OK | os.W_OK)
        # A UVC camera has a second node for its metadata, which gives no pictures.
        index = _text(entry / "index")
        yield Finding(
            part="cameras", code="camera" if allowed else "camera_denied",
            level=Level.GOOD if allowed else Level.BAD,
            data={"device": str(device), "title": _text(entry / "name"), "node": index or "0"},
        )  # fmt: skip
    if not count:
        yield Finding(part="cameras", code="no_cameras")


def sound(root: Path) -> Iterator[Finding]:
    text = _text(root / "proc/asound/cards")
    cards = [match for line in text.splitlines() if (match := _CARD.fullmatch(line))]
    for match in cards:
        number = int(match[1])
        data = {"number": number, "id": match[2], "title": match[3].strip()}
        nodes = list((root / "dev/snd").glob(f"pcmC{number}D*"))
        if any(not os.access(node, os.R_OK | os.W_OK) for node in nodes):
            yield Finding(part="sound", code="sound_denied", level=Level.BAD, data=data)
            continue
        yield Finding(part="sound", code=_does(root, number), level=Level.GOOD, data=data)
    if not cards:
        yield Finding(part="sound", code="no_sound")


def _does(root: Path, card: int) -> str:
    """Whether a card records, plays, or both: lines as `00-00: ALC256 : ... : playback 1 :
    capture 1`."""
    text = _text(root / "proc/asound/pcm")
    lines = [line for line in text.splitlines() if line.startswith(f"{card:02}-")]
    records, plays = (
        any(f": {word} " in line for line in lines) for word in ("capture", "playback")
    )
    if records:
        return "sound_both" if plays else "sound_records"
    return "sound_plays" if plays else "sound_card"


def gpio(root: Path) -> Iterator[Finding]:
    chips = sorted((root / "dev").glob("gpiochip*"), key=_numbered)
    for chip in chips:
        allowed = os.access(chip, os.R_OK | os.W_OK)
        label, lines = _chip_info(chip)
        yield Finding(
            part="gpio", code="gpio_chip" if allowed else "gpio_denied",
            level=Level.GOOD if allowed else Level.BAD,
            data={"device": str(chip), "label": label, "lines": lines},
        )  # fmt: skip
    if not chips:
        yield Finding(part="gpio", code="no_gpio")


def _chip_info(chip: Path) -> tuple[str, int]:
    info = array.array("B", bytes(68))
    with contextlib.suppress(OSError):
        handle = os.open(chip, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.ioctl(handle, _GPIO_GET_CHIPINFO, info)
        finally:
            os.close(handle)
    data = info.tobytes()
    return data[32:64].rstrip(b"\0").decode("ascii", "replace"), int(
        struct.unpack("I", data[64:])[0]
    )


def network(root: Path) -> Iterator[Finding]:
    for entry in sorted((root / "sys/class/net").glob("*")):
        if entry.name == "lo" or not (entry / "operstate").exists():
            continue
        up = _text(entry / "operstate") in ("up", "unknown") and _text(entry / "carrier") != "0"
        data = {
            "name": entry.name,
            "address": _address(entry.name),
            "kind": "wlan" if (entry / "wireless").exists() else "",
        }
        yield Finding(
            part="network", code="interface_up" if up else "interface_down",
            level=Level.GOOD if up else Level.NOTE, data=data,
        )  # fmt: skip
    route = _default_route(_text(root / "proc/net/route"))
    if route is None:
        yield Finding(part="network", code="no_route", level=Level.WARN)
    else:
        data = {"gateway": route[1], "name": route[0]}
        yield Finding(part="network", code="route", level=Level.GOOD, data=data)


def _address(name: str) -> str:
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        question = struct.pack("256s", name.encode()[:15])
        return socket.inet_ntoa(fcntl.ioctl(asked.fileno(), _SIOCGIFADDR, question)[20:24])
    return ""


def _default_route(table: str) -> tuple[str, str] | None:
    """(interface, gateway) of the IPv4 route to everywhere with the least metric."""
    rows = [line.split() for line in table.splitlines()[1:]]
    routes = [row for row in rows if len(row) > 7 and row[1] == row[7] == "00000000"]
    if not routes:
        return None
    best = min(routes, key=lambda row: int(row[6]))
    return best[0], socket.inet_ntoa(struct.pack("=I", int(best[2], 16)))


def clock() -> Finding:
    source = UnitClock().source
    code = _CLOCK_WORDS.get(source, "clock_free")
    level = {"clock_ntp": Level.GOOD, "clock_rtc": Level.NOTE}.get(code, Level.WARN)
    data = {"now": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}"}
    return Finding(part="clock", code=code, level=level, data=data)


def disk(store: Path) -> Finding:
    """Of the folder of the store, or the nearest above it that there is."""
    folder = next(path for path in (store.absolute(), *store.absolute().parents) if path.exists())
    usage = shutil.disk_usage(folder)
    low = usage.free < _DISK_LOW * usage.total
    return Finding(
        part="disk", code="disk_low" if low else "disk", level=Level.WARN if low else Level.GOOD,
        data={
            "folder": str(folder), "free_mb": usage.free // 2**20, "total_mb": usage.total // 2**20
        },
    )  # fmt: skip


def _numbered(path: Path) -> tuple[int, str]:
    return int("".join(filter(str.isdigit, path.name)) or 0), path.name


def _text(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_text(encoding="utf-8", errors="replace").rstrip("\n")
    return ""
