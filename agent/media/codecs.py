"""The one codec that pictures are sent in."""

from __future__ import annotations

from aiortc import RTCRtpCodecCapability, RTCRtpSender


def h264_preferences() -> list[RTCRtpCodecCapability]:
    """For `setCodecPreferences`, which counts only BEFORE `setRemoteDescription`."""
    wanted = ("video/h264", "video/rtx")
    codecs = RTCRtpSender.getCapabilities("video").codecs
    return [codec for codec in codecs if codec.mimeType.lower() in wanted]
