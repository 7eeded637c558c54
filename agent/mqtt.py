"""paho-mqtt on the asyncio loop: one connection as an `async with`.  The only importer of paho.

MQTT 5 first, 3.1.1 where the broker has nothing newer.  A connection is used once and thrown
away: what is not acknowledged when it ends is the caller's to send again (the outbox keeps it),
so paho's own queue never carries anything over a reconnection.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt import MQTTException
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from agent.background import in_background
from agent.broker import Broker, Message, MqttError, Will, connect_error, nothing

__all__ = [
    "NO_MATCHING_SUBSCRIBERS", "Broker", "Connection", "Message", "MqttError", "Will", "connect",
]  # fmt: skip

NO_MATCHING_SUBSCRIBERS = 0x10
"""PUBACK reason code of MQTT 5: the broker took the message, and nobody was there to hear it."""

RECEIVE_MAXIMUM_DEFAULT = 65_535
MAXIMUM_PACKET_DEFAULT = 268_435_460
ACKED_LATER_MAX = 16
"""Messages that wait for a hearer who acknowledges them itself (MQTT 5)."""
HELD_MAX = 1000
"""Publishes that wait for a broker which takes only so many at once."""
_UNSUPPORTED_PROTOCOL = 0x84
_MISC_PERIOD_S = 1.0
_NOT_MQTT = (ValueError, LookupError, struct.error, MQTTException)
"""What paho raises over bytes that are no MQTT packet."""


class _OlderProtocolError(MqttError):
    """The broker does not speak MQTT 5, or ended the connection without saying why."""


OnMessage = Callable[[Message], None]


class Connection:
    """An open connection.  Made by `connect`; of no use once `lost` is done."""

    def __init__(
        self, client: paho.Client, broker: Broker, on_message: OnMessage, acks_later: bool = False
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
        self._client = client
        self._on_message = on_message
        self._acks_later = acks_later
        self._connected: asyncio.Future[None] = self._loop.create_future()
        self._acks: dict[int, asyncio.Future[int]] = {}
        self._held: deque[tuple[asyncio.Future[int], tuple[Any, ...]]] = deque()
        self._subscriptions: dict[int, asyncio.Future[list[ReasonCode]]] = {}
        self._socket: Any = None
        self._misc: asyncio.TimerHandle | None = None
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
        properties = None
        if self.protocol == 5:
            properties = _properties(
                PacketTypes.PUBLISH,
                MessageExpiryInterval=None if expiry_s is None else max(1, expiry_s),
                ContentType=content_type,
                CorrelationData=correlation or None,
                ResponseTopic=response_topic or None,
            )
        packet = (topic, payload, qos, retain, properties)
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
        info = self._client.publish(*packet)
        if info.rc is not MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._fail(future, paho.error_string(info.rc))
        elif packet[2] == 0:
            future.set_result(0)
        else:
            self._acks[info.mid] = future

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
                raise MqttError(f"{self.broker} refused to subscribe to {name}: {granted}")

    # -- life ------------------------------------------------------------------------------

    async def _open(self, timeout_s: float, session_expiry_s: int) -> None:
        broker = self.broker
        try:
            # Name look-up, TCP and TLS have limits of their own, but not the three together.
            async with asyncio.timeout(2 * timeout_s):
                await self._connect_socket(timeout_s, session_expiry_s)
        except (OSError, ValueError) as error:
            raise connect_error(broker, error, timeout_s) from error
        self._attach()
        try:
            async with asyncio.timeout(timeout_s):
                await self._connected
        except TimeoutError as error:
            raise MqttError(
                f"{broker} took the connection but sent no CONNACK within {timeout_s:g} s"
            ) from error

    async def _connect_socket(self, timeout_s: float, session_expiry_s: int) -> None:
        client = self._client
        client.connect_timeout = timeout_s
        options: dict[str, Any] = {"keepalive": self.broker.keepalive_s}
        if client.protocol == MQTTProtocolVersion.MQTTv5:
            options["clean_start"] = session_expiry_s == 0
            options["properties"] = _properties(
                PacketTypes.CONNECT,
                SessionExpiryInterval=session_expiry_s or None,
                ReceiveMaximum=ACKED_LATER_MAX if self._acks_later else None,
            )
        # Name look-up, TCP and TLS block, and a thread cannot be cancelled: what it opens after we
        # have gone is closed.
        await in_background(
            lambda: client.connect(self.broker.host, self.broker.port, **options),
            f"mqtt[{self.broker}].connect",
            undo=lambda: _close_socket(client),
        )

    def _attach(self) -> None:
        self._socket = self._client.socket()
        if self._socket is None:
            return
        self._client.on_socket_close = self._handle_socket_close
        self._client.on_socket_register_write = self._handle_register_write
        self._client.on_socket_unregister_write = self._handle_unregister_write
        self._loop.add_reader(self._socket, self._readable)
        if self._client.want_write():
            self._handle_register_write(None, None, self._socket)
        self._misc = self._loop.call_later(_MISC_PERIOD_S, self._housekeep)
        self._readable()

    def _readable(self) -> None:
        try:
            self._client.loop_read()
            pending = getattr(self._socket, "pending", None)
            # TLS may hold decrypted bytes that the selector cannot see.
            while pending is not None and self._socket is not None and pending():
                self._client.loop_read()
        except _NOT_MQTT as error:
            self._detach()
            self._end(f"it sent something that is not MQTT ({error})")

    def _housekeep(self) -> None:
        self._misc = self._loop.call_later(_MISC_PERIOD_S, self._housekeep)
        self._client.loop_misc()

    async def _close(self) -> None:
        if not self.lost.done() and self._connected.done():
            self._client.disconnect()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await asyncio.shield(self.lost)
        self._detach()
        self._end("closed by us")
        _close_socket(self._client)

    def _detach(self) -> None:
        if self._misc is not None:
            self._misc.cancel()
            self._misc = None
        if self._socket is not None:
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._socket = None

    def _end(self, reason: str) -> None:
        if not self.lost.done():
            self.lost.set_result(reason)
        if not self._connected.done():
            text = f"{self.broker} ended the connection without a CONNACK: {reason}"
            self._connected.set_exception(_OlderProtocolError(text))
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
                self._connected.set_exception(kind(f"{self.broker} refused the login: {code}"))
            return
        self.protocol = 5 if self._client.protocol == MQTTProtocolVersion.MQTTv5 else 4
        self.receive_maximum = getattr(properties, "ReceiveMaximum", RECEIVE_MAXIMUM_DEFAULT)
        self.maximum_packet = getattr(properties, "MaximumPacketSize", MAXIMUM_PACKET_DEFAULT)
        if not self._connected.done():
            self._connected.set_result(None)

    def _handle_disconnect(
        self, _client: Any, _data: Any, flags: Any, code: ReasonCode, _properties: Any
    ) -> None:
        self._detach()
        name = code.getName()
        if flags.is_disconnect_packet_from_server:
            self._end(f"the broker ended the connection: {name}")
        elif not code.is_failure:
            self._end("closed by us")
        else:
            # `Unspecified error` is paho's word for a connection that ends.
            known = {"Unspecified error": "", "Keep alive timeout": ": no answer to a ping"}
            self._end(f"connection lost{known.get(name, f': {name}')}")

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

    def _handle_socket_close(self, _client: Any, _data: Any, _socket: Any) -> None:
        self._detach()

    def _handle_register_write(self, _client: Any, _data: Any, sock: Any) -> None:
        if self._socket is not None:
            self._loop.add_writer(sock, self._client.loop_write)

    def _handle_unregister_write(self, _client: Any, _data: Any, sock: Any) -> None:
        if self._socket is not None:
            self._loop.remove_writer(sock)


def _properties(packet: int, **values: Any) -> Properties | None:
    """Those that are not None; None where none is."""
    properties = Properties(packet)  # type: ignore[no-untyped-call]
    given = {name: value for name, value in values.items() if value is not None}
    for name, value in given.items():
        setattr(properties, name, value)
    return properties if given else None


def _close_socket(client: paho.Client) -> None:
    """One that paho still holds would otherwise wait for the garbage collector."""
    if (left := client.socket()) is not None:
        left.close()


def _make_client(
    broker: Broker, protocol: MQTTProtocolVersion, client_id: str, will: Will | None,
    acks_later: bool,
) -> paho.Client:  # fmt: skip
    client = paho.Client(
        CallbackAPIVersion.VERSION2,
        client_id=client_id,
        protocol=protocol,
        # A session of 3.1.1 has no end: it would gather messages for ever, unless that is wanted.
        clean_session=None if protocol == MQTTProtocolVersion.MQTTv5 else not acks_later,
        reconnect_on_failure=False,
        manual_ack=acks_later,
    )
    # The window is the caller's: nothing may wait inside paho.
    client.max_inflight_messages_set(RECEIVE_MAXIMUM_DEFAULT)
    if broker.username:
        client.username_pw_set(broker.username, broker.password or None)
    if broker.tls is not None:
        client.tls_set_context(broker.tls.context())
    if will is not None:
        properties = None
        if protocol == MQTTProtocolVersion.MQTTv5:
            properties = _properties(PacketTypes.WILLMESSAGE, MessageExpiryInterval=will.expiry_s)
        client.will_set(will.topic, will.payload, 1, will.retain, properties)
    return client


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
) -> AsyncIterator[Connection]:
    """Connect, MQTT 5 first.  MqttError says why it cannot be done.  Leaving the block sends
    DISCONNECT (so that no will is published), unless the connection is lost already.
    `session_expiry_s`: so long the broker keeps what it has for us (MQTT 5 only).  `acks_later`:
    each message is acknowledged when its `done` is called (and the session of 3.1.1 is kept)."""
    protocols = (MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311)
    for protocol in protocols:
        try:
            client = _make_client(broker, protocol, client_id, will, acks_later)
        except ValueError as error:
            raise MqttError(f"{broker}: {error}") from error
        connection = Connection(client, broker, on_message, acks_later)
        try:
            await connection._open(timeout_s, session_expiry_s)
        except _OlderProtocolError:
            await connection._close()
            if protocol == protocols[-1]:
                raise
            continue
        except BaseException:
            await connection._close()
            raise
        try:
            yield connection
        finally:
            await connection._close()
        return
