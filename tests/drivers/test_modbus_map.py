"""Modbus maps: every mistake in one go, with file, table and key."""

from __future__ import annotations

import tomllib
from pathlib import Path

import msgspec
import pytest

from drivers.modbus import Config
from drivers.modbus_map import MapError, default_dir, load, parse


def test_all_mistakes_of_a_map_are_said_in_one_go() -> None:
    text = """
title = "x"
evidence = "none"
gapp_s = 1
tries = 0
[[read]]
function = 6
start = 0
count = 2
[[quantity]]
name = "Chlorine"
unit = "pmp"
register = 9
type = "i17"
scale = "big"
quality = { register = 1, bits = "8-16", codes = { one = "good", 2 = "god" } }
"""
    with pytest.raises(MapError) as caught:
        parse(tomllib.loads(text), "my.toml")
    assert str(caught.value).splitlines() == [
        "my.toml: gapp_s: unknown key, expected one of title, evidence, gap_s, tries, read,"
        " quantity; did you mean gap_s?",
        "my.toml: [[read]] 1: function: invalid enum value 6, read 6",
        "my.toml: [[quantity]] 1: type: invalid enum value 'i17', read 'i17'",
        "my.toml: [[quantity]] 1: scale: expected `float`, got `str`, read 'big'",
    ]


def test_all_mistakes_of_meaning_are_said_in_one_go() -> None:
    text = """
title = "x"
evidence = "none"
tries = 0
[[read]]
start = 0
count = 200
[[read]]
start = 4
count = 2
[[quantity]]
name = "Chlorine"
unit = "pmp"
register = 9
type = "i16"
order = "CDAB"
valid_min = 5.0
valid_max = 1.0
quality = { register = 4, bits = "8-16", codes = { one = "good", 2 = "god" } }
"""
    with pytest.raises(MapError) as caught:
        parse(tomllib.loads(text), "my.toml")
    units = (
        "%LEL, %RH, /100, A, Cel, V, W/m2, cm, dB, deg, hPa, lx, m, m/s, mg/m3, mm, ppb, ppm,"
        " uSv/h,"
    )
    assert str(caught.value).splitlines() == [
        "my.toml: tries: expected 1 or more, read 0",
        "my.toml: [[read]] 1: count: expected 1 to 125, read 200",
        'my.toml: [[quantity]] 1: order: expected one of AB, BA for a i16, read "CDAB"',
        "my.toml: [[quantity]] 1: register 9 (function 3) is in no [[read]]",
        "my.toml: [[quantity]] 1: valid_min: expected less than valid_max 1, read 5",
        "my.toml: [[quantity]] 1: name: expected a name like h2s, read 'Chlorine'",
        f"my.toml: [[quantity]] 1: unit: expected one of {units} ug/m3, read 'pmp';"
        " did you mean ppm?",
        'my.toml: [[quantity]] 1: quality.bits: expected "LOW-HIGH" within 0 to 15, read "8-16"',
        'my.toml: [[quantity]] 1: quality.codes: expected a number, read "one"',
        "my.toml: [[quantity]] 1: quality.codes.2: expected one of good, warmup, over_range,"
        " under_range, fault, cal_due, stale, simulated, invalid, read 'god'; did you mean good?",
    ]


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"map": "six_in_on"}, ", scd30, six_in_one, weather_station, or a path; did you mean"
         " six_in_one?"),
        ({"addresses": [0, 248, 3, 3]}, "addresses: expected 1 to 247, read 0\naddresses: expected"
         " 1 to 247, read 248\naddresses: each only once, read [0, 248, 3, 3]"),
        ({"addresses": []}, "addresses: expected at least one"),
        ({"gases": {"4": "cl2"}}, "gases: 4 is not one of addresses [1]"),
        ({"timeout_s": 0, "gap_s": -1}, "timeout_s: expected more than 0, read 0\ngap_s: expected 0"
         " or more, read -1"),
        ({"map": "gas_transmitter"},
         "gases: missing for address 1; gas_transmitter does not name it"),
        ({"override": {"scale": 0}}, "[[quantity]] 1: scale: expected a number other than 0"),
        ({"adresses": [1]}, "unknown field `adresses`"),
    ],
)  # fmt: skip
def test_error_texts(keys: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (its text is what is tested)
        msgspec.convert(keys, Config).check()
    assert sentence in str(caught.value)


def test_a_map_that_is_no_toml_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "broken.toml").write_text("title = \n", encoding="utf-8")
    with pytest.raises(MapError, match=r"broken\.toml: not TOML: Invalid value \(at line 1"):
        load("broken", tmp_path)


def test_every_map_that_we_ship_is_right() -> None:
    names = sorted(path.stem for path in default_dir().glob("*.toml"))
    assert {"gas_transmitter", "six_in_one", "weather_station"} <= set(names)
    for name in names:
        assert load(name, default_dir()).evidence in (
            "seen on hardware", "from datasheet", "from memory")  # fmt: skip
