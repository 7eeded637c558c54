"""The serial ports of this machine: their names, who holds them, and whether we may open them."""

from __future__ import annotations

import contextlib
import grp
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from agent.doctor.finding import Finding, Level
from agent.doctor.holders import Holder, Holders

PART = "ports"
LINK_FOLDERS = ("outpost", "serial/by-id", "serial/by-path", "")
"""Of /dev, the best names first: they stay when an adapter is plugged in again."""
ADAPTERS = {
    "1a86:7523": "CH340", "1a86:5523": "CH341", "1a86:55d4": "CH9102", "10c4:ea60": "CP210x",
    "0403:6001": "FT232", "0403:6011": "FT4232", "0403:6015": "FT230X", "067b:2303": "PL2303",
    "067b:23a3": "PL2303",
}  # fmt: skip
"""USB chips that are nothing but serial ports."""
NAMELESS = ("CH340", "CH341", "PL2303")
"""Without a serial number: two of them have one by-id name between them."""


class SerialLine(msgspec.Struct, frozen=True, kw_only=True):
    """One port."""

    device: Path
    """The kernel's name, /dev/ttyUSB0."""
    links: tuple[str, ...] = ()
    """Other names of it, the best first."""
    usb: str = ""
    """VENDOR:PRODUCT."""
    title: str = ""
    """What the adapter says of itself."""
    holders: tuple[Holder, ...] = ()
    allowed: bool = True
    group: str = ""
    """Who may open it."""

    @property
    def name(self) -> str:
        """The name for a configuration."""
        # Two adapters without a serial number fight for the by-id name.
        nameless = ADAPTERS.get(self.usb) in NAMELESS
        stable = [link for link in self.links if not (nameless and "/by-id/" in link)]
        return next(iter(stable), str(self.device))


def find(root: Path = Path("/"), holders: Holders | None = None) -> list[SerialLine]:
    """Every port with something behind it.  `root`: where /sys and /dev are."""
    seen = Holders(root / "proc") if holders is None else holders
    links = _links(root / "dev")
    lines = [
        _line(entry, root, links, seen)
        for entry in sorted((root / "sys/class/tty").glob("*"))
        if (entry / "device").exists() and _is_wired(entry)
    ]
    return [line for line in lines if line.device.exists()]


def findings(
    lines: list[SerialLine], holders: Holders, root: Path = Path("/")
) -> Iterator[Finding]:
    """What is to be said of them."""
    for line in lines:
        data = {
            "device": str(line.device),
            "name": line.name,
            "links": list(line.links),
            "usb": " ".join(filter(None, (line.usb, ADAPTERS.get(line.usb, ""), line.title))),
        }
        if line.holders:
            data["holders"] = ", ".join(str(holder) for holder in line.holders)
            yield Finding(part=PART, code="port_held", level=Level.WARN, data=data)
        elif not line.allowed:
            data["group"] = line.group
            yield Finding(part=PART, code="port_denied", level=Level.BAD, data=data)
        else:
            yield Finding(part=PART, code="port_free", level=Level.GOOD, data=data)
    if not lines:
        yield Finding(part=PART, code="no_ports")
    for usb, path in _portless(root):
        taken = "brltty" in holders.running()
        yield Finding(
            part=PART, code="adapter_taken" if taken else "adapter_without_port", level=Level.BAD,
            data={"usb": f"{usb} {ADAPTERS[usb]}", "socket": path},
        )  # fmt: skip
    for name in holders.running():
        yield Finding(part=PART, code="busybody", level=Level.WARN, data={"name": name})
    if holders.hidden:
        yield Finding(part=PART, code="processes_hidden", data={"count": holders.hidden})


def describe(device: Path, root: Path = Path("/")) -> str:
    """Why `device` cannot be opened, as a code of words.py; empty: it can."""
    if not device.exists():
        return "port_absent"
    return "" if os.access(device, os.R_OK | os.W_OK) else "port_denied"


def group_of(device: Path) -> str:
    """The group that may open it."""
    with contextlib.suppress(OSError, KeyError):
        return grp.getgrgid(device.stat().st_gid).gr_name
    return ""


def _line(entry: Path, root: Path, links: dict[str, list[str]], seen: Holders) -> SerialLine:
    device = root / "dev" / entry.name
    usb, title = _usb(entry / "device")
    return SerialLine(
        device=device, links=tuple(links.get(entry.name, ())), usb=usb, title=title,
        holders=tuple(seen.of(device)), allowed=os.access(device, os.R_OK | os.W_OK),
        group=group_of(device),
    )  # fmt: skip


def _is_wired(entry: Path) -> bool:
    """The kernel makes ttyS0 to ttyS31 whether there are such chips or not; type 0 is none."""
    return _text(entry / "type") != "0"


def _links(dev: Path) -> dict[str, list[str]]:
    """Device name -> its other names."""
    found: dict[str, list[str]] = {}
    for folder in LINK_FOLDERS:
        for entry in sorted((dev / folder).glob("*")):
            if entry.is_symlink():
                found.setdefault(Path(os.path.realpath(entry)).name, []).append(str(entry))
    return found


def _usb(device: Path) -> tuple[str, str]:
    """(VENDOR:PRODUCT, title) of the USB device that a port is part of."""
    for folder in (real := device.resolve(), *real.parents):
        if (folder / "idVendor").is_file():
            title = f"{_text(folder / 'manufacturer')} {_text(folder / 'product')}"
            return f"{_text(folder / 'idVendor')}:{_text(folder / 'idProduct')}", title.strip()
    return "", ""


def _portless(root: Path) -> Iterator[tuple[str, str]]:
    """(VENDOR:PRODUCT, socket) of serial adapters whose port does not appear."""
    for folder in sorted((root / "sys/bus/usb/devices").glob("*-*")):
        usb = f"{_text(folder / 'idVendor')}:{_text(folder / 'idProduct')}"
        if usb in ADAPTERS and not [*folder.glob("*:*/tty*")]:
            yield usb, folder.name


def _text(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_text(encoding="utf-8", errors="replace").strip()
    return ""
