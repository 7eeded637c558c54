"""A still that a center asked for: its record, its bytes in pieces, kept over a restart."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.gallery import Gallery
from agent.messages import Class
from agent.messages.media import Chunk, MediaItem
from agent.recordings import pieces
from drivers import Fix, Sample
from tests.agent.rig import ROOT, center
from tests.agent.test_every_verb import done, tables
from tests.agent.test_orders import said
from tests.agent.verb_cases import ITEM, PICTURE
from tests.agent.whole import whole
from tests.mosquitto import Mosquitto
from tests.waiting import until

VERBS = ("snapshot", "media.list", "media.get", "restart", "video.start")
can_film = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("av", "cv2", "aiortc")),
    reason="the extra 'media' is not installed",
)


def chunks(heard: Any, name: str) -> list[Chunk]:
    return [
        msgspec.json.decode(message.payload, type=Chunk)
        for message in heard.messages
        if message.topic == f"{ROOT}/media/{name}"
    ]


def joined(pieces: list[Chunk]) -> bytes:
    data = b""
    for piece in sorted(pieces, key=lambda one: one.offset):
        assert piece.offset == len(data)
        data += base64.b64decode(piece.data)
    return data


@can_film
async def test_a_snapshot_has_position_and_readings_and_its_bytes_come_on_request(
    mosquitto: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "PIECE_MAX", 4096)
    given = tables(mosquitto.port, VERBS, media=True)
    async with center(mosquitto.port) as heard, whole(tmp_path, given) as made:
        app = made.running
        at = time.monotonic()
        app.hub.emit("gas", Fix(mode=3, lat=30.5952, lon=114.3046, eph=4.0, at=at))
        app.hub.emit("gas", Sample(quantity="cl2", value=0.4, unit="ppm", at=at))
        heard.command("snapshot", {}, id="s", by="hq")
        name = (await done(heard, "s"))["result"]["snapshot"]
        await until(lambda: bool(heard.of(Class.MEDIA)), "its record arrives", 30.0)
        body = heard.of(Class.MEDIA)[0].body
        item = msgspec.convert(body, MediaItem)
        assert (item.id, item.kind, item.camera, item.by) == (name, "snapshot", "front", "hq")
        assert item.fix is not None
        assert (item.fix.lat, item.fix.lon) == (30.5952, 114.3046)
        assert ("cl2", 0.4) in [(one.quantity, one.value) for one in item.readings]
        heard.command("restart", id="r")
        await made.started(2)
        heard.command("media.list", {}, id="l")
        listed = (await done(heard, "l"))["result"]["items"]
        assert [one["id"] for one in listed] == [name]
        heard.command("media.get", {"id": name}, id="g")
        told = (await done(heard, "g"))["result"]
        assert told == {
            "size": item.size, "digest": item.digest, "sent": item.size,
            "media_type": "image/jpeg",
        }  # fmt: skip
        await until(
            lambda: sum(len(c.data) for c in chunks(heard, name)) * 3 // 4 >= item.size,
            "all pieces arrive",
        )
        picture = joined(chunks(heard, name))
        assert picture.startswith(b"\xff\xd8")
        assert len(chunks(heard, name)) > 1
        assert f"sha256:{hashlib.sha256(picture).hexdigest()}" == item.digest


async def test_a_part_of_it_is_given_and_what_is_not_there_is_told(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    folder = tmp_path / "state" / "snapshots"
    folder.mkdir(parents=True)
    (folder / f"{ITEM.id}.jpg").write_bytes(PICTURE)
    (folder / f"{ITEM.id}.json").write_bytes(msgspec.json.encode(ITEM))
    (folder / "torn.json").write_bytes(b'{"id":')
    given = tables(mosquitto.port, VERBS, media=False)
    async with center(mosquitto.port) as heard, whole(tmp_path, given):
        heard.command("media.get", {"id": ITEM.id, "offset": 4, "length": 5}, id="a")
        assert (await done(heard, "a"))["result"]["sent"] == 5
        await until(lambda: bool(chunks(heard, ITEM.id)), "it arrives")
        (piece,) = chunks(heard, ITEM.id)
        assert base64.b64decode(piece.data) == PICTURE[4:9]
        assert (piece.offset, piece.size) == (4, len(PICTURE))
        heard.command("media.get", {"id": ITEM.id, "offset": len(PICTURE)}, id="b")
        assert (await done(heard, "b"))["code"] == "bad_arguments"
        heard.command("media.get", {"id": "none"}, id="c")
        ack = await done(heard, "c")
        assert (ack["code"], ack["detail"]) == (
            "not_found", "no picture or recording 'none' is held",
        )  # fmt: skip
        (folder / f"{ITEM.id}.jpg").unlink()
        heard.command("media.get", {"id": ITEM.id}, id="d")
        ack = await done(heard, "d")
        assert (ack["outcome"], ack["code"]) == ("failed", "unavailable")
        assert ack["detail"] == "it cannot be read: No such file or directory"
        heard.command("snapshot", {}, id="e")
        ack = await done(heard, "e")
        assert (ack["code"], ack["detail"]) == (
            "unavailable", "video is disabled: [media] enabled = false",
        )  # fmt: skip


@can_film
async def test_a_camera_that_gives_nothing_is_told(
    mosquitto: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agent import snapshots

    monkeypatch.setattr(snapshots, "LEASE_S", 1.0)
    given = tables(mosquitto.port, VERBS, media=True).replace(
        'source = "scene"', f'source = "file:{tmp_path / "none.mp4"}"'
    )
    async with center(mosquitto.port) as heard, whole(tmp_path, given):
        heard.command("snapshot", {}, id="s")
        name = (await done(heard, "s"))["result"]["snapshot"]
        told = await said(heard, "snapshot_failed", snapshot=name)
        assert (told["source"], told["detail"]) == ("front", "no picture within 1 s")


def test_the_newest_of_a_time_and_a_kind() -> None:
    class Shelf:
        def __init__(self, *items: MediaItem) -> None:
            self._items = items

        def items(self) -> tuple[MediaItem, ...]:
            return self._items

        def path(self, item: MediaItem) -> Path:
            return Path(item.id)

    def item(number: int, kind: str) -> MediaItem:
        return msgspec.structs.replace(ITEM, id=f"{kind}{number}", start=number, kind=kind)

    gallery = Gallery()
    gallery.providers += [
        Shelf(*(item(n, "snapshot") for n in range(4))), Shelf(item(2, "recording")),
    ]  # fmt: skip

    def ids(since: int, until: int, kind: str, most: int) -> list[str]:
        return [one.id for one in gallery.items(since, until, kind, most)]

    assert ids(1, 3, "snapshot", 9) == ["snapshot3", "snapshot2", "snapshot1"]
    assert ids(0, 9, "", 2) == ["snapshot3", "snapshot2"]
    assert ids(0, 9, "recording", 9) == ["recording2"]
    assert gallery.find("recording2")[1] == Path("recording2")
