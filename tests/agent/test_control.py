"""The control socket, as a program on the same machine uses it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent import control
from tests.waiting import until

ANSWER = {"unit": "cv-01", "pending": {"center": 3}}


@pytest.fixture
async def folder(tmp_path: Path) -> AsyncIterator[Path]:
    async with control.serve(tmp_path, {"status": lambda: ANSWER, "alarms": dict}):
        yield tmp_path


async def say(folder: Path, line: bytes) -> bytes:
    """What is answered to one line; nothing where the agent hangs up."""
    reader, writer = await asyncio.open_unix_connection(folder / control.NAME)
    try:
        writer.write(line + b"\n")
        return await asyncio.wait_for(reader.readline(), 5)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def test_only_its_owner_may_ask(folder: Path) -> None:
    mode = (folder / control.NAME).stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600


async def test_the_mask_for_other_files_is_as_before(folder: Path) -> None:
    before = os.umask(0o022)
    os.umask(before)
    (folder / "file").touch()
    assert stat.S_IMODE((folder / "file").stat().st_mode) == 0o666 & ~before


async def test_a_question_and_its_answer(folder: Path) -> None:
    assert await control.ask(folder, "status") == {"ok": True, **ANSWER}


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (
            b'{"ask": "weather"}',
            "cannot be asked 'weather'; known are alarms, status",
        ),
        (
            b"status",
            """expected {"ask": "..."}, read b'status\\n': JSON is malformed: invalid character """
            "(byte 0)",
        ),
        (
            b'{"ask": 1}',
            """expected {"ask": "..."}, read b'{"ask": 1}\\n': Expected `str`, got `int` - """
            "at `$.ask`",
        ),
        (
            b'{"ask": "status", "then": 1}',
            """expected {"ask": "..."}, read b'{"ask": "status", "then": 1}\\n': Object """
            "contains unknown field `then`",
        ),
    ],
)
async def test_a_bad_question_is_answered_with_a_sentence(
    folder: Path, line: bytes, error: str
) -> None:
    answer: dict[str, Any] = msgspec.json.decode(await say(folder, line))
    assert answer == {"ok": False, "error": error}


async def test_a_line_without_end_is_not_kept(folder: Path) -> None:
    assert await say(folder, b"x" * (2 * control.LINE_MAX)) == b""
    assert (await control.ask(folder, "status"))["ok"]


async def test_several_questions_on_one_line_of_talk(folder: Path) -> None:
    reader, writer = await asyncio.open_unix_connection(folder / control.NAME)
    for _ in range(3):
        writer.write(b'{"ask": "alarms"}\n')
        assert msgspec.json.decode(await asyncio.wait_for(reader.readline(), 5)) == {"ok": True}
    writer.close()
    await writer.wait_closed()


async def test_it_is_gone_afterwards_also_while_somebody_is_connected(tmp_path: Path) -> None:
    async with control.serve(tmp_path, {}):
        reader, writer = await asyncio.open_unix_connection(tmp_path / control.NAME)
        writer.write(b"?\n")
        assert await asyncio.wait_for(reader.readline(), 5)
    assert not (tmp_path / control.NAME).exists()
    with pytest.raises(FileNotFoundError):
        await control.ask(tmp_path, "status")
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()
    await writer.wait_closed()


async def test_what_a_killed_agent_left_behind_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / control.NAME).touch()
    async with control.serve(tmp_path, {"status": lambda: ANSWER}):
        assert (await control.ask(tmp_path, "status"))["unit"] == "cv-01"


async def test_a_path_that_is_too_long_for_a_socket(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    async with control.serve(deep, {}):
        assert "control.sock: cannot listen: AF_UNIX path too long" in caplog.text


async def test_it_listens_as_soon_as_its_folder_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "RETRY_S", 0.01)
    folder = tmp_path / "state"
    async with control.serve(folder, {"status": lambda: ANSWER}):
        folder.mkdir()
        await until((folder / control.NAME).exists, "it listens")
        assert (await control.ask(folder, "status"))["unit"] == "cv-01"
    assert not (folder / control.NAME).exists()
