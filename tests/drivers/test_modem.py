"""A modem's signal by AT: the scales, whole answers only, questions only, and a twin on a pty."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers import Quality
from drivers.modem import REFUSALS, Config, Decoder, Driver, in_use_by_modemmanager
from drivers.port import open_port
from drivers.sim import modem as sim
from drivers.sim.line import Line

from ..waiting import until
from .files import Heard
from .trials import (
    comes_back_when_replugged,
    playing,
    rows,
    same_however_cut,
    stands_all_faults,
)

GOOD, STALE = Quality.GOOD, Quality.STALE
FAST = Config(period_s=0.03, timeout_s=0.1)
ALL = Config(period_s=0.03, timeout_s=0.1, sinr="qcsq")

SESSION = (
    b"AT+CSQ\r\r\n+CSQ: 23,99\r\n\r\nOK\r\n"
    b"AT+CESQ\r\r\n+CESQ: 99,99,255,255,19,46\r\n\r\nOK\r\n"
    b'AT+COPS?\r\r\n+COPS: 0,0,"CHINA MOBILE",7\r\n\r\nOK\r\n'
    b'AT+QCSQ\r\r\n+QCSQ: "LTE",-67,-95,165,-10\r\n\r\nOK\r\n'
)
ROWS = [
    ("rssi", -67.0, "dBm", GOOD, None),
    ("rsrq", -10.5, "dB", GOOD, None),
    ("rsrp", -95.0, "dBm", GOOD, None),
    ("network_generation", 4.0, "", GOOD, None),
    ("sinr", 13.0, "dB", GOOD, None),
]


def answers(*lines: str, decoder: Decoder | None = None) -> list[tuple[str, float | None]]:
    data = "".join(f"\r\n{line}\r\n" for line in (*lines, "OK")).encode()
    return [row[:2] for row in rows((decoder or Decoder()).feed(data, 0.0))]


def test_a_session_however_it_is_cut() -> None:
    same_however_cut(Decoder, SESSION * 2, ROWS * 2)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("+CSQ: 0,99", [("rssi", -113.0)]),
        ("+CSQ: 31,0", [("rssi", -51.0)]),
        ("+CSQ: 99,99", [("rssi", None)]),
        ("+CSQ: 100,99", [("rssi", -116.0)]),
        ("+CSQ: 191,99", [("rssi", -25.0)]),
        ("+CSQ: 199,99", [("rssi", None)]),
        ("+CSQ: 32,99", [("rssi", None)]),
        ("+CESQ: 99,99,255,255,0,0", [("rsrq", -20.0), ("rsrp", -141.0)]),
        ("+CESQ: 99,99,255,255,34,97", [("rsrq", -3.0), ("rsrp", -44.0)]),
        ("+CESQ: 99,99,255,255,255,255", []),
        ("+CESQ: 99,99,255,255,255,255,65,60,64",
         [("rsrq", -11.0), ("rsrp", -97.0), ("sinr", 8.5)]),
        ("+CESQ: 99,99,255,255,20,51,255,255,255", [("rsrq", -10.0), ("rsrp", -90.0)]),
        ('+COPS: 0,2,"46000",11', [("network_generation", 5.0)]),
        ('+COPS: 1,0,"X",0', [("network_generation", 2.0)]),
        ("+COPS: 0", []),
        ('+QCSQ: "LTE",-52,-81,195,-10', [("sinr", 19.0)]),
        ('+QCSQ: "LTE",77,-116,76,-17', [("sinr", -4.8)]),
        ('+QCSQ: "NOSERVICE"', []),
    ],
)  # fmt: skip
def test_scales(line: str, expected: list[tuple[str, float | None]]) -> None:
    assert answers(line) == expected


@pytest.mark.parametrize(
    "line",
    ["+CSQ: 23", "+CSQ: -1,99", "+CSQ: x,99", "+CSQ: 1000,99", "+CESQ: 1,2,3", "+COPS: ?,"],
)
def test_what_is_not_of_the_form_is_dropped(line: str) -> None:
    decoder = Decoder()
    assert answers(line, decoder=decoder) == []
    assert decoder.counters.bytes_dropped == len(line)


def test_what_was_known_and_is_no_more_says_so() -> None:
    decoder = Decoder()
    decoder.feed(SESSION, 0.0)
    lost = (
        b"\r\n+CSQ: 99,99\r\n\r\nOK\r\n\r\n+CESQ: 99,99,255,255,255,255\r\n\r\nOK\r\n"
        b'\r\n+COPS: 0\r\n\r\nOK\r\n\r\n+QCSQ: "NOSERVICE"\r\n\r\nOK\r\n'
    )
    assert sorted(rows(decoder.feed(lost, 1.0))) == sorted(
        (quantity, None, unit, STALE, None) for quantity, _, unit, _, _ in ROWS
    )


def test_an_answer_without_its_ok_gives_nothing() -> None:
    decoder = Decoder()
    assert decoder.feed(b"\r\n+CSQ: 2", 0.0) == []
    assert answers("+CSQ: 25,99", decoder=decoder) == [("rssi", -63.0)]
    assert decoder.feed(b"\r\n+CSQ: 9,99\r\n\r\nERROR\r\n", 0.0) == []
    assert decoder.feed(b"\r\n+CSQ: 9,99\r\n", 0.0) == []
    decoder.expect_reply()
    assert decoder.feed(b"\r\nOK\r\n", 0.0) == []


@given(st.binary(max_size=300))
def test_garbage_passes(noise: bytes) -> None:
    decoder = Decoder()
    decoder.feed(noise, 0.0)
    decoder.expect_reply()
    assert rows(decoder.feed(SESSION, 1.0))[: len(ROWS)] == ROWS


@pytest.mark.parametrize("echo", [True, False])
async def test_a_twin_is_read_and_only_asked(tmp_path: Path, echo: bool) -> None:
    async with Line(tmp_path / "modem") as line:
        twin = sim.Twin(line, echo=echo)
        driver = Driver(ALL)
        async with playing(line, twin, driver) as got:
            for quantity, value, *_ in ROWS:
                await got.reads(quantity, value)
            twin.set(rssi=-113.0, rsrp=-141.0, network_generation=5.0)
            await got.reads("rssi", -113.0)
            await got.reads("rsrp", -141.0)
            await got.reads("network_generation", 5.0)
            twin.set(rssi=None, rsrp=None, rsrq=None, sinr=None, network_generation=None)
            for quantity in ("rssi", "rsrp", "rsrq", "sinr", "network_generation"):
                await got.reads(quantity, None, STALE)
        assert set(twin.commands) == {"AT+CSQ", "AT+CESQ", "AT+COPS?", "AT+QCSQ"}
        assert driver.counters.bytes_dropped == 0


async def test_what_is_refused_is_not_asked_for_ever(tmp_path: Path) -> None:
    async with Line(tmp_path / "modem") as line:
        twin = sim.Twin(line, old=True)
        async with playing(line, twin, Driver(FAST)) as got:
            await until(lambda: len(got.of("rssi")) > REFUSALS + 3, "it goes on asking +CSQ")
        assert list(twin.commands).count("AT+CESQ") == REFUSALS


async def test_every_fault(tmp_path: Path) -> None:
    async with Line(tmp_path / "modem") as line:
        # Three questions a round: a spoilt answer to +COPS? costs +CSQ nothing.
        await stands_all_faults(
            line, sim.Twin(line), Driver(FAST), "rssi", (-67.0, -91.0), checked=False, slack=3
        )


async def test_unplugged_and_back(tmp_path: Path) -> None:
    async with Line(tmp_path / "modem") as line:
        await comes_back_when_replugged(
            line, sim.Twin(line), lambda: Driver(FAST), "rssi", (-67.0, -91.0)
        )


def udev(root: Path, device: str, *properties: str, running: str = "ModemManager") -> None:
    number = os.stat(device).st_rdev
    about = root / f"run/udev/data/c{os.major(number)}:{os.minor(number)}"
    about.parent.mkdir(parents=True, exist_ok=True)
    about.write_text("".join(f"E:{line}\n" for line in properties))
    comm = root / "proc/417/comm"
    comm.parent.mkdir(parents=True, exist_ok=True)
    comm.write_text(f"{running}\n")


async def test_a_port_of_modemmanager_is_left_alone(tmp_path: Path) -> None:
    async with Line(tmp_path / "modem") as line:
        device = str(line.link)
        udev(tmp_path, device, "ID_MM_CANDIDATE=1")
        driver = Driver(FAST, root=tmp_path)
        async with open_port(device) as port:
            with pytest.raises(PermissionError, match="ModemManager uses this port"):
                await driver.run(port, Heard().take)
        assert line.counters.bytes_read == 0


async def test_whose_port_it_is(tmp_path: Path) -> None:
    async with Line(tmp_path / "modem") as line:
        device = str(line.link)
        assert not in_use_by_modemmanager(device, tmp_path)
        udev(tmp_path, device, "ID_MM_CANDIDATE=1")
        assert in_use_by_modemmanager(device, tmp_path)
        udev(tmp_path, device, "ID_MM_CANDIDATE=1", running="sshd")
        assert not in_use_by_modemmanager(device, tmp_path)
        for ignored in ("ID_MM_DEVICE_IGNORE=1", "ID_MM_PORT_IGNORE=1"):
            udev(tmp_path, device, "ID_MM_CANDIDATE=1", ignored)
            assert not in_use_by_modemmanager(device, tmp_path)
        udev(tmp_path, device, "ID_VENDOR=FTDI")
        assert not in_use_by_modemmanager(device, tmp_path)
    assert not in_use_by_modemmanager(str(tmp_path / "none"), tmp_path)
