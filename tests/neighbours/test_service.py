"""agent/neighbours/service.py: units in one process, over real datagrams."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.clock import UnitClock
from agent.messages import Alarm, AlarmState, FixBody, Mark, Reading
from agent.neighbours.nearby import News
from agent.neighbours.packet import DATAGRAM_MAX
from agent.neighbours.service import KEPT, Neighbours
from agent.settings.neighbours import NeighboursConfig
from agent.settings.tables import Profile, UnitConfig
from drivers import Quality
from tests.neighbours.test_radio import GROUP, free_port
from tests.waiting import until

SECRET = "forty-two bytes that nobody is able to guess"


def alarm(value: float = 12.0, code: str = "high", number: int = 0, since: int = 5) -> Alarm:
    reading = Reading(
        source=f"gas{number}", quantity="h2s", value=value, unit="ppm", quality=Quality.GOOD
    )
    return Alarm(
        alarm=f"gas{number}/h2s/{code}", code=code, rank=1, change="raised", since=since,
        state=AlarmState.UNACKNOWLEDGED, source=f"gas{number}", quantity="h2s", reading=reading,
    )  # fmt: skip


class Unit:
    """One unit, and all that its neighbours made it do."""

    def __init__(
        self, name: str, folder: Path, port: int, kept: dict[str, bytes], run: int = 1,
        secret: str = SECRET, mark: Mark = Mark.ACTUAL,
    ) -> None:  # fmt: skip
        key = folder / f"{name}.key"
        key.write_text(secret)
        self.kept = kept
        self.news: list[News] = []
        self.seen: list[tuple[str, str]] = []
        self.service = Neighbours(
            NeighboursConfig(
                enabled=True, key_file=str(key), port=port, interfaces=("lo",), group=GROUP
            ),
            UnitConfig(id=name, org="hubei", profile=Profile.SOLDIER, mark=mark),
            UnitClock(), epoch=f"{run}-{name}", kept=self.kept,
            keep=lambda name, value: self.kept.update({name: value}),
            on_news=self.news.append, on_seen=lambda alarm, unit: self.seen.append((alarm, unit)),
        )  # fmt: skip

    def raised(self) -> list[str]:
        return [one.unit for one in self.news if one.news == "raised"]

    def knows(self, *units: str) -> bool:
        return set(units) <= set(self.service.nearby.echo())


@contextlib.asynccontextmanager
async def running(*units: Unit) -> AsyncIterator[None]:
    async with contextlib.AsyncExitStack() as stack:
        for unit in units:
            await stack.enter_async_context(unit.service.radio)
        tasks = [asyncio.create_task(unit.service.run()) for unit in units]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
def port() -> int:
    return free_port()


async def test_strangers_meet_by_their_echoes_and_hear_each_other(
    tmp_path: Path, port: int
) -> None:
    """Neither clock is known to be right: each proves to the other that it speaks now."""
    one, other = Unit("kit-01", tmp_path, port, {}), Unit("kit-02", tmp_path, port, {})
    async with running(one, other):
        await until(lambda: one.knows("kit-02") and other.knows("kit-01"), "they have met", 10)
        one.service.alarms([alarm()], [alarm()])
        await until(lambda: other.raised() == ["kit-01"], "the other hears")
        assert other.service.sounds()
        assert not one.service.sounds()
        one.service.alarms([], [])
        await until(lambda: other.news[-1].news == "over", "it is over")


async def test_where_it_is(tmp_path: Path, port: int) -> None:
    one, other = Unit("kit-01", tmp_path, port, {}), Unit("kit-02", tmp_path, port, {})
    one.service.position(FixBody(mode=3, lat=30.5, lon=114.3), 0.0)
    other.service.position(FixBody(mode=3, lat=30.499, lon=114.3), 0.0)
    async with running(one, other):
        await until(lambda: one.knows("kit-02") and other.knows("kit-01"), "they have met", 10)
        one.service.alarms([alarm()], [alarm()])
        await until(lambda: bool(other.service.announcements()), "the other hears")
        (told,) = other.service.announcements()
        assert told.distance_m == pytest.approx(111.2, abs=0.5)
        assert told.bearing_deg == pytest.approx(0.0, abs=0.1)


async def test_a_person_elsewhere_has_seen_it(tmp_path: Path, port: int) -> None:
    one, other = Unit("kit-01", tmp_path, port, {}), Unit("kit-02", tmp_path, port, {})
    async with running(one, other):
        await until(lambda: one.knows("kit-02") and other.knows("kit-01"), "they have met", 10)
        one.service.alarms([alarm()], [alarm()])
        await until(other.service.sounds, "it sounds")
        assert other.service.silence()
        assert not other.service.silence()
        await until(lambda: one.seen != [], "it is told back")
        assert set(one.seen) == {("gas0/h2s/high", "kit-02")}


async def test_what_was_seen_is_not_what_was_raised_since(tmp_path: Path, port: int) -> None:
    one, other = Unit("kit-01", tmp_path, port, {}), Unit("kit-02", tmp_path, port, {})
    async with running(one, other):
        await until(lambda: one.knows("kit-02") and other.knows("kit-01"), "they have met", 10)
        one.service.alarms([alarm()], [alarm()])
        await until(other.service.sounds, "it sounds")
        other.service.silence()
        await until(lambda: one.seen != [], "it is told back")
        # It came back: raised again under its old `since`, as the engine does.
        one.service.alarms([alarm()], [alarm()])
        await until(other.service.sounds, "it sounds again")


@pytest.mark.parametrize("after", ["at once", "after a restart", "to one who was away"])
async def test_what_a_stranger_recorded_changes_nothing(
    tmp_path: Path, port: int, after: str
) -> None:
    one, other = Unit("kit-01", tmp_path, port, {}), Unit("kit-02", tmp_path, port, {})
    tape: list[bytes] = []
    heard = one.service.radio.send

    def taped(data: bytes) -> None:
        tape.append(data)
        heard(data)

    one.service.radio.send = taped  # type: ignore[method-assign]
    async with running(one, other):
        await until(lambda: one.knows("kit-02") and other.knows("kit-01"), "they have met", 10)
        one.service.alarms([alarm()], [alarm()])
        await until(lambda: other.raised() == ["kit-01"], "the other hears")
        one.service.alarms([], [])
        await until(lambda: other.news[-1].news == "over", "it is over")
        if after == "at once":
            play(tape, port)
            await until(lambda: other.service.refused["replayed"] >= len(tape), "all refused")
            assert other.raised() == ["kit-01"]
            return
    kept = other.kept if after == "after a restart" else {}
    again = Unit("kit-02", tmp_path, port, kept, run=2)
    async with running(again):
        play(tape, port)
        await until(lambda: again.service.refused.total() >= len(tape), "all refused")
        assert set(again.service.refused) <= {"replayed", "unproved"}
        assert again.news == []
        assert again.service.announcements() == ()


def play(tape: list[bytes], port: int) -> None:
    """To all who have joined the group, as a stranger on the same link would."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plug:
        plug.setsockopt(
            socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1")
        )  # fmt: skip
        for data in tape:
            plug.sendto(data, (GROUP, port))


async def test_forged_and_malformed_datagrams_change_nothing_and_are_counted(
    tmp_path: Path, port: int, caplog: pytest.LogCaptureFixture
) -> None:
    one = Unit("kit-01", tmp_path, port, {})
    stranger = Unit("kit-66", tmp_path, port, {}, secret="another secret of another group")
    async with running(one, stranger):
        stranger.service.alarms([alarm()], [alarm()])
        play([b"", b"garbage", b"OPN1", b"OPN1" + bytes(64), bytes(DATAGRAM_MAX)], port)
        await until(lambda: one.service.refused["forged"] >= 3, "forgeries are counted")
        await until(lambda: one.service.refused["foreign"] >= 3, "garbage is counted")
        assert one.news == []
        assert one.service.nearby.units() == ()
    assert caplog.text.count("not sealed with this group's key") == 2  # once at each of the two


async def test_all_that_stands_fits_one_datagram(tmp_path: Path, port: int) -> None:
    one, other = Unit("kit-01", tmp_path, port, {}), Unit("kit-02", tmp_path, port, {})
    many = [alarm(number=number, since=number) for number in range(40)]
    async with running(one, other):
        await until(lambda: one.knows("kit-02") and other.knows("kit-01"), "they have met", 10)
        one.service.alarms(many, many)
        await until(lambda: bool(other.raised()), "the other hears")
        (near,) = other.service.nearby.units()
        assert len(near.alarms) + near.more == 40


def test_a_saved_state_that_cannot_be_read_is_said(
    tmp_path: Path, port: int, caplog: pytest.LogCaptureFixture
) -> None:
    Unit("kit-01", tmp_path, port, {KEPT: b"{"}).service.radio._socket.close()
    assert "what was heard of neighbours cannot be read" in caplog.text


def test_a_short_key_is_named(tmp_path: Path, port: int) -> None:
    with pytest.raises(ValueError, match="expected at least 16 bytes of secret, read 4"):
        Unit("kit-01", tmp_path, port, {}, secret="1234")


async def test_an_own_packet_of_another_run_is_somebody_with_the_same_name(
    tmp_path: Path, port: int
) -> None:
    one, twin = Unit("kit-01", tmp_path, port, {}), Unit("kit-01", tmp_path, port, {})
    async with running(one, twin):
        await until(lambda: one.service.refused["own"] > 0, "it is noticed", 10)
        assert one.service.nearby.units() == ()
