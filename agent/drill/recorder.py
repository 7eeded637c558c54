"""The far side of the broker, as a command center sees it: counts what arrives, and asks for what
does not.

Its own connection, straight to the broker: the units' links may be cut, this one is not.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import Callable

import msgspec

from agent import topics
from agent.center.gap_closer import GapCloser
from agent.center.receiver import Counts, Gap, Receiver, Record
from agent.drill.sessions import Sessions
from agent.drill.state import EXPIRY_S, Control, DrillState
from agent.messages import Alarm, Class, Command, Link, Mark, Status, epoch_order
from agent.mqtt import Broker, Connection, Message, MqttError, connect
from agent.reconnect import keep_connected

log = logging.getLogger(__name__)

BY = "drill/recorder"
HEARD = ("status", "link/+", "readings", "alarms", "events", "media", "ack", "skipped",
         "rtc/+/offer", "rtc/+/close")  # fmt: skip
LOOK_S = 0.5
TRANSITIONS_MAX = 20_000
"""Of alarms, in one drill; more are counted only."""
RETRY_CEILING_S = 2.0
HANG_UP_S = 1.0
CLEAR_S = 2.0
"""How long the search for retained messages may take."""


class Transition(msgspec.Struct, frozen=True, kw_only=True):
    """An alarm's change, as it arrived."""

    unit: str
    epoch: str
    seq: int
    t: int
    late: bool
    alarm: Alarm


class LinkChange(msgspec.Struct, frozen=True, kw_only=True):
    """What `link/{path}` said, and when that was heard here."""

    unit: str
    path: str
    state: str
    heard_ms: int


class Recorder:
    """`run` until cancelled; then it knows what came."""

    def __init__(
        self, broker: Broker, org: str, units: list[str], on_control: Callable[[Control], None]
    ) -> None:
        self.receiver = Receiver()
        self.transitions: list[Transition] = []
        self.transitions_left_out = 0
        self.links: list[LinkChange] = []
        self.statuses: dict[str, Status] = {}
        self.connected = asyncio.Event()
        self.trouble = ""
        """Why there is no connection, or the last payload that could not be understood."""
        self.broker = broker
        self._org = org
        self._units = set(units)
        self._on_control = on_control
        self._sessions = Sessions()
        self._closers = {unit: GapCloser() for unit in units}
        self._connection: Connection | None = None
        self._root = f"{topics.ROOT_EXERCISE}/{org}"

    async def run(self) -> None:
        """Listen, and close gaps, over any number of connections."""
        await keep_connected(
            self.broker,
            client_id=f"outpost-drill-{uuid.uuid4().hex[:8]}",
            on_message=self._take,
            serve=self._serve,
            on_down=self._down,
            ceiling_retry_s=RETRY_CEILING_S,
        )

    def counts(self, unit: str) -> Counts:
        return self.receiver.counts(unit)

    def publish_state(self, state: DrillState) -> None:
        """On `drill/state`, retained; not at all while there is no connection."""
        if self._connection is not None:
            topic = f"{self._root}/{topics.DRILL}/state"
            payload = msgspec.json.encode(state)
            self._connection.publish(topic, payload, retain=True, expiry_s=EXPIRY_S)

    async def hang_up(self, unit: str) -> None:
        """Ask a unit to end the pictures of all who watch it; returns when the broker has it."""
        root = topics.unit_root(self._org, unit, exercise=True)
        if (connection := self._connection) is None:
            return
        with contextlib.suppress(MqttError, TimeoutError):
            async with asyncio.timeout(HANG_UP_S):
                for session in self._sessions.of(unit):
                    await connection.publish(f"{root}/rtc/{session}/close", b"{}")

    async def _serve(self, connection: Connection) -> None:
        await connection.subscribe(
            [*(f"{self._root}/+/{path}" for path in HEARD), f"{self._root}/{topics.DRILL}/control"]
        )
        self._connection = connection
        self.connected.set()
        while True:
            for unit in self._units:
                for gap in self._closers[unit].due(self.receiver.gaps(unit), time.monotonic()):
                    self._ask_for(connection, unit, gap)
            await asyncio.sleep(LOOK_S)

    def _down(self, reason: str) -> None:
        self._connection = None
        self.connected.clear()
        self.trouble = reason

    def _ask_for(self, connection: Connection, unit: str, gap: Gap) -> None:
        root = topics.unit_root(self._org, unit, exercise=True)
        command = Command(
            id=uuid.uuid4().hex,
            by=BY,
            issued=_now_ms(),
            mark=Mark.EXERCISE,
            args=gap.args,
        )
        connection.publish(f"{root}/cmd/resend", msgspec.json.encode(command))

    # -- what comes in -----------------------------------------------------------------------

    def _take(self, message: Message) -> None:
        try:
            topic = topics.parse(message.topic)
            if topic.unit == topics.DRILL:
                self._take_control(topic, message)
            elif topic.unit in self._units and message.payload:
                self._take_from_unit(topic, message.payload)
        except (ValueError, msgspec.DecodeError, RecursionError) as error:
            # Anybody may publish under the exercise root; it must not end the drill.
            self.trouble = f"{message.topic}: {error}"
            log.warning("%s", self.trouble)

    def _take_control(self, topic: topics.Topic, message: Message) -> None:
        # A retained order is an old one.
        if topic.path == ("control",) and not message.retain and message.payload:
            self._on_control(msgspec.json.decode(message.payload, type=Control))

    def _take_from_unit(self, topic: topics.Topic, payload: bytes) -> None:
        match topic.path:
            case ("link", path):
                link = msgspec.json.decode(payload, type=Link)
                self._take_link(topic.unit, path, link.state)
            case ("rtc", *_):
                self._sessions.take(topic.unit, topic.path)
            case ("status",):
                self._take_status(msgspec.json.decode(payload, type=Status))
        for record in self.receiver.feed(topic, payload):
            if record.klass is Class.ALARMS:
                self._take_alarm(record)

    def _take_link(self, unit: str, path: str, state: str) -> None:
        before = [link for link in self.links if (link.unit, link.path) == (unit, path)]
        if not before or before[-1].state != state:
            change = LinkChange(unit=unit, path=path, state=state, heard_ms=_now_ms())
            self.links.append(change)

    def _take_status(self, status: Status) -> None:
        known = self.statuses.get(status.unit)
        if known is None or _age(known) <= _age(status):
            self.statuses[status.unit] = status

    def _take_alarm(self, record: Record) -> None:
        if len(self.transitions) >= TRANSITIONS_MAX:
            self.transitions_left_out += 1
            return
        self.transitions.append(
            Transition(
                unit=record.unit, epoch=record.epoch, seq=record.seq, t=record.t,
                late=record.late, alarm=msgspec.convert(record.body, Alarm),
            )
        )  # fmt: skip


async def clear_retained(broker: Broker, org: str) -> int:
    """Delete all that is retained under the exercise root of `org`; how many messages that was.

    MqttError: the broker cannot be reached, or refuses."""
    root = f"{topics.ROOT_EXERCISE}/{org}"
    # Retained messages come before what is published after the subscription: when this mark has
    # come round, they are all here.
    mark = f"{root}/{topics.DRILL}/mark-{uuid.uuid4().hex[:8]}"
    found: set[str] = set()
    marked = asyncio.Event()

    def take(message: Message) -> None:
        if message.topic == mark:
            marked.set()
        elif message.retain and message.payload:
            found.add(message.topic)

    client_id = f"outpost-clear-{uuid.uuid4().hex[:8]}"
    async with connect(broker, client_id=client_id, on_message=take) as connection:
        await connection.subscribe([f"{root}/#"])
        await connection.publish(mark, b"mark")
        try:
            async with asyncio.timeout(CLEAR_S):
                await marked.wait()
        except TimeoutError as error:
            raise MqttError(f"{broker}: what is published under {root} does not arrive") from error
        await asyncio.gather(*(connection.publish(name, b"", retain=True) for name in found))
    return len(found)


def _age(status: Status) -> tuple[int, int]:
    return epoch_order(status.epoch), status.version


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
