"""The panel on gpiozero's mock pins: buttons, patterns with their times, the wire of a drill."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from gpiozero.pins.mock import MockPin  # type: ignore[import-untyped]

from drivers import lights, panelwire
from drivers import panel as module
from drivers.panel import Panel, PanelConfig, PanelError
from drivers.patterns import PATTERNS
from drivers.sim.line import Fault, Line
from drivers.sim.panel import Twin

from ..waiting import until
from .ptys import pty

PINS = {"sos_pin": 17, "ack_pin": 27, "lamp_pin": 22, "buzzer_pin": 23}


class Heard:
    """What the panel has called, and from which threads."""

    def __init__(self) -> None:
        self.sos = asyncio.Semaphore(0)
        self.ack = asyncio.Semaphore(0)
        self.clean = asyncio.Semaphore(0)
        self.calls: list[str] = []
        self.threads: set[int] = set()

    def on_sos(self, silent: bool = False) -> None:
        self._note("silent sos" if silent else "sos")
        self.sos.release()

    def on_clean(self) -> None:
        self._note("clean")
        self.clean.release()

    def on_ack(self) -> None:
        self._note("ack")
        self.ack.release()

    def _note(self, what: str) -> None:
        self.calls.append(what)
        self.threads.add(threading.get_ident())


@asynccontextmanager
async def mocked(heard: Heard, **keys: Any) -> AsyncIterator[Panel]:
    config = PanelConfig(
        factory="mock", **{**PINS, "sos_hold_s": 0.05, "cancel_hold_s": 0.2, **keys}
    )
    calls: dict[str, Any] = {
        "on_sos": heard.on_sos,
        "on_ack": heard.on_ack,
        "on_clean": heard.on_clean,
    }
    async with Panel(config, **calls) as panel:
        yield panel


def pin(panel: Panel, number: int) -> MockPin:
    return panel._factory.pin(number)


async def states(mock: MockPin, count: int) -> list[tuple[float, bool]]:
    """The first `count` states that a pin took, each with the time since the one before."""
    await until(lambda: len(mock.states) >= count, f"{mock} has changed {count} times")
    return [(state.timestamp, state.state) for state in mock.states[:count]]


async def test_ack_comes_at_the_press_on_the_loop_from_any_thread() -> None:
    heard = Heard()
    async with mocked(heard) as panel:
        presser = threading.Thread(target=pin(panel, 27).drive_low)
        presser.start()
        await asyncio.wait_for(heard.ack.acquire(), 5)
        presser.join()
        pin(panel, 27).drive_high()
    assert heard.calls == ["ack"]
    assert heard.threads == {threading.get_ident()}


async def test_clean_air_is_said_by_a_long_hold_of_the_acknowledge_button() -> None:
    heard = Heard()
    async with mocked(heard, clean_hold_s=0.05) as panel:
        ack = pin(panel, 27)
        ack.drive_low()
        await asyncio.wait_for(heard.ack.acquire(), 5)
        ack.drive_high()
        pressed = time.monotonic()
        ack.drive_low()
        await asyncio.wait_for(heard.clean.acquire(), 5)
        assert time.monotonic() - pressed >= 0.05
        ack.drive_high()
    # At each press what sounds is silent at once; the first was let go too early for the rest.
    assert heard.calls == ["ack", "ack", "clean"]
    assert heard.threads == {threading.get_ident()}


async def test_the_talk_key_is_told_down_and_up_and_a_lamp_says_who_watches() -> None:
    told: list[bool] = []
    config = PanelConfig(factory="mock", talk_pin=5, live_lamp_pin=6)
    heard = Heard()
    async with Panel(
        config, on_sos=heard.on_sos, on_ack=heard.on_ack, on_talk=told.append
    ) as panel:
        pin(panel, 5).drive_low()
        await until(lambda: told == [True], "the key is down")
        pin(panel, 5).drive_high()
        await until(lambda: told == [True, False], "the key is up")
        lamp = pin(panel, 6)
        panel.live(True)
        assert lamp.state == 1
        panel.live(False)
        assert lamp.state == 0
        panel.live(True)
    assert lamp.state == 0


async def test_sos_must_be_held_and_comes_once_a_hold() -> None:
    heard = Heard()
    async with mocked(heard) as panel:
        sos = pin(panel, 17)
        sos.drive_low()
        await asyncio.sleep(0)
        sos.drive_high()
        pressed = time.monotonic()
        sos.drive_low()
        await asyncio.wait_for(heard.sos.acquire(), 5)
        assert time.monotonic() - pressed >= 0.05
        sos.drive_high()
        sos.drive_low()
        await asyncio.wait_for(heard.sos.acquire(), 5)
    assert heard.calls == ["sos", "sos"]
    assert heard.threads == {threading.get_ident()}


async def test_leaving_does_not_wait_for_a_held_button() -> None:
    heard = Heard()
    async with mocked(heard, sos_hold_s=50.0, cancel_hold_s=60.0) as panel:
        pin(panel, 17).drive_low()
        left = time.monotonic()
    assert time.monotonic() - left < 5
    assert heard.calls == []


async def test_a_button_held_at_the_start_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    heard = Heard()

    class Pressed(module._WiredPin):
        def _set_pull(self, value: str) -> None:
            super()._set_pull(value)
            if str(self.info.name) == "GPIO17":
                self._state = False

    monkeypatch.setattr(module, "_WiredPin", Pressed)
    async with mocked(heard):
        await asyncio.wait_for(heard.sos.acquire(), 5)


async def test_a_pattern_starts_at_once_and_keeps_its_time() -> None:
    async with mocked(Heard()) as panel:
        lamp, buzzer = pin(panel, 22), pin(panel, 23)
        lamp.clear_states()
        panel.show("high")
        assert (lamp.state, buzzer.state) == (True, True)
        panel.show("high")
        got = await states(lamp, 6)
        assert [state for _, state in got] == [False, True, False, True, False, True]
        # The loop is never early; how late it is, is the machine's affair.
        assert all(gap >= 0.095 for gap, _ in got[2:])


async def test_sound_stops_and_the_lamp_stays_when_seen() -> None:
    async with mocked(Heard()) as panel:
        lamp, buzzer = pin(panel, 22), pin(panel, 23)
        panel.show("low")
        panel.show("acknowledged")
        assert (lamp.state, buzzer.state) == (True, False)
        assert panel.lights._stepping is None
        panel.show("off")
        assert (lamp.state, buzzer.state) == (False, False)


@pytest.mark.parametrize("active_high", [True, False])
async def test_leaving_can_put_everything_off(active_high: bool) -> None:
    edges: list[tuple[int, int]] = []
    async with mocked(Heard(), active_high=active_high, on_exit="off") as panel:
        panel._factory.on_edge = lambda pin, level: edges.append((pin, level))
        panel.show("high")
    on, off = (1, 0) if active_high else (0, 1)
    assert edges[:2] == [(22, on), (23, on)]
    assert edges[-2:] == [(22, off), (23, off)]


def test_patterns_tell_urgency_by_speed() -> None:
    beep = {name: steps[0][2] for name, steps in PATTERNS.items()}
    assert beep["high"] < beep["low"]
    assert sum(step[2] for step in PATTERNS["high"]) == pytest.approx(1 / 5)
    assert sum(step[2] for step in PATTERNS["low"]) == pytest.approx(1)
    assert sum(step[2] for step in PATTERNS["fault"]) == pytest.approx(10)
    assert all(any(step[0] for step in steps) for name, steps in PATTERNS.items() if name != "off")


async def test_an_unknown_pattern_is_refused() -> None:
    async with mocked(Heard()) as panel:
        with pytest.raises(ValueError, match=r"pattern: expected one of off, .*, read 'loud'"):
            panel.show("loud")


async def test_a_panel_may_have_one_lamp_only() -> None:
    config = PanelConfig(factory="mock", lamp_pin=5)
    async with Panel(config, on_sos=lambda silent: None, on_ack=lambda: None) as panel:
        panel.show("sos")
        assert pin(panel, 5).state is True


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"factory": "rpi"}, "Invalid enum value 'rpi'"),
        ({"factory": "mock"}, "sos_pin: missing, as are ack_pin, lamp_pin and buzzer_pin"),
        ({"factory": "mock", "sos_pin": 99}, "sos_pin: expected 0 to 53, read 99"),
        ({"factory": "mock", "sos_pin": 4, "lamp_pin": 4}, "lamp_pin: pin 4 is sos_pin already"),
        ({"factory": "mock", "sos_pin": 4, "clean_hold_s": 61},
         "clean_hold_s: expected more than 0, up to 60, read 61"),
        ({"factory": "mock", "sos_pin": 4, "sos_hold_s": 0},
         "sos_hold_s: expected more than 0, up to 60, read 0"),
        ({"factory": "lgpio", "sos_pin": 4, "wire": "x"},
         'wire: only with factory = "mock", not "lgpio"'),
        ({"factory": "mock", "sos_pin": 4, "chip": 0},
         'chip: only with factory = "lgpio", not "mock"'),
        ({"factory": "mock", "sos": 4}, "unknown field `sos`"),
    ],
)  # fmt: skip
def test_error_texts(keys: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (its text is what is tested)
        msgspec.convert(keys, PanelConfig).check()
    assert sentence in str(caught.value)


async def test_a_missing_factory_is_an_error_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lgpio", None)
    config = PanelConfig(factory="lgpio", sos_pin=17)
    with pytest.raises(PanelError, match=r"^panel: factory: lgpio cannot be loaded .*; install "):
        async with Panel(config, on_sos=lambda silent: None, on_ack=lambda: None):
            pytest.fail("a panel without its factory must not start")


async def test_a_pin_that_the_board_lacks_is_an_error_at_the_start() -> None:
    config = PanelConfig(factory="mock", lamp_pin=50)
    with pytest.raises(PanelError, match=r"^panel: factory mock: 50 is not a valid pin name"):
        async with Panel(config, on_sos=lambda silent: None, on_ack=lambda: None):
            pytest.fail("a panel without its pin must not start")


async def test_a_missing_wire_is_an_error_at_the_start(tmp_path: Any) -> None:
    config = PanelConfig(factory="mock", lamp_pin=5, wire=str(tmp_path / "none"))
    with pytest.raises(PanelError, match=r"^panel: wire: cannot open .*none: no such device"):
        async with Panel(config, on_sos=lambda silent: None, on_ack=lambda: None):
            pytest.fail("a panel without its wire must not start")


@asynccontextmanager
async def twin(tmp_path: Any) -> AsyncIterator[tuple[Line, Twin]]:
    async with Line(tmp_path / "panel") as line:
        played = Twin(line)
        task = asyncio.create_task(played.run())
        try:
            yield line, played
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_the_wire_presses_buttons_and_shows_outputs(tmp_path: Any) -> None:
    heard = Heard()
    async with twin(tmp_path) as (line, played), asyncio.timeout(10):
        async with mocked(heard, wire=str(line.link)) as panel:
            await played.wait_for(22, 0)
            await played.press(27, 0.0)
            await heard.ack.acquire()
            press = asyncio.create_task(played.press(17, 5.0))
            await heard.sos.acquire()
            press.cancel()
            await asyncio.gather(press, return_exceptions=True)
            panel.show("acknowledged")
            await played.wait_for(22, 1)
            panel.show("high")
            await played.wait_for(23, 1)
        # Nobody is protected any more: the lamp says so.
        await played.wait_for(22, 1)
        await played.wait_for(23, 0)
    assert heard.calls == ["ack", "sos"]
    assert played.bad_lines == 0


async def test_a_lost_wire_is_opened_again_and_told_the_levels(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(panelwire, "_REOPEN_S", 0.01)
    heard = Heard()
    async with twin(tmp_path) as (line, played), asyncio.timeout(10):
        async with mocked(heard, wire=str(line.link)) as panel:
            panel.show("acknowledged")
            await played.wait_for(22, 1)
            line.inject(Fault.UNPLUG)
            played.levels.clear()
            line.inject(Fault.REPLUG)
            await played.wait_for(22, 1)
            await played.press(27, 0.0)
            await heard.ack.acquire()
    assert [r.getMessage() for r in caplog.records if "trying again" in r.getMessage()]


async def test_what_is_no_level_of_an_input_is_refused_in_words(
    caplog: pytest.LogCaptureFixture,
) -> None:
    heard = Heard()
    async with pty() as (master, device), mocked(heard, wire=device):
        os.write(master, b"22=1\n17=2\nhello\n" + b"x" * 5000 + b"\n\xff=1\n27=0\n")
        await asyncio.wait_for(heard.ack.acquire(), 5)
    said = [r.getMessage() for r in caplog.records]
    assert said[0] == "panel: wire: expected PIN=0 or PIN=1 of an input pin, read '22=1'"
    assert len(said) == 5


async def test_a_wire_that_nobody_reads_blocks_nothing() -> None:
    async with pty() as (_, device), mocked(Heard(), wire=device) as panel:
        left = time.monotonic()
        for _ in range(20000):
            panel.show("high")
            panel.show("off")
        assert panel._wire is not None
        assert len(panel._wire._edges) <= 256
    assert time.monotonic() - left < 20


async def test_both_buttons_held_are_a_silent_call_and_a_longer_hold_asks_to_cancel() -> None:
    heard, cancelled = Heard(), asyncio.Event()
    keys: dict[str, Any] = PINS | {"sos_hold_s": 0.05, "cancel_hold_s": 0.1}
    config = PanelConfig(factory="mock", **keys)
    async with Panel(
        config, on_sos=heard.on_sos, on_ack=heard.on_ack, on_cancel=cancelled.set
    ) as panel:
        pin(panel, 27).drive_low()
        pin(panel, 17).drive_low()
        await asyncio.wait_for(cancelled.wait(), 5)
        pin(panel, 17).drive_high()
        pin(panel, 27).drive_high()
        pin(panel, 17).drive_low()
        await until(lambda: len(heard.calls) == 3, "SOS is held alone")
    assert heard.calls == ["ack", "silent sos", "sos"]


async def test_the_heart_beats_until_it_is_told_not_to() -> None:
    async with mocked(Heard(), heartbeat_pin=24) as panel:
        heart = pin(panel, 24)
        heart.clear_states()
        panel.lights.heartbeat(True)
        assert heart.state is True
        got = await states(heart, 4)
        assert [state for _, state in got] == [False, True, False, True]
        panel.lights.heartbeat(False)
        assert heart.state is False
        assert panel.lights._heart_timer is None


@pytest.mark.parametrize("heartbeat", [True, False])
async def test_winks_are_lamp_alone_and_what_was_shown_comes_back(heartbeat: bool) -> None:
    keys = {"heartbeat_pin": 24} if heartbeat else {}
    async with mocked(Heard(), **keys) as panel:
        panel.show("acknowledged")
        lamp, buzzer = pin(panel, 24 if heartbeat else 22), pin(panel, 23)
        lamp.clear_states()
        panel.lights.wink(3)
        await until(lambda: panel.lights._wink_timer is None, "it has winked")
        assert sum(state.state for state in lamp.states[1:]) >= 3
        assert buzzer.state is False
        assert pin(panel, 22).state is True


async def test_each_edge_is_in_the_file_at_once_and_outlives_the_panel(tmp_path: Any) -> None:
    record = tmp_path / "edges"
    before = time.monotonic_ns()
    async with mocked(Heard(), record=str(record)) as panel:
        panel.show("high")
        lines = record.read_text().splitlines()
        assert [line.split()[0] for line in lines] == ["22=1", "23=1"]
        times = [int(line.split()[1]) for line in lines]
        assert before < times[0] <= times[1] <= time.monotonic_ns()
        panel.show("low")
    # The end is no darkness: the lamp is lit, the buzzer is not.
    last = dict(line.split()[0].split("=") for line in record.read_text().splitlines())
    assert last == {"22": "1", "23": "0"}


async def test_a_loop_that_stands_still_shows_a_fault_until_it_turns(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lights, "STALLED_S", 0.2)
    monkeypatch.setattr(lights, "TURN_S", 0.05)
    record = tmp_path / "edges"
    async with mocked(Heard(), record=str(record), heartbeat_pin=24) as panel:
        panel.lights.heartbeat(True)
        while "22=1" not in record.read_text():
            time.sleep(0.01)  # noqa: ASYNC251 (the loop is meant to stand still)
        assert pin(panel, 24).state is False
        await until(lambda: pin(panel, 22).state is False, "the loop turns and nothing is wrong")
        await until(lambda: pin(panel, 24).state is True, "the heart beats again")


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"sos_hold_s": 5.0}, "cancel_hold_s: expected more than sos_hold_s (5), read 5"),
        ({"factory": "lgpio", "record": "x"},
         'record: only with factory = "mock", not "lgpio"'),
        ({"heartbeat_pin": 4}, "heartbeat_pin: pin 4 is sos_pin already"),
    ],
)  # fmt: skip
def test_more_error_texts(keys: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (its text is what is tested)
        msgspec.convert({"factory": "mock", "sos_pin": 4} | keys, PanelConfig).check()
    assert sentence in str(caught.value)


async def test_a_record_that_cannot_be_written_is_an_error_at_the_start(tmp_path: Any) -> None:
    config = PanelConfig(factory="mock", lamp_pin=5, record=str(tmp_path / "none" / "edges"))
    with pytest.raises(PanelError, match=r"^panel: record: cannot open .*: No such file"):
        async with Panel(config, on_sos=lambda silent: None, on_ack=lambda: None):
            pytest.fail("a panel without its record must not start")
