"""config.get, config.set, config.confirm and restart through a real broker."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent import signing
from agent.clock import boot_id, boottime_ms
from agent.messages import Class, Event
from agent.settings.reconfigure import Reconfigure
from agent.settings.remote import Kept, Remote, Trial
from agent.verbs import ARGUMENTS
from tests.agent.rig import ROOT, Center, Unit, center, unit, uplink_config
from tests.agent.test_signing import KEY, command, public
from tests.mosquitto import Mosquitto
from tests.waiting import until

VERBS = ("config.get", "config.set", "config.confirm", "restart")
GOOD: dict[str, dict[str, Any]] = {
    "config.get": {},
    "config.set": {"changes": {"log.level": "debug", "uplink.center.host": "b.example.org"}},
    "config.confirm": {"change": "c0ffee"},
    "restart": {},
}
TOML = """\
[unit]
id = "ex-cv-01"
org = "hubei"
profile = "vehicle"
mark = "exercise"
[store]
dir = "{folder}"
[[source]]
name = "modem"
driver = "router"
host = "127.0.0.1"
map = "mikrotik"
community = "geheim"
[[camera]]
name = "front"
source = "rtsp://admin:geheim@10.0.0.9/1"
[media]
enabled = false
[[uplink]]
name = "center"
host = "a.example.org"
password_file = "/etc/outpost/credentials/center"
[[uplink]]
name = "city"
host = "c.example.org"
"""


class Setup:
    """A unit with these verbs, and what they did."""

    def __init__(self, made: Unit, heard: Center, remote: Remote) -> None:
        self.made = made
        self.heard = heard
        self.remote = remote
        self.restarts = 0

    def restart(self) -> None:
        self.restarts += 1

    def event(self, name: str, source: str = "", detail: str = "", **data: Any) -> None:
        body = Event(event=name, source=source, detail=detail, data=data)
        self.made.outbox.append(Class.EVENTS, body)


def trial(**over: Any) -> Trial:
    given: dict[str, Any] = {
        "change": "c0ffee", "uplink": "center", "by": "x", "values": {"log.level": "debug"},
        "within_s": 60.0, "until_ms": boottime_ms() + 60_000, "boot": boot_id(),
    }  # fmt: skip
    return Trial(**{**given, **over})


def written(folder: Path, kept: Kept | None = None, toml: str = TOML) -> Path:
    """A unit's file, and what was changed from afar."""
    file = folder / "agent.toml"
    file.write_text(toml.replace("{folder}", str(folder)))
    if kept is not None:
        (folder / "remote.json").write_bytes(msgspec.json.encode(kept))
    return file


@contextlib.asynccontextmanager
async def setup(
    mosquitto: Mosquitto, folder: Path, verbs: tuple[str, ...] = VERBS, **over: Any
) -> AsyncIterator[Setup]:
    """A change waits where `config.confirm` may be given alone."""
    waiting = over.pop("waiting", None)
    file = written(folder, Kept(trial=waiting))
    config, remote = Remote.load(file)
    uplink = uplink_config(mosquitto.port, verbs=verbs, **over)
    async with center(mosquitto.port) as heard, unit(folder / "store", uplink) as made:
        found = Setup(made, heard, remote)
        reconfigure = Reconfigure(config, remote, found.restart, found.event)
        made.commands.verbs |= reconfigure.verbs()
        await until(lambda: made.uplink.state == "up", "the uplink is up")
        yield found


def waiting(verb: str) -> Trial | None:
    return trial() if verb == "config.confirm" else None


@pytest.mark.parametrize("verb", VERBS)
async def test_it_is_carried_out_once(mosquitto: Mosquitto, tmp_path: Path, verb: str) -> None:
    async with setup(mosquitto, tmp_path, waiting=waiting(verb)) as found:
        for number in range(2):
            found.heard.command(verb, GOOD[verb], id="c1")
            ack = await found.heard.ack(number)
            assert (ack["id"], ack["outcome"], ack["by"]) == ("c1", "done", "duty officer")
        first, second = (record.body for record in found.heard.of(Class.ACK))
        assert first == second
        assert found.restarts == (1 if verb in ("config.set", "restart") else 0)
        kept = msgspec.json.decode((tmp_path / "remote.json").read_bytes(), type=Kept)
        assert kept == found.remote.kept
        match verb:
            case "config.set":
                assert kept.trial is not None
                assert kept.trial.values == GOOD["config.set"]["changes"]
                assert ack["result"] == {"change": kept.trial.change, "confirm_within_s": 120.0}
                assert 119 < kept.trial.left_s() <= 120
            case "config.confirm":
                assert (kept.values, kept.trial) == ({"log.level": "debug"}, None)


@pytest.mark.parametrize("verb", VERBS)
async def test_it_is_refused(mosquitto: Mosquitto, tmp_path: Path, verb: str) -> None:
    """Without authority, too late, of another mark, with strange arguments."""
    now = time.time_ns() // 1_000_000
    others = tuple(name for name in VERBS if name != verb)
    assert verb in ARGUMENTS
    async with setup(mosquitto, tmp_path, others, waiting=waiting(verb)) as found:
        found.heard.command(verb, GOOD[verb])
        assert (await found.heard.ack())["code"] == "not_authorised"
        found.made.uplink.config = uplink_config(mosquitto.port, verbs=VERBS)
        found.heard.command(verb, GOOD[verb], id="a", issued=now - 61_000)
        found.heard.command(verb, GOOD[verb], id="b", mark="actual")
        found.heard.command(verb, {**GOOD[verb], "extra": 1}, id="c")
        found.heard.command(verb, raw=b"{")
        codes = [(await found.heard.ack(number))["code"] for number in range(1, 5)]
        assert codes == ["expired", "wrong_mark", "bad_arguments", "malformed"]
        assert found.restarts == 0
        assert found.remote.kept.trial == waiting(verb) or verb == "config.confirm"
        assert found.remote.kept.values == {}


@pytest.mark.parametrize("verb", VERBS)
async def test_it_is_signed_where_there_are_signers(
    mosquitto: Mosquitto, tmp_path: Path, verb: str
) -> None:
    signed = signing.sign(KEY, f"{ROOT}/cmd/{verb}", command(args=GOOD[verb]))
    async with setup(
        mosquitto, tmp_path, waiting=waiting(verb), signers=(public(KEY),)
    ) as found:  # fmt: skip
        found.heard.command(verb, GOOD[verb])
        changed = signed.replace(b"duty officer", b"somebody els")
        found.heard.command(verb, raw=changed)
        codes = [(await found.heard.ack(number))["code"] for number in range(2)]
        assert codes == ["unsigned", "bad_signature"]
        assert found.restarts == 0
        found.heard.command(verb, raw=signed)
        assert (await found.heard.ack(2))["outcome"] == "done"


async def test_what_is_in_force_is_told_without_secrets(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    async with setup(mosquitto, tmp_path, waiting=trial()) as found:
        found.heard.command("config.get", {}, id="a")
        ack = await found.heard.ack()
        assert "geheim" not in str(ack)
        told = ack["result"]
        assert list(told["config"]) == [
            "unit", "store", "log", "source", "alarms", "panel", "media", "camera", "person",
            "neighbours", "rates", "relay", "uplink",
        ]  # fmt: skip
        assert told["config"]["log"].items() >= {"format": "human", "level": "debug"}.items()
        assert told["config"]["source"][0]["community"] == "***"
        assert told["config"]["camera"][0]["source"] == "rtsp://***@10.0.0.9/1"
        assert told["config"]["uplink"][0]["password_file"] == "/etc/outpost/credentials/center"
        assert told["trial"].pop("left_s") > 50
        assert told["trial"] == {
            "change": "c0ffee", "uplink": "center", "changes": {"log.level": "debug"},
        }  # fmt: skip
        found.heard.command("config.get", {"table": "log"}, id="b")
        assert (await found.heard.ack(1))["result"]["config"] == {"log": told["config"]["log"]}
        found.heard.command("config.get", {"table": "logs"}, id="c")
        ack = await found.heard.ack(2)
        assert ack["code"] == "not_found"
        assert ack["detail"].startswith("there is no table 'logs'; known are unit, store, log, ")


@pytest.mark.parametrize(
    ("changes", "code", "detail"),
    [
        ({"unit.id": "cv-02", "log.level": "debug", "uplink.center.verbs": []}, "not_settable",
         "unit.id, uplink.center.verbs: not to be changed over the uplink 'center'"),
        ({"uplink.city.host": "x"}, "not_settable",
         "uplink.city.host: not to be changed over the uplink 'center'"),
        ({"uplink.center.password_file": "/etc/shadow"}, "not_settable", "uplink.center.password"),
        ({"person.motion_s": 600.0, "person.check_in.every_min": 0, "neighbours.sound": False,
          "rates.most_s": 3600.0, "relay.enabled": False, "person.zone.a.radius_m": 1.0,
          "uplink.center.relay_verbs": ["restart"]}, "not_settable",
         "person.motion_s, person.check_in.every_min, neighbours.sound, rates.most_s, relay.enabled"
         ", person.zone.a.radius_m, uplink.center.relay_verbs: not to be changed"),
        ({"store.dir": "/"}, "not_settable", "store.dir: not"),
        ({"alarms.limits": "fixed"}, "not_settable", "alarms.limits: not"),
        ({"source.modem.port": "tcp://10.0.0.1:1"}, "not_settable", "source.modem.port: not"),
        ({"": 1}, "not_settable", ": not"),
        ({"log.level": "loud", "uplink.center.port": 0, "source.gas.silent_s": 3.0}, "bad_config",
         "source.gas.silent_s: there is no table 'source.gas'\n"),
        ({"log.level": "loud", "uplink.center.port": 0}, "bad_config",
         "log.level: expected one of debug, info, warning, error, read 'loud'\n"
         "uplink.center.port: expected 1 to 65535, read 0"),
        ({"alarms.override.cl2.high": [1]}, "bad_config",
         "alarms.override.cl2.high: expected a number, read [1]"),
        ({"alarms.override.xyz.high": 1}, "bad_config", "agent.toml:1: [alarms.override] unit: "),
        ({"alarms.override.cl2.high": 9.0}, "would_loosen",
         "high of cl2: expected at most 1 ppm, read 9"),
        ({"source.modem.silent_s": 99.0}, "would_loosen",
         "silent_s of source modem: expected at most 10, read 99.0"),
        ({}, "bad_arguments", "args: "),
    ],
    ids=str,
)  # fmt: skip
async def test_a_change_that_may_not_be_is_refused_with_all_reasons(
    mosquitto: Mosquitto, tmp_path: Path, changes: dict[str, Any], code: str, detail: str
) -> None:
    async with setup(mosquitto, tmp_path) as found:
        found.heard.command("config.set", {"changes": changes})
        ack = await found.heard.ack()
        assert (ack["outcome"], ack["code"]) == ("refused", code)
        assert ack["detail"].replace(f"{tmp_path}/", "").startswith(detail)
        assert found.restarts == 0
        assert found.remote.kept == Kept()


async def test_one_change_waits_at_a_time_and_its_own_center_confirms_it(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    async with setup(mosquitto, tmp_path) as found:
        found.heard.command("config.set", GOOD["config.set"], id="a")
        change = (await found.heard.ack())["result"]["change"]
        found.heard.command("config.set", GOOD["config.set"], id="b")
        ack = await found.heard.ack(1)
        assert (ack["code"], ack["detail"]) == (
            "unavailable", f"the change {change} waits for its confirmation",
        )  # fmt: skip
        found.heard.command("config.confirm", {"change": change}, id="c")
        ack = await found.heard.ack(2)
        assert (ack["code"], ack["detail"]) == (
            "unavailable", "the change is not in force yet; the unit restarts",
        )  # fmt: skip


async def test_only_what_waits_is_confirmed(mosquitto: Mosquitto, tmp_path: Path) -> None:
    async with setup(mosquitto, tmp_path, waiting=trial(uplink="city")) as found:
        found.heard.command("config.confirm", {"change": "c0ffee"}, id="a")
        found.heard.command("config.confirm", {"change": "beef"}, id="b")
        codes = [(await found.heard.ack(number))["code"] for number in range(2)]
        assert codes == ["not_authorised", "not_found"]
        assert found.remote.kept.values == {}


async def test_a_disk_that_refuses_is_told_and_changes_nothing(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    async with setup(mosquitto, tmp_path) as found:
        # What stands in the way is a folder: root writes where it may not.
        (tmp_path / "remote.new").mkdir()
        found.heard.command("config.set", GOOD["config.set"])
        ack = await found.heard.ack()
        assert (ack["outcome"], ack["code"], ack["detail"]) == (
            "failed", "unavailable", "it cannot be written: Is a directory",
        )  # fmt: skip
        assert (found.restarts, found.remote.kept) == (0, Kept())
