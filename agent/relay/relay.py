"""The vehicle as hub.

Kits' uplinks point at the vehicle's broker.  The relay has a persistent session there and
acknowledges a message only when its records are on the disk, so a kill of this agent loses nothing
that the broker holds; what a killed broker loses is a gap, and the kit has it still (`resend`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from agent import topics
from agent.center.incoming import CLASSES, check_epoch
from agent.clock import UnitClock
from agent.messages import Event, Link, RelayedUnit, Skipped
from agent.mqtt import Connection, Message, Will
from agent.reconnect import keep_connected
from agent.relay.asking import Asking
from agent.relay.branch import Branch
from agent.relay.down import PASSED_MAX, PASSED_S, Down, resent
from agent.relay.intake import PATHS, Gate
from agent.relay.keeping import Keeping
from agent.relay.kit import FullError, Kit
from agent.relay.presence import PATH as PRESENCE
from agent.relay.refusals import Refusals, RefusedError
from agent.relay.seen import Seen
from agent.relay.state import KitState
from agent.relay.store import NAME, RelayStore
from agent.settings.relay import RelayConfig, same_broker
from agent.settings.tables import UnitConfig
from agent.uplink import Uplink

log = logging.getLogger(__name__)

UNITS_MAX = 200
SESSION_EXPIRY_S = 7 * 86_400
"""So long the vehicle's broker keeps what kits send while this agent is away."""
SAVE_PERIOD_S = 1.0
KEEP_PERIOD_S = 60.0
REOPEN_S = 5.0
SESSIONS_MAX = 500


class _Still(msgspec.Struct):
    t: int


class Relay:
    """Made once per run; `run` goes on until cancelled."""

    def __init__(
        self, config: RelayConfig, unit: UnitConfig, uplinks: Sequence[Uplink], clock: UnitClock,
        directory: Path, tell: Callable[[Event], None], on_change: Callable[[], None],
    ) -> None:  # fmt: skip
        source = config.broker_of([uplink.config for uplink in uplinks])
        assert source is not None, "the configuration has been checked"
        self.source = source
        self.state, self.detail = "down", "not connected yet"
        self.kits: dict[str, Kit] = {}
        self.refusals = Refusals(self._refused)
        self._config = config
        self._unit = unit
        self._uplinks = uplinks
        self._clock = clock
        self._directory = directory
        self._tell = tell
        self._on_change = on_change
        self._gate = Gate(unit, config.units)
        self._states: dict[str, KitState] = {}
        self._store: RelayStore | None = None
        self._closed = Seen(SESSIONS_MAX)
        self._answered = Seen(SESSIONS_MAX)
        self._passed = Seen(PASSED_MAX, PASSED_S)
        """What has no number and no version."""
        self._stills: dict[tuple[str, str], int] = {}
        self._full = asyncio.Event()
        self._asking = Asking(unit, clock, self.refusals.add)
        self._down = Down(self._gate, clock, self._closed, tell)
        self.branches = {
            uplink.config.name: Branch(uplink, unit, self._gate, self._retained, tell)
            for uplink in uplinks
            # What is heard there must not go back there.
            if uplink.config.relay and not same_broker(uplink.config, source)
        }  # fmt: skip
        for branch in self.branches.values():
            branch.uplink.riders.append(branch)

    # -- life ----------------------------------------------------------------------------------

    async def run(self) -> None:
        """A file that cannot be opened, or is damaged, is tried again; the agent goes on."""
        while True:
            try:
                async with RelayStore.open(self._directory, NAME) as store:
                    if store.trouble:
                        raise OSError(store.trouble)
                    await self._work(store)
            except OSError as error:
                self._lost(f"{self._directory / NAME}: {error}")
            finally:
                self._forget()
            await asyncio.sleep(REOPEN_S)

    async def _work(self, store: RelayStore) -> None:
        """Until the store fails."""
        self._store = store
        if store.set_aside is not None:
            self._tell(Event(event="store_set_aside", source="relay", detail=store.set_aside.name))
        for name in sorted({epoch.name.partition(" ")[0] for epoch in store.epochs.values()}):
            kit = Kit(name, store, self._clock, self._tell)
            await kit.load()
            self._add(kit)
        keeping = Keeping(
            store, self._clock, self._config, self.branches.values(), self._tell,
            self._asking.let_go,
        )  # fmt: skip
        tasks = [
            asyncio.create_task(self._listen(), name="relay.listen"),
            asyncio.create_task(self._save(), name="relay.save"),
            asyncio.create_task(self._keep(keeping), name="relay.retention"),
        ]
        if self._config.close_gaps:
            asking = self._asking.run(self._states, lambda: self._down.connection)
            tasks.append(asyncio.create_task(asking, name="relay.asking"))
        try:
            await asyncio.wait([*tasks, store.failed], return_when=asyncio.FIRST_COMPLETED)
            for task in (task for task in tasks if task.done()):
                task.result()
            await store.failed
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            for branch in self.branches.values():
                branch.save()
            self._asking.keep()
            await store.flush()

    def _forget(self) -> None:
        for branch in self.branches.values():
            branch.clear()
        self._asking.clear()
        self.kits.clear()
        self._states.clear()
        self._store = None

    async def _listen(self) -> None:
        while True:
            try:
                brokers = [self.source.broker()]
                break
            except OSError as error:
                self._lost(f"{self.source.password_file}: cannot be read: {error.strerror}")
                await asyncio.sleep(REOPEN_S)
        await keep_connected(
            brokers, client_id=f"{self._unit.org}-{self._unit.id}-relay", on_message=self._heard,
            serve=self._serve, on_down=self._lost, session_expiry_s=SESSION_EXPIRY_S,
            acks_later=True, make_will=lambda: self._presence("lost"),
        )  # fmt: skip

    async def _serve(self, connection: Connection) -> None:
        self._full.clear()
        await connection.subscribe(list(self._gate.filters(self._gate.units, PATHS)))
        self._down.connection = connection
        self.state, self.detail = "up", f"at {connection.broker}"
        log.info("relay: listening %s", self.detail)
        self._tell(Event(event="relay_up", source=self.source.name, detail=self.detail))
        self._say_presence(connection, "up")
        try:
            # The disk did not keep up: what was not taken comes again over a new connection.
            await self._full.wait()
        finally:
            self._say_presence(connection, "closed")

    def _presence(self, state: str) -> Will:
        """What kits go by: whether somebody takes what they bring to this broker.  It does not
        expire: the broker is the vehicle's own."""
        link = Link(
            unit=self._unit.id, path=PRESENCE, mark=self._unit.mark, state=state,
            epoch=self._uplinks[0].epoch, t=self._clock.now_ms(),
        )  # fmt: skip
        root = topics.unit_root(self._unit.org, self._unit.id, exercise=self._unit.exercise)
        return Will(topic=f"{root}/link/{PRESENCE}", payload=msgspec.json.encode(link))

    def _say_presence(self, connection: Connection, state: str) -> None:
        said = self._presence(state)
        connection.publish(said.topic, said.payload, retain=True)

    def _lost(self, reason: str) -> None:
        self._down.connection = None
        if (self.state, self.detail) != ("down", reason):
            log.warning("relay: %s", reason)
            self._tell(Event(event="relay_down", source=self.source.name, detail=reason))
        self.state, self.detail = "down", reason
        for name, state in self._states.items():
            self._say(name, f"link/{self._unit.id}", state.lost(self._clock.now_ms()))

    async def _save(self) -> None:
        while True:
            await asyncio.sleep(SAVE_PERIOD_S)
            for branch in self.branches.values():
                branch.save()

    async def _keep(self, keeping: Keeping) -> None:
        while True:
            await keeping.once(self.kits.values())
            await asyncio.sleep(KEEP_PERIOD_S)

    # -- up ------------------------------------------------------------------------------------

    def _heard(self, message: Message) -> None:
        """From the kits' broker, whatever it is."""
        unit = "?"
        try:
            topic = _parsed(message.topic)
            unit = topic.unit
            if unit in (self._unit.id, topics.ALL_UNITS, topics.DRILL):
                # The vehicle's own, which it publishes here for the people on board.
                message.done()
                return
            self._gate.check(topic, message.payload)
            self._take(topic, message)
        except RefusedError as error:
            self.refusals.add(unit, error)
            message.done()
        except FullError as error:
            log.error("relay: %s", error)
            self._full.set()

    def _take(self, topic: topics.Topic, message: Message) -> None:
        payload = message.payload
        match topic.path:
            case (klass,) if klass in CLASSES:
                epoch, kept = self._gate.records(topic, payload)
                self._kit(topic.unit).take(epoch, kept, message.done)
                self._asking.came(topic.unit, epoch, kept)
                return
            case ("status",) | ("alarms", "active"):
                self._take_state(topic, payload)
            case ("link", path):
                self._take_link(topic, path, payload)
            case ("skipped",):
                self._take_skipped(topic, payload)
            case ("rollups",):
                self._pass_rollup(topic, payload)
            case ("media", name):
                self._pass_chunk(topic, name, payload)
            case ("still", camera):
                self._pass_still(topic, camera, message)
            case ("rtc", session, "answer"):
                if not self._answered.again(topic.unit, session, payload):
                    self._pass(topic, payload)
            case ("rtc", session, "close"):
                if not self._closed.again(topic.unit, session):
                    self._pass(topic, payload)
        message.done()

    def _kit(self, name: str) -> Kit:
        if (kit := self.kits.get(name)) is None:
            if len(self.kits) >= UNITS_MAX:
                raise RefusedError("too_many", f"{name}: {UNITS_MAX} units are relayed already")
            assert self._store is not None
            kit = Kit(name, self._store, self._clock, self._tell)
            self._add(kit)
            self._on_change()
        return kit

    def _add(self, kit: Kit) -> None:
        self.kits[kit.name] = kit
        self._states[kit.name] = KitState(kit, self._unit.id, self._unit.mark)
        self._asking.add(kit)
        for branch in self.branches.values():
            branch.add(kit)

    def _take_state(self, topic: topics.Topic, payload: bytes) -> None:
        path = "/".join(topic.path)
        if not payload:
            return
        self._gate.named(topic, payload)
        self._kit(topic.unit)
        try:
            newer = self._states[topic.unit].newer(path, payload)
        except ValueError as error:
            raise RefusedError("malformed", f"{topic.unit}/{path}: {error}") from error
        if newer and path == "status":
            self._asking.status(topic.unit, payload)
        self._say(topic.unit, path, payload if newer else None)

    def _take_link(self, topic: topics.Topic, path: str, payload: bytes) -> None:
        if not payload or path in (self._unit.id, PRESENCE):
            return
        self._gate.named(topic, payload)
        link = self._gate.decode(topic, payload, Link)
        self._kit(topic.unit)
        try:
            told = self._states[topic.unit].linked(link)
        except ValueError as error:
            raise RefusedError("malformed", f"{topic.unit}/link: {error}") from error
        self._say(topic.unit, f"link/{self._unit.id}", told)

    def _take_skipped(self, topic: topics.Topic, payload: bytes) -> None:
        self._gate.named(topic, payload)
        told = self._gate.decode(topic, payload, Skipped)
        with self._gate.malformed():
            check_epoch(told.epoch, f"{topic.unit}/skipped")
        kit = self._kit(topic.unit)
        self._asking.told(topic.unit, told.epoch, told.ranges)
        fresh = kit.told_skipped(told.epoch, told.reason, told.ranges)
        for branch in self.branches.values():
            if stream := branch.streams.get(topic.unit):
                for first, last in fresh:
                    stream.lanes.say_skipped(told.epoch, first, last, told.reason)

    def _pass_still(self, topic: topics.Topic, camera: str, message: Message) -> None:
        still = self._gate.decode(topic, message.payload, _Still)
        key = (topic.unit, camera)
        if still.t <= self._stills.get(key, 0) or (
            key not in self._stills and len(self._stills) >= SESSIONS_MAX
        ):
            return
        self._stills[key] = still.t
        self._pass(topic, message.payload, qos=0)

    def _pass_rollup(self, topic: topics.Topic, payload: bytes) -> None:
        rollup = self._gate.rollup(topic, payload)
        if self._passed.again(topic.unit, payload, now_s=time.monotonic()):
            return
        self._kit(topic.unit)
        for branch in self.branches.values():
            branch.pass_rollup(topic.unit, rollup)

    def _pass_chunk(self, topic: topics.Topic, name: str, payload: bytes) -> None:
        """To who asked for it: a link may be narrow."""
        self._gate.named(topic, payload)
        if self._passed.again(topic.unit, payload, now_s=time.monotonic()):
            return
        for branch in self.branches.values():
            if branch.awaits(topic.unit, name):
                branch.publish(topic.unit, f"media/{name}", payload)

    def _pass(self, topic: topics.Topic, payload: bytes, qos: int = 1) -> None:
        self._kit(topic.unit)
        for branch in self.branches.values():
            branch.publish(topic.unit, "/".join(topic.path), payload, qos)

    def _say(self, unit: str, path: str, payload: bytes | None) -> None:
        if payload is not None:
            for branch in self.branches.values():
                branch.publish_retained(unit, path, payload)

    def _retained(self, kit: Kit) -> dict[str, bytes]:
        return self._states[kit.name].retained

    # -- down ----------------------------------------------------------------------------------

    def command(self, uplink: Uplink, topic: topics.Topic, message: Message) -> None:
        """From a center, for another unit or for all of them."""
        branch = self.branches.get(uplink.config.name)
        if branch is None or topic.unit == self._unit.id:
            return
        if topic.unit == topics.ALL_UNITS and (branch.config.relay_units or topic.path[0] != "cmd"):
            return
        command = self._down.handle(branch, topic, message)
        if command is None:
            return
        verb = topics.verb_of(topic.path[1])
        if verb == "resend":
            resent(branch, topic, command, message.payload)
        elif verb == "media.get" and isinstance(media := command.args.get("id"), str):
            branch.asked(topic.unit, media)

    # -- what it says of itself ----------------------------------------------------------------

    def _refused(self, unit: str, code: str, sentence: str) -> None:
        data = {"unit": unit, "code": code}
        self._tell(
            Event(event="relay_refused", source=self.source.name, detail=sentence, data=data)
        )

    def relayed(self, uplink: Uplink) -> tuple[RelayedUnit, ...]:
        """Whom this center hears of through this unit."""
        branch = self.branches.get(uplink.config.name)
        if branch is None:
            return ()
        return tuple(
            RelayedUnit(unit=name, pending=stream.cursor.pending(), t=stream.kit.heard_ms or None)
            for name, stream in sorted(branch.streams.items())
        )

    def report(self) -> dict[str, Any]:
        """For the control socket."""
        return {
            "state": self.state, "detail": self.detail, "units": sorted(self.kits),
            "pending": {name: branch.pending() for name, branch in self.branches.items()},
            "refused": dict(self.refusals.counts), "asked": self._asking.asked,
            "commands": {"relayed": self._down.relayed, "refused": self._down.refused},
        }  # fmt: skip


def _parsed(topic: str) -> topics.Topic:
    with contextlib.suppress(ValueError):
        return topics.parse(topic)
    raise RefusedError("malformed", f"the topic {topic[:100]!r} is none of the contract")
