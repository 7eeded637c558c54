"""What centers order of a unit beside its instruments: messages, tasks, the incident, how densely
readings are recorded, snapshots, the check before use.  Each part is its own; here they get what
they need of the unit.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from agent.advising import Advisor
from agent.gallery import Gallery
from agent.messages import Alarm
from agent.orders.book import Orders
from agent.orders.incident import Incident
from agent.rates import Rates
from agent.recordings.pieces import Pieces
from agent.recordings.recordings import Recordings
from agent.selftest.part import Selftest
from agent.settings.rates import RatesProfile
from agent.snapshots import Snapshots

if TYPE_CHECKING:
    from agent.app import App


class Desk:
    """Made once per run, when hub, speech and media are there."""

    def __init__(self, app: App, group: asyncio.TaskGroup) -> None:
        hub, config = app.hub, app.config
        self._app = app
        self.incident = Incident(
            config.unit.incident, app.outbox, on_event=hub.event, on_change=app.soon
        )
        self.orders = Orders(
            app.store, app.clock, on_event=hub.event, on_change=app.soon, say=app.speech.say
        )
        self.rates = Rates(config.rates, self._stands, hub.event, self._limit_links)
        self.snapshots = Snapshots(
            app.media, app.outbox, Path(config.store.dir), group,
            readings=hub.latest.values, fix=lambda: app.engine.fix, on_event=hub.event,
        )  # fmt: skip
        self.selftest = Selftest(app, group)
        self.selftest.pictures = lambda: self.snapshots.seen
        self.advisor = Advisor(app)
        self.recordings = Recordings(app, group)
        self.gallery = Gallery()
        self.pieces = Pieces(config.unit.id, config.unit.mark, group)
        if config.cameras:
            self.gallery.providers += [self.snapshots, self.recordings]
        hub.takes = self.rates.takes
        app.spot.orders = self.orders

    def begin(self) -> None:
        """Go on as before a restart."""
        self.orders.begin()
        self.incident.begin()
        self.recordings.begin()
        self._limit_links(self.rates.profile)

    def changed(self, changes: list[Alarm]) -> None:
        """What became of alarms."""
        self.advisor.changed(changes)
        self.recordings.changed()

    def tick(self, at: float) -> None:
        """At least twice a second; monotonic seconds."""
        self.orders.tick()
        self.rates.tick(at)
        self.snapshots.tick()
        self.recordings.tick(at)
        self.selftest.tick()
        self.advisor.tick()

    def _stands(self, source: str, quantity: str) -> bool:
        """An alarm of what this source says of a quantity stands."""
        return any(
            (alarm.source, alarm.quantity) == (source, quantity)
            for alarm in self._app.engine.active()
        )

    def _limit_links(self, profile: RatesProfile) -> None:
        for uplink in self._app.uplinks:
            uplink.channel.ration.limit(profile.rate_kbit_s, profile.budget_mb_per_day)
