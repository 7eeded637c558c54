"""Lines that come over a network: raw serial servers, RFC 2217 serial servers, NMEA over UDP.

    tcp://HOST:PORT          a raw serial server, gpsd, a Modbus TCP instrument
    rfc2217://HOST:PORT      a serial server that also takes the line's settings
    udp://[ADDRESS]:PORT     datagrams to this machine (all its addresses where none is given);
                             ?from=ADDRESS takes only those of one sender

Each satisfies `drivers.Port`.  Nothing here blocks the loop: a name is looked up in the loop's own
thread, and only an address needs no lookup.
"""

from __future__ import annotations

import abc
import asyncio
import contextlib
import errno
import ipaddress
import logging
import os
import re
import socket
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from . import rfc2217
from .port import READ_MAX, WAITING_MAX, WRITE_TIMEOUT_S, PortError

log = logging.getLogger(__name__)

SCHEMES = ("tcp", "rfc2217", "udp")
CONNECT_TIMEOUT_S = 5.0
"""To look up, to connect, and (RFC 2217) to agree."""
DATAGRAM_MAX = 4096
"""A longer one is no instrument's, and is dropped whole."""
SENDER_SILENT_S = 10.0
"""A UDP port hears one sender; another one only when that has been silent for so long."""

_KEEPALIVE_S = 5
_KEEPALIVE_TRIES = 3

_SENTENCES = {
    errno.ECONNREFUSED: "nobody listens there; is the port's number right?",
    errno.EHOSTUNREACH: "no such host in this network; is it on, and is this its address?",
    errno.ENETUNREACH: "there is no way to this network; is the cable plugged in?",
    errno.ETIMEDOUT: "it does not answer; is it on, and is this its address?",
    errno.EADDRINUSE: "in use by another program",
    errno.EADDRNOTAVAIL: "this machine has no such address",
    errno.EACCES: "permission denied; ports below 1024 are the system's",
    errno.ECONNRESET: "the far end has broken the connection",
    errno.EPIPE: "the far end has broken the connection",
}
_NUMBERED = re.compile(r"\[Errno (\d+)\]")
_ENDED = "the far end has ended the connection"


class Address(msgspec.Struct, frozen=True):
    """A network port's name, taken apart."""

    scheme: str
    host: str
    """Empty: all addresses of this machine (UDP only)."""
    port: int
    sender: str = ""
    """The only one that is listened to (UDP only)."""


def parse(device: str) -> Address:
    """ValueError: a sentence that says what was read and expected."""
    form = "expected tcp://HOST:PORT, rfc2217://HOST:PORT or udp://[ADDRESS]:PORT"
    try:
        parts = urlsplit(device)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise ValueError(f"{device}: {error}; {form}") from None
    if parts.scheme not in SCHEMES:
        raise ValueError(f"{device}: unknown kind of port {parts.scheme!r}; {form}")
    if not port or parts.path or parts.fragment or parts.username is not None:
        raise ValueError(f"{device}: {form}")
    options = parse_qs(parts.query, keep_blank_values=True)
    sender = options.pop("from", [""])[-1] if parts.scheme == "udp" else ""
    if options:
        raise ValueError(f"{device}: unknown option {sorted(options)[0]!r}; {form}")
    if parts.scheme != "udp":
        if not host:
            raise ValueError(f"{device}: names no host; {form}")
        return Address(parts.scheme, host, port)
    for text in filter(None, (host, sender)):
        try:
            multicast = ipaddress.ip_address(text).is_multicast
        except ValueError:
            raise ValueError(f"{device}: expected an IP address, read {text!r}") from None
        if multicast:
            raise ValueError(f"{device}: {text} is a multicast group, which is not supported")
    return Address("udp", host, port, sender)


class NetPort(abc.ABC):
    """What the ports of a network have in common: a bounded buffer, and how they are lost."""

    def __init__(self, device: str) -> None:
        self.device = device
        self._loop = asyncio.get_running_loop()
        self._waiting = bytearray()
        self._reader: asyncio.Future[None] | None = None
        self._lost: PortError | None = None
        self._closed = False

    async def read(self) -> bytes:
        """At least one byte, at most `READ_MAX`, as soon as there are any.

        Raises PortError (an OSError) when the far end is lost; what it had sent is given first.
        """
        while not self._waiting:
            self._check("read")
            if self._reader is not None:
                raise RuntimeError(f"{self.device}: another task is already reading this port")
            self._reader = self._loop.create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        data = bytes(self._waiting[:READ_MAX])
        del self._waiting[: len(data)]
        self._taken()
        return data

    def discard_input(self) -> int:
        """Throw away what waits to be read here; returns how many bytes."""
        count = len(self._waiting)
        self._waiting.clear()
        self._taken()
        return count

    def close(self) -> None:
        """May be called more than once."""
        if not self._closed:
            self._closed = True
            self._abort()
            self._wake()

    @abc.abstractmethod
    def _taken(self) -> None:
        """Bytes have left the buffer."""

    @abc.abstractmethod
    def _abort(self) -> None:
        """Give the socket back, at once."""

    def _check(self, what: str) -> None:
        if self._lost is not None:
            raise self._lost
        if self._closed:
            raise PortError(f"{self.device}: {what} after close", errno.EBADF)

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def _lose(self, why: str, code: int | None = None) -> None:
        if self._lost is None and not self._closed:
            self._lost = PortError(f"{self.device}: connection lost: {why}", code)
        self._wake()


class TcpPort(NetPort, asyncio.Protocol):
    """A connection; with `telnet`, one to an RFC 2217 server."""

    def __init__(self, device: str, telnet: rfc2217.Telnet | None = None) -> None:
        super().__init__(device)
        self._telnet = telnet
        self._transport: asyncio.Transport | None = None
        self._changed = asyncio.Event()
        self._full = False

    # -- what the loop calls ---------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        # So that `write` returns when the kernel has all.
        transport.set_write_buffer_limits(0)
        keep_alive(transport.get_extra_info("socket"))
        if self._telnet is not None:
            transport.write(self._telnet.hello())

    def data_received(self, data: bytes) -> None:
        if self._telnet is not None:
            data, reply = self._telnet.feed(data)
            if reply and self._transport is not None:
                self._transport.write(reply)
            self._changed.set()
        self._waiting += data
        if len(self._waiting) > WAITING_MAX and self._transport is not None:
            self._transport.pause_reading()
        if self._waiting:
            self._wake()

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        self._changed.set()

    def connection_lost(self, exc: Exception | None) -> None:
        code = exc.errno if isinstance(exc, OSError) else None
        self._lose(_ENDED if exc is None else _reason(exc), code)
        self._changed.set()

    # -- what a driver calls ---------------------------------------------------------------------

    async def write(self, data: bytes) -> None:
        """Returns when the kernel has taken all of it, in order.

        Raises PortError when the far end is lost, or takes nothing for `WRITE_TIMEOUT_S`.
        """
        self._check("write")
        assert self._transport is not None
        self._transport.write(data if self._telnet is None else rfc2217.escape(data))
        try:
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                while self._full and self._lost is None:
                    await self._change()
        except TimeoutError:
            self._lose(f"it took no more within {WRITE_TIMEOUT_S:g} s", errno.ETIMEDOUT)
            self._transport.abort()
        self._check("write")

    async def agree(self) -> None:
        """Until an RFC 2217 server has confirmed the line's settings.  PortError: it will not."""
        telnet = self._telnet
        while telnet is not None and not telnet.ready:
            if telnet.refusal:
                raise PortError(f"cannot open {self.device}: {telnet.refusal}", errno.EINVAL)
            self._check("open")
            await self._change()

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def _taken(self) -> None:
        if self._transport is not None and len(self._waiting) <= WAITING_MAX:
            self._transport.resume_reading()

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()


class UdpPort(NetPort, asyncio.DatagramProtocol):
    """Datagrams of one sender, one behind the other.  Nothing can be written.

    Without a connection nothing can be lost either: a sender that is gone is silent.
    """

    def __init__(self, device: str, sender: str = "") -> None:
        super().__init__(device)
        self.dropped = 0
        """Datagrams: too long, of another sender, or more than `WAITING_MAX` allows."""
        self._only = sender
        self._sender = sender
        self._heard = 0.0
        self._refused: set[str] = set()
        self._transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        room = len(data) <= DATAGRAM_MAX and len(self._waiting) + len(data) <= WAITING_MAX
        if not data or not self._listens_to(str(addr[0])) or not room:
            # Whole: half a datagram could join with the next into a sentence nobody has sent.
            self.dropped += 1
            return
        self._waiting += data
        self._wake()

    def error_received(self, exc: Exception) -> None:
        self._lose(_reason(exc), exc.errno if isinstance(exc, OSError) else None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lose("closed" if exc is None else _reason(exc))

    async def write(self, data: bytes) -> None:
        """PortError, always."""
        raise PortError(f"{self.device}: nothing can be written to it, it only listens")

    def _listens_to(self, host: str) -> bool:
        """Two receivers on one port would make a vehicle jump between two places."""
        now = time.monotonic()
        if host != self._sender:
            silent = now - self._heard > SENDER_SILENT_S
            if self._only or (self._sender and not silent):
                if host not in self._refused and len(self._refused) < 16:
                    self._refused.add(host)
                    log.warning(
                        "%s: hears %s, and does not listen to %s", self.device, self._sender, host
                    )
                return False
            self._sender = host
        self._heard = now
        return True

    def _taken(self) -> None:
        """A datagram that finds no room is dropped; none is held back."""

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.close()


@contextlib.asynccontextmanager
async def connected(
    device: str, *, baudrate: int = 9600, bytesize: int = 8, parity: str = "N", stopbits: float = 1
) -> AsyncIterator[TcpPort | UdpPort]:
    """The port `device`, opened.  The settings are told to an RFC 2217 server, and nobody else.

    Raises PortError (an OSError) with a sentence.
    """
    try:
        address = parse(device)
    except ValueError as error:
        raise PortError(str(error), errno.EINVAL) from None
    telnet = None
    if address.scheme == "rfc2217":
        telnet = rfc2217.Telnet(
            baudrate=baudrate, bytesize=bytesize, parity=parity, stopbits=stopbits
        )
    port: TcpPort | UdpPort
    port = UdpPort(device, address.sender) if address.scheme == "udp" else TcpPort(device, telnet)
    try:
        await _open(port, address)
        yield port
    finally:
        port.close()
        # The loop closes a socket one turn after it was told.
        await asyncio.sleep(0)


async def _open(port: TcpPort | UdpPort, address: Address) -> None:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            if isinstance(port, UdpPort):
                where = (address.host or "0.0.0.0", address.port)
                await loop.create_datagram_endpoint(lambda: port, local_addr=where)
            else:
                await loop.create_connection(lambda: port, address.host, address.port)
                await port.agree()
    except TimeoutError as error:
        why = _SENTENCES[errno.ETIMEDOUT]
        if isinstance(port, TcpPort) and port._transport is not None:
            why = "it does not speak RFC 2217; is it a raw server (tcp://)?"
        raise PortError(f"cannot open {port.device}: {why}", errno.ETIMEDOUT) from error
    except PortError:
        raise
    except OSError as error:
        raise PortError(f"cannot open {port.device}: {_reason(error)}", error.errno) from error


def _reason(error: Exception) -> str:
    if isinstance(error, socket.gaierror):
        return f"no such host: {error.strerror}"
    # A name with several addresses gives the errors of all of them as text, and no number.
    found = _NUMBERED.search(str(error))
    code = getattr(error, "errno", None) or (int(found[1]) if found else None)
    return str(error) if code is None else _SENTENCES.get(code, os.strerror(code))


def keep_alive(sock: socket.socket) -> None:
    """A server that loses its power says nothing: ask, and notice within some 20 s."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEPALIVE_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _KEEPALIVE_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _KEEPALIVE_TRIES)
    # Of a question that nobody acknowledges, too.
    whole_ms = 1000 * _KEEPALIVE_S * (_KEEPALIVE_TRIES + 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, whole_ms)
