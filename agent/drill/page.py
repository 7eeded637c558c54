"""The drill's page: `outpost console` as a child process, started again when it dies."""

from __future__ import annotations

import asyncio
import ipaddress
import secrets
import socket
from collections.abc import Callable
from pathlib import Path

from agent.drill.fleet import DrillError
from agent.drill.process import Child

READY_S = 20.0
POLL_S = 0.02
RESTART_S = 1.0


class Page:
    """`run` until cancelled; `ready` when it listens; then `url` says where."""

    def __init__(
        self, broker_url: str, org: str, host: str, port: int, lang: str, folder: Path,
        say: Callable[[str], None],
    ) -> None:  # fmt: skip
        self.url = ""
        self.token = "" if _is_loopback(host) else secrets.token_urlsafe(18)
        """What anybody needs to come in; empty on loopback."""
        self.instructor_token = secrets.token_urlsafe(18)
        self.log = folder / "console.log"
        self._ready_file = folder / "console.url"
        self._say = say
        self._child: Child | None = None
        self._stopping = False
        secret = _write_secret(folder, "instructor", self.instructor_token)
        address = _write_secret(folder, "broker-address", broker_url)
        self._command = [
            "agent", "console", "--broker-file", str(address), "--org", org, "--exercise",
            "--host", host, "--port", str(port), "--lang", lang,
            "--ready-file", str(self._ready_file),
            "--instructor-token-file", str(secret),
        ]  # fmt: skip
        if self.token:
            self._command += ["--token-file", str(_write_secret(folder, "token", self.token))]

    @property
    def address(self) -> str:
        """For those who take part."""
        return f"{self.url}?token={self.token}" if self.token else self.url

    @property
    def instructor_address(self) -> str:
        """For who leads the drill."""
        token = f"token={self.token}&" if self.token else ""
        return f"{self.url}?{token}instructor={self.instructor_token}"

    async def run(self) -> None:
        """Keep it running.  DrillError: it did not even start."""
        while not self._stopping:
            self._child = await Child.start("console", self._command, self.log)
            code = await self._child.wait()
            if self._stopping:
                return
            if not self.url:
                raise DrillError(f"the page did not start:\n{self._child.tail()}")
            self._say(f"the page ended with {code}, started again")
            await asyncio.sleep(RESTART_S)

    async def ready(self) -> None:
        """Until it listens.  DrillError: it takes too long."""
        try:
            async with asyncio.timeout(READY_S):
                while True:
                    if text := _read(self._ready_file):
                        self.url = text.strip().partition("?")[0].rstrip("/") + "/"
                        return
                    await asyncio.sleep(POLL_S)
        except TimeoutError as error:
            raise DrillError(f"the page did not listen within {READY_S:g} s") from error

    async def stop(self, timeout_s: float) -> None:
        """End it in order, or by force after `timeout_s`."""
        self._stopping = True
        if self._child is not None:
            await self._child.end(timeout_s)


def choose_port(host: str, wanted: int | None, default: int) -> int:
    """The port to ask for.  DrillError: the one that was wanted is in use, or cannot be had."""
    for port in (default, 0) if wanted is None else (wanted,):
        try:
            with socket.create_server((host, port)) as probe:
                return int(probe.getsockname()[1])
        except OSError as error:
            if port in (wanted, 0):
                raise DrillError(
                    f"the page cannot listen on {host}:{port}: {_reason(error)}; "
                    "choose another by --port or --host"
                ) from error
    raise AssertionError("port 0 is always tried last")


def _reason(error: OSError) -> str:
    """Without the address that `socket` adds, which the sentence has already."""
    return (error.strerror or str(error)).partition(" (while ")[0]


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def _write_secret(folder: Path, name: str, text: str) -> Path:
    path = folder / f"{name}.token"
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")
    return path
