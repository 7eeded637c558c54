"""No password, token or key of a configuration is in log, status, events, answers or errors."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import msgspec
import pytest

from agent import control
from agent.broker import Broker
from drivers.address import without_secrets
from tests.agent.agent_process import ROOT, agent
from tests.agent.brokers import scripted
from tests.agent.rig import center
from tests.mosquitto import Mosquitto, find_free_port
from tests.waiting import until

TABLES = """\
[log]
level = "debug"
[[source]]
name = "modem"
driver = "router"
host = "127.0.0.1"
map = "mikrotik"
community = "geheim-community"
[[camera]]
name = "front"
source = "rtsp://admin:geheim-camera@127.0.0.1:{closed}/1"
[[camera]]
name = "back"
source = "scene"
[media]
enabled = true
[[media.ice.server]]
urls = ["turn:127.0.0.1:{closed}?transport=udp"]
username = "unit"
credential_file = "{folder}/turn"
[[media.ice.server]]
urls = ["turn:127.0.0.1:{closed}?transport=tcp"]
secret_file = "{folder}/turn_secret"
[[media.whip]]
name = "refused"
camera = "back"
url = "http://127.0.0.1:{whip}/whip/x?key=geheim-query"
token_file = "{folder}/token"
[[media.whip]]
name = "closed"
camera = "back"
url = "http://127.0.0.1:{closed}/whip/x?key=geheim-query"
token_file = "{folder}/token"
[media.whep]
port = {whep}
token_file = "{folder}/whep"
[neighbours]
enabled = true
key_file = "{folder}/neighbours"
[[uplink]]
name = "center"
host = "127.0.0.1"
port = {port}
tls = false
username = "unit"
password_file = "{folder}/password"
verbs = ["config.get", "video.start"]
[[uplink]]
name = "far"
host = "127.0.0.1"
port = {closed}
tls = false
proxy = "http://unit:geheim-proxy@127.0.0.1:{closed}"
"""
FILES = ("turn", "turn_secret", "token", "whep", "neighbours", "password")


async def _refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


async def _said(*words: str) -> str:
    """All that a command prints."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agent", *words, env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    assert output, words
    return output.decode()


@pytest.mark.timeout(180)
async def test_nothing_secret_is_told(mosquitto: Mosquitto, tmp_path: Path) -> None:
    for name in FILES:
        path = tmp_path / name
        path.touch(0o600)
        path.write_text(f"geheim-{name}-of-twenty-eight-bytes\n")
    async with scripted(_refuse) as whip, center(mosquitto.port) as heard:
        tables = TABLES.format(
            folder=tmp_path, whip=whip, port=mosquitto.port, closed=find_free_port(),
            whep=find_free_port(),
        )  # fmt: skip
        async with agent(tmp_path / "unit", tables) as made:
            config = str(made.config)
            await made.says("uplink center: connected")
            for said in ("the proxy http://127.0.0.1", "whip refused: http", "whip closed: http"):
                await made.says(said)
            heard.command("video-start", {"camera": "front", "mode": "stills"})
            await made.says("rtsp://***@127.0.0.1")
            heard.command("config.get", {})
            ack = await heard.ack(1)
            assert ack["outcome"] == "done", ack
            told = [
                made.said, str(await made.status()),
                str(await control.ask(made.store, "status")),
                *[one.payload.decode() for one in heard.messages],
                msgspec.json.encode(ack).decode(),
                await _said("doctor", "--config", config),
                await _said("doctor", "--config", config, "--json"),
                await _said("check", config),
                await _said("run", "--config", config, "--dry-run"),
            ]  # fmt: skip
            assert await made.stop() == 0
            told.append(made.said)
        await until(lambda: bool(heard.messages), "the center has heard of it")
    for text in told:
        at = text.find("geheim")
        assert at < 0, text[max(0, at - 300) : at + 60]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("rtsp://admin:p@ss@10.0.0.9/1", "rtsp://***@10.0.0.9/1"),
        ("'rtsp://10.0.0.9/user=admin&password=x&stream=0.sdp' has ended",
         "'rtsp://10.0.0.9/user=admin&password=***&stream=0.sdp' has ended"),
        ("https://h/whip/x?key=y redirects to https://i/?z=1#a, no",
         "https://h/whip/x?*** redirects to https://i/?*** no"),
        ("turn:h:3478?transport=tcp gave nothing", "turn:h:3478?transport=tcp gave nothing"),
        ("mqtts://h:8883: not trusted", "mqtts://h:8883: not trusted"),
    ],
)  # fmt: skip
def test_what_an_address_may_tell(text: str, told: str) -> None:
    assert without_secrets(text) == told


def test_no_password_is_in_the_error_of_an_address() -> None:
    for address in ("mqtt://unit:geheim@h:99999", "http://unit:geheim@h"):
        with pytest.raises(ValueError, match="but read") as caught:
            Broker.from_url(address)
        assert "geheim" not in str(caught.value)
