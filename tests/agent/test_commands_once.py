"""A command is run once, whatever happens; its answer comes by every way that was asked for."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent import topics
from agent.messages import Class, Clock
from agent.mqtt import Message
from agent.store import Store
from tests.agent.rig import (
    ROOT,
    Center,
    Unit,
    center,
    commanded,
    unit,
    uplink_config,
)
from tests.mosquitto import Mosquitto
from tests.waiting import until

# -- once, whatever happens ----------------------------------------------------------------------


async def test_a_command_is_not_run_again_after_a_restart(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    async with commanded(mosquitto, tmp_path) as (_, heard):
        heard.command("sos.confirm", {}, id="c1")
        first = await heard.ack()
    async with commanded(mosquitto, tmp_path) as (made, heard):
        heard.command("sos.confirm", {}, id="c1")
        assert await heard.ack() == first
        assert made.engine.active() != ()


async def test_its_outcome_is_stored_before_the_ack_is_sent(tmp_path: Path) -> None:
    """One transaction: whoever sees the ack can be sure that a repeat is known."""
    async with Store.open(tmp_path) as store:
        made = Unit(store, uplink_config(1))
        order: list[str] = []
        made.outbox.listeners.append(lambda row: order.append(row.klass))
        command = {"id": "c1", "by": "x", "issued": made.clock.now_ms(), "mark": "exercise"}
        topic = topics.parse(f"{ROOT}/cmd/video.stop")
        message = Message(topic="", payload=msgspec.json.encode(command))
        made.commands.handle(topic, message, made.uplink)
        assert order == []
        await until(lambda: "ack" in order, "the ack is handed over")
        assert await store._ask(
            lambda db: db.execute("SELECT id FROM command").fetchall(), writes=False
        ) == [("c1",)]


async def test_what_one_path_may_not_do_another_may(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """The same command by two ways; the one without authority comes first."""
    async with (
        center(mosquitto.port) as heard,
        unit(
            tmp_path / "store", uplink_config(mosquitto.port, verbs=()),
            uplink_config(mosquitto.port, name="second"),
        ) as made,
    ):  # fmt: skip
        made.alarms(made.engine.sos(made.clock.now_ms()))
        command = {"id": "c1", "by": "x", "issued": made.clock.now_ms(), "mark": "exercise"}
        topic = topics.parse(f"{ROOT}/cmd/sos.confirm")
        for uplink in made.uplinks:
            message = Message(topic="", payload=msgspec.json.encode(command))
            made.commands.handle(topic, message, uplink)
        await until(lambda: len(heard.of(Class.ACK)) == 2, "both acks arrive")
        assert [record.body.get("code") for record in heard.of(Class.ACK)] == [
            "not_authorised",
            None,
        ]
        assert made.engine.active() == ()


async def test_a_unit_that_does_not_know_the_time_obeys(
    mosquitto: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with commanded(mosquitto, tmp_path) as (made, heard):
        monkeypatch.setattr(made.clock, "_synchronised", False)
        monkeypatch.setattr("agent.clock._system_ms", lambda: 0)
        assert made.clock.source is Clock.FREE
        heard.command("sos.confirm", {})
        assert (await heard.ack())["outcome"] == "done"


# -- MQTT 5 request and response -----------------------------------------------------------------


def ask(heard: Center, response: str, correlation: bytes, **over: Any) -> None:
    """A command with a response topic, as an MQTT 5 center sends it."""
    connection = heard.connection
    assert connection is not None
    now = time.time_ns() // 10**6
    command = {"id": "c1", "by": "x", "issued": now, "mark": "exercise", **over}
    connection.publish(
        f"{ROOT}/cmd/video.stop", msgspec.json.encode(command), response_topic=response,
        correlation=correlation,
    )  # fmt: skip


def correlations(messages: list[Message]) -> set[bytes]:
    return {message.correlation for message in messages}


@pytest.mark.parametrize(
    "response", ["outpost-exercise/v1/hubei/console/reply/7", f"{ROOT}/reply/7"]
)
async def test_the_ack_comes_to_the_response_topic_as_well(
    mosquitto: Mosquitto, tmp_path: Path, response: str
) -> None:
    async with commanded(mosquitto, tmp_path) as (_, heard):
        assert heard.connection is not None
        await heard.connection.subscribe([response])

        def answers() -> list[Message]:
            return [message for message in heard.messages if message.topic == response]

        ask(heard, response, b"\x00\x01\xfe")
        await until(lambda: len(answers()) >= 1, "the answer comes")
        (answer,) = {(message.payload, message.correlation) for message in answers()}
        assert answer[1] == b"\x00\x01\xfe"
        assert msgspec.json.decode(answer[0]) == await heard.ack()
        # A repeat, and a refusal, are answered too.  Two subscriptions may bring an answer twice.
        ask(heard, response, b"again")
        await until(lambda: b"again" in correlations(answers()), "the repeat is answered")
        ask(heard, response, b"refused", id="c2", mark="actual")
        await until(lambda: b"refused" in correlations(answers()), "the refusal is answered")
        refusal = next(answer for answer in answers() if answer.correlation == b"refused")
        assert msgspec.json.decode(refusal.payload)["code"] == "wrong_mark"


@pytest.mark.parametrize(
    ("response", "correlation", "detail"),
    [
        ("elsewhere/reply", b"", "the response topic: expected outpost/v1/{org}/{unit}/... or "),
        ("outpost-exercise/v1/henan/console/reply", b"",
         "the response topic is of another organisation, or not of the same root"),
        ("outpost/v1/hubei/console/reply", b"",
         "the response topic is of another organisation, or not of the same root"),
        ("outpost-exercise/v1/hubei/ex-cv-02/cmd/sos.confirm", b"",
         "the response topic ends with 'cmd/sos.confirm', where no answer belongs"),
        (f"{ROOT}/status", b"", "the response topic ends with 'status', where no answer belongs"),
        (f"{ROOT}/reply", b"x" * 1025, "1025 bytes of correlation data, 1024 at most"),
    ],
)  # fmt: skip
async def test_a_response_topic_that_is_not_ours_to_write_is_refused(
    mosquitto: Mosquitto, tmp_path: Path, response: str, correlation: bytes, detail: str
) -> None:
    async with commanded(mosquitto, tmp_path) as (_, heard):
        ask(heard, response, correlation)
        assert (await heard.ack())["outcome"] == "done"

        def refusals() -> list[dict[str, Any]]:
            return [r.body for r in heard.of(Class.EVENTS) if r.body["event"] == "response_refused"]

        await until(lambda: bool(refusals()), "the event arrives")
        assert refusals()[0]["detail"].startswith(detail)
        assert refusals()[0]["data"] == {"topic": response}
        own = [message.topic for message in heard.messages if message.topic == response]
        assert len(own) <= (1 if response.endswith("/status") else 0)
