"""One center is cut off: it gets everything later, and costs the others nothing."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent import mqtt
from agent.center.receiver import Record
from agent.drill.proxy import LinkState, Proxy
from agent.messages import Class
from agent.settings.tables import UplinkConfig
from agent.store import Store
from drivers.sim import winsen
from drivers.sim.line import Line
from tests.agent.agent_process import agent
from tests.agent.rig import UNIT, Center, Unit, reading, settled, unit, uplink_config
from tests.agent.test_run import gas
from tests.mosquitto import Mosquitto
from tests.waiting import until


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.delivery.pauses.RETRY_S", (0.05, 0.2))
    monkeypatch.setattr("agent.uplink.SAVE_PERIOD_S", 0.05)
    monkeypatch.setattr("agent.delivery.skips.TELL_S", 0.05)
    monkeypatch.setattr("agent.delivery.skips.RETRY_S", (0.05, 0.2))


class Aged(Center):
    """A center that notes how old each live reading is when it comes, ms."""

    def __init__(self) -> None:
        super().__init__()
        self.ages: list[float] = []

    def age(self, record: Record) -> float | None:
        """None: it is no live one."""
        if record.body["source"] != "live":
            return None
        return 1000 * (time.monotonic() - float(record.body["value"]))

    def hear(self, message: mqtt.Message) -> None:
        before = len(self.records)
        super().hear(message)
        readings = (one for one in self.records[before:] if one.klass is Class.READINGS)
        self.ages += [age for one in readings if (age := self.age(one)) is not None]


async def live(made: Unit, count: int, each: int) -> None:
    """Readings every 20 ms, whose value is the moment when they were made."""
    for _ in range(count):
        made.outbox.append(Class.READINGS, reading(time.monotonic(), "live"))
        if each:
            made.read(each, "bulk")
        await asyncio.sleep(0.02)


def typical(ages: list[float]) -> float:
    """The median: how busy the machine is otherwise shows in the slowest."""
    return sorted(ages)[len(ages) // 2]


async def test_a_center_that_is_cut_off_costs_the_healthy_one_nothing(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    folder = tmp_path / "province"
    folder.mkdir()
    other = Mosquitto.in_folder(mosquitto.program, folder)
    other.start()
    county, province = Aged(), Aged()
    configs: list[UplinkConfig] = [uplink_config(mosquitto.port, name="county")]
    try:
        async with (
            Proxy("127.0.0.1", other.port) as proxy,
            mqtt.connect(at(mosquitto), client_id="c", on_message=county.hear) as one,
            mqtt.connect(at(other), client_id="c", on_message=province.hear) as two,
            unit(
                tmp_path / "store", *configs,
                uplink_config(proxy.port, name="province", history_records_per_s=2000.0),
            ) as made,
        ):  # fmt: skip
            for connection in (one, two):
                await connection.subscribe(["outpost-exercise/v1/#"])
            await until(lambda: all(u.state == "up" for u in made.uplinks), "both are up")
            await live(made, 100, 4)
            await until(lambda: len(county.ages) == 100, "the live ones have come")
            both_up, county.ages = typical(county.ages), []
            proxy.set_state(LinkState.DROPPED)
            await until(lambda: made.uplinks[1].state == "down", "one is cut off")
            await live(made, 100, 4)
            for _ in range(10):
                made.read(1000, "bulk")
                await settled(made)
            await until(lambda: len(county.ages) == 100, "the live ones have come")
            cut_off, county.ages = typical(county.ages), []
            assert made.uplinks[1].cursor.pending() > 10_000
            proxy.set_state(LinkState.UP)
            await until(lambda: made.uplinks[1].state == "up", "it is back")
            await live(made, 100, 4)
            await settled(made)
            await until(lambda: len(county.ages) == 100, "the live ones have come")
            catching_up = typical(county.ages)
            await until(lambda: made.uplinks[1].cursor.pending() == 0, "it has caught up", 60.0)
            everything = made.outbox.made
            for heard in (county, province):
                await until(lambda: len(heard.records) == everything, "all have come")  # noqa: B023
                assert heard.missing == 0
                assert heard.receiver.gaps(UNIT.id) == []
            # What was on its way when the link was cut may come twice, there alone.
            assert county.repeated == 0
            # Under a floor of 20 ms what else the machine does decides: both centers, both
            # brokers and the unit are on it.
            assert cut_off < max(20.0, 3 * both_up), both_up
            assert catching_up < max(20.0, 3 * both_up), both_up
    finally:
        other.stop()


async def test_an_hour_without_one_center_is_an_hour_that_it_gets_later(
    mosquitto: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The unit's clock makes the hour: a record each second of it."""
    folder = tmp_path / "province"
    folder.mkdir()
    other = Mosquitto.in_folder(mosquitto.program, folder)
    other.start()
    county, province = Center(), Center()
    try:
        async with (
            Proxy("127.0.0.1", other.port) as proxy,
            mqtt.connect(at(mosquitto), client_id="c", on_message=county.hear) as one,
            mqtt.connect(at(other), client_id="c", on_message=province.hear) as two,
            unit(
                tmp_path / "store", uplink_config(mosquitto.port, name="county"),
                uplink_config(proxy.port, name="province", compress="zstd"),
            ) as made,
        ):  # fmt: skip
            for far in (one, two):
                await far.subscribe(["outpost-exercise/v1/#"])
            await until(lambda: all(u.state == "up" for u in made.uplinks), "both are up")
            connection = made.uplinks[0].connection
            passed_ms, really = 0, made.clock.now_ms
            monkeypatch.setattr(made.clock, "now_ms", lambda: really() + passed_ms)
            proxy.set_state(LinkState.DROPPED)
            await until(lambda: made.uplinks[1].state == "down", "one is cut off")
            hour = []
            for second in range(3600):
                passed_ms = 1000 * second
                hour += made.read(1)
                if second % 100 == 0:
                    await settled(made)
            await settled(made)
            assert made.uplinks[1].cursor.pending() > 3600
            proxy.set_state(LinkState.UP)
            await until(lambda: made.uplinks[1].state == "up", "it is back")
            await until(lambda: made.uplinks[1].cursor.pending() == 0, "it has caught up", 60.0)
            await until(lambda: len(province.records) == made.outbox.made, "all have come")
            for heard in (county, province):
                await until(lambda: len(heard.records) == made.outbox.made, "all")  # noqa: B023
                assert heard.missing == 0
                assert heard.receiver.gaps(UNIT.id) == []
            # The healthy one: everything once, over the connection that it had before.
            assert county.repeated == 0
            assert made.uplinks[0].connection is connection
            numbers = {row.seq for row in hour}
            # The newest state comes first, and may be of this moment.
            fresh = [r.seq for r in province.records if r.seq in numbers and not r.late]
            assert fresh in ([], [hour[-1].seq])
            times = [record.t for record in province.records if record.seq in numbers]
            assert max(times) - min(times) >= 3_599_000
    finally:
        other.stop()


def at(mosquitto: Mosquitto) -> mqtt.Broker:
    return mqtt.Broker(host="127.0.0.1", port=mosquitto.port)


CUT_OFF_S = float(os.environ.get("CUT_OFF_S", "20"))
"""An hour is 3600."""


class Timed(Aged):
    """Of a real instrument: by the record's own time."""

    def age(self, record: Record) -> float | None:
        return None if record.late else time.time() * 1000 - record.t


@pytest.mark.timeout(180 + 2 * CUT_OFF_S)
async def test_a_whole_unit_in_real_time(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """A real agent with an instrument; one of its centers is not there for `CUT_OFF_S` seconds."""
    folder = tmp_path / "province"
    folder.mkdir()
    other = Mosquitto.in_folder(mosquitto.program, folder)
    other.start()
    county, province = Timed(), Timed()
    try:
        async with (
            Line(tmp_path / "gas") as line,
            Proxy("127.0.0.1", other.port) as proxy,
            mqtt.connect(at(mosquitto), client_id="c", on_message=county.hear) as one,
            mqtt.connect(at(other), client_id="c", on_message=province.hear) as two,
            playing(winsen.Twin(line, gas="cl2", period_s=0.05 if CUT_OFF_S < 60 else 1.0)),
            agent(
                tmp_path / "unit",
                gas(line.link) + link("county", mosquitto.port) + link("province", proxy.port),
            ) as made,
        ):
            for far in (one, two):
                await far.subscribe(["outpost-exercise/v1/#"])
            await until(lambda: len(province.ages) > 20, "both hear it", 60)
            county.ages.clear()
            await until(lambda: len(county.ages) > 20, "live ones come", 60)
            both_up = typical(county.ages)
            proxy.set_state(LinkState.BLACKHOLE)
            since = time.monotonic()
            await until(lambda: made.said.count("uplink province: ") > 1, "it is seen", 60)
            county.ages.clear()
            await until(lambda: time.monotonic() - since > CUT_OFF_S, "it is over", 2 * CUT_OFF_S)
            cut_off = typical(county.ages)
            pending = (await made.status())["pending"]
            assert pending["province"] > len(county.ages)
            assert pending["county"] < 100
            proxy.set_state(LinkState.UP)
            while (await made.status()).get("pending", {}).get("province", 1):
                pass
            await until(lambda: province.missing == 0, "and it has all", 60)
            assert await made.stop() == 0
            async with Store.open(made.store) as store:
                want = {(e.name, n) for e in store.epochs.values() for n in range(1, e.last + 1)}
            for heard in (county, province):
                await until(lambda: numbers(heard) == want, f"{len(want)} records", 60)  # noqa: B023
                assert heard.missing == 0
            assert county.repeated == 0
            assert made.said.count("uplink county: ") == 1, "its connection lived through it"
            assert cut_off < max(50.0, 3 * both_up), both_up
    finally:
        other.stop()


def numbers(heard: Center) -> set[tuple[str, int]]:
    return {(record.epoch, record.seq) for record in heard.records}


def link(name: str, port: int) -> str:
    return (
        f'[[uplink]]\nname = "{name}"\nhost = "127.0.0.1"\nport = {port}\ntls = false\n'
        "keepalive_s = 2\n"
    )


@contextlib.asynccontextmanager
async def playing(twin: winsen.Twin) -> AsyncIterator[None]:
    twin.set(cl2=0.1)
    task = asyncio.create_task(twin.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
