"""Sources without a port: the machine itself, a UPS, a router, from configuration to reading."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agent import config
from agent.settings.toml import ConfigError
from agent.supervise import Source
from agent.tools import dry_run
from drivers import Fix, Sample
from drivers.sim import power

from ..waiting import until

HEAD = '[unit]\nid = "cv-01"\norg = "hubei"\nprofile = "vehicle"\n'


def write(folder: Path, *sources: str) -> Path:
    path = folder / "unit.toml"
    path.write_text(HEAD + "".join(f"\n[[source]]\n{text}\n" for text in sources))
    return path


def mistakes(path: Path) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        config.load(path)
    return caught.value.mistakes


def test_several_of_them_need_no_port(tmp_path: Path) -> None:
    path = write(
        tmp_path, 'name = "kit"\ndriver = "host"', 'name = "power"\ndriver = "power"',
        'name = "router"\ndriver = "router"\nmap = "mikrotik"\nhost = "192.168.88.1"',
    )  # fmt: skip
    read = config.load(path)
    assert [source.table.port for source in read.sources] == ["", "", ""]
    assert "source kit: host on no port, silent after 10 s" in dry_run.describe(read)


def test_a_line_has_nothing_to_do_with_them(tmp_path: Path) -> None:
    path = write(tmp_path, 'name = "kit"\ndriver = "host"\nport = "/dev/ttyX"\nbaudrate = 9600')
    assert mistakes(path) == (
        f"{path}:9: [source] port: the driver 'host' has no line; drop it",
        f"{path}:10: [source] baudrate: the driver 'host' has no line; drop it",
    )


@pytest.mark.parametrize("port", ["", '\nport = ""'])
def test_all_others_need_one(tmp_path: Path, port: str) -> None:
    path = write(tmp_path, f'name = "battery"\ndriver = "vedirect"{port}')
    (sentence,) = mistakes(path)
    assert "[source] port: missing; expected the path of a serial device" in sentence


def test_a_map_s_mistakes_are_the_configuration_s(tmp_path: Path) -> None:
    path = write(tmp_path, 'name = "r"\ndriver = "router"\nmap = "mikrotic"\nhost = "x"')
    assert "did you mean mikrotik?" in mistakes(path)[0]


async def test_a_source_runs_without_a_port_and_comes_back(tmp_path: Path) -> None:
    text = f'name = "power"\ndriver = "power"\nroot = "{tmp_path}"\nperiod_s = 0.02'
    source_config = config.load(write(tmp_path, text)).sources[0]
    got: list[Sample | Fix] = []
    states: list[str] = []
    source = Source(
        source_config, lambda name, found: got.append(found), lambda s: states.append(s.state)
    )
    running = asyncio.create_task(source.run())
    try:
        await until(lambda: source.state == "down", "there is no battery")
        assert "no supply of power is known here" in source.detail
        power.Twin(tmp_path)
        await until(lambda: source.state == "up", "a battery has come")
        await until(lambda: bool(got), "it is read")
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    first = got[0]
    assert isinstance(first, Sample)
    assert (first.quantity, first.value, first.unit) == ("battery", 80.0, "%EL")
