"""A whole unit that records: an alarm keeps what was before it; a center lists and fetches it."""

from __future__ import annotations

import hashlib
import importlib.util
import time
from pathlib import Path

import msgspec
import pytest

from agent.messages import Class
from agent.messages.media import MediaItem
from agent.recordings.verify import verify
from drivers import Fix, Sample
from tests.agent.rig import Center, center
from tests.agent.test_every_verb import done
from tests.agent.test_snapshots import chunks, joined
from tests.agent.whole import whole
from tests.mosquitto import Mosquitto
from tests.waiting import until

pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("aiortc", "av", "cv2")),
    reason="the extra 'media' is not installed",
)
VERBS = ("media.get", "media.list", "record")


def tables(port: int) -> str:
    return (
        '[[camera]]\nname = "front"\nsource = "scene"\nwidth = 320\nheight = 180\nfps = 10\n'
        "bitrate_kbit_s = 600\n"
        '[media.record]\nmode = "on_alarm"\nsegment_s = 2\npre_s = 4\npost_s = 3\nfree_mb = 0\n'
        f'[[uplink]]\nname = "center"\nhost = "127.0.0.1"\nport = {port}\ntls = false\n'
        f"local = true\nverbs = {list(VERBS)}\n"
        '[[source]]\nname = "gas"\ndriver = "modbus"\nport = "none"\nmap = "six_in_one"\n'
    )


def kept(heard: Center) -> list[MediaItem]:
    items = [msgspec.convert(record.body, MediaItem) for record in heard.of(Class.MEDIA)]
    return [item for item in items if item.locked]


async def test_an_alarm_keeps_a_recording_that_a_center_fetches_in_parts(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    folder = tmp_path / "state" / "recordings"
    async with center(mosquitto.port) as heard, whole(tmp_path, tables(mosquitto.port)) as made:
        app = made.running
        await until(lambda: app.media.stats.record.recordings >= 2, "a roll runs", 40)
        assert heard.of(Class.MEDIA) == [], "a roll that nobody needs is nobody's affair"
        at = time.monotonic()
        app.hub.emit("gas", Fix(mode=3, lat=30.5952, lon=114.3046, eph=4.0, at=at))
        app.hub.emit("gas", Sample(quantity="cl2", value=9.0, unit="ppm", at=at))
        await until(lambda: len(kept(heard)) >= 2, "records of locked ones arrive", 40)
        await until(lambda: not app.media.stats.record.locking, "the time after it is over", 30)
        item = kept(heard)[0]
        assert (item.kind, item.camera, item.why) == ("recording", "front", ("high",))
        last = kept(heard)[-1]
        assert last.fix is not None
        assert (last.fix.lat, last.fix.lon) == (30.5952, 114.3046)
        heard.command("media.list", {"kind": "recording"}, id="l")
        listed = (await done(heard, "l"))["result"]["items"]
        assert item.id in [one["id"] for one in listed]
        # In two parts, as after a connection that was lost.
        half = item.size // 2
        heard.command("media.get", {"id": item.id, "length": half}, id="g1")
        assert (await done(heard, "g1"))["result"]["sent"] == half
        heard.command("media.get", {"id": item.id, "offset": half}, id="g2")
        await until(
            lambda: sum(len(c.data) for c in chunks(heard, item.id)) * 3 // 4 >= item.size,
            "all pieces arrive", 30,
        )  # fmt: skip
        film = joined(chunks(heard, item.id))
        assert f"sha256:{hashlib.sha256(film).hexdigest()}" == item.digest
        assert film[4:8] == b"ftyp"
        heard.command("record", {"action": "unlock", "id": item.id}, id="u")
        assert (await done(heard, "u"))["outcome"] == "done"
        await until(lambda: not app.desk.gallery.find(item.id)[0].locked, "it is unlocked")
        heard.command("record", {"action": "lock", "id": "rec-none"}, id="n")
        assert (await done(heard, "n"))["code"] == "not_found"
        heard.command("record", {"action": "unlock"}, id="w")
        assert (await done(heard, "w"))["code"] == "bad_arguments"
    assert verify(folder).mistakes == ()


async def test_a_recorder_that_cannot_write_is_an_alarm_and_nothing_else_stops(
    mosquitto: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.recordings.recordings.MISSING_S", 1.0)
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "recordings").write_text("a file in the way")
    async with center(mosquitto.port) as heard, whole(tmp_path, tables(mosquitto.port)) as made:
        app = made.running

        def stands() -> bool:
            return any(alarm.code == "not_recording" for alarm in app.engine.active())

        await until(stands, "the alarm comes", 30)
        await until(
            lambda: any(r.body["event"] == "record" for r in heard.of(Class.EVENTS)), "an event", 10
        )
        told = next(r.body for r in heard.of(Class.EVENTS) if r.body["event"] == "record")
        assert told["data"]["state"] == "paused"
        assert "recording cannot begin" in told["detail"]
        app.hub.emit("gas", Sample(quantity="cl2", value=9.0, unit="ppm", at=time.monotonic()))
        await until(
            lambda: any(r.body["code"] == "high" for r in heard.of(Class.ALARMS)), "it is told"
        )
        (tmp_path / "state" / "recordings").unlink()
        await until(lambda: not stands(), "it is over when it can be written", 40)
