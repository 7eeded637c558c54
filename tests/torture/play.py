"""One run: load, faults at random instants, the count at the end."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from agent import topics
from agent.broker import Broker
from agent.drill.recorder import Recorder
from agent.messages import EpochStatus
from agent.store import Store
from tests.mosquitto import Mosquitto
from tests.torture.faults import Faults
from tests.torture.hub import Hub
from tests.torture.link import BadLink
from tests.torture.unit import HZ, ORG, UNIT, Unit
from tests.waiting import until

CALM_S = (0.3, 2.5)
"""Between two faults."""
SETTLE_S = 60.0
ALARM_LATE_MS = 100.0
"""From the first byte of the frame to the announcement on the spot."""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    seed: int
    made: int
    received: int
    missing: int
    repeated: int
    """After removal: records that the receiver took twice."""
    delivered_again: int
    """Repeats that the receiver removed."""
    alarms_late: int
    void: int
    """Numbers that were seen at the center but that no store holds as committed."""
    starts: int
    exit: int | None
    faults: dict[str, int]
    slowest_ms: float = 0.0
    """Of all alarms, from the frame's first byte to the announcement."""

    @property
    def ok(self) -> bool:
        wrong = (self.missing, self.repeated, self.alarms_late)
        return not any(wrong) and self.made > 0 and self.made == self.received and self.exit == 0

    def line(self) -> str:
        return (
            f"made {self.made}, received {self.received}, missing {self.missing}, repeated after "
            f"removal {self.repeated}, alarms late {self.alarms_late}"
        )


async def play(
    folder: Path, broker: Mosquitto, program: Sequence[str], *, seconds: float, seed: int,
    settle_s: float = SETTLE_S, only: Sequence[str] = (),
    delay_s: float = 0.0, board: Mosquitto | None = None,
) -> Result:  # fmt: skip
    """Torture an agent for so long, then let it settle and count.  `only`: these faults alone;
    `delay_s`: each way of the link takes so long, so that something is always under way; `board`:
    the agent is at this broker, of a vehicle that relays it, and both are tortured too."""
    rng = random.Random(seed)
    unit = Unit(folder, program)
    hub = None if board is None else Hub(folder, program, board)
    recorder = Recorder(Broker.from_url(broker.url), ORG, [UNIT], lambda _: None)
    async with BadLink(broker.port, rng) as link, asyncio.TaskGroup() as group:
        link.delay_s = delay_s
        if board is None:
            unit.configure(link.port)
        else:
            unit.configure(board.port, straight=link.port)
        tasks = [
            group.create_task(unit.feed(), name="feed"),
            group.create_task(recorder.run(), name="recorder"),
        ]
        faults = Faults(unit, broker, link, rng, only)
        if hub is not None:
            await hub.start(link.port)
            faults.more = hub.faults(faults)
        await unit.start()
        await _break_things(faults, rng, seconds)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(settle_s):
                await _drained(recorder, unit, hub)
        await unit.end()
        if hub is not None:
            await hub.drained(settle_s)
        made = await _settled(recorder, unit, settle_s)
        exits = [unit.exit] if hub is None else [unit.exit, await hub.end()]
        for task in tasks:
            task.cancel()
    counts = recorder.counts(UNIT)
    late = [t for t in recorder.transitions if (t.alarm.delay_ms or 0.0) > ALARM_LATE_MS]
    numbers = [(t.epoch, t.seq) for t in recorder.transitions]
    total = sum(made.values())
    return Result(
        seed=seed, made=total, received=counts.received, missing=counts.missing,
        repeated=len(numbers) - len(set(numbers)), delivered_again=counts.repeated,
        alarms_late=len(late), void=max(0, counts.received - total), starts=unit.starts,
        exit=next((code for code in exits if code), 0), faults=faults.played,
        slowest_ms=max((t.alarm.delay_ms or 0.0 for t in recorder.transitions), default=0.0),
    )  # fmt: skip


async def _break_things(faults: Faults, rng: random.Random, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        await asyncio.sleep(rng.uniform(*CALM_S))
        await faults.one()


async def _drained(recorder: Recorder, unit: Unit, hub: Hub | None) -> None:
    """Neither the agent nor its vehicle has a backlog, and the center has no gap."""

    async def waits() -> bool:
        behind = 0 if hub is None else await hub.holds()
        return bool(await unit.pending()) or behind > HZ or not _is_calm(recorder)

    while await waits():  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.1)


def _is_calm(recorder: Recorder) -> bool:
    return recorder.counts(UNIT).missing == 0


async def _settled(recorder: Recorder, unit: Unit, settle_s: float) -> dict[str, int]:
    """What was committed, by the last status and, where that was lost, by the store itself."""

    def heard() -> bool:
        status = recorder.statuses.get(UNIT)
        return status is not None and status.state == "stopped"

    with contextlib.suppress(TimeoutError):
        await until(heard, "the unit has said that it stopped", settle_s)
        await until(lambda: _is_calm(recorder), "the last records have arrived", 5.0)
    status = recorder.statuses.get(UNIT)
    assert status is not None, unit.tail()
    async with Store.open(unit.store) as store:
        held = [EpochStatus(epoch=e.name, last=e.last) for e in store.epochs.values()]
    told = msgspec.structs.replace(status, epochs=tuple(held), version=status.version + 1)
    topic = topics.parse(f"{topics.ROOT_EXERCISE}/{ORG}/{UNIT}/status")
    recorder.receiver.feed(topic, msgspec.json.encode(told))
    return {epoch.epoch: epoch.last for epoch in held}
