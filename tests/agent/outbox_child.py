"""A process that writes an outbox and says what has been committed, until it is killed.

Run as `python -m tests.agent.outbox_child FOLDER`: prints `epoch NAME`, then each committed number.
With a number of bytes as second argument no file may grow beyond it, until a line is read.
"""

from __future__ import annotations

import asyncio
import os
import resource
import sys
from pathlib import Path

from agent.clock import UnitClock
from agent.delivery.rows import Row
from agent.messages import Class
from agent.outbox import Outbox
from agent.store import Store
from tests.agent.rig import reading
from tests.waiting import until


def say(text: str) -> None:
    os.write(1, f"{text}\n".encode())


async def write_for_ever(folder: Path) -> None:
    async with Store.open(folder) as store:
        outbox = Outbox(store, UnitClock())
        say(f"epoch {outbox.epoch.name}")

        def heard(row: Row) -> None:
            # While the disk stalls it is told of what is not committed yet.
            if row.seq <= outbox.epoch.last:
                say(f"{row.seq}")

        outbox.listeners.append(heard)
        while True:
            outbox.append(Class.READINGS, reading())
            await asyncio.sleep(0.001)


async def meet_a_full_disk(folder: Path, most_bytes: int) -> None:
    async with Store.open(folder) as store:
        outbox = Outbox(store, UnitClock())
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, hard))
        heard: set[int] = set()
        outbox.listeners.append(lambda row: heard.add(row.seq))
        while not store.trouble:
            outbox.append(Class.READINGS, reading())
            await asyncio.sleep(0.001)
        await until(lambda: len(heard) >= outbox.made, "every record is handed over")
        rows = await store.read(outbox.epoch.id, [(1, 1)], list(Class), 1)
        say(f"trouble {store.trouble}")
        say(f"made {outbox.made}, told of {len(heard)}, committed {outbox.epoch.last}")
        say(f"read {[row.seq for row in rows]}, flushed {await store.flush()}")
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        await until(lambda: outbox.epoch.last == outbox.made, "all is committed")
        say(f"well again, committed {outbox.epoch.last}")


if __name__ == "__main__":
    if len(sys.argv) > 2:
        asyncio.run(meet_a_full_disk(Path(sys.argv[1]), int(sys.argv[2])))
    else:
        asyncio.run(write_for_ever(Path(sys.argv[1])))
