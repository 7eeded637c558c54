"""All relayed units over one of the vehicle's uplinks: what rides on its connection."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

import msgspec

from agent import topics
from agent.delivery.lanes import Lanes
from agent.delivery.status_pace import StatusPace
from agent.messages import Event, Rollup
from agent.mqtt import Connection, MqttError
from agent.relay.intake import DOWN, Gate
from agent.relay.kit import Kit, KitCursor
from agent.settings.tables import UnitConfig
from agent.uplink import RETAINED_EXERCISE_EXPIRY_S, Uplink

log = logging.getLogger(__name__)

GATHER_S = 0.05
"""What is late is looked for so soon after the first of it has come."""
ASKED_MAX = 100
ASKED_S = 600.0
"""Bytes of media that were asked for so long ago are of no use to who asked."""


class Stream:
    """One kit's records to one center: a cursor and lanes of its own."""

    def __init__(self, kit: Kit, unit: UnitConfig, root: str, uplink: Uplink) -> None:
        self.kit = kit
        self.root = root
        self.pace = StatusPace()
        self.task: asyncio.Task[None] | None = None
        """Its catch-up, while the uplink is connected."""
        self.cursor = KitCursor(kit, uplink.config.name)
        name = msgspec.structs.replace(unit, id=kit.name)
        self.lanes = Lanes(kit, self.cursor, name, root, uplink.config, uplink.channel)
        self._looking: asyncio.TimerHandle | None = None
        kit.late_listeners.append(self._late)

    def _late(self) -> None:
        if self._looking is None:
            self._looking = asyncio.get_running_loop().call_later(GATHER_S, self._look)

    def _look(self) -> None:
        self._looking = None
        self.lanes.look_again()

    def end(self) -> None:
        """The store is gone."""
        if self.task is not None:
            self.task.cancel()
        if self._looking is not None:
            self._looking.cancel()
        self.kit.late_listeners.remove(self._late)
        self.lanes.end()


class Branch:
    """One per uplink with `relay = true`."""

    def __init__(
        self, uplink: Uplink, unit: UnitConfig, gate: Gate,
        retained: Callable[[Kit], dict[str, bytes]], tell: Callable[[Event], None],
    ) -> None:  # fmt: skip
        """`retained`: what stands of a kit, by the topic's path."""
        self.uplink = uplink
        self.config = uplink.config
        self.streams: dict[str, Stream] = {}
        """By unit."""
        self._unit = unit
        self._gate = gate
        self._retained = retained
        self._tell = tell
        self._asked: dict[tuple[str, str], float] = {}
        """When it asked: by unit and id."""
        self._expiry_s = RETAINED_EXERCISE_EXPIRY_S if unit.exercise else None
        self._connection: Connection | None = None
        self._group: asyncio.TaskGroup | None = None

    def takes(self, unit: str) -> bool:
        return not self.config.relay_units or unit in self.config.relay_units

    def add(self, kit: Kit) -> None:
        """A unit has been heard of."""
        if not self.takes(kit.name):
            return
        root = topics.unit_root(self._unit.org, kit.name, exercise=self._unit.exercise)
        stream = self.streams[kit.name] = Stream(kit, self._unit, root, self.uplink)
        if self._group is not None:
            self._open(stream, self._group)

    def clear(self) -> None:
        """The store is gone: nothing can be sent from it."""
        for stream in self.streams.values():
            stream.end()
        self.streams.clear()

    # -- a rider of the uplink -----------------------------------------------------------------

    async def ride(self, connection: Connection) -> None:
        """While the uplink is connected."""
        self._connection = connection
        async with asyncio.TaskGroup() as group:
            self._group = group
            for stream in self.streams.values():
                self._open(stream, group)
            await self._subscribe(connection)
            # Until cancelled with the connection.
            await asyncio.get_running_loop().create_future()

    def drop(self) -> None:
        """The connection is lost."""
        self._connection = self._group = None
        for stream in self.streams.values():
            stream.lanes.close()

    def _open(self, stream: Stream, group: asyncio.TaskGroup) -> None:
        stream.pace.begin()
        for path, payload in self._retained(stream.kit).items():
            self.publish_retained(stream.kit.name, path, payload)
        stream.lanes.open()
        name = f"relay[{self.config.name}][{stream.kit.name}]"
        stream.task = group.create_task(stream.lanes.catch_up(), name=name)

    async def _subscribe(self, connection: Connection) -> None:
        units = self.config.relay_units or self._gate.units
        try:
            await connection.subscribe(list(self._gate.filters(units, DOWN)))
        except MqttError as error:
            if connection.lost.done():
                return
            # The kits' records go up all the same; commands for them do not come down.
            log.warning("relay: uplink %s: %s", self.config.name, error)
            self._tell(Event(event="relay_refused", source=self.config.name, detail=str(error)))

    # -- what is not a record ------------------------------------------------------------------

    def publish_retained(self, unit: str, path: str, payload: bytes) -> None:
        """The newest of a kit's own state; it is said again at the next connection, and a status
        in which nothing is new not always."""
        if self._connection is None or (stream := self.streams.get(unit)) is None:
            return
        if path == "status" and not self._is_due(stream, payload):
            return
        self._connection.publish(
            f"{stream.root}/{path}", payload, retain=True, expiry_s=self._expiry_s
        )

    def _is_due(self, stream: Stream, status: bytes) -> bool:
        """All kits together take no more of the link than the vehicle itself."""
        day_bytes = self.uplink.channel.ration.allowance.per_day / len(self.streams)
        size = self.uplink.with_headers("status", status)
        return stream.pace.due(status, size, day_bytes, asyncio.get_running_loop().time())

    def publish(self, unit: str, path: str, payload: bytes, qos: int = 1) -> None:
        """A still, an answer; lost where nobody is connected."""
        if self._connection is None or unit not in self.streams:
            return
        if qos == 0 and not self.uplink.takes_bulk(path, payload):
            return
        self._connection.publish(f"{self.streams[unit].root}/{path}", payload, qos=qos)

    def pass_rollup(self, unit: str, rollup: Rollup) -> None:
        if self._connection is not None and unit in self.streams:
            self.streams[unit].lanes.pass_rollup(rollup)

    def asked(self, unit: str, media: str) -> None:
        """This center has asked a kit for the bytes of a picture or a recording."""
        self._asked.pop((unit, media), None)
        self._asked[unit, media] = time.monotonic()
        while len(self._asked) > ASKED_MAX:
            del self._asked[next(iter(self._asked))]

    def awaits(self, unit: str, media: str) -> bool:
        """It has, not long ago."""
        since = self._asked.get((unit, media))
        return since is not None and time.monotonic() - since < ASKED_S

    def save(self) -> None:
        for stream in self.streams.values():
            stream.cursor.save()

    def pending(self) -> int:
        return sum(stream.cursor.pending() for stream in self.streams.values())
