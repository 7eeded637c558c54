"""agent/neighbours/radio.py: real sockets of this machine."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from agent.neighbours import radio
from agent.neighbours.packet import DATAGRAM_MAX
from agent.neighbours.radio import Radio, interfaces
from tests.waiting import until

GROUP = "239.255.77.9"


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plug:
        plug.bind(("", 0))
        return int(plug.getsockname()[1])


async def test_two_on_one_machine_hear_each_other() -> None:
    port, first, second = free_port(), list[bytes](), list[bytes]()
    async with (
        Radio(GROUP, port, lambda data, _: first.append(data), wanted=("lo",)) as one,
        Radio(GROUP, port, lambda data, _: second.append(data), wanted=("lo",)) as other,
    ):
        one.send(b"from one")
        other.send(b"from other")
        # Both hear both, themselves among them.
        expected = {b"from one", b"from other"}
        await until(lambda: set(first) == set(second) == expected, "all is heard")
        assert (one.sent, one.unsent) == (1, 0)
        assert list(one.joined) == ["lo"]


async def test_another_group_on_the_same_port_is_not_heard() -> None:
    port, heard = free_port(), list[bytes]()
    async with (
        Radio("239.255.77.8", port, lambda data, _: heard.append(data), wanted=("lo",)) as other,
        Radio(GROUP, port, lambda data, _: heard.append(data), wanted=("lo",)) as one,
    ):
        other.send(b"exercise")
        one.send(b"actual")
        await until(lambda: len(heard) == 2, "each hears its own")
        assert sorted(heard) == [b"actual", b"exercise"]


async def test_peers_are_reached_where_there_is_no_multicast() -> None:
    port, heard = free_port(), list[str]()
    async with (
        Radio(GROUP, port, lambda _data, host: heard.append(host), wanted=("none",)),
        Radio(
            GROUP, free_port(), lambda *_: None, wanted=("none",), peers=[("127.0.0.1", port)]
        ) as one,
    ):  # fmt: skip
        assert one.joined == {}
        one.send(b"to a peer")
        await until(lambda: heard == ["127.0.0.1"], "the peer hears")


async def test_what_is_too_large_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    port, heard = free_port(), list[bytes]()
    async with Radio(GROUP, port, lambda data, _: heard.append(data), wanted=("lo",)) as one:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plug:
            for data in (bytes(DATAGRAM_MAX + 1), b"small"):
                plug.sendto(data, ("127.0.0.1", port))
        await until(lambda: heard == [b"small"], "the small one is heard")
        assert one.oversized == 1
    assert f"more than {DATAGRAM_MAX} bytes came from 127.0.0.1" in caplog.text


async def test_a_port_in_use_is_named() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plug:
        plug.bind(("", 0))
        port = plug.getsockname()[1]
        with pytest.raises(OSError, match=f"neighbours: UDP port {port}: "):
            async with Radio(GROUP, port, lambda *_: None):
                pass


def test_loopback_only_where_it_is_alone_or_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = {"lo": "0x9", "wlan0": "0x1003", "eth0": "0x1002"}
    for name, value in flags.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "flags").write_text(value + "\n")
    monkeypatch.setattr(radio, "_INTERFACES", tmp_path)
    monkeypatch.setattr(
        "agent.neighbours.radio.socket.if_nameindex",
        lambda: [(1, "lo"), (2, "wlan0"), (3, "eth0"), (4, "gone0")],
    )
    assert interfaces(()) == {"wlan0": 2}
    assert interfaces(("lo",)) == {"lo": 1}
    (tmp_path / "wlan0" / "flags").write_text("0x1002")
    assert interfaces(()) == {"lo": 1}
    assert interfaces(("eth0",)) == {}


async def test_an_interface_that_comes_up_later_is_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    up: dict[str, int] = {}
    monkeypatch.setattr(radio, "interfaces", lambda _wanted: dict(up))
    port, heard = free_port(), list[bytes]()
    async with Radio(GROUP, port, lambda data, _: heard.append(data)) as one:
        one.send(b"to nobody")
        up["lo"] = socket.if_nametoindex("lo")
        one.look()
        one.send(b"to all")
        await until(lambda: heard == [b"to all"], "it is joined")
        up.clear()
        one.look()
        assert one.joined == {}
