"""The composition root: all parts of a unit, and what they tell each other."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from agent import topics
from agent.alarms import protection
from agent.alarms.engine import SILENCE, Engine
from agent.alarms.exposure import Wearer
from agent.alarms.standing import Standing
from agent.clock import UnitClock
from agent.commands import Commands
from agent.config import Config
from agent.delivery.retention import Deleted
from agent.desk import Desk
from agent.exposures import Exposures
from agent.hub import Hub
from agent.incident import record as incident
from agent.media import wire
from agent.media.host import MediaHost
from agent.messages import Alarm, Reading
from agent.mqtt import Message
from agent.neighbours.part import NeighbourPart
from agent.on_the_spot import OnTheSpot
from agent.outbox import Outbox
from agent.overlay import Overlay
from agent.person.responder import Responder
from agent.rtc import Signalling, still_message
from agent.settings import evidence
from agent.settings.tables import Profile
from agent.speech import Speech
from agent.status import Statements
from agent.store import Store
from agent.supervise import Source
from agent.uplink import Uplink
from agent.verbs import parts, verb_table
from agent.vitals import Vitals
from agent.watching import Watching
from drivers.bus import Buses
from drivers.ports import open_port

if TYPE_CHECKING:
    from agent.relay.relay import Relay

log = logging.getLogger(__name__)

STATUS_PERIOD_S = 30.0
STATUS_SETTLE_S = 0.3
"""Several changes at once make one status."""
TICK_S = 0.5
CLOCK_PERIOD_S = 10.0
FAREWELL_S = 1.0


class App:
    """One run of a unit."""

    def __init__(self, config: Config, store: Store, group: asyncio.TaskGroup) -> None:
        unit = config.unit
        self.config = config
        self.store = store
        self.clock = UnitClock()
        self.outbox = Outbox(store, self.clock)
        self.incident = incident.of_unit(config, self.clock, self.outbox)
        silent_s = {source.name: source.table.silent_s for source in config.sources}
        self.engine = Engine(
            config.set_points, silent_s, time.monotonic(), config.own_points,
            {source.name: source.table.same_s for source in config.sources},
        )  # fmt: skip
        self.required = config.person.required or tuple(
            source.name for source in config.sources if evidence.is_gas_instrument(source)
        )
        self.vitals = Vitals(self.engine, store, self.clock)
        self.overlay = Overlay(unit)
        self.exposures: Exposures | None = None
        self.says = Statements(self)
        self.hub = Hub(
            self.engine, self.outbox, self.clock,
            on_alarms=self._announce,
            on_reading=self.overlay.reading if config.media.enabled else _unseen,
            calibrations={source.name: source.table.calibration for source in config.sources},
            judges=(self._dose, self._person), mark=unit.mark,
        )  # fmt: skip
        self.speech = Speech(config.person.speech, self.hub.event)
        self.responder = Responder(
            config.person, unit.profile.value, self.engine, store, self.clock,
            on_alarms=self.hub.alarms, on_event=self.hub.event, on_change=self.soon,
            is_settled=self._is_settled, unprotected=self._unprotected,
        )  # fmt: skip
        self.spot = OnTheSpot(
            self.engine, self.clock, self.responder, self.speech, self.hub.alarms, self.hub.event
        )
        self.near = NeighbourPart(
            config.neighbours, unit, self.clock, self.outbox.epoch.name, store, self.engine,
            self.speech,
            on_alarms=self.hub.alarms, on_event=self.hub.event, on_change=self._heard_nearby,
        )  # fmt: skip
        self.spot.near = self.near
        person = Wearer(name=unit.wearer, id=unit.wearer_id)
        if unit.profile is not Profile.MONITOR or person != Wearer():
            self.exposures = Exposures(
                self.engine, store, self.clock, hold_s=silent_s, configured=person,
                on_alarms=self.hub.alarms, on_event=self.hub.event, on_change=self.soon,
            )  # fmt: skip
        self.media = MediaHost(
            wire.MediaConfig(
                unit=unit.id, mark=unit.mark, cameras=config.cameras,
                title=unit.name.get("zh", unit.id), enabled=config.media.enabled,
                max_kbit_s=config.media.max_kbit_s,
                voice=config.media.voice, limits=config.media.limits, ice=config.media.ice,
                whip=config.media.whip, whep=config.media.whep, record=config.recording,
            ),
            on_still=self._still, on_event=self._media_event,
            on_stats=lambda stats: self.watching.stats(stats),
        )  # fmt: skip
        self.watching = Watching(self.media, config.media.voice, self.hub.event)
        self.watching.say, self.watching.said = self.speech.say, self.speech.quiet
        self.watching.is_called = lambda: self.responder.calls.call is not None
        self.watching.is_discreet = self._is_discreet
        self.desk = Desk(self, group)
        self.commands = Commands(unit.id, unit.mark, self.outbox)
        self.commands.verbs = verb_table(
            self.outbox, self.engine, self.clock, self.media, self.hub.alarms, self.spot.silence
        )
        self.commands.verbs |= parts.verbs(self)
        self.signalling = Signalling(
            unit, self.clock, self.media, self.watching, group, self.hub.event
        )
        buses = Buses()
        self.sources = [
            Source(
                source, self.hub.emit, self._source_changed,
                buses.open_port if source.line.bus else open_port,
            )
            for source in config.sources
        ]  # fmt: skip
        self.uplinks = [
            Uplink(
                uplink, unit, self.outbox, make_status=self.says.status,
                make_active=self.says.active, on_message=self._message,
                on_change=self._uplink_changed,
            )
            for uplink in config.uplinks
        ]  # fmt: skip
        self._status_due = asyncio.Event()
        self.relay: Relay | None = None
        if config.relay.enabled:
            from agent.relay.relay import Relay

            self.relay = Relay(
                config.relay, unit, self.uplinks, self.clock, Path(config.store.dir),
                self.outbox.tell, self.soon,
            )  # fmt: skip

    def soon(self) -> None:
        """The status is worth telling anew."""
        self._status_due.set()

    def _dose(self, reading: Reading, age_s: float) -> None:
        if self.exposures is not None:
            self.exposures.reading(reading, age_s)

    def _heard_nearby(self) -> None:
        """In the turn that heard it."""
        self.spot.show(self.engine.active())
        self.soon()

    def _person(self, reading: Reading, age_s: float) -> None:
        self.near.reading(reading, time.monotonic() - age_s)
        self.responder.reading(reading, age_s)

    def _is_discreet(self) -> bool:
        """A silent call for help stands: nothing may be noticed."""
        call = self.responder.calls.call
        return call is not None and call.silent

    def _is_settled(self, number: tuple[int, int]) -> bool:
        """Whether some broker has acknowledged this record."""
        return any(uplink.cursor.is_settled(*number) for uplink in self.uplinks)

    def _unprotected(self) -> tuple[str, ...]:
        return protection.unprotected(
            self.required, {source.config.name: source.state for source in self.sources},
            self.engine.silent_sources(), self.hub.latest.values(),
        )  # fmt: skip

    # -- what parts tell ---------------------------------------------------------------------

    def store_opened(self, kept: dict[str, bytes]) -> None:
        """A store that could not be opened at the start has been: what stood before stands again,
        and what it holds goes out."""
        standing = {alarm.alarm for alarm in self.engine.active()}
        saved = [one for one in _saved_alarms(kept) if one.message.alarm not in standing]
        changes = self.engine.restore(saved, time.monotonic(), self.clock.now_ms())
        self._announce(changes)
        self.hub.record(changes)
        self.responder.begin(kept)
        for uplink in self.uplinks:
            uplink.look_again()

    def restore_alarms(self) -> None:
        """What stood before a restart is announced at once."""
        saved = _saved_alarms(self.store.kept)
        changes = self.engine.restore(saved, time.monotonic(), self.clock.now_ms())
        self._announce(changes)
        self.hub.record(changes)
        if self.exposures is not None:
            self.exposures.begin()
        self.responder.begin()
        self.desk.begin()

    def _announce(self, changes: list[Alarm]) -> None:
        active = self.engine.active()
        self.spot.changed(changes, active)
        self.near.changed(changes, active)
        self.desk.changed(changes)
        self.store.keep("alarms", msgspec.json.encode(self.engine.save()), urgent=True)
        self.overlay.alarms(active)
        for uplink in self.uplinks:
            uplink.publish_active()
        for change in changes:
            log.warning("alarm %s: %s, %s", change.alarm, change.change, change.state.value)
            if change.code in SILENCE:
                self._status_due.set()

    def _source_changed(self, source: Source) -> None:
        name = "source_up" if source.state == "up" else "source_down"
        self.hub.event(name, source.config.name, source.detail)
        self._status_due.set()

    def _uplink_changed(self, uplink: Uplink) -> None:
        if self.says.state == "stopped":
            # The final status has named the last number.
            return
        name = "uplink_up" if uplink.state == "up" else "uplink_down"
        self.hub.event(name, uplink.config.name, uplink.detail)
        uplink.publish_status()

    def _media_event(self, event: wire.MediaEvent) -> None:
        self.watching.told(event)
        if event.session:
            # A viewer that knows at once can ask again at once.
            for uplink in self.uplinks if event.event == "session_closed" else ():
                uplink.publish(f"rtc/{event.session}/close", b"{}")
            return
        name = f"camera {event.camera}" if event.camera else "video"
        level = logging.WARNING if event.state == "down" else logging.INFO
        log.log(level, "%s: %s", name, event.detail or event.state)
        self.hub.event(event.event, event.camera or "media", event.detail, **event.told())
        self._status_due.set()

    def _still(self, camera: str, time_ms: int, jpeg: bytes) -> None:
        unit = self.config.unit
        self.desk.snapshots.still(camera, time_ms, jpeg)
        payload = still_message(unit.id, unit.mark, camera, time_ms, jpeg)
        for uplink in self.uplinks:
            uplink.publish(f"still/{camera}", payload, qos=0)

    def _message(self, uplink: Uplink, message: Message) -> None:
        try:
            topic = topics.parse(message.topic)
        except ValueError as error:
            log.warning("uplink %s: %s", uplink.config.name, error)
            return
        if self.relay is not None:
            self.relay.command(uplink, topic, message)
        if topic.unit not in (self.config.unit.id, topics.ALL_UNITS):
            return
        match topic.path:
            case ("cmd", _):
                self.commands.handle(topic, message, uplink)
            case ("rtc", *_):
                self.signalling.handle(topic, message, uplink)

    # -- tasks -------------------------------------------------------------------------------

    async def watch_silence(self) -> None:
        while True:
            now = time.monotonic()
            self.hub.alarms(self.engine.tick(now, self.clock.now_ms()))
            self.hub.alarms(self.vitals.check())
            if self.exposures is not None:
                self.exposures.tick()
            self.responder.tick()
            self.desk.tick(now)
            self.spot.show(self.engine.active())
            due = self.engine.next_tick()
            await asyncio.sleep(TICK_S if due is None else min(TICK_S, max(0.01, due - now)))

    async def rewrite_status(self) -> None:
        """Soon after a change, and now and then without one."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STATUS_PERIOD_S):
                    await self._status_due.wait()
            await asyncio.sleep(STATUS_SETTLE_S)
            self._status_due.clear()
            for uplink in self.uplinks:
                uplink.publish_status()

    async def check_clock(self) -> None:
        while True:
            self.clock.check()
            await asyncio.sleep(CLOCK_PERIOD_S)

    async def draw_overlay(self) -> None:
        while True:
            await self.overlay.changed()
            self.media.overlay(self.overlay.message(self.clock.now_ms()))

    async def fail_with_store(self) -> None:
        """A store that has failed ends the agent: systemd starts it again."""
        await self.store.failed

    def deleted(self, gone: Deleted) -> None:
        """Retention has deleted: an event says what, and each center what it never got."""
        more = {} if gone.klass is None else {"classes": [gone.klass.value], "count": gone.count}
        if gone.thinned:
            more["kept"] = "one a source, quantity and minute"
        self.hub.event(
            "retention", "store", f"{'thinned' if gone.thinned else 'deleted'} by {gone.reason}",
            epoch=gone.epoch, first=gone.first, last=gone.last, **more,
        )  # fmt: skip
        self.says.figures.deleted(gone)
        for uplink in self.uplinks:
            uplink.look_for_absent()

    async def drain(self) -> None:
        """Give what waits a last chance, then say goodbye with the final status."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.config.store.shutdown_drain_s):
                await asyncio.gather(*(uplink.drain() for uplink in self.uplinks))
        self.says.state = "stopped"
        farewells = [future for uplink in self.uplinks if (future := uplink.publish_status())]
        if farewells:
            await asyncio.wait(farewells, timeout=FAREWELL_S)


def _saved_alarms(kept: dict[str, bytes]) -> list[Standing]:
    try:
        return msgspec.json.decode(kept.get("alarms", b"[]"), type=list[Standing])
    except msgspec.DecodeError as error:
        log.error("the stored alarms cannot be read: %s", error)
        return []


def _unseen(_reading: Reading) -> None:
    """Without pictures nothing is drawn over them."""
