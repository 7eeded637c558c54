"""Units are told who at the console gave a command."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.console.access import Token
from tests.mosquitto import Mosquitto

from .test_console import House, Unit, console, house, unit
from .wire import UNIT, status

__all__ = ["house", "unit"]


@pytest.mark.parametrize(
    ("token", "typed", "by"),
    [
        ("", "", "console"),
        ("", " Chen ", "console/Chen"),
        ("a-token-of-her-own-alone", "Chen", "console/Alice"),
    ],
)
async def test_a_command_says_who_gave_it(
    mosquitto: Mosquitto, unit: Unit, tmp_path: Path, token: str, typed: str, by: str
) -> None:
    operators = (Token(token, "Alice"),) if token else ()
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with console(mosquitto.url, tmp_path / "static", operators=operators) as house:
        page = await house.open_page(**headers)
        await unit.say("status", status(), retain=True)
        await page.knows(UNIT)
        url = f"{house.url}api/units/{UNIT}/commands/message"
        async with house.http.post(url, json={"by": typed}, headers=headers) as answer:
            assert answer.status == 202
        assert (await unit.hears("cmd/message"))["by"] == by


async def test_a_name_that_is_none_is_refused(house: House, unit: Unit) -> None:
    page = await house.open_page()
    await page.knows(UNIT)
    url = f"{house.url}api/units/{UNIT}/commands/message"
    for name in ("a/b", "x" * 41, "a\nb"):
        async with house.http.post(url, json={"by": name}) as answer:
            assert answer.status == 400
            assert "'by' is a name of at most 40" in (await answer.json())["detail"]
