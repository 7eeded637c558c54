"""drivers/sim/line.py over real ptys: faults, plug and unplug, nobody reading."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import termios
from pathlib import Path

import pytest

from drivers.sim.line import UNREAD_LIMIT, Fault, Line, spoil_checksum
from tests.drivers.sim.client import client, receive
from tests.waiting import until

FRAME = bytes.fromhex("FF 04 03 01 00 25 13 88 38")
SENTENCE = b"$GNZDA,023042.00,24,11,2026,00,00*7F\r\n"


def hung_up(fd: int) -> bool:
    """Whether a read says so, in either of the two ways that Linux has."""
    try:
        return os.read(fd, 1) == b""
    except OSError as error:
        return error.errno == errno.EIO


async def test_bytes_pass_unchanged_both_ways(tmp_path: Path) -> None:
    every = bytes(range(256))
    async with Line(tmp_path / "port") as line:
        with client(line.link) as fd:
            await line.write(every)
            assert await receive(fd, 256) == every
            os.write(fd, every)
            came = b""
            while len(came) < 256:
                came += await line.read()
            assert came == every
        assert line.counters.frames == 1
        assert line.counters.bytes_written == line.counters.bytes_read == 256


async def test_clients_come_and_go(tmp_path: Path) -> None:
    async with Line(tmp_path / "port") as line:
        for number in range(3):
            with client(line.link) as fd:
                reading = asyncio.create_task(line.read())
                os.write(fd, b"%d" % number)
                assert await reading == b"%d" % number
                await line.write(FRAME)
                assert await receive(fd, 9) == FRAME


async def test_the_line_ends_with_its_block(tmp_path: Path) -> None:
    link = tmp_path / "port"
    async with Line(link) as line:
        assert link.is_symlink()
    assert not link.is_symlink()
    assert not line.plugged


async def test_an_old_link_is_replaced_and_a_file_is_not(tmp_path: Path) -> None:
    link = tmp_path / "port"
    link.symlink_to("/dev/pts/99999")
    async with Line(link) as line:
        with client(link) as fd:
            await line.write(FRAME)
            assert await receive(fd, 9) == FRAME
    link.write_text("somebody's")
    with pytest.raises(FileExistsError, match="port: is a file, expected a free path or an old"):
        async with Line(link):
            pass
    assert link.read_text() == "somebody's"
    with pytest.raises(FileNotFoundError, match="no such folder, needed for the line's link"):
        async with Line(tmp_path / "absent" / "port"):
            pass


async def test_garbage_comes_in_front_of_a_whole_frame(tmp_path: Path) -> None:
    async def noise(seed: int) -> bytes:
        async with Line(tmp_path / "port", noise_seed=seed) as line:
            with client(line.link) as fd:
                line.inject(Fault.GARBAGE)
                await line.write(FRAME)
                await line.write(SENTENCE)
                received = await receive(fd, 31 + 9 + len(SENTENCE))
                assert line.counters.faults == 1
                assert received.endswith(FRAME + SENTENCE)
                return received.removesuffix(FRAME + SENTENCE)

    first = await noise(7)
    assert len(first) > 8
    assert b"\xff" in first
    assert await noise(7) == first
    assert await noise(8) != first


async def test_a_cut_frame_loses_its_second_half(tmp_path: Path) -> None:
    async with Line(tmp_path / "port") as line:
        with client(line.link) as fd:
            line.inject(Fault.CUT_FRAME, n=2)
            for _ in range(3):
                await line.write(FRAME)
            assert await receive(fd, 17) == FRAME[:4] + FRAME[:4] + FRAME
        assert line.counters.bytes_dropped == 10


async def test_a_bad_checksum_is_wrong_in_its_last_character(tmp_path: Path) -> None:
    async with Line(tmp_path / "port") as line:
        with client(line.link) as fd:
            line.inject(Fault.BAD_CHECKSUM, n=2)
            for frame in (FRAME, SENTENCE, FRAME):
                await line.write(frame)
            received = await receive(fd, 18 + len(SENTENCE))
    assert received == FRAME[:8] + b"\x39" + SENTENCE[:-3] + b"E\r\n" + FRAME
    assert spoil_checksum(b"$X*0a\r\n") == b"$X*0B\r\n"
    assert spoil_checksum(b"\r\n") == b"\r\n"


async def test_silence_lasts_until_restore(tmp_path: Path) -> None:
    async with Line(tmp_path / "port") as line:
        with client(line.link) as fd:
            line.inject(Fault.SILENCE)
            await line.write(FRAME)
            assert line.silent
            line.inject(Fault.BAD_CHECKSUM)
            line.inject(Fault.RESTORE)
            await line.write(SENTENCE)
            assert await receive(fd, len(SENTENCE)) == SENTENCE
        assert line.counters.bytes_dropped == len(FRAME)


async def test_unplug_hangs_the_client_up_and_replug_brings_the_link_back(tmp_path: Path) -> None:
    async with Line(tmp_path / "port") as line:
        reading = asyncio.create_task(line.read())
        with client(line.link) as fd:
            line.inject(Fault.UNPLUG)
            assert hung_up(fd)
            with pytest.raises(OSError, match="Input/output error"):
                os.write(fd, b"x")
            assert not line.link.is_symlink()
            line.inject(Fault.UNPLUG)  # a second pull finds nothing to pull
            await line.write(FRAME)
            line.inject(Fault.REPLUG)
            # The old client is still there, as one that has not yet noticed: it gets nothing more.
            with client(line.link) as again:
                await line.write(SENTENCE)
                assert await receive(again, len(SENTENCE)) == SENTENCE
                os.write(again, b"question")
                assert await reading == b"question"
        assert line.counters.bytes_dropped == len(FRAME)


async def test_restore_plugs_in_again(tmp_path: Path) -> None:
    async with Line(tmp_path / "port") as line:
        line.inject(Fault.UNPLUG)
        line.inject(Fault.RESTORE)
        with client(line.link) as fd:
            await line.write(FRAME)
            assert await receive(fd, 9) == FRAME


async def test_nobody_reading_costs_frames_and_nothing_else(tmp_path: Path) -> None:
    async with Line(tmp_path / "port") as line:
        for _ in range(2000):
            await line.write(FRAME)
            await asyncio.sleep(0)  # the kernel moves bytes to the client's end by itself
        counters = line.counters
        assert counters.bytes_written + counters.bytes_dropped == 2000 * 9
        assert counters.bytes_dropped > 0
        with client(line.link) as fd:
            # What a client finds is bounded, and a flush at its open reaches all of it.
            await until(
                lambda: line.unread >= min(counters.bytes_written, UNREAD_LIMIT - 9),
                "the written bytes wait at the client's end",
            )
            termios.tcflush(fd, termios.TCIFLUSH)
            await line.write(SENTENCE)
            assert await receive(fd, len(SENTENCE)) == SENTENCE


async def test_a_killed_client_s_exclusive_hold_is_lifted(tmp_path: Path) -> None:
    async with Line(tmp_path / "port") as line:
        with client(line.link) as fd:
            fcntl.ioctl(fd, termios.TIOCEXCL)
        with client(line.link) as fd:  # as root, whom the hold does not stop, or after the lift

            def is_held() -> bool:
                held = bytearray(4)
                fcntl.ioctl(fd, 0x80045440, held)  # TIOCGEXCL, which termios does not name
                return held != bytes(4)

            await until(lambda: not is_held(), "the hold is lifted")


async def test_impossible_faults_are_refused(tmp_path: Path) -> None:
    async with Line(tmp_path / "port") as line:
        with pytest.raises(ValueError, match="garbage: n is 0, expected 1 to 1000"):
            line.inject(Fault.GARBAGE, n=0)
        line.inject(Fault.GARBAGE, n=1000)
        with pytest.raises(ValueError, match="cut_frame: n is 1, expected 1 to 0"):
            line.inject(Fault.CUT_FRAME)
        with pytest.raises(ValueError, match="'fire' is not a valid Fault"):
            line.inject(Fault("fire"))


async def test_a_line_has_one_reader(tmp_path: Path) -> None:
    async with Line(tmp_path / "port") as line:
        first = asyncio.create_task(line.read())
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="a twin's line has one reader"):
            await line.read()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
