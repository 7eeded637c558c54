"""The maps of single instruments on a bus: checked frames, every state, and their twins' faults."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from drivers import Quality
from drivers.checksum import crc16_modbus
from drivers.modbus import Config, Decoder, Driver
from drivers.modbus_map import MapError, Read, default_dir, load, parse
from drivers.modbus_wire import question
from drivers.sim import probes
from drivers.sim.line import Line

from . import trials

SCD30 = bytes.fromhex("61 03 0C 44 18 00 00 41 BC 00 00 42 82 66 66 DA E5")
HEAD: dict[str, Any] = {
    "map": "head_6000",
    "gases": {"1": "h2s"},
    "override": {"decimals": 1, "full_scale": 100.0},
}


def answer(address: int, *registers: int) -> bytes:
    data = b"".join(value.to_bytes(2) for value in registers)
    body = bytes((address, 3, len(data))) + data
    return body + crc16_modbus(body).to_bytes(2, "little")


def ask_all(config: Config, *answers: bytes) -> list[trials.Row]:
    """What the map makes of one answer for each of its questions."""
    decoder = Decoder(config)
    got = []
    for read, data in zip(decoder.map.read, answers, strict=True):
        decoder.ask(config.addresses[0], read)
        got += decoder.feed(data, 0.0)
    return trials.rows(got)


def test_scd30_s_checked_frames() -> None:
    config = Config(map="scd30", addresses=(97,))
    read = Decoder(config).map.read[0]
    assert question(97, read).hex(" ") == "61 03 00 28 00 06 4c 60"
    assert question(97, Read(start=0x27, count=1)).hex(" ") == "61 03 00 27 00 01 3d a1"
    rows: list[trials.Row] = [
        ("co2", 608.0, "ppm", Quality.GOOD, 40000.0),
        ("temperature", 23.5, "Cel", Quality.GOOD, None),
        ("humidity", 65.2, "%RH", Quality.GOOD, None),
    ]

    def asked() -> Decoder:
        decoder = Decoder(config)
        decoder.ask(97, decoder.map.read[0])
        return decoder

    trials.same_however_cut(asked, SCD30, rows)
    trials.never_wrong_for_a_flipped_bit(asked, SCD30)
    # It has never measured.
    assert ask_all(config, answer(97, *[0] * 6))[0] == ("co2", None, "ppm", Quality.FAULT, 40000.0)


def test_noise_s_checked_question() -> None:
    config = Config(map="noise", addresses=(6,))
    assert question(6, Decoder(config).map.read[0]).hex(" ") == "06 03 00 0c 00 01 45 be"
    assert ask_all(config, answer(6, 556)) == [("noise", 55.6, "dB", Quality.GOOD, None)]
    assert ask_all(config, answer(6, 0))[0][3] is Quality.FAULT


def test_the_single_gas_probe_s_checked_question() -> None:
    config = Config(map="gas_485", addresses=(5,), gases={"5": "nh3"})
    assert question(5, Decoder(config).map.read[0]).hex(" ") == "05 03 00 06 00 01 65 8f"
    assert ask_all(config, answer(5, 12)) == [("nh3", 12.0, "ppm", Quality.GOOD, None)]


def test_gas_behind_humidity_and_temperature() -> None:
    config = Config(map="gas_rht", gases={"1": "co2"}, override={"full_scale": 5000.0})
    assert ask_all(config, answer(1, 652, 0xFFCB, 608)) == [
        ("co2", 608.0, "ppm", Quality.GOOD, 5000.0),
        ("humidity", 65.2, "%RH", Quality.GOOD, None),
        ("temperature", -5.3, "Cel", Quality.GOOD, None),
    ]


@pytest.mark.parametrize(
    ("state", "run_state", "value", "quality"),
    [
        (0x8000, 1, 12.5, Quality.GOOD),
        # Its own alarms are good measurements.
        (0x800F, 1, 12.5, Quality.GOOD),
        (0x0000, 1, 12.5, Quality.WARMUP),
        # 300.0 s left: bits 4 and 5 are no alarms then.
        (3000, 1, 12.5, Quality.WARMUP),
        (0x7FFF, 0, 12.5, Quality.WARMUP),
        (0x8010, 1, 12.5, Quality.OVER_RANGE),
        (0x8040, 1, 12.5, Quality.OVER_RANGE),
        (0x8020, 1, None, Quality.FAULT),
        (0x8030, 1, None, Quality.FAULT),
        (0x8000, 0, 12.5, Quality.WARMUP),
        *((0x8000, code, None, Quality.FAULT) for code in (2, 3, 4, 5, 6)),
    ],
)
def test_every_state_of_the_0x6000_head(
    state: int, run_state: int, value: float | None, quality: Quality
) -> None:
    got = ask_all(Config(**HEAD), answer(1, state, 125), answer(1, run_state))
    assert got == [("h2s", value, "ppm", quality, 100.0)]


def test_level_in_metres_by_unit_and_decimals(caplog: pytest.LogCaptureFixture) -> None:
    config = Config(map="level")
    rows = [ask_all(config, answer(1, 9, decimals, 1234))[0] for decimals in range(4)]
    assert [row[1] for row in rows] == [12.34, 1.234, 0.1234, 0.01234]
    assert ask_all(config, answer(1, 9, 1, 0xFFFB))[0] == (
        "level", -0.005, "m", Quality.GOOD, None)  # fmt: skip
    assert ask_all(config, answer(1, 1, 1, 98))[0][1:4:2] == (None, Quality.FAULT)
    assert "unit code 1 is not in the map" in caplog.text
    assert ask_all(config, answer(1, 9, 7, 98))[0][3] is Quality.FAULT


def test_a_mistake_in_one_of_several_states_is_named() -> None:
    table = {
        "title": "x", "evidence": "from memory",
        "quantity": [{
            "unit": "ppm", "register": 1,
            "quality": [
                {"register": 2, "codes": {"0": "good"}},
                {"register": 3, "bits": "7-20", "codes": {"0": "god"}},
            ],
        }],
    }  # fmt: skip
    with pytest.raises(MapError) as caught:
        parse(table, "my.toml")
    assert str(caught.value).splitlines() == [
        'my.toml: [[quantity]] 1: quality.bits: expected "LOW-HIGH" within 0 to 15, read "7-20"',
        "my.toml: [[quantity]] 1: quality.codes.0: expected one of good, warmup, over_range,"
        " under_range, fault, cal_due, stale, simulated, invalid, read 'god'; did you mean good?",
    ]


TWINS = [
    ("scd30", "co2", (608.0, 1200.0), {}),
    ("head_6000", "h2s", (12.5, 40.0), HEAD),
    ("noise", "noise", (55.6, 71.2), {}),
    ("level", "level", (1.25, 2.5), {}),
    ("gas_485", "nh3", (12.0, 40.0), {"gases": {"1": "nh3"}}),
    ("gas_rht", "co2", (608.0, 1200.0), {"gases": {"1": "co2"}}),
]


@pytest.mark.parametrize(("model", "quantity", "values", "keys"), TWINS)
async def test_twin_with_every_fault(
    tmp_path: Path,
    model: str,
    quantity: str,
    values: tuple[float, float],
    keys: dict[str, Any],
) -> None:
    made = {"map": model, **keys}
    config = Config(period_s=0.03, timeout_s=0.3, gap_s=0.0, **made)
    reads = len(config.load_map().read)
    async with Line(tmp_path / "bus") as line:
        twin = probes.Twin(line, model=model, response_s=0.0)
        await trials.stands_all_faults(
            line, twin, Driver(config), quantity, values, slack=2 * reads, checked=False
        )
        assert {request[1] for request in twin.requests} == {3}


async def test_states_of_the_twin_of_the_0x6000_head(tmp_path: Path) -> None:
    config = Config(period_s=0.03, timeout_s=0.05, gap_s=0.0, **HEAD)
    async with Line(tmp_path / "bus") as line:
        twin = probes.Twin(line, model="head_6000", response_s=0.0)
        head = twin.probes[1]
        assert isinstance(head, probes.Head6000)
        head.warmup_s = 120.0
        async with trials.playing(line, twin, Driver(config)) as got:
            await got.reads("h2s", 0.0, Quality.WARMUP)
            head.warmup_s = None
            head.flags = 0x0F
            await got.reads("h2s", 0.0)
            head.flags = 0x10
            await got.reads("h2s", 0.0, Quality.OVER_RANGE)
            twin.set(h2s=None)
            await got.reads("h2s", None, Quality.FAULT)


def test_every_twin_has_a_map_and_every_single_instrument_s_map_a_twin() -> None:
    on_a_bus = {path.stem for path in default_dir().glob("*.toml")}
    others = {"gas_transmitter", "six_in_one", "weather_station"}
    assert set(probes.MODELS) <= on_a_bus
    assert set(probes.MODELS) == {model for model, *_ in TWINS}
    evidence = {load(name, default_dir()).evidence for name in itertools.chain(on_a_bus, others)}
    assert evidence <= {"seen on hardware", "from datasheet", "from memory"}
