"""The console's side of MQTT: one connection, kept; what comes in, what goes out."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable

from agent import mqtt, topics
from agent.mqtt import Broker, Connection, Message, MqttError
from agent.reconnect import keep_connected

PUBACK_S = 5.0
REFUSED_LOG_S = 10.0
"""Between two lines about messages that were refused."""

_FILTERS = (
    "status",
    "link/+",
    "readings",
    "alarms",
    "alarms/active",
    "events",
    "media",
    "media/+",
    "ack",
    "skipped",
    "rollups",
    "still/+",
    "rtc/+/answer",
    "rtc/+/close",
    "state",
)
"""Of each unit; `state` is the drill's.  None overlaps another, so nothing comes twice."""

_log = logging.getLogger("console.center")


class NotReachedError(OSError):
    """A message reached nobody; its text says why and is shown to the person who sent it."""


class Center:
    """A command center's connection.

    `on_message` gets each message with its topic taken apart, `on_state` each change of
    `connected` and `detail`; both run in the loop's turn and return at once."""

    def __init__(
        self,
        broker: Broker,
        org: str,
        *,
        exercise: bool,
        on_message: Callable[[topics.Topic, bytes], None],
        on_state: Callable[[], None],
    ) -> None:
        self.broker = broker
        self.org = org
        self.exercise = exercise
        self.connected = False
        self.detail = f"connecting to {broker}"
        self._on_message = on_message
        self._on_state = on_state
        self._connection: Connection | None = None
        self._refused = 0
        self._silent_until_s = 0.0

    def topic(self, unit: str, path: str) -> str:
        """ValueError where `unit` is not one of ours."""
        return f"{topics.unit_root(self.org, unit, exercise=self.exercise)}/{path}"

    async def run(self) -> None:
        """Stay connected until cancelled; a broker that is away is normal life."""
        await keep_connected(
            self.broker,
            client_id=f"console-{secrets.token_hex(6)}",
            on_message=self._take,
            serve=self._serve,
            on_down=self._down,
            ceiling_retry_s=5.0,
        )

    async def publish(self, topic: str, payload: bytes, *, expiry_s: int) -> None:
        """Send with QoS 1 and wait for PUBACK.  NotReachedError: the broker is away, does not
        answer, refuses, or says that nobody hears this topic."""
        if self._connection is None:
            raise NotReachedError(f"no connection to the broker: {self.detail}")
        try:
            async with asyncio.timeout(PUBACK_S):
                code = await self._connection.publish(topic, payload, expiry_s=expiry_s)
        except TimeoutError as error:
            raise NotReachedError(f"the broker did not answer within {PUBACK_S:g} s") from error
        except MqttError as error:
            raise NotReachedError(str(error)) from error
        if code == mqtt.NO_MATCHING_SUBSCRIBERS:
            unit = topics.parse(topic).unit
            raise NotReachedError(f"nobody hears {unit}: it is not connected to this broker")
        if code >= 0x80:
            raise NotReachedError(f"the broker refused {topic} with reason code 0x{code:02x}")

    async def _serve(self, connection: Connection) -> None:
        roots = "/".join((topics.ROOT_EXERCISE if self.exercise else topics.ROOT, self.org, "+"))
        await connection.subscribe([f"{roots}/{name}" for name in _FILTERS])
        self._connection = connection
        self._change(True, f"connected to {self.broker}")
        try:
            await connection.lost
        finally:
            self._connection = None

    def _down(self, reason: str) -> None:
        self._change(False, reason)

    def _change(self, connected: bool, detail: str) -> None:
        if (connected, detail) == (self.connected, self.detail):
            return
        self.connected = connected
        self.detail = detail
        (_log.info if connected else _log.warning)("%s", detail)
        self._on_state()

    def _take(self, message: Message) -> None:
        try:
            topic = topics.parse(message.topic)
            # Refuses a real unit under the exercise root, and the reverse.
            topics.unit_root(topic.org, topic.unit, exercise=self.exercise)
            self._on_message(topic, message.payload)
        except ValueError as error:
            # Anybody may publish; one bad sender must not cost the others anything.
            self._refused += 1
            now_s = time.monotonic()
            if now_s >= self._silent_until_s:
                self._silent_until_s = now_s + REFUSED_LOG_S
                _log.warning("%d messages were refused; the newest: %s", self._refused, error)
