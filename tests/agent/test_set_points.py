"""Set points: the shipped files, their conversions, what a unit changes, what cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent import config
from agent.alarms import conversion
from agent.settings import limits
from agent.settings.toml import ConfigError

FOLDER = Path(__file__).parents[2] / "config" / "limits"
UNIT = '[unit]\nid = "cv-01"\norg = "hubei"\nprofile = "{}"\n'
CL2 = '[[source]]\nname = "gas1"\ndriver = "winsen"\nport = "p"\ngas = "cl2"\n'


def load(folder: Path, text: str, profile: str = "soldier") -> config.Config:
    path = folder / "agent.toml"
    path.write_text(UNIT.format(profile) + text, encoding="utf-8")
    return config.load(path)


def mistakes(folder: Path, text: str, profile: str = "soldier") -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(folder, text, profile)
    return [line.removeprefix(f"{folder}/") for line in caught.value.mistakes]


# FIELD.md 4.5: (low, high, stel, twa); oxygen: (deficient, low, critical).
RESPONDER = {
    "combustible": (10, 20, None, None), "co": (35, 200, 100, 35), "h2s": (10, 15, 15, 10),
    "so2": (2, 5, 5, 2), "no2": (2, 5, 1, None), "nh3": (25, 50, 35, 25), "cl2": (0.5, 1, 0.4, 0.1),
    "hcn": (4.7, 10, 4.7, None), "ph3": (0.3, 1, 1, 0.3), "hcl": (2, 5, None, None),
    "co2": (5000, 30000, 30000, 5000),
}  # fmt: skip
FIXED = {
    "combustible": (25, 50, None, None), "co": (17, 34, 26, 17), "h2s": (7, 14, None, None),
    "so2": (1.9, 3.8, 3.8, 1.9), "no2": (2.6, 5.2, 5.2, 2.6), "nh3": (28, 57, 42, 28),
    "cl2": (0.34, 0.68, None, None), "hcn": (0.9, 1.8, None, None), "hcl": (4.9, 9.9, None, None),
    "co2": (4900, 9800, 9800, 4900),
}  # fmt: skip


@pytest.mark.parametrize(
    ("file", "quantity", "numbers"),
    [
        (file, quantity, numbers)
        for file, points in (("responder", RESPONDER), ("fixed", FIXED))
        for quantity, numbers in points.items()
    ],
)
def test_the_shipped_numbers(file: str, quantity: str, numbers: tuple[float | None, ...]) -> None:
    point = limits.load(FOLDER / f"{file}.toml").points[quantity]
    assert (point.low, point.high, point.stel, point.twa) == numbers


def test_oxygen_is_limited_both_ways() -> None:
    point = limits.load(FOLDER / "responder.toml").points["o2"]
    assert (point.critical, point.deficient, point.low, point.hysteresis) == (16, 19.5, 23.5, 0.2)


@pytest.mark.parametrize("file", ["responder", "fixed"])
def test_each_number_says_where_it_comes_from_and_none_claims_to_be_checked(file: str) -> None:
    for point in limits.load(FOLDER / f"{file}.toml").points.values():
        assert point.basis
        assert point.exposure_basis or (point.stel, point.twa) == (None, None)
        assert not point.sure


def test_the_figures_of_the_standard_stand_beside_their_ppm() -> None:
    points = limits.load(FOLDER / "fixed.toml").points
    assert points["cl2"].mg_m3 == {"low": 1, "high": 2}
    for point in points.values():
        for name, figure in point.mg_m3.items():
            derived = conversion.ppm(point.quantity, figure)
            assert getattr(point, name) == pytest.approx(derived, rel=limits.ROUNDING)


def test_a_conversion_that_does_not_fit_is_a_mistake(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(
        'title = { en = "Own" }\n'
        "[conversion]\ntemperature_c = 0\n"
        '[[limit]]\nquantity = "cl2"\nunit = "ppm"\nlow = 0.34\n'
        "mg_m3 = { low = 1, high = 2, lo = 3 }\n"
        '[[limit]]\nquantity = "cl2"\nunit = "mg/m3"\nlow = 0.34\nmg_m3 = { low = 1 }\n'
    )
    with pytest.raises(ConfigError) as caught:
        limits.load(path)
    assert [line.removeprefix(f"{tmp_path}/") for line in caught.value.mistakes] == [
        "own.toml:8: [limit] mg_m3: expected limits (low, high, deficient, critical, stel, twa), "
        "read 'lo'",
    ]
    path.write_text(path.read_text().replace(", lo = 3", ""))
    with pytest.raises(ConfigError) as caught:
        limits.load(path)
    assert [line.removeprefix(f"{tmp_path}/") for line in caught.value.mistakes] == [
        "own.toml:8: [limit] mg_m3: low: 1 mg/m3 are 0.316 ppm at 0 degrees C and 1013.25 hPa, "
        "read 0.34",
        "own.toml:8: [limit] mg_m3: high is given here and not as a limit",
        "own.toml:10: [limit] quantity: 'cl2' is given before",
        "own.toml:13: [limit] mg_m3: 'cl2' in 'mg/m3' cannot be derived from mg/m3",
    ]


def test_exposure_limits_are_judged(tmp_path: Path) -> None:
    text = '[[alarms.override]]\nquantity = "cl2"\nstel = 0.2\ntwa = 0.3\n'
    assert mistakes(tmp_path, text) == [
        "agent.toml:8: [alarms.override] twa: expected at most stel (0.2), read 0.3"
    ]
    text = '[[alarms.override]]\nquantity = "x"\nunit = "ppm"\nstel = 0\n'
    assert mistakes(tmp_path, text) == [
        "agent.toml:8: [alarms.override] stel: expected more than 0, read 0"
    ]


@pytest.mark.parametrize("profile", ["soldier", "vehicle"])
def test_people_do_not_start_from_the_limits_of_an_unattended_detector(
    tmp_path: Path, profile: str
) -> None:
    assert mistakes(tmp_path, '[alarms]\nlimits = "fixed"\n', profile) == [
        "agent.toml:6: [alarms] limits: 'fixed' is for detectors that nobody stands beside, and "
        f"the profile is '{profile}'; begin with 'responder' and say in [[alarms.override]] what "
        "differs"
    ]
    assert load(tmp_path, '[alarms]\nlimits = "fixed"\n', "monitor").set_points["cl2"].low == 0.34


def test_one_sensor_may_have_limits_of_its_own(tmp_path: Path) -> None:
    text = CL2 + (
        '[[alarms.override]]\nsource = "gas1"\nquantity = "cl2"\nhigh = 2.0\nbasis = "order 7"\n'
        '[[alarms.override]]\nquantity = "cl2"\nlow = 0.4\ntwa = 0.2\n'
    )
    loaded = load(tmp_path, text)
    own, common = loaded.own_points["gas1", "cl2"], loaded.set_points["cl2"]
    # The source's own stands on the unit's, wherever in the file it is.
    assert (own.low, own.high, own.basis) == (0.4, 2.0, "order 7")
    assert (common.low, common.high, common.twa) == (0.4, 1.0, 0.2)
    assert common.exposure_basis == common.basis == "set for this unit"
    assert own.exposure_basis == "set for this unit"
    assert [override.changes(base) for override, base in loaded.limit_changes] == [
        {"low": (0.5, 0.4), "twa": (0.1, 0.2)},
        {"high": (1.0, 2.0)},
    ]


def test_limits_of_a_source_that_is_not_there(tmp_path: Path) -> None:
    text = CL2 + '[[alarms.override]]\nsource = "gas2"\nquantity = "cl2"\nhigh = 2.0\n'
    assert mistakes(tmp_path, text) == [
        "agent.toml:11: [alarms.override] source: there is no source 'gas2'; did you mean 'gas1'?"
    ]


def test_the_same_limit_twice_for_one_source(tmp_path: Path) -> None:
    one = '[[alarms.override]]\nsource = "gas1"\nquantity = "cl2"\nhigh = 2.0\n'
    assert mistakes(tmp_path, CL2 + one + one) == [
        "agent.toml:16: [alarms.override] quantity: 'cl2' is overridden already"
    ]


def test_a_limit_that_the_instrument_cannot_show_is_refused(tmp_path: Path) -> None:
    fine = '[[alarms.override]]\nquantity = "cl2"\nlow = 0.05\nstel = 0.05\ntwa = 0.02\n'
    sentence = (
        "low of cl2 is 0.05 ppm, below the resolution (0.1) of the source 'gas1'; give it an "
        "[[alarms.override]] or a fitting instrument"
    )
    # A mean of many values may be finer than one.
    assert mistakes(tmp_path, CL2 + fine) == [f"agent.toml:12: [alarms.override] low: {sentence}"]
    mhz19 = '[[source]]\nname = "co2"\ndriver = "winsen"\nport = "p"\nmodule = "mhz19"\n'
    over = mistakes(tmp_path, mhz19 + "full_scale = 5000.0\n[alarms]\n")
    assert over == [
        f"agent.toml:11: [alarms] limits: {name} of co2 is 30000 ppm, above the range (5000) of "
        "the source 'co2'; give it an [[alarms.override]] or a fitting instrument"
        for name in ("high", "stel")
    ]
    # Another unit is another question: the hub tells of it when it is measured.
    tb600 = CL2.replace("winsen", "tb600") + 'decimals = 0\nunit = "/100"\n'
    assert load(tmp_path, tb600).set_points["cl2"].low == 0.5


def test_a_map_knows_what_its_registers_can_show(tmp_path: Path) -> None:
    text = (
        '[[source]]\nname = "gas2"\ndriver = "modbus"\nport = "p"\nmap = "gas_transmitter"\n'
        "accept_unverified = true\n"
        'gases = { 1 = "cl2" }\noverride = { scale = 1.0, full_scale = 0.9 }\n'
    )
    found = mistakes(tmp_path, text)
    assert [line.split(": ", 2)[2].split(";")[0] for line in found] == [
        "low of cl2 is 0.5 ppm, below the resolution (1) of the source 'gas2'",
        "high of cl2 is 1 ppm, above the range (0.9) of the source 'gas2'",
    ]
