"""ModemManager's modem by mmcli's JSON: what it prints, and a program that stands in for it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers import Quality
from drivers.modemmanager import Config, Decoder, Driver
from drivers.noport import NoPort
from drivers.program import OUTPUT_MAX, output

from .files import Heard, running
from .trials import rows, same_however_cut

GOOD, STALE = Quality.GOOD, Quality.STALE


def generic(percent: str = "67", recent: str = "yes", *access: str) -> str:
    about = {
        "access-technologies": list(access),
        "signal-quality": {"recent": recent, "value": percent},
        "state": "connected",
    }
    return json.dumps({"modem": {"3gpp": {"operator-code": "46000"}, "generic": about}})


def signal(rate: str = "5", /, **networks: Any) -> str:
    none = {
        "5g": {"rsrp": "--", "rsrq": "--", "snr": "--"},
        "gsm": {"rssi": "--"},
        "lte": {"rsrp": "--", "rsrq": "--", "rssi": "--", "snr": "--"},
        "umts": {"ecio": "--", "rscp": "--", "rssi": "--"},
    }
    told = {**none, **networks, "refresh": {"rate": rate}}
    return json.dumps({"modem": {"signal": told}})


LTE = {"rsrp": "-95.00", "rsrq": "-10.50", "rssi": "-67.00", "snr": "13.00"}
SESSION = f"{generic('67', 'yes', 'lte')}\n{signal(lte=LTE)}\n".encode()
ROWS = [
    ("signal_quality", 67.0, "%", GOOD, None),
    ("network_generation", 4.0, "", GOOD, None),
    ("rssi", -67.0, "dBm", GOOD, None),
    ("rsrp", -95.0, "dBm", GOOD, None),
    ("rsrq", -10.5, "dB", GOOD, None),
    ("sinr", 13.0, "dB", GOOD, None),
]


def read(*lines: str, decoder: Decoder | None = None) -> dict[str, tuple[float | None, Quality]]:
    data = "".join(f"{line}\n" for line in lines).encode()
    return {row[0]: (row[1], row[3]) for row in rows((decoder or Decoder()).feed(data, 0.0))}


def test_a_modem_however_it_is_cut() -> None:
    same_however_cut(Decoder, SESSION * 2, ROWS * 2)


def test_the_best_network_counts() -> None:
    both = signal(lte=LTE, **{"5g": {"rsrp": "-88.00", "rsrq": "-11.00", "snr": "7.50"}})
    assert read(both) == {"rsrp": (-88.0, GOOD), "rsrq": (-11.0, GOOD), "sinr": (7.5, GOOD)}
    assert read(signal(gsm={"rssi": "-67,00"})) == {"rssi": (-67.0, GOOD)}
    assert read(generic("50", "yes", "lte", "5gnr"))["network_generation"] == (5.0, GOOD)


def test_an_old_quality_says_so() -> None:
    assert read(generic("67", "no", "lte"))["signal_quality"] == (67.0, STALE)


def test_without_polling_there_is_no_strength() -> None:
    assert read(signal("0")) == {}


def test_what_was_known_and_is_no_more_says_so() -> None:
    decoder = Decoder()
    decoder.feed(SESSION, 0.0)
    lost = read(generic("--", "no", "unknown"), signal(), decoder=decoder)
    assert lost == {row[0]: (None, STALE) for row in ROWS}


@pytest.mark.parametrize(
    "line",
    [
        "", "{", "null", "[]", '{"modem": 1}', '{"modem": {}}', '{"modem": {"signal": []}}',
        '{"modem": {"generic": {"signal-quality": 5, "access-technologies": "lte"}}}',
        '{"modem": {"generic": {"signal-quality": {"value": 67}, "access-technologies": [[]]}}}',
        '{"modem": {"generic": {"signal-quality": {"value": "101", "recent": "yes"}}}}',
        '{"modem": {"signal": {"lte": {"rsrp": "1e9"}, "5g": null}}}',
        "[" * 5000,
    ],
)  # fmt: skip
def test_what_makes_no_sense_gives_no_value(line: str) -> None:
    assert read(line) == {}


@given(st.binary(max_size=200))
def test_garbage_passes(noise: bytes) -> None:
    decoder = Decoder()
    decoder.feed(noise + b"\n", 0.0)
    assert rows(decoder.feed(SESSION, 1.0)) == ROWS


def mmcli(folder: Path, **answers: Any) -> Path:
    """A program that prints what is in `folder`, and writes down how it was called."""
    for name, text in answers.items():
        (folder / name).write_text(text)
    script = folder / "mmcli"
    script.write_text(
        "#!/bin/sh\n"
        f'echo "$*" >> {folder}/calls\n'
        f'[ -e {folder}/gone ] && {{ echo "error: couldn\'t find modem" >&2; exit 1; }}\n'
        f'case "$*" in\n*--signal-get*) cat {folder}/signal ;;\n'
        f"*--signal-setup*) echo done ;;\n*) cat {folder}/generic ;;\nesac\n"
    )
    script.chmod(0o755)
    return script


async def test_a_program_is_asked_and_changes_nothing(tmp_path: Path) -> None:
    script = mmcli(tmp_path, generic=generic("67", "yes", "lte"), signal=signal(lte=LTE))
    async with running(Driver(Config(program=str(script), period_s=0.05))) as heard:
        await heard.reads("rsrp", -95.0)
        (tmp_path / "signal").write_text(signal(lte={**LTE, "rsrp": "-101.00"}))
        await heard.reads("rsrp", -101.0)
    calls = set((tmp_path / "calls").read_text().splitlines())
    assert calls == {"-m any -J", "-m any --signal-get -J"}


async def test_polling_is_set_up_only_where_it_is_wanted(tmp_path: Path) -> None:
    script = mmcli(tmp_path, generic=generic(), signal=signal())
    config = Config(program=str(script), period_s=0.05, refresh_s=5, modem="1")
    async with running(Driver(config)) as heard:
        await heard.reads("signal_quality", 67.0)
    assert (tmp_path / "calls").read_text().splitlines()[0] == "-m 1 --signal-setup=5"


async def test_what_mmcli_complains_of_is_passed_on(tmp_path: Path) -> None:
    script = mmcli(tmp_path, gone="")
    driver = Driver(Config(program=str(script)))
    with pytest.raises(OSError, match=r"mmcli failed with 1: error: couldn't find modem"):
        await asyncio.wait_for(driver.run(NoPort(), Heard().take), 10)


async def test_a_program_that_hangs_is_ended() -> None:
    with pytest.raises(TimeoutError, match=r"sleep has not ended within 0\.1 s"):
        await output("sleep", "60", timeout_s=0.1)


async def test_a_program_that_talks_for_ever_is_cut_off() -> None:
    told = await output("head", "-c", "1000000", "/dev/zero", timeout_s=10)
    assert len(told) == OUTPUT_MAX


def test_an_option_is_no_modem() -> None:
    for text in ("--disable", "0 --reset", ""):
        with pytest.raises(msgspec.ValidationError, match="modem"):
            msgspec.convert({"modem": text}, Config)
