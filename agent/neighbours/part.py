"""Neighbours as a part of the unit: what they raise is heard, seen and written down here."""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from agent.alarms.engine import Engine
from agent.annunciator import NEIGHBOUR, Prompt
from agent.messages import Alarm, NeighbourStatus, Reading
from agent.neighbours.nearby import News
from agent.neighbours.service import Neighbours

if TYPE_CHECKING:
    from agent.clock import UnitClock
    from agent.settings.neighbours import NeighboursConfig
    from agent.settings.tables import UnitConfig
    from agent.speech import Speech
    from agent.store import Store

log = logging.getLogger(__name__)

RANK = {"sos": 2.0, "no_motion": 2.0}
"""Of what is spoken; else 3."""


class NeighbourPart:
    """Without `[neighbours]`, or where its key cannot be used, it does nothing and says so."""

    def __init__(
        self,
        config: NeighboursConfig,
        unit: UnitConfig,
        clock: UnitClock,
        epoch: str,
        store: Store,
        engine: Engine,
        speech: Speech,
        *,
        on_alarms: Callable[[list[Alarm]], Any],
        on_event: Callable[..., Any],
        on_change: Callable[[], None],
    ) -> None:
        """`on_change`: what stands nearby has changed."""
        self._engine = engine
        self._speech = speech
        self._on_alarms = on_alarms
        self._on_event = on_event
        self._on_change = on_change
        self._service: Neighbours | None = None
        self._trouble = ""
        if not config.enabled:
            return
        try:
            self._service = Neighbours(
                config, unit, clock, epoch=epoch, kept=store.kept, keep=store.keep,
                on_news=self._news, on_seen=self._seen,
            )  # fmt: skip
        except (OSError, ValueError) as error:
            self._fail(f"{config.key_file}: {error}")

    # -- the unit's own ----------------------------------------------------------------------

    def reading(self, reading: Reading, at: float) -> None:
        """A position of this unit, measured at the monotonic time `at`."""
        if self._service is not None and reading.fix is not None and reading.fix.mode >= 2:
            self._service.position(reading.fix, at)

    def changed(self, changes: Iterable[Alarm], active: Iterable[Alarm]) -> None:
        if self._service is not None:
            self._service.alarms(changes, active)

    def silence(self) -> None:
        """The unit's own button."""
        if self._service is None:
            return
        units = sorted({unit for one in self._service.announcements() for unit in one.units})
        if self._service.silence():
            self._on_event("neighbours_silenced", "panel", units=units)
            self._on_change()

    # -- what it adds ------------------------------------------------------------------------

    def prompts(self) -> tuple[Prompt, ...]:
        sounds = self._service is not None and self._service.sounds()
        return (NEIGHBOUR,) if sounds else ()

    def status(self) -> NeighbourStatus | None:
        """None: not configured."""
        if self._service is not None:
            return self._service.status()
        return NeighbourStatus(detail=self._trouble) if self._trouble else None

    async def run(self) -> None:
        """Until cancelled.  A radio that cannot be opened is said once; the unit goes on."""
        if self._service is None:
            return
        try:
            async with self._service.radio:
                await self._service.run()
        except OSError as error:
            self._service = None
            self._fail(str(error))

    # -- what is heard -----------------------------------------------------------------------

    def _news(self, news: News) -> None:
        data: dict[str, Any] = {}
        if news.shared is not None:
            shared = news.shared
            data = {"alarm": shared.alarm, "code": shared.code, "quantity": shared.quantity}
            if shared.value is not None:
                data |= {"value": shared.value, "unit": shared.unit}
        if news.news == "raised":
            data |= self._say(news)
        log.warning("neighbour %s: %s %s", news.unit, news.news, data.get("code", ""))
        self._on_event(f"neighbour_{news.news}", news.unit, **data)
        self._on_change()

    def _say(self, news: News) -> dict[str, Any]:
        """Speak of it where it sounds; where it is, as far as that is known."""
        assert self._service is not None
        assert news.shared is not None
        for one in self._service.announcements():
            if news.unit in one.units and one.quantity == news.shared.quantity:
                if one.sounds and self.prompts():
                    self._speech.neighbour(one, RANK.get(one.code, 3.0))
                if one.distance_m is None or one.bearing_deg is None:
                    return {}
                return {"distance_m": math.ceil(one.distance_m), "bearing_deg": one.bearing_deg}
        return {}

    def _seen(self, alarm: str, unit: str) -> None:
        """As a center's acknowledgement: seen, and as loud as before."""
        with contextlib.suppress(LookupError):
            self._on_alarms(self._engine.acknowledge(alarm, unit))

    def _fail(self, why: str) -> None:
        self._trouble = f"neighbours are not heard: {why}"
        log.error("%s", self._trouble)
        self._on_event("neighbours_off", "neighbours", why)
