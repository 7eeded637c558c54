"""What has passed over a TCP connection, as the kernel counts it."""

from __future__ import annotations

import socket
import struct

SEGMENT_BYTES = 52
"""Headers of a segment: IPv4 20, TCP 20, time stamps 12."""
_INFO_BYTES = 256
_RECEIVED, _SEGMENTS, _SENT = 128, 136, 200
"""Where Linux (4.19 and later, include/uapi/linux/tcp.h) has tcpi_bytes_received, tcpi_segs_out and
tcpi_segs_in, tcpi_bytes_sent."""


def passed(fileno: int) -> tuple[int, int]:
    """Bytes sent and received since the connection was made, headers of TCP and IP and what was
    sent twice included: what a bill counts.  OSError: no open TCP connection, or a kernel that does
    not count."""
    with socket.socket(fileno=socket.dup(fileno)) as twin:
        info = twin.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_BYTES)
    if len(info) < _SENT + 8:
        raise OSError(f"the kernel tells {len(info)} bytes of a connection, not what has passed")
    (received,) = struct.unpack_from("=Q", info, _RECEIVED)
    segments_out, segments_in = struct.unpack_from("=II", info, _SEGMENTS)
    (sent,) = struct.unpack_from("=Q", info, _SENT)
    return sent + SEGMENT_BYTES * segments_out, received + SEGMENT_BYTES * segments_in
