"""One serial line on a pseudo-terminal, with its faults on demand.

`Line` is what a twin writes its frames to; a client opens `link` as it would open a serial device.
What a pty does not do (drivers/sim users should know): it has no baud rate, no parity, no framing
errors and no modem lines.  Everything here is for Linux.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import random
import struct
import termios
import tty
from collections import deque
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

_READ_MAX = 4096

UNREAD_LIMIT = 3072
"""Bytes that may wait for a client.  Below the 4096 of the kernel's line discipline: what it
cannot hold waits in buffers behind it, where the flush that a client does at open would not reach,
and the client would take minutes-old frames for fresh ones."""

_NOISE_MARKS = b"\xff$!BM\x01\x00"
"""Noise begins with bytes that begin frames too, so that a reader must find its place again."""

_PENDING_MAX = 1000

_FREE_S = 0.2
"""How often a dead client's hold on the pty (TIOCEXCL) is lifted."""


class Fault(StrEnum):
    """What may go wrong on a line."""

    GARBAGE = "garbage"
    """Noise in front of the next frame; the frame itself comes whole behind it."""
    CUT_FRAME = "cut_frame"
    """The second half of the next frame is lost."""
    BAD_CHECKSUM = "bad_checksum"
    """The last character of the next frame's checksum is wrong."""
    SILENCE = "silence"
    """No byte leaves the instrument, until `restore`."""
    UNPLUG = "unplug"
    """The adapter is pulled: clients see EIO or an end of file, the link is gone."""
    REPLUG = "replug"
    """The adapter is back: a new pty under the same link."""
    RESTORE = "restore"
    """All faults are lifted: pending ones forgotten, silence ended, the line plugged in."""


class LineCounters(msgspec.Struct):
    """What a line has carried since it was made."""

    frames: int = 0
    """Frames that reached the pty, whole or spoilt."""
    bytes_written: int = 0
    bytes_dropped: int = 0
    """Lost because nobody read, the line was silent or unplugged, or a frame was cut."""
    bytes_read: int = 0
    faults: int = 0
    """Frames spoilt on purpose."""


def spoil_checksum(frame: bytes) -> bytes:
    """`frame` with the last character of its checksum changed (before a CR LF, where it has one).

    A hexadecimal digit stays one, so that a text protocol's checksum is wrong and not malformed.
    """
    body = frame.rstrip(b"\r\n") if frame.endswith(b"\r\n") else frame
    tail = frame[len(body) :]
    if not body:
        return frame
    last = body[-1]
    if tail and chr(last) in "0123456789abcdefABCDEF":
        return body[:-1] + b"%X" % (int(chr(last), 16) ^ 1) + tail
    return body[:-1] + bytes((last ^ 0x01,)) + tail


class Line:
    """The instrument's end of one pty; use as `async with Line(link) as line`.

    Plugged in from entry to exit.  A slave descriptor is kept open, so that clients may come and go
    without the twin seeing a hang-up.
    """

    def __init__(self, link: Path, *, noise_seed: int = 0) -> None:
        self.link = Path(link)
        self.counters = LineCounters()
        self._noise = random.Random(noise_seed)
        self._pending: deque[Fault] = deque()
        self._silent = False
        self._master = -1
        self._slave = -1
        self._device = ""
        self._changed: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        self._plug()
        self._free()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._unplug()

    @property
    def plugged(self) -> bool:
        """False between `unplug` and `replug`, and outside of `async with`."""
        return self._master >= 0

    @property
    def silent(self) -> bool:
        """True from `silence` to `restore`."""
        return self._silent

    async def read(self) -> bytes:
        """What a client has written: 1 to 4096 bytes, as soon as there are any.

        Waits while the line is unplugged.  One reader at a time.
        """
        while True:
            if self.plugged:
                data = self._take()
                if data:
                    self.counters.bytes_read += len(data)
                    return data
            await self._wait()

    async def write(self, data: bytes) -> None:
        """Send one frame, with the faults that are due.  Never blocks, never raises for a fault:

        what a client leaves unread beyond `UNREAD_LIMIT` is dropped and counted, as on a real
        line, where nobody keeps the bytes of a closed port.
        """
        if self._silent or not self.plugged:
            self.counters.bytes_dropped += len(data)
            return
        fault = self._pending.popleft() if self._pending else None
        if fault is not None:
            self.counters.faults += 1
        self._send(self._spoilt(data, fault), whole=len(data))

    def inject(self, fault: Fault, n: int = 1) -> None:
        """Bring a fault about.  `n`: how many frames garbage, cut_frame, bad_checksum spoil."""
        match Fault(fault):
            case Fault.GARBAGE | Fault.CUT_FRAME | Fault.BAD_CHECKSUM as spoil:
                if n < 1 or len(self._pending) + n > _PENDING_MAX:
                    raise ValueError(
                        f"{spoil}: n is {n}, expected 1 to {_PENDING_MAX - len(self._pending)}"
                    )
                self._pending.extend([spoil] * n)
            case Fault.SILENCE:
                self._silent = True
            case Fault.UNPLUG:
                self._unplug()
            case Fault.REPLUG:
                self._plug()
            case Fault.RESTORE:
                self._pending.clear()
                self._silent = False
                self._plug()

    def _spoilt(self, frame: bytes, fault: Fault | None) -> bytes:
        match fault:
            case Fault.GARBAGE:
                return _NOISE_MARKS + self._noise.randbytes(24) + frame
            case Fault.CUT_FRAME:
                return frame[: len(frame) // 2]
            case Fault.BAD_CHECKSUM:
                return spoil_checksum(frame)
            case _:
                return frame

    def _send(self, data: bytes, *, whole: int) -> None:
        sent = 0
        if self.unread + len(data) <= UNREAD_LIMIT:
            try:
                sent = os.write(self._master, data)
            except BlockingIOError:
                sent = 0
        if sent:
            self.counters.frames += 1
        self.counters.bytes_written += sent
        self.counters.bytes_dropped += max(whole, len(data)) - sent

    @property
    def unread(self) -> int:
        """Bytes that wait at the client's end; 0 while unplugged."""
        if not self.plugged:
            return 0
        answer = fcntl.ioctl(self._slave, termios.FIONREAD, struct.pack("i", 0))
        return int(struct.unpack("i", answer)[0])

    def _take(self) -> bytes:
        try:
            return os.read(self._master, _READ_MAX)
        except BlockingIOError:
            return b""
        except OSError as error:
            if error.errno == errno.EIO:  # only while no slave is open, and ours always is
                return b""
            raise

    async def _wait(self) -> None:
        """Until the master can be read, or the line has been plugged in or out."""
        if self._changed is not None:
            raise RuntimeError(f"{self.link}: a twin's line has one reader, and this is a second")
        loop = asyncio.get_running_loop()
        self._changed = loop.create_future()
        if self.plugged:
            loop.add_reader(self._master, self._wake)
        try:
            await self._changed
        finally:
            self._changed = None
            if self.plugged:
                loop.remove_reader(self._master)

    def _free(self) -> None:
        """Let the next client in, whatever became of the last one.

        A serial device forgets TIOCEXCL at its last close; a pty keeps it as long as its master
        lives, so that after a kill -9 nobody but root could open it again.
        """
        if self.plugged:
            fcntl.ioctl(self._slave, termios.TIOCNXCL)
        self._timer = asyncio.get_running_loop().call_later(_FREE_S, self._free)

    def _wake(self) -> None:
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)

    def _plug(self) -> None:
        if self.plugged:
            return
        if self.link.exists() and not self.link.is_symlink():
            raise FileExistsError(f"{self.link}: is a file, expected a free path or an old link")
        if not self.link.parent.is_dir():
            raise FileNotFoundError(
                f"{self.link.parent}: no such folder, needed for the line's link"
            )
        master, slave = os.openpty()
        try:
            # Both ends: by default a pty echoes, waits for whole lines and turns \n into \r\n.
            tty.setraw(slave)
            tty.setraw(master)
            os.set_blocking(master, False)
            device = os.ttyname(slave)
            fresh = self.link.with_name(f".{self.link.name}.{os.getpid()}")
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(device)
            fresh.replace(self.link)
        except OSError:
            os.close(master)
            os.close(slave)
            raise
        self._master, self._slave, self._device = master, slave, device
        self._wake()

    def _unplug(self) -> None:
        if not self.plugged:
            return
        if self._changed is not None:
            self._changed.get_loop().remove_reader(self._master)
        # The link first: its pts number may be another pty's as soon as the master is closed.
        if self.link.is_symlink() and os.readlink(self.link) == self._device:
            self.link.unlink()
        master, slave = self._master, self._slave
        self._master = self._slave = -1
        os.close(slave)
        os.close(master)
        self._wake()
