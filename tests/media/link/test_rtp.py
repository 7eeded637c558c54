"""Our packets, read by aiortc's parser."""

from __future__ import annotations

from aiortc.rtcrtpparameters import RTCRtpHeaderExtensionParameters, RTCRtpParameters
from aiortc.rtp import HeaderExtensionsMap, RtpPacket, unpack_header_extensions, unwrap_rtx

from agent.media.link import rtp, twcc

PARAMETERS = [
    RTCRtpHeaderExtensionParameters(id=4, uri=rtp.MID),
    RTCRtpHeaderExtensionParameters(id=2, uri=rtp.ABS_SEND_TIME),
    RTCRtpHeaderExtensionParameters(id=3, uri=twcc.URI),
    RTCRtpHeaderExtensionParameters(id=5, uri=rtp.PLAYOUT_DELAY),
]


def test_another_parser_reads_every_field() -> None:
    extensions = rtp.Extensions(PARAMETERS, "0").block(70_000, 1.5, (0.0, 0.4))
    stream = rtp.Stream(0xDEADBEEF, 109)
    head = rtp.head(stream, 65_540, 1 << 33, marker=True, extensions=extensions)
    data = head + b"payload"
    ids = HeaderExtensionsMap()
    ids.configure(RTCRtpParameters(headerExtensions=PARAMETERS))
    packet = RtpPacket.parse(data, ids)
    assert (packet.ssrc, packet.payload_type, packet.marker) == (0xDEADBEEF, 109, 1)
    assert (packet.sequence_number, packet.timestamp) == (4, 0)
    assert packet.payload == b"payload"
    assert packet.extensions.mid == "0"
    assert packet.extensions.transport_sequence_number == 70_000 & 0xFFFF
    assert packet.extensions.abs_send_time == int(1.5 * (1 << 18))
    assert (5, bytes((0, 0, 40))) in unpack_header_extensions(0xBEDE, extensions[4:])


def test_without_extensions_there_is_no_block() -> None:
    assert rtp.Extensions([], "0").block(1, 1.0, (0.0, 0.0)) == b""
    head = rtp.head(rtp.Stream(1, 97), 1, 1, marker=False, extensions=b"")
    assert RtpPacket.parse(head + b"x").payload == b"x"


def test_a_retransmission_carries_the_number_of_what_it_repeats() -> None:
    head = rtp.head(rtp.Stream(2, 98), 9, 1, marker=False, extensions=b"")
    packet = RtpPacket.parse(head + rtp.again(700, b"lost"))
    packet = unwrap_rtx(packet, payload_type=97, ssrc=1)
    assert (packet.sequence_number, packet.payload) == (700, b"lost")
