"""Failover to the next broker, and the way back to the first without flapping."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent import reconnect
from agent.reconnect import HOLD_S, SETTLED_S, Return
from tests.agent.rig import arrived, center, connected, settled, unit, uplink_config
from tests.mosquitto import Mosquitto
from tests.waiting import until


def test_a_broker_that_answers_now_and_then_is_not_gone_back_to() -> None:
    back = Return(*HOLD_S)
    assert not back.probed(True, 0.0)
    assert not back.probed(True, 9.0)
    assert not back.probed(False, 9.5)
    assert not back.probed(True, 10.0)
    assert not back.probed(True, 19.0)
    assert back.probed(True, 20.0)


def test_each_return_that_did_not_last_makes_the_next_one_wait_longer() -> None:
    back = Return(*HOLD_S)
    for hold_s in (20.0, 40.0, 80.0, 160.0, 320.0, 600.0, 600.0):
        back.returned(0.0)
        back.lost(SETTLED_S - 1)
        assert back.hold_s == hold_s
    back.returned(0.0)
    back.lost(SETTLED_S)
    assert back.hold_s == HOLD_S[0], "it stayed"


def test_what_was_lost_without_a_return_before_changes_nothing() -> None:
    back = Return(*HOLD_S)
    back.lost(1.0)
    assert back.hold_s == HOLD_S[0]


async def test_the_first_broker_is_gone_back_to_when_it_is_there_to_stay(
    mosquitto: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconnect, "PROBE_S", 0.05)
    monkeypatch.setattr(reconnect, "HOLD_S", (0.3, 1.0))
    folder = tmp_path / "center"
    folder.mkdir()
    other = Mosquitto.in_folder(mosquitto.program, folder)
    other.start()
    # The center listens on a port of its own.
    config = uplink_config(mosquitto.port, hosts=(f"127.0.0.1:{other.port}",))
    try:
        async with unit(tmp_path / "store", config) as made:
            await connected(made)
            mosquitto.kill()
            await until(lambda: other.url in made.uplink.detail, "the center has taken over")
            mosquitto.start()
            await until(lambda: made.uplink.detail == f"MQTT 5 at {mosquitto.url}", "it is back")
            assert any("is there again" in detail for _, detail in made.changes)
            async with center(mosquitto.port) as heard:
                made.read(5)
                await settled(made)
                await arrived(heard, 5)
    finally:
        other.kill()
