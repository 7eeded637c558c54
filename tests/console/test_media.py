"""Recordings and snapshots through the console: listed and fetched from a whole unit over MQTT."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import msgspec

from agent.messages.media import MediaItem
from tests.agent.test_every_verb import tables
from tests.agent.verb_cases import ITEM
from tests.agent.whole import whole
from tests.console.test_console import console
from tests.mosquitto import Mosquitto
from tests.waiting import until

PICTURE = b"\xff\xd8" + os.urandom(1_500_000)
HELD: MediaItem = msgspec.structs.replace(
    ITEM, size=len(PICTURE), digest=f"sha256:{hashlib.sha256(PICTURE).hexdigest()}"
)
UNIT = "ex-cv-01"


def keep(folder: Path) -> None:
    snapshots = folder / "state" / "snapshots"
    snapshots.mkdir(parents=True)
    (snapshots / f"{HELD.id}.jpg").write_bytes(PICTURE)
    (snapshots / f"{HELD.id}.json").write_bytes(msgspec.json.encode(HELD))


async def test_what_a_unit_holds_is_listed_and_fetched_in_any_part(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    keep(tmp_path)
    given = tables(mosquitto.port, ("media.get", "media.list"), media=False)
    async with (
        console(mosquitto.url, tmp_path / "static", org="hubei") as house,
        whole(tmp_path, given) as made,
    ):
        at = f"{house.url.rstrip('/')}/api/units/{UNIT}/media"

        async def knows() -> bool:
            async with house.http.get(at) as answer:
                return answer.status == 200

        while not await knows():
            await until(lambda: made.running.uplinks[0].state == "up", "the unit is there")
        async with house.http.get(at) as answer:
            assert [one["id"] for one in await answer.json()] == [HELD.id]
        async with house.http.get(f"{at}/{HELD.id}") as answer:
            assert answer.status == 200
            assert answer.headers["ETag"] == f'"{HELD.digest}"'
            assert answer.headers["Content-Type"] == "image/jpeg"
            assert await answer.read() == PICTURE
        async with house.http.get(
            f"{at}/{HELD.id}", headers={"Range": "bytes=1400000-1400009"}
        ) as answer:
            assert answer.status == 206
            assert await answer.read() == PICTURE[1_400_000:1_400_010]
        async with house.http.get(f"{at}/{HELD.id}", headers={"Range": "bytes=9999999-"}) as answer:
            assert answer.status == 416
        async with house.http.get(f"{at}/none") as answer:
            assert (answer.status, (await answer.json())["detail"]) == (
                404, "no picture or recording 'none' is held",
            )  # fmt: skip
        async with house.http.get(f"{house.url.rstrip('/')}/api/units/ex-x/media") as answer:
            assert answer.status == 404


async def test_who_may_not_ask_is_told_so(mosquitto: Mosquitto, tmp_path: Path) -> None:
    keep(tmp_path)
    given = tables(mosquitto.port, ("media.list",), media=False)
    async with (
        console(mosquitto.url, tmp_path / "static", org="hubei") as house,
        whole(tmp_path, given) as made,
    ):
        at = f"{house.url.rstrip('/')}/api/units/{UNIT}/media/{HELD.id}"
        status = 404
        while status == 404:
            await until(lambda: made.running.uplinks[0].state == "up", "the unit is there")
            async with house.http.get(at) as answer:
                status, told = answer.status, await answer.json()
        assert (status, told["code"]) == (403, "not_authorised")
