"""Scenarios: what is shipped can be played, and every mistake is named with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.__main__ import main
from agent.drill import scenario as scenarios
from agent.drill.scenario import Kind
from agent.settings import places
from agent.settings.toml import ConfigError, Document

GOOD = """\
title = { zh = "试", en = "Trial" }
site = { lat = 30.593, lon = 114.306 }
[[source]]
id = "tank"
gas = "cl2"
rate_kg_s = 1.0
[[unit]]
id = "ex-a"
name = { zh = "甲", en = "A" }
route = { points = [[0, 0]] }
[[unit.instrument]]
name = "cl2"
driver = "winsen"
gas = "cl2"
[[inject]]
id = "leak"
kind = "source_start"
source = "tank"
at_s = 5
label = { zh = "漏", en = "Leak" }
"""


def mistakes(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        scenarios.parse(Document("drill.toml", text))
    return list(caught.value.mistakes)


@pytest.mark.parametrize("name", places.names("scenarios"))
def test_what_is_shipped_can_be_played(name: str) -> None:
    path = scenarios.find(name)
    assert scenarios.check(path) == []
    scenario = scenarios.load(path)
    assert scenario.title.zh
    assert scenario.title.en


def test_the_first_minute_of_the_chlorine_drill_shows_everything() -> None:
    scenario = scenarios.load(scenarios.find("chlorine"))
    assert [unit.profile for unit in scenario.unit] == ["vehicle", "soldier", "soldier"]
    early = {inject.kind for inject in scenario.inject if (inject.at_s or 1e9) <= 60}
    assert early >= {Kind.SOURCE_START, Kind.SOS, Kind.LINK_DROP}
    (drop,) = [inject for inject in scenario.inject if inject.kind is Kind.LINK_DROP]
    assert drop.at_s is not None
    assert drop.for_s == 30
    assert drop.at_s + drop.for_s < 60


def test_defaults() -> None:
    scenario = scenarios.parse(Document("drill.toml", GOOD))
    assert scenario.duration_s == 300
    assert scenario.unit[0].panel
    assert scenario.unit[0].limits == "responder"
    assert scenario.inject[0].kind is Kind.SOURCE_START


@pytest.mark.parametrize(
    ("good", "bad", "expected"),
    [
        (
            'kind = "source_start"',
            'kind = "sos"\nunit = "ex-b"',
            [
                "drill.toml:18: [inject] unit: unknown unit: read 'ex-b', expected one of ex-a"
                "; did you mean 'ex-a'?",
                "drill.toml:19: [inject] source: a sos has no source",
            ],
        ),
        (
            'source = "tank"',
            'source = "tanks"',
            [
                "drill.toml:18: [inject] source: unknown source: read 'tanks', "
                "expected one of tank; did you mean 'tank'?"
            ],
        ),
        (
            'kind = "source_start"\nsource = "tank"',
            'kind = "silence"\nunit = "ex-a"\ninstrument = "cl"',
            [
                "drill.toml:19: [inject] instrument: unknown instrument of ex-a: read 'cl', "
                "expected one of cl2; did you mean 'cl2'?"
            ],
        ),
        (
            'kind = "source_start"\nsource = "tank"',
            'kind = "link_drop"',
            [
                "drill.toml:15: [inject] unit: missing; a link_drop needs it",
                "drill.toml:15: [inject] for_s: missing; a link_drop needs it",
            ],
        ),
        (
            'kind = "source_start"\nsource = "tank"',
            'kind = "wind"',
            ["drill.toml:15: [inject] from_deg: missing; a wind needs from_deg or speed_m_s"],
        ),
        (
            'kind = "source_start"',
            'kind = "source_strat"',
            [
                "drill.toml:17: [inject] kind: expected one of "
                + ", ".join(Kind)
                + ", read 'source_strat'; did you mean 'source_start'?"
            ],
        ),
        (
            'gas = "cl2"\nrate_kg_s = 1.0',
            'gas = "ch"\nrate_kg_s = -1',
            [
                "drill.toml:5: [source] gas: expected one of c2h4, ch2o, ch4, cl2, co, co2, eto, "
                "h2, h2s, hcl, hcn, hf, nh3, no2, o3, ph3, so2, read 'ch'; did you mean 'ch4'?",
                "drill.toml:6: [source] rate_kg_s: expected 1e-06 to 100000 kg/s, read -1",
            ],
        ),
        (
            "rate_kg_s = 1.0",
            "rate_kg_s = 1.0\nmass_kg = 2.0",
            [
                "drill.toml:6: [source] rate_kg_s: expected either rate_kg_s or mass_kg, "
                "read both or none"
            ],
        ),
        (
            'id = "ex-a"',
            'id = "cv-01"',
            [
                "drill.toml:8: [unit] id: expected 'ex-' and a-z, 0-9, hyphens (an exercise's unit "
                "can never be taken for a real one), read 'cv-01'"
            ],
        ),
        (
            "route = { points = [[0, 0]] }",
            "route = { points = [[0]], speed = 3 }",
            [
                "drill.toml:10: [unit.route] speed: unknown key; did you mean 'speed_m_s'?",
                "drill.toml:10: [unit.route] points: expected [east, north] or "
                "[east, north, wait], read [0.0]",
            ],
        ),
        (
            "route = { points = [[0, 0]] }",
            "route = { points = [[0]], speed_m_s = 0 }",
            [
                "drill.toml:10: [unit.route] points: expected [east, north] or "
                "[east, north, wait], read [0.0]",
                "drill.toml:10: [unit.route] speed_m_s: expected 0.01 to 60 m/s, read 0",
            ],
        ),
        (
            'driver = "winsen"\ngas = "cl2"',
            'driver = "winsen"\ngas = "xenon"',
            None,
        ),
        (
            'driver = "winsen"\ngas = "cl2"',
            'driver = "modbus"',
            [
                "drill.toml:11: [unit.instrument] map: missing; expected one of "
                "six_in_one, weather_station"
            ],
        ),
        (
            'title = { zh = "试", en = "Trial" }',
            'title = { zh = "试" }',
            ["drill.toml:1: [title] en: missing; expected text"],
        ),
        (
            "at_s = 5",
            'at_s = "5"',
            ["drill.toml:19: [inject] at_s: expected a number, read '5'"],
        ),
        (
            "lat = 30.593",
            "lat = 114.0",
            ["drill.toml:2: [site] lat: expected -80 to 80 degrees, read 114"],
        ),
    ],
)
def test_a_mistake_is_named(good: str, bad: str, expected: list[str] | None) -> None:
    assert good in GOOD
    found = mistakes(GOOD.replace(good, bad, 1))
    if expected is None:
        assert found[0].startswith("drill.toml:14: [unit.instrument] gas: expected one of")
        assert found[0].endswith("read 'xenon'")
    else:
        assert found == expected


def test_every_mistake_in_one_go_in_the_order_of_the_file() -> None:
    text = (
        GOOD.replace("lat = 30.593", "lat = 95")
        .replace('id = "ex-a"', 'id = "a"')
        .replace('source = "tank"', 'source = "tonk"')
        .replace("at_s = 5", "at_s = -5")
    )
    lines = [int(sentence.split(":")[1]) for sentence in mistakes(text)]
    assert lines == [2, 8, 18, 19]


def test_names_are_told_apart() -> None:
    twice = GOOD + GOOD[GOOD.index("[[inject]]") :]
    assert mistakes(twice) == ["drill.toml:22: [inject] id: 'leak' is there already"]


def test_lines_of_tables_within_tables() -> None:
    second = GOOD[GOOD.index("[[unit]]") : GOOD.index("[[inject]]")]
    second = second.replace("ex-a", "ex-b").replace('gas = "cl2"', "gas = 5")
    (found,) = mistakes(GOOD + second)
    assert found == "drill.toml:28: [unit.instrument] gas: expected text, read 5"


def test_a_panel_that_is_not_there_cannot_be_pressed() -> None:
    text = GOOD.replace("route =", "panel = false\nroute =").replace(
        'kind = "source_start"\nsource = "tank"', 'kind = "sos"\nunit = "ex-a"'
    )
    assert mistakes(text) == ["drill.toml:19: [inject] unit: ex-a has no panel to press"]


def test_what_is_no_toml_at_all() -> None:
    (found,) = mistakes("title = {")
    assert found.startswith("drill.toml:1: not TOML:")


def test_a_file_is_checked_by_its_path(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text(GOOD.replace("tank", "tonk", 1), encoding="utf-8")
    assert scenarios.find(str(file)) == file
    (found,) = scenarios.check(file)
    assert found.startswith(f"{file}:18: [inject] source: unknown source")


def test_outpost_check_knows_a_scenario(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "own.toml"
    file.write_text(GOOD.replace("tank", "tonk", 1), encoding="utf-8")
    good = scenarios.find("chlorine")
    assert main(["check", str(good)]) == 0
    assert capsys.readouterr().out == f"{good}: good\n"
    assert main(["check", str(good), str(file)]) == 2
    assert f"{file}:18: [inject] source: unknown source" in capsys.readouterr().err


def test_a_name_that_nobody_knows(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no scenario is called 'clorine'; did you mean"):
        scenarios.find("clorine")
    with pytest.raises(FileNotFoundError, match="there is no such scenario file"):
        scenarios.find(str(tmp_path / "none.toml"))
