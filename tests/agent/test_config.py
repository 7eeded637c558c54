"""Configurations with mistakes, and the exact words that answer them."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import config
from agent.__main__ import main
from agent.settings.toml import ConfigError, Document, _locate
from agent.tools import check

FOLDER = Path(__file__).parents[1] / "configs"
CASES = sorted(FOLDER.glob("*.toml"))

GOOD = """\
[unit]
id = "cv-01"
org = "hubei"
profile = "vehicle"
"""


def load(folder: Path, text: str) -> config.Config:
    path = folder / "agent.toml"
    path.write_text(text, encoding="utf-8")
    return config.load(path)


def mistakes(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(folder, text)
    return [mistake.replace(f"{folder}{os.sep}", "") for mistake in caught.value.mistakes]


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_mistakes_are_answered_in_these_words(path: Path) -> None:
    expected = path.with_suffix(".err").read_text(encoding="utf-8")
    found = [line.replace(f"{path.parent}{os.sep}", "") for line in check.mistakes(path)]
    assert "".join(f"{line}\n" for line in found) == expected


def test_every_file_of_words_has_its_configuration() -> None:
    assert {path.stem for path in FOLDER.glob("*.err")} == {path.stem for path in CASES}


def test_what_is_not_given_has_its_default(tmp_path: Path) -> None:
    settings = load(tmp_path, GOOD)
    assert settings.store.dir == "/var/lib/outpost"
    assert (settings.sources, settings.uplinks, settings.cameras) == ((), (), ())
    assert settings.panel is None
    assert settings.set_points["cl2"].high == 1.0


def test_a_source_takes_its_line_from_the_instrument(tmp_path: Path) -> None:
    source = '[[source]]\nname = "g"\ndriver = "nmea"\nport = "x"\n'
    (plain,) = load(tmp_path, GOOD + source).sources
    assert (plain.line.baudrate, plain.line.parity) == (9600, "N")
    (other,) = load(tmp_path, GOOD + source + 'baudrate = 38400\nparity = "E"\n').sources
    assert (other.line.baudrate, other.line.parity, other.line.bytesize) == (38400, "E", 8)


def test_a_driver_s_own_keys_reach_it(tmp_path: Path) -> None:
    text = '[[source]]\nname = "g"\ndriver = "nmea"\nport = "x"\nnot_before = 1999-01-02\n'
    (source,) = load(tmp_path, GOOD + text).sources
    assert getattr(source.options, "not_before", None) == dt.date(1999, 1, 2)


def test_an_unknown_driver_is_told_which_there_are(tmp_path: Path) -> None:
    text = GOOD + '[[source]]\nname = "g"\ndriver = "xyzzy"\nport = "x"\n'
    assert mistakes(tmp_path, text) == [
        "agent.toml:7: [source] driver: there is no driver 'xyzzy'; known are "
        + ", ".join(config.driver_names())
    ]
    assert set(config.driver_names()) >= {"modbus", "nmea", "winsen"}
    assert not {"port", "panel", "camera", "framing"} & set(config.driver_names())


def test_an_override_changes_what_it_names_and_keeps_the_rest(tmp_path: Path) -> None:
    text = GOOD + '[[alarms.override]]\nquantity = "cl2"\nlow = 0.3\n'
    point = load(tmp_path, text).set_points["cl2"]
    assert (point.low, point.high, point.unit) == (0.3, 1.0, "ppm")
    # The printed source does not say 0.3.
    assert (point.basis, point.sure) == ("set for this unit", False)


def test_an_override_may_bring_a_new_quantity(tmp_path: Path) -> None:
    text = GOOD + '[[alarms.override]]\nquantity = "wind_speed"\nunit = "m/s"\nhigh = 14\n'
    assert load(tmp_path, text).set_points["wind_speed"].high == 14.0


def test_limits_of_a_file_s_own_name_the_mistakes_of_that_file(tmp_path: Path) -> None:
    limits = tmp_path / "own.toml"
    limits.write_text(
        'title = { zh = "自用", en = "Own" }\n'
        '[[limit]]\nquantity = "cl2"\nunit = "ppm"\nlow = 2\nhigh = 1\n'
        '[[limit]]\nquantity = "co"\nunit = "ppm"\nlo = 1\n'
    )
    text = GOOD + f'[alarms]\nlimits = "{limits}"\n[store]\nmax_mb = 1\n'
    assert mistakes(tmp_path, text) == [
        "agent.toml:8: [store] max_mb: expected 16 MB or more, read 1",
        "own.toml:5: [limit] low: expected at most high (1), read 2",
        "own.toml:8: [limit] quantity: 'co' has no limit: "
        "give low, high, deficient, critical, stel or twa",
        "own.toml:10: [limit] lo: unknown key; did you mean 'low'?",
    ]


def test_a_quantity_is_limited_once(tmp_path: Path) -> None:
    limits = tmp_path / "own.toml"
    point = '[[limit]]\nquantity = "cl2"\nunit = "ppm"\nhigh = 1\n'
    limits.write_text(f'title = {{ en = "Own" }}\n{point}{point}')
    assert mistakes(tmp_path, GOOD + f'[alarms]\nlimits = "{limits}"\n') == [
        "own.toml:7: [limit] quantity: 'cl2' is given before"
    ]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none.toml: cannot be read: No such file or directory"):
        config.load(tmp_path / "none.toml")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be read: Is a directory"):
        config.load(tmp_path)


def test_text_of_another_encoding(tmp_path: Path) -> None:
    path = tmp_path / "gbk.toml"
    path.write_bytes('# 指挥车\n[unit]\nid = "a"'.encode("gbk"))
    with pytest.raises(ConfigError, match=r"expected UTF-8 text, read the byte 0xbb at offset 4"):
        config.load(path)


def test_the_byte_order_mark_of_a_windows_editor_is_no_mistake(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert config.load(path).unit.id == "cv-01"


def test_a_password_comes_from_its_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("pass word\n")
    text = GOOD + f'[[uplink]]\nname = "c"\nhost = "h"\npassword_file = "{secret}"\n'
    (uplink,) = load(tmp_path, text).uplinks
    assert uplink.broker().password == "pass word"
    secret.write_bytes(b"\xff\xfe")
    with pytest.raises(OSError, match="not UTF-8"):
        uplink.broker()


def test_check_says_good_or_every_mistake(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = tmp_path / "good.toml", tmp_path / "bad.toml"
    good.write_text(GOOD)
    bad.write_text("[unit]\n")
    assert main(["check", str(good)]) == 0
    assert capsys.readouterr().out == f"{good}: good\n"
    assert main(["check", str(good), str(bad), str(tmp_path / "none.toml")]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.splitlines() == [
        f"{bad}:1: [unit] id: missing; expected 1 to 63 of a-z, 0-9 and inner hyphens",
        f"{bad}:1: [unit] org: missing; expected 1 to 63 of a-z, 0-9 and inner hyphens",
        f"{bad}:1: [unit] profile: missing; expected one of vehicle, soldier, monitor, laptop",
        f"{tmp_path}/none.toml: cannot be read: No such file or directory",
    ]


def test_run_says_every_mistake_and_starts_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text(GOOD + f'colour = 1\n[store]\ndir = "{tmp_path / "state"}"\nsize = 1\n')
    assert main(["run", "--config", str(bad)]) == 2
    assert capsys.readouterr().err.splitlines() == [
        f"{bad}:5: [unit] colour: unknown key; known are division, id, incident, mark, "
        "name, org, parent, profile, wearer, wearer_id",
        f"{bad}:8: [store] size: unknown key; known are dir, max_mb, retention_days, "
        "shutdown_drain_s",
    ]
    assert not (tmp_path / "state").exists()


def test_a_dry_run_shows_what_would_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there = tmp_path / "there"
    there.touch()
    text = f"""\
[store]
dir = "{tmp_path}/state"
[[source]]
name = "gnss"
driver = "nmea"
port = "{there}"
baudrate = 38400
[[source]]
name = "gas"
driver = "winsen"
port = "{tmp_path}/absent"
gas = "cl2"
silent_s = 5
[alarms]
limits = "responder"
[panel]
factory = "mock"
sos_pin = 17
[[camera]]
name = "front"
source = "scene"
[media]
enabled = false
[[uplink]]
name = "center"
host = "center.example.org"
[[uplink]]
name = "board"
host = "::1"
port = 1883
tls = false
"""
    path = tmp_path / "agent.toml"
    path.write_text(GOOD + text)
    limited = "ch2o, ch4, cl2, co, co2, combustible, h2s, hcl, hcn, hf, nh3, no2, o2, o3, ph3, so2"
    assert main(["run", "--dry-run", "--config", str(path)]) == 0
    assert (
        capsys.readouterr().out
        == f"""\
unit cv-01 of hubei, profile vehicle, mark actual
store {tmp_path}/state, 8 days, 4096 MB
source gnss: nmea on {there}, 38400 8N1, silent after 10 s
source gas: winsen on {tmp_path}/absent (not there now), 9600 8N1, silent after 5 s
alarms responder: {limited}
panel mock
camera front: scene (media is off)
uplink center: center.example.org:8883, TLS
uplink board: ::1:1883, no TLS
"""
    )
    assert not (tmp_path / "state").exists()


@given(st.text(max_size=300))
def test_no_text_is_answered_with_anything_but_mistakes(text: str) -> None:
    document = Document("x.toml", text)
    assert document.data == {} or not document.mistakes
    assert all(line.startswith("x.toml:") for line in document.mistakes)


WORDS = st.sampled_from([
    "[unit]", "[[source]]", "[alarms]", "[[alarms.override]]", "[[uplink]]", "[panel]", "[log]",
    'name = "a"', 'id = "cv-01"', 'driver = "winsen"', 'driver = "modbus"', 'port = "p"', "low = 1",
    'quantity = "cl2"', 'gas = "cl2"', "addresses = []", "factory = 1", "name = []", "port = {}",
    "verbs = [[]]", 'map = "\\u0000"', "override = 3", "source = {}", "tls = 1.5", "silent_s = inf",
    'host = "h"', "low = nan", "driver = {}", 'gases = { 1 = 2 }', 'limits = "a/b"', "unit = 1",
])  # fmt: skip


@given(st.lists(WORDS, max_size=25))
def test_no_mixture_of_tables_is_answered_with_anything_but_mistakes(words: list[str]) -> None:
    document = Document("x.toml", "\n".join(words))
    with contextlib.suppress(ConfigError):
        config.parse(document)
        assert not document.mistakes


def test_lines_are_found_behind_strings_and_lists_over_several_lines() -> None:
    text = 'a = [\n 1, # ]\n 2]\nb = """\n[c]\n"""\n[t]\n"q" = \'x\'\n[[u]]\n[[u]]\nv.w = 1\n'
    assert dict(_locate(text)) == {
        ("a",): 1, ("b",): 4, ("t",): 7, ("t", "q"): 8, ("u", 0): 9, ("u", 1): 10,
        ("u", 1, "v", "w"): 11,
    }  # fmt: skip
