"""A twin's line as a UDP port of this machine: one frame is one datagram, to who asked last.

The same faults, as they are with datagrams: noise comes as one of its own, a cut one is short, and
one whose checksum is wrong is thrown away by the kernel and never arrives.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Any

from drivers.sim.line import Fault
from drivers.sim.socketline import SocketLine

_DATAGRAM_MAX = 8192


class UdpLine(SocketLine):
    """`async with UdpLine() as line`; a client sends to `line.port` of 127.0.0.1."""

    def __init__(self, *, port: int = 0, noise_seed: int = 0) -> None:
        super().__init__("udp", port, noise_seed=noise_seed)
        self._socket: socket.socket | None = None
        self._asker: Any = None

    @property
    def plugged(self) -> bool:
        return self._socket is not None

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

    def _hand_over(self, data: bytes) -> int:
        if self._socket is None or self._asker is None or not data:
            return 0
        return self._socket.sendto(data, self._asker)

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
