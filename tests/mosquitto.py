"""A real Mosquitto of the test's own, which can be killed."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from pathlib import Path

import msgspec

from tests.waiting import wait_until


def find_mosquitto() -> str | None:
    """The program's path; Debian has it where only root's PATH looks."""
    return shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin")


class Mosquitto(msgspec.Struct):
    """A broker of the test's own on loopback, without persistence; `kill` is a real kill -9."""

    program: str
    config: Path
    port: int
    host: str = "127.0.0.1"
    process: subprocess.Popen[bytes] | None = None

    @classmethod
    def in_folder(
        cls, program: str, folder: Path, *, host: str = "127.0.0.1", port: int = 0
    ) -> Mosquitto:
        """Not started yet: configured in `folder`, on a free port unless one is given."""
        port = port or find_free_port()
        lines = [f"listener {port} {host}", "allow_anonymous true", "persistence false"]
        if os.geteuid() == 0:
            lines.append("user root")
        config = folder / "mosquitto.conf"
        config.write_text("\n".join(lines) + "\n")
        return cls(program=program, config=config, port=port, host=host)

    @property
    def url(self) -> str:
        """For `--broker` and `Broker.from_url`."""
        return f"mqtt://{self.host}:{self.port}"

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
            return is_listening(self.port, self.host)

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


def is_listening(port: int, host: str = "127.0.0.1") -> bool:
    """Whether something accepts TCP connections on this loopback port."""
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0


def find_free_port() -> int:
    """A loopback TCP port that nobody has at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert isinstance(port, int)
    return port
