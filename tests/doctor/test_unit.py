"""What the doctor says of a configuration: real brokers, real certificates, real ptys."""

from __future__ import annotations

import asyncio
import datetime as dt
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from agent import config, control
from agent.__main__ import main
from agent.doctor import unit, words
from agent.doctor.finding import Finding, Level
from agent.doctor.holders import Holders
from agent.settings import tables
from drivers.sim import winsen
from drivers.sim.line import Line
from tests.mosquitto import Mosquitto, find_free_port

NOW = dt.datetime(2026, 11, 24, tzinfo=dt.UTC)
Capsys = pytest.CaptureFixture[str]


def write(folder: Path, text: str) -> Path:
    path = folder / "unit.toml"
    path.write_text(
        '[unit]\nid = "cv-01"\norg = "hubei"\nprofile = "vehicle"\n'
        f'[store]\ndir = "{folder}"\n{text}',
        encoding="utf-8",
    )
    return path


def source(name: str, port: Path | str) -> str:
    return f'[[source]]\nname = "{name}"\ndriver = "winsen"\nport = "{port}"\ngas = "co"\n'


def uplink(name: str, port: int, more: str = "tls = false") -> str:
    return f'[[uplink]]\nname = "{name}"\nhost = "127.0.0.1"\nport = {port}\n{more}\n'


async def examined(path: Path) -> list[Finding]:
    return [finding async for finding in unit.findings(config.load(path), Holders())]


def code(findings: list[Finding], part: str, name: str) -> Finding:
    (found,) = [
        finding
        for finding in findings
        if finding.code.startswith(part) and name in map(finding.data.get, ("source", "uplink"))
    ]
    return found


@asynccontextmanager
async def module(folder: Path) -> AsyncIterator[Path]:
    async with Line(folder / "gas") as line:
        running = asyncio.create_task(winsen.Twin(line, module="ze07").run())
        try:
            yield line.link
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def test_ports_are_free_absent_or_held(tmp_path: Path) -> None:
    absent = tmp_path / "absent"
    async with module(tmp_path) as link:
        path = write(tmp_path, source("gas", link) + source("gone", absent))
        found = await examined(path)
        assert code(found, "source_", "gas").code == "source_port_free"
        gone = code(found, "source_", "gone")
        assert (gone.code, gone.level) == ("source_port_absent", Level.BAD)
        assert words.say(gone, "en") == f"x gone: there is no {absent}; is it plugged in?"

        child = await asyncio.create_subprocess_exec(
            "python3", "-c", "import sys; f = open(sys.argv[1]); print(flush=True); input()",
            str(link), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert child.stdout is not None
        await child.stdout.readline()
        held = code(await examined(path), "source_", "gas")
        await child.communicate(b"\n")
    assert held.code == "source_port_held"
    assert held.data["holders"].endswith(f"(pid {child.pid})")


async def test_a_port_of_the_network_is_connected_and_given_back(tmp_path: Path) -> None:
    gone = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        gone.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    nobody = find_free_port()
    text = source("gas", f"tcp://127.0.0.1:{port}") + source("far", f"tcp://127.0.0.1:{nobody}")
    found = await examined(write(tmp_path, text))
    await asyncio.wait_for(gone.wait(), 5)
    server.close()
    await server.wait_closed()
    assert code(found, "source_", "gas").code == "source_reachable"
    far = code(found, "source_", "far")
    assert far.code == "source_unreachable"
    assert "nobody listens there" in far.data["detail"]


async def test_a_running_agent_is_asked_and_its_ports_are_left_alone(tmp_path: Path) -> None:
    told = {
        "name": "gas", "state": "down", "detail": "device lost", "counters": {"frames": 7},
    }  # fmt: skip
    async with control.serve(tmp_path, {"status": lambda: {"sources": [told]}}):
        found = await examined(write(tmp_path, source("gas", tmp_path / "absent")))
    assert found[0].code == "agent_runs"
    state = code(found, "source_", "gas")
    assert words.say(state, "en") == "x gas: down device lost; frames 7"
    assert code(found, "evidence", "gas").data["evidence"] == "from datasheet"


async def test_brokers_are_reached_or_a_clear_sentence_says_why(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    nobody = find_free_port()
    text = (
        uplink("good", mosquitto.port)
        + uplink("gone", nobody)
        + uplink(
            "secret", mosquitto.port, 'tls = false\nusername = "u"\npassword_file = "/nowhere"'
        )
        + uplink("tls", mosquitto.port, "tls = true")
    )
    found = await examined(write(tmp_path, text))
    good = code(found, "broker_", "good")
    assert words.say(good, "en") == f"+ good: {mosquitto.url} answers, MQTT 5"
    gone = code(found, "broker_", "gone")
    assert gone.data["detail"] == (
        f"mqtt://127.0.0.1:{nobody} refused the connection: nothing listens there"
    )
    assert "/nowhere" in code(found, "broker_", "secret").data["detail"]
    assert code(found, "broker_", "tls").code == "broker_unreachable"


def certificate(path: Path, days: int) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW - dt.timedelta(days=100))
        .not_valid_after(NOW + dt.timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.mark.parametrize(
    ("days", "expected", "level"),
    [
        (-1, "certificate_over", Level.BAD), (0, "certificate_over", Level.BAD),
        (29, "certificate_soon", Level.WARN), (31, "certificate", Level.GOOD),
    ],
)  # fmt: skip
def test_the_end_of_a_certificate_is_seen_coming(
    tmp_path: Path, days: int, expected: str, level: Level
) -> None:
    path = certificate(tmp_path / "ca.pem", days)
    (found,) = unit.certificates(tables.UplinkConfig(name="c", host="h", ca_file=str(path)), NOW)
    assert (found.code, found.level) == (expected, level)
    assert found.data["until"] == f"{NOW + dt.timedelta(days=days):%Y-%m-%d}"


def test_the_first_to_end_of_a_chain_counts(tmp_path: Path) -> None:
    chain = tmp_path / "chain.pem"
    chain.write_bytes(
        certificate(tmp_path / "a", 300).read_bytes() + certificate(tmp_path / "b", 3).read_bytes()
    )
    (found,) = unit.certificates(tables.UplinkConfig(name="c", host="h", ca_file=str(chain)), NOW)
    assert found.code == "certificate_soon"


def test_files_that_are_no_certificates_are_told(tmp_path: Path) -> None:
    (tmp_path / "x.pem").write_text("hello")
    settings = tables.UplinkConfig(
        name="c", host="h", ca_file=str(tmp_path / "absent"), cert_file=str(tmp_path / "x.pem")
    )
    codes = [finding.code for finding in unit.certificates(settings, NOW)]
    assert codes == ["certificate_absent", "certificate_malformed"]


# --- the command ---


def ran(capsys: Capsys, *words: str) -> tuple[int, str, str]:
    status = main(["doctor", *words])
    out, err = capsys.readouterr()
    return status, out, err


def test_the_command_finds_parts_in_the_language_asked_for(capsys: Capsys) -> None:
    status, out, _ = ran(capsys, "--lang", "zh")
    assert status == 0
    assert out.startswith("串口\n")
    assert "\n时钟\n" in out
    status, out, _ = ran(capsys, "--lang", "en")
    assert out.startswith("serial ports\n")


def test_the_command_ends_with_one_where_a_part_of_the_unit_cannot_work(
    tmp_path: Path, capsys: Capsys
) -> None:
    path = write(tmp_path, source("gas", tmp_path / "absent") + uplink("c", find_free_port()))
    status, out, _ = ran(capsys, "--config", str(path), "--lang", "en")
    assert status == 1
    assert f"  x gas: there is no {tmp_path / 'absent'}; is it plugged in?\n" in out
    assert "  + gas: driver winsen, from datasheet\n" in out
    assert "refused the connection: nothing listens there\n" in out


def test_mistakes_of_a_configuration_are_told_beside_all_else(
    tmp_path: Path, capsys: Capsys
) -> None:
    path = write(tmp_path, "[strore]\n")
    status, out, _ = ran(capsys, "--config", str(path), "--lang", "en")
    assert status == 2
    assert f"  x {path}:7: " in out
    assert "clock" in out
    status, out, _ = ran(capsys, "--config", str(tmp_path / "none"), "--lang", "en")
    assert status == 2
    assert f"x {tmp_path / 'none'}: cannot be read: No such file or directory\n" in out


def test_json_has_every_finding(tmp_path: Path, capsys: Capsys) -> None:
    path = write(tmp_path, source("gas", tmp_path / "absent"))
    status, out, _ = ran(capsys, "--config", str(path), "--json")
    assert status == 1
    found: list[dict[str, Any]] = msgspec.json.decode(out)["findings"]
    assert {"part", "code", "level", "data"} == set(found[0])
    assert "source_port_absent" in {finding["code"] for finding in found}


def test_ask_wants_a_port_and_a_port_wants_to_be_one(tmp_path: Path, capsys: Capsys) -> None:
    status, out, err = ran(capsys, "--ask")
    assert (status, out, err) == (2, "", "--ask needs a port: --listen PORT, or --all\n")
    status, out, err = ran(capsys, "--listen", str(tmp_path / "x"), "--lang", "en")
    assert status == 1
    assert out.endswith(
        f"listening\n  x cannot open {tmp_path / 'x'}: no such device; is it plugged in, and is "
        "this its name?\n"
    )
    assert err == f"listening on {tmp_path / 'x'} ...\n"


@pytest.mark.parametrize("words", [["--addresses", "0"], ["--all", "--listen", "x"], ["x"]])
def test_wrong_arguments_are_refused(words: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["doctor", *words])
    assert caught.value.code == 2


async def test_the_lines_printed_for_a_port_are_a_configuration_that_runs(tmp_path: Path) -> None:
    async with module(tmp_path) as link:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "agent", "doctor", "--listen", str(link), "--lang", "en",
            cwd=Path(__file__).parents[2], stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, _ = await asyncio.wait_for(process.communicate(), 40)
    assert process.returncode == 0
    text = out.decode()
    assert f"+ {link}: 9600 bit/s, driver winsen (from datasheet), " in text
    lines = text[text.index("[[source]]") :]
    (made,) = config.load(write(tmp_path, lines)).sources
    assert (made.table.driver, made.table.port) == ("winsen", str(link))
    assert made.options.measures() == ("co",)
