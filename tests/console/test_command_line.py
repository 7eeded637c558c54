"""`outpost console` as a process: what it refuses, and how it starts and ends."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

import aiohttp
import pytest

from agent import console
from agent.console.options import MAP_FILE_URL, Datum, MapKind, OptionError, Options, read
from tests.waiting import until

TOKEN = "a-token-of-some-length"


def parse(*words: str) -> Options:
    parser = argparse.ArgumentParser()
    console.add_arguments(parser)
    return read(parser.parse_args(["--broker", "mqtt://a", "--org", "hubei", *words]), Path())


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--broker", "http://a"), "a broker's address is mqtt://"),
        (("--org", "Hubei"), "--org must be 1 to 63 of a-z, 0-9 and inner hyphens: 'Hubei'"),
        (("--port", "70000"), "--port must be 0 to 65535, but is 70000"),
        (
            ("--host", "0.0.0.0"),
            "--host 0.0.0.0 can be reached from other machines: name a",
        ),
        (("--map", "https://t/{z}/{x}/{y}.png"), "name its --map-datum (wgs84 or gcj02)"),
        (("--map", "a", "--map-datum", "bd09"), "must be wgs84 or gcj02, but is 'bd09'"),
        (("--map", "a.pmtiles", "--map-datum", "wgs84"), "--map: there is no file 'a.pmtiles'"),
        (("--map", "https://t/map", "--map-datum", "wgs84"), "with {z}, {x} and {y}"),
        (("--map-datum", "wgs84"), "but there is no --map"),
    ],
)
def test_an_option_that_cannot_serve_is_told(words: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(OptionError) as caught:
        parse(*words)
    assert sentence in str(caught.value)


def test_maps_and_tokens_are_read(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(TOKEN + "\n")
    assert parse("--host", "0.0.0.0", "--token-file", str(token)).token == TOKEN
    file = tmp_path / "a.pmtiles"
    file.write_bytes(b"PMTiles\x03")
    chosen = parse("--map", str(file), "--map-datum", "gcj02")
    assert (chosen.map.kind, chosen.map.url) == (MapKind.PMTILES, MAP_FILE_URL)
    assert chosen.map.datum is Datum.GCJ02
    assert chosen.map_file == file
    file.write_bytes(b"PK\x03\x04")
    with pytest.raises(OptionError, match="is no PMTiles 3 file"):
        parse("--map", str(file), "--map-datum", "gcj02")


async def start(*words: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agent", "console", "--broker", "mqtt://127.0.0.1:1",
        "--org", "hubei", *words, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def test_a_port_in_use_is_one_sentence_and_exit_code_2() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        process = await start("--port", str(port))
        _, stderr = await process.communicate()
    assert process.returncode == 2
    assert stderr.decode() == (
        f"outpost console: port {port} of 127.0.0.1 is in use by another program: "
        "end that, or choose another with --port\n"
    )


async def test_an_address_that_is_not_ours_is_told(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(TOKEN)
    process = await start("--host", "192.0.2.1", "--token-file", str(token), "--port", "0")
    _, stderr = await process.communicate()
    assert process.returncode == 2
    assert b"the page cannot be served at 192.0.2.1:0" in stderr
    assert b"Traceback" not in stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_it_says_where_it_is_and_ends_at_once_with_pages_open(
    tmp_path: Path, number: signal.Signals
) -> None:
    ready = tmp_path / "ready"
    process = await start("--port", "0", "--ready-file", str(ready))
    await until(lambda: ready.exists() and ready.read_text().endswith("\n"), "it is ready")
    url = ready.read_text().strip()
    async with aiohttp.ClientSession() as http, http.ws_connect(url + "api/live") as page:
        assert (await page.receive_json())["type"] == "hello"
        broker = await page.receive_json()
        assert (broker["type"], broker["connected"]) == ("broker", False)
        process.send_signal(number)
        async with asyncio.timeout(5):
            while (await page.receive()).type is not aiohttp.WSMsgType.CLOSE:
                pass
            _, stderr = await process.communicate()
    assert process.returncode == 0
    assert b"Traceback" not in stderr
    assert b"refused the connection: nothing listens there" in stderr


async def test_help_needs_no_extra(tmp_path: Path) -> None:
    """A soldier kit carries no aiohttp; `outpost --help` and a clear word must still come."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys, importlib.util as u\n"
        "found = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'aiohttp' else found(name, *rest)\n"
        "sys.modules['aiohttp'] = None\n"
    )
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    for words, code, said in (
        (["--help"], 0, b"console"),
        (["console", "--broker", "mqtt://a", "--org", "a"], 2, b"pip install 'outpost[console]'"),
    ):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "agent", *words, env=environment,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        output, _ = await process.communicate()
        assert process.returncode == code, output.decode()
        assert said in output
