"""Viewers of one camera: how they are let in, served by one encoder, and put out again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription

from agent.media import codecs, loopback, peer, viewer
from agent.media.offer import NO_H264, Offer
from agent.media.overlay import Painter
from agent.media.peer import Peers
from agent.media.pipeline import Pipeline
from agent.media.video_part import VideoPart
from agent.media.wire import MediaError
from tests.media.conftest import SMALL, media_config
from tests.waiting import until


@pytest.fixture(autouse=True)
def loopback_too() -> None:
    loopback.install()
    codecs.install()


class Room:
    """A camera and its viewers, in this process."""

    def __init__(self) -> None:
        self.gone: list[tuple[str, str]] = []
        self.peers = Peers(lambda session, why: self.gone.append((session, why)))
        loop = asyncio.get_running_loop()
        self.camera = Pipeline(SMALL, Painter(media_config()), loop, lambda *still: None)

    async def offer(self, session: str, sdp: str) -> str:
        return await self.peers.answer(session, [VideoPart(session, self.camera)], sdp)


@pytest.fixture
async def room() -> AsyncIterator[Room]:
    room = Room()
    yield room
    await room.peers.close_all()
    room.camera.close()
    await until(lambda: room.camera.stats().state == "idle", "the camera is closed")


async def make_offer(
    *codecs: str, direction: str = "recvonly", kinds: tuple[str, ...] = ("video",)
) -> str:
    """The SDP of an aiortc viewer that plays only `codecs` (all where none is named)."""
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    for kind in kinds:
        transceiver = connection.addTransceiver(kind, direction=direction)
        wanted = [
            codec
            for codec in RTCRtpSender.getCapabilities(kind).codecs
            if codec.name.lower() in codecs
        ]
        if kind == "video" and wanted:
            transceiver.setCodecPreferences(wanted)
    await connection.setLocalDescription(await connection.createOffer())
    sdp = connection.localDescription.sdp
    await connection.close()
    return sdp


async def test_four_viewers_are_one_encoder(room: Room) -> None:
    async def play(session: str) -> viewer.ViewerStats:
        async def exchange(sdp: str) -> str:
            return await room.offer(session, sdp)

        return await viewer.watch(exchange, seconds=4)

    watching = asyncio.gather(*(play(f"s{n}") for n in range(4)))
    await until(lambda: room.camera.fanout.viewers == 4, "four viewers watch")
    await until(lambda: room.camera.frames_encoded > 10, "pictures are encoded")
    assert room.camera.stats().encoders == 1
    seen = await watching
    assert all(s.frames_decoded > 40 for s in seen), seen
    assert all(s.codes_read > 5 and s.codes_missed == 0 for s in seen), seen
    assert all((s.width, s.height) == (640, 360) for s in seen)
    # One encoder's work: as many frames as one viewer needs, not as four.
    assert room.camera.frames_encoded < 1.5 * max(s.frames_decoded for s in seen)


async def test_a_viewer_who_leaves_is_noticed_and_encoding_ends(room: Room) -> None:
    async def exchange(sdp: str) -> str:
        return await room.offer("s", sdp)

    stats = await viewer.watch(exchange, seconds=2)
    assert stats.frames_decoded > 0
    await until(lambda: len(room.peers) == 0, "the viewer is forgotten")
    assert room.gone == [("s", "the connection is closed")]
    await until(lambda: room.camera.stats().encoders == 0, "the encoder is gone")


async def test_who_never_connects_is_put_out_and_costs_no_encoding(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer, "CONNECT_S", 0.3)
    await room.offer("s", await make_offer("h264"))
    assert len(room.peers) == 1
    await until(lambda: len(room.peers) == 0, "the viewer is put out")
    assert room.gone == [("s", "not connected within 0.3 s")]
    assert room.camera.frames_encoded == 0


async def test_the_answer_is_h264_even_where_the_offer_likes_vp8_better(room: Room) -> None:
    offer = await make_offer("vp8", "h264", "rtx")
    assert offer.index("VP8/90000") < offer.index("H264/90000")
    answer = await room.offer("s", offer)
    assert "H264/90000" in answer
    assert "VP8" not in answer
    assert "a=sendonly" in answer


async def test_an_audio_section_beside_the_video_does_no_harm(room: Room) -> None:
    answer = await room.offer("s", await make_offer(kinds=("audio", "video")))
    assert "H264/90000" in answer


async def test_offers_that_cannot_be_served_are_refused_with_a_reason(room: Room) -> None:
    h264 = await make_offer("h264")
    for sdp, code, text in [
        (await make_offer("vp8"), "refused", NO_H264.format(codecs="VP8")),
        (
            h264.replace("packetization-mode=1", "packetization-mode=0"),
            "refused",
            NO_H264.format(codecs="H264"),
        ),
        (
            await make_offer(kinds=("audio",)),
            "refused",
            "the offer has 0 video sections, expected one",
        ),
        (
            await make_offer(kinds=("video", "video")),
            "refused",
            "the offer has 2 video sections, expected one",
        ),
        (
            h264.replace("a=recvonly", "a=inactive"),
            "refused",
            "the offer's video is inactive, expected recvonly (a viewer)",
        ),
    ]:
        with pytest.raises(MediaError) as caught:
            await room.offer("s", sdp)
        assert (caught.value.code, str(caught.value)) == (code, text)
    assert len(room.peers) == 0


async def test_text_that_is_no_sdp_is_malformed(room: Room) -> None:
    h264 = await make_offer("h264")
    lines = h264.splitlines(keepends=True)
    broken = ["", "hello", "v=x\r\n", "m=video\r\n", h264.replace("a=rtpmap:", "a=rtpmap:x")]
    broken += ["".join(lines[:n]) for n in range(0, len(lines), 4)]
    for number, sdp in enumerate(broken):
        with pytest.raises(MediaError) as caught:
            await room.offer(f"s{number}", sdp)
        assert caught.value.code in ("malformed", "refused"), sdp
    assert len(room.peers) == 0


async def test_a_session_is_used_once_and_there_is_a_limit(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer = await make_offer("h264")
    await room.offer("s", offer)
    with pytest.raises(MediaError, match="session 's' is already in use"):
        await room.offer("s", offer)
    monkeypatch.setattr(peer, "MAX_PEERS", 1)
    with pytest.raises(MediaError, match="1 viewers are watching, which is the limit"):
        await room.offer("t", offer)
    room.peers.close("s")
    room.peers.close("s")
    await room.offer("t", offer)


async def test_names_that_hide_an_address_do_not_hold_up_the_answer(room: Room) -> None:
    offer = await make_offer("h264")
    name = "0c3e9ae2-0000-4000-8000-000000000000.local"
    lines = []
    for line in offer.splitlines(keepends=True):
        if line.startswith("a=candidate:"):
            words = line.split(" ")
            words[4] = name
            line = " ".join(words)
        lines.append(line)
    hidden = "".join(lines)
    parsed = Offer.parse(hidden)
    assert parsed.hidden
    assert all(c.ip == name and c.sdpMid == "0" for c in parsed.hidden)
    assert name not in parsed.sdp
    async with asyncio.timeout(0.9):  # resolving in vain takes 1 s
        await room.offer("s", hidden)


async def test_a_lost_picture_reaches_the_encoder_as_a_request(room: Room) -> None:
    """aiortc keeps PLI and FIR to itself: this is the method in which both end."""
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    connection.addTransceiver("video", direction="recvonly")
    await connection.setLocalDescription(await connection.createOffer())
    answer = await room.offer("s", connection.localDescription.sdp)
    await connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    await until(lambda: room.camera.stats().keyframes == 1, "the first keyframe was made")
    (receiver,) = [t.receiver for t in connection.getTransceivers()]
    encoded = room.camera.frames_encoded
    await until(lambda: room.camera.frames_encoded > encoded + 12, "half a second has gone")
    assert room.camera.stats().keyframes == 1
    sources = receiver.getSynchronizationSources()
    await receiver._send_rtcp_pli(sources[0].source)
    await until(lambda: room.camera.stats().keyframes == 2, "a keyframe was made for it")
    await connection.close()
