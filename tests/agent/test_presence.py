"""A kit at its vehicle's broker goes straight up when nobody there hands on what it brings."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import msgspec
import pytest

from agent.messages import Link, Mark
from agent.relay.presence import GONE_S, Presence
from tests.agent.relay_rig import KIT, ROOT, VEHICLE, Fleet, fleet, headquarters
from tests.mosquitto import Mosquitto
from tests.waiting import until

TOPIC = f"{ROOT}/{VEHICLE}/link/relay"


def link(state: str, epoch: str = "1000-aa", **over: object) -> bytes:
    made = Link(unit=VEHICLE, path="relay", mark=Mark.EXERCISE, state=state, epoch=epoch)
    return msgspec.json.encode(msgspec.structs.replace(made, **over))


def presence() -> Presence:
    return Presence("hubei", exercise=True)


def test_a_broker_at_which_no_relay_was_heard_of_needs_none() -> None:
    one = presence()
    one.begin(0.0)
    assert not one.is_gone(1e9)
    assert not one.hears(f"{ROOT}/{VEHICLE}/link/board", link("lost"), 0.0), "another's message"
    assert not one.is_gone(1e9)


def test_it_is_gone_when_it_has_been_for_so_long() -> None:
    one = presence()
    one.begin(0.0)
    assert one.hears(TOPIC, link("up"), 1.0)
    assert not one.is_gone(1e9)
    assert one.hears(TOPIC, link("lost"), 5.0)
    assert one.hears(TOPIC, link("closed"), 7.0)
    assert not one.is_gone(4.9 + GONE_S)
    assert one.is_gone(5.0 + GONE_S)
    one.hears(TOPIC, link("up", "2000-bb"), 20.0)
    assert not one.is_gone(1e9), "it is back"
    one.hears(TOPIC, link("lost", "1000-aa"), 21.0)
    assert not one.is_gone(1e9), "the will of the run before comes late"


def test_where_one_was_expected_silence_says_that_it_is_gone() -> None:
    """The broker was started anew and has forgotten what it retained."""
    one = presence()
    one.begin(0.0)
    one.hears(TOPIC, link("up"), 1.0)
    one.begin(50.0)
    assert one.is_gone(50.0 + GONE_S)
    other = one.another()
    other.begin(100.0)
    assert other.is_gone(100.0, 0.0)
    other.hears(TOPIC, link("up"), 100.5)
    assert not other.is_gone(1e9)


@pytest.mark.parametrize(
    "payload",
    [
        b"", b"{", b"[]", link("lost", epoch="none"), link("lost", unit="ex-other"),
        link("lost", mark=Mark.ACTUAL),
    ],
)  # fmt: skip
def test_what_is_not_a_relay_s_word_moves_nobody(payload: bytes) -> None:
    one = presence()
    one.begin(0.0)
    assert one.hears(TOPIC, payload, 1.0)
    assert not one.is_gone(1e9)


def test_one_of_two_vehicles_is_enough() -> None:
    one = presence()
    one.begin(0.0)
    one.hears(TOPIC, link("lost"), 1.0)
    one.hears(f"{ROOT}/ex-cv-02/link/relay", link("up", unit="ex-cv-02"), 2.0)
    assert not one.is_gone(1e9)


def at(there: Fleet, port: int) -> bool:
    """The kit's last connection is to this broker."""
    said = there.kit.said
    place = said.rfind("uplink up: connected to ")
    return said[place:].startswith(f"uplink up: connected to mqtt://127.0.0.1:{port},")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("how", ["killed", "hangs"])
async def test_a_kit_goes_straight_up_when_only_the_agent_of_its_vehicle_is_gone(
    mosquitto: Mosquitto, tmp_path: Path, how: str
) -> None:
    """The vehicle's broker goes on taking all that it brings."""
    async with fleet(tmp_path, mosquitto.program) as there, headquarters(there.center.port) as hq:
        await there.begin()
        await until(lambda: len(hq.of(KIT)) > 10, "records arrive", 30)
        assert at(there, there.board.port)
        process = there.vehicle.process
        assert process is not None
        if how == "killed":
            await there.vehicle.kill()
        else:
            process.send_signal(signal.SIGSTOP)
        # Its keep-alive is 15 s: a broker may need half as long again to see it hang.
        await until(lambda: at(there, there.center.port), "the kit goes straight up", 60)
        assert f"no vehicle hands on what comes to mqtt://127.0.0.1:{there.board.port}" in (
            there.kit.said
        )
        before = len(hq.of(KIT))
        await until(lambda: len(hq.of(KIT)) > before + 20, "they come straight", 30)
        assert f"{KIT}/link/up" in hq.states
        if how == "killed":
            there.vehicle.start()
        else:
            process.send_signal(signal.SIGCONT)
        await until(lambda: at(there, there.board.port), "the kit is back at its vehicle", 60)
        await there.all_here(hq, "all of it arrives")
        assert hq.receiver.counts(KIT).missing == 0
        assert len(hq.of(KIT)) == len(hq.numbers(KIT)), "each counts once"


@pytest.mark.timeout(180)
async def test_a_kit_without_a_straight_way_stays_and_its_vehicle_gets_it_all(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    async with fleet(tmp_path, mosquitto.program) as there:
        await there.begin()
        async with headquarters(there.center.port) as hq:
            await until(lambda: len(hq.of(KIT)) > 10, "records arrive", 30)
        there.center.kill()
        await there.vehicle.kill()
        connected = there.kit.said.count("connected to")
        await asyncio.sleep(GONE_S + 5)  # What is wanted is that nothing happens.
        assert there.kit.said.count("connected to") == connected
        there.center.start()
        async with headquarters(there.center.port) as hq:
            await until(lambda: at(there, there.center.port), "now there is one", 60)
            there.vehicle.start()
            await until(lambda: at(there, there.board.port), "it is back", 60)
            status = await there.vehicle.status()
            assert status["relay"]["state"] == "up"
