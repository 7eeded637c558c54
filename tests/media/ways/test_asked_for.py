"""A center asks a unit to publish: a media server gets pictures, status and book tell of it."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from agent.messages import Class
from tests.agent.rig import ROOT, Center, center
from tests.agent.whole import whole
from tests.media.ways import whip_server
from tests.media.ways.test_whip import frames
from tests.mosquitto import Mosquitto
from tests.waiting import until

FILM = (
    '[media]\nenabled = true\n[[camera]]\nname = "front"\nsource = "scene"\n'
    "width = 320\nheight = 240\nfps = 15\n"
)


def tables(port: int, url: str) -> str:
    return (
        f'{FILM}[[media.whip]]\nname = "hq"\nurl = "{url}"\nstart = "asked"\n'
        f'[[uplink]]\nname = "center"\nhost = "127.0.0.1"\nport = {port}\ntls = false\n'
        'verbs = ["whip.start", "whip.stop"]\n'
    )


def told(heard: Center) -> list[tuple[str, str]]:
    """As the unit has published it."""
    ways = heard.retained.get("status", {}).get("media_servers", ())
    return [(way["name"], way.get("state", "off")) for way in ways]


def states(heard: Center) -> list[dict[str, Any]]:
    return [
        record.body["data"] for record in heard.of(Class.EVENTS) if record.body["event"] == "whip"
    ]


async def test_it_is_published_while_it_is_asked_for(mosquitto: Mosquitto, tmp_path: Path) -> None:
    async with (
        whip_server.running() as server,
        center(mosquitto.port, f"{ROOT}/#") as heard,
        whole(tmp_path, tables(mosquitto.port, server.url)),
    ):
        await until(lambda: told(heard) == [("hq", "off")], "the media process is up", 20)
        assert server.requests == []
        heard.command("whip.start", {"name": "hq"}, id="on")
        await server.until(frames(server, 5), 30)
        await until(lambda: told(heard) == [("hq", "live")], "the status says so")
        heard.command("whip.stop", {}, id="off")
        await until(lambda: told(heard) == [("hq", "off")], "it stops")
        await until(
            lambda: [state["state"] for state in states(heard)] == ["connecting", "live", "off"],
            "the book has each state", 20,
        )  # fmt: skip
        assert {state["name"] for state in states(heard)} == {"hq"}
        assert server.methods()[-1] == "DELETE 200"


async def test_what_was_asked_for_outlives_the_media_process(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    async with (
        whip_server.running() as server,
        center(mosquitto.port, f"{ROOT}/#") as heard,
        whole(tmp_path, tables(mosquitto.port, server.url)) as made,
    ):
        heard.command("whip.start", {"name": "hq"}, id="on")
        await server.until(frames(server, 5), 30)
        lost = len(server.sessions)
        process = made.running.media.pid
        assert process is not None
        os.kill(process, signal.SIGKILL)
        await until(lambda: len(server.sessions) > lost, "another session comes", 30)


async def test_a_server_that_is_not_there_is_refused(mosquitto: Mosquitto, tmp_path: Path) -> None:
    async with (
        center(mosquitto.port, f"{ROOT}/#") as heard,
        whole(tmp_path, tables(mosquitto.port, "http://127.0.0.1:9/whip")) as made,
    ):
        heard.command("whip.start", {"name": "other"}, id="no")
        await until(lambda: bool(heard.of(Class.ACK)), "the ack arrives")
        ack = heard.of(Class.ACK)[0].body
        assert (ack["code"], ack["detail"]) == (
            "not_found", "no media server 'other'; this unit has: hq",
        )  # fmt: skip
        assert made.runs == 1
