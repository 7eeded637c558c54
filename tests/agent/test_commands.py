"""Commands through a real broker: each verb, and each way in which one is refused."""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent import topics
from agent.clock import UnitClock
from agent.commands import PAYLOAD_MAX, Commands, Verb
from agent.media.wire import MediaError
from agent.messages import AlarmState, Class, Event
from agent.mqtt import Message
from agent.verbs.delivery import ResendArgs
from tests.agent.rig import (
    ROOT,
    UNIT,
    VERBS,
    Center,
    Unit,
    center,
    commanded,
    unit,
    uplink_config,
)
from tests.mosquitto import Mosquitto
from tests.waiting import until

GOOD: dict[str, dict[str, Any]] = {
    "air.clean": {"alarm": "gas1/combustible/over_range"},
    "alarm.ack": {"alarm": "panel/sos/sos"},
    "sos.confirm": {},
    "resend": {"epoch": "EPOCH", "from": 1, "to": 2},
    "video.start": {"camera": "front", "period_s": 1.0, "lease_s": 5.0},
    "video.stop": {},
}
"""Arguments with which each verb can be carried out once the SOS stands."""


def arguments(verb: str, made: Unit) -> dict[str, Any]:
    args = GOOD[verb]
    return {**args, "epoch": made.outbox.epoch.name} if "epoch" in args else args


async def audit(heard: Center, number: int = 0) -> dict[str, Any]:
    def audits() -> list[dict[str, Any]]:
        return [r.body for r in heard.of(Class.EVENTS) if r.body["event"] == "command"]

    await until(lambda: len(audits()) > number, "the audit arrives")
    return audits()[number]


# -- every verb ----------------------------------------------------------------------------------


def test_every_verb_that_exists_is_tried_here(mosquitto: Mosquitto, tmp_path: Path) -> None:
    assert sorted(GOOD) == sorted(VERBS)


@pytest.mark.parametrize("verb", VERBS)
async def test_it_is_carried_out_once_acknowledged_and_audited(
    mosquitto: Mosquitto, tmp_path: Path, verb: str
) -> None:
    async with commanded(mosquitto, tmp_path) as (made, heard):
        assert sorted(made.commands.verbs) == sorted(VERBS)
        heard.command(verb, arguments(verb, made), id="c1")
        ack = await heard.ack()
        assert {key: ack[key] for key in ("id", "verb", "outcome", "by")} == {
            "id": "c1", "verb": verb, "outcome": "done", "by": "duty officer",
        }  # fmt: skip
        event = await audit(heard)
        assert event["data"] == {
            "verb": verb, "id": "c1", "by": "duty officer", "outcome": "done", "code": "ok",
        }  # fmt: skip
        match verb:
            case "alarm.ack" | "sos.confirm":
                assert ack["result"]["changed"] >= 1
                states = {a.state for a in made.engine.active() if a.code == "sos"}
                assert AlarmState.UNACKNOWLEDGED not in states
                await until(
                    lambda: heard.of(Class.ALARMS)[-1].body.get("by") == "duty officer",
                    "the center hears who has seen it",
                )
            case "air.clean":
                assert ack["result"]["changed"] == 2
                assert [standing.code for standing in made.engine.active()] == ["sos"]
            case "resend":
                assert ack["result"]["count"] == 2
                await until(lambda: heard.repeated >= 2, "both come again")
            case "video.start":
                assert list(made.media._leases) == ["front"]


@pytest.mark.parametrize("verb", VERBS)
async def test_a_repeat_gets_the_stored_ack_and_is_not_run_again(
    mosquitto: Mosquitto, tmp_path: Path, verb: str
) -> None:
    async with commanded(mosquitto, tmp_path) as (made, heard):
        for number in range(2):
            heard.command(verb, arguments(verb, made), id="c1")
            await heard.ack(number)
        first, second = (record.body for record in heard.of(Class.ACK))
        assert first == second
        assert first["outcome"] == "done"
        await until(lambda: len(heard.records) == made.outbox.made, "all arrive")
        audits = [r for r in heard.of(Class.EVENTS) if r.body["event"] == "command"]
        assert len(audits) == 1


@pytest.mark.parametrize("verb", VERBS)
async def test_an_uplink_without_the_authority_is_refused(
    mosquitto: Mosquitto, tmp_path: Path, verb: str
) -> None:
    others = tuple(name for name in VERBS if name != verb)
    async with commanded(mosquitto, tmp_path, others) as (made, heard):
        heard.command(verb, arguments(verb, made))
        ack = await heard.ack()
        assert (ack["outcome"], ack["code"]) == ("refused", "not_authorised")
        assert ack["detail"] == f"uplink 'center' may not command {verb!r}"
        assert made.engine.active() != ()
        assert (await audit(heard))["data"]["code"] == "not_authorised"


@pytest.mark.parametrize("verb", VERBS)
async def test_what_comes_too_late_is_refused(
    mosquitto: Mosquitto, tmp_path: Path, verb: str
) -> None:
    now = time.time_ns() // 1_000_000
    async with commanded(mosquitto, tmp_path) as (made, heard):
        heard.command(verb, arguments(verb, made), id="a", issued=now - 61_000)
        heard.command(verb, arguments(verb, made), id="b", expires=now - 1)
        heard.command(verb, arguments(verb, made), id="c", issued=now + 120_000)
        acks = [await heard.ack(number) for number in range(3)]
        assert {ack["code"] for ack in acks} == {"expired"}
        assert acks[0]["detail"].startswith(f"it was good until {now - 1000}, and now it is ")
        assert acks[1]["detail"].startswith(f"it was good until {now - 1}, and now it is ")
        assert acks[2]["detail"].startswith(f"it was issued at {now + 120_000}, and now it is ")
        assert acks[2]["detail"].endswith(" (UTC ms): check the clocks")
        assert made.engine.active() != ()


@pytest.mark.parametrize("verb", VERBS)
async def test_a_command_of_another_mark_is_refused(
    mosquitto: Mosquitto, tmp_path: Path, verb: str
) -> None:
    async with commanded(mosquitto, tmp_path) as (made, heard):
        heard.command(verb, arguments(verb, made), id="a", mark="actual")
        heard.command(verb, arguments(verb, made), id="b", mark=None)
        for number in range(2):
            ack = await heard.ack(number)
            assert (ack["outcome"], ack["code"]) == ("refused", "wrong_mark")
            assert ack["detail"] == "this unit is marked 'exercise', the command 'actual'"
        assert made.engine.active() != ()


@pytest.mark.parametrize(
    ("verb", "args", "code", "detail"),
    [
        ("alarm.ack", {}, "bad_arguments", "args: Object missing required field `alarm`"),
        ("alarm.ack", {"alarm": 3}, "bad_arguments",
         "args: Expected `str`, got `int` - at `$.alarm`"),
        ("alarm.ack", {"alarm": "x", "extra": 1}, "bad_arguments",
         "args: Object contains unknown field `extra`"),
        ("air.clean", {"alarm": "panel/sos/sos"}, "not_found",
         "no over-range alarm 'panel/sos/sos' stands"),
        ("air.clean", {}, "bad_arguments",
         "args: Object missing required field `alarm`"),
        ("alarm.ack", {"alarm": "gas1/cl2/high"}, "not_found", "no alarm 'gas1/cl2/high' stands"),
        ("sos.confirm", {"alarm": []}, "bad_arguments",
         "args: Expected `str`, got `array` - at `$.alarm`"),
        ("resend", {"epoch": "1-aa", "from": 1, "to": 2}, "not_found",
         "epoch '1-aa' is not held"),
        ("resend", {"epoch": "EPOCH", "from": 0, "to": 2}, "bad_arguments",
         "expected 1 <= from <= to, read 0 and 2"),
        ("resend", {"epoch": "EPOCH", "from": 3, "to": 2}, "bad_arguments",
         "expected 1 <= from <= to, read 3 and 2"),
        ("resend", {"epoch": "EPOCH", "from": 1}, "bad_arguments",
         "args: Object missing required field `to`"),
        ("video.start", {"mode": "hologram"}, "bad_arguments",
         "expected the mode 'stills' (pictures that move are offered by rtc), read 'hologram'"),
        ("video.start", {"camera": "rear"}, "not_found",
         "no camera 'rear'; this unit has: front"),
        ("video.start", {"period_s": 0.0}, "malformed", "period_s must be "),
        ("video.stop", {"camera": "rear"}, "not_found", "no camera 'rear'; this unit has: front"),
    ],
)  # fmt: skip
async def test_arguments_that_are_wrong_are_named(
    mosquitto: Mosquitto, tmp_path: Path, verb: str, args: dict[str, Any], code: str, detail: str
) -> None:
    async with commanded(mosquitto, tmp_path) as (made, heard):
        if args.get("epoch") == "EPOCH":
            args = {**args, "epoch": made.outbox.epoch.name}
        heard.command(verb, args)
        ack = await heard.ack()
        assert (ack["outcome"], ack["code"]) == ("refused", code)
        assert ack["detail"].startswith(detail)


async def test_no_sos_to_confirm(mosquitto: Mosquitto, tmp_path: Path) -> None:
    async with commanded(mosquitto, tmp_path) as (_, heard):
        heard.command("sos.confirm", {}, id="a")
        heard.command("sos.confirm", {}, id="b")
        assert (await heard.ack(0))["outcome"] == "done"
        ack = await heard.ack(1)
        assert (ack["code"], ack["detail"]) == ("not_found", "no call for help stands")


async def test_resend_of_all_that_ever_was(mosquitto: Mosquitto, tmp_path: Path) -> None:
    async with commanded(mosquitto, tmp_path) as (made, heard):
        before = made.outbox.epoch.last
        heard.command("resend", {"epoch": made.outbox.epoch.name, "from": 1, "to": 2**62})
        ack = await heard.ack()
        assert ack["result"]["held_from"] == 1
        assert ack["result"]["count"] >= before
        await until(lambda: heard.repeated >= before, "all come again")


async def test_a_camera_that_cannot_be_had_is_said_in_the_media_s_words(
    mosquitto: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with commanded(mosquitto, tmp_path) as (made, heard):

        def refuse(*_: object) -> None:
            raise MediaError("unavailable", "video is disabled: [media] enabled = false")

        monkeypatch.setattr(made.media, "stills", refuse)
        heard.command("video.start", {})
        ack = await heard.ack()
        assert (ack["code"], ack["detail"]) == (
            "unavailable", "video is disabled: [media] enabled = false",
        )  # fmt: skip


# -- what is no command --------------------------------------------------------------------------

MALFORMED: dict[str, tuple[bytes, str]] = {
    "no JSON": (b"resend!", "expected a command as JSON, read b'resend!': "),
    "nothing": (b"", "expected a command as JSON, read b'': "),
    "no UTF-8": (b'{"id":"\xff"}', "expected a command as JSON, read "),
    "a list": (b"[1]", "expected a command as JSON, read b'[1]': Expected `object`, got `array`"),
    "no issued": (
        b'{"id":"c9","by":"x"}',
        """expected a command as JSON, read b'{"id":"c9","by":"x"}': """
        "Object missing required field `issued`",
    ),
    "no id": (
        b'{"id":"","by":"x","issued":1}',
        "expected id and by of 1 to 128 characters, read 0 and 1",
    ),
    "nobody": (
        b'{"id":"c9","by":"","issued":1}',
        "expected id and by of 1 to 128 characters, read 2 and 0",
    ),
    "too long": (
        b'{"id":"%s","by":"x","issued":1}' % (b"c" * 129),
        "expected id and by of 1 to 128 characters, read 129 and 1",
    ),
    "a strange mark": (
        b'{"id":"c9","by":"x","issued":1,"mark":"joke"}', "expected a command as JSON, read "
    ),
    "too large": (
        b" " * (PAYLOAD_MAX + 1), f"read {PAYLOAD_MAX + 1} bytes, expected at most {PAYLOAD_MAX}"
    ),
}  # fmt: skip


@pytest.mark.parametrize(("payload", "detail"), MALFORMED.values(), ids=MALFORMED)
async def test_what_is_malformed_is_answered_and_the_agent_goes_on(
    mosquitto: Mosquitto, tmp_path: Path, payload: bytes, detail: str
) -> None:
    async with commanded(mosquitto, tmp_path) as (_, heard):
        heard.command("resend", raw=payload)
        ack = await heard.ack()
        assert (ack["outcome"], ack["code"]) == ("refused", "malformed")
        assert ack["detail"].startswith(detail)
        # Whoever sent it can tell that it was theirs, where the id could be read.
        known = {b'"c9"': "c9", b"ccc": "c" * 128}
        assert ack["id"] == next((name for bit, name in known.items() if bit in payload), "")
        heard.command("video.stop", {})
        assert (await heard.ack(1))["outcome"] == "done"


async def test_a_verb_that_does_not_exist(mosquitto: Mosquitto, tmp_path: Path) -> None:
    async with commanded(mosquitto, tmp_path) as (_, heard):
        heard.command("self.destruct", {})
        ack = await heard.ack()
        assert (ack["code"], ack["detail"]) == (
            "unknown_verb",
            "there is no verb 'self.destruct'; known are air.clean, alarm.ack, resend, "
            "sos.confirm, video.start, video.stop",
        )


async def test_a_retained_command_is_never_carried_out(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    async with center(mosquitto.port) as heard:
        assert heard.connection is not None
        command = {"id": "c1", "by": "x", "issued": time.time_ns() // 10**6, "mark": "exercise"}
        heard.connection.publish(
            f"{ROOT}/cmd/sos.confirm", msgspec.json.encode(command), retain=True
        )
        async with unit(tmp_path / "store", uplink_config(mosquitto.port)) as made:
            made.alarms(made.engine.sos(made.clock.now_ms()))
            ack = await heard.ack()
            assert (ack["id"], ack["code"]) == ("c1", "expired")
            assert ack["detail"] == "a retained command is never carried out"
            assert made.engine.active() != ()


async def test_a_command_to_all_units(mosquitto: Mosquitto, tmp_path: Path) -> None:
    async with commanded(mosquitto, tmp_path) as (_, heard):
        heard.command("video.stop", topic="outpost-exercise/v1/hubei/all/cmd/video.stop")
        assert (await heard.ack())["outcome"] == "done"


MEMBERS = ["id", "by", "issued", "expires", "mark", "args", "epoch", "from", "to"]


class NoOutbox:
    """Takes what it is given, and forgets it."""

    def __init__(self) -> None:
        self.listeners: list[object] = []
        self.bodies: list[Any] = []
        self.store = SimpleNamespace(commands={})
        self.clock = UnitClock()

    def append(self, klass: Class, body: Any, **_: str) -> Any:
        self.bodies.append(body)
        return SimpleNamespace(seq=len(self.bodies))


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(payload=st.one_of(
    st.binary(max_size=80),
    st.text(max_size=80).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=10)),
        lambda inner: st.dictionaries(
            st.sampled_from(MEMBERS), inner, max_size=7,
        ),
        max_leaves=12,
    ).map(lambda value: json.dumps(value).encode()),
))  # fmt: skip
def test_no_payload_whatsoever_upsets_it(payload: bytes) -> None:
    """Without a broker and a disk, so that it is quick: the same entry."""
    outbox = NoOutbox()
    commands = Commands(UNIT.id, UNIT.mark, outbox)  # type: ignore[arg-type]
    commands.verbs = {"resend": Verb(ResendArgs, lambda args, by, uplink: {"to": args.last})}
    topic = topics.parse(f"{ROOT}/cmd/resend")
    commands.handle(
        topic,
        Message(topic=f"{ROOT}/cmd/resend", payload=payload),
        SimpleNamespace(config=uplink_config(1)),
    )
    ack, event = outbox.bodies
    assert ack.outcome.value in ("refused", "done")
    assert msgspec.json.decode(msgspec.json.encode(ack))["verb"] == "resend"
    assert isinstance(event, Event)


@pytest.mark.parametrize("depth", [5000, *range(850, 1010, 2)])
def test_a_command_nested_beyond_all_reason_is_refused_and_upsets_nothing(depth: int) -> None:
    """About as deep as Python's stack is, one part may bear it and the next not."""
    nested = b"[" * depth + b"]" * depth
    payload = b'{"id": "1", "by": "c", "issued": 1, "args": {"x": ' + nested + b"}}"
    outbox = NoOutbox()
    commands = Commands(UNIT.id, UNIT.mark, outbox)  # type: ignore[arg-type]
    topic = topics.parse(f"{ROOT}/cmd/resend")
    message = Message(topic=f"{ROOT}/cmd/resend", payload=payload)
    commands.handle(topic, message, SimpleNamespace(config=uplink_config(1)))
    ack, _ = outbox.bodies
    assert ack.outcome.value == "refused"
    if depth == 5000:
        assert ack.code == "malformed"
        assert "recursion depth" in ack.detail
