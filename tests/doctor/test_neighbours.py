"""What the doctor, `check` and a running unit say of `[neighbours]`."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent import config
from agent.__main__ import main
from agent.doctor import neighbours, words
from agent.doctor.finding import Finding, Level
from agent.neighbours import radio

SECRET = "forty-two bytes that nobody is able to guess"


def write(folder: Path, more: str = 'interfaces = ["lo"]\n', secret: str | None = SECRET) -> Path:
    key = folder / "group.key"
    if secret is not None:
        key.touch(0o600)
        key.write_text(secret)
    path = folder / "unit.toml"
    path.write_text(
        '[unit]\nid = "cv-01"\norg = "hubei"\nprofile = "vehicle"\n'
        f'[store]\ndir = "{folder}"\n'
        f'[neighbours]\nenabled = true\nkey_file = "{key}"\n{more}'
    )
    return path


def found(path: Path, told: dict[str, object] | None = None) -> dict[str, Finding]:
    return {one.code: one for one in neighbours.findings(config.load(path), told)}


def test_a_good_key_tells_the_fingerprint_that_the_others_have(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path)
    key = found(path)["neighbours_key"]
    assert key.level is Level.GOOD
    assert main(["check", str(path)]) == 0
    assert f"neighbours: key {key.data['fingerprint']}" in capsys.readouterr().out
    path.write_text(path.read_text().replace('"cv-01"', '"cv-02"'))
    assert found(path)["neighbours_key"].data == key.data


def test_a_key_that_is_not_there_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, secret=None)
    lacks = found(path)["neighbours_key_absent"]
    assert lacks.level is Level.BAD
    assert "No such file or directory; none will be heard" in words.say(lacks, "en")
    # The file may be meant for another machine: a remark, and no mistake.
    assert main(["check", str(path)]) == 0
    line = f"neighbours: {tmp_path / 'group.key'}: No such file or directory, not on this machine"
    assert line in capsys.readouterr().out


def test_a_key_that_is_no_secret(tmp_path: Path) -> None:
    short = found(write(tmp_path, secret="1234"))["neighbours_key_malformed"]
    assert short.level is Level.BAD
    assert "expected at least 16 bytes of secret, read 4" in short.data["detail"]


def test_a_key_that_everybody_may_read(tmp_path: Path) -> None:
    path = write(tmp_path)
    (tmp_path / "group.key").chmod(0o644)
    opened = found(path)["neighbours_key_open"]
    assert opened.level is Level.WARN
    assert "chmod 0600" in words.say(opened, "zh")


@pytest.mark.parametrize(
    ("flags", "more", "expected"),
    [
        ({"lo": 0x49, "wlan0": 0x1043}, "", {"neighbours_interface": "wlan0"}),
        ({"lo": 0x49}, "", {"neighbours_loopback": "lo"}),
        ({"lo": 0x49, "tun0": 0x11}, "", {"neighbours_no_multicast": "tun0"}),
        ({"lo": 0x49, "wlan0": 0x1002}, 'interfaces = ["wlan0"]\n',
         {"neighbours_interface_down": "wlan0"}),
    ],
)  # fmt: skip
def test_what_it_speaks_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: dict[str, int], more: str,
    expected: dict[str, str],
) -> None:  # fmt: skip
    for name, value in flags.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "flags").write_text(f"{value:#x}\n")
    monkeypatch.setattr(radio, "_INTERFACES", tmp_path)
    monkeypatch.setattr("socket.if_nameindex", lambda: list(enumerate(flags, 1)))
    said = found(write(tmp_path, more))
    assert {code: one.data["name"] for code, one in said.items() if "name" in one.data} == expected
    good = "neighbours_interface" in expected
    levels = [one.level for one in said.values() if "name" in one.data]
    assert levels == [Level.GOOD if good else Level.BAD]


def test_peers_stand_in_for_multicast(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tun0").mkdir()
    (tmp_path / "tun0" / "flags").write_text("0x11\n")
    monkeypatch.setattr(radio, "_INTERFACES", tmp_path)
    monkeypatch.setattr("socket.if_nameindex", lambda: [(2, "tun0")])
    said = found(write(tmp_path, 'peers = ["10.8.0.2"]\n'))
    assert said["neighbours_no_multicast"].level is Level.NOTE


def test_what_a_running_unit_hears_and_refuses(tmp_path: Path) -> None:
    path = write(tmp_path)
    heard = found(path, {"units": ["kit-07", "kit-08"], "refused": {"unproved": 2}})[
        "neighbours_heard"
    ]
    assert words.say(heard, "en") == "+ neighbours: heard kit-07, kit-08"
    refused = found(path, {"units": [], "refused": {"forged": 12}})["neighbours_refused"]
    assert refused.level is Level.WARN
    assert "datagrams refused: forged 12" in words.say(refused, "en")
    strangers = found(path, {"units": [], "refused": {"unproved": 40}})
    assert strangers["neighbours_refused"].level is Level.WARN
    off = found(path, {"detail": "neighbours are not heard: port 5377 is taken"})["neighbours_off"]
    assert off.level is Level.BAD


def test_a_unit_without_neighbours_is_asked_for_none(tmp_path: Path) -> None:
    path = write(tmp_path, secret=None)
    path.write_text(path.read_text().replace("enabled = true", "enabled = false"))
    assert found(path) == {}
