"""Drills as people start them: the command, its processes, its broker, its report."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.mqtt import Broker, Message, connect
from agent.settings import places
from tests.mosquitto import Mosquitto, find_mosquitto
from tests.waiting import until, wait_until

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(find_mosquitto() is None, reason="mosquitto is not installed"),
]

SMOKE = places.named("scenarios", "smoke")


class Drilling:
    """`outpost drill ...`, whose files are all below `folder`."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        self.summary_file = folder / "summary.json"
        environment = os.environ | {"TMPDIR": str(folder), "LANG": "C.UTF-8"}
        command = [sys.executable, "-m", "agent", "drill", *arguments]
        with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
            self.process = subprocess.Popen(
                [*command, "--summary", str(self.summary_file)],
                env=environment, stdout=out, stderr=err, start_new_session=True,
            )  # fmt: skip

    def said(self) -> str:
        return (self.folder / "out").read_text(encoding="utf-8")

    def complained(self) -> str:
        return (self.folder / "err").read_text(encoding="utf-8")

    def wait_for(self, text: str) -> None:
        def there() -> bool:
            assert self.process.poll() is None or text in self.said(), self.complained()
            return text in self.said()

        wait_until(there, f"the drill says {text!r}", 30.0)

    def wait(self) -> int:
        return self.process.wait(timeout=100)

    def summary(self) -> dict[str, Any]:
        read: dict[str, Any] = json.loads(self.summary_file.read_text(encoding="utf-8"))
        return read

    def left_over(self) -> list[str]:
        """Processes that have to do with this drill, besides its own."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != self.process.pid:
                with contextlib.suppress(OSError):
                    command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    if str(self.folder) in command:
                        found.append(f"{entry.name} {command}")
        return found

    def is_gone(self) -> bool:
        return not self.left_over()


@pytest.fixture
def drill() -> Iterator[Any]:
    started: list[Drilling] = []
    # Not tmp_path: that is too long for the sockets below it.
    with tempfile.TemporaryDirectory(prefix="drill-") as folder:

        def start(*arguments: str) -> Drilling:
            started.append(Drilling(Path(folder), *arguments))
            return started[-1]

        yield start
        for drilling in started:
            if drilling.process.poll() is None:
                drilling.process.kill()
                drilling.process.wait()
            wait_until(drilling.is_gone, "no process is left")


def alarms(summary: dict[str, Any], unit: str = "ex-rs-01") -> dict[str, dict[str, Any]]:
    return {alarm["alarm"]: alarm for alarm in summary["units"][unit]["alarms"]}


def test_a_whole_drill(drill: Any) -> None:
    """A leak, a lost link, an SOS, an acknowledgement: all of it arrives, none of it twice."""
    playing = drill("smoke", "--headless", "--no-video", "--lang", "en")
    assert playing.wait() == 0, playing.said() + playing.complained()
    assert playing.complained() == ""
    summary = playing.summary()
    assert summary["ok"]
    assert summary["mark"] == "exercise"
    assert (summary["ended"], summary["scenario_s"]) == ("duration", 20.0)
    unit = summary["units"]["ex-rs-01"]
    assert unit["made"] == unit["received"] > 30
    assert (unit["missing"], unit["pending"], unit["agent_exit"]) == (0, 0, 0)
    (gap,) = unit["link_gaps"]
    assert 4.0 < gap["seconds"] < 15.0
    high = alarms(summary)["cl2/cl2/high"]
    assert high["delay_ms"] is not None
    assert high["acknowledged_by"] == "panel"
    # The caller's own button does not answer a call for help.
    assert alarms(summary)["panel/sos/sos"]["acknowledged_ms"] is None
    assert [inject["id"] for inject in summary["injects"]] == [
        "leak", "link-lost", "sos", "acknowledged",
    ]  # fmt: skip
    assert "ok: nothing missing" in playing.said()
    assert not list(playing.folder.glob("outpost-drill-*"))


TROUBLE = """
[[inject]]
id = "agent-killed"
at_s = 5
kind = "kill_agent"
unit = "ex-rs-01"
label = { zh = "杀", en = "Agent killed" }
[[inject]]
id = "broker-killed"
at_s = 9
kind = "kill_broker"
label = { zh = "杀", en = "Broker killed" }
"""


def test_kill_9_of_the_agent_and_of_the_broker_loses_nothing(drill: Any, tmp_path: Path) -> None:
    text = SMOKE.read_text(encoding="utf-8")
    file = tmp_path / "trouble.toml"
    file.write_text(text[: text.index("[[inject]]")] + TROUBLE, encoding="utf-8")
    playing = drill(str(file), "--headless", "--no-video", "--duration", "16", "--lang", "en")
    assert playing.wait() == 0, playing.said() + playing.complained()
    unit = playing.summary()["units"]["ex-rs-01"]
    assert unit["agent_starts"] == 2
    assert (unit["missing"], unit["pending"]) == (0, 0)
    assert unit["received"] > 30
    assert "its agent ended with -9, started again" in playing.said()
    assert "the broker ended with" in playing.said()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_it_at_once_without_a_trace(drill: Any, number: signal.Signals) -> None:
    playing = drill("smoke", "--headless", "--no-video")
    playing.wait_for("Leak")
    playing.process.send_signal(number)
    assert playing.wait() == 0
    assert playing.complained() == ""
    assert playing.left_over() == []
    summary = playing.summary()
    assert summary["ended"] == "interrupted"
    assert summary["units"]["ex-rs-01"]["missing"] == 0


def test_nothing_outlives_a_drill_that_is_killed(drill: Any) -> None:
    playing = drill("smoke", "--headless", "--no-video")
    playing.wait_for("Leak")
    assert len(playing.left_over()) >= 2
    playing.process.kill()
    playing.wait()
    wait_until(playing.is_gone, "agent and broker are gone")


def test_the_instructor_pauses_and_ends_it_from_the_page(drill: Any) -> None:
    playing = drill("smoke", "--no-video", "--port", "0")
    playing.wait_for("instructor=")
    found = re.search(r"(http://\S+/)\?instructor=(\S+)", playing.said())
    assert found is not None
    page, token = found.groups()

    def order(action: str) -> int:
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        opener.open(f"{page}?instructor={token}").close()
        request = urllib.request.Request(
            f"{page}api/drill/{action}", data=b"{}", headers={"Content-Type": "application/json"}
        )
        with opener.open(request) as answer:
            return int(answer.status)

    assert order("pause") == 202
    playing.wait_for("paused by")
    assert order("end") == 202
    assert playing.wait() == 0
    assert playing.summary()["ended"] == "instructor"


async def test_all_is_marked_and_nothing_stays_on_a_broker_of_others(
    drill: Any, mosquitto: Mosquitto
) -> None:
    broker = Broker.from_url(mosquitto.url)
    heard: list[Message] = []
    async with connect(broker, client_id="listener", on_message=heard.append) as listener:
        await listener.publish("outpost-exercise/v1/smoke/ex-old/status", b"{}", retain=True)
        await listener.publish("outpost/v1/smoke/rs-01/status", b"real", retain=True)
        await listener.subscribe(["#"])
        playing = drill("smoke", "--headless", "--no-video", "--duration", "5",
                        "--broker", mosquitto.url)  # fmt: skip
        async with asyncio.timeout(60):
            code = await asyncio.to_thread(playing.wait)
        assert code == 0
        mine = [m for m in heard if m.topic.startswith("outpost-exercise/v1/smoke/ex-rs-01/")]
        await until(lambda: any(m.topic.endswith("/status") for m in mine), "the unit was heard")
    assert {m.topic for m in heard if not m.topic.startswith("outpost-exercise/")} == {
        "outpost/v1/smoke/rs-01/status"
    }
    marked = [json.loads(m.payload) for m in mine if m.payload and "/link/" not in m.topic]
    assert len(marked) > 10
    assert {message["mark"] for message in marked} == {"exercise"}
    left: list[Message] = []
    async with connect(broker, client_id="late", on_message=left.append) as late:
        await late.subscribe(["#"])
        await until(lambda: bool(left), "what is retained has come")
    assert [m.topic for m in left] == ["outpost/v1/smoke/rs-01/status"]


CAMERA = """
[[unit.camera]]
name = "helmet"
width = 320
height = 240
fps = 15
bitrate_kbit_s = 200
"""


def test_a_headless_viewer_decodes_what_the_unit_encodes(drill: Any, tmp_path: Path) -> None:
    pytest.importorskip("aiortc", reason="the extra `media` is not installed")
    text = SMOKE.read_text(encoding="utf-8")
    file = tmp_path / "seen.toml"
    file.write_text(text[: text.index("[[inject]]")] + CAMERA, encoding="utf-8")
    playing = drill(str(file), "--headless", "--duration", "15")
    assert playing.wait() == 0, playing.said() + playing.complained()
    video = playing.summary()["units"]["ex-rs-01"]["video"]
    assert video["frames_decoded"] > 30
    assert video["frames_encoded"] >= video["frames_decoded"]


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize(
    ("arguments", "status", "expected"),
    [
        (["chlorin"], 2, r"no scenario is called 'chlorin'; did you mean 'chlorine'\?"),
        (["none.toml"], 2, "none.toml: there is no such scenario file"),
        (["smoke", "--broker", "tcp://x"], 2, "a broker's address is mqtt://"),
        (["smoke", "--speed", "0"], 2, "--speed: expected a number above 0, read '0'"),
        (["smoke", "--port", "99999"], 2, "--port: expected 0 to 65535, read '99999'"),
    ],
)
def test_wrong_use_gets_a_sentence(
    drill: Any, arguments: list[str], status: int, expected: str
) -> None:
    playing = drill(*arguments, "--headless", "--no-video")
    assert playing.wait() == status
    assert re.search(expected, playing.complained())
    assert "Traceback" not in playing.complained()


def test_a_broker_that_is_not_there(drill: Any, free_port: int) -> None:
    playing = drill("smoke", "--headless", "--broker", f"mqtt://127.0.0.1:{free_port}")
    assert playing.wait() == 1
    assert "refused the connection: nothing listens there" in playing.complained()
    assert "Traceback" not in playing.complained()


def test_nobody_who_reads_it_ends_no_drill() -> None:
    with tempfile.TemporaryDirectory(prefix="drill-") as folder:
        summary = Path(folder) / "summary.json"
        playing = subprocess.Popen(
            [
                *(sys.executable, "-m", "agent", "drill", "smoke", "--headless", "--no-video"),
                *("--duration", "3", "--summary", str(summary)),
            ],
            env=os.environ | {"TMPDIR": folder}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert playing.stdout is not None
        assert playing.stdout.readline()
        playing.stdout.close()
        _, complained = playing.communicate(timeout=60)
        assert (playing.returncode, complained) == (0, b"")
        assert json.loads(summary.read_bytes())["ok"]


def test_a_page_whose_port_is_taken(drill: Any, taken_port: int) -> None:
    playing = drill("smoke", "--no-video", "--port", str(taken_port))
    assert playing.wait() == 1
    expected = f"the page cannot listen on 127.0.0.1:{taken_port}: Address already in use; choose"
    assert expected in playing.complained()
    assert "Traceback" not in playing.complained()


def test_a_scenario_with_mistakes_is_not_begun(drill: Any, tmp_path: Path) -> None:
    file = tmp_path / "wrong.toml"
    text = SMOKE.read_text(encoding="utf-8").replace('unit = "ex-rs-01"', 'unit = "ex-rs-02"')
    file.write_text(text.replace('gas = "cl2"\nrate', 'gas = "cl3"\nrate'), encoding="utf-8")
    playing = drill(str(file))
    assert playing.wait() == 2
    lines = playing.complained().splitlines()
    assert "[source] gas: expected one of" in lines[0]
    assert len(lines) == 4
    assert all("unknown unit: read 'ex-rs-02'" in line for line in lines[1:])
