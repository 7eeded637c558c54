"""Voice in a session: the microphone up, a talker down."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import av
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCRtpCodecCapability, RTCRtpSender
from aiortc.mediastreams import MediaStreamError
from aiortc.rtp import RtpPacket
from aiortc.sdp import SessionDescription

from agent.media.voice.hub import VoiceHub
from agent.media.voice.opus import TIME_BASE
from agent.media.voice.source import AudioPacket, Listener
from agent.media.wire import MediaError
from drivers.microphone import BLOCK_SAMPLES, RATE_HZ

HEARD = ("sendrecv", "recvonly")
"""Directions of an offer that wants to listen."""
SAID = ("sendrecv", "sendonly")
"""And of one that wants to talk."""
SILENT_PACKET = b"\xf8\xff\xfe"
"""20 ms of silence (RFC 6716, 3.1: CELT, fullband, mono)."""
SILENT_EVERY_S = 0.4
"""As Opus does by itself while nobody speaks (DTX): about 1 kbit/s."""


def opus_preferences() -> list[RTCRtpCodecCapability]:
    codecs = RTCRtpSender.getCapabilities("audio").codecs
    return [codec for codec in codecs if codec.mimeType.lower() == "audio/opus"]


class VoiceTrack(MediaStreamTrack):
    """Hands on the packets of the microphone; it listens from the first call of `recv` on, which
    aiortc makes when the path is up.

    `keep_alive`: while nothing is heard a packet of silence now and then, for media servers that
    wait for the first packet of each track, or give up one that says nothing."""

    kind = "audio"

    def __init__(self, hub: VoiceHub, *, keep_alive: bool = False) -> None:
        super().__init__()
        self._hub = hub
        self._listener: Listener | None = None
        self._keep_alive = keep_alive
        self._last: int | None = None

    async def recv(self) -> AudioPacket:
        if self.readyState != "live":
            raise MediaStreamError
        first = self._listener is None
        if self._listener is None:
            self._listener = self._hub.source.listen()
        if not self._keep_alive:
            return await self._listener.get()
        try:
            async with asyncio.timeout(0 if first else SILENT_EVERY_S):
                packet = await self._listener.get()
        except TimeoutError:
            silence: Any = av.Packet(SILENT_PACKET)
            silence.pts, silence.time_base = round(time.monotonic() * RATE_HZ), TIME_BASE
            packet = silence
        # A device's clock may be ahead of this machine's: time never goes back.
        if self._last is not None and packet.pts is not None:
            packet.pts = max(packet.pts, self._last + BLOCK_SAMPLES)
        self._last = packet.pts
        return packet

    def stop(self) -> None:
        super().stop()
        if self._listener is not None:
            self._hub.source.drop(self._listener)


class _Tap:
    """In the place of aiortc's jitter buffer: packets go to the speaker's own, and nothing is left
    for aiortc to decode into a queue that has no end."""

    def __init__(self, session: str, hub: VoiceHub) -> None:
        self._session = session
        self._hub = hub

    def add(self, packet: RtpPacket) -> tuple[bool, None]:
        self._hub.playback.put(
            self._session, packet.sequence_number, packet.timestamp, packet.payload
        )
        return False, None


class VoicePart:
    """Answers an offer's audio section; an offer without one is left alone.

    `refused`: why the session may have no voice; its audio is answered `inactive` then."""

    def __init__(self, session: str, hub: VoiceHub, refused: str) -> None:
        self.session = session
        self.note = ""
        """What the answer should say of it."""
        self._hub = hub
        self._refused = refused
        self._track: VoiceTrack | None = None
        self._direction = ""

    @property
    def listens(self) -> bool:
        return self._direction in SAID  # ours: it sends

    @property
    def talks(self) -> bool:
        return self._direction in HEARD

    def check(self, offer: SessionDescription) -> None:
        """MediaError."""
        sections = [media for media in offer.media if media.kind == "audio"]
        if len(sections) > 1:
            raise MediaError(
                "refused", f"the offer has {len(sections)} audio sections, expected one at most"
            )
        if not sections:
            return
        codecs = {codec.mimeType.lower() for codec in sections[0].rtp.codecs}
        wants = sections[0].direction
        hears = wants in HEARD and self._hub.source.exists
        says = wants in SAID and self._hub.playback.exists
        if self._refused:
            self.note = self._refused
        elif "audio/opus" not in codecs:
            self.note = "no voice: the offer has no Opus"
        elif not hears and not says:
            self.note = "no voice: this unit has " + self._lacks()
        elif (wants in HEARD and not hears) or (wants in SAID and not says):
            self.note = "this unit has " + self._lacks()
        no = self._refused or "audio/opus" not in codecs
        self._direction = (
            "inactive" if no or not (hears or says)
            else "sendrecv" if hears and says
            else "sendonly" if hears else "recvonly"
        )  # fmt: skip

    def _lacks(self) -> str:
        lacking = [
            name
            for name, there in (
                ("no microphone", self._hub.source.exists),
                ("no speaker", self._hub.playback.exists),
            )
            if not there
        ]
        return " and ".join(lacking) or "nothing for this direction"

    def attach(self, connection: RTCPeerConnection) -> None:
        """Before the other side's description is set."""
        if not self._direction:
            return
        if self.listens:
            self._track = VoiceTrack(self._hub)
            transceiver = connection.addTransceiver(self._track, direction=self._direction)
        else:
            transceiver = connection.addTransceiver("audio", direction=self._direction)
        if self._direction != "inactive":
            transceiver.setCodecPreferences(opus_preferences())
        if self.talks:
            receiver: Any = transceiver.receiver
            receiver._RTCRtpReceiver__jitter_buffer = _Tap(self.session, self._hub)

    def verify(self, answer: SessionDescription) -> None:
        """MediaError: what was negotiated is not what will be sent."""
        for media in answer.media:
            if media.kind != "audio" or self._direction in ("", "inactive"):
                continue
            name = media.rtp.codecs[0].name if media.rtp.codecs else "none"
            if name.lower() != "opus" or media.direction != self._direction:
                raise MediaError(
                    "refused",
                    f"the negotiation gave codec {name}, direction {media.direction}; "
                    f"expected Opus, {self._direction}",
                )

    def close(self) -> None:
        if self._track is not None:
            self._track.stop()
        self._hub.left(self.session)


class NoVoice:
    """For who serves pictures alone: an offer's audio is answered `inactive`, instead of being
    received and decoded for nobody."""

    def __init__(self) -> None:
        self._sections = 0

    def check(self, offer: SessionDescription) -> None:
        self._sections = sum(media.kind == "audio" for media in offer.media)

    def attach(self, connection: RTCPeerConnection) -> None:
        for _ in range(self._sections):
            connection.addTransceiver("audio", direction="inactive")

    def verify(self, answer: SessionDescription) -> None:
        """Nothing is sent."""

    def close(self) -> None:
        """Nothing is held."""


class NoPictures:
    """For a session of voice alone: an offer's video is answered `inactive`.  Comes before the
    voice, and asks it afterwards whether there is anything left to do."""

    def __init__(self, voice: VoicePart) -> None:
        self._voice = voice
        self._sections = 0

    def check(self, offer: SessionDescription) -> None:
        self._sections = sum(media.kind == "video" for media in offer.media)

    def attach(self, connection: RTCPeerConnection) -> None:
        """MediaError: no voice either."""
        if not self._voice.listens and not self._voice.talks:
            why = self._voice.note or "the offer has no sound"
            raise MediaError("not_found", f"no pictures are asked for or there is no camera; {why}")
        for _ in range(self._sections):
            connection.addTransceiver("video", direction="inactive")

    def verify(self, answer: SessionDescription) -> None:
        """Nothing is sent."""

    def close(self) -> None:
        """Nothing is held."""
