"""What is known of a source beside its values: evidence, calibration; and what follows from it."""

from __future__ import annotations

import datetime as dt
import importlib
from pathlib import Path

import msgspec
import pytest

from agent import config
from agent.__main__ import main
from agent.alarms.engine import Engine
from agent.clock import BUILT_MS, UnitClock
from agent.config import driver_names
from agent.hub import Hub
from agent.messages import Clock, Reading
from agent.settings import evidence
from agent.settings.calibration import Calibration
from agent.settings.toml import ConfigError
from agent.supervise import Source
from drivers import Fix, Quality, Sample

HEAD = '[unit]\nid = "cv-01"\norg = "hubei"\nprofile = "vehicle"\n'
TRANSMITTER = """
[[source]]
name = "probe"
driver = "modbus"
port = "/dev/ttyX"
map = "gas_transmitter"
gases = { 1 = "cl2" }
"""
WINSEN = '\n[[source]]\nname = "gas"\ndriver = "winsen"\nport = "/dev/ttyY"\ngas = "cl2"\n'
CALIBRATED = 'calibrated = 2026-05-31\ncalibrated_by = "张工"\nserial = "A7"\nplace = "车顶"\n'
Capsys = pytest.CaptureFixture[str]


def write(folder: Path, text: str) -> Path:
    path = folder / "unit.toml"
    path.write_text(HEAD + text, encoding="utf-8")
    return path


def mistakes(path: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        config.load(path)
    return list(caught.value.mistakes)


def test_a_driver_from_memory_is_no_gas_s_only_source(tmp_path: Path) -> None:
    path = write(tmp_path, TRANSMITTER)
    assert mistakes(path) == [
        f"{path}:8: [source] driver: 'modbus' is written from memory here, and nothing better "
        "measures cl2; check it with test gas and say accept_unverified = true"
    ]


@pytest.mark.parametrize(
    ("name", "is_one"), [("six_in_one", True), ("scd30", True), ("weather_station", False)]
)
def test_a_head_whose_registers_name_its_gases_is_a_gas_instrument(
    tmp_path: Path, name: str, is_one: bool
) -> None:
    """Or nobody beside it would be told that they are protected, or not any more."""
    text = f'[[source]]\nname = "head"\ndriver = "modbus"\nport = "/dev/ttyX"\nmap = "{name}"\n'
    (source,) = config.load(write(tmp_path, text)).sources
    assert evidence.is_gas_instrument(source) is is_one


@pytest.mark.parametrize("text", [TRANSMITTER + "accept_unverified = true\n", TRANSMITTER + WINSEN])
def test_it_is_taken_where_the_risk_is_named_or_another_measures_the_gas(
    tmp_path: Path, text: str
) -> None:
    assert len(config.load(write(tmp_path, text)).sources) == text.count("[[source]]")


def test_another_gas_of_another_source_does_not_count(tmp_path: Path) -> None:
    path = write(tmp_path, TRANSMITTER + WINSEN.replace("cl2", "co"))
    assert len(mistakes(path)) == 1


def test_two_from_memory_do_not_vouch_for_each_other(tmp_path: Path) -> None:
    twice = TRANSMITTER + TRANSMITTER.replace("probe", "other").replace("ttyX", "ttyZ")
    assert len(mistakes(write(tmp_path, twice))) == 2


def test_a_quantity_that_is_no_gas_needs_no_better_source(tmp_path: Path) -> None:
    config.load(write(tmp_path, TRANSMITTER.replace("cl2", "noise")))


@pytest.mark.parametrize("value", ['"May 31"', "2026", "true", "2026-05-31T10:00:00"])
def test_a_day_is_a_day(tmp_path: Path, value: str) -> None:
    path = write(tmp_path, WINSEN + f"calibrated = {value}\n")
    (sentence,) = mistakes(path)
    assert "calibrated: expected a day, as 2026-05-31, read" in sentence


def test_check_prints_evidence_and_calibration(tmp_path: Path, capsys: Capsys) -> None:
    path = write(tmp_path, TRANSMITTER + "accept_unverified = true\n" + WINSEN + CALIBRATED)
    assert main(["check", str(path)]) == 0
    assert capsys.readouterr().out == (
        f"{path}: good\n"
        "  limits responder: a person has compared 0 of 16 quantities with the printed source\n"
        "  source probe: modbus, from memory, accepted unverified; cl2, no calibration is known\n"
        "  source gas: winsen, from datasheet; cl2; calibrated 2026-05-31 by 张工, due 2026-11-27\n"
    )


def test_the_status_of_a_source_tells_it(tmp_path: Path) -> None:
    source = config.load(write(tmp_path, WINSEN + CALIBRATED)).sources[0]
    status = Source(source, lambda name, found: None, lambda source: None).status()
    assert (status.evidence, status.serial, status.place) == ("from datasheet", "A7", "车顶")
    assert (status.calibrated, status.calibrated_by) == ("2026-05-31", "张工")
    assert status.calibration_due == "2026-11-27"
    bare = config.load(write(tmp_path, WINSEN)).sources[0]
    told = msgspec.json.encode(Source(bare, lambda name, found: None, lambda source: None).status())
    assert b"calibrat" not in told


@pytest.mark.parametrize("name", driver_names())
def test_each_driver_says_how_sure_it_is(name: str) -> None:
    evidence = importlib.import_module(f"drivers.{name}").INSTRUMENT.evidence
    assert evidence in ("seen on hardware", "from datasheet", "from memory")


# --- calibration ---

DAY_MS = 86_400_000
MAY_31 = dt.date(2026, 5, 31)


def ms(day: dt.date) -> int:
    return (day - dt.date(1970, 1, 1)).days * DAY_MS


def sample(quantity: str = "cl2", quality: Quality = Quality.GOOD) -> Sample:
    return Sample(quantity=quantity, value=0.4, unit="ppm", quality=quality, at=1.0)


@pytest.mark.parametrize(
    ("days", "now", "due"),
    [
        (180.0, ms(dt.date(2026, 11, 27)) - 1, False),
        (180.0, ms(dt.date(2026, 11, 27)), True),
        (365.0, ms(dt.date(2026, 11, 27)), False),
        (180.0, ms(MAY_31), False),
        # In a zone east of UTC the day begins earlier; two days ahead is a slip of the pen.
        (180.0, ms(dt.date(2026, 5, 30)), False),
        (180.0, ms(dt.date(2026, 5, 29)), True),
    ],
)
def test_a_gas_is_due_after_its_days(days: float, now: int, due: bool) -> None:
    calibration = Calibration(calibrated=MAY_31, days=days)
    judged = calibration.judged(sample(), now)
    assert isinstance(judged, Sample)
    assert judged.quality is (Quality.CAL_DUE if due else Quality.GOOD)
    assert judged.value == 0.4


def test_only_good_values_of_gases_are_marked() -> None:
    overdue = Calibration(calibrated=MAY_31)
    now = ms(dt.date(2027, 1, 1))
    for found in (
        sample("temperature"),
        sample(quality=Quality.FAULT),
        sample(quality=Quality.OVER_RANGE),
        Fix(mode=3, at=1.0),
    ):
        assert overdue.judged(found, now) is found
    assert Calibration().judged(sample(), now) == sample()


class _Outbox:
    def __init__(self) -> None:
        self.bodies: list[Reading] = []

    def append(self, _class: object, body: Reading, **_: object) -> None:
        self.bodies.append(body)


class _SetClock(UnitClock):
    def __init__(self, source: Clock, now: int) -> None:
        super().__init__()
        self.said, self.now = source, now

    @property
    def source(self) -> Clock:
        return self.said

    def now_ms(self) -> int:
        return self.now


@pytest.mark.parametrize(
    ("clock", "quality"), [(Clock.GNSS, Quality.CAL_DUE), (Clock.FREE, Quality.GOOD)]
)
def test_the_hub_marks_what_is_overdue_and_knows_no_days_without_a_clock(
    clock: Clock, quality: Quality
) -> None:
    outbox = _Outbox()
    hub = Hub(
        Engine({}, {"gas": 10.0}, 0.0), outbox, _SetClock(clock, BUILT_MS + 300 * DAY_MS),  # type: ignore[arg-type]
        on_alarms=lambda changes: None, on_reading=lambda reading: None,
        calibrations={"gas": Calibration(calibrated=MAY_31)},
    )  # fmt: skip
    hub.emit("gas", sample())
    hub.emit("other", sample())
    qualities = {body.source: body.quality for body in outbox.bodies if isinstance(body, Reading)}
    assert qualities == {"gas": quality, "other": Quality.GOOD}
