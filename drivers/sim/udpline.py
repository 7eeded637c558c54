"""A twin's line as a UDP port of this machine: one frame is one datagram, to who asked last.

The same faults, as they are with datagrams: noise comes as one of its own, a cut one is short, and
one whose checksum is wrong is thrown away by the kernel and never arrives.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from drivers.sim.line import Fault, Line

_DATAGRAM_MAX = 8192


class UdpLine(Line):
    """`async with UdpLine() as line`; a client sends to `line.port` of 127.0.0.1."""

    def __init__(self, *, port: int = 0, noise_seed: int = 0) -> None:
        super().__init__(Path(f"udp-{port}"), noise_seed=noise_seed)
        self.port = port
        """0 becomes a free one at entry, and stays the same through `replug`."""
        self._socket: socket.socket | None = None
        self._asker: Any = None
        self._turn = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._plug()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._unplug()

    @property
    def plugged(self) -> bool:
        return self._socket is not None

    @property
    def unread(self) -> int:
        """What the kernel holds for a client is not ours to count."""
        return 0

    async def read(self) -> bytes:
        """The next datagram; waits while there is none."""
        while True:
            if self._socket is not None:
                with contextlib.suppress(OSError):
                    data, self._asker = self._socket.recvfrom(_DATAGRAM_MAX)
                    self.counters.bytes_read += len(data)
                    return data
            self._turn.clear()
            await self._turn.wait()

    def _spoilt(self, frame: bytes, fault: Fault | None) -> bytes:
        if fault is Fault.BAD_CHECKSUM:
            return b""
        if fault is Fault.GARBAGE:
            noise = super()._spoilt(b"", fault)
            self._send(noise, whole=0)
            return frame
        return super()._spoilt(frame, fault)

    def _send(self, data: bytes, *, whole: int) -> None:
        sent = 0
        if self._socket is not None and self._asker is not None and data:
            with contextlib.suppress(OSError):
                sent = self._socket.sendto(data, self._asker)
        if sent:
            self.counters.frames += 1
        self.counters.bytes_written += sent
        self.counters.bytes_dropped += max(whole, len(data)) - sent

    def _plug(self) -> None:
        if self.plugged:
            return
        plugged = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        plugged.bind(("127.0.0.1", self.port))
        plugged.setblocking(False)
        self.port = plugged.getsockname()[1]
        self._socket = plugged
        asyncio.get_running_loop().add_reader(plugged, self._turn.set)
        self._turn.set()

    def _unplug(self) -> None:
        if self._socket is None:
            return
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
        self._socket = None
