"""The machine itself, from a folder that looks like a board's /proc and /sys, and from this one."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers import Quality, Sample
from drivers.host import Config, Decoder, Driver
from drivers.noport import NoPort
from drivers.sim import host as sim

from ..waiting import until
from .files import Heard, running
from .trials import rows, same_however_cut

GOOD, FAULT, STALE = Quality.GOOD, Quality.FAULT, Quality.STALE

ZONE = "/sys/class/thermal/thermal_zone"
PI_THROTTLED = "/sys/devices/platform/soc/soc:firmware/get_throttled"
INTEL_COUNT = "/sys/devices/system/cpu/cpu0/thermal_throttle/package_throttle_count"
BOARD = f"""statvfs:62000000000 15500000000
/proc/loadavg:1.20 0.80 0.55 2/310 12345
/proc/meminfo:MemTotal:        3884000 kB
/proc/meminfo:MemFree:          120000 kB
/proc/meminfo:MemAvailable:    1942000 kB
/sys/devices/system/cpu/online:0-3
{ZONE}0/type:cpu-thermal
{ZONE}0/temp:81250
{PI_THROTTLED}:50005

"""
BOARD_ROWS = [
    ("cpu_temperature", 81.25, "Cel", GOOD, None),
    ("cpu_load", 30.0, "%", GOOD, None),
    ("memory_used", 50.0, "%", GOOD, None),
    ("disk_free", 15.5, "GB", GOOD, None),
    ("disk_used", 75.0, "%", GOOD, None),
    ("throttled", 1.0, "/", GOOD, None),
    ("under_voltage", 1.0, "/", GOOD, None),
]


def values(*lines: str, decoder: Decoder | None = None) -> dict[str, float | None]:
    data = "".join(f"{line}\n" for line in [*lines, ""]).encode()
    found = (decoder or Decoder()).feed(data, 0.0)
    return {s.quantity: s.value for s in found if isinstance(s, Sample)}


def test_a_board_however_it_is_cut() -> None:
    same_however_cut(Decoder, BOARD.encode() * 2, BOARD_ROWS * 2)


@pytest.mark.parametrize(
    ("lines", "degrees"),
    [
        ([f"{ZONE}0/type:acpitz", f"{ZONE}0/temp:27800", f"{ZONE}1/type:x86_pkg_temp",
          f"{ZONE}1/temp:64000"], 64.0),
        ([f"{ZONE}0/type:cpu0-thermal", f"{ZONE}0/temp:50000", f"{ZONE}1/type:cpu1-thermal",
          f"{ZONE}1/temp:61500", f"{ZONE}2/type:gpu-thermal", f"{ZONE}2/temp:90000"], 61.5),
        (["/sys/class/hwmon/hwmon3/name:k10temp", "/sys/class/hwmon/hwmon3/temp1_input:45125"],
         45.125),
        ([f"{ZONE}0/type:soc-thermal", f"{ZONE}0/temp:-12000"], -12.0),
        ([f"{ZONE}0/type:soc-thermal", f"{ZONE}0/temp:250000"], None),
    ],
)  # fmt: skip
def test_which_temperature_is_the_cpu_s(lines: list[str], degrees: float | None) -> None:
    assert values(*lines) == {"cpu_temperature": degrees}


def test_a_zone_can_be_named() -> None:
    lines = [f"{ZONE}0/type:acpitz", f"{ZONE}0/temp:27800"]
    assert values(*lines) == {}
    assert values(*lines, decoder=Decoder(Config(zone="acpitz"))) == {"cpu_temperature": 27.8}


@pytest.mark.parametrize(
    "lines",
    [
        ["/proc/loadavg:many 1 1 1/1 1", "/sys/devices/system/cpu/online:0-3"],
        ["/proc/loadavg:0.5 0 0 1/1 1", "/sys/devices/system/cpu/online:3-x"],
        ["/proc/loadavg:0.5 0 0 1/1 1", "/sys/devices/system/cpu/online:3-0"],
        ["/proc/meminfo:MemTotal: 10 kB"],
        ["/proc/meminfo:MemTotal: 10 kB", "/proc/meminfo:MemAvailable: 11 kB"],
        ["statvfs:0 0"],
        ["statvfs:10 11"],
        [f"{ZONE}0/type:cpu-thermal"],
        [f"{PI_THROTTLED}:none"],
    ],
)
def test_what_makes_no_sense_gives_no_value(lines: list[str]) -> None:
    assert values(*lines) == {}


def test_cores_in_several_ranges() -> None:
    lines = ["/proc/loadavg:3.00 0 0 1/1 1", "/sys/devices/system/cpu/online:0-3,6,8-9"]
    assert values(*lines) == {"cpu_load": 42.9}


def test_what_happened_before_the_first_reading_is_not_told_as_new() -> None:
    decoder = Decoder()
    told = [
        values(f"{PI_THROTTLED}:{bits}", decoder=decoder)
        for bits in ("50000", "50004", "50000", "d0000", "d0000", "d0001")
    ]
    assert [row["throttled"] for row in told] == [0, 1, 0, 1, 0, 0]
    assert [row["under_voltage"] for row in told] == [0, 0, 0, 0, 0, 1]


def test_a_count_that_rises_is_throttling() -> None:
    decoder = Decoder()
    told = [values(f"{INTEL_COUNT}:{count}", decoder=decoder) for count in (17, 17, 19, 19)]
    assert [row["throttled"] for row in told] == [0, 0, 1, 0]
    assert "under_voltage" not in told[0]


def test_the_alarm_of_the_pi_s_supply() -> None:
    chip = "/sys/class/hwmon/hwmon1"
    lines = [f"{chip}/name:rpi_volt", f"{chip}/in0_lcrit_alarm:1"]
    assert values(*lines) == {"throttled": 0.0, "under_voltage": 1.0}


@given(st.binary(max_size=400))
def test_garbage_passes(noise: bytes) -> None:
    decoder = Decoder()
    decoder.feed(noise + b"\n\n", 0.0)
    assert rows(decoder.feed(BOARD.encode(), 1.0))[: len(BOARD_ROWS) - 2] == BOARD_ROWS[:-2]


async def test_a_folder_twin_is_read(tmp_path: Path) -> None:
    twin = sim.Twin(tmp_path)
    driver = Driver(Config(root=str(tmp_path), period_s=0.02))
    async with running(driver) as heard:
        await heard.reads("cpu_temperature", 51.5)
        for quantity, value in (
            ("cpu_temperature", 84.0), ("cpu_load", 150.0), ("memory_used", 91.0),
            ("throttled", 1.0), ("under_voltage", 1.0), ("throttled", 0.0),
        ):  # fmt: skip
            twin.set(**{quantity: value})
            await heard.reads(quantity, value)
        assert heard.last()["disk_free"].unit == "GB"


async def test_a_moment_between_two_readings_is_seen(tmp_path: Path) -> None:
    twin = sim.Twin(tmp_path)
    async with running(Driver(Config(root=str(tmp_path), period_s=0.02))) as heard:
        await heard.reads("throttled", 0.0)
        twin.flicker()
        await heard.reads("throttled", 1.0)
        await heard.reads("throttled", 0.0)


async def test_files_that_break(tmp_path: Path) -> None:
    twin = sim.Twin(tmp_path)
    async with running(Driver(Config(root=str(tmp_path), period_s=0.02))) as heard:
        await heard.reads("cpu_temperature", 51.5)
        twin.spoil("sys/class/thermal/thermal_zone0/temp", "\0garbage:=\n")
        await heard.reads("cpu_temperature", None, STALE)
        twin.spoil("sys/class/thermal/thermal_zone0/temp", "999999")
        await heard.reads("cpu_temperature", None, FAULT)
        twin.set(cpu_temperature=None, throttled=None)
        await heard.reads("throttled", None, STALE)
        twin.set(cpu_temperature=60.0)
        await heard.reads("cpu_temperature", 60.0)
    assert {s.value for s in heard.samples if s.quantity == "cpu_temperature"} == {51.5, None, 60.0}


async def test_vcgencmd(tmp_path: Path) -> None:
    script = tmp_path / "vcgencmd"
    script.write_text('#!/bin/sh\n[ "$1" = get_throttled ] && echo throttled=0x50005\n')
    script.chmod(0o755)
    async with running(Driver(Config(root=str(tmp_path), vcgencmd=str(script)))) as heard:
        await heard.reads("under_voltage", 1.0)


async def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    driver = Driver(Config(root=str(tmp_path), vcgencmd=str(tmp_path / "none")))
    with pytest.raises(FileNotFoundError, match="none"):
        await asyncio.wait_for(driver.run(NoPort(), Heard().take), 10)


@pytest.mark.skipif(sys.platform != "linux", reason="reads this machine's /proc")
async def test_this_machine() -> None:
    async with running(Driver(Config())) as heard:
        wanted = {"cpu_load", "memory_used", "disk_free", "disk_used"}
        await until(lambda: wanted <= heard.last().keys(), "this machine is read")
    assert 0 < (heard.last()["memory_used"].value or 0) < 100
