"""paho-mqtt on the asyncio loop: one connection as an `async with`.  The only importer of paho.

MQTT 5 first, 3.1.1 where the broker has nothing newer.  A connection is used once and thrown
away: what is not acknowledged when it ends is the caller's to send again (the outbox keeps it),
so paho's own queue never carries anything over a reconnection.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import msgspec
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from agent.broker import Backoff, Broker

__all__ = [
    "NO_MATCHING_SUBSCRIBERS", "Broker", "Connection", "Message", "MqttError", "Will", "connect",
    "keep_connected",
]  # fmt: skip

NO_MATCHING_SUBSCRIBERS = 0x10
"""PUBACK reason code of MQTT 5: the broker took the message, and nobody was there to hear it."""

RECEIVE_MAXIMUM_DEFAULT = 65_535
_UNSUPPORTED_PROTOCOL = 0x84
_MISC_PERIOD_S = 1.0


class MqttError(OSError):
    """A connection that could not be made or was refused; its text says which broker and why."""


class _UnsupportedProtocolError(MqttError):
    """The broker does not speak MQTT 5."""


class Message(msgspec.Struct, frozen=True):
    """What came in."""

    topic: str
    payload: bytes
    retain: bool = False
    response_topic: str = ""
    correlation: bytes = b""


class Will(msgspec.Struct, frozen=True, kw_only=True):
    """What the broker says for us when the path is lost."""

    topic: str
    payload: bytes
    retain: bool = True
    expiry_s: int | None = None


OnMessage = Callable[[Message], None]


class Connection:
    """An open connection.  Made by `connect`; of no use once `lost` is done."""

    def __init__(self, client: paho.Client, broker: Broker, on_message: OnMessage) -> None:
        self.broker = broker
        self.protocol = 0
        """5 or 4 (3.1.1)."""
        self.receive_maximum = RECEIVE_MAXIMUM_DEFAULT
        """How many publishes the broker takes unacknowledged."""
        self._loop = asyncio.get_running_loop()
        self.lost: asyncio.Future[str] = self._loop.create_future()
        """Done, with the reason, when the connection has ended."""
        self._client = client
        self._on_message = on_message
        self._connected: asyncio.Future[None] = self._loop.create_future()
        self._acks: dict[int, asyncio.Future[int]] = {}
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
    ) -> asyncio.Future[int]:
        """Send.  The future gives PUBACK's reason code (0 in 3.1.1; at once for QoS 0), or raises
        MqttError when the connection ends before it came."""
        future: asyncio.Future[int] = self._loop.create_future()
        if self.lost.done():
            future.set_exception(MqttError(f"{self.broker}: {self.lost.result()}"))
            future.exception()
            return future
        properties = None
        if self.protocol == 5 and (expiry_s is not None or content_type):
            values: dict[str, Any] = {}
            if expiry_s is not None:
                values["MessageExpiryInterval"] = max(1, expiry_s)
            if content_type:
                values["ContentType"] = content_type
            properties = _properties(PacketTypes.PUBLISH, **values)
        info = self._client.publish(topic, payload, qos, retain, properties)
        if info.rc is not MQTTErrorCode.MQTT_ERR_SUCCESS:
            future.set_exception(MqttError(f"{self.broker}: {paho.error_string(info.rc)}"))
            future.exception()
        elif qos == 0:
            future.set_result(0)
        else:
            self._acks[info.mid] = future
        return future

    async def subscribe(self, filters: Sequence[str], qos: int = 1) -> None:
        """Returns when the broker has granted all.  MqttError names the first that it refused."""
        options = SubscribeOptions(qos=qos) if self.protocol == 5 else None
        wanted: Any = [(name, options if options is not None else qos) for name in filters]
        code, mid = self._client.subscribe(wanted)
        if code is not MQTTErrorCode.MQTT_ERR_SUCCESS or mid is None:
            raise MqttError(f"{self.broker}: {paho.error_string(code)}")
        future: asyncio.Future[list[ReasonCode]] = self._loop.create_future()
        self._subscriptions[mid] = future
        for name, granted in zip(filters, await future, strict=False):
            if granted.is_failure:
                raise MqttError(f"{self.broker} refused to subscribe to {name}: {granted}")

    # -- life ------------------------------------------------------------------------------

    async def _open(self, timeout_s: float, session_expiry_s: int) -> None:
        broker = self.broker
        try:
            await self._connect_socket(timeout_s, session_expiry_s)
        except ConnectionRefusedError as error:
            raise MqttError(f"{broker} refused the connection: nothing listens there") from error
        except socket.gaierror as error:
            raise MqttError(f"{broker}: the name {broker.host!r} is not known") from error
        except TimeoutError as error:
            raise MqttError(f"{broker} did not answer within {timeout_s:g} s") from error
        except ssl.SSLCertVerificationError as error:
            raise MqttError(
                f"{broker}: its certificate is not trusted: {error.verify_message}"
            ) from error
        except OSError as error:
            raise MqttError(f"{broker} cannot be reached: {error.strerror or error}") from error
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
            if session_expiry_s:
                options["properties"] = _properties(
                    PacketTypes.CONNECT, SessionExpiryInterval=session_expiry_s
                )
        # Name look-up, TCP and TLS block, so they happen on a thread.
        thread = asyncio.ensure_future(
            asyncio.to_thread(client.connect, self.broker.host, self.broker.port, **options)
        )
        try:
            await asyncio.shield(thread)
        except asyncio.CancelledError:
            # A thread cannot be cancelled: what it opens later is closed when it is done.
            thread.add_done_callback(lambda done: _discard(client, done))
            raise

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
        self._client.loop_read()
        pending = getattr(self._socket, "pending", None)
        # TLS may hold decrypted bytes that the selector cannot see.
        while pending is not None and self._socket is not None and pending():
            self._client.loop_read()

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
        # A socket that paho still holds would otherwise wait for the garbage collector.
        if (left := self._client.socket()) is not None:
            left.close()

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
        error = MqttError(f"{self.broker}: {reason}")
        waiting: list[asyncio.Future[Any]] = [
            *self._acks.values(), *self._subscriptions.values(), self._connected,
        ]  # fmt: skip
        self._acks.clear()
        self._subscriptions.clear()
        for future in waiting:
            if not future.done():
                future.set_exception(error)
                # Who does not wait for it has seen `lost`.
                future.exception()

    # -- paho's callbacks ------------------------------------------------------------------

    def _handle_connect(
        self, _client: Any, _data: Any, _flags: Any, code: ReasonCode, properties: Any
    ) -> None:
        if code.is_failure:
            kind = _UnsupportedProtocolError if code.value == _UNSUPPORTED_PROTOCOL else MqttError
            if not self._connected.done():
                self._connected.set_exception(kind(f"{self.broker} refused the login: {code}"))
            return
        self.protocol = 5 if self._client.protocol == MQTTProtocolVersion.MQTTv5 else 4
        limit = getattr(properties, "ReceiveMaximum", None)
        if limit:
            self.receive_maximum = limit
        if not self._connected.done():
            self._connected.set_result(None)

    def _handle_disconnect(
        self, _client: Any, _data: Any, _flags: Any, code: ReasonCode, _properties: Any
    ) -> None:
        self._detach()
        self._end(f"connection lost: {code}")

    def _handle_message(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        properties = message.properties
        self._on_message(
            Message(
                message.topic,
                bytes(message.payload),
                message.retain,
                getattr(properties, "ResponseTopic", ""),
                getattr(properties, "CorrelationData", b""),
            )
        )

    def _handle_publish(
        self, _client: Any, _data: Any, mid: int, code: ReasonCode, _properties: Any
    ) -> None:
        future = self._acks.pop(mid, None)
        if future is not None and not future.done():
            future.set_result(code.value)

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


def _properties(packet: int, **values: Any) -> Properties:
    properties = Properties(packet)  # type: ignore[no-untyped-call]
    for name, value in values.items():
        setattr(properties, name, value)
    return properties


def _discard(client: paho.Client, done: asyncio.Future[Any]) -> None:
    if not done.cancelled():
        done.exception()
    if (left := client.socket()) is not None:
        left.close()


def _make_client(
    broker: Broker, protocol: MQTTProtocolVersion, client_id: str, will: Will | None, clean: bool
) -> paho.Client:
    client = paho.Client(
        CallbackAPIVersion.VERSION2,
        client_id=client_id,
        protocol=protocol,
        clean_session=None if protocol == MQTTProtocolVersion.MQTTv5 else clean,
        reconnect_on_failure=False,
    )
    # The window is the caller's: nothing may wait inside paho.
    client.max_inflight_messages_set(RECEIVE_MAXIMUM_DEFAULT)
    if broker.username:
        client.username_pw_set(broker.username, broker.password or None)
    if broker.tls is not None:
        client.tls_set_context(broker.tls.context())
    if will is not None:
        properties = None
        if protocol == MQTTProtocolVersion.MQTTv5 and will.expiry_s is not None:
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
    timeout_s: float = 10.0,
) -> AsyncIterator[Connection]:
    """Connect, MQTT 5 first.  MqttError says why it cannot be done.  Leaving the block sends
    DISCONNECT (so that no will is published), unless the connection is lost already."""
    protocols = (MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311)
    for protocol in protocols:
        try:
            client = _make_client(broker, protocol, client_id, will, session_expiry_s == 0)
        except (OSError, ssl.SSLError) as error:
            raise MqttError(f"{broker}: the TLS files cannot be used: {error}") from error
        connection = Connection(client, broker, on_message)
        try:
            await connection._open(timeout_s, session_expiry_s)
        except _UnsupportedProtocolError:
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


async def keep_connected(
    broker: Broker,
    *,
    client_id: str,
    on_message: OnMessage,
    serve: Callable[[Connection], Awaitable[None]],
    on_down: Callable[[str], None] | None = None,
    make_will: Callable[[], Will] | None = None,
    session_expiry_s: int = 0,
    first_retry_s: float = 0.5,
    ceiling_retry_s: float = 15.0,
) -> None:
    """Connect again and again, until cancelled.  `serve` runs for each connection and is cancelled
    when that is lost; when it returns by itself the connection is closed and made anew."""
    backoff = Backoff(first_retry_s, ceiling_retry_s)
    while True:
        try:
            will = make_will() if make_will is not None else None
            async with connect(
                broker, client_id=client_id, on_message=on_message, will=will,
                session_expiry_s=session_expiry_s,
            ) as connection:  # fmt: skip
                backoff.reset()
                reason = await _serve_until_lost(connection, serve)
        except MqttError as error:
            reason = str(error)
        if on_down is not None:
            on_down(reason)
        await asyncio.sleep(backoff.next_s())


async def _serve_until_lost(
    connection: Connection, serve: Callable[[Connection], Awaitable[None]]
) -> str:
    async def run() -> None:
        await serve(connection)

    task = asyncio.create_task(run(), name=f"mqtt[{connection.broker}].serve")
    watched: list[asyncio.Future[Any]] = [task, connection.lost]
    try:
        await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
    finally:
        if not task.done():
            task.cancel()
        await asyncio.wait([task])
    if not task.cancelled() and (error := task.exception()) is not None:
        raise error
    return connection.lost.result() if connection.lost.done() else "served"
