"""Files on the disk: sealed and opened, changed and found out, gone in the usual way or not."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from agent.media.record import sidefile
from agent.media.record.circumstances import Circumstances, noted, parameter_sets
from agent.media.record.config import RecordConfig
from agent.media.record.ring import Ring
from agent.media.record.sealing import Sealer, SealError, read_key, unsealed
from agent.media.record.sidefile import Lock, Side
from agent.messages import Clock, Mark
from agent.recordings.verify import verify
from tests.media.conftest import running
from tests.media.record.rig import closed, config, probe, sides
from tests.waiting import until

KEY = bytes(range(32))


def outpost(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "agent", "media", *map(str, words)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def made(folder: Path, number: int, ring: Ring, *, size: int = 1000) -> Side:
    name = f"rec-{1_800_000_000_000 + number * 1000:013d}-{number:08x}"
    side = Side(
        id=name, unit="cv-01", camera="front", mark=Mark.ACTUAL, file=f"{name}.mp4",
        media_type="video/mp4", start=1_800_000_000_000 + number * 1000, start_mono_s=0.0,
        boot="b", clock=Clock.GNSS,
    )  # fmt: skip
    ring.put(side)
    (folder / side.file).write_bytes(bytes([number % 256]) * size)
    return ring.close(
        msgspec.structs.replace(
            side, size=size, digest=sidefile.digest_of(folder / side.file), end=side.start + 900
        )
    )


@pytest.fixture
def ring(tmp_path: Path) -> Ring:
    made = Ring(tmp_path, RecordConfig(dir=str(tmp_path), free_mb=0), lambda side, why: None)
    made.begin()
    return made


def test_what_is_sealed_can_be_opened_and_is_cut_short_at_any_byte() -> None:
    sealer = Sealer(KEY)
    pieces = [os.urandom(size) for size in (1, 70_000, 1_200_000, 5)]
    sealed = sealer.head + b"".join(sealer.seal(piece) for piece in pieces)
    clear = b"".join(pieces)
    assert b"".join(unsealed(io.BytesIO(sealed), KEY)) == clear
    for cut in (len(sealed) - 1, len(sealed) // 2, 60, 33):
        part = b"".join(unsealed(io.BytesIO(sealed[:cut]), KEY))
        assert clear.startswith(part)
        assert len(clear) - len(part) <= len(sealed) - cut + (1 << 20)
    with pytest.raises(SealError, match="chunk 0 cannot be opened"):
        list(unsealed(io.BytesIO(sealed), bytes(32)))
    changed = bytearray(sealed)
    changed[-3] ^= 1
    with pytest.raises(SealError, match="cannot be opened"):
        list(unsealed(io.BytesIO(bytes(changed)), KEY))
    with pytest.raises(SealError, match="expected a file that begins OUTPOST-SEALED-1"):
        list(unsealed(io.BytesIO(b"\0" * 100), KEY))


def test_a_key_is_hexadecimal_or_base64(tmp_path: Path) -> None:
    file = tmp_path / "key"
    for text in (KEY.hex(), "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"):
        file.write_text(text)
        assert read_key(file) == KEY
    file.write_text("secret")
    with pytest.raises(ValueError, match="holds no key: expected 32 bytes"):
        read_key(file)


async def test_a_sealed_recording_is_played_after_it_was_decrypted(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(KEY.hex())
    folder = tmp_path / "recordings"
    async with running(config(folder, key_file=str(tmp_path / "key"))):
        await until(lambda: len(closed(folder)) >= 1, "one is closed", 40)
    side = closed(folder)[0]
    sealed = folder / side.file
    assert b"ftyp" not in sealed.read_bytes()
    assert verify(folder).mistakes == ()
    clear = tmp_path / "clear.mp4"
    assert outpost("decrypt", sealed, "--key-file", tmp_path / "key", "-o", clear).returncode == 0
    assert int(probe(clear)["h264"]["nb_read_frames"]) > 30
    (tmp_path / "other").write_text("ff" * 32)
    refused = outpost("decrypt", sealed, "--key-file", tmp_path / "other", "-o", tmp_path / "no")
    assert refused.returncode == 1
    assert "cannot be opened: another key" in refused.stderr
    assert not (tmp_path / "no").exists()


def test_what_was_changed_or_taken_out_is_found(tmp_path: Path, ring: Ring) -> None:
    all_of_them = [made(tmp_path, number, ring) for number in range(1, 6)]
    assert verify(tmp_path).mistakes == ()
    assert outpost("verify", tmp_path).returncode == 0

    def found() -> str:
        return "\n".join(verify(tmp_path).mistakes)

    third = all_of_them[2]
    film = tmp_path / third.file
    film.write_bytes(b"x" * 1000)
    assert "its bytes were changed" in found()
    film.write_bytes(b"x" * 999)
    assert "999 bytes, 1000 when it was closed" in found()
    film.write_bytes(bytes([3]) * 1000)
    # A false time, well written.
    sidefile.write(tmp_path, msgspec.structs.replace(third, start=third.start - 3_600_000))
    assert f"{third.id}: its side file was changed afterwards" in found()
    sidefile.write(tmp_path, third)
    sidefile.write(tmp_path, msgspec.structs.replace(all_of_them[4], end=1))
    assert f"{all_of_them[4].id}: its side file was changed afterwards" in found()
    sidefile.write(tmp_path, all_of_them[4])
    assert found() == ""
    for name in (third.file, f"{third.id}.json"):
        (tmp_path / name).unlink()
    assert "recordings were taken out between" in found()
    result = outpost("verify", tmp_path)
    assert result.returncode == 1
    assert "taken out between" in result.stderr


def test_what_goes_in_the_usual_way_is_no_finding(tmp_path: Path, ring: Ring) -> None:
    gone: list[str] = []
    ring = Ring(
        tmp_path, RecordConfig(dir=str(tmp_path), max_mb=1, locked_mb=1, free_mb=0),
        lambda side, why: gone.append(why),
    )  # fmt: skip
    ring.begin()
    oldest = made(tmp_path, 1, ring, size=200_000)
    ring.lock(oldest.id, Lock(t=1, why="sos"))
    for number in range(2, 12):
        made(tmp_path, number, ring, size=200_000)
        assert ring.make_room(1_800_000_000_000)
    assert set(gone) == {"ring"}
    found = verify(tmp_path)
    assert (found.mistakes, found.deleted) == ((), 6)
    # A new start goes on with the chain.
    again = Ring(tmp_path, RecordConfig(dir=str(tmp_path), free_mb=0), lambda side, why: None)
    again.begin()
    assert list(again.sides) == list(ring.sides)
    assert made(tmp_path, 12, again).number == 12
    assert verify(tmp_path).mistakes == ()
    assert again.unlock(oldest.id) is not None
    assert verify(tmp_path).mistakes == ()


def test_days_and_the_roll_end_what_is_not_locked(tmp_path: Path) -> None:
    gone: list[tuple[str, str]] = []
    ring = Ring(
        tmp_path, RecordConfig(dir=str(tmp_path), days=1.0, pre_s=10.0, free_mb=0),
        lambda side, why: gone.append((side.id, why)),
    )  # fmt: skip
    ring.begin()
    old, locked, roll = (made(tmp_path, number, ring) for number in (1, 2, 3))
    ring.lock(locked.id, Lock(t=1, why="high"))
    ring.put(msgspec.structs.replace(roll, roll=True))
    assert ring.make_room(roll.end + 9_000)
    assert gone == []
    assert ring.make_room(roll.end + 11_000)
    assert gone == [(roll.id, "roll")]
    assert ring.make_room(locked.end + 86_400_001)
    assert gone[1:] == [(old.id, "retention")]
    assert list(ring.sides) == [locked.id]


def test_what_a_crash_left_open_is_closed_or_thrown_away(tmp_path: Path, ring: Ring) -> None:
    first = made(tmp_path, 1, ring)
    for number, data in ((2, b"film"), (3, b"")):
        name = f"rec-{1_800_000_000_000 + number:013d}-{number:08x}"
        ring.put(msgspec.structs.replace(
            first, id=name, file=f"{name}.mp4", state="open", number=0, previous="", digest="",
        ))  # fmt: skip
        (tmp_path / f"{name}.mp4").write_bytes(data)
    (tmp_path / "rec-1800000000009-00000009.json").write_text("{")
    again = Ring(tmp_path, RecordConfig(dir=str(tmp_path), free_mb=0), lambda side, why: None)
    (recovered,) = again.begin()
    assert (recovered.state, recovered.size, recovered.number) == ("recovered", 4, 2)
    assert recovered.previous == first.entry()
    assert len(sides(tmp_path)) == 2
    (mistake,) = verify(tmp_path).mistakes
    assert mistake.startswith("rec-1800000000009-00000009.json: no side file of a recording")


def test_the_way_and_what_changed_on_it_are_noted_once(tmp_path: Path, ring: Ring) -> None:
    side = made(tmp_path, 1, ring)
    at = Circumstances(time_ms=5, clock=Clock.GNSS, lat=30.0, lon=114.0, readings=("CO 1 ppm",))
    side = noted(side, at)
    assert noted(side, msgspec.structs.replace(at, time_ms=6)) is side
    side = noted(side, msgspec.structs.replace(at, time_ms=7, lat=30.001, alarms=("HIGH CO",)))
    assert [(place.t, place.lat) for place in side.track] == [(5, 30.0), (7, 30.001)]
    assert [(note.t, note.alarms) for note in side.notes] == [(5, ()), (7, ("HIGH CO",))]
    listed = outpost("list", tmp_path)
    assert listed.returncode == 0
    assert "front  2027-01-15T08:00:01+00:00  0.9 s  1000 bytes" in listed.stdout


def test_parameter_sets_are_told_from_the_picture() -> None:
    sets = b"\0\0\0\1\x67abc\0\0\0\1\x68de\0\0\1\x06sei"
    picture = b"\0\0\1\x65slice\0\0\1\x67no"
    assert parameter_sets(sets + picture) == b"\0\0\1\x67abc\0\0\1\x68de"
