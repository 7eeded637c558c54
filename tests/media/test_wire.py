"""The socket between core and media process: whole, cut and foreign frames."""

from __future__ import annotations

import asyncio
import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.media import wire
from agent.messages import Mark

TO_MEDIA: list[wire.ToMedia] = [
    wire.Configure(
        config=wire.MediaConfig(
            unit="ex-cv-01",
            mark=Mark.EXERCISE,
            cameras=(wire.CameraConfig(name="front", source="rtsp://a/b", timecode=True),),
        )
    ),
    wire.Overlay(
        unit="ex-cv-01",
        place="30.6 N 114.3 E",
        mark=Mark.EXERCISE,
        time_ms=1_790_000_000_000,
        readings=["氯气 1.2 ppm"],
        alarms=["高"],
    ),
    wire.OfferRequest(session="s", camera="front", sdp="v=0\r\n"),
    wire.CloseSession(session="s"),
    wire.StartStills(camera="front", period_s=1.0, lease_s=30.0),
    wire.StopStills(camera="front"),
]
TO_CORE: list[wire.ToCore] = [
    wire.OfferReply(session="s", code="refused", detail="no H.264"),
    wire.StillPicture(camera="front", time_ms=1, jpeg=b"\xff\xd8\x00\xff\xd9"),
    wire.MediaEvent(event="camera", camera="front", state="down", detail="gone"),
    wire.MediaStats(frames_encoded=9, viewers=2, cameras=(wire.CameraStats(name="front"),)),
]


def reader(data: bytes, *, ended: bool = True) -> asyncio.StreamReader:
    stream = asyncio.StreamReader()
    stream.feed_data(data)
    if ended:
        stream.feed_eof()
    return stream


async def test_messages_come_back_as_they_were() -> None:
    stream = reader(b"".join(wire.encode(message) for message in TO_MEDIA))
    assert [await wire.read_to_media(stream) for _ in TO_MEDIA] == TO_MEDIA
    assert await wire.read_to_media(stream) is None
    stream = reader(b"".join(wire.encode(message) for message in TO_CORE))
    assert [await wire.read_to_core(stream) for _ in TO_CORE] == TO_CORE
    assert await wire.read_to_core(stream) is None


async def test_a_frame_may_come_byte_by_byte() -> None:
    stream = reader(b"", ended=False)
    task = asyncio.create_task(wire.read_to_media(stream))
    for byte in wire.encode(TO_MEDIA[1]):
        assert not task.done()
        stream.feed_data(bytes([byte]))
        await asyncio.sleep(0)
    assert await task == TO_MEDIA[1]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\0\0", "read 2 bytes of a length, expected 4"),
        (struct.pack(">I", 9) + b"abc", "read 3 bytes of a frame, expected 9"),
        (
            struct.pack(">I", wire.MAX_FRAME_BYTES + 1),
            "read a frame length of 2097153, expected at most 2097152",
        ),
        (struct.pack(">I", 1) + b"\xc1", "a frame of 1 bytes is no message to core"),
        (wire.encode(TO_MEDIA[3]), "is no message to core: Invalid value 'closesession'"),
    ],
)
async def test_bad_input_is_named(data: bytes, text: str) -> None:
    with pytest.raises(wire.WireError) as caught:
        await wire.read_to_core(reader(data))
    assert text in str(caught.value)


@given(st.binary(max_size=64))
def test_no_bytes_raise_anything_else(body: bytes) -> None:
    for decode in (wire.decode_to_core, wire.decode_to_media):
        with suppress(wire.WireError):
            decode(body)


def test_a_message_above_the_ceiling_is_not_sent() -> None:
    picture = wire.StillPicture(camera="front", time_ms=1, jpeg=bytes(wire.MAX_FRAME_BYTES))
    with pytest.raises(wire.WireError, match=r"a StillPicture of \d+ bytes, expected at most"):
        wire.encode(picture)
