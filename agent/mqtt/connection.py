"""One connection: publishes, their acknowledgements, subscriptions, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from agent.background import in_background
from agent.broker import Broker, Message, MqttError, RefusedTopicError, Will, connect_error, nothing
from agent.mqtt.aliases import Aliases
from agent.mqtt.client import (
    RECEIVE_MAXIMUM_DEFAULT,
    Client,
    connect_options,
    make_client,
)
from agent.mqtt.loop import LoopSocket
from agent.mqtt.properties import of_publish
from agent.mqtt.tongues import OLDER, Tongues

MAXIMUM_PACKET_DEFAULT = 268_435_460
HELD_MAX = 1000
"""Publishes that wait for a broker which takes only so many at once."""
_UNSUPPORTED_PROTOCOL = 0x84


class _OlderProtocolError(MqttError):
    """The broker does not speak MQTT 5, or ended the connection without saying why (no code)."""


class _SilentError(MqttError):
    """It sent no CONNACK."""


OnMessage = Callable[[Message], None]


class Connection:
    """An open connection.  Made by `connect`; of no use once `lost` is done."""

    def __init__(
        self, client: Client, broker: Broker, on_message: OnMessage, acks_later: bool = False
    ) -> None:
        self.broker = broker
        self.protocol = 0
        """5 or 4 (3.1.1)."""
        self.receive_maximum = RECEIVE_MAXIMUM_DEFAULT
        """How many publishes the broker takes unacknowledged; `publish` keeps to it."""
        self.maximum_packet = MAXIMUM_PACKET_DEFAULT
        """The largest packet that the broker takes, bytes."""
        self._loop = asyncio.get_running_loop()
        self.lost: asyncio.Future[str] = self._loop.create_future()
        """Done, with the reason, when the connection has ended."""
        self.lost_code = 0
        """Then: MQTT 5's reason code, where the broker gave one."""
        self._client = client
        self._on_message = on_message
        self._acks_later = acks_later
        self._connected: asyncio.Future[None] = self._loop.create_future()
        self._aliases = Aliases(0)
        self._acks: dict[int, asyncio.Future[int]] = {}
        self._held: deque[tuple[asyncio.Future[int], tuple[Any, ...]]] = deque()
        self._subscriptions: dict[int, asyncio.Future[list[ReasonCode]]] = {}
        self._wire = LoopSocket(client, self._end)
        client.on_connect = self._handle_connect
        client.on_disconnect = self._handle_disconnect
        client.on_message = self._handle_message
        client.on_publish = self._handle_publish
        client.on_subscribe = self._handle_subscribe

    # -- what callers use ------------------------------------------------------------------

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int = 1,
        retain: bool = False,
        expiry_s: int | None = None,
        content_type: str | None = None,
        correlation: bytes = b"",
        response_topic: str = "",
    ) -> asyncio.Future[int]:
        """Send.  The future gives PUBACK's reason code (0 in 3.1.1; at once for QoS 0), or raises
        MqttError when the connection ends before it came, or where the broker would not take it."""
        future: asyncio.Future[int] = self._loop.create_future()
        options = (expiry_s, content_type or "", correlation, response_topic)
        packet = (topic, payload, qos, retain, options)
        if self.lost.done():
            self._fail(future, self.lost.result())
        elif len(topic) + len(payload) > self.maximum_packet:
            self._fail(
                future, f"takes {self.maximum_packet} bytes at most, not {len(payload)} on {topic}"
            )
        elif qos == 0 or (not self._held and len(self._acks) < self.receive_maximum):
            self._put(future, packet)
        elif len(self._held) < HELD_MAX:
            self._held.append((future, packet))
        else:
            self._fail(future, f"{HELD_MAX} publishes wait for it already")
        return future

    def _fail(self, future: asyncio.Future[int], reason: str) -> None:
        future.set_exception(MqttError(f"{self.broker}: {reason}"))
        # Who does not wait for it is not interested.
        future.exception()

    def _put(self, future: asyncio.Future[int], packet: tuple[Any, ...]) -> None:
        topic, payload, qos, retain, options = packet
        wire_topic, alias = self._aliases.of(topic)
        properties = of_publish(*options, alias) if self.protocol == 5 else None
        self._wire.held = True
        try:
            info = self._client.publish(wire_topic, payload, qos, retain, properties)
        finally:
            self._wire.held = False
        if info.rc is not MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._fail(future, paho.error_string(info.rc))
            return
        self._aliases.sent(topic, alias)
        if qos == 0:
            future.set_result(0)
        else:
            self._acks[info.mid] = future
        self._wire.write_on()

    def _put_held(self) -> None:
        while self._held and len(self._acks) < self.receive_maximum and not self.lost.done():
            self._put(*self._held.popleft())

    async def subscribe(
        self, filters: Sequence[str], qos: int = 1, timeout_s: float = 10.0
    ) -> None:
        """Returns when the broker has granted all.  MqttError names the first that it refused."""
        if self.lost.done():
            raise MqttError(f"{self.broker}: {self.lost.result()}")
        options = SubscribeOptions(qos=qos) if self.protocol == 5 else None
        wanted: Any = [(name, options if options is not None else qos) for name in filters]
        code, mid = self._client.subscribe(wanted)
        if code is not MQTTErrorCode.MQTT_ERR_SUCCESS or mid is None:
            raise MqttError(f"{self.broker}: {paho.error_string(code)}")
        future: asyncio.Future[list[ReasonCode]] = self._loop.create_future()
        self._subscriptions[mid] = future
        try:
            async with asyncio.timeout(timeout_s):
                codes = await future
        except TimeoutError as error:
            raise MqttError(
                f"{self.broker} did not answer a subscription within {timeout_s:g} s"
            ) from error
        for name, granted in zip(filters, codes, strict=False):
            if granted.is_failure:
                raise RefusedTopicError(f"{self.broker} refused to subscribe to {name}: {granted}")

    def fileno(self) -> int:
        """Of the TCP connection's socket, to ask the kernel about it.  OSError: there is none."""
        if (number := self._wire.fileno()) is None:
            raise MqttError(f"{self.broker}: the connection is closed")
        return number

    # -- life ------------------------------------------------------------------------------

    async def _open(self, timeout_s: float, session_expiry_s: int) -> None:
        broker = self.broker
        try:
            # Name look-up, TCP and TLS have limits of their own, but not the three together.
            async with asyncio.timeout(2 * timeout_s):
                await self._connect_socket(timeout_s, session_expiry_s)
        except (OSError, ValueError) as error:
            raise connect_error(broker, error, timeout_s) from error
        self._wire.attach()
        try:
            async with asyncio.timeout(timeout_s):
                await self._connected
        except TimeoutError as error:
            raise _SilentError(
                f"{broker} took the connection but sent no CONNACK within {timeout_s:g} s"
            ) from error

    async def _connect_socket(self, timeout_s: float, session_expiry_s: int) -> None:
        client = self._client
        options = connect_options(client, session_expiry_s, self._acks_later)
        # A thread cannot be cancelled: what it opens after we have gone is closed.
        await in_background(
            lambda: client.open(timeout_s, options), f"mqtt[{self.broker}].connect",
            undo=client.shut,
        )  # fmt: skip

    async def _close(self) -> None:
        if not self.lost.done() and self._connected.done():
            self._client.disconnect()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await asyncio.shield(self.lost)
        self._wire.detach()
        self._end("closed by us")
        self._client.shut()

    def _end(self, reason: str, *, silent: bool = False) -> None:
        """`silent`: it did not answer."""
        if not self.lost.done():
            self.lost.set_result(reason)
        if not self._connected.done():
            if refusal := self._client.refusal:
                self._connected.set_exception(MqttError(f"{self.broker}: {refusal}"))
            else:
                text = f"{self.broker} ended the connection without a CONNACK: {reason}"
                kind = _SilentError if silent else _OlderProtocolError
                self._connected.set_exception(kind(text))
            self._connected.exception()
        waiting: list[asyncio.Future[Any]] = [
            *self._acks.values(), *self._subscriptions.values(), *(held[0] for held in self._held),
        ]  # fmt: skip
        self._acks.clear()
        self._subscriptions.clear()
        self._held.clear()
        for future in waiting:
            if not future.done():
                self._fail(future, reason)

    # -- paho's callbacks ------------------------------------------------------------------

    def _handle_connect(
        self, _client: Any, _data: Any, _flags: Any, code: ReasonCode, properties: Any
    ) -> None:
        if code.is_failure:
            kind = _OlderProtocolError if code.value == _UNSUPPORTED_PROTOCOL else MqttError
            if not self._connected.done():
                error = kind(f"{self.broker} refused the login: {code}")
                error.code = code.value
                self._connected.set_exception(error)
            return
        self.protocol = 5 if self._client.protocol == MQTTProtocolVersion.MQTTv5 else 4
        self.receive_maximum = getattr(properties, "ReceiveMaximum", RECEIVE_MAXIMUM_DEFAULT)
        self.maximum_packet = getattr(properties, "MaximumPacketSize", MAXIMUM_PACKET_DEFAULT)
        self._aliases = Aliases(getattr(properties, "TopicAliasMaximum", 0))
        if not self._connected.done():
            self._connected.set_result(None)

    def _handle_disconnect(
        self, _client: Any, _data: Any, flags: Any, code: ReasonCode, _properties: Any
    ) -> None:
        self._wire.detach()
        name = code.getName()
        if flags.is_disconnect_packet_from_server:
            self.lost_code = code.value
            self._end(f"the broker ended the connection: {name}")
        elif not code.is_failure:
            self._end("closed by us")
        else:
            # `Unspecified error` is paho's word for a connection that ends.
            known = {"Unspecified error": "", "Keep alive timeout": ": no answer to a ping"}
            silent = name == "Keep alive timeout"
            self._end(f"connection lost{known.get(name, f': {name}')}", silent=silent)

    def _handle_message(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        properties = message.properties
        # Later: an error of the one who hears it must not upset paho in the middle of a packet.
        self._loop.call_soon(
            self._on_message,
            Message(
                message.topic,
                bytes(message.payload),
                message.retain,
                getattr(properties, "ResponseTopic", ""),
                getattr(properties, "CorrelationData", b""),
                getattr(properties, "ContentType", ""),
                self._later(message.mid) if self._acks_later and message.qos else nothing,
            ),
        )

    def _later(self, mid: int) -> Callable[[], None]:
        def done() -> None:
            # After the connection has ended the broker sends it again.
            if not self.lost.done():
                self._client.ack(mid, 1)

        return done

    def _handle_publish(
        self, _client: Any, _data: Any, mid: int, code: ReasonCode, _properties: Any
    ) -> None:
        future = self._acks.pop(mid, None)
        if future is not None and not future.done():
            future.set_result(code.value)
        if self._held:
            self._loop.call_soon(self._put_held)

    def _handle_subscribe(
        self, _client: Any, _data: Any, mid: int, codes: list[ReasonCode], _properties: Any
    ) -> None:
        future = self._subscriptions.pop(mid, None)
        if future is not None and not future.done():
            future.set_result(codes)


@contextlib.asynccontextmanager
async def connect(
    broker: Broker,
    *,
    client_id: str,
    on_message: OnMessage,
    will: Will | None = None,
    session_expiry_s: int = 0,
    acks_later: bool = False,
    timeout_s: float = 10.0,
    tongues: Tongues | None = None,
) -> AsyncIterator[Connection]:
    """Connect, MQTT 5 first, unless `tongues` knows better.  MqttError says why it cannot be done.
    Leaving the block sends DISCONNECT (so that no will is published), unless the connection is lost
    already.  `session_expiry_s`: so long the broker keeps what it has for us (MQTT 5 only).
    `acks_later`: each message is acknowledged when its `done` is called (and the session of 3.1.1
    is kept)."""
    tongues, loop = tongues or Tongues(), asyncio.get_running_loop()
    versions, told = tongues.to_try(broker, loop.time()), False
    for version in versions:
        try:
            client = make_client(broker, MQTTProtocolVersion(version), client_id, will, acks_later)
        except ValueError as error:
            raise MqttError(f"{broker}: {error}") from error
        connection = Connection(client, broker, on_message, acks_later)
        try:
            try:
                await connection._open(timeout_s, session_expiry_s)
            except _OlderProtocolError as error:
                told = error.code == _UNSUPPORTED_PROTOCOL
                if version == OLDER:
                    if told:
                        tongues.not_older(broker)
                    raise
                continue
            except _SilentError:
                if version == OLDER or not tongues.silence(broker):
                    raise
                continue
            tongues.spoke(broker, version, loop.time(), told=told)
            yield connection
        finally:
            await connection._close()
        return
