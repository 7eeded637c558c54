"""RTP packets, encrypted and handed to the socket of whatever path holds now.

aiortc takes one packet at a time through five coroutines and three copies.  Here the packets of one
picture go in one call, each put together where libsrtp encrypts it; those of one size leave in one
system call, and the kernel (Linux 4.18 and later) makes datagrams of them (UDP_SEGMENT, udp(7)).
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pylibsrtp
from aiortc import RTCDtlsTransport
from pylibsrtp import _binding

from agent.media.ways.closed import is_closed

SLOT_BYTES = 1536
"""For one packet with its tag; a multiple of four, as libsrtp wants its packets to lie."""
TRAILER_BYTES = pylibsrtp.SRTP_MAX_TRAILER_LEN
CONNECTED = "connected"
UDP_SEGMENT = 103
"""linux/udp.h; Python has no name for it."""
MAX_SEGMENTS = 40
"""In one call; the kernel takes 64, and 64 kB."""
CANNOT = {errno.EIO, errno.EINVAL, errno.EMSGSIZE, errno.ENOPROTOOPT, errno.EOPNOTSUPP}
"""What a kernel, a device or a tunnel says that does not do it."""

_ffi: Any = _binding.ffi
_lib: Any = _binding.lib


class Datagrams:
    """One transport's way out.  Loop's thread."""

    def __init__(self, transport: RTCDtlsTransport) -> None:
        self._transport = transport
        self._slot = _ffi.new("char[]", SLOT_BYTES)
        self._bytes = _ffi.buffer(self._slot)
        self._length = _ffi.new("int *")
        self._socket: socket.socket | None = None
        """A second handle of the path's socket: asyncio's own sends one datagram at a time."""
        self._socket_of: Any = None

    def send(self, packets: Iterable[tuple[bytes, bytes]]) -> None:
        """Heads and payloads, in the order in which they shall leave.  ConnectionError: there is
        no path.  What the network refuses is lost, as datagrams are."""
        transport = self._transport
        if transport.state != CONNECTED:
            raise ConnectionError("cannot send pictures: not connected")
        pair = transport.transport._connection._nominated.get(1)
        if pair is None:
            raise ConnectionError("cannot send pictures: there is no path")
        session: Any = transport._tx_srtp
        protected = [self._protected(session._srtp[0], *packet) for packet in packets]
        self._leave(pair.protocol.transport, pair.remote_addr, protected)

    def close(self) -> None:
        """May be called twice."""
        if self._socket is not None:
            self._socket.close()
        self._socket, self._socket_of = None, None

    def _leave(self, way: Any, to: Any, datagrams: Sequence[bytes]) -> None:
        if is_closed(way):
            # A path that is being replaced: its handle may be gone already.
            self.close()
            return
        if way is not self._socket_of:
            self._open(way)
        for alike in runs(datagrams):
            if len(alike) == 1 or not self._at_once(way, to, alike):
                for datagram in alike:
                    way.sendto(datagram, to)

    def _open(self, way: Any) -> None:
        """A path of its own socket; what goes through a TURN server has none."""
        self.close()
        self._socket_of = way
        if (shared := way.get_extra_info("socket")) is not None:
            self._socket = shared.dup()

    def _at_once(self, way: Any, to: Any, alike: Sequence[bytes]) -> bool:
        """False: nothing has left.  Whatever the reason, asyncio's way then tells it."""
        if self._socket is None or way.get_write_buffer_size():
            return False
        size = struct.pack("=H", len(alike[0]))
        try:
            self._socket.sendmsg(alike, [(socket.IPPROTO_UDP, UDP_SEGMENT, size)], 0, to)
        except OSError as error:
            if error.errno in CANNOT:
                self._socket.close()
                self._socket = None
            return False
        return True

    def _protected(self, srtp: Any, head: bytes, payload: bytes) -> bytes:
        begin, end = len(head), len(head) + len(payload)
        if end > SLOT_BYTES - TRAILER_BYTES:
            raise ValueError(f"an RTP packet of {end} bytes is too long")
        data, length = self._bytes, self._length
        data[0:begin] = head
        data[begin:end] = payload
        length[0] = end
        if fault := _lib.srtp_protect(srtp, self._slot, length):
            raise pylibsrtp.Error(pylibsrtp.ERRORS[fault])
        return bytes(data[0 : length[0]])


def runs(datagrams: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """In their order, as the kernel can cut them apart: all of one size but for a shorter last."""
    start, count = 0, len(datagrams)
    while start < count:
        size = len(datagrams[start])
        end = start + 1
        while end < min(count, start + MAX_SEGMENTS) and len(datagrams[end]) == size:
            end += 1
        if end < min(count, start + MAX_SEGMENTS) and len(datagrams[end]) < size:
            end += 1
        yield datagrams[start:end]
        start = end
