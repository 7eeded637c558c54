"""A broker that lets a unit in and forbids it topics: said in the log, by `doctor`, to the other
center; what may go up goes up, and all is kept for the day when it may."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from agent.messages import Class
from drivers.sim import winsen
from drivers.sim.line import Line
from tests.agent.agent_process import ROOT as CODE
from tests.agent.agent_process import AgentProcess, agent
from tests.agent.rig import ROOT, center
from tests.agent.test_run import gas, uplink, values
from tests.mosquitto import Mosquitto
from tests.waiting import until

PASSWORD = "only-for-this-test"


def write_rights(mosquitto: Mosquitto, *rules: str) -> Path:
    """What the unit may; whoever gives no name may all."""
    rights = mosquitto.config.with_name("acl")
    rights.write_text("\n".join(("topic readwrite #", "user unit", *rules)) + "\n")
    return rights


def with_lines(mosquitto: Mosquitto, *lines: str) -> None:
    mosquitto.stop()
    mosquitto.config.write_text(mosquitto.config.read_text() + "\n".join(lines) + "\n")
    mosquitto.start()


def find_plugin() -> Path | None:
    return next(Path("/usr/lib").glob("*/mosquitto_dynamic_security.so"), None)


def forbid_subscriptions(mosquitto: Mosquitto, plugin: Path) -> None:
    """To the unit; only Mosquitto's plugin does that, its `acl_file` lets anybody subscribe."""
    salt, iterations = os.urandom(12), 101
    hashed = hashlib.pbkdf2_hmac("sha512", PASSWORD.encode(), salt, iterations)
    everything = [
        {"acltype": kind, "topic": "#", "priority": 0, "allow": True}
        for kind in ("publishClientSend", "publishClientReceive", "subscribePattern")
    ]
    rules = {
        "defaultACLAccess": {
            "publishClientSend": True, "publishClientReceive": True, "subscribe": False,
            "unsubscribe": True,
        },
        "clients": [{
            "username": "unit", "password": base64.b64encode(hashed).decode(),
            "salt": base64.b64encode(salt).decode(), "iterations": iterations, "roles": [],
        }],
        "groups": [{"groupname": "anyone", "roles": [{"rolename": "all"}], "clients": []}],
        "roles": [{"rolename": "all", "acls": everything}],
        "anonymousGroup": "anyone",
    }  # fmt: skip
    path = mosquitto.config.with_name("rules.json")
    path.write_text(json.dumps(rules))
    with_lines(mosquitto, f"plugin {plugin}", f"plugin_opt_config_file {path}")


async def doctor(unit: AgentProcess) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agent", "doctor", "--config", str(unit.config),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        env=os.environ | {"PYTHONPATH": str(CODE), "COLUMNS": "1000"},
    )  # fmt: skip
    out, _ = await process.communicate()
    return out.decode()


async def test_commands_are_forbidden_and_readings_go_up(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    plugin = find_plugin()
    if plugin is None:
        pytest.skip("Mosquitto's plugin for access rights is not installed")
    forbid_subscriptions(mosquitto, plugin)
    secret = tmp_path / "password"
    secret.write_text(PASSWORD)
    secret.chmod(0o600)
    login = f'username = "unit"\npassword_file = "{secret}"\n'
    tables = uplink(mosquitto.port) + login
    async with Line(tmp_path / "line") as line, center(mosquitto.port) as heard:
        twin = winsen.Twin(line, gas="cl2", period_s=0.1)
        twin.set(cl2=0.1)
        playing = asyncio.create_task(twin.run())
        async with agent(tmp_path / "unit", gas(line.link) + tables) as unit:
            sentence = f"refused to subscribe to {ROOT}/cmd/+: "
            await unit.says("uplink center: no commands will come: mqtt://127.0.0.1:")
            await unit.says(sentence)
            await until(lambda: len(values(heard, "cl2")) > 5, "readings arrive", 20)
            assert sentence in await doctor(unit)
        playing.cancel()
        await asyncio.gather(playing, return_exceptions=True)


async def test_readings_are_forbidden_and_wait_while_alarms_go_up(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    rights = write_rights(
        mosquitto, f"topic read {ROOT}/cmd/#", "topic read outpost-exercise/v1/hubei/all/cmd/#",
        f"topic write {ROOT}/status", f"topic write {ROOT}/events", f"topic write {ROOT}/alarms/#",
        f"topic write {ROOT}/ack", f"topic write {ROOT}/link/#",
    )  # fmt: skip
    with_lines(mosquitto, f"acl_file {rights}")
    tables = uplink(mosquitto.port) + 'username = "unit"\n'
    async with Line(tmp_path / "line") as line, center(mosquitto.port) as heard:
        twin = winsen.Twin(line, gas="cl2", period_s=0.1)
        twin.set(cl2=3.0)
        playing = asyncio.create_task(twin.run())
        async with agent(tmp_path / "unit", gas(line.link) + tables) as unit:
            await unit.says("uplink center: the broker refused readings: its access list")
            await until(lambda: bool(heard.of(Class.ALARMS)), "the alarm arrives", 20)
            assert not heard.of(Class.READINGS)
            said = await doctor(unit)
            assert f"refused to take {ROOT}/readings: its access list forbids it" in said
            write_rights(mosquitto, "topic readwrite #")
            assert mosquitto.process is not None
            mosquitto.process.send_signal(signal.SIGHUP)
            await until(lambda: len(values(heard, "cl2")) > 5, "what waited arrives", 40)
            assert values(heard, "cl2")[0]["value"] == 3.0
        playing.cancel()
        await asyncio.gather(playing, return_exceptions=True)
