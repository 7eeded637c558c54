"""Network UPS Tools: whole lists only, errors told apart, a twin on a pty and on real TCP."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers import Quality
from drivers.nut import Config, Decoder, Driver
from drivers.ports import open_port
from drivers.sim import nut as sim
from drivers.sim.line import Fault, Line
from drivers.sim.netline import NetLine

from .files import Heard
from .trials import (
    comes_back_when_replugged,
    playing,
    rows,
    same_however_cut,
    stands_all_faults,
)

GOOD, FAULT, STALE = Quality.GOOD, Quality.FAULT, Quality.STALE
FAST = Config(period_s=0.03, timeout_s=0.1)

LIST = b"""BEGIN LIST VAR ups
VAR ups battery.charge "87"
VAR ups battery.runtime "1440"
VAR ups battery.voltage "13.2"
VAR ups device.mfr "American \\"Power\\" \\\\ Conversion"
VAR ups input.voltage "230.0"
VAR ups ups.load "23"
VAR ups ups.status "OB DISCHRG LB"
END LIST VAR ups
"""
ROWS = [
    ("battery", 87.0, "%EL", GOOD, None),
    ("voltage", 13.2, "V", GOOD, None),
    ("time_left", 1440.0, "s", GOOD, None),
    ("mains_voltage", 230.0, "V", GOOD, None),
    ("load", 23.0, "%", GOOD, None),
    ("mains", 0.0, "/", GOOD, None),
]


def listed(**values: str) -> bytes:
    lines = [f'VAR ups {name.replace("_", ".")} "{value}"' for name, value in values.items()]
    return "\n".join(["BEGIN LIST VAR ups", *lines, "END LIST VAR ups", ""]).encode()


def test_a_list_however_it_is_cut() -> None:
    same_however_cut(Decoder, LIST * 3, ROWS * 3)
    same_however_cut(Decoder, LIST.replace(b"\n", b"\r\n"), ROWS)


def test_half_a_list_gives_nothing() -> None:
    decoder = Decoder()
    assert decoder.feed(LIST[: len(LIST) // 2], 0.0) == []
    decoder.expect_reply()
    assert decoder.counters.bytes_dropped > 0
    assert rows(decoder.feed(LIST, 1.0)) == ROWS


def test_a_list_that_was_cut_within_is_not_joined_with_the_next() -> None:
    cut = listed(battery_charge="12").partition(b'"12')[0]
    assert rows(Decoder().feed(cut + LIST, 0.0)) == []
    assert rows(Decoder().feed(cut + b"\n" + LIST, 0.0)) == ROWS


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"battery_charge": "101"}, ("battery", None, "%EL", FAULT, None)),
        ({"battery_charge": "nan"}, ("battery", None, "%EL", FAULT, None)),
        ({"battery_charge": ""}, ("battery", None, "%EL", FAULT, None)),
        ({"battery_charge": "99.5"}, ("battery", 99.5, "%EL", GOOD, None)),
        ({"ups_status": "OL CHRG"}, ("mains", 1.0, "/", GOOD, None)),
        ({"ups_status": "ALARM OB RB"}, ("mains", 0.0, "/", GOOD, None)),
        ({"battery_temperature": "-3.5"}, ("cell_temperature", -3.5, "Cel", GOOD, None)),
    ],
)
def test_values(values: dict[str, str], expected: object) -> None:
    assert rows(Decoder().feed(listed(**values), 0.0)) == [expected]


def test_a_status_without_a_word_for_the_mains_gives_none() -> None:
    assert rows(Decoder().feed(listed(ups_status="OFF"), 0.0)) == []


def test_another_ups_is_not_ours() -> None:
    assert rows(Decoder(Config(ups="other")).feed(LIST, 0.0)) == []


def test_an_error_of_upsd_without_a_name_is_one_all_the_same() -> None:
    decoder = Decoder()
    assert decoder.feed(b"ERR \nERR  \n", 0.0) == []
    assert decoder.problem == "an error without a name"


@pytest.mark.parametrize("error", ["DATA-STALE", "DRIVER-NOT-CONNECTED"])
def test_a_lost_ups_is_a_fault_of_all_it_had_told(error: str) -> None:
    line = f"ERR {error}\n".encode()
    decoder = Decoder()
    assert rows(decoder.feed(line, 0.0)) == [("battery", None, "%EL", FAULT, None)]
    decoder.feed(LIST, 1.0)
    found = rows(decoder.feed(line, 2.0))
    assert {row[0] for row in found} == {row[0] for row in ROWS}
    assert {row[1] for row in found} == {None}
    assert {row[3] for row in found} == {FAULT}


@given(st.binary(max_size=300))
def test_garbage_passes(noise: bytes) -> None:
    decoder = Decoder()
    decoder.feed(noise, 0.0)
    decoder.expect_reply()
    assert rows(decoder.feed(LIST, 1.0))[: len(ROWS)] == ROWS


def test_a_name_with_a_blank_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="ups"):
        msgspec.convert({"ups": "ups\nINSTCMD"}, Config)


async def test_a_twin_is_read_and_only_asked(tmp_path: Path) -> None:
    async with Line(tmp_path / "ups") as line:
        twin = sim.Twin(line)
        async with playing(line, twin, Driver(FAST)) as got:
            await got.reads("battery", 100.0)
            await got.reads("mains", 1.0)
            twin.set(battery=41.0, mains=0.0, load=None)
            await got.reads("battery", 41.0)
            await got.reads("mains", 0.0)
            await got.reads("load", None, STALE)
            twin.stale = True
            await got.reads("battery", None, FAULT)
            twin.stale = False
            await got.reads("battery", 41.0)
        assert set(twin.commands) == {"LIST VAR ups"}


async def test_every_fault(tmp_path: Path) -> None:
    async with Line(tmp_path / "ups") as line:
        await stands_all_faults(
            line, sim.Twin(line), Driver(FAST), "battery", (90.0, 40.0), checked=False
        )


async def test_unplugged_and_back(tmp_path: Path) -> None:
    async with Line(tmp_path / "ups") as line:
        await comes_back_when_replugged(
            line, sim.Twin(line), lambda: Driver(FAST), "battery", (90.0, 40.0)
        )


@pytest.mark.parametrize("name", ["ups", "other"])
async def test_over_real_tcp(name: str) -> None:
    heard = Heard()
    async with NetLine() as line:
        twin = asyncio.create_task(sim.Twin(line, ups=name).run())
        async with open_port(line.name) as port:
            task = asyncio.create_task(Driver(FAST).run(port, heard.take))
            if name == "ups":
                await heard.reads("battery", 100.0)
                line.inject(Fault.UNPLUG)
                with pytest.raises(OSError, match="the far end has"):
                    await asyncio.wait_for(task, 10)
            else:
                with pytest.raises(ConnectionRefusedError, match="UNKNOWN-UPS to LIST VAR ups"):
                    await asyncio.wait_for(task, 10)
        twin.cancel()
        await asyncio.gather(twin, return_exceptions=True)
