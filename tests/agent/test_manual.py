"""config/agent.toml, weather.toml, kit.toml, person.toml and media.toml are the manual: every key
with its real default; the profiles can be used."""

from __future__ import annotations

import importlib
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent import config
from agent.alarms.setpoints import Override
from agent.settings import neighbours, person, rates, record, relay, selftest, tables, voice, ways
from agent.settings.toml import Document, value_of
from agent.tools import check
from drivers.panel import PanelConfig

FOLDER = Path(__file__).parents[2] / "config"
MANUAL = "\n".join(
    (FOLDER / name).read_text(encoding="utf-8")
    for name in ("agent.toml", "weather.toml", "kit.toml", "person.toml", "media.toml")
)
PROFILES = [FOLDER / f"{profile.value}.toml" for profile in tables.Profile]
EXAMPLE = "## 例 example"
CHINESE = re.compile(r"[\u4e00-\u9fff]")
ENGLISH = re.compile(r"[A-Za-z]{2,}")

TABLES: dict[str, type[msgspec.Struct]] = {
    "unit": tables.UnitConfig,
    "store": tables.StoreConfig,
    "log": tables.LogConfig,
    "source": tables.SourceTable,
    "alarms": tables.AlarmsConfig,
    "alarms.override": Override,
    "panel": PanelConfig,
    "media": tables.MediaConfig,
    "media.voice": voice.VoiceConfig,
    "media.limits": voice.LimitsConfig,
    "media.ice": ways.IceConfig,
    "media.ice.server": ways.IceServerTable,
    "media.whip": ways.WhipConfig,
    "media.whep": ways.WhepConfig,
    "media.record": record.RecordConfig,
    "camera": tables.CameraConfig,
    "uplink": tables.UplinkConfig,
    "relay": relay.RelayConfig,
    "person": person.PersonConfig,
    "rates": rates.RatesConfig,
    "rates.profile": rates.RatesProfile,
    "person.sos": person.SosConfig,
    "person.no_motion": person.NoMotionConfig,
    "person.check_in": person.CheckInConfig,
    "person.zone": person.ZoneConfig,
    "person.position": person.PositionConfig,
    "person.battery": person.BatteryConfig,
    "person.driving": person.DrivingConfig,
    "person.speech": person.SpeechConfig,
    "person.selftest": selftest.SelftestConfig,
    "neighbours": neighbours.NeighboursConfig,
}
INNER = {
    "rates": {"profile"},
    "alarms": {"override"},
    "media": {"voice", "limits", "ice", "whip", "whep", "record"},
    "media.ice": {"server"},
    "person": {
        "sos", "no_motion", "check_in", "zone", "position", "battery", "driving", "speech",
        "selftest",
    },
}  # fmt: skip
"""Keys that have a table of their own."""


class Entry(msgspec.Struct, frozen=True):
    """A key as it stands in the manual."""

    table: str
    index: int
    key: str
    value: Any
    commented: bool
    example: bool


def entries() -> Iterator[Entry]:
    """`# key = value` of Telegraf's grammar; `## ` is prose."""
    table, index = "", -1
    for line in MANUAL.splitlines():
        if line.startswith("##") or not line.strip():
            continue
        text = line.removeprefix("# ")
        if header := re.fullmatch(r"\[\[?([a-z_.]+)\]\]?", text):
            table, index = header.group(1), index + 1
            continue
        ((key, value),) = tomllib.loads(text).items()
        yield Entry(table, index, key, value, text != line, text.endswith(EXAMPLE))


ENTRIES = list(entries())


def drivers_shown() -> dict[str, int]:
    """Driver -> index of its `[[source]]`."""
    return {entry.value: entry.index for entry in ENTRIES if entry.key == "driver"}


def struct_of(entry: Entry) -> type[msgspec.Struct]:
    common = TABLES[entry.table]
    if entry.table != "source" or entry.key in common.__struct_fields__:
        return common
    name = next(n for n, index in drivers_shown().items() if index == entry.index)
    shape: type[msgspec.Struct] = importlib.import_module(f"drivers.{name}").Config
    return shape


def default_of(entry: Entry) -> Any:
    field = next(f for f in msgspec.structs.fields(struct_of(entry)) if f.name == entry.key)
    if entry.table == "source" and entry.key in ("baudrate", "bytesize", "parity", "stopbits"):
        name = next(n for n, index in drivers_shown().items() if index == entry.index)
        return getattr(importlib.import_module(f"drivers.{name}").INSTRUMENT, entry.key)
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return None if field.default is msgspec.NODEFAULT else field.default


@pytest.mark.parametrize("table", TABLES)
def test_every_key_stands_in_the_manual(table: str) -> None:
    shown = {entry.key for entry in ENTRIES if entry.table == table}
    assert set(TABLES[table].__struct_fields__) - INNER.get(table, set()) <= shown


@pytest.mark.parametrize("driver", drivers_shown())
def test_every_key_of_a_driver_stands_in_the_manual(driver: str) -> None:
    shape = importlib.import_module(f"drivers.{driver}").Config
    shown = {entry.key for entry in ENTRIES if entry.index == drivers_shown()[driver]}
    assert set(shape.__struct_fields__) <= shown


def test_every_driver_is_shown() -> None:
    assert drivers_shown().keys() == set(config.driver_names())


def test_every_table_stands_in_the_manual() -> None:
    assert {entry.table for entry in ENTRIES} == set(TABLES)
    outer = {name.split(".")[0] for name in TABLES}
    assert outer == set(config._File.__struct_fields__)


@pytest.mark.parametrize(
    "entry", ENTRIES, ids=lambda entry: f"{entry.table}-{entry.index}-{entry.key}"
)
def test_every_default_is_the_real_one(entry: Entry) -> None:
    """And an example is of the right type."""
    field = next(f for f in msgspec.structs.fields(struct_of(entry)) if f.name == entry.key)
    document = Document("manual", "")
    read = value_of(document, field.type, entry.value, (entry.table, entry.key))
    assert not document.mistakes
    default = default_of(entry)
    if entry.commented and not entry.example:
        assert read == default
    elif entry.example:
        # What has a default is shown with it.
        assert default in (None, "")


def test_what_must_be_set_is_set() -> None:
    """Telegraf's grammar: a key without a comment sign must be set."""
    for entry in ENTRIES:
        field = next(f for f in msgspec.structs.fields(struct_of(entry)) if f.name == entry.key)
        if not entry.commented and entry.key != "name":
            assert field.required or field.default == "", entry


def test_sentences_are_in_both_languages() -> None:
    prose = [match.group() for match in re.finditer(r"(?:^## .*\n)+", MANUAL, re.MULTILINE)]
    assert prose
    alone = [text for text in prose if not (CHINESE.search(text) and ENGLISH.search(text))]
    assert not alone


@pytest.mark.parametrize("path", [FOLDER / "agent.toml", *PROFILES], ids=lambda path: path.name)
def test_the_profiles_are_good(path: Path) -> None:
    assert check.mistakes(path) == ()


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_a_profile_is_called_what_it_is(path: Path) -> None:
    assert config.load(path).unit.profile == path.stem


@pytest.mark.parametrize(
    "path",
    sorted(path for folder in ("limits", "instruments") for path in (FOLDER / folder).iterdir()),
    ids=lambda path: f"{path.parent.name}-{path.stem}",
)
def test_every_other_file_that_comes_with_the_program_is_good(path: Path) -> None:
    assert check.mistakes(path) == ()
