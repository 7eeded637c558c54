"""Recordings made by a real media process: cut, locked, killed, read by ffprobe."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import msgspec
import pytest

from agent.media.record.circumstances import Circumstances
from agent.media.wire import Record
from agent.messages import Clock
from agent.recordings.verify import verify
from tests.media.conftest import running
from tests.media.record.rig import closed, config, probe, sides
from tests.waiting import until


async def test_segments_follow_each_other_without_a_gap_and_are_whole(tmp_path: Path) -> None:
    folder = tmp_path / "recordings"
    async with running(config(folder)) as media:
        media.host.circumstances(
            Circumstances(
                time_ms=1_800_000_000_000, clock=Clock.GNSS, lat=30.5, lon=114.3,
                readings=("CL2 0.2 ppm",), alarms=("HIGH CL2",),
            )
        )  # fmt: skip
        await until(lambda: len(closed(folder)) >= 2, "two segments are closed", 40)
        (camera,) = media.host.stats.cameras
        assert camera.viewers == 0, "a recorder is no viewer: it takes nothing of the links"
        assert camera.encoders == 1
    first, second = closed(folder)[:2]
    assert abs(second.start_mono_s - first.end_mono_s) < 0.3
    assert 4.0 <= first.end_mono_s - first.start_mono_s < 6.0
    assert (second.track[0].lat, second.track[0].lon) == (30.5, 114.3)
    assert second.clock is Clock.GNSS
    assert abs(second.start - 1_800_000_000_000) < 60_000
    assert second.notes[0].readings == ("CL2 0.2 ppm",)
    assert second.previous == first.entry()
    h264 = probe(folder / second.file)["h264"]
    assert (h264["width"], h264["height"]) == (320, 180)
    assert int(h264["nb_read_frames"]) >= 4 * 15 * 0.8
    assert not any(side.is_open for side in sides(folder)), "the end closes what was open"
    assert verify(folder).mistakes == ()


async def test_after_kill_9_all_but_the_last_second_can_be_played(tmp_path: Path) -> None:
    folder = tmp_path / "recordings"
    async with running(config(folder, segment_s=60.0)) as media:
        await until(lambda: bool(sides(folder)), "a segment is open", 20)
        path = folder / sides(folder)[0].file
        await until(lambda: path.exists() and path.stat().st_size > 60_000, "it grows", 40)
        pid = media.host.pid
        assert pid is not None
        killed = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        side = sides(folder)[0]
        assert side.is_open
        h264 = probe(path)["h264"]
        recorded = killed - side.start_mono_s
        assert recorded - float(h264["duration"]) < 2.5
        assert int(h264["nb_read_frames"]) >= 15 * (recorded - 2.5) * 0.8
        # The next process closes it, and goes on in another file.
        await until(lambda: bool(closed(folder)), "it is taken up", 30)
        await media.until(lambda: media.host.stats.record.state == "recording", 30)
    recovered = closed(folder)[0]
    assert (recovered.id, recovered.state) == (side.id, "recovered")
    assert recovered.end - recovered.start == pytest.approx(recorded * 1000, abs=3000)
    assert verify(folder).mistakes == ()


async def test_an_alarm_keeps_what_was_before_and_what_comes(tmp_path: Path) -> None:
    folder = tmp_path / "recordings"
    short = config(folder, mode="on_alarm", segment_s=2.0, pre_s=5.0)
    async with running(short) as media:
        await until(lambda: len(closed(folder)) >= 3, "a roll runs", 30)
        first = closed(folder)[0]
        await until(lambda: not (folder / first.file).exists(), "the oldest of the roll goes", 30)
        at = time.monotonic()
        media.host.record(Record(action="lock", why="alarm", pre_s=4.0, post_s=3.0))
        await until(lambda: any(s.locked for s in sides(folder)), "something is locked", 10)
        await until(
            lambda: any(s.roll and s.start_mono_s > at for s in closed(folder)),
            "the roll goes on when it is over", 30,
        )  # fmt: skip
        kept = [side for side in sides(folder) if side.locked]
        await until(
            lambda: all(s.locked or s.end_mono_s > kept[-1].end_mono_s for s in sides(folder)),
            "only what is locked stays of that time", 30,
        )  # fmt: skip
    kept = [side for side in sides(folder) if side.locked]
    assert kept[0].start_mono_s <= at - 4.0 + 0.3
    assert kept[-1].end_mono_s >= at + 3.0 - 0.3
    assert {lock.why for side in kept for lock in side.locks} == {"alarm"}
    assert all(side.start_mono_s < at + 3.5 for side in kept)
    assert verify(folder).mistakes == ()


async def test_nothing_is_encoded_until_a_command_says_record(tmp_path: Path) -> None:
    folder = tmp_path / "recordings"
    async with running(config(folder, mode="off")) as media:
        await media.until(lambda: media.host.stats.record.state == "off")
        assert media.host.stats.cameras[0].state == "idle"
        media.host.record(Record(action="start", camera="front", by="center"))
        await media.until(lambda: media.host.stats.record.cameras == ("front",), 20)
        assert media.host.stats.cameras[0].state == "live"
        # It is wanted still when the process has died.
        assert media.host.pid is not None
        os.kill(media.host.pid, signal.SIGKILL)
        await media.until(lambda: media.count("media_up") == 2, 20)
        await media.until(lambda: media.host.stats.record.cameras == ("front",), 20)
        media.host.record(Record(action="stop", camera="front"))
        await media.until(lambda: media.host.stats.record.state == "off", 20)
    assert {side.by for side in closed(folder)} == {"center"}


async def test_the_ring_has_a_size_and_locked_ones_go_last(tmp_path: Path) -> None:
    folder = tmp_path / "recordings"
    small = config(folder, segment_s=1.0, max_mb=1, locked_mb=1)
    small = msgspec.structs.replace(
        small, cameras=(msgspec.structs.replace(small.cameras[0], bitrate_kbit_s=3000),)
    )
    async with running(small) as media:
        await until(lambda: len(closed(folder)) >= 1, "a segment is closed", 30)
        first = closed(folder)[0]
        media.host.record(Record(action="lock", id=first.id, why="command"))
        await until(lambda: closed(folder)[0].locked, "it is locked", 10)
        await until(lambda: max(s.number for s in closed(folder)) > len(closed(folder)),
                    "the ring turns", 90)  # fmt: skip
        assert sum(side.size for side in closed(folder)) < 1_600_000
        assert first.id in {side.id for side in sides(folder)}
        # A ceiling holds for locked ones too, and an event says that they go.
        media.host.record(Record(action="lock", why="alarm", pre_s=60, post_s=60))
        await media.until(lambda: media.count("recording_deleted") > 0, 60)
        assert not (folder / first.file).exists()
    gone = next(event for event in media.events if event.event == "recording_deleted")
    assert (gone.name, gone.state) == (first.id, "ceiling")
    assert verify(folder).mistakes == ()
