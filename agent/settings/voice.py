"""What a person may write of voice and of the media process's limits, checked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import msgspec

from agent.media import wire
from agent.media.voice import config

_KBIT = msgspec.Meta(ge=8, le=128, description="8 to 128 kbit/s")


class VoiceConfig(config.VoiceConfig, frozen=True, kw_only=True):
    """`[media.voice]`."""

    microphone: Annotated[
        str,
        msgspec.Meta(
            pattern=r"\A(|alsa:.+|file:.+|tone:\d{2,5})\Z",
            description="alsa:NAME, file:PATH or tone:HERTZ",
        ),
    ] = ""
    speaker: Annotated[
        str,
        msgspec.Meta(pattern=r"\A(|alsa:.+|file:.+)\Z", description="alsa:NAME or file:PATH.wav"),
    ] = ""
    bitrate_kbit_s: Annotated[int, _KBIT] = 24
    talk_s: Annotated[float, msgspec.Meta(ge=5, le=600, description="5 to 600 seconds")] = 60.0

    def mistakes(self) -> Iterator[tuple[str, str]]:
        for key in ("open_microphone", "open_on_sos"):
            if getattr(self, key) and not self.microphone:
                yield key, "given without a microphone"


class LimitsConfig(wire.LimitsConfig, frozen=True, kw_only=True):
    """`[media.limits]`."""

    nice: Annotated[int, msgspec.Meta(ge=0, le=19, description="0 to 19")] = 5
    memory_mb: Annotated[int, msgspec.Meta(ge=128, le=65536, description="128 to 65536 MB")] = 1024
    heartbeat_s: Annotated[float, msgspec.Meta(ge=1, le=30, description="1 to 30 seconds")] = 3.0
