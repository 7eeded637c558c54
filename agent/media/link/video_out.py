"""Sends one viewer the pictures of a camera.

Stands in for aiortc's sender, which packs each picture again for each viewer, sends it in one
burst and knows neither pacing nor transport-wide feedback.  Here a picture was packed once; a
viewer costs a header, the encryption and the system call.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from aiortc import RTCDtlsTransport, RTCRtpSender, clock
from aiortc.rtcrtpparameters import RTCRtpSendParameters
from aiortc.rtp import (
    RTCP_PSFB_APP,
    RTCP_PSFB_FIR,
    RTCP_PSFB_PLI,
    RTCP_RTPFB_NACK,
    AnyRtcpPacket,
    RtcpByePacket,
    RtcpPsfbPacket,
    RtcpReceiverInfo,
    RtcpRrPacket,
    RtcpRtpfbPacket,
    RtcpSdesPacket,
    RtcpSenderInfo,
    RtcpSourceInfo,
    RtcpSrPacket,
    unpack_remb_fci,
)

from agent.media.encoded import Encoded
from agent.media.fanout import ClosedError, Subscription
from agent.media.link import copies, rtp
from agent.media.link.copies import Copies, Kept
from agent.media.link.datagrams import Datagrams
from agent.media.link.departure import HEADER_BYTES, Departure
from agent.media.link.link import (
    PROBE_FACTOR,
    PROBE_LEAST,
    PROBE_PACKETS,
    PROBE_S,
    Link,
)
from agent.media.link.pacing import Pacer

HISTORY = 1024
"""Packets kept for retransmission: a 1080p keyframe and the second after it."""
REPORT_S = (0.5, 1.5)
JITTER_S = 0.010
"""Below this a path is smooth."""
MAX_PLAYOUT_S = 1.5
PLAYOUT_REPEATS, PLAYOUT_EVERY = 10, 30
"""Pictures: the first ones after a change, and between two reminders."""


class VideoOut:
    """`subscribe` is called when the path is up: who never connects costs no encoding."""

    def __init__(
        self, sender: RTCRtpSender, subscribe: Callable[[], Subscription], link: Link
    ) -> None:
        self.link = link
        self.subscription: Subscription | None = None
        self.wanted_kbit_s = 0.0
        """What the camera could make use of; above the estimate it is probed for."""
        self.pictures = 0
        self._subscribe = subscribe
        self._ssrc = sender._ssrc
        self._rtx_ssrc = sender._rtx_ssrc
        self._transport: RTCDtlsTransport = sender.transport
        self._datagrams = Datagrams(sender.transport)
        self._sender = sender
        self._tasks: list[asyncio.Task[None]] = []
        self._history: deque[Kept] = deque(maxlen=HISTORY)
        self._beginnings = 0
        self._copies = Copies()
        self._seq = random.randrange(1 << 15)
        self._rtx_seq = random.randrange(1 << 15)
        self._stream = rtp.Stream(self._ssrc, 0)
        self._rtx: rtp.Stream | None = None
        self._extensions = rtp.Extensions((), "")
        self._departure = Departure(link)
        self._repairs = self._departure.repairs
        self._cname = ""
        self._playout: tuple[float, float] | None = None
        """What the receiver was last asked for."""
        self._untold = 0
        """So many pictures more are to tell it; below 0: so many have not."""
        self._octets = self._packets = 0
        self._reported: tuple[int, float] | None = None
        sender.send = self.send  # type: ignore[method-assign]
        sender.stop = self.stop  # type: ignore[method-assign]

    # What aiortc calls.

    async def send(self, parameters: RTCRtpSendParameters) -> None:
        """The path is up."""
        if self._tasks:
            return
        self._transport = self._sender.transport
        self._datagrams.close()
        self._datagrams = Datagrams(self._transport)
        codec = parameters.codecs[0]
        self._stream = rtp.Stream(self._ssrc, codec.payloadType or 0)
        for other in parameters.codecs:
            if other.name.lower() == "rtx" and other.parameters.get("apt") == codec.payloadType:
                self._rtx = rtp.Stream(self._rtx_ssrc, other.payloadType or 0)
        self._extensions = rtp.Extensions(parameters.headerExtensions, parameters.muxId)
        self._cname = parameters.rtcp.cname or ""
        self.link.attach(self._transport)
        self._transport._register_rtp_sender(self, parameters)
        self.subscription = self._subscribe()
        self._tasks = [
            asyncio.create_task(self._run(), name="video out"),
            asyncio.create_task(self._report(), name="video reports"),
            asyncio.create_task(self._copy(), name="video copies"),
        ]

    async def stop(self) -> None:
        if self._tasks:
            self._transport._unregister_rtp_sender(self)
        if self.subscription is not None:
            self.subscription.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._datagrams.close()
        if self._tasks:
            await self._send_rtcp([RtcpByePacket(sources=[self._ssrc])])
            self._tasks = []

    async def _handle_rtcp_packet(self, packet: AnyRtcpPacket) -> None:
        match packet:
            case RtcpRrPacket() | RtcpSrPacket():
                for report in packet.reports:
                    if report.ssrc == self._ssrc:
                        self._take_report(report)
            case RtcpRtpfbPacket(fmt=fmt) if fmt == RTCP_RTPFB_NACK:
                self._resend(packet.lost)
            case RtcpPsfbPacket(fmt=fmt) if fmt in (RTCP_PSFB_PLI, RTCP_PSFB_FIR):
                if self.subscription is not None:
                    self.subscription.request_keyframe()
            case RtcpPsfbPacket(fmt=fmt) if fmt == RTCP_PSFB_APP:
                with suppress(ValueError):
                    bits_per_s, ssrcs = unpack_remb_fci(packet.fci)
                    if self._ssrc in ssrcs:
                        self.link.estimator.remb(bits_per_s / 1000)

    def take(self, subscription: Subscription) -> None:
        """From now on pictures from there (another camera)."""
        old, self.subscription = self.subscription, subscription
        if old is not None:
            old.close()

    # Pictures.

    async def _run(self) -> None:
        with suppress(ConnectionError):
            while self.subscription is not None:
                taken = self.subscription
                try:
                    await self._picture(await taken.get())
                except ClosedError:
                    if taken is self.subscription:
                        return
                if self.link.probe_is_due(self.wanted_kbit_s, time.monotonic()):
                    await self._probe()

    async def _picture(self, picture: Encoded) -> None:
        """What may leave at once leaves in one call."""
        now = time.monotonic()
        departure = self._departure
        departure.set_pace(now)
        held_s = departure.hold_s(now)
        playout_s = self._told_again(self._playout_s(), picture)
        doubles, beginnings = self.doubles, self._beginnings
        left = len(picture.payloads)
        ready: list[tuple[bytes, bytes]] = []
        for payload in picture.payloads:
            left -= 1
            if held_s or departure.pace_s(len(payload), now):
                self._datagrams.send(ready)
                ready.clear()
                await self._paced(len(payload))
                if beginnings != self._beginnings:
                    # A keyframe stands for the rest of this one.
                    return
                now, held_s = time.monotonic(), 0.0
            seq, self._seq = self._seq, self._seq + 1 & 0xFFFF
            kept = Kept(seq, picture.timestamp, not left, payload)
            self._history.append(kept)
            ready.append((self._head(self._stream, kept, now, playout_s), payload))
            if doubles:
                self._copies.add(kept)
            playout_s = None
            self._octets += len(payload)
            self._packets += 1
        self._datagrams.send(ready)
        self.pictures += 1
        if picture.keyframe:
            self._repairs.keyframe_bytes = len(picture.data)

    @property
    def doubles(self) -> bool:
        """All is sent twice, so pictures may have half of the link."""
        return self._rtx is not None and self.link.estimator.is_lossy_and_far

    async def _copy(self) -> None:
        with suppress(ConnectionError):
            while True:
                kept = await self._copies.get()
                await self._paced(len(kept.payload))
                # Who has noticed the gap has asked before this one can arrive.
                self._repairs.sent(kept.seq, time.monotonic())
                self._send_again(kept)

    async def _paced(self, size: int, pacer: Pacer | None = None) -> None:
        """Returns when so much may leave."""
        while wait_s := self._departure.wait_s(size, time.monotonic(), pacer):
            await asyncio.sleep(wait_s)
            self._departure.set_pace(time.monotonic())

    def _playout_s(self) -> tuple[float, float]:
        """None while the path is smooth; else room for its jitter, and for a retransmission."""
        estimator = self.link.estimator
        if estimator.is_clean(time.monotonic()) and estimator.jitter_s < JITTER_S:
            return (0.0, 0.0)
        repair_s = 1.5 * estimator.rtt_s if estimator.loss > 0 else 0.0
        if self.doubles:
            repair_s = 2 * copies.AFTER_S
        return (0.0, min(0.1 + 4 * estimator.jitter_s + repair_s, MAX_PLAYOUT_S))

    def _told_again(
        self, playout_s: tuple[float, float], picture: Encoded
    ) -> tuple[float, float] | None:
        """A receiver keeps what it was told last, but may have missed it: new values are told with
        several pictures, others with keyframes and now and then.  None: not now."""
        if playout_s != self._playout:
            self._playout, self._untold = playout_s, PLAYOUT_REPEATS
        self._untold -= 1
        if self._untold > 0 or picture.keyframe or self._untold <= -PLAYOUT_EVERY:
            self._untold = max(self._untold, 0)
            return playout_s
        return None

    def _head(
        self,
        stream: rtp.Stream,
        kept: Kept,
        now: float,
        playout_s: tuple[float, float] | None = None,
    ) -> bytes:
        """Of a packet that leaves now."""
        seq, timestamp, marker, payload = kept
        number = self.link.number(len(payload) + HEADER_BYTES, now)
        extensions = self._extensions.block(number, now, playout_s)
        return rtp.head(stream, seq, timestamp, marker=marker, extensions=extensions)

    # Again.

    def _resend(self, lost: list[int]) -> None:
        now = time.monotonic()
        estimator, repairs = self.link.estimator, self._repairs
        asked = [kept for seq in lost if (kept := self._kept(seq)) is not None]
        if not repairs.asked(asked, now) and self._begin_again():
            return
        for kept in asked:
            due = repairs.is_due(kept.seq, estimator.rtt_s, now)
            if due and self._departure.may_repeat(len(kept.payload), now):
                repairs.sent(kept.seq, now)
                with suppress(ConnectionError):
                    self._send_again(kept)

    def _begin_again(self) -> bool:
        """With a keyframe; what was sent before it need not be sent again, nor what waits.  False
        where keyframes come when they come."""
        if self.subscription is None or self.subscription.fanout.remembers:
            return False
        self._beginnings += 1
        self._history.clear()
        self._repairs.give_up()
        self.subscription.restart()
        return True

    def _kept(self, seq: int) -> Kept | None:
        if not self._history:
            return None
        back = (self._history[-1].seq - seq) & 0xFFFF
        return self._history[-1 - back] if back < len(self._history) else None

    def _send_again(self, kept: Kept) -> None:
        stream = self._stream
        if self._rtx is not None:
            stream = self._rtx
            rtx_seq, self._rtx_seq = self._rtx_seq, self._rtx_seq + 1 & 0xFFFF
            kept = kept._replace(seq=rtx_seq, payload=rtp.again(kept.seq, kept.payload))
        self._datagrams.send([(self._head(stream, kept, time.monotonic()), kept.payload)])

    async def _probe(self) -> None:
        """Copies of what was sent last: a receiver that has them throws them away."""
        if self._rtx is None or not self._extensions.twcc or not self._history:
            return
        burst = self._burst()
        pacer = Pacer(self.link.probing(len(burst), time.monotonic()), 1)
        for packet in burst:
            await self._paced(len(packet.payload), pacer)
            self._send_again(packet)

    def _burst(self) -> list[Kept]:
        """What a link shall carry at a higher rate for a moment.  On a thin one large packets would
        stand in the way of alarms, so it gets the smallest of late."""
        room = self.link.estimator.kbit_s * 125 * PROBE_FACTOR * PROBE_S
        late = list(self._history)[-4 * PROBE_PACKETS :]
        fit = [one for one in late if len(one.payload) <= room / PROBE_LEAST]
        kept = fit[-PROBE_PACKETS:] or [min(late, key=lambda one: len(one.payload))]
        size = sum(len(one.payload) for one in kept) / len(kept)
        count = max(PROBE_LEAST, min(round(room / size), PROBE_PACKETS))
        return (kept * PROBE_PACKETS)[:count]

    # Reports.

    def _take_report(self, report: RtcpReceiverInfo) -> None:
        rtt_s = None
        if self._reported is not None and report.lsr == self._reported[0] and report.dlsr:
            rtt_s = max(0.0, time.monotonic() - self._reported[1] - report.dlsr / 65536)
        self.link.estimator.report(report.fraction_lost / 256, rtt_s, time.monotonic())

    async def _report(self) -> None:
        sent, at = self.link.bytes_sent, time.monotonic()
        while True:
            await asyncio.sleep(random.uniform(*REPORT_S))
            now = time.monotonic()
            self.link.estimator.sent((self.link.bytes_sent - sent) / (now - at) / 125)
            sent, at = self.link.bytes_sent, now
            # Both clocks now: the pictures' own moment counts from the same monotonic clock.
            ntp = clock.current_ntp_time()
            info = RtcpSenderInfo(
                ntp_timestamp=ntp,
                rtp_timestamp=round(now * 90_000) & 0xFFFFFFFF,
                packet_count=self._packets & 0xFFFFFFFF,
                octet_count=self._octets & 0xFFFFFFFF,
            )
            name = RtcpSourceInfo(ssrc=self._ssrc, items=[(1, self._cname.encode())])
            self._reported = (ntp >> 16 & 0xFFFFFFFF, now)
            await self._send_rtcp(
                [RtcpSrPacket(ssrc=self._ssrc, sender_info=info), RtcpSdesPacket(chunks=[name])]
            )

    async def _send_rtcp(self, packets: list[AnyRtcpPacket]) -> None:
        with suppress(ConnectionError):
            await self._transport._send_rtp(b"".join(bytes(packet) for packet in packets))
