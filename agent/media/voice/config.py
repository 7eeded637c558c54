"""Voice as core and media process speak of it: `[media.voice]`, and how it goes.  No media library.

agent/settings/voice.py checks what a person wrote, config/media.toml is the manual.
"""

from __future__ import annotations

import msgspec


class VoiceConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Without microphone and speaker there is no voice."""

    microphone: str = ""
    """`alsa:NAME`, `file:PATH`, `tone:HERTZ`; empty: none."""
    speaker: str = ""
    """`alsa:NAME`, `file:PATH`; empty: none."""
    open_microphone: bool = False
    """A center hears it whenever it wants; else while somebody at the unit holds the talk key."""
    open_on_sos: bool = False
    """As `open_microphone` while a call for help stands."""
    echo_canceller: bool = False
    """The device has one: both sides may speak at once."""
    bitrate_kbit_s: int = 24
    talk_s: float = 60.0
    """So long a talker keeps the speaker unless he asks again."""


class VoiceStats(msgspec.Struct, frozen=True, kw_only=True):
    """Of the heartbeat."""

    microphone: str = "none"
    """`none`, `idle`, `live`, `down`."""
    speaker: str = "none"
    detail: str = ""
    listeners: int = 0
    packets: int = 0
    """Opus packets encoded: once, however many listen."""
    level_dbfs: float = -96.0
    """What the microphone sends now."""
    played: int = 0
    """Blocks of 20 ms."""
    played_dbfs: float = -96.0
    talks: bool = False
    """Somebody is heard in the speaker now."""
    concealed: int = 0
    """Packets of talkers that never came."""
    dropped: int = 0
    """Packets of talkers that came too late, or too many."""
    held: int = 0
    """Packets that wait to be played."""
