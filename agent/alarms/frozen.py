"""A value that does not move: the same frame again and again, a time that stands still.  Pure.

Only where the configuration says how long that may be.  A gas may rest at 0 for days, so 0 is never
frozen; whoever wants to know whether such a sensor is alive bumps it.
"""

from __future__ import annotations

from collections.abc import Mapping

from agent.messages import Reading

Key = tuple[str, str]


class Frozen:
    """Of one unit."""

    def __init__(self, frozen_s: Mapping[str, float]) -> None:
        """`frozen_s`: by source, for how many seconds the same may be said."""
        self._frozen_s = {source: limit for source, limit in frozen_s.items() if limit > 0}
        self._same: dict[Key, tuple[object, float]] = {}
        """By (source, quantity): what is said, and since when."""

    def is_frozen(self, reading: Reading, at: float) -> bool:
        """Whether it has said the same for too long; `at`: monotonic seconds of this reading."""
        limit = self._frozen_s.get(reading.source)
        said = _said(reading)
        key = (reading.source, reading.quantity)
        if limit is None or said is None:
            self._same.pop(key, None)
            return False
        before, since = self._same.get(key, (None, at))
        if before != said:
            self._same[key] = (said, at)
            return False
        return at - since >= limit


def _said(reading: Reading) -> object:
    """What must change; None: nothing must."""
    if reading.fix is not None:
        # A vehicle may stand; its receiver's clock may not.
        return reading.fix.time
    if reading.value is None or reading.value == 0:
        return None
    # A frame holds more that moves than the value: a counter, a raw signal, a temperature.
    return reading.raw or reading.value
