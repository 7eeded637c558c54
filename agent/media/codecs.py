"""The one codec that pictures are sent in, and what is said beside them."""

from __future__ import annotations

from aiortc import RTCRtpCodecCapability, RTCRtpSender
from aiortc.codecs import CODECS, HEADER_EXTENSIONS
from aiortc.rtcrtpparameters import RTCRtcpFeedback, RTCRtpHeaderExtensionParameters

from agent.media.link import rtp, twcc

TRANSPORT_CC = RTCRtcpFeedback(type="transport-cc")
FREE_IDS = {twcc.URI: 5, rtp.PLAYOUT_DELAY: 6}
"""In our offers; aiortc's own extensions have 1 to 3.  Answers take the offer's numbers."""


def h264_preferences() -> list[RTCRtpCodecCapability]:
    """For `setCodecPreferences`, which counts only BEFORE `setRemoteDescription`."""
    wanted = ("video/h264", "video/rtx")
    codecs = RTCRtpSender.getCapabilities("video").codecs
    return [codec for codec in codecs if codec.mimeType.lower() in wanted]


def install() -> None:
    """Negotiate transport-wide feedback and playout delay, of which aiortc has never heard.  For
    this process; may be called twice."""
    known = {extension.uri for extension in HEADER_EXTENSIONS["video"]}
    for uri, number in FREE_IDS.items():
        if uri not in known:
            HEADER_EXTENSIONS["video"].append(RTCRtpHeaderExtensionParameters(id=number, uri=uri))
    for codec in CODECS["video"]:
        if codec.name.lower() != "rtx" and TRANSPORT_CC not in codec.rtcpFeedback:
            codec.rtcpFeedback.append(TRANSPORT_CC)
