"""A unit's kit: what is generated is a configuration of an ordinary agent, its wires are real."""

from __future__ import annotations

import asyncio
import tempfile
import tomllib
import wave
from pathlib import Path

import pytest

from agent import config
from agent.drill import scenario as scenarios
from agent.drill.kit import Kit
from agent.drill.play import make_folder
from agent.drill.scenario import Scenario
from agent.drill.world import World
from agent.messages import Mark
from agent.neighbours import keyfile
from drivers.port import open_port
from drivers.sim.line import Fault


@pytest.fixture
def chlorine() -> Scenario:
    return scenarios.load(scenarios.find("chlorine"))


def is_tty(path: str) -> bool:
    return Path(path).is_char_device()


@pytest.mark.parametrize("index", [0, 1, 2])
async def test_the_generated_configuration_is_an_ordinary_one(
    chlorine: Scenario, tmp_path: Path, index: int
) -> None:
    spec = chlorine.unit[index]
    async with Kit(spec, chlorine, tmp_path / spec.id) as kit:
        kit.write_config(18830, video=True)
        loaded = config.load(kit.config)
        assert loaded.unit.id == spec.id
        assert loaded.unit.mark is Mark.EXERCISE
        assert loaded.unit.name == {"zh": spec.name.zh, "en": spec.name.en}
        assert [source.name for source in loaded.sources] == [i.name for i in spec.instrument]
        assert all(is_tty(source.table.port) for source in loaded.sources)
        assert loaded.media.enabled
        assert [camera.name for camera in loaded.cameras] == [c.name for c in spec.camera]
        assert (loaded.uplinks[0].port, loaded.uplinks[0].tls) == (18830, False)
        assert loaded.panel is not None


async def test_a_unit_with_a_voice_hears_a_file_and_lights_a_lamp(
    chlorine: Scenario, tmp_path: Path
) -> None:
    spec = next(spec for spec in chlorine.unit if spec.voice)
    async with Kit(spec, chlorine, tmp_path / spec.id) as kit:
        kit.write_config(18830, video=True)
        loaded = config.load(kit.config)
        assert loaded.media.voice.microphone == f"file:{kit.microphone}"
        assert loaded.media.voice.open_microphone
        assert "talk" in loaded.uplinks[0].verbs
        assert loaded.panel is not None
        assert loaded.panel.live_lamp_pin is not None
        with wave.open(str(kit.microphone)) as heard:
            assert heard.getnframes() > 5 * heard.getframerate()
        kit.write_config(18830, video=False)
        assert config.load(kit.config).media.voice.microphone == ""


def test_units_of_one_drill_are_neighbours_on_this_machine_alone(
    chlorine: Scenario, tmp_path: Path
) -> None:
    keys: list[bytes] = []
    for drill in ("one", "one", "another"):
        spec = chlorine.unit[len(keys)]
        kit = Kit(spec, chlorine, tmp_path / drill / spec.id)
        kit.folder.mkdir(parents=True)
        kit.write_config(18830, video=False)
        loaded = config.load(kit.config)
        assert loaded.neighbours.interfaces == ("lo",)
        assert Path(loaded.neighbours.key_file).stat().st_mode & 0o777 == 0o600
        keys.append(keyfile.read(loaded.neighbours, loaded.unit))
    assert keys[0] == keys[1]
    assert keys[0] != keys[2]


async def test_without_video_no_media_process_is_wanted(chlorine: Scenario, tmp_path: Path) -> None:
    async with Kit(chlorine.unit[0], chlorine, tmp_path / "u") as kit:
        assert not tomllib.loads(kit.make_config(1, video=False))["media"]["enabled"]


async def test_a_head_names_what_its_registers_do_not(chlorine: Scenario, tmp_path: Path) -> None:
    head = scenarios.Instrument(
        name="head", driver="modbus", map="six_in_one", gases=("co", "cl2", "o2")
    )
    text = Kit(
        scenarios.UnitSpec(
            id="ex-x", name=chlorine.title, route=chlorine.unit[0].route, instrument=(head,)
        ),
        chlorine,
        tmp_path,
    ).make_config(1, video=False)
    (source,) = tomllib.loads(text)["source"]
    assert source["addresses"] == [1, 2, 3]
    assert source["gases"] == {"2": "cl2"}


async def test_the_twins_say_what_the_world_is(chlorine: Scenario, tmp_path: Path) -> None:
    world = World(chlorine, 7)
    world.start_source("cylinder")
    world.advance(120.0)
    spec = chlorine.unit[1]
    async with Kit(spec, chlorine, tmp_path / spec.id) as kit:
        kit.feel(world)
        playing = asyncio.create_task(kit.run())
        port = open_port(
            str(kit.folder / "port" / "cl2"), baudrate=9600, bytesize=8, parity="N", stopbits=1
        )
        try:
            data = b""
            async with asyncio.timeout(5):
                while len(data) < 9:
                    data += await port.read()
        finally:
            port.close()
            playing.cancel()
            await asyncio.wait([playing])
    frame = data[:9]
    assert frame[0] == 0xFF
    ppm = world.felt(spec.id, "cl2")["cl2"]
    assert ppm > 1
    assert int.from_bytes(frame[4:6], "big") / 10 == pytest.approx(ppm, abs=0.06)


async def test_an_instrument_takes_what_the_world_has(chlorine: Scenario, tmp_path: Path) -> None:
    """A twin refuses a quantity that it does not measure: none must be offered."""
    world = World(chlorine, 7)
    for spec in chlorine.unit:
        async with Kit(spec, chlorine, tmp_path / spec.id) as kit:
            kit.feel(world)


async def test_faults_reach_the_line_and_are_lifted(chlorine: Scenario, tmp_path: Path) -> None:
    async with Kit(chlorine.unit[1], chlorine, tmp_path / "u") as kit:
        link = kit.folder / "port" / "cl2"
        kit.inject("cl2", Fault.UNPLUG)
        assert not link.is_symlink()
        kit.restore()
        assert link.exists()


def test_a_long_temporary_folder_is_not_used_for_sockets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * 80)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    folder = make_folder(8)
    try:
        assert not folder.is_relative_to(long)
    finally:
        folder.rmdir()
    monkeypatch.setattr(tempfile, "tempdir", "/var/tmp")
    folder = make_folder(8)
    try:
        assert folder.parent == Path("/var/tmp")
    finally:
        folder.rmdir()
