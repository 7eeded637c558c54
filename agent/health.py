"""Telling systemd that the agent is ready, and that it is alive (sd_notify(3)).

The watchdog is fed from the event loop, and only while the loop turns: a wedged agent is ended by
systemd, which starts it again.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable


def notify(state: str) -> bool:
    """Send `READY=1`, `STOPPING=1`, `WATCHDOG=1`, `STATUS=...`.  False where no systemd listens."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        try:
            # systemd that does not read must not stop the loop.
            channel.setblocking(False)
            channel.sendto(state.encode(), "\0" + address[1:] if address[0] == "@" else address)
        except OSError:
            return False
    return True


def watchdog_period_s() -> float | None:
    """Half of WatchdogSec; None where systemd does not watch this process."""
    text, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not text.isdecimal() or not int(text) or (pid and pid != str(os.getpid())):
        return None
    return int(text) / 2_000_000


async def feed_watchdog(is_well: Callable[[], bool]) -> None:
    """Feed for as long as `is_well` says so; returns at once where nobody watches."""
    period_s = watchdog_period_s()
    while period_s is not None:
        if is_well():
            notify("WATCHDOG=1")
        await asyncio.sleep(period_s)
