"""A hundred units and one broker that comes back; what a broker says when it ends a connection."""

from __future__ import annotations

import asyncio
import contextlib
import random

import pytest

from agent.mqtt import Connection
from agent.reconnect import BUSY, BUSY_S, RIVAL_S, TAKEN_OVER, Patience, explained, keep_connected
from tests.agent.brokers import at, ignore, read_packet, scripted
from tests.mosquitto import Mosquitto
from tests.waiting import until

UNITS = 100


async def forever(_: Connection) -> None:
    await asyncio.Event().wait()


def attempts(seconds: float, rng: random.Random, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When a hundred units try, while a broker that they lost at 0 stays away."""
    monkeypatch.setattr(random, "uniform", rng.uniform)
    times = []
    for _ in range(UNITS):
        patience, now, lived = Patience(0.5, 15.0), 0.0, 100.0
        while (now := now + patience.after(0, lived or None)) < seconds:
            times.append(now)
            lived = 0.0
    return sorted(times)


def test_a_hundred_units_do_not_knock_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    times = attempts(600.0, random.Random(4), monkeypatch)
    late = [t for t in times if t > 60.0]
    most = max(sum(1 for t in late if start <= t < start + 1.0) for start in range(60, 600))
    # Evenly it would be a hundred in 11 s; nobody waits longer than 15 s.
    assert most <= 25
    assert len(late) >= UNITS * 540 / 15
    first = [t for t in times if t < 0.5]
    assert len(first) == UNITS
    tenths = [sum(1 for t in first if t // 0.05 == part) for part in range(5, 10)]
    assert max(tenths) <= UNITS * 0.35


@pytest.mark.parametrize("code", sorted(BUSY))
def test_a_busy_broker_is_left_alone(code: int) -> None:
    patience = Patience(0.5, 15.0)
    pauses = [patience.after(code, None) for _ in range(6)]
    assert pauses[0] >= BUSY_S[0] / 2
    assert all(BUSY_S[1] / 2 <= pause <= BUSY_S[1] for pause in pauses[3:])
    # Then a good connection: all is forgotten.
    assert patience.after(0, 10.0) <= 0.5


def test_two_with_one_id_do_not_fight_for_ever() -> None:
    patience = Patience(0.5, 15.0)
    pauses = [patience.after(TAKEN_OVER, 20.0) for _ in range(10)]
    assert pauses[0] <= RIVAL_S[0]
    assert pauses[-1] >= RIVAL_S[1] / 2
    said = explained("the broker ended it", TAKEN_OVER, "hubei-cv-01", others=False)
    assert "another client came with the same id 'hubei-cv-01' (two units with one id?)" in said


def test_two_that_throw_each_other_out_without_a_word() -> None:
    """Mosquitto 2.0 only closes the connection: each lives as long as the other waits."""
    one, other = Patience(0.5, 15.0), Patience(0.5, 15.0)
    pause, pauses = 0.5, []
    for _ in range(10):
        pause = one.after(0, pause)
        pause = other.after(0, pause)
        pauses.append(pause)
    assert min(pauses[5:]) >= 7.5
    said = explained("connection lost", 0, "u1", others=False, short_lived=one.short_lived)
    assert said == (
        "connection lost: again soon after it was made (another client with the id 'u1'?)"
    )


def test_a_link_that_flaps_is_not_taken_for_a_rival() -> None:
    patience = Patience(0.5, 15.0)
    assert max(patience.after(0, 10.0) for _ in range(50)) <= 2.0


async def test_a_rival_is_told_in_words() -> None:
    async def takes_over(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_packet(reader)
        writer.write(b"\x20\x03\x00\x00\x00" + b"\xe0\x02\x8e\x00")
        await reader.read()

    told: list[str] = []
    async with scripted(takes_over) as port:
        keeping = asyncio.create_task(
            keep_connected(
                at(port), client_id="unit", on_message=ignore, serve=forever, on_down=told.append
            )
        )
        await until(lambda: bool(told), "it has lost its place")
        keeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeping
    assert "another client came with the same id 'unit'" in told[0]


async def test_use_another_server(mosquitto: Mosquitto) -> None:
    """Sent away after it was let in: not back at once, but to the next host."""
    asked = 0

    async def sends_away(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        await read_packet(reader)
        writer.write(b"\x20\x03\x00\x00\x00" + b"\xe0\x02\x9c\x00")
        await reader.read()

    told: list[str] = []
    there: list[Connection] = []

    async def serve(connection: Connection) -> None:
        if connection.broker.port == mosquitto.port:
            there.append(connection)
        await forever(connection)

    async with scripted(sends_away) as port:
        keeping = asyncio.create_task(
            keep_connected(
                [at(port), at(mosquitto.port)], client_id="unit", on_message=ignore, serve=serve,
                on_down=told.append,
            )
        )  # fmt: skip
        await until(lambda: bool(there), "it is at the other")
        assert asked == 1
        assert "the other hosts are tried" in told[0]
        keeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeping


async def test_a_hundred_units_come_back_to_a_broker_that_was_killed(mosquitto: Mosquitto) -> None:
    loop = asyncio.get_running_loop()
    up: dict[int, float] = {}
    failed = [0] * UNITS

    def gone(number: int) -> None:
        up.pop(number, None)
        failed[number] += 1

    async def unit(number: int) -> None:
        async def serve(connection: Connection) -> None:
            up[number] = loop.time()
            await forever(connection)

        await keep_connected(
            at(mosquitto.port), client_id=f"u{number}", on_message=ignore, serve=serve,
            on_down=lambda _: gone(number), ceiling_retry_s=4.0,
        )  # fmt: skip

    async with asyncio.TaskGroup() as group:
        units = [group.create_task(unit(number)) for number in range(UNITS)]
        await until(lambda: len(up) == UNITS, "all are there", 20)
        mosquitto.kill()
        await until(lambda: not up, "all have lost it", 20)
        # So long that the pauses of all have grown to the ceiling.
        await until(lambda: min(failed) >= 5, "each has tried in vain", 40)
        await asyncio.to_thread(mosquitto.start)
        await until(lambda: len(up) == UNITS, "all are there again", 30)
        times = sorted(up.values())
        for task in units:
            task.cancel()
    # Spread over the pauses, not in one heap.
    heaps = [sum(1 for t in times if start <= t < start + 0.25) for start in times]
    assert max(heaps) < UNITS / 2, times
