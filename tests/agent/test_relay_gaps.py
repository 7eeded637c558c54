"""A vehicle asks its kits for what it lacks of them, and tells its centers what does not come."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent import topics
from agent.center.gap_closer import MAX_ASKED, PATIENCE_S
from agent.center.receiver import Gap
from agent.clock import UnitClock
from agent.messages import Class
from agent.mqtt import Connection, Message
from agent.relay.kit import Kit
from agent.relay.missing import EARLIER_MS, Missing
from agent.relay.store import NAME, RelayStore
from tests.agent.relay_rig import KIT, ROOT, VEHICLE, Headquarters, fleet, headquarters
from tests.agent.test_relay import batch, gate, kit_at, other, record, relaying
from tests.mosquitto import Mosquitto
from tests.waiting import until

__all__ = ["other"]

BEGUN = 1_700_000_000_000
EPOCH = f"{BEGUN}-ab12"
LATER = f"{BEGUN + 1000}-cd34"


def birth(last: int, epoch: str = EPOCH, **before: int) -> bytes:
    """`before`: earlier runs and their last numbers."""
    epochs = [{"epoch": name, "last": count} for name, count in {**before, epoch: last}.items()]
    return msgspec.json.encode({"epoch": epoch, "state": "running", "epochs": epochs})


class Shelf:
    def __init__(self, store: RelayStore, heard_ms: int) -> None:
        self.store = store
        self.kit = Kit(KIT, store, UnitClock(), lambda _: None)
        self.heard_ms = heard_ms
        self.missing = Missing(self.kit, heard_ms)

    async def take(self, *seqs: int, epoch: str = EPOCH, **over: Any) -> None:
        topic = topics.parse(f"{ROOT}/{KIT}/readings")
        records = [record(seq, **over) for seq in seqs]
        payload = {"unit": KIT, "epoch": epoch, "mark": "exercise", "records": records}
        _, kept = gate().records(topic, msgspec.json.encode(payload))
        done: list[bool] = []
        self.kit.take(epoch, kept, lambda: done.append(True))
        self.missing.came(epoch, min(seqs))
        await until(lambda: bool(done), "it is on disk")

    def due(self, now_s: float) -> list[tuple[int, int]]:
        """After it has been seen for long enough."""
        asked = [*self.missing.due(now_s), *self.missing.due(now_s + PATIENCE_S)]
        return [(gap.first, gap.last) for gap in asked]


@contextlib.asynccontextmanager
async def shelf(folder: Path, heard_ms: int = BEGUN) -> AsyncIterator[Shelf]:
    async with RelayStore.open(folder, NAME) as store:
        made = Shelf(store, heard_ms)
        await made.kit.load()
        yield made
        made.missing.keep()
        await store.flush()


async def test_a_hole_between_what_is_held_is_asked_for_and_then_less_and_less(
    tmp_path: Path,
) -> None:
    async with shelf(tmp_path) as made:
        await made.take(1, 2, 3)
        assert made.due(0.0) == []
        await made.take(7, 8, 11)
        assert made.due(10.0) == [(4, 6), (9, 10)]
        assert made.missing.due(13.0) == [], "that was asked"
        times = 1
        for second in range(14, 2000):
            times += bool(made.missing.due(float(second)))
        assert times == MAX_ASKED, "and at last no more"
        await made.take(4, 5, 6)
        assert made.missing.due(5000.0) == []
        assert [gap.first for gap in made.missing.due(5000.0)] == []


async def test_the_last_numbers_are_missed_by_the_birth(tmp_path: Path) -> None:
    async with shelf(tmp_path) as made:
        await made.take(1, 2)
        made.missing.hear(birth(5))
        assert made.due(0.0) == [(3, 5)]
        # The run is over, and another has begun of which nothing has come.
        made.missing.hear(birth(4, LATER, **{EPOCH: 5}))
        assert made.due(100.0) == [(3, 5), (1, 4)]
        await made.take(3, 4, 5)
        await made.take(1, 2, 3, 4, epoch=LATER)
        assert made.due(200.0) == []


async def test_what_the_kit_says_does_not_come_is_not_asked_for(tmp_path: Path) -> None:
    async with shelf(tmp_path) as made:
        await made.take(1, 9)
        made.missing.told(EPOCH, [(2, 3), (6, 8)])
        assert made.due(0.0) == [(4, 5)]
        made.missing.told(EPOCH, [(4, 5)])
        assert made.due(100.0) == []


async def test_what_was_before_the_vehicle_heard_of_the_kit_is_not_missed(tmp_path: Path) -> None:
    async with shelf(tmp_path, BEGUN + EARLIER_MS + 1) as made:
        made.missing.hear(birth(100, EPOCH))
        assert made.due(0.0) == [], "nothing has come of it yet"
        await made.take(50, 51, 54)
        made.missing.hear(birth(56, EPOCH))
        assert made.due(10.0) == [(52, 53), (55, 56)]
        await made.take(40)
        assert made.due(20.0) == [(52, 53), (55, 56)], "older ones are taken and not asked for"
        await made.take(1, epoch=LATER)


async def test_a_restart_does_not_ask_for_what_retention_took(tmp_path: Path) -> None:
    async with shelf(tmp_path) as made:
        await made.take(*range(1, 11))
        assert made.due(0.0) == []
        number = made.kit.epoch_id(EPOCH)
        assert number is not None
        await made.store.delete_before(number, 6)
        await made.kit.recount(number, 1, 5)
        assert made.due(10.0) == [], "it was here"
    async with shelf(tmp_path, BEGUN + 10 * EARLIER_MS) as made:
        assert made.kit.held[number] is not None
        assert made.due(0.0) == []
        await made.take(13)
        assert made.due(10.0) == [(11, 12)]
    async with shelf(tmp_path, BEGUN + 10 * EARLIER_MS) as made:
        assert made.due(0.0) == [(11, 12)], "that was never answered"
        made.missing.let_go(EPOCH, 12)
        assert made.due(10.0) == []


async def test_a_kit_that_was_away_is_given_time_to_bring_it_unasked(tmp_path: Path) -> None:
    async with shelf(tmp_path) as made:
        await made.take(1, 5)
        assert made.missing.due(0.0) == []
        made.missing.away()
        assert made.missing.due(10.0) == []
        assert made.missing.due(10.0 + PATIENCE_S) == [Gap(EPOCH, 2, 4)]


async def test_what_a_kit_calls_late_is_history_here_too(tmp_path: Path) -> None:
    async with shelf(tmp_path) as made:
        live: list[int] = []
        late: list[bool] = []
        made.kit.listeners.append(lambda row: live.append(row.seq))
        made.kit.late_listeners.append(lambda: late.append(True))
        await made.take(5, 6)
        assert (live, late) == ([5, 6], [])
        await made.take(1, 2, late=True)
        assert (live, late) == ([5, 6], [True, True])
        await made.take(7)
        assert live == [5, 6, 7]


# -- real brokers ----------------------------------------------------------------------------------


def asked(heard: list[Message]) -> list[dict[str, Any]]:
    return [msgspec.json.decode(one.payload) for one in heard if one.topic.endswith("/cmd/resend")]


async def is_up(kit: Connection, epoch: str) -> None:
    link = {"unit": KIT, "path": "up", "mark": "exercise", "state": "up", "epoch": epoch}
    await kit.publish(f"{ROOT}/{KIT}/link/up", msgspec.json.encode(link), retain=True)


async def test_the_kit_is_asked_once_and_what_it_does_not_hold_is_told_upwards(
    mosquitto: Mosquitto, other: Mosquitto, tmp_path: Path
) -> None:
    epoch = f"{time.time_ns() // 1_000_000}-ab12"
    async with (
        headquarters(other.port) as hq,
        relaying(tmp_path / "store", mosquitto.port, other.port) as (relay, _),
        kit_at(mosquitto.port) as (kit, heard),
    ):
        await is_up(kit, epoch)
        await kit.publish(f"{ROOT}/{KIT}/readings", batch(1, 2, 6, 7, epoch=epoch))
        await until(lambda: bool(asked(heard)), "the vehicle asks", 20)
        (question,) = asked(heard)
        assert question["args"] == {"epoch": epoch, "from": 3, "to": 5}
        assert (question["by"], question["mark"]) == (VEHICLE, "exercise")
        # It has 4, and says that it does not hold the others.
        await kit.publish(f"{ROOT}/{KIT}/readings", batch(4, epoch=epoch))
        skipped = {"unit": KIT, "epoch": epoch, "mark": "exercise", "reason": "retention",
                   "ranges": [[3, 3], [5, 5]]}  # fmt: skip
        await kit.publish(f"{ROOT}/{KIT}/skipped", msgspec.json.encode(skipped))
        await until(lambda: len(hq.of(KIT)) == 5, "what came is passed on")
        await until(lambda: hq.receiver.counts(KIT).missing == 0, "the rest is told")
        assert hq.receiver.gaps(KIT) == []
        missing = relay._asking._missing[KIT]
        assert missing.due(1e6) == []
        assert missing.due(2e6) == []
        assert relay.report()["asked"] == len(asked(heard)) == 1


async def test_a_kit_that_will_not_send_again_is_not_pestered(
    mosquitto: Mosquitto, other: Mosquitto, tmp_path: Path
) -> None:
    epoch = f"{time.time_ns() // 1_000_000}-ab12"
    async with (
        relaying(tmp_path / "store", mosquitto.port, other.port) as (relay, events),
        kit_at(mosquitto.port) as (kit, heard),
    ):
        await is_up(kit, epoch)
        await kit.publish(f"{ROOT}/{KIT}/readings", batch(1, 5, epoch=epoch))
        await until(lambda: bool(asked(heard)), "the vehicle asks", 20)
        (question,) = asked(heard)
        ack = {"seq": 6, "prev": 0, "t": 1, "clock": "gnss", "id": question["id"],
               "verb": "resend", "outcome": "refused", "code": "unsigned", "by": VEHICLE,
               "detail": "this uplink takes what is signed alone (signers)"}  # fmt: skip
        acks = {"unit": KIT, "epoch": epoch, "mark": "exercise", "records": [ack]}
        await kit.publish(f"{ROOT}/{KIT}/ack", msgspec.json.encode(acks))
        await until(lambda: relay.refusals.counts["not_sent_again"] == 1, "it is counted")
        assert KIT in relay._asking._given_up
        (event,) = [event for event in events if event.data.get("code") == "not_sent_again"]
        assert event.detail == f"{KIT}: this uplink takes what is signed alone (signers)"


@pytest.mark.timeout(180)
async def test_what_the_vehicle_s_broker_lost_comes_without_any_center_asking(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """Real units: the broker on board had acknowledged it for a vehicle that was away, and died."""
    async with fleet(tmp_path, mosquitto.program) as there, headquarters(there.center.port) as hq:
        config = there.kit.config.read_text()
        there.kit.config.write_text(
            "\n".join(line for line in config.splitlines() if not line.startswith("hosts"))
        )
        await there.begin()
        await until(lambda: len(hq.of(KIT, Class.READINGS)) > 10, "records arrive", 30)
        await there.vehicle.kill()
        await _settled(there.kit, sum((await there.made()).values()) + 40)
        there.board.kill()
        there.board.start()
        there.vehicle.start()
        before = len(hq.of(KIT))
        await until(lambda: len(hq.of(KIT)) > before + 10, "it goes on", 60)
        await until(lambda: _is_whole(hq), "nothing is missing at the center", 60)
        assert (await there.vehicle.status())["relay"]["asked"] >= 1
        await there.all_here(hq, "all of it arrives")
        assert len(hq.of(KIT)) == len(hq.numbers(KIT)), "each counts once"


async def _settled(kit: Any, count: int) -> None:
    """So many are made and acknowledged by its broker."""
    status: dict[str, Any] = {}
    while sum(status.get("made", {}).values()) < count or status["pending"]["up"]:
        status = await kit.status()


def _is_whole(hq: Headquarters) -> bool:
    return not hq.receiver.gaps(KIT)
