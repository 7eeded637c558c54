"""The dose of a unit's wearer: kept on disk, handed to nobody, told each minute."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent import exposures, topics
from agent.alarms.engine import Engine
from agent.alarms.exposure import Wearer
from agent.alarms.setpoints import SetPoint
from agent.clock import UnitClock
from agent.commands import Commands
from agent.delivery.rows import Row
from agent.exposures import Exposures
from agent.messages import Ack, Alarm, Clock, Event, Mark, Reading
from agent.mqtt import Message
from agent.outbox import Outbox
from agent.settings.tables import UplinkConfig
from agent.store import Store
from agent.verbs import wearer
from drivers import Quality
from tests.waiting import until

LI = Wearer(name="李明", id="0417")
WANG = Wearer(name="王芳", id="0233")
CO = SetPoint(quantity="co", unit="ppm", high=200, stel=100, twa=35, exposure_basis="NIOSH")


class SetClock(UnitClock):
    """A clock whose time and boot the test gives."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.boot = world.boot

    @property
    def source(self) -> Clock:
        return self.world.clock

    def now_ms(self) -> int:
        return self.world.utc_ms


class World:
    """Time, boot by boot."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.boot = "boot-1"
        self.boot_s = 100.0
        self.utc_ms = 1_795_000_000_000
        self.clock = Clock.NTP
        monkeypatch.setattr(exposures, "boottime_s", lambda: self.boot_s)

    def passes(self, seconds: float) -> None:
        self.boot_s += seconds
        self.utc_ms += round(seconds * 1000)

    def reboots(self, off_s: float) -> None:
        self.passes(off_s)
        self.boot, self.boot_s = f"{self.boot}+", 20.0


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


class Run:
    """One run of the agent, as far as doses are concerned."""

    def __init__(self, store: Store, world: World, configured: Wearer) -> None:
        self.world = world
        self.store = store
        self.engine = Engine({"co": CO}, {"gas1": 10.0}, time.monotonic())
        self.alarms: list[Alarm] = []
        self.events: list[Event] = []
        self.changed = 0
        self.book = Exposures(
            self.engine, store, SetClock(world), hold_s={"gas1": 10.0}, configured=configured,
            on_alarms=self.alarms.extend, on_event=self._event, on_change=self._change,
        )  # fmt: skip

    def _event(self, event: str, source: str = "", detail: str = "", **data: Any) -> None:
        self.events.append(Event(event=event, source=source, detail=detail, data=data))

    def _change(self) -> None:
        self.changed += 1

    def breathes(self, ppm: float, seconds: int) -> None:
        for _ in range(seconds // 5):
            one = Reading(source="gas1", quantity="co", value=ppm, unit="ppm", quality=Quality.GOOD)
            self.book.reading(one, 0.0)
            self.world.passes(5.0)
            self.book.tick()

    def dose(self) -> float:
        return sum(dose.dose for dose in self.book.report().doses)

    def closed(self) -> list[dict[str, Any]]:
        return [
            {**event.data, "why": event.detail}
            for event in self.events
            if event.event == "exposure_closed"
        ]


@contextlib.asynccontextmanager
async def run(folder: Path, world: World, configured: Wearer = LI) -> AsyncIterator[Run]:
    async with Store.open(folder) as store:
        made = Run(store, world, configured)
        made.book.begin()
        yield made
        await store.flush()


async def test_a_restart_goes_on_with_the_dose_and_counts_the_gap_as_not_covered(
    tmp_path: Path, world: World
) -> None:
    async with run(tmp_path, world) as first:
        first.breathes(60.0, 600)
        assert first.dose() == pytest.approx(10.0)
    world.passes(300.0)
    async with run(tmp_path, world) as second:
        second.breathes(60.0, 300)
        (dose,) = second.book.report().doses
        assert dose.dose == pytest.approx(15.0, rel=0.02)
        # 900 s were measured of 1200; the last value before the stop held for no second of it.
        assert dose.coverage == pytest.approx(0.75, abs=0.01)
        assert second.closed() == []


async def test_a_power_cut_costs_a_minute_at_most(tmp_path: Path, world: World) -> None:
    async with run(tmp_path, world) as first:
        first.breathes(60.0, 655)
        before = first.dose()
        # What is on the disk now is what a cut leaves.
        kept = first.store.kept[exposures.KEPT]
        first.breathes(60.0, 45)
        assert first.store.kept[exposures.KEPT] != kept
        assert before - _dose_of(kept) <= 60 * 60 / 3600


def _dose_of(kept: bytes) -> float:
    accounts = msgspec.msgpack.decode(kept)["shift"]["accounts"]
    return float(accounts["gas1"]["co"]["dose"]) / 3600


@pytest.mark.parametrize(
    ("clock", "off_s", "stel"), [(Clock.NTP, 600.0, 20.0), (Clock.FREE, 600.0, 60.0)]
)
async def test_after_a_new_boot_the_gap_is_what_the_clock_says(
    tmp_path: Path, world: World, clock: Clock, off_s: float, stel: float
) -> None:
    """With a clock that nobody set, nothing has passed: the mean is rather too high."""
    async with run(tmp_path, world) as first:
        first.breathes(60.0, 900)
    world.reboots(off_s)
    world.clock = clock
    async with run(tmp_path, world) as second:
        world.passes(0.1)
        (dose,) = second.book.report().doses
        assert dose.stel == pytest.approx(stel, rel=0.02)
        assert dose.dose == pytest.approx(15.0)


async def test_a_long_pause_begins_a_new_shift_of_the_same_person(
    tmp_path: Path, world: World
) -> None:
    async with run(tmp_path, world) as first:
        first.breathes(60.0, 600)
    world.reboots(9 * 3600.0)
    async with run(tmp_path, world) as second:
        (closed,) = second.closed()
        assert (closed["why"], closed["wearer"], closed["next"]) == ("pause", "李明", "李明")
        assert closed["doses"][0]["dose"] == pytest.approx(10.0)
        assert second.dose() == 0.0


async def test_a_shift_does_not_go_on_for_ever(tmp_path: Path, world: World) -> None:
    async with run(tmp_path, world) as made:
        made.breathes(1.0, 60)
        world.passes(24 * 3600.0)
        made.book.tick()
        assert [closed["why"] for closed in made.closed()] == ["longest shift"]


async def test_a_handover_closes_the_dose_and_passes_nothing_on(
    tmp_path: Path, world: World
) -> None:
    async with run(tmp_path, world) as made:
        made.breathes(300.0, 600)
        assert [alarm.code for alarm in made.engine.active()] == ["stel"]
        closed = made.book.assign(WANG, "duty officer")
        assert closed is not None
        assert closed.wearer == "李明"
        assert closed.doses[0].dose == pytest.approx(50.0)
        (told,) = made.closed()
        assert (told["wearer_id"], told["next"], told["by"]) == ("0417", "王芳", "duty officer")
        assert told["doses"][0]["stel"] == pytest.approx(200.0)
        assert (made.book.report().wearer, made.book.report().doses) == ("王芳", ())
        assert made.changed == 1
        # The alarm was Li's: its cause has gone with her, and it stays until a person has seen it.
        (alarm,) = made.engine.active()
        assert alarm.state == "returned_unacknowledged"
    async with run(tmp_path, world) as again:
        assert again.book.report().wearer_id == "0233"


async def test_the_same_person_again_keeps_the_dose_unless_a_shift_begins(
    tmp_path: Path, world: World
) -> None:
    async with run(tmp_path, world) as made:
        made.breathes(60.0, 600)
        assert made.book.assign(LI, "gate") is None
        assert made.dose() == pytest.approx(10.0)
        assert made.book.assign(LI, "gate", new_shift=True) is not None
        assert made.dose() == 0.0


async def test_who_was_assigned_stays_until_the_configuration_names_another(
    tmp_path: Path, world: World
) -> None:
    async with run(tmp_path, world, LI) as made:
        made.book.assign(WANG, "gate")
    async with run(tmp_path, world, LI) as made:
        assert made.book.report().wearer == "王芳"
    async with run(tmp_path, world, Wearer(name="赵强")) as made:
        assert made.book.report().wearer == "赵强"
        assert [closed["why"] for closed in made.closed()] == ["configuration"]


async def test_each_minute_is_told(tmp_path: Path, world: World) -> None:
    async with run(tmp_path, world) as made:
        made.breathes(60.0, 180)
        told = [event for event in made.events if event.event == "exposure"]
        assert len(told) == 3
        last = told[-1].data
        assert (last["wearer"], last["doses"][0]["quantity"]) == ("李明", "co")
        assert last["doses"][0]["dose"] == pytest.approx(3.0, rel=0.02)
        assert last["doses"][0]["stel_limit"] == 100


async def test_nothing_measured_nothing_told(tmp_path: Path, world: World) -> None:
    async with run(tmp_path, world) as made:
        world.passes(300.0)
        made.book.tick()
        assert made.events == []


async def test_what_was_kept_and_cannot_be_read_begins_anew(
    tmp_path: Path, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    async with Store.open(tmp_path) as store:
        store.keep(exposures.KEPT, b"\xc1")
        await store.flush()
    async with run(tmp_path, world) as made:
        assert made.dose() == 0.0
    assert "the stored exposure cannot be read" in caplog.text


async def test_an_alarm_of_a_dose_that_is_lost_does_not_stand_for_ever(
    tmp_path: Path, world: World
) -> None:
    async with run(tmp_path, world) as made:
        made.breathes(300.0, 600)
        standing = made.engine.save()
        made.store.keep(exposures.KEPT, b"")
        await made.store.flush()
    async with Store.open(tmp_path) as store:
        second = Run(store, world, LI)
        second.engine.restore(standing, 0.0, 0)
        second.book.begin()
        assert [alarm.change for alarm in second.alarms] == ["returned"]


# -- the verb -------------------------------------------------------------------------------------


class Gate:
    """An uplink that may command it."""

    config = UplinkConfig(name="center", host="localhost", verbs=("wearer",))

    def respond(self, *_: object) -> None:
        raise AssertionError("nobody asked for a response")


@pytest.mark.parametrize(
    ("args", "outcome", "code"),
    [
        ({"name": "王芳", "id": "0233"}, "done", "ok"),
        ({"id": "0233"}, "done", "ok"),
        ({}, "done", "ok"),
        ({"name": 7}, "refused", "bad_arguments"),
        ({"name": "x" * 65}, "refused", "bad_arguments"),
        ({"person": "x"}, "refused", "bad_arguments"),
    ],
)
async def test_the_verb_wearer(
    tmp_path: Path, world: World, args: dict[str, Any], outcome: str, code: str
) -> None:
    async with run(tmp_path, world) as made:
        made.breathes(60.0, 60)
        outbox = Outbox(made.store, SetClock(world))
        rows: list[Row] = []
        outbox.listeners.append(rows.append)
        commands = Commands("cv-01", Mark.ACTUAL, outbox)
        commands.verbs = wearer.verbs(made.book)
        body = {"id": "c1", "by": "gate", "issued": world.utc_ms, "args": args}
        topic = topics.parse("outpost/v1/hubei/cv-01/cmd/wearer")
        message = Message(topic="", payload=msgspec.json.encode(body), retain=False)
        commands.handle(topic, message, Gate())
        await until(lambda: len(rows) == 2, "the ack and its audit are stored")
        ack = msgspec.json.decode(rows[0].body, type=Ack)
        assert (ack.outcome, ack.code) == (outcome, code)
        if outcome == "done":
            assert ack.result["closed"]["wearer"] == "李明"
            assert made.book.report().wearer == args.get("name", "")
        else:
            assert made.book.report().wearer == "李明"
            assert made.closed() == []
