"""The drill's own broker: Mosquitto where it is installed, else the embedded one.

It runs as a child process on a loopback port that nobody else has, and dies with its parent.
docs/brokers.md has what was measured and why these two were chosen.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import pwd
import shutil
import socket
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec

HOST = "127.0.0.1"
MOSQUITTO = "mosquitto"
IOTCORE = "iotcore"
NAMES = (MOSQUITTO, IOTCORE)
"""In order of preference."""

IOTCORE_LACKS = (
    "it forgets sessions and retained messages when it is restarted, acknowledges what nobody "
    "was subscribed to without saying so, and hears MQTT 5 clients only"
)

MAX_MESSAGE_BYTES = 4 * 1024 * 1024
_MAX_QUEUED_BYTES = 64 * 1024 * 1024
_ATTEMPTS = 3
_READY_S = 10.0
_POLL_S = 0.02
_STOP_S = 2.0
_LOG_TAIL_BYTES = 400

# UPLINK 2.2: autosave_on_changes would cost 98 % of the rate; what a kill takes of the last
# second is closed by `resend`.
_MOSQUITTO_CONF = """\
listener {port} 127.0.0.1
allow_anonymous true
persistence true
persistence_location {directory}/
autosave_interval 1
max_queued_messages 0
max_queued_bytes {queued}
message_size_limit {message}
sys_interval 0
log_dest stderr
log_type error
"""

_IOTCORE_TOML = """\
id = 0
[router]
id = 0
max_connections = 1000
max_outgoing_packet_count = 200
# Of each topic filter, kept in memory for those who are slow or away.
max_segment_size = 8388608
max_segment_count = 8
[v5.1]
name = "drill"
listen = "127.0.0.1:{port}"
next_connection_delay_ms = 1
[v5.1.connections]
connection_timeout_ms = 10000
max_payload_size = {message}
max_inflight_count = 200
dynamic_filters = true
"""


class BrokerError(OSError):
    """There is no broker to start, or it did not start; its text says which and why."""


class _Kind(msgspec.Struct, frozen=True):
    name: str
    lacks: str
    command: Callable[[Path, int], list[str]]
    """(state directory, port) -> what `broker_child` gets; writes the configuration."""


class LocalBroker:
    """A running broker.  Made by `start_broker`."""

    def __init__(self, kind: _Kind, state_dir: Path) -> None:
        self._kind = kind
        state_dir.mkdir(parents=True, exist_ok=True)
        self._state_dir = state_dir.resolve()
        self._port = 0
        self._process: asyncio.subprocess.Process | None = None

    @property
    def name(self) -> str:
        """`mosquitto` or `iotcore`."""
        return self._kind.name

    @property
    def lacks(self) -> str:
        """What it cannot do that a center's broker can; empty for Mosquitto."""
        return self._kind.lacks

    @property
    def url(self) -> str:
        """Stays the same over `restart`."""
        return f"mqtt://{HOST}:{self._port}"

    @property
    def pid(self) -> int:
        """Of its process.  BrokerError when it does not run."""
        if self._process is None or self._process.returncode is not None:
            raise BrokerError(f"the broker {self.name} at {self.url} is not running")
        return self._process.pid

    async def wait(self) -> int:
        """Wait until its process has ended; its return code (negative: the signal)."""
        if self._process is None:
            return 0
        return await self._process.wait()

    async def kill(self) -> None:
        """kill -9; gone when this returns."""
        await self._end(lambda process: process.kill())

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL after 2 s; gone when this returns."""
        await self._end(lambda process: process.terminate())

    async def restart(self) -> None:
        """Start it again on the same port (ending it first if it runs).  BrokerError: it did not
        come up."""
        await self.stop()
        await self._start(self._port)

    async def start(self) -> None:
        """Start it on a free port.  BrokerError says what it wrote before it ended."""
        for left in reversed(range(_ATTEMPTS)):
            try:
                await self._start(_free_port())
            except BrokerError:
                # Between our look and its bind somebody else may have taken the port.
                if left == 0:
                    raise
            else:
                return

    async def _start(self, port: int) -> None:
        self._port = port
        command = self._kind.command(self._state_dir, port)
        log = self._state_dir / "broker.log"
        with log.open("wb") as output:
            # A session of its own: Ctrl-C in the terminal must not take the broker before the
            # agents have drained.
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "agent.drill.broker_child", str(os.getpid()), *command,
                stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True,
            )  # fmt: skip
        try:
            async with asyncio.timeout(_READY_S):
                while not await _accepts(port):
                    if self._process.returncode is not None:
                        raise BrokerError(f"{self.name} ended at its start: {_tail(log)}")
                    await asyncio.sleep(_POLL_S)
        except TimeoutError as error:
            await self.kill()
            raise BrokerError(
                f"{self.name} did not listen on {HOST}:{port} within {_READY_S:g} s: {_tail(log)}"
            ) from error

    async def _end(self, how: Callable[[asyncio.subprocess.Process], None]) -> None:
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                how(process)
        try:
            async with asyncio.timeout(_STOP_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        self._process = None


@contextlib.asynccontextmanager
async def start_broker(state_dir: Path, prefer: str | None = None) -> AsyncIterator[LocalBroker]:
    """Choose a broker, start it, and stop it on the way out.

    `state_dir` takes its configuration, log and persistence, and is made if it is not there.
    `prefer` is one of `NAMES`.  BrokerError: none can be had, or it did not start."""
    broker = LocalBroker(choose(prefer), state_dir)
    try:
        await broker.start()
        yield broker
    finally:
        await broker.stop()


def choose(prefer: str | None = None) -> _Kind:
    """The first broker that this machine has.  BrokerError says how to get one."""
    if prefer is not None and prefer not in NAMES:
        raise BrokerError(f"a drill's broker is one of {', '.join(NAMES)}, but read {prefer!r}")
    if prefer in (None, MOSQUITTO) and (program := find_mosquitto()) is not None:
        return _Kind(MOSQUITTO, "", lambda place, port: _mosquitto(program, place, port))
    if prefer in (None, IOTCORE) and importlib.util.find_spec(IOTCORE) is not None:
        return _Kind(IOTCORE, IOTCORE_LACKS, _iotcore)
    raise BrokerError(
        f"no broker for the drill ({prefer or ' or '.join(NAMES)} is not installed): "
        "install Mosquitto (apt-get install mosquitto), or the extra `drill` (make setup), "
        "or name a broker with --broker URL"
    )


def find_mosquitto() -> str | None:
    """Debian puts it where an ordinary user's PATH does not look."""
    path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin"))
    return shutil.which(MOSQUITTO, path=path)


def _mosquitto(program: str, place: Path, port: int) -> list[str]:
    text = _MOSQUITTO_CONF.format(
        port=port, directory=place, queued=_MAX_QUEUED_BYTES, message=MAX_MESSAGE_BYTES
    )
    with contextlib.suppress(KeyError):  # a user id without a name
        # Started by root it would become the user `mosquitto`, who cannot write here.
        text += f"user {pwd.getpwuid(os.geteuid()).pw_name}\n"
    config = place / "mosquitto.conf"
    config.write_text(text, encoding="utf-8")
    return ["exec", program, "-c", str(config)]


def _iotcore(place: Path, port: int) -> list[str]:
    config = place / "iotcore.toml"
    config.write_text(_IOTCORE_TOML.format(port=port, message=MAX_MESSAGE_BYTES), encoding="utf-8")
    return [IOTCORE, str(config)]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


async def _accepts(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


def _tail(log: Path) -> str:
    """The end of what it wrote, on one line."""
    text = log.read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace").strip()
    return " / ".join(text.splitlines()) or "it wrote nothing"
