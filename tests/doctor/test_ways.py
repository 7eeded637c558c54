"""What the doctor says of STUN, TURN and media servers: a real coturn, and a WHIP server."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

pytest.importorskip("aiortc")

from agent import config
from agent.doctor import ways, words
from agent.doctor.finding import Finding, Level
from tests.media.ways import coturn, whip_server
from tests.mosquitto import find_free_port

HEAD = '[unit]\nid = "cv-01"\norg = "hubei"\nprofile = "vehicle"\n'


async def examined(folder: Path, text: str) -> list[Finding]:
    path = folder / "unit.toml"
    camera = '[[camera]]\nname = "front"\nsource = "scene"\n'
    path.write_text(HEAD + camera + text, encoding="utf-8")
    return await ways.findings(config.load(path))


def server(url: str, secret: Path | None = None, cert: Path | None = None) -> str:
    return (
        f'[[media.ice.server]]\nurls = ["{url}"]\n'
        + (f'secret_file = "{secret}"\n' if secret else "")
        + (f'ca_file = "{cert}"\n' if cert else "")
    )


def whip(url: str, more: str = "") -> str:
    return f'[[media.whip]]\nname = "hq"\nurl = "{url}"\n{more}'


@pytest.mark.skipif(coturn.TURNSERVER is None, reason="coturn is not installed")
async def test_each_server_that_is_there_is_said_to_work(tmp_path: Path) -> None:
    async with coturn.running(tmp_path) as turn:
        found = await examined(
            tmp_path,
            server(f"stun:{turn.address}:{turn.port}")
            + server(turn.url("udp"), turn.secret)
            + server(turn.url("tcp"), turn.secret)
            + server(turn.url("tls"), turn.secret, turn.cert),
        )
        assert turn.relayed() == 3
    codes = [(finding.code, finding.level) for finding in found]
    assert codes == [("stun_answers", Level.GOOD), *[("turn_relays", Level.GOOD)] * 3]
    said = words.say(found[1], "en")
    assert f"{turn.url('udp')} takes this unit's credentials, and would relay from 127." in said


@pytest.mark.skipif(coturn.TURNSERVER is None, reason="coturn is not installed")
async def test_why_a_server_is_of_no_use_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("another secret\n")
    async with coturn.running(tmp_path) as turn:
        found = await examined(
            tmp_path,
            server(turn.url("tcp"), wrong)
            + server(turn.url("tls"), turn.secret)
            + server(f"turn:127.0.0.1:{find_free_port()}?transport=tcp", turn.secret)
            + server(turn.url("udp"), tmp_path / "absent"),
        )
    assert {finding.code for finding in found} == {"ice_unreachable"}
    refused, untrusted, absent, secretless = (words.say(finding, "en") for finding in found)
    assert "401" in refused
    assert "certificate verify failed" in untrusted
    assert "onnect" in absent
    assert "absent" in secretless


async def test_a_media_server_is_asked_without_publishing(tmp_path: Path) -> None:
    cert, key = coturn.make_certificate(tmp_path, "127.0.0.1")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(cert, key)
    async with whip_server.running(tls=tls) as there:
        (good,) = await examined(tmp_path, whip(there.url, f'ca_file = "{cert}"\n'))
        (untrusted,) = await examined(tmp_path, whip(there.url))
        assert there.methods() == ["OPTIONS 200"]
    assert (good.code, good.level) == ("whip_answers", Level.GOOD)
    assert untrusted.code == "whip_unreachable"
    assert "certificate verify failed" in words.say(untrusted, "en")


async def test_what_is_no_media_server_is_told_apart(tmp_path: Path) -> None:
    async with whip_server.running() as there:
        elsewhere = there.url.replace("/whip/endpoint", "/nothing")
        (found,) = await examined(tmp_path, whip(elsewhere))
    assert (found.code, found.level) == ("whip_unreachable", Level.BAD)
    assert "refuses the OPTIONS (404)" in words.say(found, "en")
    (gone,) = await examined(tmp_path, whip(there.url))
    assert "cannot be reached" in words.say(gone, "zh")
