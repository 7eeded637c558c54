"""What replay and doctor need of every driver, so that a new one needs no other edit."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.config import driver_names
from agent.doctor.recognise import FRAMES, candidates
from agent.tools.replay import Player
from drivers import DriverConfig, recording
from drivers.recording import Chunk

SERIAL = [
    name
    for name in driver_names()
    if importlib.import_module(f"drivers.{name}").INSTRUMENT.wire == "serial"
]


def probes(name: str) -> list[tuple[Any, DriverConfig]]:
    """Each configuration that a driver is listened with."""
    module = importlib.import_module(f"drivers.{name}")
    tables: tuple[dict[str, Any], ...] = getattr(module, "PROBES", ({},))
    return [(module, msgspec.convert(keys, module.Config).check()) for keys in tables]


@pytest.mark.parametrize("name", SERIAL)
def test_a_driver_can_be_listened_with_or_says_that_it_cannot(name: str) -> None:
    for module, config in probes(name):
        player = Player(module, config)
        assert list(player.play([Chunk(0.0, b"")])) == []
        assert player.counters.frames == 0


@pytest.mark.parametrize("name", SERIAL)
def test_a_decoder_takes_its_configuration_and_counters(name: str) -> None:
    module = importlib.import_module(f"drivers.{name}")
    make = getattr(module, "listener", module.Decoder)
    assert list(inspect.signature(make).parameters)[:2] == ["config", "counters"]


@settings(max_examples=25, deadline=None)
@given(data=st.binary(max_size=400))
def test_noise_is_recognised_by_nobody(data: bytes) -> None:
    assert [found.driver for found in candidates([Chunk(0.0, data)])] == []
    assert FRAMES == 2


@pytest.mark.parametrize("name", SERIAL)
def test_text_that_is_no_instrument_s_convinces_no_driver(name: str) -> None:
    text = b"[    1.234567] usb 1-1: new full-speed USB device number 5 using xhci\r\nlogin: \r\n"
    for module, config in probes(name):
        player = Player(module, config)
        list(player.play([Chunk(0.0, text * 20)]))
        assert player.counters.frames < FRAMES


HEX_FILES = sorted((Path(__file__).parents[1] / "captures").glob("*.hex"))
GNSS = sorted((Path(__file__).parents[3] / "shared" / "corpus" / "gnss").glob("*.log"))


def drivers_of(path: Path) -> list[str]:
    return [found.driver for found in candidates(list(recording.read(path)))]


def own_driver(path: Path) -> str:
    """The one that the capture names, where it can be told by listening."""
    name = dict(recording.notes(path)).get("driver", "")
    return name if name and probes(name) else ""


@pytest.mark.parametrize("path", [p for p in HEX_FILES if own_driver(p)], ids=lambda p: p.stem)
def test_a_capture_is_known_by_its_own_driver_if_by_any(path: Path) -> None:
    assert drivers_of(path)[:1] in ([], [own_driver(path)])


def test_most_captures_are_known() -> None:
    assert sum(bool(drivers_of(path)) for path in HEX_FILES) > len(HEX_FILES) / 2


@pytest.mark.parametrize("path", GNSS, ids=lambda path: path.stem)
def test_a_real_receiver_is_known(path: Path) -> None:
    assert drivers_of(path)[:1] == ["nmea"]


def test_a_frame_of_two_makers_is_left_to_the_label() -> None:
    """EC Sense's TB600 streams Winsen's reply; a proposal must not pretend to know which."""
    frames = bytes.fromhex("FF 86 00 8F 03 E8 00 7D 83") * 4
    for found in candidates([Chunk(0.0, frames)]):
        assert "gas" in found.choices
