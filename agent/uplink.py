"""A session with one center: birth, will, retained state, commands in (records: `lanes.py`)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from agent import topics
from agent.delivery.channel import OVERHEAD_BYTES, SEGMENTS_BYTES, Channel
from agent.delivery.cursor import Cursor
from agent.delivery.lanes import Lanes
from agent.delivery.ration import Ration
from agent.delivery.status_pace import StatusPace, period_s
from agent.messages import ActiveAlarms, Link, Status
from agent.mqtt import Connection, Message, RefusedTopicError, Will
from agent.outbox import Outbox
from agent.reconnect import keep_connected
from agent.relay.presence import Presence
from agent.settings.tables import UnitConfig, UplinkConfig

log = logging.getLogger(__name__)

SAVE_PERIOD_S = 1.0
SAVE_RANGES = 1000
"""Marks in more pieces than these are saved less often."""
SESSION_EXPIRY_S = 120
"""Commands wait so long at an MQTT 5 broker; an older one would be refused anyway."""
RETAINED_EXERCISE_EXPIRY_S = 3600
"""What a drill leaves behind on somebody's broker is gone after an hour."""

_encode = msgspec.json.Encoder().encode


class Rider(Protocol):
    """What else goes over an uplink's connection."""

    async def ride(self, connection: Connection) -> None:
        """While it is connected; cancelled at its end."""

    def drop(self) -> None:
        """The connection is lost."""


class Uplink:
    """Made once per `[[uplink]]`; `run` goes on until cancelled."""

    def __init__(
        self,
        config: UplinkConfig,
        unit: UnitConfig,
        outbox: Outbox,
        *,
        make_status: Callable[[Uplink], Status],
        make_active: Callable[[], ActiveAlarms],
        on_message: Callable[[Uplink, Message], None],
        on_change: Callable[[Uplink], None],
    ) -> None:
        self.config = config
        self.state = "down"
        """`down`, `up`."""
        self.detail = "not connected yet"
        self.cursor = Cursor(outbox.store, config.name)
        self.connection: Connection | None = None
        self._unit = unit
        self._outbox = outbox
        self._root = topics.unit_root(unit.org, unit.id, exercise=unit.exercise)
        self._expiry_s = RETAINED_EXERCISE_EXPIRY_S if unit.exercise else None
        self._make_status = make_status
        self._make_active = make_active
        self._loop = asyncio.get_running_loop()
        self._on_message = on_message
        self._on_change = on_change
        ration = Ration(config, outbox.store, outbox.clock, outbox.tell)
        outbox.store.on_late.append(ration.learn)
        self.channel = Channel(ration, compress=config.compress == "zstd")
        """Shared by all that goes to this center."""
        self._pace = StatusPace()
        self._status_bytes = 0
        self._lanes = Lanes(outbox, self.cursor, unit, self._root, config, self.channel)
        self.riders: list[Rider] = []

    # -- life ------------------------------------------------------------------------------

    async def run(self) -> None:
        """Connect, serve, connect again."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._save(), name=f"uplink[{self.config.name}].save")
            await self._keep_connected()

    async def _keep_connected(self) -> None:
        while True:
            try:
                brokers = self.config.brokers()
                break
            except OSError as error:
                self._down(f"{self.config.password_file}: cannot be read: {error.strerror}")
                await asyncio.sleep(5.0)
        await keep_connected(
            brokers,
            client_id=f"{self._unit.org}-{self._unit.id}-{self.config.name}",
            on_message=lambda message: self._on_message(self, message),
            serve=self._serve,
            on_down=self._down,
            make_will=lambda: self._will("lost"),
            session_expiry_s=SESSION_EXPIRY_S,
            presence=Presence(self._unit.org, exercise=self._unit.exercise),
        )

    def _down(self, reason: str) -> None:
        before = (self.state, self.detail)
        self.state, self.detail, self.connection = "down", reason, None
        self.channel.close()
        self._lanes.close()
        for rider in self.riders:
            rider.drop()
        if before != ("down", reason):
            # A week without a link is one event, not one for each attempt.
            log.warning("uplink %s: %s", self.config.name, reason)
            self._on_change(self)

    async def _serve(self, connection: Connection) -> None:
        filters = topics.command_filters(
            self._unit.org, self._unit.id, exercise=self._unit.exercise
        )
        self.detail = f"MQTT {'5' if connection.protocol == 5 else '3.1.1'}"
        try:
            await connection.subscribe(filters)
        except RefusedTopicError as error:
            # What it has to tell goes up all the same.
            log.error("uplink %s: no commands will come: %s", self.config.name, error)
            self.detail += f"; no commands: {error}"
        self.connection, self.state = connection, "up"
        if self.config.hosts:
            self.detail += f" at {connection.broker}"
        log.info("uplink %s: connected to %s, %s", self.config.name, connection.broker, self.detail)
        self._publish_link("up")
        self.publish_active()
        self._pace.begin()
        self.channel.open(connection)
        self._lanes.open()
        self._on_change(self)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.channel.watch(), name=f"uplink[{self.config.name}].watch")
                for rider in self.riders:
                    group.create_task(rider.ride(connection), name=f"uplink[{self.config.name}]")
                await self._lanes.catch_up()
        finally:
            self._publish_link("closed")

    def _publish_link(self, state: str) -> None:
        if self.connection is not None:
            will = self._will(state)
            self.connection.publish(will.topic, will.payload, retain=True, expiry_s=self._expiry_s)

    def _will(self, state: str) -> Will:
        link = Link(
            unit=self._unit.id, path=self.config.name, mark=self._unit.mark, state=state,
            epoch=self._outbox.epoch.name, t=self._outbox.clock.now_ms(),
        )  # fmt: skip
        return Will(
            topic=f"{self._root}/link/{self.config.name}",
            payload=_encode(link),
            expiry_s=self._expiry_s,
        )

    # -- retained state --------------------------------------------------------------------

    def publish_status(self) -> asyncio.Future[int] | None:
        """Rewrite the retained `status` at this center, unless nothing is new in it and the link
        is narrow."""
        if self.connection is None:
            return None
        payload = _encode(self._make_status(self))
        self._status_bytes = self.with_headers("status", payload)
        now, day_bytes = self._loop.time(), self.channel.ration.allowance.per_day
        if not self._pace.due(payload, self._status_bytes, day_bytes, now):
            return None
        self._lanes.tell_thinned()
        return self._publish_retained("status", payload)

    @property
    def status_s(self) -> float:
        """How often a status comes in which nothing is new."""
        return period_s(self._status_bytes, self.channel.ration.allowance.per_day)

    def publish_active(self) -> asyncio.Future[int] | None:
        """Rewrite the retained `alarms/active` at this center."""
        return self._publish_retained("alarms/active", _encode(self._make_active()))

    def _publish_retained(self, path: str, payload: bytes) -> asyncio.Future[int] | None:
        if self.connection is None:
            return None
        return self.connection.publish(
            f"{self._root}/{path}", payload, retain=True, expiry_s=self._expiry_s
        )

    @property
    def epoch(self) -> str:
        """Of this run."""
        return self._outbox.epoch.name

    def topic(self, path: str) -> str:
        """Of this unit."""
        return f"{self._root}/{path}"

    # -- what is not a record --------------------------------------------------------------

    def publish(self, path: str, payload: bytes, qos: int = 1) -> None:
        """An answer, a still (QoS 0); lost where nobody is connected."""
        if self.connection is None or (qos == 0 and not self.takes_bulk(path, payload)):
            return
        self.connection.publish(f"{self._root}/{path}", payload, qos=qos)

    def takes_bulk(self, path: str, payload: bytes) -> bool:
        """Whether a picture may go now: as history does, behind all that is live, and out of what
        rate and budget leave over.  It may take more than there is, which is then missing to the
        next; it counts as sent."""
        size = self.with_headers(path, payload)
        if self.channel.history_room() <= 0:
            return False
        self.channel.ration.allowance.charge(size, history=True)
        return True

    def with_headers(self, path: str, payload: bytes) -> int:
        """Bytes on the wire, about."""
        return len(self._root) + len(path) + len(payload) + OVERHEAD_BYTES + SEGMENTS_BYTES

    def respond(self, topic: str, payload: bytes, correlation: bytes) -> None:
        """To the response topic that a command named; lost where nobody is connected."""
        if self.connection is not None:
            self.connection.publish(topic, payload, correlation=correlation)

    # -- keeping ---------------------------------------------------------------------------

    async def _save(self) -> None:
        settled = self._lanes.settled
        while True:
            await settled.wait()
            settled.clear()
            ranges = self.cursor.save()
            await asyncio.sleep(SAVE_PERIOD_S * max(1.0, ranges / SAVE_RANGES))

    def resend(self, epoch: int, first: int, last: int) -> int:
        """Send again what is held of these numbers; how many they are."""
        return self._lanes.resend(epoch, first, last)

    def not_held(self, epoch: str, first: int, last: int) -> None:
        """Tell that these numbers, of an epoch that is not held, will not come."""
        self._lanes.not_held(epoch, first, last)

    def look_for_absent(self) -> None:
        """Retention has deleted something."""
        self._lanes.look_for_absent()

    def look_again(self) -> None:
        """The store could be opened only now."""
        self._lanes.look_again()

    @property
    def refused(self) -> int:
        """Publishes that the broker refused (not authorised, quota)."""
        return self._lanes.refused

    async def drain(self) -> None:
        """Returns when nothing waits, or there is no way out."""
        self._lanes.end_periods()
        settled = self._lanes.settled
        while (connection := self.connection) is not None and self.cursor.pending():
            settled.clear()
            progress = asyncio.ensure_future(settled.wait())
            watched: list[asyncio.Future[Any]] = [progress, connection.lost]
            try:
                await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
            finally:
                progress.cancel()
            if connection.lost.done():
                return
