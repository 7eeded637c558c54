"""RTP packets, encrypted and handed to the socket of whatever path holds now.

aiortc takes one packet at a time through five coroutines and three copies.  Here the packets of one
picture go in one call, each put together where libsrtp encrypts it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pylibsrtp
from aiortc import RTCDtlsTransport
from pylibsrtp import _binding

SLOT_BYTES = 1536
"""For one packet with its tag; a multiple of four, as libsrtp wants its packets to lie."""
TRAILER_BYTES = pylibsrtp.SRTP_MAX_TRAILER_LEN
CONNECTED = "connected"

_ffi: Any = _binding.ffi
_lib: Any = _binding.lib


class Datagrams:
    """One transport's way out.  Loop's thread."""

    def __init__(self, transport: RTCDtlsTransport) -> None:
        self._transport = transport
        self._slot = _ffi.new("char[]", SLOT_BYTES)
        self._bytes = _ffi.buffer(self._slot)
        self._length = _ffi.new("int *")

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
        send, to = pair.protocol.transport.sendto, pair.remote_addr
        for head, payload in packets:
            send(self._protected(session._srtp[0], head, payload), to)

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
