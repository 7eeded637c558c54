"""The brokers that centers run, each as a child process on loopback that can be killed."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from agent.drill.broker import _iotcore
from tests.mosquitto import find_free_port, is_listening

READY_S = 60.0
PATH = "/usr/lib/rabbitmq/bin:" + os.environ.get("PATH", "") + ":/usr/sbin"


class Kind(msgspec.Struct, frozen=True):
    """How a broker is started: (state directory, port) -> command and environment."""

    title: str
    program: str
    command: Callable[[Path, int], tuple[list[str], dict[str, str]]]
    version: list[str]
    five_only: bool = False
    """It takes no MQTT 3.1.1."""

    @property
    def path(self) -> str | None:
        """None: it is not installed."""
        return shutil.which(self.program, path=PATH)


class Running:
    """A broker; `kill` is a real kill -9 of all its processes, `start` begins with what it kept."""

    def __init__(self, kind: Kind, folder: Path) -> None:
        self.port = find_free_port()
        self.five_only = kind.five_only
        self._command, self._environment = kind.command(folder, self.port)
        self._command[0] = kind.path or self._command[0]
        self._log = folder / "broker.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """RuntimeError with its own words where it does not accept connections."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, start_new_session=True,
                env=os.environ | self._environment,
            )  # fmt: skip
        deadline = time.monotonic() + READY_S
        while not is_listening(self.port):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"it did not start: {self._log.read_text()[-400:]}")
            time.sleep(0.05)

    def kill(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


def _mosquitto(folder: Path, port: int) -> tuple[list[str], dict[str, str]]:
    config = folder / "mosquitto.conf"
    lines = [
        f"listener {port} 127.0.0.1", "allow_anonymous true", "persistence true",
        f"persistence_location {folder}/", "autosave_interval 1", "max_queued_messages 0",
    ]  # fmt: skip
    if os.geteuid() == 0:
        lines.append("user root")
    config.write_text("\n".join(lines) + "\n")
    return ["mosquitto", "-c", str(config)], {}


def _nats(folder: Path, port: int) -> tuple[list[str], dict[str, str]]:
    config = folder / "nats.conf"
    config.write_text(
        f'server_name: trial\nlisten: "127.0.0.1:{find_free_port()}"\n'
        f'jetstream {{ store_dir: "{folder}/jetstream" }}\n'
        f'mqtt {{ listen: "127.0.0.1:{port}" }}\n'
    )
    return ["nats-server", "-c", str(config)], {}


def _rabbitmq(folder: Path, port: int) -> tuple[list[str], dict[str, str]]:
    (folder / "plugins").write_text("[rabbitmq_mqtt].\n")
    config = folder / "rabbitmq.conf"
    config.write_text(
        f"listeners.tcp.1 = 127.0.0.1:{find_free_port()}\n"
        f"mqtt.listeners.tcp.1 = 127.0.0.1:{port}\n"
        "mqtt.allow_anonymous = true\nmqtt.default_user = guest\nmqtt.default_pass = guest\n"
        "mqtt.retained_message_store = rabbit_mqtt_retained_msg_store_dets\n"
    )
    return ["rabbitmq-server"], {
        "HOME": str(folder),
        "ERL_CRASH_DUMP": str(folder / "crash.dump"),
        "RABBITMQ_FEATURE_FLAGS_FILE": str(folder / "feature_flags"),
        "RABBITMQ_NODENAME": f"trial{port}@localhost",
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_CONFIG_FILE": str(config),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_DIST_PORT": str(find_free_port()),
        # Its name server is a daemon of its own.
        "ERL_EPMD_PORT": str(find_free_port()),
        "ERL_EPMD_RELAXED_COMMAND_CHECK": "1",
    }


def _embedded(folder: Path, port: int) -> tuple[list[str], dict[str, str]]:
    child = [sys.executable, "-m", "agent.drill.broker_child", str(os.getpid())]
    return [*child, *_iotcore(folder, port)], {}


KINDS = (
    Kind("Mosquitto", "mosquitto", _mosquitto, ["mosquitto", "-h"]),
    Kind("NATS", "nats-server", _nats, ["nats-server", "--version"]),
    # Its own tool would leave a name server behind.
    Kind(
        "RabbitMQ",
        "rabbitmq-server",
        _rabbitmq,
        ["dpkg-query", "-W", "-f", "${Version}", "rabbitmq-server"],
    ),
    Kind(
        "embedded (iotcore)",
        sys.executable,
        _embedded,
        [sys.executable, "-c", "from importlib.metadata import version as v; print(v('iotcore'))"],
        five_only=True,
    ),
)


@contextlib.contextmanager
def running(kind: Kind, folder: Path) -> Iterator[Running]:
    broker = Running(kind, folder)
    broker.start()
    try:
        yield broker
    finally:
        broker.kill()
        if port := broker._environment.get("ERL_EPMD_PORT"):
            epmd = shutil.which("epmd", path=PATH)
            if epmd:
                subprocess.run([epmd, "-port", port, "-kill"], capture_output=True, check=False)
