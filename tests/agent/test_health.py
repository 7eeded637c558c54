"""What systemd is told, on a real datagram socket."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent import health
from tests.waiting import until


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(tmp_path / "notify"))
        channel.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield channel


def test_a_state_is_one_datagram(systemd: socket.socket) -> None:
    assert health.notify("READY=1")
    assert health.notify("STOPPING=1")
    assert (systemd.recv(100), systemd.recv(100)) == (b"READY=1", b"STOPPING=1")


def test_an_abstract_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"outpost-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(f"\0{name}")
        channel.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
        assert health.notify("READY=1")
        assert channel.recv(100) == b"READY=1"


def test_without_systemd_nobody_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert not health.notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    assert not health.notify("READY=1")


def test_a_systemd_that_does_not_read_holds_up_nobody(systemd: socket.socket) -> None:
    """Its queue fills, and the loop goes on."""
    told = [health.notify("WATCHDOG=1") for _ in range(5000)]
    assert told[0]
    assert not told[-1]


@pytest.mark.parametrize(
    ("usec", "pid", "expected"),
    [
        ("10000000", "", 5.0),
        ("10000000", "own", 5.0),
        ("10000000", "1", None),
        ("0", "", None),
        ("", "", None),
        ("soon", "", None),
    ],
)
def test_the_watchdog_s_period(
    monkeypatch: pytest.MonkeyPatch, usec: str, pid: str, expected: float | None
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", usec)
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()) if pid == "own" else pid)
    assert health.watchdog_period_s() == expected


async def test_the_watchdog_is_fed_while_all_is_well(
    systemd: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "20000")
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    systemd.setblocking(False)
    loop = asyncio.get_running_loop()
    asked: list[bool] = []

    def is_well() -> bool:
        asked.append(len(asked) < 3)
        return asked[-1]

    feeding = asyncio.create_task(health.feed_watchdog(is_well))
    for _ in range(3):
        async with asyncio.timeout(5):
            assert await loop.sock_recv(systemd, 100) == b"WATCHDOG=1"
    await until(lambda: len(asked) >= 6, "it asks on")
    feeding.cancel()
    with pytest.raises(BlockingIOError):
        systemd.recv(100)


async def test_where_nobody_watches_nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    async with asyncio.timeout(5):
        await health.feed_watchdog(lambda: True)
