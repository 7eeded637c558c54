"""Lufft UMB: checked frames, every value type and status, its twin's faults."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers import Quality
from drivers.bus import Buses
from drivers.sim import umb as sim
from drivers.sim.line import Line
from drivers.umb import CHANNELS, FRAME_MAX, Config, Decoder, Driver, frame, split

from ..waiting import until
from . import trials

GOOD, FAULT = Quality.GOOD, Quality.FAULT
FIXED = Config(mount="fixed")
STATION = 0x7001

READ_100 = bytes.fromhex("01 10 01 70 01 F0 04 02 23 10 64 00 03 61 D9 04")
REPLY_100 = bytes.fromhex("01 10 01 F0 01 70 0A 02 23 10 00 64 00 16 00 00 BC 41 03 04 E4 04")
QUESTION = bytes.fromhex(
    "01 10 01 70 01 F0 0F 02 2F 10 06 64 00 C8 00 2C 01 90 01 F4 01 6C 02 03 9B 29 04"
)
MANY = sim.many(
    STATION,
    [
        sim.telegram(100, "f32", 23.5),
        sim.telegram(200, "f32", 65.0),
        sim.telegram(300, "f32", 1013.25),
        sim.telegram(400, "f32", 3.25),
        sim.telegram(500, "f32", 214.5),
        sim.telegram(620, "f32", 1.25),
    ],
)
ROWS: list[trials.Row] = [
    ("temperature", 23.5, "Cel", GOOD, None),
    ("humidity", 65.0, "%RH", GOOD, None),
    ("pressure", 1013.25, "hPa", GOOD, None),
    ("wind_speed", 3.25, "m/s", GOOD, 75.0),
    ("wind_direction", 214.5, "deg", GOOD, None),
    ("rain", 1.25, "mm", GOOD, None),
]


def read(*telegrams: bytes, config: Config = FIXED) -> list[trials.Row]:
    return trials.rows(Decoder(config).feed(sim.many(STATION, list(telegrams)), 0.0))


def test_the_only_word_that_is_ever_said() -> None:
    assert FIXED.question() == QUESTION
    assert frame(STATION, 0xF001, bytes((0x23, 0x10, 0x64, 0x00))) == READ_100


def test_checked_frames() -> None:
    trials.same_however_cut(lambda: Decoder(FIXED), REPLY_100 * 2, [ROWS[0]] * 2)
    trials.same_however_cut(lambda: Decoder(FIXED), MANY * 2, ROWS * 2)
    # The adapter's echo of the question is a frame, and no answer.
    trials.same_however_cut(lambda: Decoder(FIXED), (QUESTION + MANY + READ_100) * 2, ROWS * 2)


@pytest.mark.parametrize(
    ("kind", "value"),
    [("u8", 60.0), ("i8", -5.0), ("u16", 50.0), ("i16", -20.0), ("u32", 30.0), ("i32", -1.0),
     ("f32", -5.25), ("f64", 17.9)],
)  # fmt: skip
def test_every_type(kind: str, value: float) -> None:
    assert read(sim.telegram(100, kind, value)) == [("temperature", value, "Cel", GOOD, None)]


@pytest.mark.parametrize(
    ("status", "quality"),
    [(0x10, FAULT), (0x11, FAULT), (0x24, FAULT), (0x28, Quality.WARMUP), (0x2A, FAULT),
     (0x2B, FAULT), (0x50, Quality.OVER_RANGE), (0x51, Quality.UNDER_RANGE),
     (0x52, Quality.OVER_RANGE), (0x53, Quality.UNDER_RANGE), (0x54, FAULT), (0x55, FAULT),
     (0xFF, FAULT)],
)  # fmt: skip
def test_every_status(status: int, quality: Quality) -> None:
    got = read(sim.telegram(100, "f32", None, status), sim.telegram(200, "f32", 65.0))
    assert got == [("temperature", None, "Cel", quality, None), ROWS[1]]
    whole = sim.frame(0xF001, STATION, bytes((0x2F, 0x10, status)))
    assert trials.rows(Decoder(FIXED).feed(whole, 0.0)) == [
        (row[0], None, row[2], quality, row[4]) for row in ROWS
    ]


def test_a_fault_with_a_value_has_none_of_it() -> None:
    part = bytes((0x2B,)) + sim.telegram(100, "f32", 23.5)[1:]
    assert read(part) == [("temperature", None, "Cel", FAULT, None)]


def test_a_status_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    answer = sim.many(STATION, [sim.telegram(400, "f32", None, 0x24)])
    Decoder(FIXED).feed(answer * 3, 0.0)
    assert [record.getMessage() for record in caplog.records] == [
        f"umb 1: channel 400 (wind_speed): status 24, it has no such channel: {answer.hex()}"
    ]


@pytest.mark.parametrize(
    ("channel", "value", "quality"),
    [(100, 71.0, FAULT), (100, float("nan"), FAULT), (200, 140.0, FAULT), (300, 101.3, FAULT),
     (400, 75.0, Quality.OVER_RANGE), (400, 80.0, FAULT), (500, 361.0, FAULT)],
)  # fmt: skip
def test_what_is_no_good_value(channel: int, value: float, quality: Quality) -> None:
    ((_, got, _, is_quality, _),) = read(sim.telegram(channel, "f32", value))
    assert is_quality is quality
    assert got == (None if quality is FAULT else value)


@pytest.mark.parametrize(
    "part",
    [bytes((0, 100, 0, 0x16, 1, 2)), bytes((0, 100, 0, 0x18, 1, 2, 3, 4)), bytes((0, 100, 0))],
)
def test_a_value_that_does_not_fit_its_type_is_a_fault(part: bytes) -> None:
    assert read(part) == [("temperature", None, "Cel", FAULT, None)]


def test_parts_that_are_cut_short_are_left() -> None:
    good = sim.telegram(100, "f32", 1.0)
    assert split(bytes((0, 3, len(good))) + good + b"\x08\x00") == [good]
    assert split(b"\x00") == []
    assert split(b"\x00\x02\x00\x00") == []


def test_channels_and_stations_of_others_are_passed_over() -> None:
    assert read(sim.telegram(999, "f32", 1.0), sim.telegram(100, "f32", 23.5)) == ROWS[:1]
    assert Decoder(Config(mount="fixed", device=2)).feed(MANY, 0.0) == []


def test_on_a_vehicle_its_wind_is_apparent() -> None:
    got = trials.rows(Decoder(Config(mount="vehicle")).feed(MANY, 0.0))
    assert [row[0] for row in got] == [
        "temperature", "humidity", "pressure", "wind_speed_apparent", "wind_direction_apparent",
        "rain",
    ]  # fmt: skip


@pytest.mark.parametrize("data", [REPLY_100, MANY])
def test_a_flipped_bit(data: bytes) -> None:
    # Behind a length that has grown the decoder waits for the rest; the next answer brings it.
    trials.never_wrong_for_a_flipped_bit(lambda: Decoder(FIXED), data, around=data)


@given(st.binary(max_size=300))
def test_garbage_is_never_raised(data: bytes) -> None:
    decoder = Decoder(FIXED)
    decoder.feed(data, 0.0)
    decoder.expect_reply()
    assert trials.rows(decoder.feed(MANY, 1.0)) == ROWS


@given(st.binary(max_size=60), st.sampled_from([0x23, 0x2F, 0x26]))
def test_any_payload_in_a_right_frame_is_never_raised(payload: bytes, command: int) -> None:
    Decoder(FIXED).feed(sim.frame(0xF001, STATION, bytes((command, 0x10)) + payload), 0.0)
    assert Decoder(FIXED).feed(sim.frame(0xF001, STATION, b"\x23\x10"), 0.0) == []


@given(st.binary(min_size=FRAME_MAX, max_size=FRAME_MAX + 20))
def test_nothing_waits_for_ever(data: bytes) -> None:
    decoder = Decoder(FIXED)
    decoder.feed(b"\x01\x10\x01\xf0\x01\x70\xd4\x02" + data, 0.0)
    assert decoder.counters.bytes_dropped + decoder.counters.frames > 0


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({}, "missing required field `mount`"),
        ({"mount": "fixed", "device": 256}, "device: expected 1 to 255, read 256"),
        ({"mount": "fixed", "channels": []}, "channels: expected 1 to 20 of them, read 0"),
        ({"mount": "fixed", "channels": [101]}, "channels: 101 is not known; known are 100, 110,"),
        ({"mount": "fixed", "channels": [100, 100]}, "channels: one of them stands there twice"),
        ({"mount": "fixed", "timeout_s": 0}, "timeout_s: expected more than 0, read 0"),
    ],
)
def test_error_texts(keys: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (its text is what is tested)
        msgspec.convert(keys, Config).check()
    assert sentence in str(caught.value)


def quick(**keys: Any) -> Config:
    return Config(mount="fixed", period_s=0.05, timeout_s=0.3, **keys)


async def test_twin_with_every_fault(tmp_path: Path) -> None:
    async with Line(tmp_path / "umb") as line:
        twin = sim.Twin(line)
        await trials.stands_all_faults(line, twin, Driver(quick()), "temperature", (35.0, 12.5))
        assert set(twin.commands) == {b"\x2f\x10"}


async def test_a_station_that_starts_and_one_that_fails(tmp_path: Path) -> None:
    async with Line(tmp_path / "umb") as line:
        twin = sim.Twin(line)
        twin.busy = True
        driver = Driver(quick(channels=(100, 300, 420, 700, 900)))
        async with trials.playing(line, twin, driver) as got:
            await got.reads("temperature", None, Quality.WARMUP)
            twin.busy = False
            await got.reads("temperature", 23.5)
            await got.reads("wind_speed_min", None, FAULT)
            twin.set(temperature=None, precipitation_type=60.0)
            await got.reads("temperature", None, FAULT)
            await got.reads("precipitation_type", 60.0)
            await got.reads("radiation", 430.5)
        assert {s.quantity for _, s in got.samples} <= {c.quantity for c in CHANNELS.values()}


async def test_a_dead_station_on_the_bus_does_not_starve_the_others(tmp_path: Path) -> None:
    async with Line(tmp_path / "bus") as line:
        playing = asyncio.create_task(sim.Twin(line, devices=(1, 3)).run())
        buses = Buses()
        got = {device: trials.Got(line) for device in (1, 2, 3)}

        async def read_one(device: int) -> None:
            async with buses.open_port(str(line.link), baudrate=19200) as port:
                await Driver(quick(device=device)).run(port, got[device].take)

        reading = [asyncio.create_task(read_one(device)) for device in got]
        for device in (1, 3):
            await until(lambda d=device: len(got[d].of("rain")) >= 3, f"station {device} is read")  # type: ignore[misc]
        assert not any(task.done() for task in reading)
        for task in (playing, *reading):
            task.cancel()
        await asyncio.gather(playing, *reading, return_exceptions=True)
        assert got[2].samples == []


async def test_unplugged_and_back(tmp_path: Path) -> None:
    async with Line(tmp_path / "umb") as line:
        twin = sim.Twin(line)
        await trials.comes_back_when_replugged(
            line, twin, lambda: Driver(quick()), "temperature", (35.0, 7.0)
        )
