"""paho's socket on the asyncio loop: read and written when it can be, looked after now and then."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from typing import Any

from paho.mqtt import MQTTException

from agent.mqtt.client import Client

MISC_S = (1.0, 5.0)
"""Keep-alive is looked at five times in its time, within these."""
_NOT_MQTT = (ValueError, LookupError, struct.error, MQTTException)
"""What paho raises over bytes that are no MQTT packet."""


class LoopSocket:
    """Of one client, from `attach` to `detach`."""

    def __init__(self, client: Client, on_nonsense: Callable[[str], None]) -> None:
        """`on_nonsense`: what came was no MQTT; it is detached."""
        self._client = client
        self._on_nonsense = on_nonsense
        self._loop = asyncio.get_running_loop()
        self._socket: Any = None
        self._waits_for_room = False
        """The selector tells when the socket takes more."""
        self.held = False
        """Who holds it calls `write_on` when all is in paho's hands that is to go."""
        self._misc: asyncio.TimerHandle | None = None
        self._misc_s = min(MISC_S[1], max(MISC_S[0], client.broker.keepalive_s / 5))

    def attach(self) -> None:
        """As soon as the client has a socket."""
        client = self._client
        self._socket = client.socket()
        if self._socket is None:
            return
        client.on_socket_close = self._handle_close
        client.on_socket_register_write = self._handle_register_write
        client.on_socket_unregister_write = self._handle_unregister_write
        self._loop.add_reader(self._socket, self._readable)
        if client.want_write():
            self._loop.call_soon(self.write_on)
        self._misc = self._loop.call_later(self._misc_s, self._housekeep)
        self._readable()

    def detach(self) -> None:
        """Leave the loop; also when it was not attached."""
        if self._misc is not None:
            self._misc.cancel()
            self._misc = None
        if self._socket is not None:
            self._loop.remove_reader(self._socket)
            if self._waits_for_room:
                self._loop.remove_writer(self._socket)
                self._waits_for_room = False
            self._socket = None

    def fileno(self) -> int | None:
        """Of the TCP connection; None: it is closed."""
        return None if self._socket is None else int(self._socket.fileno())

    def _readable(self) -> None:
        try:
            self._client.loop_read()
            pending = getattr(self._socket, "pending", None)
            # TLS may hold decrypted bytes that the selector cannot see.
            while pending is not None and self._socket is not None and pending():
                self._client.loop_read()
        except _NOT_MQTT as error:
            self.detach()
            self._on_nonsense(f"it sent something that is not MQTT ({error})")

    def _housekeep(self) -> None:
        self._misc = self._loop.call_later(self._misc_s, self._housekeep)
        self._client.loop_misc()

    # -- paho's callbacks ------------------------------------------------------------------

    def _handle_close(self, _client: Any, _data: Any, _socket: Any) -> None:
        self.detach()

    def _handle_register_write(self, _client: Any, _data: Any, _socket: Any) -> None:
        # A socket nearly always has room: to ask the selector first costs two system calls and a
        # turn of the loop for each message.
        if not self.held:
            self._loop.call_soon(self.write_on)

    def _handle_unregister_write(self, _client: Any, _data: Any, sock: Any) -> None:
        if self._waits_for_room and self._socket is not None:
            self._loop.remove_writer(sock)
        self._waits_for_room = False

    def write_on(self) -> None:
        """Write now what paho holds, as far as the socket takes it; the rest as soon as it does."""
        if self._socket is None or self._waits_for_room or not self._client.want_write():
            return
        self._client.loop_write()
        # It may have ended the connection.
        if self._socket is not None and self._client.want_write():
            self._waits_for_room = True
            self._loop.add_writer(self._socket, self._client.loop_write)
