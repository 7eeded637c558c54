"""`outpost replay`: bytes of a file through a driver, Samples and Fixes as JSON lines."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.__main__ import main
from agent.tools import replay
from drivers.sim import nmea as nmea_twin

ROOT = Path(__file__).parents[2]
ZE07 = "# FIELD 2.1\nFF 04 03 01 00 25 13 88 38\nFF 04 03 01 01 5E 13 88 FE\n"
CO_HEAD = "03 03 14 00 00 00 2A 00 18 00 A0 03 E8 00 05 01 55 02 DF 05 00 02 8C 8B DB\n"
Capsys = pytest.CaptureFixture[str]


def write(path: Path, text: str | bytes) -> str:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return str(path)


def played(capsys: Capsys, *words: str) -> tuple[list[dict[str, Any]], str]:
    assert main(["replay", *words]) == 0
    out, err = capsys.readouterr()
    return [msgspec.json.decode(line) for line in out.splitlines()], err


def test_hex_frames_of_a_driver_that_hears(tmp_path: Path, capsys: Capsys) -> None:
    file = write(tmp_path / "co.hex", ZE07)
    found, err = played(capsys, file, "--driver", "winsen", "--set", "gas=co")
    assert [(s["quantity"], s["value"], s["unit"], s["full_scale"]) for s in found] == [
        ("co", 3.7, "ppm", 500.0), ("co", 35.0, "ppm", 500.0)]  # fmt: skip
    assert found[0]["raw"] == "ff0403010025138838"
    assert err == "frames 2, bad_checksums 0, bytes_dropped 0, bytes_read 18\n"


def test_answers_of_a_driver_that_asks(tmp_path: Path, capsys: Capsys) -> None:
    file = write(tmp_path / "head.hex", CO_HEAD + "00\n" + CO_HEAD)
    found, err = played(capsys, file, "--driver", "modbus", "--set", "addresses=[3]")
    assert [(s["quantity"], s["value"]) for s in found] == [
        ("co", 42.0), ("temperature", 23.5), ("humidity", 65.2)] * 2  # fmt: skip
    assert err.startswith("frames 2, bad_checksums 0, bytes_dropped 1, bytes_read 51")


def test_the_notes_of_a_file_name_driver_and_keys(tmp_path: Path, capsys: Capsys) -> None:
    text = "# driver: winsen\n# set: gas=co\n# set: module = ze07\n" + ZE07
    file = write(tmp_path / "co.hex", text)
    found, _ = played(capsys, file)
    assert [s["value"] for s in found] == [3.7, 35.0]
    found, _ = played(capsys, file, "--set", "gas=h2")
    assert [s["quality"] for s in found] == ["fault", "fault"]


def epoch(second: int) -> bytes:
    from datetime import UTC, datetime

    state = nmea_twin.State(lat=30.5, lon=114.25, speed=5.0, track=90.0)
    when = datetime(2026, 11, 24, 8, 0, second, tzinfo=UTC)
    return nmea_twin.rmc(state, when) + nmea_twin.gga(state, when)


def test_a_log_of_a_receiver_gives_fixes_and_the_last_one_too(
    tmp_path: Path, capsys: Capsys
) -> None:
    file = write(tmp_path / "gnss.log", b"# Name: twin\r\n" + epoch(0) + b"noise" + epoch(1))
    found, err = played(capsys, file, "--driver", "nmea")
    assert [fix["time"] for fix in found] == [
        "2026-11-24T08:00:00.000Z", "2026-11-24T08:00:01.000Z"]  # fmt: skip
    assert {(fix["mode"], round(fix["lat"], 6), round(fix["lon"], 6)) for fix in found} == {
        (found[0]["mode"], 30.5, 114.25)}  # fmt: skip
    assert "bytes_dropped 5," in err
    raw, _ = played(capsys, write(tmp_path / "gnss.bin", epoch(0)), "--driver", "nmea")
    assert raw == found[:1]


def test_a_recording_with_times_is_told_of_its_pauses(tmp_path: Path, capsys: Capsys) -> None:
    text = f"# outpost capture 1\n1.5 {epoch(0).hex()}\n9 {epoch(1)[:9].hex()}\n"
    found, _ = played(capsys, write(tmp_path / "x", text), "--driver", "nmea")
    assert [fix["at"] for fix in found] == [1.5]


@pytest.mark.parametrize(
    ("name", "text", "words", "sentence"),
    [
        ("a.hex", "ff\n", [], "--driver is missing, and the recording does not say"),
        ("a.hex", "ff\n", ["--driver", "nmae"], "there is no driver 'nmae'; did you mean 'nmea'?"),
        ("a.hex", "# driver: x\n", [], "there is no driver 'x'; known are "),
        ("a.hex", "f\n", ["--driver", "nmea"], "{file}:1: expected hexadecimal digits in pairs"),
        ("a.hex", "", ["--driver", "nmea", "--set", "uere"], "--set: expected KEY=VALUE, read"),
        ("a.hex", "", ["--driver", "nmea", "--set", "=1"], "--set: expected KEY=VALUE, read '=1'"),
        ("a.hex", "", ["--driver", "nmea", "--set", "uere_m=x"],
         "driver nmea: uere_m: expected a number, "),
        ("a.hex", "", ["--driver", "nmea", "--set", "uere=1"],
         "driver nmea: uere: unknown key; did you mean 'uere_m'?"),
        ("a.hex", "", ["--driver", "winsen"], "driver winsen: gas: missing"),
        ("", "", ["--driver", "nmea"], "{file}: cannot be read: Is a directory"),
        ("b", None, ["--driver", "nmea"], "{file}: cannot be read: No such file or directory"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_answered_with_one_sentence(
    tmp_path: Path, capsys: Capsys, name: str, text: str | None, words: list[str], sentence: str
) -> None:
    if name and text is not None:
        write(tmp_path / name, text)
    file = str(tmp_path / name)
    assert main(["replay", file, *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith(sentence.format(file=file))


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    file = write(tmp_path / "co.hex", ZE07 * 5000)
    words = [sys.executable, "-m", "agent", "replay", file, "--driver", "winsen", "--set", "gas=co"]
    with subprocess.Popen(
        words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith(b'{"quantity":"co"')
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()
        assert b"Exception" not in process.stderr.read()


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", 1), ("1.5", 1.5), ("true", True), ("[1, 2]", [1, 2]), ("ze07", "ze07"),
     ('"ze07"', "ze07"), ('{ 1 = "co" }', {"1": "co"}), ("", ""), ("a=b", "a=b")],
)  # fmt: skip
def test_a_key_s_value_is_toml_or_bare_text(text: str, value: Any) -> None:
    assert replay.key_value(f"key={text}") == ("key", value)
