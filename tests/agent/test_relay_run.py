"""The vehicle as hub, end to end: real agents as processes, real brokers, real kills."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agent.center.gap_closer import GapCloser
from agent.messages import Class
from agent.store import Store
from tests.agent.relay_rig import KIT, VEHICLE, Fleet, Headquarters, fleet, headquarters
from tests.mosquitto import Mosquitto
from tests.waiting import until


async def test_a_kit_is_heard_through_its_vehicle_unchanged(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    async with (
        fleet(tmp_path, mosquitto.program) as there,
        headquarters(there.center.port) as hq,
        headquarters(there.board.port, "board") as board,
    ):
        there.vehicle.start()
        await there.vehicle.says("relay: listening")
        whose = f'[unit]\ndivision = "420100"\nparent = "{VEHICLE}"\nincident = "wh-2026-017"\n'
        there.kit.config.write_text(there.kit.config.read_text().replace("[unit]\n", whose))
        there.kit.start()
        await until(lambda: len(hq.of(KIT, Class.READINGS)) > 20, "readings arrive", 30)
        known = {(r.epoch, r.seq): r for r in board.of(KIT)}
        for record in hq.of(KIT):
            original = known[record.epoch, record.seq]
            assert (record.prev, record.t, record.clock, record.mark, record.body) == (
                original.prev, original.t, original.clock, original.mark, original.body
            )  # fmt: skip
        status = await there.vehicle.status()
        assert status["relay"]["units"] == [KIT]
        await until(lambda: f"{KIT}/status" in hq.states, "its status")
        await until(
            lambda: (
                [one["unit"] for one in hq.states[f"{VEHICLE}/status"].get("relays", [])] == [KIT]
            ),
            "the vehicle says whom it relays",
        )
        assert hq.states[f"{KIT}/link/{VEHICLE}"]["state"] == "up"
        told = hq.states[f"{KIT}/status"]
        assert (told["division"], told["parent"], told["incident"]) == (
            "420100", VEHICLE, "wh-2026-017"
        )  # fmt: skip
        assert {record.body.get("incident") for record in hq.of(KIT)} == {"wh-2026-017"}
        assert f"{KIT}/link/up" not in hq.states, "its own way says nothing here"
        await there.all_here(hq, "all of it arrives")


@pytest.mark.timeout(300)
async def test_no_record_is_lost_when_the_vehicles_agent_is_killed(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """Nobody asks for anything again: what the broker holds for the relay is enough."""
    rng = random.Random()
    async with fleet(tmp_path, mosquitto.program) as there, headquarters(there.center.port) as hq:
        await there.begin()
        for _ in range(4):
            before = len(hq.of(KIT))
            await until(lambda n=before: len(hq.of(KIT)) > n + 10, "records arrive", 30)  # type: ignore[misc]
            await asyncio.sleep(rng.uniform(0.0, 1.0))  # A random instant is what is wanted.
            await there.vehicle.kill()
            made = sum((await there.made()).values())
            await _until_made(there, made + 20)
            there.vehicle.start()
        await there.all_here(hq, "all of it arrives")
        assert hq.receiver.counts(KIT).missing == 0


@pytest.mark.timeout(300)
async def test_what_a_killed_broker_loses_the_kit_gives_again(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """Kills of the vehicle's agent and of its broker; the kit goes straight up meanwhile."""
    rng = random.Random()
    async with (
        fleet(tmp_path, mosquitto.program) as there,
        headquarters(there.center.port) as hq,
        asking(hq),
    ):
        await there.begin()
        for kill_agent in (True, False):
            before = len(hq.of(KIT))
            await until(lambda n=before: len(hq.of(KIT)) > n + 10, "records arrive", 60)  # type: ignore[misc]
            await asyncio.sleep(rng.uniform(0.0, 1.0))  # A random instant is what is wanted.
            there.board.kill()
            if kill_agent:
                await there.vehicle.kill()
            before = len(hq.of(KIT))
            await until(lambda n=before: len(hq.of(KIT)) > n + 20, "they come straight", 60)  # type: ignore[misc]
            there.board.start()
            if kill_agent:
                there.vehicle.start()
            await until(lambda: back(there), "the kit is back at its vehicle", 60)
        await until(lambda: hq.receiver.counts(KIT).missing == 0, "no gap is left", 60)
        await there.all_here(hq, "all of it arrives")
        counts = hq.receiver.counts(KIT)
        assert counts.missing == 0
        assert len(hq.of(KIT)) == len(hq.numbers(KIT)), "each counts once"
        assert f"{KIT}/link/up" in hq.states, "it came straight too"


async def test_commands_go_down_and_acks_come_up(mosquitto: Mosquitto, tmp_path: Path) -> None:
    async with fleet(tmp_path, mosquitto.program) as there, headquarters(there.center.port) as hq:
        await there.begin()
        await until(lambda: len(hq.of(KIT)) > 5, "records arrive", 30)
        # What the kit itself decides.
        done = await hq.ack(KIT, hq.command(KIT, "alarm-ack", {"alarm": "gas/cl2/high"}))
        assert (done["verb"], done["by"]) == ("alarm.ack", "duty officer")
        first = hq.of(KIT)[0]
        args = {"epoch": first.epoch, "from": 1, "to": 3}
        again = await hq.ack(KIT, hq.command(KIT, "resend", args))
        assert (again["outcome"], again["result"]["count"]) == ("done", 3)
        await until(lambda: hq.receiver.counts(KIT).repeated >= 3, "they come again", 30)
        # What the vehicle does not hand on.
        hq.command(KIT, "restart")
        await until(lambda: "not_relayed" in _events(hq), "the vehicle says so", 30)
        assert _events(hq)["not_relayed"] == {
            "unit": KIT, "path": "cmd/restart", "code": "not_authorised"
        }  # fmt: skip
        # Within its time and signed or not, another kit's or an old one does not pass.
        hq.command(KIT, "resend", args, issued=1)
        hq.command("ex-kit-02", "resend", args, mark="actual")
        await until(lambda: _refused(hq) >= {"expired", "wrong_mark"}, "both are refused", 30)
        # For all: both answer.
        name = hq.command("all", "resend", {"epoch": first.epoch, "from": 1, "to": 1})
        assert (await hq.ack(KIT, name))["outcome"] == "done"
        assert (await hq.ack(VEHICLE, name))["verb"] == "resend"
        report = (await there.vehicle.status())["relay"]
        assert report["commands"] == {"relayed": 3, "refused": 3}


async def test_a_center_that_was_away_gets_what_the_vehicle_kept(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    async with fleet(tmp_path, mosquitto.program) as there:
        await there.begin()
        there.center.kill()
        await _until_made(there, 60)
        assert await there.kit.stop() == 0
        await there.vehicle.kill()
        there.center.start()
        async with headquarters(there.center.port) as hq:
            there.vehicle.start()
            # The kit is off, and all of it comes.
            async with Store.open(there.kit.store) as store:
                want = {(e.name, s) for e in store.epochs.values() for s in range(1, e.last + 1)}
            await until(lambda: hq.numbers(KIT) >= want, f"{len(want)} numbers", 60)


def _events(hq: Headquarters) -> dict[str, Any]:
    return {r.body["event"]: r.body.get("data") for r in hq.of(VEHICLE, Class.EVENTS)}


def _refused(hq: Headquarters) -> set[str]:
    return {
        r.body["data"]["code"] for r in hq.of(VEHICLE, Class.EVENTS)
        if r.body["event"] == "not_relayed"
    }  # fmt: skip


def back(there: Fleet) -> bool:
    return there.kit.said.rstrip().rfind(f"127.0.0.1:{there.board.port}, MQTT") > (
        there.kit.said.rfind(f"127.0.0.1:{there.center.port}, MQTT")
    )


async def _until_made(there: Fleet, count: int) -> None:
    async with asyncio.timeout(60):
        made = 0
        while made < count:
            made = sum((await there.made()).values())
            await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def asking(hq: Headquarters) -> AsyncIterator[None]:
    """A center that asks for what is missing, as the console does."""
    closer = GapCloser()

    async def ask() -> None:
        while True:
            for gap in closer.due(hq.receiver.gaps(KIT), time.monotonic()):
                hq.command(KIT, "resend", {"epoch": gap.epoch, "from": gap.first, "to": gap.last})
            await asyncio.sleep(0.5)

    task = asyncio.create_task(ask())
    try:
        yield
    finally:
        task.cancel()
