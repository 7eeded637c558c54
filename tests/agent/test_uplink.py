"""An uplink and a real broker: links cut, brokers killed, centers that come late, none missing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from agent import lanes as lanes_module
from agent.drill.proxy import LinkState, Proxy
from agent.messages import Class, Status
from agent.receiver import Gap
from agent.rows import Row
from agent.store import Store
from tests.agent.brokers import CONNECT, PUBLISH, SUBSCRIBE, read_packet, scripted
from tests.agent.rig import ROOT, UNIT, Center, Unit, alarm, center, unit, uplink_config
from tests.mosquitto import Mosquitto
from tests.waiting import until


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes_module, "NOBODY_RETRY_S", (0.05, 0.2))
    monkeypatch.setattr("agent.uplink.SAVE_PERIOD_S", 0.05)


async def settled(made: Unit) -> None:
    await until(
        lambda: made.outbox.epoch.last == made.outbox.made and made.uplink.cursor.pending() == 0,
        "all is acknowledged",
    )


async def on_disk(made: Unit) -> None:
    await until(lambda: made.outbox.epoch.last == made.outbox.made, "all is on disk")


async def connected(made: Unit) -> None:
    await until(lambda: made.uplink.state == "up", "the uplink is up")


async def arrived(heard: Center, count: int, source: str = "gas1") -> None:
    """The broker's PUBACK may come before its PUBLISH to the center."""
    await until(lambda: len(values(heard, source)) >= count, f"{count} of {source} arrive")


def values(heard: Center, source: str) -> list[float]:
    return [r.body["value"] for r in heard.of(Class.READINGS) if r.body["source"] == source]


# -- birth, will, live ---------------------------------------------------------------------------


async def test_a_reading_arrives_as_it_was_and_is_settled(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    async with (
        center(mosquitto.port) as heard,
        unit(tmp_path / "store", uplink_config(mosquitto.port)) as made,
    ):
        await connected(made)
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
    monkeypatch.setattr("agent.mqtt.STEADY_S", 0.0)
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


# -- nobody listens ------------------------------------------------------------------------------


async def test_what_nobody_hears_stays_until_somebody_does(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    async with unit(tmp_path / "store", uplink_config(mosquitto.port)) as made:
        await connected(made)
        made.read(50)
        await on_disk(made)
        await until(lambda: bool(made.uplink._lanes._paused), "the broker has said 0x10")
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
    monkeypatch.setattr(lanes_module, "NOBODY_RETRY_S", (3600.0, 3600.0))
    async with center(mosquitto.port, f"{ROOT}/readings", f"{ROOT}/alarms") as heard:
        async with unit(tmp_path / "store", uplink_config(mosquitto.port)) as made:
            await connected(made)
            await until(lambda: bool(made.uplink._lanes._paused), "an event has found nobody")
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
        assert "uplink center: the broker refused events: 0x87" in caplog.text


# -- order and ceilings --------------------------------------------------------------------------


class Gate:
    """A broker that acknowledges what the test lets it, with a Receive Maximum of its own."""

    def __init__(self, receive_maximum: int, packet: int = 0) -> None:
        self.topics: list[str] = []
        self.unacknowledged: list[bytes] = []
        self.most = 0
        self.open = True
        self._writer: asyncio.StreamWriter | None = None
        values = b"\x21" + receive_maximum.to_bytes(2)
        values += b"\x27" + packet.to_bytes(4) if packet else b""
        self._connack = (
            b"\x20" + bytes([3 + len(values)]) + b"\x00\x00" + bytes([len(values)]) + values
        )

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        while True:
            first, body = await read_packet(reader)
            match first & 0xF0:
                case int(kind) if kind == CONNECT:
                    writer.write(self._connack)
                case int(kind) if kind == SUBSCRIBE:
                    writer.write(b"\x90\x07" + body[:2] + b"\x00\x01\x01\x01\x01")
                case int(kind) if kind == PUBLISH and first & 0x06:
                    length = int.from_bytes(body[:2])
                    topic = body[2 : 2 + length].decode().removeprefix(ROOT + "/")
                    self.topics.append(topic)
                    self.unacknowledged.append(body[2 + length : 4 + length])
                    self.most = max(self.most, len(self.unacknowledged))
                    if self.open:
                        self.acknowledge()

    def acknowledge(self) -> None:
        assert self._writer is not None
        for mid in self.unacknowledged:
            self._writer.write(b"\x40\x02" + mid)
        self.unacknowledged.clear()


@pytest.mark.parametrize("receive_maximum", [1, 2, 7])
async def test_the_broker_s_receive_maximum_is_kept(tmp_path: Path, receive_maximum: int) -> None:
    gate = Gate(receive_maximum)
    async with (
        scripted(gate) as port,
        unit(tmp_path / "store", uplink_config(port)) as made,
    ):
        await connected(made)
        gate.open = False
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
        lanes = made.uplink._lanes
        await until(lambda: lanes._weight > 0, "history is on its way")
        await on_disk(made)
        made.read(1)
        await on_disk(made)
        assert 0 < lanes._weight <= lanes._pace.limit
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
    async with (
        center(mosquitto.port) as heard,
        unit(tmp_path / "store", uplink_config(mosquitto.port)) as made,
    ):
        await connected(made)
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
    mosquitto: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with unit(tmp_path / "store", uplink_config(mosquitto.port)) as made:
        await on_disk(made)
        really = made.store.append
        monkeypatch.setattr(made.store, "append", lambda row, **how: None)
        made.read(5)
        monkeypatch.setattr(made.store, "append", really)
        made.read(5)
        async with center(mosquitto.port):
            await settled(made)


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
