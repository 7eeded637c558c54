"""Ports in a configuration: names of the network, and buses that several sources share."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent import config
from agent.settings.toml import ConfigError
from agent.tools.dry_run import describe

UNIT = '[unit]\nid = "cv-01"\norg = "hubei"\nprofile = "vehicle"\n'


def source(name: str, port: str, more: str = "", driver: str = "modbus") -> str:
    return f'[[source]]\nname = "{name}"\ndriver = "{driver}"\nport = "{port}"\n{more}\n'


def mistakes(folder: Path, *sources: str) -> list[str]:
    path = folder / "a.toml"
    path.write_text(UNIT + "".join(sources), encoding="utf-8")
    try:
        config.load(path)
    except ConfigError as error:
        return [text.removeprefix(f"{path}:") for text in error.mistakes]
    return []


def test_several_maps_on_one_bus(tmp_path: Path) -> None:
    head = source("head", "/dev/bus", "addresses = [1, 2]")
    station = source("weather", "/dev/bus", 'map = "weather_station"\naddresses = [5]')
    assert mistakes(tmp_path, head, station) == []
    loaded = config.load(tmp_path / "a.toml")
    assert [item.line.bus for item in loaded.sources] == [True, True]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (
            source("a", "/dev/bus", "baudrate = 4800"),
            source("b", "/dev/bus"),
            "10: [source] baudrate: expected 4800 as for source 'a' on the same port, read 'none'",
        ),
        (
            source("a", "tcp://h:1", 'transport = "tcp"'),
            source("b", "tcp://h:1", 'transport = "rtu"'),
            "14: [source] transport: expected 'tcp' as for source 'a' on the same port, read 'rtu'",
        ),
        (
            source("a", "/dev/bus"),
            source("b", "/dev/bus", driver="nmea"),
            "13: [source] port: '/dev/bus' is the port of source 'a' already",
        ),
        (
            source("a", "/dev/gnss", driver="nmea"),
            source("b", "/dev/gnss", driver="nmea"),
            "13: [source] port: '/dev/gnss' is the port of source 'a' already",
        ),
    ],
)
def test_what_cannot_share(tmp_path: Path, first: str, second: str, expected: str) -> None:
    assert mistakes(tmp_path, first, second) == [expected]


def test_names_of_the_network_are_checked_and_shown(tmp_path: Path) -> None:
    assert mistakes(tmp_path, source("a", "tcp://moxa")) == [
        "8: [source] port: tcp://moxa: expected tcp://HOST:PORT, rfc2217://HOST:PORT or "
        "udp://[ADDRESS]:PORT"
    ]
    names = ("tcp://10.0.0.7:4001", "rfc2217://10.0.0.7:4002", "udp://:10110")
    assert mistakes(tmp_path, *(source(f"s{i}", name) for i, name in enumerate(names))) == []
    shown = describe(config.load(tmp_path / "a.toml")).splitlines()[2:5]
    assert [line.partition(", silent")[0] for line in shown] == [
        "source s0: modbus on tcp://10.0.0.7:4001",
        "source s1: modbus on rfc2217://10.0.0.7:4002, 9600 8N1",
        "source s2: modbus on udp://:10110",
    ]
