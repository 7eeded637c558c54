"""A twin's line on a TCP port of this machine instead of a pty: for instruments in a network.

The same faults.  One client at a time is served, the newest; `unplug` breaks its connection and
refuses others until `replug`.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket

from drivers.sim.socketline import SocketLine

_READ_MAX = 4096
_UNSENT_MAX = 64 * 1024


class NetLine(SocketLine):
    """`async with NetLine() as line`; a client connects to `line.name`.

    `greeting` is what each client gets first, before all faults.
    """

    def __init__(self, *, port: int = 0, greeting: bytes = b"", noise_seed: int = 0) -> None:
        super().__init__("tcp", port, noise_seed=noise_seed)
        self.greeting = greeting
        self.clients = 0
        """How many have connected so far."""
        self._listener: socket.socket | None = None
        self._client: socket.socket | None = None

    @property
    def name(self) -> str:
        """What a configuration says."""
        return f"tcp://127.0.0.1:{self.port}"

    @property
    def plugged(self) -> bool:
        return self._listener is not None

    async def read(self) -> bytes:
        """What the client has written; waits while there is none."""
        while True:
            data = self._take_from_client()
            if data:
                self.counters.bytes_read += len(data)
                return data
            self._turn.clear()
            await self._turn.wait()

    def _take_from_client(self) -> bytes:
        if self._client is None:
            return b""
        try:
            data = self._client.recv(_READ_MAX)
        except BlockingIOError:
            return b""
        except OSError:
            data = b""
        if not data:
            self._drop_client()
        return data

    def _hand_over(self, data: bytes) -> int:
        if self._client is None:
            return 0
        # A client that reads nothing for long loses bytes, as on a serial line.
        return self._client.send(data)

    def _plug(self) -> None:
        if self.plugged:
            return
        listener = socket.create_server(("127.0.0.1", self.port))
        listener.setblocking(False)
        self.port = listener.getsockname()[1]
        self._listener = listener
        asyncio.get_running_loop().add_reader(listener, self._accept)

    def _unplug(self) -> None:
        if self._listener is None:
            return
        asyncio.get_running_loop().remove_reader(self._listener)
        self._listener.close()
        self._listener = None
        self._drop_client()

    def _accept(self) -> None:
        if self._listener is None:
            return
        with contextlib.suppress(BlockingIOError):
            client, _ = self._listener.accept()
            self._drop_client()
            client.setblocking(False)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _UNSENT_MAX)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._client = client
            self.clients += 1
            asyncio.get_running_loop().add_reader(client, self._turn.set)
            if self.greeting:
                client.send(self.greeting)
            self._turn.set()

    def _drop_client(self) -> None:
        if self._client is not None:
            asyncio.get_running_loop().remove_reader(self._client)
            self._client.close()
            self._client = None
