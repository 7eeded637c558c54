"""Twins on real ptys, and what the doctor takes them for."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.doctor import ask as asking
from agent.doctor import examine, words
from agent.doctor.ask import ask
from agent.doctor.finding import Finding
from agent.doctor.holders import Holders
from agent.doctor.listen import listen
from agent.doctor.recognise import Candidate, candidates, toml_lines
from drivers import modbus_map
from drivers.checksum import crc16_modbus, negated_sum8
from drivers.port import PortError
from drivers.recording import Chunk
from drivers.sim import modbus, nmea, winsen
from drivers.sim.line import Line

fast = partial(listen, first_s=0.25, longer_s=1.0)


@asynccontextmanager
async def playing(folder: Path, make: Any, **options: Any) -> AsyncIterator[Any]:
    async with Line(folder / "port") as line:
        twin = make(line, **options)
        running = asyncio.create_task(twin.run(), name="twin")
        try:
            yield twin
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


def port(folder: Path) -> str:
    return str(folder / "port")


def source(candidate: Candidate, baudrate: int = 9600) -> dict[str, Any]:
    lines = toml_lines(candidate, "/dev/x", baudrate, "one")
    (table,) = tomllib.loads("\n".join(lines))["source"]
    assert isinstance(table, dict)
    return table


@pytest.mark.parametrize("gas", ["cl2", "co", "h2s", "ph3"])
async def test_a_gas_module_that_uploads_is_known_by_its_frames(tmp_path: Path, gas: str) -> None:
    async with playing(tmp_path, winsen.Twin, module="ze03", gas=gas, period_s=0.05) as twin:
        twin.set(**{gas: 1.0})
        heard = await fast(port(tmp_path))
        assert not twin.commands
    assert heard.baudrate == 9600
    best = heard.candidates[0]
    assert (best.driver, best.keys, best.quantities) == ("winsen", {"gas": gas}, (gas,))
    assert source(best) == {"name": "one", "driver": "winsen", "port": "/dev/x", "gas": gas}


async def test_a_slow_one_gets_the_time_for_its_second_frame(tmp_path: Path) -> None:
    async with playing(tmp_path, winsen.Twin, module="ze07", period_s=0.4) as twin:
        twin.set(co=3.0)
        heard = await listen(port(tmp_path), first_s=0.25, longer_s=2.0)
    assert heard.candidates[0].keys == {"gas": "co"}


async def test_a_gas_that_the_frames_do_not_name_is_left_to_choose(tmp_path: Path) -> None:
    async with playing(
        tmp_path, winsen.Twin, module="ze03", gas="h2s", layout="86", period_s=0.05
    ) as twin:
        twin.set(h2s=12.0)
        heard = await fast(port(tmp_path))
    best = heard.candidates[0]
    assert (best.driver, best.keys, best.quantities) == ("winsen", {}, ())
    assert {"h2s", "cl2", "co"} <= set(best.choices["gas"])
    lines = toml_lines(best, "/dev/x", 9600, "one")
    assert lines[-1].startswith('gas = "')
    assert '  # ? "' in lines[-1]


async def test_a_receiver_is_known_with_or_without_a_fix(tmp_path: Path) -> None:
    async with playing(tmp_path, nmea.Twin, rate_hz=10) as twin:
        heard = await fast(port(tmp_path))
        assert (heard.candidates[0].driver, heard.candidates[0].keys) == ("nmea", {})
        assert heard.candidates[0].quantities == ("position",)
        twin.set(valid=False)
        heard = await fast(port(tmp_path))
        assert heard.candidates[0].driver == "nmea"


async def test_a_silent_port_is_tried_at_every_rate_and_nothing_is_sent(tmp_path: Path) -> None:
    async with playing(tmp_path, winsen.Twin, module="mhz19") as twin:
        heard = await listen(port(tmp_path), first_s=0.02)
        assert (heard.count, heard.candidates) == (0, ())
        assert not twin.commands


async def test_noise_is_nobody_s(tmp_path: Path) -> None:
    async with Line(tmp_path / "port") as line:

        async def babble() -> None:
            while True:
                await line.write(bytes(range(256)))
                await asyncio.sleep(0.02)

        task = asyncio.create_task(babble())
        heard = await listen(port(tmp_path), (9600, 4800), first_s=0.1, longer_s=0.2)
        task.cancel()
    assert heard.candidates == ()
    assert heard.count > 256


async def test_a_port_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(PortError, match="no such device"):
        await fast(str(tmp_path / "absent"))


def test_a_frame_in_long_noise_convinces_nobody() -> None:
    frame = bytes.fromhex("FF 04 03 01 00 25 13 88 38")
    assert candidates([Chunk(0.0, frame * 3)])[0].driver == "winsen"
    assert candidates([Chunk(0.0, frame)]) == []
    assert candidates([Chunk(0.0, bytes(400) + frame * 2)]) == []


# --- asking ---

READ = bytes.fromhex("FF 01 86 00 00 00 00 00 79")


async def test_a_module_that_only_answers_is_found_by_the_one_question(tmp_path: Path) -> None:
    async with playing(tmp_path, winsen.Twin, module="mhz19") as twin:
        twin.set(co2=608.0)
        heard = await ask(port(tmp_path), (1,))
        assert set(twin.commands) == {READ}
    assert heard is not None
    best = heard.candidates[0]
    assert (best.driver, heard.baudrate) == ("winsen", 9600)
    assert best.keys == {"module": "mhz19", "mode": "query"}
    assert source(best)["mode"] == "query"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twins answer at once, and no head of theirs wants its half second."""
    monkeypatch.setattr(asking, "HEAD_GAP_S", 0.0)
    monkeypatch.setattr(asking, "GAP_S", 0.0)
    monkeypatch.setattr(asking, "REPLY_S", 0.15)


@pytest.mark.usefixtures("quick")
async def test_a_gas_head_is_found_by_its_registers(tmp_path: Path) -> None:
    async with playing(
        tmp_path, modbus.Twin, model="six_in_one", addresses=[1, 3], gases=["co", "h2s"],
        response_s=0.0,
    ) as twin:  # fmt: skip
        twin.set(co=42.0)
        heard = await ask(port(tmp_path), (1, 2, 3))
        assert {request[1] for request in twin.requests} <= {3, 4}
        assert twin.requests
    assert heard is not None
    (best,) = heard.candidates
    assert (best.driver, best.keys) == ("modbus", {"map": "six_in_one", "addresses": [1, 3]})
    assert set(best.quantities) == {"co", "temperature", "humidity"}
    assert source(best)["addresses"] == [1, 3]


@pytest.mark.usefixtures("quick")
async def test_a_weather_station_is_told_from_a_gas_head(tmp_path: Path) -> None:
    async with playing(tmp_path, modbus.Twin, model="weather_station", response_s=0.0) as twin:
        twin.set(temperature=23.5, pressure=1013.2)
        heard = await ask(port(tmp_path), (1,))
    assert heard is not None
    assert heard.candidates[0].keys["map"] == "weather_station"


@pytest.mark.usefixtures("quick")
async def test_a_unit_that_fits_no_map_is_left_to_its_manual(tmp_path: Path) -> None:
    async with Line(tmp_path / "port") as line:

        async def refuse() -> None:
            while True:
                asked = await line.read()
                body = bytes((asked[0], asked[1] | 0x80, 2))
                if asked[0] == 2:
                    await line.write(body + crc16_modbus(body).to_bytes(2, "little"))

        task = asyncio.create_task(refuse())
        heard = await ask(port(tmp_path), (2,))
        task.cancel()
    assert heard is not None
    (best,) = heard.candidates
    assert best.keys == {"addresses": [2]}
    assert best.choices == {"map": (asking.OWN_MAP,), "gases": ({"2": "co"},)}
    assert source(best)["gases"] == {"2": "co"}


async def test_where_nobody_answers_nobody_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "REPLY_S", 0.01)
    monkeypatch.setattr(asking, "GAP_S", 0.0)
    heard_bytes = bytearray()
    async with Line(tmp_path / "port") as line:

        async def hear() -> None:
            while True:
                heard_bytes.extend(await line.read())

        task = asyncio.create_task(hear())
        assert await ask(port(tmp_path), (1, 2)) is None
        task.cancel()
    assert all_harmless(bytes(heard_bytes))


def all_harmless(data: bytes) -> bool:
    """Winsen's read, then questions of Modbus with function 3 or 4, and not a byte else."""
    assert data.startswith(READ)
    data = data[len(READ) :]
    assert data
    assert len(data) % 8 == 0
    # On Winsen's wire an order is FF 01, a command, and a checksum: no cut of this makes one.
    for start in range(len(data) - 8):
        nine = data[start : start + 9]
        assert not (nine[0] == 0xFF and nine[8] == negated_sum8(nine[1:8]))
    return all(data[start + 1] in (3, 4) for start in range(0, len(data), 8))


async def test_no_other_function_can_be_asked(tmp_path: Path) -> None:
    read = msgspec.structs.replace(modbus_map.Read(start=0, count=1), function=6)
    async with Line(tmp_path / "port"):
        with pytest.raises(ValueError, match="only functions 03 and 04 may be asked, not 06"):
            await asking._exchange(None, 1, read)  # type: ignore[arg-type]


def test_the_question_is_winsen_s_read_and_not_its_neighbour() -> None:
    assert asking.WINSEN_READ == READ
    assert asking.WINSEN_READ[2] == 0x86
    assert asking.WINSEN_READ[8] == negated_sum8(asking.WINSEN_READ[1:8])


# --- a whole port ---


async def findings(
    device: str, monkeypatch: pytest.MonkeyPatch, addresses: tuple[int, ...] = ()
) -> list[Finding]:
    monkeypatch.setattr(examine, "listen", fast)
    return [finding async for finding in examine.hear(device, 1, Holders(), addresses)]


async def test_a_line_that_speaks_is_never_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with playing(tmp_path, winsen.Twin, module="ze15", period_s=0.05) as twin:
        twin.set(co=3.0)
        found = await findings(port(tmp_path), monkeypatch, (1,))
        assert not twin.commands
        assert twin.mode is winsen.Mode.ACTIVE
    assert found[0].code == "listening_found"
    assert found[0].data["toml"][2].startswith('driver = "winsen"  # from datasheet')


async def test_what_the_frames_do_not_say_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with playing(
        tmp_path, winsen.Twin, module="ze03", gas="h2s", layout="86", period_s=0.05
    ) as twin:
        twin.set(h2s=12.0)
        (found, *_) = await findings(port(tmp_path), monkeypatch)
    assert (found.code, found.level, found.data["keys"]) == ("listening_unsure", "warn", "gas")
    assert any(line.startswith("gas = ") for line in found.data["toml"])
    assert "which do not say gas; other makers' modules send the same" in words.say(found, "en")


async def test_a_held_port_is_named_with_its_holder_and_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with playing(tmp_path, winsen.Twin, module="ze07", period_s=0.05):
        program = "import sys; f = open(sys.argv[1]); print(flush=True); input()"
        child = await asyncio.create_subprocess_exec(
            "python3", "-c", program, port(tmp_path),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert child.stdout is not None
        await child.stdout.readline()
        found = await findings(port(tmp_path), monkeypatch)
        await child.communicate(b"\n")
    assert [finding.code for finding in found] == ["listening_held"]
    assert found[0].data["holders"].endswith(f"(pid {child.pid})")


@pytest.mark.parametrize(
    ("module", "addresses", "code"),
    [("mhz19", (), "listening_silent"), ("mhz19", (1,), "listening_found")],
)
async def test_a_silent_port_is_asked_only_where_that_is_wanted(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    module: str,
    addresses: tuple[int, ...],
    code: str,
) -> None:
    async with playing(tmp_path, winsen.Twin, module=module) as twin:
        twin.set(co2=608.0)
        found = await findings(port(tmp_path), monkeypatch, addresses)
        assert bool(twin.commands) == bool(addresses)
    assert found[0].code == code
