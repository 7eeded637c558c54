"""Tells when an address or a link of this machine changes (rtnetlink, no rights needed)."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)

LINK, IPV4_ADDRESS, IPV4_ROUTE, IPV6_ADDRESS = 0x1, 0x10, 0x40, 0x100
"""RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV4_ROUTE, RTMGRP_IPV6_IFADDR (rtnetlink(7))."""
SETTLE_S = 0.05
"""One change is many messages."""
MAX_READS = 64


class Interfaces:
    """Listeners are called in the loop's thread, once for each burst of changes."""

    def __init__(self) -> None:
        self._listeners: set[Callable[[], None]] = set()
        self._due: asyncio.TimerHandle | None = None

    @contextmanager
    def listening(self, listener: Callable[[], None]) -> Iterator[None]:
        self._listeners.add(listener)
        try:
            yield
        finally:
            self._listeners.discard(listener)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """While inside.  Where the kernel has no rtnetlink, nothing is ever told: a path that dies
        is then noticed by its silence alone."""
        try:
            line = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
            line.bind((0, LINK | IPV4_ADDRESS | IPV4_ROUTE | IPV6_ADDRESS))
        except OSError as error:
            log.warning("changes of the network are not seen: %s", error)
            yield
            return
        line.setblocking(False)
        loop = asyncio.get_running_loop()
        loop.add_reader(line, self._read, line, loop)
        try:
            yield
        finally:
            loop.remove_reader(line)
            line.close()
            if self._due is not None:
                self._due.cancel()

    def _read(self, line: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
        for _ in range(MAX_READS):
            try:
                line.recv(65536)
            except BlockingIOError:
                break
            except OSError as error:
                log.debug("rtnetlink: %s", error)  # ENOBUFS: more changed than was read
                break
        if self._due is None:
            self._due = loop.call_later(SETTLE_S, self._tell)

    def _tell(self) -> None:
        self._due = None
        for listener in list(self._listeners):
            listener()


INTERFACES = Interfaces()
"""Those of this process."""
