"""What aiortc's receiving side lacks, for our own viewer: a frame is given out when its last packet
is there (aiortc waits for the next frame's first), and transport-wide feedback is sent.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from aiortc import RTCRtpTransceiver
from aiortc.jitterbuffer import JitterBuffer, JitterFrame
from aiortc.rtp import RtpPacket

from agent.media.link import twcc

EVERY_S = 0.1
"""Between two messages, as Chromium does at such rates."""
MAX_HELD = 2048

_remove_frame = JitterBuffer._remove_frame


def _remove_frame_early(self: JitterBuffer, sequence_number: int) -> JitterFrame | None:
    frame = _remove_frame(self, sequence_number)
    if frame is not None or not self._is_video or self._origin is None:
        return frame
    packets: list[RtpPacket] = []
    for count in range(self._capacity):
        packet = self._packets[(self._origin + count) % self._capacity]
        if packet is None or packet.timestamp != (packets or [packet])[0].timestamp:
            return None
        packets.append(packet)
        if packet.marker:
            self.remove(len(packets))
            data = b"".join(getattr(p, "_data", b"") for p in packets)
            return JitterFrame(data=data, timestamp=packet.timestamp)
    return None


def install() -> None:
    """For this process.  May be called twice."""
    JitterBuffer._remove_frame = _remove_frame_early  # type: ignore[method-assign]


class TransportFeedback:
    """Reports what arrives over one transceiver's transport, until cancelled."""

    def __init__(self, transceiver: RTCRtpTransceiver) -> None:
        self._transport = transceiver.receiver.transport
        self._arrivals: dict[int, float] = {}
        self._unwrap = twcc.Unwrapper()
        self._next: int | None = None
        self._number = 0
        handle: Callable[..., Awaitable[None]] = self._transport._handle_rtp_data

        async def handle_rtp(data: bytes, arrival_time_ms: int) -> None:
            self._take(data)
            await handle(data, arrival_time_ms=arrival_time_ms)

        self._transport._handle_rtp_data = handle_rtp  # type: ignore[method-assign]

    def _take(self, data: bytes) -> None:
        with suppress(ValueError):
            packet = RtpPacket.parse(data, self._transport._rtp_header_extensions_map)
            seq = packet.extensions.transport_sequence_number
            if seq is not None and len(self._arrivals) < MAX_HELD:
                self._arrivals[self._unwrap.unwrap(seq)] = time.monotonic() * 1000

    async def run(self) -> None:
        """Send what there is, ten times a second."""
        while True:
            await asyncio.sleep(EVERY_S)
            arrivals = {s: at for s, at in self._arrivals.items() if s >= (self._next or 0)}
            self._arrivals.clear()
            if not arrivals:
                continue
            base = min(arrivals) if self._next is None else self._next
            if max(arrivals) - base >= twcc.MAX_PACKETS:
                base = min(arrivals)
            self._next = max(arrivals) + 1
            message = twcc.build(1, 1, self._number, base, arrivals)
            self._number = self._number + 1 & 0xFF
            with suppress(ConnectionError):
                await self._transport._send_rtp(message)
