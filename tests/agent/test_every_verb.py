"""Every verb through a real Mosquitto, to a whole unit: carried out, repeated, refused for want of
authority or for its arguments, too late, malformed; each with its ack, its answer and its audit.

A verb without a case (tests/agent/verb_cases.py) fails here.
"""

from __future__ import annotations

import contextlib
import importlib.util
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from agent import topics
from agent.app import App
from agent.messages import Class
from agent.settings.authority import VERBS
from agent.verbs import ARGUMENTS
from tests.agent.rig import ROOT, Center, center
from tests.agent.verb_cases import CASES, ITEM, PICTURE, Case
from tests.agent.whole import Whole, whole
from tests.mosquitto import Mosquitto
from tests.waiting import until

CAN_FILM = all(importlib.util.find_spec(name) for name in ("av", "cv2", "aiortc"))
REPLY = "outpost-exercise/v1/hubei/hq/reply"


def tables(port: int, verbs: tuple[str, ...], *, media: bool) -> str:
    allowed = msgspec.json.encode(verbs).decode()
    # What the cases let them say comes from no wire; they themselves are never heard.
    sources = "".join(
        f'[[source]]\nname = "{name}"\ndriver = "host"\nperiod_s = 3000.0\nsilent_s = 3600.0\n'
        for name in ("head", "mast", "gas")
    )
    return (
        f"[media]\nenabled = {str(media).lower()}\n"
        '[media.voice]\nspeaker = "file:/dev/null"\n'
        '[[camera]]\nname = "front"\nsource = "scene"\n'
        '[[media.whip]]\nname = "hq"\nurl = "http://127.0.0.1:9/whip"\nstart = "asked"\n'
        '[[rates.profile]]\nname = "thin"\nperiod_s = 30.0\nbudget_mb_per_day = 5.0\n'
        f'[[uplink]]\nname = "center"\nhost = "127.0.0.1"\nport = {port}\ntls = false\n'
        f"local = true\nverbs = {allowed}\n{sources}"
    )


@contextlib.asynccontextmanager
async def commanded(
    mosquitto: Mosquitto, folder: Path, case: Case, verbs: tuple[str, ...] = VERBS
) -> AsyncIterator[tuple[Whole, Center]]:
    """A unit in the state that the verb needs, and a center that hears all of it."""
    if case.media and not CAN_FILM:
        pytest.skip("the extra 'media' is not installed")
    snapshots = folder / "state" / "snapshots"
    snapshots.mkdir(parents=True)
    (snapshots / f"{ITEM.id}.jpg").write_bytes(PICTURE)
    (snapshots / f"{ITEM.id}.json").write_bytes(msgspec.json.encode(ITEM))

    def prepare(app: App) -> None:
        case.prepare(app)

    given = tables(mosquitto.port, verbs, media=case.media)
    async with (
        center(mosquitto.port, f"{ROOT}/#", REPLY) as heard,
        whole(folder, given, prepare) as made,
    ):
        if case.trial:
            heard.command("config.set", {"changes": {"log.level": "debug"}}, id="before")
            await done(heard, "before")
            await made.started(2)
        yield made, heard


def arguments(case: Case, app: App) -> dict[str, Any]:
    return case.good(app) if callable(case.good) else case.good


def level(verb: str) -> str:
    return f"{ROOT}/cmd/{topics.command_level(verb)}"


def acks(heard: Center, name: str) -> list[dict[str, Any]]:
    return [r.body for r in heard.of(Class.ACK) if r.body["id"] == name]


async def done(heard: Center, name: str, count: int = 1) -> dict[str, Any]:
    """The last ack of this command, when there are so many."""
    await until(lambda: len(acks(heard, name)) >= count, f"{count} acks of {name} arrive", 20.0)
    return acks(heard, name)[-1]


async def audited(heard: Center, name: str) -> dict[str, Any]:
    """Who gave the command, what it was, and what became of it."""

    def found() -> list[dict[str, Any]]:
        return [
            r.body["data"] for r in heard.of(Class.EVENTS)
            if r.body["event"] == "command" and r.body["data"]["id"] == name
        ]  # fmt: skip

    await until(lambda: bool(found()), f"the audit of {name} arrives", 20.0)
    (only,) = found()
    return only


def test_every_verb_has_a_case() -> None:
    assert sorted(CASES) == sorted(ARGUMENTS)


@pytest.mark.parametrize("verb", CASES)
async def test_it_is_carried_out_once_answered_and_audited(
    mosquitto: Mosquitto, tmp_path: Path, verb: str
) -> None:
    """Through the topic with a hyphen, and again through the one with its points."""
    case = CASES[verb]
    async with commanded(mosquitto, tmp_path, case) as (made, heard):
        runs = made.runs
        args = arguments(case, made.running)
        body = {"id": "c1", "by": "duty officer", "issued": now(), "mark": "exercise", "args": args}
        assert heard.connection is not None
        heard.connection.publish(
            level(verb), msgspec.json.encode(body), response_topic=REPLY, correlation=b"\x07x"
        )
        ack = await done(heard, "c1")
        outcome = ("refused", "unavailable") if case.unavailable else ("done", "ok")
        assert (ack["outcome"], ack.get("code", "ok")) == outcome, ack
        assert (ack["verb"], ack["by"]) == (verb, "duty officer")
        await until(lambda: bool(replies(heard)), "the answer arrives")
        assert msgspec.json.decode(replies(heard)[0].payload) == ack
        assert replies(heard)[0].correlation == b"\x07x"
        if case.restarts:
            await made.started(runs + 1)
        assert await audited(heard, "c1") == {
            "verb": verb, "id": "c1", "by": "duty officer", "outcome": outcome[0],
            "code": outcome[1],
        }  # fmt: skip
        offered = made.running.commands.verbs
        assert (verb in offered) is not case.unavailable
        assert {name: entry.args for name, entry in offered.items()} == {
            name: ARGUMENTS[name] for name in offered
        }, "a row of the table that nobody publishes, or of other arguments"
        runs = made.runs
        heard.command(verb, args, id="c1")
        assert await done(heard, "c1", 2) == ack
        assert made.runs == runs
        if not case.unavailable:
            await audited(heard, "c1")


@pytest.mark.parametrize("verb", CASES)
async def test_an_uplink_without_the_authority_is_refused(
    mosquitto: Mosquitto, tmp_path: Path, verb: str
) -> None:
    case = CASES[verb]
    if case.unavailable:
        pytest.skip("refused before, as it has no part for it")
    others = tuple(name for name in VERBS if name != verb)
    async with commanded(mosquitto, tmp_path, case, others) as (made, heard):
        assert verb not in made.running.says.status(made.running.uplinks[0]).verbs
        heard.command(verb, arguments(case, made.running), id="c1", topic=level(verb))
        ack = await done(heard, "c1")
        assert (ack["outcome"], ack["code"]) == ("refused", "not_authorised")
        assert ack["detail"] == f"uplink 'center' may not command {verb!r}"
        assert (await audited(heard, "c1"))["code"] == "not_authorised"


@pytest.mark.parametrize("verb", CASES)
async def test_what_is_late_wrong_or_malformed_is_refused_and_audited(
    mosquitto: Mosquitto, tmp_path: Path, verb: str
) -> None:
    case = CASES[verb]
    async with commanded(mosquitto, tmp_path, case) as (made, heard):
        runs, args = made.runs, arguments(case, made.running)
        wrong: dict[str, dict[str, Any]] = {
            "late": {"args": args, "issued": now() - 61_000},
            "over": {"args": args, "expires": now() - 1},
            "args": {"args": case.bad},
            "unit": {"args": args, "mark": "actual"},
            "form": {"args": [1]},
        }
        for name, over in wrong.items():
            heard.command(verb, id=name, topic=level(verb), **over)
        heard.command(verb, raw=b'{"id": "json"', topic=level(verb))
        codes = {name: (await done(heard, name))["code"] for name in wrong}
        assert codes == {
            "late": "unavailable" if case.unavailable else "expired",
            "over": "unavailable" if case.unavailable else "expired",
            "args": "unavailable" if case.unavailable else "bad_arguments",
            "unit": "wrong_mark",
            "form": "malformed",
        }
        assert (await done(heard, ""))["code"] == "malformed"
        for name in (*wrong, ""):
            told = await audited(heard, name)
            assert (told["verb"], told["outcome"]) == (verb, "refused")
        assert made.runs == runs, "it was not carried out"


@pytest.mark.parametrize("name", ["self.destruct", "self-destruct", "alarm", "alarm.ack.now"])
async def test_a_verb_that_does_not_exist(mosquitto: Mosquitto, tmp_path: Path, name: str) -> None:
    async with commanded(mosquitto, tmp_path, CASES["check_in"]) as (_, heard):
        heard.command(name, {}, id="c1")
        ack = await done(heard, "c1")
        assert (ack["outcome"], ack["code"]) == ("refused", "unknown_verb")
        assert ack["detail"].startswith(f"there is no verb {name.replace('-', '.')!r}; known are ")
        assert (await audited(heard, "c1"))["code"] == "unknown_verb"


async def test_a_center_of_mqtt_3_1_1_commands_as_well(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """Without response topic: the id in the payload serves."""
    async with commanded(mosquitto, tmp_path, CASES["message"]) as (made, heard):
        client = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv311)
        got: list[bytes] = []
        client.on_message = lambda _client, _data, message: got.append(bytes(message.payload))
        client.connect("127.0.0.1", mosquitto.port)
        client.loop_start()
        try:
            await until(client.is_connected, "it is connected")
            client.subscribe(f"{ROOT}/ack", qos=1)
            body = {"id": "old", "by": "hq", "issued": now(), "mark": "exercise",
                    "args": {"text": "3.1.1"}}  # fmt: skip
            client.publish(level("message"), msgspec.json.encode(body), qos=1)
            await done(heard, "old")
            await until(lambda: any(b'"old"' in payload for payload in got), "its ack arrives")
        finally:
            client.loop_stop()
        assert [shown.text for shown in made.running.desk.orders.messages()] == ["3.1.1"]


def replies(heard: Center) -> list[Any]:
    return [message for message in heard.messages if message.topic == REPLY]


def now() -> int:
    return time.time_ns() // 1_000_000
