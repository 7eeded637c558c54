"""Microphone and speaker of one unit, in the media process."""

from __future__ import annotations

import asyncio

from agent.media.voice.config import VoiceConfig, VoiceStats
from agent.media.voice.level import VOICE_DBFS, Duplex
from agent.media.voice.playback import Playback
from agent.media.voice.source import Source


class VoiceHub:
    """The core says who may be heard, in both directions."""

    def __init__(self, config: VoiceConfig, loop: asyncio.AbstractEventLoop) -> None:
        self._duplex = Duplex(full=config.echo_canceller)
        self.source = Source(config.microphone, config.bitrate_kbit_s, self._duplex, loop)
        self.playback = Playback(config.speaker, self._duplex)
        self._floor = ""

    def give_floor(self, session: str) -> None:
        self._floor = session
        self.playback.give_floor(session)

    def left(self, session: str) -> None:
        """The session is over; the core will hear of it too."""
        if session == self._floor:
            self.give_floor("")

    def stats(self) -> VoiceStats:
        source, playback = self.source, self.playback
        return VoiceStats(
            microphone=source.state if source.exists else "none",
            speaker=playback.state if playback.exists else "none",
            detail=source.detail or playback.detail,
            listeners=source.listeners,
            packets=source.packets,
            level_dbfs=round(source.level_dbfs, 1),
            played=playback.played,
            played_dbfs=round(playback.level_dbfs, 1),
            talks=playback.level_dbfs > VOICE_DBFS,
            concealed=playback.concealed,
            dropped=playback.dropped,
            held=playback.held,
        )

    def close(self) -> None:
        self.source.close()
        self.playback.close()
