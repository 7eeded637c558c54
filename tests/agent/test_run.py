"""`outpost run` itself, against a real Mosquitto and instruments on real pseudo-terminals."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import shutil
import signal
import socket
import stat
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.messages import Class
from drivers.port import open_port
from drivers.sim import nmea, winsen
from drivers.sim.line import Fault, Line
from tests.agent.agent_process import UNPRIVILEGED, AgentProcess, agent
from tests.agent.rig import Center, center
from tests.mosquitto import Mosquitto, find_free_port
from tests.waiting import until


def uplink(port: int) -> str:
    return (
        f'[[uplink]]\nname = "center"\nhost = "127.0.0.1"\nport = {port}\ntls = false\n'
        "keepalive_s = 2\n"
    )


def gas(port: Path | str, silent_s: float = 5.0) -> str:
    return (
        f'[[source]]\nname = "gas"\ndriver = "winsen"\nport = "{port}"\ngas = "cl2"\n'
        f"silent_s = {silent_s}\n"
    )


class Instruments:
    """A chlorine cell and a receiver, playing."""

    def __init__(self, gas_line: Line, gnss_line: Line) -> None:
        self.gas_line = gas_line
        self.cell = winsen.Twin(gas_line, gas="cl2", period_s=0.1)
        self.receiver = nmea.Twin(gnss_line, rate_hz=5)
        self.tables = gas(gas_line.link) + (
            f'[[source]]\nname = "gnss"\ndriver = "nmea"\nport = "{gnss_line.link}"\n'
        )


@pytest.fixture
async def instruments(tmp_path: Path) -> AsyncIterator[Instruments]:
    async with Line(tmp_path / "gas-line") as first, Line(tmp_path / "gnss-line") as second:
        made = Instruments(first, second)
        made.cell.set(cl2=0.1)
        made.receiver.set(lat=30.5, lon=114.3)
        playing = [asyncio.create_task(made.cell.run()), asyncio.create_task(made.receiver.run())]
        yield made
        for task in playing:
            task.cancel()
        await asyncio.gather(*playing, return_exceptions=True)


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(tmp_path / "notify"))
        channel.setblocking(False)
        yield channel


def state(heard: Center, topic: str) -> str:
    return str(heard.retained.get(topic, {}).get("state"))


def source(heard: Center, name: str = "gas") -> dict[str, Any]:
    sources = heard.retained.get("status", {}).get("sources", [])
    return next((item for item in sources if item["name"] == name), {})


def active(heard: Center) -> dict[str, str]:
    alarms = heard.retained.get("alarms/active", {}).get("alarms", [])
    return {alarm["alarm"]: alarm["state"] for alarm in alarms}


def values(heard: Center, quantity: str) -> list[dict[str, Any]]:
    return [r.body for r in heard.of(Class.READINGS) if r.body["quantity"] == quantity]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
async def test_from_the_first_publish_to_the_last_word(
    tmp_path: Path, mosquitto: Mosquitto, instruments: Instruments, systemd: socket.socket,
    number: signal.Signals,
) -> None:  # fmt: skip
    tables = instruments.tables + uplink(mosquitto.port)
    async with center(mosquitto.port) as heard:
        unit = AgentProcess(tmp_path / "unit", tables)
        unit.environment = {
            "NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "200000",
        }  # fmt: skip
        unit.start()
        process = unit.process
        assert process is not None
        with contextlib.ExitStack() as stack:
            stack.callback(process.wait)
            stack.callback(process.kill)
            await until(lambda: len(values(heard, "cl2")) > 5, "gas readings arrive", 20)
            await until(lambda: len(values(heard, "position")) > 2, "fixes arrive")
            await until(lambda: source(heard).get("state") == "up", "the status says up")
            birth = heard.retained["status"]
            assert (birth["mark"], birth["org"], birth["state"]) == ("exercise", "hubei", "running")
            assert state(heard, "link/center") == "up"
            first = values(heard, "cl2")[0]
            assert (first["source"], first["value"], first["unit"]) == ("gas", 0.1, "ppm")
            fix = values(heard, "position")[-1]["fix"]
            assert (round(fix["lat"], 4), round(fix["lon"], 4)) == (30.5, 114.3)
            status = await unit.status()
            assert status["ready"]
            assert stat.S_IMODE((unit.store / "control.sock").stat().st_mode) == 0o600

            assert await unit.stop(number) == 0
        await until(lambda: state(heard, "status") == "stopped", "the last status arrives")
        await until(lambda: state(heard, "link/center") == "closed", "the link is closed")
        assert "pending" not in heard.retained["status"]
        await until(lambda: heard.missing == 0, "nothing is missing")
        in_order = sorted(heard.of(Class.EVENTS), key=lambda record: record.seq)
        events = [record.body["event"] for record in in_order]
        assert events[0] == "started"
        assert events[-1] == "stopping"
        (last,) = heard.retained["status"]["epochs"]
        assert last["last"] == max(record.seq for record in heard.records)
    told = b" ".join(iter(lambda: _datagram(systemd), b""))
    assert told.startswith(b"READY=1 WATCHDOG=1 ")
    assert b"STOPPING=1" in told
    assert not (unit.store / "control.sock").exists()
    assert "Traceback" not in unit.said
    assert "Warning" not in unit.said


def _datagram(channel: socket.socket) -> bytes:
    with contextlib.suppress(BlockingIOError):
        return channel.recv(100)
    return b""


async def test_kill_9_is_told_by_the_will_and_loses_nothing(
    tmp_path: Path, mosquitto: Mosquitto, instruments: Instruments
) -> None:
    tables = instruments.tables + uplink(mosquitto.port)
    async with center(mosquitto.port) as heard, agent(tmp_path / "unit", tables) as unit:
        instruments.cell.set(cl2=1.5)
        await until(lambda: "gas/cl2/high" in active(heard), "the alarm arrives", 20)
        await unit.kill()
        await until(lambda: state(heard, "link/center") == "lost", "the will arrives")
        # The link is lost, the unit is not declared gone.
        assert state(heard, "status") == "running"
        before = heard.retained["status"]["epoch"]
        instruments.cell.set(cl2=0.0)
        unit.start()
        await until(lambda: heard.retained["status"]["epoch"] > before, "it is back", 20)
        # What nobody has acknowledged still stands, though the gas has gone.
        await until(
            lambda: active(heard).get("gas/cl2/high") == "returned_unacknowledged",
            "the alarm waits for a person",
        )
        await until(lambda: heard.missing == 0, "nothing is missing")
        assert await unit.stop() == 0
        await until(lambda: state(heard, "status") == "stopped", "it says goodbye")
        assert heard.missing == 0
        assert {record.epoch for record in heard.records} >= {before}


async def test_an_instrument_that_is_absent_at_the_start_is_announced_and_taken_up(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    link = tmp_path / "gas-line"
    tables = gas(link, silent_s=1.0) + uplink(mosquitto.port)
    async with center(mosquitto.port) as heard, agent(tmp_path / "unit", tables):
        await until(lambda: source(heard).get("state") == "down", "the status says down", 20)
        assert source(heard)["detail"] == (
            f"cannot open {link}: no such device; is it plugged in, and is this its name?"
        )
        await until(lambda: "gas/any/silent" in active(heard), "silence is an alarm")
        async with Line(link) as line:
            twin = winsen.Twin(line, gas="cl2", period_s=0.1)
            playing = asyncio.create_task(twin.run())
            await until(lambda: source(heard).get("state") == "up", "it is taken up", 5)
            await until(lambda: active(heard) == {}, "the silence is over")
            playing.cancel()
            await asyncio.gather(playing, return_exceptions=True)


async def test_an_instrument_that_is_pulled_out_and_put_back(
    tmp_path: Path, mosquitto: Mosquitto, instruments: Instruments
) -> None:
    tables = instruments.tables + uplink(mosquitto.port)
    async with center(mosquitto.port) as heard, agent(tmp_path / "unit", tables):
        await until(lambda: source(heard).get("state") == "up", "it reads", 20)
        instruments.gas_line.inject(Fault.UNPLUG)
        await until(lambda: source(heard).get("state") == "down", "the loss is told")
        assert source(heard, "gnss")["state"] == "up"
        instruments.gas_line.inject(Fault.REPLUG)
        await until(lambda: source(heard).get("state") == "up", "it is back")

        def told() -> list[str]:
            events = sorted(heard.of(Class.EVENTS), key=lambda record: record.seq)
            names = [r.body["event"] for r in events if r.body.get("source") == "gas"]
            # Lost, and then not there: two sentences, one loss.
            return [name for name, _ in itertools.groupby(names)]

        await until(lambda: told() == ["source_up", "source_down", "source_up"], "all is told")


async def test_a_port_that_another_program_uses(
    tmp_path: Path, mosquitto: Mosquitto, instruments: Instruments
) -> None:
    tables = instruments.tables + uplink(mosquitto.port)
    link = str(instruments.gas_line.link)
    async with center(mosquitto.port) as heard, open_port(link):
        async with agent(tmp_path / "unit", tables):
            await until(lambda: source(heard).get("state") == "down", "the status says down", 20)
            assert source(heard)["detail"] == f"cannot open {link}: in use by another program"


async def test_without_a_broker_it_keeps_everything_for_later(
    tmp_path: Path, mosquitto: Mosquitto, instruments: Instruments
) -> None:
    mosquitto.stop()
    tables = instruments.tables + uplink(mosquitto.port)
    async with agent(tmp_path / "unit", tables) as unit:
        await unit.says(
            f"uplink center: mqtt://127.0.0.1:{mosquitto.port} refused the connection: "
            "nothing listens there"
        )
        made = 0
        async with asyncio.timeout(20):
            while made < 20:
                made = max((await unit.status()).get("made", {"": 0}).values())
        assert (await unit.status())["pending"]["center"] >= 20
        # A refusal that lasts is one line.
        assert unit.said.count("refused the connection") == 1
        mosquitto.start()
        async with center(mosquitto.port) as heard:
            await until(lambda: len(heard.records) >= made, "it catches up", 20)
            await until(lambda: heard.missing == 0, "without a gap")
            assert await unit.stop() == 0


async def test_a_store_has_one_agent(tmp_path: Path) -> None:
    tables = uplink(find_free_port())
    async with agent(tmp_path / "unit", tables) as unit:
        async with asyncio.timeout(20):
            while not await unit.status():
                pass
        other = AgentProcess(tmp_path / "other", tables, unit="ex-cv-02")
        other.store = unit.store
        other.write(tables, "ex-cv-02")
        other.start()
        assert await other.ends() == 1
        assert other.said.count("\n") == 1
        assert str(unit.store) in other.said
        assert "another" in other.said
        # The first one goes on.
        assert (await unit.status())["unit"] == "ex-cv-01"


@pytest.mark.skipif(
    os.geteuid() == 0 and shutil.which(UNPRIVILEGED[0]) is None, reason="root may write everywhere"
)
async def test_a_store_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "unit").mkdir()
    (tmp_path / "unit" / "state").mkdir(mode=0o500)
    async with agent(tmp_path / "unit", "", unprivileged=True) as unit:
        await _goes_on_without_a_store(unit)
    assert not list((tmp_path / "unit" / "state").iterdir())


async def test_a_store_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "unit").mkdir()
    (tmp_path / "unit" / "state").touch()
    async with agent(tmp_path / "unit", "") as unit:
        await _goes_on_without_a_store(unit)


async def _goes_on_without_a_store(unit: AgentProcess) -> None:
    """The person comes first: a unit that can keep nothing still watches and says so."""
    await unit.says("alarm unit/disk/disk: raised")
    assert f"{unit.store}/outbox.db: cannot be written: cannot be opened: " in unit.said
    assert f"{unit.store}/control.sock: cannot listen: " in unit.said
    assert unit.process is not None
    assert unit.process.poll() is None
    assert await unit.stop() == 0


async def test_a_panel_that_cannot_work_ends_the_start_with_a_sentence(tmp_path: Path) -> None:
    panel = f'[panel]\nfactory = "mock"\nwire = "{tmp_path}/absent"\nsos_pin = 17\n'
    async with agent(tmp_path / "unit", panel) as unit:
        assert await unit.ends() == 1
        assert unit.said == (
            f"panel: wire: cannot open {tmp_path}/absent: no such device; is it plugged in, and "
            "is this its name?\n"
        )


async def test_a_camera_that_is_absent_hurts_nothing_else(
    tmp_path: Path, mosquitto: Mosquitto, instruments: Instruments
) -> None:
    pytest.importorskip("aiortc")
    camera = '[media]\nenabled = true\n[[camera]]\nname = "front"\nsource = "v4l2:/dev/video99"\n'
    tables = instruments.tables + camera + uplink(mosquitto.port)
    async with center(mosquitto.port) as heard, agent(tmp_path / "unit", tables) as unit:

        def camera_is_down() -> bool:
            cameras = heard.retained.get("status", {}).get("cameras", [{}])
            return bool(cameras[0].get("state") == "down" and "video99" in cameras[0]["detail"])

        await until(camera_is_down, "the status says that the camera is down", 30)
        await unit.says("camera front: there is no video device '/dev/video99'")
        count = len(values(heard, "cl2"))
        await until(lambda: len(values(heard, "cl2")) > count, "gas is read all the same")
        process = unit.process
        assert process is not None
        assert await unit.stop() == 0
        unit.process = process
        await until(unit.is_alone, "its media process is gone too")
        unit.process = None


async def test_a_command_that_is_no_json_is_answered(tmp_path: Path, mosquitto: Mosquitto) -> None:
    async with center(mosquitto.port) as heard, agent(tmp_path / "unit", uplink(mosquitto.port)):
        await until(lambda: state(heard, "link/center") == "up", "it is there", 20)
        heard.command("resend", raw=b"{not json")
        ack = await heard.ack()
        assert (ack["outcome"], ack["code"]) == ("refused", "malformed")
        assert "expected a command as JSON, read b'{not json'" in ack["detail"]
