"""Datagrams to and from whoever is on the same link: IPv4 multicast on every interface that is up.

One hop only (TTL 1), so nothing leaves the incident's own network.  Interfaces come and go: what is
up is looked at each `LOOK_S`.  A link that carries no multicast is served by `peers`.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from agent.neighbours.packet import DATAGRAM_MAX

log = logging.getLogger(__name__)

LOOK_S = 3.0
TURN_MAX = 32
"""Datagrams read in one turn of the loop: a flood waits in the kernel, which drops it."""
RECEIVE_BYTES = 128 * 1024
_UP, _LOOPBACK, _MULTICAST = 0x1, 0x8, 0x1000
_MULTICAST_ALL = 49
"""IP_MULTICAST_ALL (linux/in.h): at 0 only what was joined on this very socket comes."""
_INTERFACES = Path("/sys/class/net")

Peer = tuple[str, int]


def interfaces(wanted: Sequence[str]) -> dict[str, int]:
    """Name and index of what is up, loopback only where it is asked for or alone."""
    up: dict[str, int] = {}
    loopback: dict[str, int] = {}
    for index, name in socket.if_nameindex():
        flags = _flags(name)
        if flags & _UP and (not wanted or name in wanted):
            (loopback if flags & _LOOPBACK and name not in wanted else up)[name] = index
    return up or loopback


def is_loopback(name: str) -> bool:
    return bool(_flags(name) & _LOOPBACK)


def is_multicast(name: str) -> bool:
    """Whether its link can carry multicast at all."""
    return bool(_flags(name) & _MULTICAST)


def _flags(name: str) -> int:
    try:
        return int((_INTERFACES / name / "flags").read_text(), 16)
    except (OSError, ValueError):
        # It has gone between the two looks.
        return 0


class Radio:
    """`async with Radio(...)`; OSError where the port cannot be had.  `hear(data, host)` is called
    for each datagram, in the loop's thread."""

    def __init__(
        self,
        group: str,
        port: int,
        hear: Callable[[bytes, str], None],
        *,
        wanted: Sequence[str] = (),
        peers: Sequence[Peer] = (),
    ) -> None:
        self.joined: dict[str, int] = {}
        self.sent = self.unsent = self.oversized = 0
        self._group = group
        self._port = port
        self._hear = hear
        self._wanted = wanted
        self._peers = peers
        self._troubles: set[str] = set()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    async def __aenter__(self) -> Self:
        plug = self._socket
        try:
            plug.setblocking(False)
            # Several units on one machine, as in a drill, hear the same group.
            plug.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            plug.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
            plug.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            plug.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)
            plug.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
            plug.setsockopt(socket.IPPROTO_IP, _MULTICAST_ALL, 0)
            plug.bind(("", self._port))
        except OSError as error:
            plug.close()
            raise OSError(error.errno, f"neighbours: UDP port {self._port}: {error}") from error
        self.look()
        asyncio.get_running_loop().add_reader(plug, self._readable)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    def look(self) -> None:
        """Join on what has come up, forget what is down."""
        now = interfaces(self._wanted)
        for name in [name for name, index in self.joined.items() if now.get(name) != index]:
            index = self.joined.pop(name)
            with contextlib.suppress(OSError):
                self._socket.setsockopt(
                    socket.IPPROTO_IP, socket.IP_DROP_MEMBERSHIP, self._membership(index)
                )
        for name, index in now.items():
            if name in self.joined:
                continue
            try:
                self._socket.setsockopt(
                    socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, self._membership(index)
                )
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    self._say(f"{name}: cannot join {self._group}: {error}")
                    continue
            self.joined[name] = index
            log.info("neighbours: listening on %s, %s:%d", name, self._group, self._port)

    def send(self, data: bytes) -> None:
        """To all; never waits.  What cannot be sent is counted: the next datagram says the same."""
        for index in self.joined.values():
            with self._counted(f"multicast on interface {index}"):
                self._socket.setsockopt(
                    socket.IPPROTO_IP, socket.IP_MULTICAST_IF, self._outgoing(index)
                )
                self._socket.sendto(data, (self._group, self._port))
        for peer in self._peers:
            with self._counted(f"peer {peer[0]}"):
                self._socket.sendto(data, peer)

    @contextlib.contextmanager
    def _counted(self, where: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.unsent += 1
            self._say(f"{where}: {error}")
        else:
            self.sent += 1

    def _readable(self) -> None:
        for _ in range(TURN_MAX):
            try:
                data, (host, _port) = self._socket.recvfrom(DATAGRAM_MAX + 1)
            except BlockingIOError:
                return
            except OSError as error:
                # An ICMP answer to what was sent to a peer.
                self._say(f"receiving: {error}")
                return
            if len(data) > DATAGRAM_MAX:
                self.oversized += 1
                self._say(f"more than {DATAGRAM_MAX} bytes came from {host}")
                continue
            self._hear(data, host)

    def _say(self, trouble: str) -> None:
        """Once each: a radio that is out of order would fill the log."""
        if trouble not in self._troubles and len(self._troubles) < 64:
            self._troubles.add(trouble)
            log.warning("neighbours: %s", trouble)

    def _membership(self, index: int) -> bytes:
        """struct ip_mreqn."""
        return struct.pack("=4s4si", socket.inet_aton(self._group), bytes(4), index)

    def _outgoing(self, index: int) -> bytes:
        return struct.pack("=4s4si", bytes(4), bytes(4), index)
