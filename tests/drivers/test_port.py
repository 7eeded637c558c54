"""drivers/port.py over real ptys: data, hang-up, exclusiveness, and the sentences of its errors."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import pty
import stat
import struct
import sys
import termios
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest

from drivers import port as port_module
from drivers.port import READ_MAX, WAITING_MAX, PortError, open_port
from tests.waiting import until

TIOCGEXCL = 0x80045440


class Far:
    """The instrument's end of a pty."""

    def __init__(self) -> None:
        self.master, slave = pty.openpty()
        tty.setraw(self.master)
        tty.setraw(slave)
        self.device = os.ttyname(slave)
        self.slave: int | None = slave
        os.set_blocking(self.master, False)

    def hang_up(self) -> None:
        if self.slave is not None:
            os.close(self.slave)
            self.slave = None
        if self.master >= 0:
            os.close(self.master)
            self.master = -1


@pytest.fixture
def far() -> Iterator[Far]:
    end = Far()
    yield end
    end.hang_up()


async def test_reads_what_the_instrument_sends_at_once(far: Far) -> None:
    async with open_port(far.device, baudrate=115200) as port:
        os.write(far.master, b"\x00\xff\r\n\x11\x13")
        assert await port.read() == b"\x00\xff\r\n\x11\x13"


async def test_a_waiting_read_is_woken(far: Far) -> None:
    async with open_port(far.device) as port:
        reading = asyncio.create_task(port.read())
        await asyncio.sleep(0)
        os.write(far.master, b"$")
        assert await reading == b"$"


async def test_an_idle_line_is_not_taken_for_a_hang_up(far: Far) -> None:
    async with open_port(far.device) as port:
        os.write(far.master, b"x")
        assert await port.read() == b"x"
        # The loop may still call for bytes that are gone: that must not look like a lost device.
        port._on_readable()
        os.write(far.master, b"y")
        assert await port.read() == b"y"


async def test_writes_raw_bytes_and_does_not_echo(far: Far) -> None:
    async with open_port(far.device) as port:
        await port.write(bytes(range(256)))
        assert os.read(far.master, 512) == bytes(range(256))
        os.write(far.master, b"answer")
        assert await port.read() == b"answer"


async def test_a_cancelled_read_loses_nothing(far: Far) -> None:
    async with open_port(far.device) as port:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await port.read()
        os.write(far.master, b"later")
        assert await port.read() == b"later"


async def test_a_read_gives_at_most_read_max(far: Far) -> None:
    async with open_port(far.device) as port:
        sent = 0
        while sent < 3 * READ_MAX:
            try:
                sent += os.write(far.master, b"z" * (3 * READ_MAX - sent))
            except BlockingIOError:
                await asyncio.sleep(0)
        got = 0
        while got < sent:
            data = await port.read()
            assert 0 < len(data) <= READ_MAX
            got += len(data)
        assert got == sent


async def test_what_nobody_reads_has_a_ceiling(far: Far) -> None:
    async with open_port(far.device) as port:
        sent = 0

        def is_full() -> bool:
            """More than waits has left, and the kernel takes no more."""
            nonlocal sent
            try:
                sent += os.write(far.master, b"z" * 4096)
            except BlockingIOError:
                return sent > WAITING_MAX and len(port._waiting) + READ_MAX > WAITING_MAX
            return False

        await until(is_full, "the line is full")
        assert len(port._waiting) <= WAITING_MAX < sent
        got = 0
        while got < sent:
            got += len(await port.read())
        assert got == sent


async def test_discard_input_counts_what_waits(far: Far) -> None:
    async with open_port(far.device) as port:
        os.write(far.master, b"stale answer")
        assert port.discard_input() == len(b"stale answer")
        assert port.discard_input() == 0
        os.write(far.master, b"fresh")
        assert await port.read() == b"fresh"


async def test_hang_up_while_reading(far: Far) -> None:
    async with open_port(far.device) as port:
        reading = asyncio.create_task(port.read())
        await asyncio.sleep(0)
        far.hang_up()
        with pytest.raises(PortError) as caught:
            await reading
        assert caught.value.errno == errno.EIO
        assert str(caught.value) == (
            f"{far.device}: device lost: the line was hung up (unplugged, or its far end closed)"
        )
        assert isinstance(caught.value, OSError)
        with pytest.raises(PortError, match="device lost"):
            await port.write(b"x")
        assert port.discard_input() == 0


async def test_an_end_of_file_is_a_hang_up_too(far: Far, monkeypatch: pytest.MonkeyPatch) -> None:
    """An adapter pulled out, or another kernel, gives b'' where a pty may give EIO."""
    async with open_port(far.device) as port:
        monkeypatch.setattr(os, "read", lambda fd, count: b"")
        os.write(far.master, b"x")
        with pytest.raises(PortError) as caught:
            await port.read()
        assert str(caught.value) == (
            f"{far.device}: device lost: the line was hung up (unplugged, or its far end closed)"
        )


async def test_an_input_output_error_is_a_hang_up_too(
    far: Far, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(fd: int, count: int) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    async with open_port(far.device) as port:
        monkeypatch.setattr(os, "read", fail)
        os.write(far.master, b"x")
        with pytest.raises(PortError, match=r"device lost: the line was hung up \(unplugged"):
            await port.read()


async def test_hang_up_while_writing(far: Far) -> None:
    async with open_port(far.device) as port:
        far.hang_up()
        with pytest.raises(PortError) as caught:
            await port.write(b"x")
        assert caught.value.errno == errno.EIO


async def test_a_line_that_takes_nothing_is_lost(far: Far, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(port_module, "WRITE_TIMEOUT_S", 0.02)
    async with open_port(far.device) as port:
        with pytest.raises(PortError, match=r"it took \d+ of 1000000 bytes and no more within"):
            await port.write(b"z" * 1_000_000)


async def test_a_slow_line_takes_all_in_order(far: Far) -> None:
    data = os.urandom(100_000)
    async with open_port(far.device) as port:
        writing = asyncio.create_task(port.write(data))
        got = b""
        while len(got) < len(data):
            try:
                got += os.read(far.master, 4096)
            except BlockingIOError:
                await asyncio.sleep(0)
        await writing
        assert got == data


async def test_close_wakes_a_reader_and_is_idempotent(far: Far) -> None:
    port = open_port(far.device)
    reading = asyncio.create_task(port.read())
    await asyncio.sleep(0)
    port.close()
    port.close()
    with pytest.raises(PortError) as caught:
        await reading
    assert str(caught.value) == f"{far.device}: read after close"
    with pytest.raises(PortError) as caught:
        await port.write(b"x")
    assert str(caught.value) == f"{far.device}: write after close"


async def test_two_readers_are_a_mistake_of_the_program(far: Far) -> None:
    async with open_port(far.device) as port:
        first = asyncio.create_task(port.read())
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="another task is already reading this line"):
            await port.read()
        first.cancel()


async def test_the_line_is_for_one_owner(far: Far) -> None:
    async with open_port(far.device):
        with pytest.raises(PortError) as caught:
            open_port(far.device)
        assert str(caught.value) == f"cannot open {far.device}: in use by another program"
    async with open_port(far.device) as port:  # and free again once closed
        os.write(far.master, b"x")
        assert await port.read() == b"x"


async def test_a_killed_owner_does_not_keep_the_pty(far: Far) -> None:
    code = (
        "import asyncio, sys\n"
        "from drivers.port import open_port\n"
        "async def main():\n"
        "    async with open_port(sys.argv[1]) as port:\n"
        "        print('open', flush=True)\n"
        "        await port.read()\n"
        "asyncio.run(main())\n"
    )
    root = Path(__file__).parents[2]
    owner = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, far.device, stdout=asyncio.subprocess.PIPE, cwd=root
    )
    assert owner.stdout is not None
    assert await owner.stdout.readline() == b"open\n"
    with pytest.raises(PortError, match="in use by another program"):
        open_port(far.device)
    owner.kill()
    await owner.wait()
    open_port(far.device).close()
    assert far.slave is not None
    assert _exclusive(far.slave) == 0


def _exclusive(fd: int) -> int:
    (flag,) = struct.unpack("i", fcntl.ioctl(fd, TIOCGEXCL, b"\0\0\0\0"))
    return int(flag)


def test_a_line_that_is_no_pty_is_claimed_against_everybody(far: Far) -> None:
    assert far.slave is not None
    port_module._claim(far.slave)
    assert _exclusive(far.slave) == 0
    port_module._claim(far.master)  # a tty as well, and none of the pty slaves
    assert _exclusive(far.master) == 1


async def test_an_absent_device_is_named() -> None:
    with pytest.raises(PortError) as caught:
        open_port("/dev/serial/by-id/nothing")
    assert caught.value.errno == errno.ENOENT
    assert str(caught.value) == (
        "cannot open /dev/serial/by-id/nothing: "
        "no such device; is it plugged in, and is this its name?"
    )


async def test_a_forbidden_device_names_the_group(
    far: Far, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid() == 0:
        # Root may open everything: let the kernel's answer come from the one place that asks it.
        def refuse(path: str, flags: int) -> int:
            raise PermissionError(errno.EACCES, "Permission denied", path)

        monkeypatch.setattr(os, "open", refuse)
    else:
        os.chmod(far.device, stat.S_IWUSR & 0)
    with pytest.raises(PortError) as caught:
        open_port(far.device)
    assert caught.value.errno == errno.EACCES
    assert str(caught.value) == (
        f"cannot open {far.device}: permission denied; this user must be in the group dialout"
    )


async def test_a_file_is_not_a_line(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"$GPGGA")
    with pytest.raises(PortError) as caught:
        open_port(str(path))
    assert str(caught.value) == f"cannot open {path}: it is not a serial line"
    with pytest.raises(PortError) as caught:
        open_port(str(tmp_path))
    assert str(caught.value) == f"cannot open {tmp_path}: it is a folder, not a serial line"


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"baudrate": -1}, "cannot set {} to -1 8N1: Not a valid baudrate: -1"),
        ({"parity": "X"}, "cannot set {} to 9600 8X1: Not a valid parity: 'X'"),
        ({"bytesize": 9}, "cannot set {} to 9600 9N1: Not a valid byte size: 9"),
        ({"stopbits": 3}, "cannot set {} to 9600 8N3: Not a valid stop bit size: 3"),
    ],
)
async def test_impossible_settings(far: Far, settings: dict[str, object], sentence: str) -> None:
    with pytest.raises(PortError) as caught:
        open_port(far.device, **settings)  # type: ignore[arg-type]
    assert str(caught.value) == sentence.format(far.device)
    assert caught.value.errno == errno.EINVAL


async def test_settings_that_the_line_refuses(far: Far, monkeypatch: pytest.MonkeyPatch) -> None:
    """termios.error is neither OSError nor SerialException: it must not get past the port."""

    def refuse(*args: object) -> None:
        raise termios.error(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(termios, "tcsetattr", refuse)
    with pytest.raises(PortError) as caught:
        open_port(far.device, parity="E")
    assert str(caught.value) == (
        f"cannot set {far.device} to 9600 8E1: the line refuses these settings"
    )
