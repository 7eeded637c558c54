"""The lanes of an uplink: who goes first, who waits for whom, and how much is on its way."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.delivery import lanes as lanes_module
from agent.delivery.rows import Row
from agent.store import Store
from tests.agent.brokers import CONNECT, PUBLISH, SUBSCRIBE, Gate, read_packet, scripted
from tests.agent.rig import (
    ROOT,
    Unit,
    alarm,
    arrived,
    center,
    connected,
    heard_unit,
    on_disk,
    settled,
    unit,
    uplink_config,
    values,
)
from tests.mosquitto import Mosquitto
from tests.waiting import until


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.delivery.pauses.RETRY_S", (0.05, 0.2))
    monkeypatch.setattr("agent.uplink.SAVE_PERIOD_S", 0.05)


# -- nobody listens ------------------------------------------------------------------------------


async def test_what_nobody_hears_stays_until_somebody_does(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    async with unit(tmp_path / "store", uplink_config(mosquitto.port)) as made:
        await connected(made)
        made.read(50)
        await on_disk(made)
        await until(lambda: bool(made.uplink._lanes._pauses), "the broker has said 0x10")
        assert made.uplink.cursor.pending() == made.outbox.made
        async with center(mosquitto.port) as heard:
            await settled(made)
            await arrived(heard, 50)
            assert heard.missing == 0
            assert sorted(values(heard, "gas1")) == [float(n) for n in range(50)]


async def test_a_center_that_takes_some_classes_only_is_not_kept_waiting_by_the_others(
    mosquitto: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody takes `events`; a pause for all would last until the test's end."""
    monkeypatch.setattr("agent.delivery.pauses.RETRY_S", (3600.0, 3600.0))
    async with center(mosquitto.port, f"{ROOT}/readings", f"{ROOT}/alarms") as heard:
        async with unit(tmp_path / "store", uplink_config(mosquitto.port)) as made:
            await connected(made)
            await until(lambda: bool(made.uplink._lanes._pauses), "an event has found nobody")
            made.read(300)
            made.alarms([alarm()])
            await until(lambda: len(heard.records) == 301, "all that it takes arrives")
            assert made.uplink.refused == 0
            await until(
                lambda: made.uplink.cursor.pending() == made.outbox.made - 301, "the rest stays"
            )


async def test_a_class_that_the_broker_refuses_waits_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """0x87 for `events`, as an access list would say it."""
    taken: list[bytes] = []

    async def broker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            first, body = await read_packet(reader)
            match first & 0xF0:
                case int(kind) if kind == CONNECT:
                    writer.write(b"\x20\x06\x00\x00\x03\x21\x00\x01")
                case int(kind) if kind == SUBSCRIBE:
                    writer.write(b"\x90\x07" + body[:2] + b"\x00\x01\x01\x01\x01")
                case int(kind) if kind == PUBLISH:
                    length = int.from_bytes(body[:2])
                    topic, mid = body[2 : 2 + length], body[2 + length : 4 + length]
                    bad = topic.endswith(b"/events")
                    taken.append(topic.rsplit(b"/", 1)[-1])
                    writer.write(b"\x40\x03" + mid + (b"\x87" if bad else b"\x00"))

    async with (
        scripted(broker) as port,
        unit(tmp_path / "store", uplink_config(port)) as made,
    ):
        await connected(made)
        made.read(40)
        await until(lambda: made.uplink.refused > 0, "an event has been refused")
        made.read(40)
        made.alarms([alarm()])
        await on_disk(made)
        await until(
            lambda: made.outbox.made - made.uplink.cursor.pending() == 81, "all else is taken"
        )
        assert "alarms" in {name.decode() for name in taken}
        assert "uplink center: the broker refused events: its access list" in caplog.text


# -- order and ceilings --------------------------------------------------------------------------


@pytest.mark.parametrize("receive_maximum", [1, 2, 7])
async def test_the_broker_s_receive_maximum_is_kept(tmp_path: Path, receive_maximum: int) -> None:
    gate = Gate(receive_maximum)
    async with (
        scripted(gate) as port,
        unit(tmp_path / "store", uplink_config(port)) as made,
    ):
        await connected(made)
        gate.open = False
        for _ in range(receive_maximum):
            # Of a moment each.
            made.read(1)
            await asyncio.sleep(0)
        made.read(300)
        made.alarms([alarm()])
        await until(
            lambda: len(gate.unacknowledged) == receive_maximum, "as many as it takes are there"
        )
        await on_disk(made)
        gate.open = True
        gate.acknowledge()
        await settled(made)
        assert gate.most <= receive_maximum


async def test_an_alarm_overtakes_what_waits(tmp_path: Path) -> None:
    gate = Gate(2)
    async with (
        scripted(gate) as port,
        unit(tmp_path / "store", uplink_config(port)) as made,
    ):
        await connected(made)
        await settled(made)
        gate.open = False
        gate.topics.clear()
        made.read(500)
        await until(lambda: len(gate.unacknowledged) == 2, "the window is full")
        made.read(500, "gas2")
        made.alarms([alarm()])
        await on_disk(made)
        gate.open = True
        gate.acknowledge()
        await settled(made)
        assert gate.topics[:3] == ["readings", "readings", "alarms"]


async def test_a_full_lane_lets_the_oldest_wait_for_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes_module, "QUEUE_MAX", 20)
    gate = Gate(1)
    async with (
        scripted(gate) as port,
        unit(tmp_path / "store", uplink_config(port)) as made,
    ):
        await connected(made)
        gate.open = False
        made.read(200)
        await on_disk(made)
        assert len(made.uplink._lanes._live) <= 20
        gate.open = True
        gate.acknowledge()
        await settled(made)


async def test_no_more_than_the_pace_allows_is_on_its_way(tmp_path: Path) -> None:
    async with Store.open(tmp_path / "store") as store:
        offline = Unit(store)
        offline.read(3000)
        await store.flush()
    gate = Gate(65_535)
    gate.open = False
    async with (
        scripted(gate) as port,
        unit(tmp_path / "store", uplink_config(port)) as made,
    ):
        channel = made.uplink.channel
        await until(lambda: channel.weight > 0, "history is on its way")
        await on_disk(made)
        made.read(1)
        await on_disk(made)
        assert 0 < channel.weight <= channel.pace.limit
        gate.open = True
        gate.acknowledge()
        await settled(made)


async def test_a_record_that_is_larger_than_the_broker_takes_is_given_up_and_told(
    tmp_path: Path,
) -> None:
    gate = Gate(20, packet=1000)
    async with (
        scripted(gate) as port,
        unit(tmp_path / "store", uplink_config(port)) as made,
    ):
        await connected(made)
        heard: list[Row] = []
        made.outbox.listeners.append(heard.append)
        made.read(30)
        made.read(1, "x" * 1000)
        made.read(30)
        await settled(made)
        (told,) = [row for row in heard if b"not_sent" in row.body]
        body = msgspec.json.decode(told.body)
        assert body["data"]["seq"] in range(30, 40)
        assert body["data"]["class"] == "readings"
        assert "the broker takes at most" in body["detail"]
        assert not made.uplink.connection or not made.uplink.connection.lost.done()


async def test_a_stalled_disk_does_not_silence_the_unit(
    mosquitto: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with heard_unit(mosquitto, tmp_path) as (made, heard):
        await settled(made)
        held: list[tuple[Row, dict[str, object]]] = []
        really = made.store.append
        monkeypatch.setattr(made.store, "append", lambda row, **how: held.append((row, how)))
        made.read(3)
        await until(lambda: values(heard, "gas1") == [0.0, 1.0, 2.0], "they go out from memory")
        committed = made.outbox.epoch.last
        monkeypatch.setattr(made.store, "append", really)
        for row, how in held:
            really(row, **how)  # type: ignore[arg-type]
        await settled(made)
        assert made.outbox.epoch.last == committed + 3
        assert heard.repeated == 0


async def test_numbers_that_the_disk_never_kept_do_not_wait_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Store.open(tmp_path / "store") as store:
        offline = Unit(store)
        offline.read(5)
        with monkeypatch.context() as patch:
            patch.setattr(store, "append", lambda row, **how: None)
            offline.read(5)
        offline.read(5)
        await store.flush()
    gate = Gate(20)
    async with (
        scripted(gate) as port,
        unit(tmp_path / "store", uplink_config(port)) as made,
    ):
        old = made.store.epochs[min(made.store.epochs)]
        assert (old.first, old.last) == (1, 15)
        await settled(made)


async def test_retention_may_take_an_epoch_whose_alarms_wait_in_the_lane(tmp_path: Path) -> None:
    for _ in range(2):
        async with Store.open(tmp_path / "store") as store:
            offline = Unit(store)
            offline.alarms([alarm()])
            await store.flush()
    gate = Gate(1)
    gate.open = False
    async with (
        scripted(gate) as port,
        unit(tmp_path / "store", uplink_config(port)) as made,
    ):
        lanes = made.uplink._lanes
        first, second, _ = sorted(made.store.epochs)
        await until(lambda: second in {row.epoch for row in lanes._urgent}, "it waits")
        await made.store.delete_before(second, 2)
        assert second not in made.store.epochs
        gate.open = True
        gate.acknowledge()
        await settled(made)
        assert gate.topics.count("alarms") == 1
        assert first in made.store.epochs


@pytest.mark.parametrize("history", ["oldest", "newest"])
async def test_history_begins_where_the_configuration_says(
    mosquitto: Mosquitto, tmp_path: Path, history: str
) -> None:
    for _ in range(2):
        async with Store.open(tmp_path / "store") as store:
            offline = Unit(store)
            offline.read(1000)
            offline.alarms([alarm()])
            await store.flush()
    async with (
        center(mosquitto.port) as heard,
        unit(tmp_path / "store", uplink_config(mosquitto.port, history=history)) as made,
    ):
        await settled(made)
        await arrived(heard, 2000)
        epochs = [made.store.epochs[number].name for number in (1, 2)]
        order = [r for r in heard.records if r.body.get("source") == "gas1" and "value" in r.body]
        assert {r.epoch for r in order[:300]} == {epochs[history == "newest"]}
        assert {r.epoch for r in order[-300:]} == {epochs[history == "oldest"]}
        firsts = [r.seq for r in order if r.epoch == epochs[history == "newest"]]
        assert (firsts[0] < 500) == (history == "oldest")
        # Alarms go before either.
        alarms = [place for place, r in enumerate(heard.records) if r.klass == "alarms"]
        assert max(alarms) < 600
        assert heard.missing == 0


async def test_retention_may_take_what_has_just_been_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Store.open(tmp_path / "store") as store:
        offline = Unit(store)
        offline.read(10)
        await store.flush()
    gate = Gate(20)
    async with (
        scripted(gate) as port,
        unit(tmp_path / "store", uplink_config(port)) as made,
    ):
        store, really = made.store, made.store.read
        old = min(store.epochs)

        async def read(epoch: int, *how: Any) -> list[Row]:
            rows = await really(epoch, *how)
            if epoch == old and rows:
                await store.delete_before(old, 11)
            return rows

        monkeypatch.setattr(store, "read", read)
        await until(lambda: old not in store.epochs, "retention was in between")
        made.read(3)
        await settled(made)


async def test_what_is_measured_at_one_moment_goes_in_one_message(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    async with heard_unit(mosquitto, tmp_path) as (made, heard):
        await settled(made)
        channel = made.uplink.channel
        sent = channel._sent
        made.read(5)
        await settled(made)
        await arrived(heard, 5)
        assert channel._sent == sent + 1
        assert heard.missing == 0
