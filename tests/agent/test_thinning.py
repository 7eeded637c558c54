"""A link that does not bear all: alarms go, readings become roll-ups, and nothing looks lost."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import msgspec
import pytest

from agent.center.traffic import mistakes_of
from agent.delivery import compression
from agent.delivery.meter import SEGMENT_BYTES, passed
from agent.delivery.ranges import Ranges
from agent.drill.proxy import Proxy
from agent.drill.shaping import Shape
from agent.messages import Class, Rollup
from agent.store import Store
from tests.agent.rig import (
    ROOT,
    UNIT,
    Center,
    Unit,
    alarm,
    center,
    connected,
    on_disk,
    settled,
    unit,
    uplink_config,
)
from tests.mosquitto import Mosquitto
from tests.waiting import until

NOTHING_MB = 0.001


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.delivery.channel.LOOK_S", 0.1)
    monkeypatch.setattr("agent.delivery.channel.PERIODS_S", (0, 1, 1, 1))
    monkeypatch.setattr("agent.delivery.thinning.GRACE_S", 0.05)
    monkeypatch.setattr("agent.delivery.detail.COARSER_S", 0.1)
    monkeypatch.setattr("agent.delivery.detail.FINER_S", 0.2)
    monkeypatch.setattr("agent.delivery.history.HELD_BACK_S", 0.2)
    monkeypatch.setattr("agent.delivery.skips.TELL_S", 0.05)
    monkeypatch.setattr("agent.uplink.SAVE_PERIOD_S", 0.05)


def rollups(heard: Center) -> list[Rollup]:
    return [
        msgspec.json.decode(compression.expand(one.payload), type=Rollup)
        for one in heard.messages
        if one.topic == f"{ROOT}/rollups"
    ]


def covered(heard: Center) -> Ranges:
    return Ranges(pair for rollup in rollups(heard) for pair in rollup.ranges)


async def thinned(made: Unit) -> None:
    await connected(made)
    while made.uplink.channel.ration.level == 0:
        made.read(5)
        await asyncio.sleep(0.05)
    await on_disk(made)


@pytest.mark.parametrize("compress", ["off", "zstd"])
async def test_alarms_go_readings_become_roll_ups_and_come_themselves_later(
    mosquitto: Mosquitto, tmp_path: Path, compress: str
) -> None:
    config = uplink_config(mosquitto.port, budget_mb_per_day=NOTHING_MB, compress=compress)
    async with (
        center(mosquitto.port) as heard,
        unit(tmp_path / "store", config) as made,
    ):
        await thinned(made)
        # What had gone into the live lane before.
        await until(lambda: made.uplink.channel.inflight == 0, "all is answered")
        first = made.outbox.made + 1
        rows = []
        for _ in range(5):
            rows += made.read(40)
            rows += made.read(20, "gas2")
            await asyncio.sleep(0.25)
        made.alarms([alarm()])
        await until(lambda: len(heard.of(Class.ALARMS)) == 1, "the alarm goes")
        numbers = Ranges((row.seq, row.seq) for row in rows)
        await until(lambda: rows[-1].seq in covered(heard), "roll-ups stand for all of them")
        assert list(covered(heard).holes(first, rows[-1].seq)) == []
        told = rollups(heard)
        assert sum(one.count for rollup in told for one in rollup.rolled) == covered(heard).count()
        gas2 = [one for rollup in told for one in rollup.rolled if one.source == "gas2"]
        assert {(one.min, one.max) for one in gas2} == {(0.0, 19.0)}
        for one in heard.messages:
            if one.topic.startswith(f"{ROOT}/rollups"):
                assert mistakes_of(one.topic, one.payload) == []
        # No number looks lost, though its reading has not come.
        await until(lambda: "thinned" in heard.skipped, "it is told")
        made.uplink.publish_status()
        await until(lambda: heard.receiver.gaps(UNIT.id) == [], "nothing is missed")
        assert not {r.seq for r in heard.of(Class.READINGS)} & set(_numbers(numbers))
        assert made.uplink.cursor.pending() >= 300
        # A new day.
        made.uplink.channel.ration.allowance.budget.per_day = 0
        await until(
            lambda: {r.seq for r in heard.of(Class.READINGS)} >= set(_numbers(numbers)),
            "they come themselves",
        )
        assert all(record.late for record in heard.of(Class.READINGS) if record.seq in numbers)
        await until(lambda: made.uplink.channel.ration.level == 0, "in full again")
        made.read(1)
        await settled(made)
        await until(lambda: len(heard.records) == made.outbox.made, "all have come")
        assert (heard.missing, heard.repeated) == (0, 0)
        changes = [
            r.body["detail"] for r in heard.records if r.body.get("event") == "uplink_detail"
        ]
        assert changes[0] == "1min"
        assert changes[-1] == "full"


async def test_what_one_center_can_afford_is_no_measure_for_another(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """Two brokers; the budget of one is spent: it gets roll-ups, the other each reading at once."""
    folder = tmp_path / "province"
    folder.mkdir()
    other = Mosquitto.in_folder(mosquitto.program, folder)
    other.start()
    configs = [
        uplink_config(mosquitto.port, budget_mb_per_day=NOTHING_MB, name="province"),
        uplink_config(other.port, name="county"),
    ]
    try:
        async with (
            center(mosquitto.port) as poor,
            center(other.port) as rich,
            unit(tmp_path / "store", *configs) as made,
        ):
            await until(lambda: all(one.state == "up" for one in made.uplinks), "both are up")
            await thinned(made)
            first = made.outbox.made + 1
            rows = made.read(40)
            made.alarms([alarm()])
            await until(lambda: rows[-1].seq in covered(poor), "roll-ups stand for them")
            await until(
                lambda: {row.seq for row in rows} <= {r.seq for r in rich.of(Class.READINGS)},
                "the other has each",
            )
            for heard in (poor, rich):
                await until(lambda: len(heard.of(Class.ALARMS)) == 1, "the alarm is here")  # noqa: B023
            assert not [r for r in poor.of(Class.READINGS) if r.seq >= first]
            assert rollups(rich) == []
            assert "thinned" not in rich.skipped
            levels = [one.channel.ration.status().readings for one in made.uplinks]
            assert levels == ["1min", "full"]
            await until(lambda: made.uplinks[1].cursor.pending() == 0, "it has all of it")
    finally:
        other.stop()


def _numbers(ranges: Ranges) -> list[int]:
    return [seq for first, last in ranges for seq in range(first, last + 1)]


async def test_a_backlog_that_is_held_back_is_told_and_comes_when_it_is_asked_for(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    async with Store.open(tmp_path / "store") as store:
        Unit(store).read(500)
        await store.flush()
    config = uplink_config(mosquitto.port, budget_mb_per_day=NOTHING_MB)
    async with (
        center(mosquitto.port) as heard,
        unit(tmp_path / "store", config) as made,
    ):
        await connected(made)
        await until(lambda: "later" in heard.skipped, "it is told")
        come = [r.seq for r in heard.of(Class.READINGS)]
        assert len(come) < 500
        assert heard.receiver.gaps(UNIT.id) == []
        epoch = made.store.epochs[1].name
        heard.command("resend", {"epoch": epoch, "from": 401, "to": 440})
        await until(
            lambda: {r.seq for r in heard.of(Class.READINGS)} >= set(range(401, 441)),
            "what was asked for comes in spite of the budget",
        )
        assert len({r.seq for r in heard.of(Class.READINGS)} - set(come)) <= 40


async def test_a_restart_gives_no_second_budget(mosquitto: Mosquitto, tmp_path: Path) -> None:
    config = uplink_config(mosquitto.port, kind="satellite")
    async with (
        center(mosquitto.port),
        unit(tmp_path / "store", config) as made,
    ):
        await connected(made)
        made.read(200)
        await on_disk(made)
        ration = made.uplink.channel.ration
        await until(lambda: ration.status().spent_mb > 0.01, "it is counted")
        while ration.status().sent_kbit_s == 0:
            made.read(1)
            await asyncio.sleep(0.05)
        assert (ration.status().rate_kbit_s, ration.status().budget_mb_per_day) == (64.0, 50.0)
        ration.keep()
        spent = ration.status().spent_mb
        await made.store.flush()
    async with unit(tmp_path / "store", config) as made:
        ration = made.uplink.channel.ration
        assert ration.status().spent_mb >= spent
        # As where the store could not be opened at the start.
        now = ration.allowance.budget.spent.bytes
        ration.learn({"spent.center": b'{"day":%d,"bytes":77}' % ration.allowance.budget.spent.day})
        assert ration.allowance.budget.spent.bytes == now + 77


def test_what_has_passed_is_what_the_kernel_counts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        with socket.create_connection(server.getsockname()) as one, server.accept()[0] as other:
            before = passed(one.fileno())
            one.sendall(b"x" * 5000)
            assert len(other.recv(5000, socket.MSG_WAITALL)) == 5000
            other.sendall(b"y" * 300)
            assert len(one.recv(300, socket.MSG_WAITALL)) == 300
            sent, received = (b - a for a, b in zip(before, passed(one.fileno()), strict=True))
    assert 5000 + SEGMENT_BYTES <= sent <= 5000 + 20 * SEGMENT_BYTES
    assert 300 + SEGMENT_BYTES <= received <= 300 + 20 * SEGMENT_BYTES


async def test_a_rate_is_kept_and_an_alarm_does_not_wait_for_it(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    async with Store.open(tmp_path / "store") as store:
        Unit(store).read(400)
        await store.flush()
    config = uplink_config(mosquitto.port, rate_kbit_s=160.0)
    async with (
        center(mosquitto.port) as heard,
        unit(tmp_path / "store", config) as made,
    ):
        await connected(made)
        loop = asyncio.get_running_loop()
        begin, before = loop.time(), _bytes(heard)
        await until(lambda: len(heard.of(Class.READINGS)) > 40, "history is on its way")
        made.alarms([alarm()])
        await until(lambda: len(heard.of(Class.ALARMS)) == 1, "the alarm goes")
        assert len(heard.of(Class.READINGS)) < 400
        await settled(made)
        # A slower machine sends less.
        rate = (_bytes(heard) - before) / (loop.time() - begin)
        assert rate <= 20_000 + 40_000 / (loop.time() - begin)


def _bytes(heard: Center) -> int:
    return sum(len(one.topic) + len(one.payload) for one in heard.messages)


async def test_a_narrow_link_thins_what_it_cannot_bear_and_mends_itself(
    mosquitto: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.delivery.allowance.CONGESTED_S", 0.5)
    shape = Shape(rate_kbit_s=32.0, delay_s=0.05)
    async with (
        Proxy("127.0.0.1", mosquitto.port, shape=shape) as proxy,
        center(mosquitto.port) as heard,
        unit(
            tmp_path / "store", uplink_config(proxy.port, keepalive_s=30, compress="zstd")
        ) as made,
    ):
        await connected(made)
        while not rollups(heard):
            made.read(50)
            await asyncio.sleep(0.1)
        await until(lambda: made.uplink.cursor.pending() == 0, "all comes in the end", 50.0)
        await until(lambda: len(heard.records) == made.outbox.made, "all have come")
        assert (heard.missing, heard.repeated) == (0, 0)
