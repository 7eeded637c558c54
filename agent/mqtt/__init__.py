"""paho-mqtt on the asyncio loop: one connection as an `async with`.  The only importer of paho.

MQTT 5 first, 3.1.1 where the broker has nothing newer; over TCP, TLS, WebSocket, and through an
HTTP proxy.  A connection is used once and thrown away: what is not acknowledged when it ends is the
caller's to send again (the outbox keeps it), so paho's own queue never carries anything over a
reconnection.
"""

import agent.mqtt.lean  # noqa: F401 - before all that imports paho
from agent.broker import Broker, Message, MqttError, RefusedTopicError, Will
from agent.mqtt.connection import Connection, OnMessage, connect
from agent.mqtt.tongues import Tongues

__all__ = [
    "NO_MATCHING_SUBSCRIBERS", "Broker", "Connection", "Message", "MqttError", "OnMessage",
    "RefusedTopicError", "Tongues", "Will", "connect",
]  # fmt: skip

NO_MATCHING_SUBSCRIBERS = 0x10
"""PUBACK reason code of MQTT 5: the broker took the message, and nobody was there to hear it."""
