"""What several rooms' tests need: a real Mosquitto, a free port, a pty pair."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tty
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tests.waiting import wait_until


class Mosquitto(msgspec.Struct):
    """A broker of the test's own on loopback, without persistence; `kill` is a real kill -9."""

    program: str
    config: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """For `--broker` and `Broker.from_url`."""
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Run it and wait until it accepts.  RuntimeError with its own words where it does not."""
        log = self.config.with_suffix(".log")
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [self.program, "-c", str(self.config)], stdout=output, stderr=output
            )
        process = self.process

        def accepts() -> bool:
            if process.poll() is not None:
                raise RuntimeError(f"mosquitto ended at its start: {log.read_text()}")
            return is_listening(self.port)

        wait_until(accepts, "mosquitto accepts connections")

    def kill(self) -> None:
        """SIGKILL, and gone when this returns; what it knew is lost."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self) -> None:
        """SIGTERM, and gone when this returns."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait()
            self.process = None


def is_listening(port: int) -> bool:
    """Whether something accepts TCP connections on this loopback port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def find_free_port() -> int:
    """A loopback TCP port that nobody has at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert isinstance(port, int)
    return port


@pytest.fixture
def free_port() -> int:
    return find_free_port()


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    program = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if program is None:
        pytest.skip("mosquitto is not installed (apt-get install mosquitto)")
    port = find_free_port()
    config = tmp_path / "mosquitto.conf"
    lines = [f"listener {port} 127.0.0.1", "allow_anonymous true", "persistence false"]
    if os.geteuid() == 0:
        lines.append("user root")
    config.write_text("\n".join(lines) + "\n")
    broker = Mosquitto(program=program, config=config, port=port)
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


@pytest.fixture
def pty_pair() -> Iterator[tuple[int, str]]:
    """A raw pty: the master's descriptor (non-blocking) and the slave's path."""
    master, slave = os.openpty()
    tty.setraw(master)
    tty.setraw(slave)
    os.set_blocking(master, False)
    try:
        yield master, os.ttyname(slave)
    finally:
        os.close(slave)
        os.close(master)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of captures beside the checkout."""
    folder = Path(__file__).parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip("no folder shared/ beside the checkout")
    return folder
