"""What a relay takes and refuses, when it acknowledges, what it lets go; nothing circles."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent import topics
from agent.clock import UnitClock, boottime_ms
from agent.messages import Event, Mark
from agent.mqtt import Broker, Connection, Message, connect
from agent.relay.intake import MESSAGE_MAX, RECORDS_MAX, Gate
from agent.relay.keeping import Keeping
from agent.relay.kit import Kit, KitCursor
from agent.relay.refusals import RefusedError
from agent.relay.relay import Relay
from agent.relay.seen import Seen
from agent.relay.state import KitState
from agent.relay.store import NAME, RelayStore
from agent.settings.relay import RelayConfig
from agent.settings.tables import Profile, UnitConfig
from tests.agent.relay_rig import KIT, ROOT, Headquarters, headquarters
from tests.agent.rig import UNIT, reading, unit, uplink_config
from tests.mosquitto import Mosquitto
from tests.waiting import until

EPOCH = "1700000000000-ab12"
OTHER = "1700000000001-cd34"


def record(seq: int, **over: Any) -> dict[str, Any]:
    return {
        "seq": seq, "prev": seq - 1, "t": 1_700_000_000_000 + seq, "clock": "gnss", "late": False,
        **msgspec.to_builtins(reading(0.5)), **over,
    }  # fmt: skip


def batch(*seqs: int, name: str = KIT, epoch: str = EPOCH, mark: str = "exercise") -> bytes:
    records = [record(seq) for seq in seqs]
    return msgspec.json.encode({"unit": name, "epoch": epoch, "mark": mark, "records": records})


def gate(*units: str) -> Gate:
    return Gate(UNIT, units)


def taken(payload: bytes, path: str = "readings", *units: str, root: str = ROOT) -> Any:
    topic = topics.parse(f"{root}/{KIT}/{path}")
    gate(*units).check(topic, payload)
    return gate(*units).records(topic, payload)


# -- what is taken -------------------------------------------------------------------------------


def test_a_record_keeps_its_numbers_and_its_body_byte_for_byte() -> None:
    raw = (
        b'{"seq":7,"quantity":"cl2","prev":3,"t":12,"value":1.50,"clock":"free","source":"gas",'
        b'"unit":"ppm","late":true,"quality":"good","news":{"a":[1e3, 2]}}'
    )
    head = b'{"unit":"%s","epoch":"%s","mark":"exercise","records":[' % (
        KIT.encode(), EPOCH.encode()
    )  # fmt: skip
    epoch, (kept,) = taken(head + raw + b"]}")
    assert epoch == EPOCH
    assert (kept.record.seq, kept.record.prev, kept.record.t) == (7, 3, 12)
    assert kept.body == (
        b'{"quantity":"cl2","value":1.50,"source":"gas","unit":"ppm","quality":"good",'
        b'"news":{"a":[1e3, 2]}}'
    )


@pytest.mark.parametrize(
    ("payload", "root", "units", "code", "sentence"),
    [
        (b"{", ROOT, (), "malformed", "expected a Batch"),
        (b"\xff\xfe", ROOT, (), "malformed", "expected a Batch"),
        (batch(0), ROOT, (), "malformed", "expected 1 <= seq"),
        (batch(1, name="ex-kit-09"), ROOT, (), "malformed", "but the payload 'ex-kit-09'"),
        (batch(1, epoch="yesterday"), ROOT, (), "malformed", "an epoch is"),
        (batch(1, mark="actual"), ROOT, (), "malformed", "mark 'actual' does not belong under"),
        (batch(1), "outpost-exercise/v1/other", (), "foreign", "organisation 'other'"),
        (batch(1), "outpost/v1/hubei", (), "wrong_mark", "exercise and actual never mix"),
        (batch(1), ROOT, ("ex-kit-02",), "not_listed", "is not among the units of [relay]"),
        (b"x" * (MESSAGE_MAX + 1), ROOT, (), "oversized", "at most 1000000 are taken"),
        (batch(*range(1, RECORDS_MAX + 2)), ROOT, (), "oversized", "1001 records in one message"),
    ],
    ids=lambda value: str(value)[:24] if not isinstance(value, bytes) else "",
)
def test_what_is_not_taken_is_said(
    payload: bytes, root: str, units: tuple[str, ...], code: str, sentence: str
) -> None:
    with pytest.raises(RefusedError) as caught:
        taken(payload, "readings", *units, root=root)
    assert caught.value.code == code
    assert sentence in str(caught.value)


def test_a_real_vehicle_takes_no_test_marks_for_actual() -> None:
    real = UnitConfig(id="cv-01", org="hubei", profile=Profile.VEHICLE)
    topic = topics.parse("outpost/v1/hubei/kit-01/readings")
    with pytest.raises(RefusedError, match="marked 'test', this unit 'actual'"):
        Gate(real, ()).records(topic, batch(1, name="kit-01", mark="test"))


def test_what_passed_does_not_pass_again_soon() -> None:
    seen = Seen(2, 10.0)
    assert not seen.again("a", b"b", now_s=0.0)
    assert not seen.again("ab", b"", now_s=0.0), "the parts count, not what they join to"
    assert seen.again("a", b"b", now_s=9.0)
    assert not seen.again("a", b"b", now_s=10.0)


# -- the shelf -----------------------------------------------------------------------------------


class Shelf:
    def __init__(self, store: RelayStore) -> None:
        self.store = store
        self.events: list[Event] = []
        self.done: list[str] = []
        self.kit = Kit(KIT, store, UnitClock(), self.events.append)
        self.gate = gate()

    def take(self, *seqs: int, epoch: str = EPOCH, name: str = "") -> int:
        topic = topics.parse(f"{ROOT}/{KIT}/readings")
        _, kept = self.gate.records(topic, batch(*seqs, epoch=epoch))
        return self.kit.take(epoch, kept, lambda: self.done.append(name))

    def held(self) -> list[tuple[int, int]]:
        number = self.kit.epoch_id(EPOCH)
        return list(self.kit.held[number]) if number is not None else []


@contextlib.asynccontextmanager
async def shelf(folder: Path) -> AsyncIterator[Shelf]:
    async with RelayStore.open(folder, NAME) as store:
        made = Shelf(store)
        await made.kit.load()
        yield made


async def test_a_message_is_done_when_its_records_are_on_the_disk(tmp_path: Path) -> None:
    async with shelf(tmp_path) as made:
        assert made.take(1, 2, 3, name="first") == 3
        assert made.take(2, 3, name="again") == 0
        assert not made.done, "a repeat of what waits for the disk is no more done than that"
        assert made.held() == []
        await until(lambda: made.done == ["first", "again"], "both are done")
        assert made.held() == [(1, 3)]
        assert made.take(3, name="late") == 0
        assert made.done[-1] == "late"


async def test_what_was_held_is_known_after_a_restart_with_how_far_each_center_has_it(
    tmp_path: Path,
) -> None:
    async with shelf(tmp_path) as made:
        made.take(5, 6, 9, name="a")
        await until(lambda: bool(made.done), "it is on disk")
        cursor = KitCursor(made.kit, "center")
        assert cursor.pending() == 3, "numbers that never came wait for nobody"
        number = made.kit.epoch_id(EPOCH)
        assert number is not None
        assert cursor.unclaimed() == [(number, [(5, 6), (9, 9)])]
        cursor.settle(number, [5, 9])
        cursor.save()
        await made.store.flush()
    async with shelf(tmp_path) as made:
        assert made.held() == [(5, 6), (9, 9)]
        assert KitCursor(made.kit, "center").pending() == 1
        assert KitCursor(made.kit, "province").pending() == 3
        assert made.take(6, 7) == 1


async def test_a_run_begun_earlier_that_comes_later_is_taken_as_well(tmp_path: Path) -> None:
    async with shelf(tmp_path) as made:
        made.take(1, epoch=OTHER)
        made.take(4, 2, name="old")
        await until(lambda: "old" in made.done, "it is on disk")
        assert made.held() == [(2, 2), (4, 4)]
        assert sorted(one.name for one in made.kit.epochs.values()) == [EPOCH, OTHER]


async def test_what_is_too_old_goes_and_is_said_and_the_kit_may_send_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with shelf(tmp_path) as made:
        made.take(*range(1, 11), name="all")
        await until(lambda: bool(made.done), "it is on disk")
        config = RelayConfig(enabled=True, retention_days=1.0)
        keeping = Keeping(made.store, UnitClock(), config, [], made.events.append, print)
        await keeping.once([made.kit])
        assert (made.held(), made.events) == ([(1, 10)], [])
        monkeypatch.setattr(
            "agent.delivery.retention.boottime_ms", lambda: boottime_ms() + 2 * 86_400_000
        )
        await keeping.once([made.kit])
        assert made.held() == []
        (event,) = made.events
        assert (event.event, event.data) == (
            "relay_retention", {"unit": KIT, "epoch": EPOCH, "first": 1, "last": 10}
        )  # fmt: skip
        made.done.clear()
        assert made.take(3, name="again") == 1
        await until(lambda: made.done == ["again"], "it is on disk")
        assert made.held() == [(3, 3)]


async def test_the_newest_state_wins_and_a_stale_way_says_nothing_of_another(
    tmp_path: Path,
) -> None:
    def status(epoch: str, version: int) -> bytes:
        return msgspec.json.encode({"epoch": epoch, "version": version})

    async with shelf(tmp_path) as made:
        state = KitState(made.kit, UNIT.id, Mark.EXERCISE)
        assert state.newer("status", status(EPOCH, 5))
        assert not state.newer("status", status(EPOCH, 5))
        assert not state.newer("status", status(EPOCH, 4))
        assert state.newer("status", status(OTHER, 1))
        with pytest.raises(ValueError, match="required field"):
            state.newer("status", b"{}")
        await made.store.flush()
        again = KitState(made.kit, UNIT.id, Mark.EXERCISE)
        assert not again.newer("status", status(EPOCH, 9)), "it is known after a restart"


# -- real brokers --------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def relaying(
    folder: Path, board: int, center: int, **over: Any
) -> AsyncIterator[tuple[Relay, list[Event]]]:
    """A relay in this process: what it tells, and itself."""
    events: list[Event] = []
    configs = [
        uplink_config(board, name="board", local=True),
        uplink_config(center, name="center", **over),
    ]
    async with unit(folder, *configs) as made:
        relay = Relay(
            RelayConfig(enabled=True), UNIT, made.uplinks, made.clock, folder, events.append,
            lambda: None,
        )  # fmt: skip
        for one in made.uplinks:
            one._on_message = lambda link, said: relay.command(link, topics.parse(said.topic), said)
        task = asyncio.create_task(relay.run())
        try:
            await until(lambda: relay.state == "up", "the relay listens")
            await until(lambda: all(one.state == "up" for one in made.uplinks), "all are up")
            yield relay, events
        finally:
            task.cancel()
            await asyncio.wait([task])


@contextlib.asynccontextmanager
async def kit_at(port: int) -> AsyncIterator[tuple[Connection, list[Message]]]:
    heard: list[Message] = []
    broker = Broker(host="127.0.0.1", port=port)
    async with connect(broker, client_id="kit", on_message=heard.append) as connection:
        await connection.subscribe([f"{ROOT}/{KIT}/cmd/+", f"{ROOT}/{KIT}/rtc/+/+"])
        yield connection, heard


@pytest.fixture
def other(mosquitto: Mosquitto, tmp_path: Path) -> Any:
    folder = tmp_path / "other"
    folder.mkdir()
    made = Mosquitto.in_folder(mosquitto.program, folder)
    made.start()
    yield made
    made.kill()


async def test_foreign_and_broken_traffic_is_counted_and_refused_and_the_relay_goes_on(
    mosquitto: Mosquitto, other: Mosquitto, tmp_path: Path
) -> None:
    async with (
        headquarters(other.port) as hq,
        relaying(tmp_path / "store", mosquitto.port, other.port) as (relay, events),
        kit_at(mosquitto.port) as (kit, _),
    ):
        for path, payload in (
            ("readings", b"\x00"), ("alarms", batch(1)), ("status", b"[]"), ("link/up", b"7"),
            ("still/front", b"{"), ("skipped", b"{}"), ("alarms/active", b'"'),
            ("readings", batch(1, mark="actual")), ("status", b""),
        ):  # fmt: skip
            await kit.publish(f"{ROOT}/{KIT}/{path}", payload)
        await kit.publish(f"{ROOT}/cv-09/readings", batch(1, name="cv-09"))
        await kit.publish(f"{ROOT}/{KIT}/readings", batch(1, 2))
        await until(lambda: len(hq.of(KIT)) == 2, "the sound ones arrive")
        assert relay.refusals.counts == {"malformed": 8, "wrong_mark": 1}
        said = [event.data["code"] for event in events if event.event == "relay_refused"]
        assert said == ["malformed", "wrong_mark"], "once for each unit and code"


async def test_what_is_watched_goes_both_ways(
    mosquitto: Mosquitto, other: Mosquitto, tmp_path: Path
) -> None:
    async with (
        headquarters(other.port) as hq,
        relaying(tmp_path / "store", mosquitto.port, other.port),
        kit_at(mosquitto.port) as (kit, heard),
    ):
        still = msgspec.json.encode({"unit": KIT, "mark": "exercise", "t": 5, "jpeg": ""})
        await kit.publish(f"{ROOT}/{KIT}/readings", batch(1))
        await until(lambda: len(hq.of(KIT)) == 1, "the kit is known")
        for _ in range(2):
            await kit.publish(f"{ROOT}/{KIT}/still/front", still)
        assert hq.connection is not None
        now = UnitClock().now_ms()
        offer = msgspec.json.encode({"by": "a", "issued": now, "mark": "exercise", "sdp": "v=0"})
        hq.connection.publish(f"{ROOT}/{KIT}/rtc/s1/offer", offer)
        await until(lambda: len(heard) == 1, "the offer comes down")
        assert (heard[0].topic, heard[0].payload) == (f"{ROOT}/{KIT}/rtc/s1/offer", offer)
        await kit.publish(f"{ROOT}/{KIT}/rtc/s1/answer", b'{"sdp":"v=0"}')
        hq.connection.publish(f"{ROOT}/{KIT}/rtc/s1/close", b"{}")
        await until(lambda: len(heard) >= 3, "the close comes down")
        await kit.publish(f"{ROOT}/{KIT}/rtc/s2/close", b"{}")
        await until(lambda: _paths(hq).count("rtc/s2/close") >= 1, "the kit's own comes up")
        assert _paths(hq).count("rtc/s1/answer") == 1
        assert _paths(hq).count("still/front") == 1, "a picture that is no newer is not sent"
        assert _paths(hq).count("rtc/s1/close") == 1, "what went down does not come up again"


def _paths(hq: Headquarters) -> list[str]:
    return ["/".join(topics.parse(one.topic).path) for one in hq.others]


async def test_what_the_vehicle_lets_go_unsent_is_told_and_the_kit_can_still_give_it(
    mosquitto: Mosquitto, other: Mosquitto, tmp_path: Path
) -> None:
    async with (
        relaying(tmp_path / "store", mosquitto.port, other.port) as (relay, events),
        kit_at(mosquitto.port) as (kit, _),
    ):
        center = relay.branches["center"].uplink
        other.kill()
        await until(lambda: center.state == "down", "the center is away")
        await kit.publish(f"{ROOT}/{KIT}/readings", batch(*range(1, 6)))
        pending = relay.branches["center"].pending
        await until(lambda: pending() == 5, "they wait at the vehicle")
        assert relay._store is not None
        keeping = Keeping(
            relay._store, UnitClock(), RelayConfig(enabled=True, max_mb=0),
            relay.branches.values(), events.append, print,
        )  # fmt: skip
        await keeping.once(relay.kits.values())
        assert pending() == 0
        (event,) = [event for event in events if event.event == "relay_retention"]
        assert event.data | {"classes": [], "count": 0} == {
            "unit": KIT, "epoch": EPOCH, "first": 1, "last": 5, "classes": [], "count": 0
        }  # fmt: skip
        other.start()
        async with headquarters(other.port) as hq:
            await until(lambda: center.state == "up", "the center is back", 30)
            await until(lambda: hq.receiver.counts(KIT).missing == 5, "it misses them", 30)
            # What the kit sends again.
            await kit.publish(f"{ROOT}/{KIT}/readings", batch(*range(1, 6)))
            hq.command(KIT, "resend", {"epoch": EPOCH, "from": 1, "to": 5})
            await until(lambda: hq.receiver.counts(KIT).missing == 0, "nothing is missing", 30)


async def test_two_relays_at_each_others_brokers_send_nothing_round_in_a_circle(
    mosquitto: Mosquitto, other: Mosquitto, tmp_path: Path
) -> None:
    """The worst mistake that can be configured: A hands on to B's broker and B to A's."""
    async with (
        headquarters(mosquitto.port, "a") as at_a,
        headquarters(other.port, "b") as at_b,
        relaying(tmp_path / "a", mosquitto.port, other.port) as (first, _),
        second_relay(tmp_path / "b", other.port, mosquitto.port) as second,
        kit_at(mosquitto.port) as (kit, heard),
    ):
        status = {"unit": KIT, "mark": "exercise", "epoch": EPOCH, "version": 1}
        told = {
            "unit": KIT, "epoch": EPOCH, "mark": "exercise", "reason": "class", "ranges": [[8, 9]]
        }  # fmt: skip
        link = {**status, "path": "up", "state": "up", "t": 1}
        for path, payload in (
            ("readings", batch(1, 2, 3)), ("alarms/active", _encoded({**status, "t": 1})),
            ("skipped", _encoded(told)), ("link/up", _encoded(link)), ("rtc/s/close", b"{}"),
        ):  # fmt: skip
            await kit.publish(f"{ROOT}/{KIT}/{path}", payload)
        await until(lambda: len(at_b.of(KIT)) == 3, "they arrive at B's broker")
        await until(lambda: (KIT, "skipped") in at_b.copies, "and what was left out")
        now = UnitClock().now_ms()
        for port in (at_a, at_b):
            port.command(KIT, "alarm.ack", {"alarm": "x"}, issued=now)
        await until(lambda: len(heard) >= 2, "both commands are heard at A's broker")
        await _still(lambda: len(at_a.copies) + len(at_b.copies) + len(at_a.others))
        for hq in (at_a, at_b):
            counts = hq.receiver.counts(KIT)
            assert counts.received == 3
            assert counts.repeated <= 3, "each comes back once at most"
        assert set(first.kits) == {KIT, SECOND.id}
        assert set(second.kits) == {KIT, FIRST.id}


FIRST = UNIT
SECOND = msgspec.structs.replace(UNIT, id="ex-cv-02")


@contextlib.asynccontextmanager
async def second_relay(folder: Path, board: int, center: int) -> AsyncIterator[Relay]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("tests.agent.rig.UNIT", "tests.agent.test_relay.UNIT"):
            patch.setattr(name, SECOND)
        async with relaying(folder, board, center) as (relay, _):
            yield relay


async def _still(count: Any) -> None:
    """Until nothing has come for a second: what circles comes all the time."""
    before, quiet = count(), 0
    async with asyncio.timeout(30):
        while quiet < 20:
            await asyncio.sleep(0.05)
            now = count()
            quiet = quiet + 1 if now == before else 0
            before = now


def _encoded(value: Any) -> bytes:
    return msgspec.json.encode(value)
