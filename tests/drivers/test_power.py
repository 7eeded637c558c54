"""The machine's own batteries and mains, from a folder that looks like Linux's /sys."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers import Quality, Sample
from drivers.listing import READING_MAX
from drivers.noport import NoPort
from drivers.power import Config, Decoder, Driver
from drivers.sim import power as sim

from .files import Heard, running
from .trials import rows, same_however_cut

GOOD, FAULT, STALE = Quality.GOOD, Quality.FAULT, Quality.STALE
FOLDER = "/sys/class/power_supply"

THINKPAD = f"""{FOLDER}/AC/uevent:POWER_SUPPLY_NAME=AC
{FOLDER}/AC/uevent:POWER_SUPPLY_ONLINE=0
{FOLDER}/BAT0/uevent:DEVTYPE=power_supply
{FOLDER}/BAT0/uevent:POWER_SUPPLY_NAME=BAT0
{FOLDER}/BAT0/uevent:POWER_SUPPLY_TYPE=Battery
{FOLDER}/BAT0/uevent:POWER_SUPPLY_STATUS=Discharging
{FOLDER}/BAT0/uevent:POWER_SUPPLY_PRESENT=1
{FOLDER}/BAT0/uevent:POWER_SUPPLY_VOLTAGE_NOW=11640000
{FOLDER}/BAT0/uevent:POWER_SUPPLY_POWER_NOW=8730000
{FOLDER}/BAT0/uevent:POWER_SUPPLY_ENERGY_FULL=20000000
{FOLDER}/BAT0/uevent:POWER_SUPPLY_ENERGY_NOW=13500000
{FOLDER}/BAT0/uevent:POWER_SUPPLY_CAPACITY=67

"""
THINKPAD_ROWS = [
    ("battery", 67.0, "%EL", GOOD, None),
    ("voltage", 11.64, "V", GOOD, None),
    ("current", -0.75, "A", GOOD, None),
    ("mains", 0.0, "/", GOOD, None),
]


def reading(**batteries: str) -> bytes:
    """`NAME="KEY=VALUE KEY=VALUE"` as one reading."""
    lines = [
        f"{FOLDER}/{name}/uevent:POWER_SUPPLY_{pair}"
        for name, pairs in batteries.items()
        for pair in pairs.split()
    ]
    return "".join(f"{line}\n" for line in [*lines, ""]).encode()


def values(data: bytes, decoder: Decoder | None = None) -> dict[str, float | None]:
    found = (decoder or Decoder()).feed(data, 0.0)
    return {s.quantity: s.value for s in found if isinstance(s, Sample)}


def test_a_laptop_however_it_is_cut() -> None:
    same_however_cut(Decoder, THINKPAD.encode() * 3, THINKPAD_ROWS * 3)


@pytest.mark.parametrize(
    ("pairs", "quantity", "value"),
    [
        ("CAPACITY=100 STATUS=Full", "battery", 100.0),
        ("CAPACITY=101", "battery", None),
        ("CAPACITY=-1", "battery", None),
        ("CAPACITY=eighty", "battery", None),
        ("ENERGY_NOW=9000000 ENERGY_FULL=36000000", "battery", 25.0),
        ("CHARGE_NOW=2100000 CHARGE_FULL=2000000", "battery", 100.0),
        ("CURRENT_NOW=850000 STATUS=Discharging", "current", -0.85),
        ("CURRENT_NOW=-850000 STATUS=Discharging", "current", -0.85),
        ("CURRENT_NOW=-850000 STATUS=Charging", "current", 0.85),
        ("CURRENT_NOW=-20000 STATUS=Unknown", "current", -0.02),
        ("TEMP=-55", "cell_temperature", -5.5),
        ("TIME_TO_EMPTY_NOW=5400 STATUS=Discharging", "time_left", 5400.0),
        ("STATUS=Charging", "mains", 1.0),
        ("STATUS=Discharging", "mains", 0.0),
    ],
)
def test_properties(pairs: str, quantity: str, value: float | None) -> None:
    assert values(reading(BAT0=f"TYPE=Battery {pairs}"))[quantity] == value


@pytest.mark.parametrize("pairs", ["STATUS=Unknown", "STATUS=Not", "POWER_NOW=100"])
def test_what_cannot_be_known_is_not_guessed(pairs: str) -> None:
    assert values(reading(BAT0=f"TYPE=Battery {pairs}")) == {}


def test_any_supply_from_outside_is_mains() -> None:
    for online, on in (("0", 0.0), ("1", 1.0), ("2", 1.0)):
        usb = f"TYPE=USB ONLINE={online}"
        assert values(reading(AC="TYPE=Mains ONLINE=0", BAT0="TYPE=Battery", usb=usb)) == {
            "mains": on
        }


def test_the_battery_of_a_mouse_is_not_the_unit_s() -> None:
    mouse = "TYPE=Battery SCOPE=Device CAPACITY=5"
    assert values(reading(mouse=mouse)) == {}
    assert values(reading(BAT0="TYPE=Battery CAPACITY=70", mouse=mouse))["battery"] == 70.0


def test_several_batteries_must_be_told_apart() -> None:
    two = reading(BAT0="TYPE=Battery CAPACITY=10", BAT1="TYPE=Battery CAPACITY=90")
    decoder = Decoder()
    assert values(two, decoder) == {}
    assert decoder.problem == "there are 2 batteries, BAT0, BAT1: name one with supply"
    assert values(two, Decoder(Config(supply="BAT1"))) == {"battery": 90.0}
    missing = Decoder(Config(supply="BAT2"))
    assert values(two, missing) == {}
    assert missing.problem == "there is no battery 'BAT2'; known are BAT0, BAT1"


def test_what_was_given_and_lacks_now_says_so() -> None:
    decoder = Decoder()
    decoder.feed(reading(BAT0="TYPE=Battery CAPACITY=50 TEMP=200"), 0.0)
    now = rows(decoder.feed(reading(BAT0="TYPE=Battery CAPACITY=49"), 1.0))
    assert now == [
        ("battery", 49.0, "%EL", GOOD, None),
        ("cell_temperature", None, "Cel", STALE, None),
    ]
    gone = rows(decoder.feed(reading(BAT0="TYPE=Battery PRESENT=0", AC="ONLINE=1"), 2.0))
    assert gone == [
        ("battery", None, "%EL", FAULT, None),
        ("mains", 1.0, "/", GOOD, None),
        ("cell_temperature", None, "Cel", STALE, None),
    ]


@given(st.binary(max_size=400))
def test_garbage_passes(noise: bytes) -> None:
    decoder = Decoder()
    decoder.feed(noise + b"\n\n", 0.0)
    got = rows(decoder.feed(THINKPAD.encode(), 1.0))
    assert got[: len(THINKPAD_ROWS)] == THINKPAD_ROWS


def test_what_never_ends_is_dropped() -> None:
    decoder = Decoder()
    decoder.feed(b"x" * (READING_MAX + 1), 0.0)
    assert decoder.counters.bytes_dropped == READING_MAX + 1


async def test_a_folder_twin_is_read(tmp_path: Path) -> None:
    twin = sim.Twin(tmp_path, signed=False)
    driver = Driver(Config(root=str(tmp_path), period_s=0.02))
    async with running(driver) as heard:
        await heard.reads("battery", 80.0)
        assert {name: sample.value for name, sample in heard.last().items()} == {
            "battery": 80.0, "voltage": 12.1, "current": -0.85, "cell_temperature": 24.5,
            "mains": 0.0,
        }  # fmt: skip
        twin.set(battery=81.0, current=2.5, mains=1.0)
        await heard.reads("battery", 81.0)
        await heard.reads("current", 2.5)
        await heard.reads("mains", 1.0)
        twin.set(mains=None, cell_temperature=None)
        await heard.reads("cell_temperature", None, STALE)
        twin.set(current=-1.0)
        await heard.reads("mains", 0.0)


async def test_a_broken_driver_of_the_kernel(tmp_path: Path) -> None:
    twin = sim.Twin(tmp_path)
    async with running(Driver(Config(root=str(tmp_path), period_s=0.02))) as heard:
        await heard.reads("battery", 80.0)
        twin.spoil("POWER_SUPPLY_TYPE=Battery\nPOWER_SUPPLY_CAPACITY=-12\n\0\xff=:")
        await heard.reads("battery", None, FAULT)
        twin.remove()
        await heard.reads("battery", None, FAULT)
        twin.set(battery=79.0)
        await heard.reads("battery", 79.0)
    wrong = [s for s in heard.samples if s.quantity == "battery" and s.value not in (80, 79, None)]
    assert not wrong


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        (Config(), "sys/class/power_supply: no supply of power is known here"),
        (Config(supply="BAT7"), "there is no battery 'BAT7'; known are BAT0"),
    ],
)
async def test_why_it_cannot_start(tmp_path: Path, config: Config, sentence: str) -> None:
    if config.supply:
        sim.Twin(tmp_path)
    driver = Driver(Config(root=str(tmp_path), supply=config.supply))
    with pytest.raises(FileNotFoundError) as caught:
        await asyncio.wait_for(driver.run(NoPort(), Heard().take), 10)
    assert sentence in str(caught.value)
