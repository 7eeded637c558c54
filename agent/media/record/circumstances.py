"""Where and in which air a recording is made: into its side file, as it changes."""

from __future__ import annotations

import msgspec

from agent.media.record.sidefile import NOTES_MAX, TRACK_MAX, Note, Place, Side
from agent.messages import Clock

NEAR_DEG = 0.00003
"""About three metres: closer points of the way are the same one."""
SEQUENCE_SETS = frozenset({7, 8})
"""NAL unit types of parameter sets (H.264, table 7-1)."""
START_CODE = b"\x00\x00\x01"


class Circumstances(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag=str.lower):
    """From the core, about once a second while anything is recorded."""

    time_ms: int
    """UTC of the unit's clock when this was sent."""
    clock: Clock
    lat: float | None = None
    lon: float | None = None
    readings: tuple[str, ...] = ()
    alarms: tuple[str, ...] = ()


def noted(side: Side, now: Circumstances) -> Side:
    """With what is new."""
    track, notes = side.track, side.notes
    if now.lat is not None and now.lon is not None and len(track) < TRACK_MAX:
        last = track[-1] if track else None
        if last is None or max(abs(last.lat - now.lat), abs(last.lon - now.lon)) > NEAR_DEG:
            track = (*track, Place(now.time_ms, now.lat, now.lon))
    said = (notes[-1].readings, notes[-1].alarms) if notes else ((), ())
    if said != (now.readings, now.alarms) and len(notes) < NOTES_MAX:
        notes = (*notes, Note(t=now.time_ms, readings=now.readings, alarms=now.alarms))
    if track is side.track and notes is side.notes:
        return side
    return msgspec.structs.replace(side, track=track, notes=notes)


def parameter_sets(keyframe: bytes) -> bytes:
    """Those that stand before the first slice of a picture in Annex B."""
    found = b""
    at = keyframe.find(START_CODE)
    while 0 <= at < len(keyframe) - 3:
        kind = keyframe[at + 3] & 0x1F
        if 1 <= kind <= 5:
            break
        end = keyframe.find(START_CODE, at + 3)
        if kind in SEQUENCE_SETS:
            found += keyframe[at : end if end > 0 else None].rstrip(b"\0")
        at = end
    return found
