"""The unit's clock: which time it is, by what, and what becomes of times that were wrong."""

from __future__ import annotations

import time

import pytest

from agent import clock as clock_module
from agent.clock import BUILT_MS, UnitClock, boot_id, boottime_ms
from agent.messages import Clock

TRUE_ISO = "2026-11-20T08:00:00Z"
TRUE_MS = 1_795_161_600_000


class World:
    """What the system says."""

    def __init__(self) -> None:
        self.system_ms = TRUE_MS
        self.boot_ms = 50_000
        self.synchronised = False


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()
    monkeypatch.setattr(clock_module, "_system_ms", lambda: made.system_ms)
    monkeypatch.setattr(clock_module, "boottime_ms", lambda: made.boot_ms)
    monkeypatch.setattr(clock_module, "system_is_synchronised", lambda: made.synchronised)
    monkeypatch.setattr(clock_module, "boot_id", lambda: "this-boot")
    return made


def test_ntp_is_believed_before_gnss(world: World) -> None:
    world.synchronised = True
    clock = UnitClock()
    clock.gnss("2026-11-20T09:00:00Z", 0.0)
    assert (clock.source, clock.now_ms()) == (Clock.NTP, TRUE_MS)


def test_a_clock_before_this_was_built_was_never_set(world: World) -> None:
    clock = UnitClock()
    sources = []
    for world.system_ms in (BUILT_MS, BUILT_MS - 1):
        sources.append(clock.source)
    assert sources == [Clock.RTC, Clock.FREE]


def test_gnss_corrects_a_wrong_clock_and_goes_on_by_the_kernel_s(world: World) -> None:
    world.system_ms = 5_000
    clock = UnitClock()
    clock.gnss(TRUE_ISO, 0.25)
    assert (clock.source, clock.now_ms()) == (Clock.GNSS, TRUE_MS + 250)
    world.boot_ms += 1000
    world.system_ms = 0
    assert clock.now_ms() == TRUE_MS + 1250


def test_a_right_clock_is_left_alone_by_gnss(world: World) -> None:
    world.system_ms = TRUE_MS + 900
    clock = UnitClock()
    clock.gnss(TRUE_ISO, 0.0)
    assert (clock.source, clock.now_ms()) == (Clock.GNSS, TRUE_MS + 900)


def test_a_receiver_that_is_a_thousand_weeks_behind_is_not_believed(world: World) -> None:
    clock = UnitClock()
    clock.gnss("2007-04-06T08:00:00Z", 0.0)
    assert (clock.source, clock.now_ms()) == (Clock.RTC, TRUE_MS)


def test_ntp_may_come_and_go(world: World) -> None:
    clock = UnitClock()
    sources = [clock.source]
    for world.synchronised in (True, False):
        sources.append(clock.source)
        clock.check()
        sources.append(clock.source)
    assert sources == [Clock.RTC, Clock.RTC, Clock.NTP, Clock.NTP, Clock.RTC]


@pytest.mark.parametrize("made_by", ["free", "rtc"])
def test_what_a_guessed_clock_stamped_is_stamped_right_in_the_same_boot(
    world: World, made_by: str
) -> None:
    world.system_ms = 5_000
    clock = UnitClock()
    mono, world.boot_ms = world.boot_ms, world.boot_ms + 60_000
    assert clock.restamp(5_000, made_by, mono, "this-boot") == (5_000, Clock(made_by))
    clock.gnss(TRUE_ISO, 0.0)
    assert clock.restamp(5_000, made_by, mono, "this-boot") == (TRUE_MS - 60_000, Clock.GNSS)
    assert clock.restamp(5_000, made_by, mono, "last-boot") == (5_000, Clock(made_by))
    assert clock.restamp(5_000, made_by, mono, "") == (5_000, Clock(made_by))


@pytest.mark.parametrize("made_by", ["gnss", "ntp"])
def test_what_a_known_clock_stamped_stays(world: World, made_by: str) -> None:
    world.synchronised = True
    clock = UnitClock()
    assert clock.restamp(77, made_by, 1, "this-boot") == (77, Clock(made_by))


def test_what_the_kernel_says() -> None:
    before = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
    assert 0 <= boottime_ms() - before < 60_000
    assert len(boot_id()) == 36
    assert isinstance(clock_module.system_is_synchronised(), bool)
