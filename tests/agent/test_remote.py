"""What was changed from afar, at starts: in force, lapsed, out of date, damaged; and whole agents
that are killed while a change waits."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.messages import Class
from agent.settings.remote import Changed, Kept, Remote
from agent.settings.strictness import loosened
from tests.agent.agent_process import AgentProcess, agent
from tests.agent.rig import Center, center
from tests.agent.test_reconfigure import trial, written
from tests.mosquitto import Mosquitto, find_free_port
from tests.waiting import until

VERBS = '["config.get", "config.set", "config.confirm", "restart"]'


def loaded(folder: Path, kept: Kept) -> tuple[str, str, list[str]]:
    """(log level, log format, notices) of a start."""
    config, remote = Remote.load(written(folder, kept))
    told = [f"{notice.event}: {notice.detail}" for notice in remote.kept.notices]
    return config.log.level.value, config.log.format.value, told


def test_what_is_confirmed_and_what_waits_is_in_force(tmp_path: Path) -> None:
    kept = Kept(values={"log.format": "json"}, trial=trial())
    assert loaded(tmp_path, kept) == ("debug", "json", [])
    back = Kept(values={"log.format": "json"}, trial=trial(values={"log.format": None}))
    assert loaded(tmp_path, back) == ("info", "human", [])


@pytest.mark.parametrize("over", [{"until_ms": 0}, {"boot": "another"}], ids=["late", "power cut"])
def test_what_nobody_confirmed_is_rolled_back(tmp_path: Path, over: dict[str, Any]) -> None:
    kept = Kept(values={"log.format": "json"}, trial=trial(**over))
    assert loaded(tmp_path, kept) == (
        "info", "json",
        ["config_rolled_back: not confirmed in time, or the machine was started anew"],
    )  # fmt: skip


def test_what_does_not_fit_any_more_is_taken_back_and_never_stops_a_start(tmp_path: Path) -> None:
    values = {"source.gone.silent_s": 3.0}
    level, _, told = loaded(
        tmp_path, Kept(values={"log.level": "error"}, trial=trial(values=values))
    )
    assert (level, told) == (
        "error", ["config_rolled_back: it does not fit the unit's file any more"],
    )  # fmt: skip
    level, _, told = loaded(tmp_path, Kept(values=values | {"log.level": "error"}))
    assert (level, told) == (
        "info",
        ["config_set_aside: it does not fit the unit's file any more, which alone is in force: "
         "source.gone.silent_s, log.level"],
    )  # fmt: skip


def test_a_damaged_file_is_told_and_never_stops_a_start(tmp_path: Path) -> None:
    file = written(tmp_path)
    (tmp_path / "remote.json").write_bytes(b'{"values": {"log')
    config, remote = Remote.load(file)
    assert config.log.level.value == "info"
    (notice,) = remote.kept.notices
    assert notice.event == "config_set_aside"
    assert notice.detail.startswith(
        f"{tmp_path}/remote.json cannot be used; the unit's own file alone is in force: "
    )


def test_it_is_written_as_a_whole_and_the_former_stays(tmp_path: Path) -> None:
    _, remote = Remote.load(written(tmp_path, Kept(values={"log.format": "json"})))
    remote.begin(trial())
    remote.confirm()
    values = {"log.format": "json", "log.level": "debug"}
    assert msgspec.json.decode((tmp_path / "remote.json").read_bytes())["values"] == values
    assert "c0ffee" in (tmp_path / "remote.old").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "agent.toml", "remote.json", "remote.old",
    ]  # fmt: skip
    assert (tmp_path / "remote.json").stat().st_mode & 0o777 == 0o600


# -- what protects people ------------------------------------------------------------------------

UNIT = """\
[unit]
id = "cv-01"
org = "hubei"
profile = "PROFILE"
[[source]]
name = "gas"
driver = "winsen"
port = "p"
gas = "cl2"
[[alarms.override]]
quantity = "co"
hysteresis = 5.0
[panel]
factory = "mock"
sos_pin = 17
ack_pin = 27
"""


@pytest.mark.parametrize(
    ("changes", "sentences"),
    [
        ({"alarms.override.cl2.high": 0.9, "alarms.override.o2.deficient": 20.0}, []),
        ({"alarms.override.cl2.high": 1.1}, ["high of cl2: expected at most 1 ppm, read 1.1"]),
        ({"alarms.override.o2.deficient": 18.0},
         ["deficient of o2: expected at least 19.5 /100, read 18"]),
        ({"alarms.override.gas/cl2.high": 2.0},
         ["high of cl2 of gas: expected at most 1 ppm, read 2"]),
        ({"alarms.override.gas/cl2.high": 0.9}, []),
        ({"alarms.override.cl2.hysteresis": 0.01},
         ["hysteresis of cl2: expected at least 0.1 ppm, read 0.01"]),
        ({"alarms.override.cl2.hysteresis": 0.2}, []),
        ({"alarms.override.co.hysteresis": 4.0}, ["hysteresis of co: expected at least 5 ppm"]),
        ({"source.gas.silent_s": 5.0, "source.gas.place": "mast"}, []),
        ({"source.gas.silent_s": 11.0},
         ["silent_s of source gas: expected at most 10, read 11.0"]),
        ({"source.gas.same_s": 60.0}, []),
        ({"source.gas.baudrate": 4800},
         ["baudrate of source gas: expected None as it is, read 4800"]),
        ({"source.gas.calibrated": "2026-11-01"},
         ["calibrated of source gas: expected None as it is, read datetime.date(2026, 11, 1)"]),
        ({"source.gas.calibration_days": 30, "panel.sos_hold_s": 1.0}, []),
        ({"panel.sos_hold_s": 4.5, "panel.clean_hold_s": 0.5},
         ["sos_hold_s: expected at most 3, read 4.5",
          "clean_hold_s: expected at least 5, read 0.5"]),
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("profile", ["vehicle", "soldier", "monitor", "laptop"])
def test_a_unit_with_people_only_becomes_stricter(
    tmp_path: Path, changes: dict[str, Any], sentences: list[str], profile: str
) -> None:
    text = UNIT.replace("PROFILE", profile) + f'[store]\ndir = "{tmp_path}"\n'
    _, remote = Remote.load(written(tmp_path, toml=text))
    before, after = remote.laid({}), remote.laid(changes)
    found = loosened(before, after)
    if profile in ("monitor", "laptop"):
        assert found == []
    else:
        assert len(found) == len(sentences)
        assert all(read.startswith(said) for read, said in zip(found, sentences, strict=True))
    assert loosened(before, before) == []


def test_a_limit_that_was_made_stricter_stays_so(tmp_path: Path) -> None:
    text = UNIT.replace("PROFILE", "soldier") + f'[store]\ndir = "{tmp_path}"\n'
    kept = Kept(values={"alarms.override.cl2.high": 0.5})
    _, remote = Remote.load(written(tmp_path, kept, text))
    assert loosened(remote.laid({}), remote.laid({"alarms.override.cl2.high": None})) == [
        "high of cl2: expected at most 0.5 ppm, read 1"
    ]


def test_a_person_who_makes_the_file_stricter_is_not_overruled(tmp_path: Path) -> None:
    """What a center had changed before goes, as far as it would loosen that; the rest stays."""
    values = {"alarms.override.cl2.high": 0.5, "alarms.override.o2.deficient": 20.0,
              "source.gas.silent_s": 5.0, "log.level": "debug"}  # fmt: skip
    text = UNIT.replace("PROFILE", "soldier") + f'[store]\ndir = "{tmp_path}"\n'
    config, remote = Remote.load(written(tmp_path, Kept(values=values), text))
    assert (config.set_points["cl2"].high, remote.kept.notices) == (0.5, ())
    stricter = text + '[[alarms.override]]\nquantity = "cl2"\nlow = 0.1\nhigh = 0.3\n'
    stricter = stricter.replace('gas = "cl2"', 'gas = "cl2"\nsilent_s = 4.0')
    config, remote = Remote.load(written(tmp_path, None, stricter))
    assert config.set_points["cl2"].high == 0.3
    assert config.set_points["o2"].deficient == 20.0
    assert [source.table.silent_s for source in config.sources] == [4.0]
    assert config.log.level.value == "debug"
    assert remote.kept.values == {"alarms.override.o2.deficient": 20.0, "log.level": "debug"}
    (notice,) = remote.kept.notices
    assert notice.event == "config_set_aside"
    assert notice.detail.startswith(
        "the unit's file is stricter now, and holds: alarms.override.cl2.high, source.gas.silent_s "
        "(high of cl2: expected at most 0.3 ppm, read 0.5; "
    )
    waiting = Kept(trial=trial(values={"alarms.override.cl2.high": 0.4}))
    config, remote = Remote.load(written(tmp_path, waiting, stricter))
    assert config.set_points["cl2"].high == 0.3
    assert remote.kept.trial is None


@pytest.mark.parametrize("path", ["panel.sos_hold_s", "alarms.override.gas/cl2.high", "a.b.c"])
def test_a_path_that_leads_nowhere_is_a_mistake_or_a_new_table(tmp_path: Path, path: str) -> None:
    document = Changed("x", "[unit]\n")
    astray = document.lay({path: 1.0})
    assert astray == (["a.b.c: there is no table 'a.b'"] if path == "a.b.c" else [])


# -- whole agents --------------------------------------------------------------------------------


def tables(port: int) -> str:
    return (
        f'[[uplink]]\nname = "center"\nhost = "127.0.0.1"\nport = {port}\ntls = false\n'
        f"keepalive_s = 2\nverbs = {VERBS}\n"
    )


def events(heard: Center, name: str) -> list[dict[str, Any]]:
    return [r.body for r in heard.of(Class.EVENTS) if r.body["event"] == name]


async def begun(heard: Center, changes: dict[str, Any], within_s: float) -> str:
    """The change, once its ack is here."""
    await until(lambda: bool(events(heard, "started")), "the unit is here", 20)
    args = {"changes": changes, "confirm_within_s": within_s}
    heard.command("config.set", args, id="set")
    ack = await heard.ack()
    assert ack["outcome"] == "done", ack
    change: str = ack["result"]["change"]
    return change


async def killed_and_started(made: AgentProcess) -> None:
    await made.kill()
    made.start()


async def test_a_change_is_tried_confirmed_and_stays(tmp_path: Path, mosquitto: Mosquitto) -> None:
    async with (
        center(mosquitto.port) as heard,
        agent(tmp_path / "unit", tables(mosquitto.port)) as made,
    ):
        process = made.process
        assert process is not None
        change = await begun(heard, {"unit.name.en": "Renamed"}, 60)
        await until(lambda: bool(events(heard, "config_trial")), "it is in force", 20)
        assert process.poll() is None, "the same process goes on"
        told = events(heard, "config_trial")[0]
        assert (told["source"], told["data"]["change"]) == ("center", change)
        assert told["data"]["changes"] == {"unit.name.en": "Renamed"}
        # kill -9 while it waits ends nothing: the time runs on.
        await killed_and_started(made)
        await until(lambda: len(events(heard, "config_trial")) == 2, "it still waits", 20)
        heard.command("config.confirm", {"change": change}, id="confirm")
        assert (await heard.ack(1))["outcome"] == "done"
        await until(lambda: bool(events(heard, "config_confirmed")), "it is told")
        await killed_and_started(made)
        await until(lambda: len(events(heard, "started")) == 4, "it starts again", 20)
        await until(
            lambda: heard.retained["status"]["name"].get("en") == "Renamed", "the name stays"
        )
        assert len(events(heard, "config_trial")) == 2
        assert await made.stop() == 0


async def test_a_center_that_is_lost_by_a_change_is_found_again_also_after_kill_9(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    async with (
        center(mosquitto.port) as heard,
        agent(tmp_path / "unit", tables(mosquitto.port)) as made,
    ):
        port = find_free_port()
        change = await begun(heard, {"uplink.center.port": port}, 12)
        await made.says(f"127.0.0.1:{port} refused the connection")
        await killed_and_started(made)
        await until(lambda: bool(events(heard, "config_rolled_back")), "it comes back", 30)
        told = events(heard, "config_rolled_back")[0]
        assert told["data"]["change"] == change
        assert told["detail"].startswith("not confirmed ")
        assert heard.missing == 0
        heard.command("config.confirm", {"change": change}, id="late")
        assert (await heard.ack(1))["code"] == "not_found"
        assert await made.stop() == 0


async def test_a_power_cut_while_it_waits_takes_it_back(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    async with (
        center(mosquitto.port) as heard,
        agent(tmp_path / "unit", tables(mosquitto.port)) as made,
    ):
        await begun(heard, {"unit.name.en": "Renamed"}, 3600)
        await until(lambda: bool(events(heard, "config_trial")), "it is in force", 20)
        await made.kill()
        file = made.store / "remote.json"
        kept = msgspec.json.decode(file.read_bytes(), type=Kept)
        assert kept.trial is not None
        other = msgspec.structs.replace(kept.trial, boot=f"not-{kept.trial.boot}")
        file.write_bytes(msgspec.json.encode(msgspec.structs.replace(kept, trial=other)))
        made.start()
        await until(lambda: bool(events(heard, "config_rolled_back")), "it is taken back", 20)
        await until(
            lambda: msgspec.json.decode(file.read_bytes(), type=Kept) == Kept(), "it is forgotten"
        )
        assert await made.stop() == 0


async def test_it_starts_again_with_the_ack_first(tmp_path: Path, mosquitto: Mosquitto) -> None:
    async with (
        center(mosquitto.port) as heard,
        agent(tmp_path / "unit", tables(mosquitto.port)) as made,
    ):
        process = made.process
        assert process is not None
        await until(lambda: bool(events(heard, "started")), "the unit is here", 20)
        heard.command("restart", {}, id="again")
        await until(lambda: len(events(heard, "started")) == 2, "it starts again", 20)
        numbers = [
            (record.epoch, record.klass, record.body.get("event")) for record in heard.records
        ]
        first = numbers[0][0]
        assert (first, Class.EVENTS, "stopping") in numbers
        acks = heard.of(Class.ACK)
        assert [(ack.epoch, ack.body["id"], ack.body.get("outcome")) for ack in acks] == [
            (first, "again", "done")
        ]
        assert os.getpgid(process.pid) == process.pid
        assert process.poll() is None
        # A signal in the new run ends it for good.
        assert await made.stop() == 0
        assert heard.missing == 0
