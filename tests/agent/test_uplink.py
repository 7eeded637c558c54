"""An uplink and a real broker: links cut, brokers killed, centers that come late, none missing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from agent.center.receiver import Gap
from agent.drill.proxy import LinkState, Proxy
from agent.messages import Class, Status
from agent.store import Store
from tests.agent.rig import (
    UNIT,
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


# -- birth, will, live ---------------------------------------------------------------------------


async def test_a_reading_arrives_as_it_was_and_is_settled(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    async with heard_unit(mosquitto, tmp_path) as (made, heard):
        made.read(3)
        made.alarms([alarm()])
        await settled(made)
        await until(lambda: len(heard.records) == made.outbox.made, "all arrive")
        assert made.uplink.detail == "MQTT 5"
        assert values(heard, "gas1") == [0.0, 1.0, 2.0]
        assert [record.body["alarm"] for record in heard.of(Class.ALARMS)] == ["gas1/cl2/high"]
        assert not any(record.late for record in heard.of(Class.READINGS))
        assert (heard.missing, heard.repeated) == (0, 0)
        assert {record.epoch for record in heard.records} == {made.outbox.epoch.name}


async def test_birth_active_alarms_and_link_are_retained_and_expire(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    async with unit(tmp_path / "store", uplink_config(mosquitto.port)) as made:
        await connected(made)
        made.read(2)
        await on_disk(made)
        made.uplink.publish_status()
        async with center(mosquitto.port) as late:
            await until(lambda: len(late.retained) == 3, "the retained messages arrive")
        status = msgspec.convert(late.retained["status"], Status)
        assert [(epoch.epoch, epoch.last) for epoch in status.epochs] == [
            (made.outbox.epoch.name, made.outbox.made)
        ]
        assert late.retained["link/center"]["state"] == "up"
        assert "alarms" not in late.retained["alarms/active"]


async def test_the_will_of_a_path_is_its_own_topic_and_a_farewell_is_no_will(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    async with (
        center(mosquitto.port) as heard,
        Proxy("127.0.0.1", mosquitto.port) as proxy,
    ):

        def link() -> str:
            return str(heard.retained.get("link/center", {}).get("state"))

        async with unit(tmp_path / "store", uplink_config(proxy.port)) as made:
            await connected(made)
            await until(lambda: link() == "up", "the path is up")
            await until(lambda: "status" in heard.retained, "the birth has arrived")
            proxy.set_state(LinkState.DROPPED)
            await until(lambda: link() == "lost", "the will arrives")
            assert heard.retained["status"]["state"] == "running"
            proxy.set_state(LinkState.UP)
            await until(lambda: link() == "up", "the path is up again")
        await until(lambda: link() == "closed", "it says goodbye")


# -- nothing lost, nothing counted twice ---------------------------------------------------------


async def test_what_is_made_while_the_link_is_down_comes_after(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    async with (
        center(mosquitto.port) as heard,
        Proxy("127.0.0.1", mosquitto.port) as proxy,
        unit(tmp_path / "store", uplink_config(proxy.port)) as made,
    ):
        await connected(made)
        made.read(10)
        await settled(made)
        before = len(heard.records)
        proxy.set_state(LinkState.DROPPED)
        await until(lambda: made.uplink.state == "down", "the loss is noticed")
        made.read(700)
        made.alarms([alarm()])
        made.read(700, "gas2")
        await on_disk(made)
        assert made.uplink.cursor.pending() >= 1401
        proxy.set_state(LinkState.UP)
        await settled(made)
        await until(lambda: len(heard.records) == made.outbox.made, "all arrive")
        assert heard.missing == 0
        assert len(values(heard, "gas1")) == 710
        assert len(values(heard, "gas2")) == 700
        # Alarms first, then the newest state, then history.
        after = heard.records[before:]
        first = [record for record in after if record.klass is not Class.EVENTS][:3]
        assert first[0].klass is Class.ALARMS
        assert {record.body["value"] for record in first[1:]} == {699.0}
        history = [r.seq for r in after if r.klass is Class.READINGS and r.late]
        assert history == sorted(history)
        assert heard.repeated == 0


async def test_a_link_that_is_cut_again_and_again_loses_nothing(
    mosquitto: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A connection that lived shortly counts as a good one here: the test would wait for long.
    monkeypatch.setattr("agent.reconnect.STEADY_S", 0.0)
    monkeypatch.setattr("agent.reconnect.STEADY_PAUSES", 0)
    async with (
        center(mosquitto.port) as heard,
        Proxy("127.0.0.1", mosquitto.port) as proxy,
        unit(tmp_path / "store", uplink_config(proxy.port)) as made,
    ):
        for _ in range(6):
            await connected(made)
            made.read(150)
            # In the middle of it: some are on their way, some acknowledged, some in no lane yet.
            await until(lambda: made.uplink.cursor.pending() < 150, "some have gone")
            proxy.set_state(LinkState.DROPPED)
            made.read(50)
            await until(lambda: made.uplink.state == "down", "the loss is noticed")
            proxy.set_state(LinkState.UP)
        await settled(made)
        await until(lambda: len(heard.records) == made.outbox.made, "all arrive")
        assert heard.missing == 0
        assert len(values(heard, "gas1")) == 1200
        assert sorted(record.seq for record in heard.records) == list(
            range(1, made.outbox.made + 1)
        )


async def test_a_unit_that_starts_again_brings_the_rest_of_its_last_life(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    config = uplink_config(mosquitto.port)
    async with center(mosquitto.port) as heard:
        async with unit(tmp_path / "store", config) as made:
            await connected(made)
            made.read(20)
            await settled(made)
        mosquitto_was = made.outbox.epoch.name
        # A life without any uplink: all of it stays on disk.
        async with Store.open(tmp_path / "store") as store:
            offline = Unit(store)
            offline.read(30)
            await store.flush()
        async with unit(tmp_path / "store", config) as made:
            await settled(made)
            await arrived(heard, 50)
            assert heard.missing == 0
            assert len(made.outbox.epochs()) == 3
        epochs = [record.epoch for record in heard.of(Class.READINGS)]
        assert (epochs.count(mosquitto_was), epochs.count(offline.outbox.epoch.name)) == (20, 30)
        assert heard.repeated == 0


async def test_a_broker_that_forgets_is_made_up_for_by_resend(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """It acknowledges while the center is away, and is then killed: what it held is gone."""
    async with unit(tmp_path / "store", uplink_config(mosquitto.port)) as made:
        async with center(mosquitto.port, name="first") as first:
            await connected(made)
            made.read(5)
            await settled(made)
            await arrived(first, 5)
            receiver = first.receiver
        # Somebody is subscribed, so the broker says that all is well; the center hears nothing.
        async with center(mosquitto.port, name="somebody else"):
            made.read(40)
            await settled(made)
        mosquitto.kill()
        await until(lambda: made.uplink.state == "down", "the broker's end is noticed")
        mosquitto.start()
        async with center(mosquitto.port, name="second") as second:
            second.receiver = receiver
            await connected(made)
            made.read(5)
            await settled(made)
            await arrived(second, 5)
            await until(lambda: second.missing > 0, "the gap is seen")
            for gap in receiver.gaps(UNIT.id):
                second.command(
                    "resend", {"epoch": gap.epoch, "from": gap.first, "to": gap.last},
                    id=f"resend-{gap.first}",
                )  # fmt: skip
            await until(lambda: second.missing == 0, "resend closes the gap")
            assert receiver.gaps(UNIT.id) == []
            assert len(values(second, "gas1")) == 45


async def test_resend_of_a_closed_epoch(mosquitto: Mosquitto, tmp_path: Path) -> None:
    config = uplink_config(mosquitto.port)
    async with center(mosquitto.port, name="somebody"):
        async with unit(tmp_path / "store", config) as made:
            await connected(made)
            made.read(30)
            await settled(made)
            old = made.outbox.epoch.name
    async with (
        center(mosquitto.port) as heard,
        unit(tmp_path / "store", config) as made,
    ):
        await connected(made)
        heard.command("resend", {"epoch": old, "from": 11, "to": 10_000})
        ack = await heard.ack()
        last = {e.epoch: e.last for e in made.outbox.epochs()}[old]
        assert ack["result"] == {"count": last - 10, "held_from": 1, "last": last}
        await settled(made)
        await arrived(heard, 20)
        assert all(record.late for record in heard.records if record.epoch == old)
        assert Gap(old, 1, 10) in heard.receiver.gaps(UNIT.id)


# -- several centers, retention, the end ---------------------------------------------------------


async def test_two_centers_keep_marks_of_their_own(mosquitto: Mosquitto, tmp_path: Path) -> None:
    async with (
        Proxy("127.0.0.1", mosquitto.port) as proxy,
        center(mosquitto.port) as heard,
        unit(
            tmp_path / "store", uplink_config(mosquitto.port),
            uplink_config(proxy.port, name="deputy"),
        ) as made,
    ):  # fmt: skip
        await until(lambda: all(u.state == "up" for u in made.uplinks), "both are up")
        proxy.set_state(LinkState.DROPPED)
        await until(lambda: made.uplinks[1].state == "down", "one is lost")
        made.read(20)
        await settled(made)
        assert made.uplinks[1].cursor.pending() >= 20
        proxy.set_state(LinkState.UP)
        await until(lambda: made.uplinks[1].cursor.pending() == 0, "the other has caught up")
        # The same record by two ways: the number makes it one.
        await until(lambda: heard.repeated >= 20, "both copies arrive")
        assert len(values(heard, "gas1")) == 20


async def test_retention_may_take_what_history_is_about_to_send(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    async with Store.open(tmp_path / "store") as store:
        offline = Unit(store)
        offline.read(4000)
        await store.flush()
    slow = uplink_config(mosquitto.port, history_records_per_s=400.0)
    async with (
        center(mosquitto.port) as heard,
        unit(tmp_path / "store", slow) as made,
    ):
        await until(lambda: len(values(heard, "gas1")) > 100, "history runs")
        old = min(made.store.epochs)
        await made.store.delete_before(old, 3001)
        await made.store.delete_before(old, 4001)
        assert old not in made.store.epochs
        made.read(10, "gas2")
        await settled(made)
        await arrived(heard, 10, "gas2")


async def test_drain_returns_when_all_is_acknowledged_or_there_is_no_way_out(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    async with (
        center(mosquitto.port),
        unit(tmp_path / "store", uplink_config(mosquitto.port)) as made,
    ):
        await connected(made)
        made.read(500)
        await made.store.flush()
        await made.uplink.drain()
        assert made.uplink.cursor.pending() == 0
        made.read(500)
        await made.store.flush()
        draining = asyncio.ensure_future(made.uplink.drain())
        mosquitto.kill()
        await draining
        await until(lambda: made.uplink.state == "down", "the broker's end is noticed")
        await made.uplink.drain()


async def test_a_week_without_a_link_is_one_event(mosquitto: Mosquitto, tmp_path: Path) -> None:
    mosquitto.kill()
    async with unit(tmp_path / "store", uplink_config(mosquitto.port)) as made:
        down = made.uplink._down
        attempts = 0

        def counted(reason: str) -> None:
            nonlocal attempts
            attempts += 1
            down(reason)

        made.uplink._down = counted  # type: ignore[method-assign]
        await until(lambda: attempts >= 2, "it has tried again")
        refused = f"{mosquitto.url} refused the connection: nothing listens there"
        assert made.changes == [("down", refused)]


async def test_a_password_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    config = uplink_config(1883, username="unit", password_file=str(tmp_path / "none"))
    async with unit(tmp_path / "store", config) as made:
        await until(lambda: bool(made.changes), "it is said")
        assert made.changes == [
            ("down", f"{tmp_path / 'none'}: cannot be read: No such file or directory")
        ]
