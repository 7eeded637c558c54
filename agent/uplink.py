"""A session with one center: lanes, window, settle, commands in.

Two lanes share one window.  The live lane is woken by each commit and sends at once: alarms and
acks first, then the newest state.  The history lane reads what the broker has not acknowledged
from the store, alarms first, at a bounded rate and with half of the window at most, so that a
catch-up never delays what happens now.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable
from itertools import groupby

import msgspec

from agent import mqtt, topics
from agent.config import UnitConfig, UplinkConfig
from agent.messages import ActiveAlarms, Link, Status
from agent.mqtt import Connection, Message, MqttError, Will
from agent.outbox import URGENT, Cursor, Outbox
from agent.store import Row

log = logging.getLogger(__name__)

WINDOW_MAX = 100
LIVE_QUEUE_MAX = 2000
LIVE_BATCH = 50
HISTORY_BATCH = 100
SAVE_PERIOD_S = 1.0
NOBODY_RETRY_S = (2.0, 30.0)
FAILURE = 0x80
RETAINED_EXERCISE_EXPIRY_S = 3600
"""What a drill leaves behind on somebody's broker is gone after an hour."""

_encode = msgspec.json.Encoder().encode


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
        self.refused = 0
        """Publishes that the broker refused (not authorised, quota)."""
        self._unit = unit
        self._outbox = outbox
        self._root = topics.unit_root(unit.org, unit.id, exercise=unit.exercise)
        self._expiry_s = RETAINED_EXERCISE_EXPIRY_S if unit.exercise else None
        self._make_status = make_status
        self._make_active = make_active
        self._on_message = on_message
        self._on_change = on_change
        self._urgent: deque[Row] = deque()
        self._live: deque[Row] = deque()
        self._inflight = 0
        self._room = asyncio.Event()
        self._history = asyncio.Event()
        self._settled = asyncio.Event()
        self._nobody_s = NOBODY_RETRY_S[0]
        self._nobody_until = 0.0
        outbox.listeners.append(self._handed)

    # -- life ------------------------------------------------------------------------------

    async def run(self) -> None:
        """Connect, serve, connect again."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._save(), name=f"uplink[{self.config.name}].save")
            await self._keep_connected()

    async def _keep_connected(self) -> None:
        while True:
            try:
                broker = self.config.broker()
                break
            except OSError as error:
                self._down(f"{self.config.password_file}: cannot be read: {error.strerror}")
                await asyncio.sleep(5.0)
        await mqtt.keep_connected(
            broker,
            client_id=f"{self._unit.org}-{self._unit.id}-{self.config.name}",
            on_message=lambda message: self._on_message(self, message),
            serve=self._serve,
            on_down=self._down,
            make_will=lambda: self._will("lost"),
        )

    def _down(self, reason: str) -> None:
        if self.state != "down" or self.detail != reason:
            log.warning("uplink %s: %s", self.config.name, reason)
        self.state, self.detail, self.connection = "down", reason, None
        self._urgent.clear()
        self._live.clear()
        self._inflight = 0
        self.cursor.release_all()
        self._on_change(self)

    async def _serve(self, connection: Connection) -> None:
        self._window = max(2, min(WINDOW_MAX, connection.receive_maximum))
        filters = topics.command_filters(
            self._unit.org, self._unit.id, exercise=self._unit.exercise
        )
        await connection.subscribe(filters)
        self.connection, self.state = connection, "up"
        self.detail = f"MQTT {'5' if connection.protocol == 5 else '3.1.1'}"
        log.info("uplink %s: connected to %s, %s", self.config.name, connection.broker, self.detail)
        self._nobody_until = 0.0
        self._nobody_s = NOBODY_RETRY_S[0]
        will = self._will("up")
        connection.publish(will.topic, will.payload, retain=True, expiry_s=self._expiry_s)
        # The newest state goes first, under its own numbers; history fills in what lies between.
        for row in sorted(self._outbox.newest.values(), key=lambda row: row.seq):
            if row.seq <= self._outbox.epoch.last:
                self._handed(row)
        self._on_change(self)
        self.publish_active()
        try:
            await self._catch_up(connection)
        finally:
            if not connection.lost.done():
                will = self._will("closed")
                connection.publish(will.topic, will.payload, retain=True, expiry_s=self._expiry_s)

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
        """Rewrite the retained `status` at this center."""
        payload = _encode(self._make_status(self))
        return self._publish_retained("status", payload)

    def publish_active(self) -> asyncio.Future[int] | None:
        """Rewrite the retained `alarms/active` at this center."""
        return self._publish_retained("alarms/active", _encode(self._make_active()))

    def _publish_retained(self, path: str, payload: bytes) -> asyncio.Future[int] | None:
        if self.connection is None:
            return None
        return self._watched(
            self.connection.publish(
                f"{self._root}/{path}", payload, retain=True, expiry_s=self._expiry_s
            )
        )

    def publish(self, path: str, payload: bytes, qos: int = 1) -> None:
        """Something that is not a record (an answer, a still); lost where nobody is connected."""
        if self.connection is not None:
            self._watched(self.connection.publish(f"{self._root}/{path}", payload, qos=qos))

    @staticmethod
    def _watched(future: asyncio.Future[int]) -> asyncio.Future[int]:
        future.add_done_callback(lambda done: done.cancelled() or done.exception())
        return future

    # -- the live lane ---------------------------------------------------------------------

    def _handed(self, row: Row) -> None:
        """A record is committed (or the disk stalls): send it now, if there is a way."""
        if self.connection is None or self._waits_for_a_subscriber():
            self._history.set()
            return
        if self.cursor.is_claimed(row.epoch, row.seq):
            return
        lane = self._urgent if row.klass in URGENT else self._live
        if len(lane) >= LIVE_QUEUE_MAX:
            # A slow link: it is on disk, and the history lane will bring it.
            old = lane.popleft()
            self.cursor.release(old.epoch, [old.seq])
            self._history.set()
        lane.append(row)
        self.cursor.claim(row.epoch, [row.seq])
        self._pump()

    def _pump(self) -> None:
        while self.connection is not None and self._inflight < self._window:
            lane = self._urgent or self._live
            if not lane:
                break
            rows = [lane.popleft()]
            while (
                lane
                and len(rows) < LIVE_BATCH
                and (lane[0].klass, lane[0].epoch) == (rows[0].klass, rows[0].epoch)
            ):
                rows.append(lane.popleft())
            self._send(rows, late=False)
        if self._inflight < self._window // 2:
            self._room.set()

    def _send(self, rows: list[Row], *, late: bool) -> None:
        """One message: rows of one class and one epoch, claimed already."""
        assert self.connection is not None
        first = rows[0]
        name = self._outbox.store.epochs[first.epoch].name
        records = b",".join(self._outbox.encode(row, late=late) for row in rows)
        head = _encode({"unit": self._unit.id, "epoch": name, "mark": self._unit.mark})
        payload = head[:-1] + b',"records":[' + records + b"]}"
        self._inflight += 1
        future = self.connection.publish(f"{self._root}/{first.klass}", payload)
        seqs = [row.seq for row in rows]
        connection = self.connection
        future.add_done_callback(
            lambda done: self._acknowledged(connection, first.epoch, seqs, done)
        )

    def _acknowledged(
        self, connection: Connection, epoch: int, seqs: list[int], done: asyncio.Future[int]
    ) -> None:
        if done.cancelled() or done.exception() is not None or connection is not self.connection:
            return
        self._inflight -= 1
        code = done.result()
        if code == mqtt.NO_MATCHING_SUBSCRIBERS or code >= FAILURE:
            self._not_taken(epoch, seqs, code)
        else:
            self._nobody_s = NOBODY_RETRY_S[0]
            self.cursor.settle(epoch, seqs)
            self._settled.set()
        self._pump()

    def _not_taken(self, epoch: int, seqs: list[int], code: int) -> None:
        """Nobody was there to hear it, or the broker refused: it stays, and is tried later."""
        if code >= FAILURE:
            self.refused += 1
            if self.refused == 1:
                log.error("uplink %s: the broker refused a publish: 0x%02x", self.config.name, code)
        self.cursor.release(epoch, seqs)
        now = asyncio.get_running_loop().time()
        if now >= self._nobody_until:
            self._nobody_until = now + self._nobody_s
            self._nobody_s = min(NOBODY_RETRY_S[1], self._nobody_s * 2)
        for lane in (self._urgent, self._live):
            for row in lane:
                self.cursor.release(row.epoch, [row.seq])
            lane.clear()
        self._history.set()

    def _waits_for_a_subscriber(self) -> bool:
        return asyncio.get_running_loop().time() < self._nobody_until

    # -- the history lane ------------------------------------------------------------------

    async def _catch_up(self, connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        allowance, last = float(HISTORY_BATCH), loop.time()
        rate = self.config.history_records_per_s
        while True:
            self._history.clear()
            if self._waits_for_a_subscriber():
                await asyncio.sleep(max(0.05, self._nobody_until - loop.time()))
                # What has come meanwhile is history, the newest state included.
                self._history.set()
                continue
            rows = await self._next_history()
            if not rows:
                await self._history.wait()
                continue
            while self._inflight >= max(1, self._window // 2):
                self._room.clear()
                await self._room.wait()
            # One read at a time: a live row may have been claimed while the store was asked.
            rows = [row for row in rows if not self.cursor.is_claimed(row.epoch, row.seq)]
            for _, group in groupby(sorted(rows, key=_class_order), key=lambda row: row.klass):
                batch = list(group)
                self.cursor.claim(batch[0].epoch, [row.seq for row in batch])
                self._send(batch, late=True)
            allowance = min(rate, allowance + (loop.time() - last) * rate) - len(rows)
            last = loop.time()
            if allowance < 0:
                await asyncio.sleep(-allowance / rate)
            self._history.set()

    async def _next_history(self) -> list[Row]:
        """The next rows that nobody has claimed, of one epoch: alarms and acks before the rest."""
        waiting = self.cursor.unclaimed()
        if not waiting:
            return []
        store = self._outbox.store
        if len(waiting) > 1 or waiting[0][2] - waiting[0][1] >= HISTORY_BATCH:
            for epoch, first, last in waiting:
                rows = await store.read(epoch, first, last, HISTORY_BATCH, sorted(URGENT))
                if rows:
                    return rows
        epoch, first, last = waiting[0]
        rows = await store.read(epoch, first, last, HISTORY_BATCH)
        self._skip_absent(epoch, first, last, rows)
        return rows

    def _skip_absent(self, epoch: int, first: int, last: int, rows: list[Row]) -> None:
        """Numbers that the store does not hold will never come: do not ask for ever."""
        if len(rows) == last - first + 1:
            return
        upto = rows[-1].seq if len(rows) >= HISTORY_BATCH else last
        expected = first
        for row in rows:
            self.cursor.skip(epoch, expected, row.seq - 1)
            expected = row.seq + 1
        self.cursor.skip(epoch, expected, upto)

    # -- keeping ---------------------------------------------------------------------------

    async def _save(self) -> None:
        while True:
            await self._settled.wait()
            self._settled.clear()
            self.cursor.save()
            await asyncio.sleep(SAVE_PERIOD_S)

    def resend(self, epoch: int, first: int, last: int) -> int:
        """Send again what is held of these numbers; how many they are."""
        count = self.cursor.again(epoch, first, last)
        if count:
            self._history.set()
        return count

    async def drain(self) -> None:
        """Returns when nothing waits, or there is no way out."""
        with contextlib.suppress(MqttError):
            while self.connection is not None and self.cursor.pending():
                self._settled.clear()
                self._history.set()
                waiting: list[asyncio.Future[object]] = [
                    asyncio.ensure_future(self._settled.wait()),
                    asyncio.ensure_future(_lost(self.connection)),
                ]
                await _first(waiting)


def _class_order(row: Row) -> tuple[bool, str, int]:
    return (row.klass not in URGENT, row.klass, row.seq)


async def _lost(connection: Connection) -> str:
    return await asyncio.shield(connection.lost)


async def _first(waiting: list[asyncio.Future[object]]) -> None:
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for future in waiting:
            future.cancel()
        await asyncio.wait(waiting)
