"""A client of paho, made as we use it, and how it gets its socket (blocking: on a thread)."""

from __future__ import annotations

import contextlib
import socket
import ssl
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes

from agent.broker import Broker, MqttError, Will, why_ended
from agent.mqtt.properties import make_properties
from agent.mqtt.tunnel import through_proxy

RECEIVE_MAXIMUM_DEFAULT = 65_535
ACKED_LATER_MAX = 16
"""Messages that wait for a hearer who acknowledges them itself (MQTT 5)."""


DSCP_CS4 = 32
"""What a person acts upon (RFC 4594); Wi-Fi puts it before best effort, in which pictures go."""
PRIORITY_INTERACTIVE = 6
"""linux/pkt_sched.h; the first band of `pfifo_fast` and `prio`."""
TCP_THIN_LINEAR_TIMEOUTS = 16
"""linux/tcp.h."""


def prefer(sock: socket.socket) -> None:
    """Make the most of a socket that carries few small messages, each of which is urgent.  Queues
    that heed no marks take it as any other."""
    # On a far link each message would else wait for the acknowledgement of the one before.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # What is lost again is tried again at once, not after twice, four, eight times as long.
    sock.setsockopt(socket.IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, 1)
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, DSCP_CS4 << 2)
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, DSCP_CS4 << 2)
    # Last: the marks above choose a priority of their own.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, PRIORITY_INTERACTIVE)


class Client(paho.Client):
    """paho's, with a socket that can go through a proxy and is closed when a handshake fails."""

    broker: Broker
    tls: ssl.SSLContext | None = None
    _raw: socket.socket | None = None

    def _create_socket_connection(self) -> socket.socket:
        broker, timeout_s = self.broker, self.connect_timeout
        if not broker.proxy:
            self._raw = socket.create_connection((broker.host, broker.port), timeout_s)
        else:
            self._raw = through_proxy(broker.proxy, broker.host, broker.port, timeout_s)
        prefer(self._raw)
        return self._raw

    def open(self, timeout_s: float, options: dict[str, Any]) -> None:
        """Name look-up, TCP, TLS, WebSocket, CONNECT; all of it blocks."""
        self.connect_timeout = timeout_s
        try:
            self.connect(self.broker.host, self.broker.port, **options)
        except paho.WebsocketConnectionError as error:
            self.shut()
            raise MqttError(
                f"{self.broker} speaks no WebSocket at {self.broker.websocket_path}"
            ) from error
        except OSError:
            self.shut()
            raise

    @property
    def refusal(self) -> str:
        """What the server has against our certificate; empty: nothing."""
        kind = getattr(self.tls, "sslsocket_class", None)
        return why_ended(getattr(kind, "alert", ""))

    def shut(self) -> None:
        """Close what is open: it would otherwise wait for the garbage collector."""
        for left in (self.socket(), self._raw):
            if left is not None:
                with contextlib.suppress(OSError):
                    left.close()


def make_client(
    broker: Broker, protocol: MQTTProtocolVersion, client_id: str, will: Will | None,
    acks_later: bool,
) -> Client:  # fmt: skip
    """Not connected yet.  ValueError: a certificate cannot be used."""
    client = Client(
        CallbackAPIVersion.VERSION2,
        client_id=client_id,
        protocol=protocol,
        # A session of 3.1.1 has no end: it would gather messages for ever, unless that is wanted.
        clean_session=None if protocol == MQTTProtocolVersion.MQTTv5 else not acks_later,
        reconnect_on_failure=False,
        manual_ack=acks_later,
        transport="websockets" if broker.websocket_path else "tcp",
    )
    client.broker = broker
    # The window is the caller's: nothing may wait inside paho.
    client.max_inflight_messages_set(RECEIVE_MAXIMUM_DEFAULT)
    if broker.websocket_path:
        client.ws_set_options(broker.websocket_path)
    if broker.username:
        client.username_pw_set(broker.username, broker.password or None)
    if broker.tls is not None:
        client.tls = broker.tls.context()
        client.tls_set_context(client.tls)
    if will is not None:
        properties = None
        if protocol == MQTTProtocolVersion.MQTTv5:
            properties = make_properties(
                PacketTypes.WILLMESSAGE, MessageExpiryInterval=will.expiry_s
            )
        client.will_set(will.topic, will.payload, 1, will.retain, properties)
    return client


def connect_options(client: Client, session_expiry_s: int, acks_later: bool) -> dict[str, Any]:
    """For `open`."""
    options: dict[str, Any] = {"keepalive": client.broker.keepalive_s}
    if client.protocol == MQTTProtocolVersion.MQTTv5:
        options["clean_start"] = session_expiry_s == 0
        options["properties"] = make_properties(
            PacketTypes.CONNECT,
            SessionExpiryInterval=session_expiry_s or None,
            ReceiveMaximum=ACKED_LATER_MAX if acks_later else None,
        )
    return options
