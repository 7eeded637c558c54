"""What a simulator has made never leaves a unit as if it were real.  Pure."""

from __future__ import annotations

import msgspec

from agent.messages import Mark
from drivers import Fix, Quality, Sample

REFUSED = "simulated_refused"
"""The flag of a fix, and the event, that say so."""


def refused(sample: Sample | Fix, mark: Mark) -> Sample | Fix | None:
    """What a unit that is marked `actual` gives instead of a simulated sample: that there was one,
    without its figures.  None: it may be given as it is."""
    if mark is not Mark.ACTUAL or sample.quality is not Quality.SIMULATED:
        return None
    if isinstance(sample, Fix):
        return Fix(
            mode=1, at=sample.at, status=sample.status, quality=sample.quality,
            flags=(*sample.flags, REFUSED),
        )  # fmt: skip
    return msgspec.structs.replace(sample, value=None, quality=Quality.FAULT)
