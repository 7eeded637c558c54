"""What a source has given before must go on: a quantity that fails to come says so.  Pure.

The agent watches each quantity for silence.  Where an instrument leaves one out (a modem without
network, a battery that cannot say how long it lasts), the value is None and the quality `stale`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from drivers import Quality, Sample


class Known:
    """The quantities of one source, and their units."""

    def __init__(self) -> None:
        self._units: dict[str, str] = {}

    def complete(self, samples: Sequence[Sample], at: float) -> list[Sample]:
        """`samples`, which are all of one reading, with what was given before and lacks now."""
        given = {sample.quantity for sample in samples}
        self._units.update((s.quantity, s.unit) for s in samples if s.value is not None)
        return [*samples, *self.without(self._units.keys() - given, Quality.STALE, at)]

    def all(self, quality: Quality, at: float, raw: str = "") -> list[Sample]:
        """No value of any of them, for the same reason."""
        return self.without(self._units, quality, at, raw)

    def without(
        self, quantities: Iterable[str], quality: Quality, at: float, raw: str = ""
    ) -> list[Sample]:
        return [
            Sample(
                quantity=name, value=None, unit=self._units[name], quality=quality, at=at, raw=raw
            )
            for name in sorted(quantities)
        ]
