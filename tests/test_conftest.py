"""The fixtures do what they say."""

from __future__ import annotations

import os

from tests.mosquitto import Mosquitto, is_listening


def test_a_killed_broker_is_gone_and_comes_back_on_its_port(mosquitto: Mosquitto) -> None:
    assert is_listening(mosquitto.port)
    mosquitto.kill()
    assert not is_listening(mosquitto.port)
    mosquitto.start()
    assert is_listening(mosquitto.port)


def test_a_pty_pair_carries_every_byte_both_ways(pty_pair: tuple[int, str]) -> None:
    master, path = pty_pair
    slave = os.open(path, os.O_RDWR | os.O_NOCTTY)
    every_byte = bytes(range(256))
    os.write(master, every_byte)
    assert os.read(slave, 256) == every_byte
    os.write(slave, every_byte)
    assert os.read(master, 256) == every_byte
    os.close(slave)
