"""What several rooms' tests need: a real Mosquitto, a free port, a pty pair."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.mosquitto import Mosquitto, find_free_port, find_mosquitto
from tests.ptys import raw_pty

# What a machine is busy with besides is no mistake of ours.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


@pytest.fixture
def free_port() -> int:
    return find_free_port()


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    program = find_mosquitto()
    if program is None:
        pytest.skip("mosquitto is not installed (apt-get install mosquitto)")
    broker = Mosquitto.in_folder(program, tmp_path)
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


@pytest.fixture
def pty_pair() -> Iterator[tuple[int, str]]:
    """A raw pty: the master's descriptor (non-blocking) and the slave's path."""
    with raw_pty() as pair:
        yield pair


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of captures beside the checkout."""
    folder = Path(__file__).parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip("no folder shared/ beside the checkout")
    return folder
