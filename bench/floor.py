"""The floor: the smallest asyncio program that does the same with the same MQTT library.

Reads nine-byte frames from a serial device and publishes each as JSON with QoS 1.  It has no
alarms, nothing on disk, no commands, and loses what the broker does not take: what the agent costs
above it is the price of these.  `python -m bench.floor DEVICE HOST PORT TOPIC`
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import termios
import time
import tty

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

FRAME_LENGTH = 9


def discard(_result: object) -> None:
    """paho's callbacks are typed to give nothing back."""


def main() -> None:
    device, host, port, topic = sys.argv[1:]
    loop = asyncio.new_event_loop()
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    client.on_socket_open = lambda _c, _u, sock: loop.add_reader(sock, client.loop_read)
    client.on_socket_close = lambda _c, _u, sock: discard(loop.remove_reader(sock))
    client.on_socket_register_write = lambda _c, _u, sock: loop.add_writer(sock, client.loop_write)
    client.on_socket_unregister_write = lambda _c, _u, sock: discard(loop.remove_writer(sock))

    def publish(values: dict[str, object]) -> None:
        client.publish(topic, json.dumps(values), qos=1)

    client.on_connect = lambda *_: publish({"state": "running"})
    client.connect(host, int(port))

    line = os.open(device, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    tty.setraw(line)
    termios.tcflush(line, termios.TCIFLUSH)
    waiting = bytearray()

    def read() -> None:
        waiting.extend(os.read(line, 4096))
        while len(waiting) >= FRAME_LENGTH:
            frame = bytes(waiting[:FRAME_LENGTH])
            if frame[0] == 0xFF and frame[8] == -sum(frame[1:8]) & 0xFF:
                value = (frame[4] << 8 | frame[5]) / 10 ** frame[3]
                publish({"t": time.time_ns() // 1_000_000, "quantity": "co", "value": value})
                del waiting[:FRAME_LENGTH]
            else:
                del waiting[0]

    def keep_alive() -> None:
        client.loop_misc()
        loop.call_later(1.0, keep_alive)

    loop.add_reader(line, read)
    keep_alive()
    loop.run_forever()


if __name__ == "__main__":
    main()
