"""Messages that a person confirms, tasks, the incident's id: a whole unit, a real broker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agent.app import App
from agent.messages import Class
from agent.messages.orders import ShownMessage, Task, TaskState
from agent.orders.notes import WAITING_MAX, Note, Notes
from agent.orders.tasks import OPEN_MAX, Tasks
from tests.agent.rig import Center, center
from tests.agent.test_every_verb import done, tables
from tests.agent.whole import whole
from tests.mosquitto import Mosquitto
from tests.waiting import until

VERBS = ("message", "message.confirm", "task", "task.step", "incident", "restart", "wearer")


def shown(name: str = "a") -> ShownMessage:
    return ShownMessage(id=name, text="wind turns", by="hq", t=1)


def note(name: str = "a", since: float = 0.0) -> Note:
    return Note(shown=shown(name), within_s=60.0, since=since)


async def said(heard: Center, event: str, **data: Any) -> dict[str, Any]:
    """The first event of this name with these data."""

    def found() -> list[dict[str, Any]]:
        return [
            r.body for r in heard.of(Class.EVENTS)
            if r.body["event"] == event and data.items() <= r.body.get("data", {}).items()
        ]  # fmt: skip

    await until(lambda: bool(found()), f"the event {event} arrives", 20.0)
    return found()[0]


# -- rules -----------------------------------------------------------------------------------------


def test_a_message_is_late_once_and_goes_on_waiting() -> None:
    notes = Notes()
    notes.put(note())
    assert notes.late(59.9) == []
    assert [one.shown.id for one in notes.late(60.0)] == ["a"]
    assert notes.late(90.0) == []
    assert [one.shown.state for one in notes] == ["unconfirmed"]
    assert notes.confirm("a").told
    with pytest.raises(LookupError, match="no message 'a' waits to be confirmed"):
        notes.confirm("a")


def test_not_more_wait_than_anybody_would_read() -> None:
    notes = Notes()
    for number in range(WAITING_MAX):
        notes.put(note(str(number)))
    with pytest.raises(ValueError, match="20 messages wait to be confirmed already"):
        notes.put(note("x"))


def test_a_task_goes_forward_only() -> None:
    tasks = Tasks()
    tasks.put(Task(id="t", text="x", by="hq", t=1, changed=1))
    assert [task.id for task in tasks.new] == ["t"]
    assert tasks.step("t", "arrive", "li", "", 2).state is TaskState.ARRIVED
    assert tasks.new == []
    with pytest.raises(ValueError, match="the task is 'arrived', on which 'accept' does not"):
        tasks.step("t", "accept", "li", "", 3)
    last = tasks.step("t", "done", "li", "valve shut", 4)
    assert (last.state, last.note, last.changed, last.changed_by) == (
        TaskState.DONE, "valve shut", 4, "li",
    )  # fmt: skip
    with pytest.raises(LookupError, match="no task 't' is open"):
        tasks.step("t", "done", "li", "", 5)


def test_not_more_tasks_than_anybody_would_do() -> None:
    tasks = Tasks()
    for number in range(OPEN_MAX):
        tasks.put(Task(id=str(number), text="x", by="hq", t=1, changed=1))
    with pytest.raises(ValueError, match="20 tasks are open already"):
        tasks.put(Task(id="x", text="x", by="hq", t=1, changed=1))


# -- a whole unit ----------------------------------------------------------------------------------


async def test_a_message_waits_over_a_restart_until_a_person_confirms_it(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    given = tables(mosquitto.port, VERBS, media=False)
    async with center(mosquitto.port) as heard, whole(tmp_path, given) as made:
        heard.command("message", {"text": "撤离", "urgency": "urgent"}, id="m", by="hq")
        name = (await done(heard, "m"))["result"]["message"]
        told = await said(heard, "message_delivered", message=name)
        assert (told["detail"], told["data"]["by"]) == ("撤离", "hq")
        await until(lambda: bool(heard.retained["status"].get("messages")), "the status tells")
        heard.command("restart", id="r")
        await made.started(2)
        heard.command("message.confirm", {"message": name}, id="c", by="li")
        assert (await done(heard, "c"))["outcome"] == "done"
        assert (await said(heard, "message_confirmed", message=name))["data"]["by"] == "li"
        await until(lambda: not heard.retained["status"].get("messages"), "the status tells")
        heard.command("message.confirm", {"message": name}, id="again")
        assert (await done(heard, "again"))["code"] == "not_found"


async def test_nobody_far_away_confirms_for_who_has_not_read_it(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    given = tables(mosquitto.port, VERBS, media=False).replace("local = true", "local = false")
    async with center(mosquitto.port) as heard, whole(tmp_path, given) as made:
        heard.command("message", {"text": "x"}, id="m")
        name = (await done(heard, "m"))["result"]["message"]
        heard.command("message.confirm", {"message": name}, id="c")
        ack = await done(heard, "c")
        assert (ack["code"], ack["detail"]) == (
            "not_authorised", "a message is confirmed at the unit: an uplink marked local",
        )  # fmt: skip
        assert [one.id for one in made.running.desk.orders.messages()] == [name]


async def test_that_nobody_has_confirmed_it_is_an_event(
    mosquitto: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agent import clock
    from agent.orders import book

    given = tables(mosquitto.port, VERBS, media=False)
    async with center(mosquitto.port) as heard, whole(tmp_path, given):
        heard.command("message", {"text": "x", "within_s": 5}, id="m")
        name = (await done(heard, "m"))["result"]["message"]
        monkeypatch.setattr(book, "boottime_s", lambda: clock.boottime_s() + 5.0)
        told = await said(heard, "message_unconfirmed", message=name)
        assert told["detail"] == "nobody has confirmed it within 5 s"
        await until(
            lambda: (
                [m.get("state") for m in heard.retained["status"]["messages"]] == ["unconfirmed"]
            ),
            "the status tells",
        )


def press(app: App) -> None:
    app.spot.show(app.engine.active())
    app.spot.acknowledge()


class Panel:
    """What lamp and buzzer were told last."""

    def __init__(self) -> None:
        self.pattern = ""
        self.lights = self

    def show(self, pattern: str, *, lamp_only: bool) -> None:
        self.pattern = pattern

    def heartbeat(self, on: bool) -> None:
        del on


async def test_the_own_button_answers_what_is_shown_an_alarm_first(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    given = tables(mosquitto.port, VERBS, media=False)
    async with center(mosquitto.port) as heard, whole(tmp_path, given) as made:
        app = made.running
        panel = Panel()
        app.spot.panel = panel  # type: ignore[assignment]
        for name, text, urgency in (("a", "first", "routine"), ("b", "now", "urgent")):
            heard.command("message", {"text": text, "urgency": urgency}, id=name)
            await done(heard, name)
        heard.command("task", {"text": "close the valve"}, id="t")
        await done(heard, "t")
        app.responder.call("panel")
        app.spot.show(app.engine.active())
        assert panel.pattern == "sos"
        press(app)
        assert len(app.desk.orders.messages()) == 2, "the button was for the call"
        heard.command("wearer", {}, id="w")
        app.hub.alarms(app.engine.end_sos("hq", app.clock.now_ms()))
        await until(lambda: panel.pattern == "message", "it waits to be confirmed", 20.0)
        press(app)
        assert [one.text for one in app.desk.orders.messages()] == ["first"], "the urgent one first"
        press(app)
        assert app.desk.orders.messages() == ()
        assert panel.pattern == "message", "the task waits"
        press(app)
        assert [task.state for task in app.desk.orders.tasks()] == [TaskState.ACCEPTED]
        assert (await said(heard, "task", state="accepted"))["data"]["by"] == "panel"
        assert panel.pattern != "message"


async def test_every_record_carries_the_incident_and_the_id_outlives_a_restart(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    given = tables(mosquitto.port, VERBS, media=False)
    async with center(mosquitto.port) as heard, whole(tmp_path, given) as made:
        heard.command("incident", {"id": "wh-2026-017"}, id="i", by="hq")
        await done(heard, "i")
        told = await said(heard, "incident_set", by="hq")
        assert (told["detail"], told["incident"]) == ("wh-2026-017", "wh-2026-017")
        heard.command("restart", id="r")
        await made.started(2)
        assert heard.retained["status"]["incident"] == "wh-2026-017"

        def started() -> list[str | None]:
            events = [r.body for r in heard.of(Class.EVENTS) if r.body["event"] == "started"]
            return [body.get("incident") for body in events]

        await until(lambda: started() == [None, "wh-2026-017"], "both starts are told")
        # A command that is repeated gets its stored ack, with the incident of then.
        heard.command("incident", {"id": ""}, id="e")
        ack = await done(heard, "e")
        await said(heard, "incident_cleared")
        heard.command("incident", {"id": ""}, id="e")
        assert await done(heard, "e", 2) == ack
        heard.command("wearer", {"name": "Li"}, id="w")
        assert "incident" not in await done(heard, "w")
        assert made.running.outbox.incident == ""
