"""What a relay hands on that is no record: a kit's roll-ups, and bytes of media to who asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent import topics
from agent.delivery import compression
from agent.messages import Rollup
from tests.agent.relay_rig import KIT, ROOT, Headquarters, headquarters
from tests.agent.test_relay import EPOCH, batch, kit_at, other, relaying
from tests.mosquitto import Mosquitto
from tests.waiting import until

__all__ = ["other"]


def rollup(first: int, *quantities: str) -> bytes:
    rolled = [
        {"source": "gas", "quantity": one, "unit": "ppm", "count": 2, "min": 0.1, "max": 0.3,
         "mean": 0.2, "last": 0.3, "quality": "good", "qualities": {"good": 2}}
        for one in quantities
    ]  # fmt: skip
    return msgspec.json.encode({
        "unit": KIT, "epoch": EPOCH, "mark": "exercise", "ranges": [[first, first + 1]],
        "t": 1_700_000_000_000, "until": 1_700_000_009_000, "clock": "gnss", "period_s": 10,
        "rolled": rolled,
    })  # fmt: skip


def rollups(hq: Headquarters) -> list[Rollup]:
    return [
        msgspec.json.decode(compression.expand(one.payload), type=Rollup)
        for one in hq.others if one.topic.endswith("/rollups")
    ]  # fmt: skip


def chunk(name: str, data: str) -> bytes:
    return msgspec.json.encode(
        {"unit": KIT, "mark": "exercise", "id": name, "offset": 0, "size": 3, "data": data}
    )


@pytest.mark.parametrize(
    ("over", "seen"),
    [
        ({}, [("cl2", "co")]),
        ({"quantities": ("co",)}, [("co",)]),
        ({"classes": ("alarms", "ack", "events")}, []),
        ({"compress": "zstd"}, [("cl2", "co")]),
    ],
    ids=["all of it", "some quantities", "no readings", "compressed"],
)
async def test_a_kits_rollups_reach_a_center_as_far_as_it_takes_readings(
    mosquitto: Mosquitto, other: Mosquitto, tmp_path: Path,
    over: dict[str, Any], seen: list[tuple[str, ...]],
) -> None:  # fmt: skip
    """A kit on a narrow link to its vehicle thins its readings: nobody is blind for that."""
    async with (
        headquarters(other.port) as hq,
        relaying(tmp_path / "store", mosquitto.port, other.port, **over) as (relay, _),
        kit_at(mosquitto.port) as (kit, _),
    ):
        await kit.publish(f"{ROOT}/{KIT}/alarms", b"{")
        await kit.publish(f"{ROOT}/{KIT}/rollups", b'{"unit":"ex-kit-09","mark":"exercise"}')
        await kit.publish(f"{ROOT}/{KIT}/rollups", compression.MAGIC + b"damaged")
        for _ in range(2):
            await kit.publish(f"{ROOT}/{KIT}/rollups", compression.shrink(rollup(1, "cl2", "co")))
        await kit.publish(f"{ROOT}/{KIT}/link/up", msgspec.json.encode({
            "unit": KIT, "path": "up", "mark": "exercise", "state": "up", "epoch": EPOCH, "t": 1,
        }))  # fmt: skip
        await until(lambda: f"{KIT}/link/{relay._unit.id}" in hq.states, "what came after it")
        assert [tuple(r.quantity for r in one.rolled) for one in rollups(hq)] == seen
        assert all(one.ranges == ((1, 2),) and one.epoch == EPOCH for one in rollups(hq))
        assert relay.refusals.counts == {"malformed": 3}
        sent = [one for one in hq.others if one.topic.endswith("/rollups")]
        assert all(compression.is_frame(one.payload) == ("compress" in over) for one in sent)


async def test_bytes_of_media_go_to_the_center_that_asked(
    mosquitto: Mosquitto, other: Mosquitto, tmp_path: Path,
) -> None:  # fmt: skip
    async with (
        headquarters(other.port) as hq,
        relaying(tmp_path / "store", mosquitto.port, other.port, relay_verbs=("media.get",)) as (
            _,
            _events,
        ),
        kit_at(mosquitto.port) as (kit, heard),
    ):
        await kit.publish(f"{ROOT}/{KIT}/readings", batch(1))
        await until(lambda: len(hq.of(KIT)) == 1, "the kit is known")
        await kit.publish(f"{ROOT}/{KIT}/media/s-1", chunk("s-1", "AAAA"))
        hq.command(KIT, "media-get", {"id": "s-2"})
        await until(lambda: len(heard) == 1, "the kit is asked")
        for name in ("s-1", "s-2"):
            await kit.publish(f"{ROOT}/{KIT}/media/{name}", chunk(name, "BBBB"))
        await kit.publish(f"{ROOT}/{KIT}/readings", batch(2))
        await until(lambda: len(hq.of(KIT)) == 2, "what came after it")
        chunks = [one for one in hq.others if topics.parse(one.topic).path[0] == "media"]
        assert [(one.topic, one.payload) for one in chunks] == [
            (f"{ROOT}/{KIT}/media/s-2", chunk("s-2", "BBBB"))
        ]
