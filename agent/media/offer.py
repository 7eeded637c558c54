"""A viewer's offer, looked at before WebRTC is asked; and the answer, before it is sent."""

from __future__ import annotations

import re

import msgspec
from aiortc import RTCIceCandidate
from aiortc.sdp import SessionDescription

from agent.media.wire import MediaError

NO_H264 = (
    "the offer has no H.264 with packetization-mode=1 (it has {codecs}); this camera sends H.264 "
    "only: use a browser that plays it (Chromium with its codecs, Chrome, Edge, Safari, Firefox)"
)
SDP_ERRORS = (
    ValueError,
    KeyError,
    IndexError,
    AttributeError,
    AssertionError,
    TypeError,
    StopIteration,
)
"""What aiortc's parser raises for text that is no SDP; it has no exception of its own."""
HIDDEN = re.compile(r"^a=(candidate:.*\.local .*|end-of-candidates)\r?\n", re.MULTILINE)


class Offer(msgspec.Struct, frozen=True):
    """An offer that is SDP; its parts say whether it can be served."""

    sdp: str
    """Without the candidates in `hidden`."""
    description: SessionDescription
    hidden: tuple[RTCIceCandidate, ...]
    """Candidates that are only an mDNS name."""

    @classmethod
    def parse(cls, sdp: str) -> Offer:
        """MediaError `malformed`: no SDP."""
        try:
            parsed = SessionDescription.parse(sdp)
        except SDP_ERRORS as error:
            raise MediaError(
                "malformed",
                f"the offer is no SDP ({type(error).__name__}: {error}); it begins {sdp[:40]!r}",
            ) from error
        hidden = []
        for media in parsed.media:
            for candidate in media.ice_candidates:
                if candidate.ip.endswith(".local"):
                    candidate.sdpMid = media.rtp.muxId
                    hidden.append(candidate)
        return cls(HIDDEN.sub("", sdp) if hidden else sdp, parsed, tuple(hidden))


def check_video(offer: SessionDescription) -> None:
    """MediaError `refused`: no video section that this side can serve."""
    videos = [media for media in offer.media if media.kind == "video"]
    if len(videos) != 1:
        raise MediaError("refused", f"the offer has {len(videos)} video sections, expected one")
    video = videos[0]
    if video.direction not in ("recvonly", "sendrecv"):
        raise MediaError(
            "refused", f"the offer's video is {video.direction}, expected recvonly (a viewer)"
        )
    for codec in video.rtp.codecs:
        mode = str(codec.parameters.get("packetization-mode", "0"))
        if codec.mimeType.lower() == "video/h264" and mode == "1":
            return
    names = sorted({codec.name for codec in video.rtp.codecs} - {"rtx", "red", "ulpfec"})
    raise MediaError("refused", NO_H264.format(codecs=", ".join(names) or "no codec at all"))


def check_negotiated(answer: SessionDescription) -> None:
    """Packets must never go out under a codec that was not negotiated.  MediaError."""
    video = next(media for media in answer.media if media.kind == "video")
    name = video.rtp.codecs[0].name if video.rtp.codecs else "none"
    if name.upper() != "H264" or video.direction != "sendonly" or video.port == 0:
        raise MediaError(
            "refused",
            f"the negotiation gave codec {name}, direction {video.direction}; "
            "expected H264, sendonly",
        )
