"""Which program holds a device, by /proc."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

BUSYBODIES = ("ModemManager", "brltty", "gpsd")
"""Programs that open serial adapters by themselves."""

MASTERS = {"/dev/ptmx", "/dev/pts/ptmx"}


class Holder(msgspec.Struct, frozen=True):
    pid: int
    name: str

    def __str__(self) -> str:
        return f"{self.name} (pid {self.pid})"


class Holders:
    """One look at all processes."""

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self.hidden = 0
        """Processes of other users, whose files cannot be seen."""
        self.names: dict[int, str] = {}
        self._by_device: dict[str, list[Holder]] = {}
        own = os.getpid()
        for folder in proc.iterdir():
            if folder.name.isdigit() and int(folder.name) != own:
                self._look_at(folder)

    def of(self, device: Path) -> list[Holder]:
        """Who has `device` open, under whichever of its names."""
        return self._by_device.get(str(device.resolve()), [])

    def running(self, names: tuple[str, ...] = BUSYBODIES) -> list[str]:
        """Those of `names` that run at all."""
        there = set(self.names.values())
        return [name for name in names if name in there]

    def _look_at(self, folder: Path) -> None:
        pid = int(folder.name)
        # Processes end while they are looked at.
        with contextlib.suppress(OSError):
            self.names[pid] = (
                (folder / "comm").read_text(encoding="utf-8", errors="replace").strip()
            )
            try:
                opened = set(_opened(folder / "fd"))
            except PermissionError:
                self.hidden += 1
                return
            if opened & MASTERS:
                # A twin keeps its pty's near end open as well: it is the instrument, and no rival.
                opened = {device for device in opened if not device.startswith("/dev/pts/")}
            for device in opened:
                self._by_device.setdefault(device, []).append(Holder(pid, self.names[pid]))


def _opened(folder: Path) -> Iterator[str]:
    for entry in folder.iterdir():
        with contextlib.suppress(OSError):
            target = os.readlink(entry)
            if target.startswith("/dev/"):
                yield target
