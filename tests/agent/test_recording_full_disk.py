"""A disk that fills while a unit records: recordings make way, then pause; the rest goes on."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.disk import reserve_bytes
from agent.media.record import sidefile
from agent.messages import Class
from agent.recordings.verify import verify
from drivers import Sample
from tests.agent.rig import Center, center
from tests.agent.whole import whole
from tests.media.record.rig import probe
from tests.mosquitto import Mosquitto
from tests.waiting import until

pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("aiortc", "av", "cv2")),
    reason="the extra 'media' is not installed",
)
MB = 1_000_000
DISK_MB = 150
"""Recordings have what is beyond twice the store's reserve: some 20 MB."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system of its own."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a file system")
    path = tmp_path / "unit"
    path.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB * MB}", "none", str(path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def tables(port: int) -> str:
    return (
        '[[camera]]\nname = "front"\nsource = "scene"\nwidth = 640\nheight = 360\nfps = 15\n'
        "bitrate_kbit_s = 4000\n"
        '[media.record]\nmode = "always"\nsegment_s = 2\nfree_mb = 0\n'
        f'[[uplink]]\nname = "center"\nhost = "127.0.0.1"\nport = {port}\ntls = false\n'
        'local = true\n[[source]]\nname = "gas"\ndriver = "host"\nperiod_s = 3000.0\n'
        "silent_s = 3600.0\n"
    )


def events(heard: Center, name: str) -> list[dict[str, object]]:
    return [r.body for r in heard.of(Class.EVENTS) if r.body["event"] == name]


async def test_a_full_disk_costs_recordings_and_nothing_else(
    mosquitto: Mosquitto, disk: Path
) -> None:
    folder = disk / "state" / "recordings"
    async with center(mosquitto.port) as heard, whole(disk, tables(mosquitto.port)) as made:
        app = made.running
        await until(lambda: app.media.stats.record.recordings >= 4, "it records", 60)
        room = shutil.disk_usage(disk)
        first = sorted(folder.glob("rec-*.mp4"))[0]
        # Somebody else takes what recordings would leave: first the ring makes room.
        filler = disk / "filler"
        most = room.free - 2 * reserve_bytes(room.total)
        filler.write_bytes(bytes(max(0, most) + 1 * MB))
        await until(lambda: bool(events(heard, "recording_deleted")), "the oldest goes", 30)
        assert not first.exists()
        # Then even that is not enough.
        with filler.open("ab") as file:
            file.write(bytes(40 * MB))
        await until(lambda: bool(events(heard, "record")), "it pauses", 30)
        assert events(heard, "record")[0]["data"] == {"state": "paused"}
        await until(lambda: app.media.stats.record.state == "paused", "it is seen")
        assert app.store.trouble == ""
        sent = time.monotonic()
        app.hub.emit("gas", Sample(quantity="cl2", value=9.0, unit="ppm", at=sent))
        await until(
            lambda: any(r.body["code"] == "high" for r in heard.of(Class.ALARMS)), "the alarm"
        )
        assert shutil.disk_usage(disk).free > reserve_bytes(room.total)
        filler.unlink()
        await until(lambda: len(events(heard, "record")) == 2, "it goes on", 30)
        await until(lambda: app.media.stats.record.cameras == ("front",), "it records again", 30)
    found = verify(folder)
    assert found.mistakes == ()
    for side in sidefile.scan(folder):
        assert int(probe(folder / side.file)["h264"]["nb_read_frames"]) > 0
