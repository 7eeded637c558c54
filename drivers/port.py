"""One serial line on the event loop: pyserial opens and configures it, `add_reader` reads it.

No thread serves the line, and there is no polling: a byte costs one wake-up of the loop.  Nothing
here knows what the bytes mean.  The only importer of pyserial.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import termios
from types import TracebackType
from typing import Self

import serial

READ_MAX = 4096
"""Bytes that one `read` gives at most: the size of the kernel's own tty buffer."""
WAITING_MAX = 64 * 1024
"""Bytes kept for a driver that does not read; beyond it they stay in the kernel, which drops."""
WRITE_TIMEOUT_S = 5.0
"""A line that takes nothing for so long is lost: a cable pulled, or flow control stuck."""

_SENTENCES = {
    errno.ENOENT: "no such device; is it plugged in, and is this its name?",
    errno.ENXIO: "no such device; is it plugged in, and is this its name?",
    errno.ENODEV: "no such device; is it plugged in, and is this its name?",
    errno.EIO: "the device does not answer (input/output error); is it plugged in?",
    errno.EACCES: "permission denied; this user must be in the group dialout",
    errno.EPERM: "permission denied; this user must be in the group dialout",
    errno.EBUSY: "in use by another program",
    # What flock gives where another program holds the line.
    errno.EAGAIN: "in use by another program",
    errno.ENOTTY: "it is not a serial line",
    errno.EISDIR: "it is a folder, not a serial line",
}
_HUNG_UP = "the line was hung up (unplugged, or its far end closed)"


class PortError(OSError):
    """The line cannot be opened, or the device is lost; its text is a whole sentence."""

    def __init__(self, sentence: str, code: int | None = None) -> None:
        # With (code, text) the text would begin "[Errno 5]", which helps nobody in the field.
        super().__init__(sentence)
        self.errno = code


class SerialPort:
    """An open line; satisfies `drivers.Port`.  One reader at a time, one writer at a time.

    Made by `open_port`, closed by `close` or by leaving `async with`.
    """

    def __init__(self, line: serial.Serial, device: str) -> None:
        self.device = device
        self._line = line
        self._fd: int = line.fileno()
        self._loop = asyncio.get_running_loop()
        self._waiting = bytearray()
        self._reader: asyncio.Future[None] | None = None
        self._lost: PortError | None = None
        self._listening = False
        self._closed = False
        self._listen()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    async def read(self) -> bytes:
        """At least one byte, at most `READ_MAX`, as soon as there are any.

        Raises PortError (an OSError) when the device is lost; what it had sent is given first.
        """
        while not self._waiting:
            if self._lost is not None:
                raise self._lost
            if self._closed:
                raise PortError(f"{self.device}: read after close", errno.EBADF)
            if self._reader is not None:
                raise RuntimeError(f"{self.device}: another task is already reading this line")
            self._reader = self._loop.create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        data = bytes(self._waiting[:READ_MAX])
        del self._waiting[: len(data)]
        if self._lost is None and not self._closed:
            self._listen()
        return data

    async def write(self, data: bytes) -> None:
        """Returns when the kernel has taken all of it, in order.

        Raises PortError when the device is lost, or takes nothing for `WRITE_TIMEOUT_S`.
        """
        rest = memoryview(data)
        while rest:
            if self._lost is not None:
                raise self._lost
            if self._closed:
                raise PortError(f"{self.device}: write after close", errno.EBADF)
            try:
                rest = rest[os.write(self._fd, rest) :]
            except BlockingIOError:
                await self._writable(len(data) - len(rest), len(data))
            except OSError as error:
                raise self._lose(_lost_sentence(error), error.errno) from error

    def discard_input(self) -> int:
        """Throw away what waits to be read, here and in the kernel; returns how many bytes."""
        count = len(self._waiting)
        self._waiting.clear()
        if self._closed or self._lost is not None:
            return count
        # Counted by reading: tcflush would not say how much it threw away.
        while count < WAITING_MAX and self._receive():
            count += len(self._waiting)
            self._waiting.clear()
        if self._lost is None:
            self._listen()
        return count

    def close(self) -> None:
        """Give the line back.  Bytes not yet sent are dropped; may be called more than once."""
        if self._closed:
            return
        self._closed = True
        self._deaf()
        self._loop.remove_writer(self._fd)
        # Without this, closing a line whose far end has stopped waits up to 30 s for its output.
        # Not on a pty, which never waits (it says 0): there it would lose what has just been sent.
        with contextlib.suppress(termios.error, OSError):
            if fcntl.ioctl(self._fd, termios.TIOCOUTQ, bytes(4)) != bytes(4):
                termios.tcflush(self._fd, termios.TCOFLUSH)
        with contextlib.suppress(termios.error, OSError):
            fcntl.ioctl(self._fd, termios.TIOCNXCL)
        with contextlib.suppress(termios.error, OSError):
            self._line.close()
        self._wake()

    def _listen(self) -> None:
        if not self._listening:
            self._loop.add_reader(self._fd, self._on_readable)
            self._listening = True

    def _deaf(self) -> None:
        if self._listening:
            self._loop.remove_reader(self._fd)
            self._listening = False

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def _on_readable(self) -> None:
        self._receive()
        if len(self._waiting) + READ_MAX > WAITING_MAX:
            self._deaf()
        if self._waiting or self._lost is not None:
            self._wake()

    def _receive(self) -> bool:
        """Take once from the kernel into `_waiting`; False where there was nothing to take."""
        try:
            data = os.read(self._fd, READ_MAX)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as error:
            self._lose(_lost_sentence(error), error.errno)
            return False
        if not data:
            # The line is opened with VMIN 1, so an idle line gives EAGAIN: nothing means hang-up.
            self._lose(_HUNG_UP, errno.EIO)
            return False
        self._waiting += data
        return True

    def _lose(self, why: str, code: int | None) -> PortError:
        if self._lost is None:
            self._lost = PortError(f"{self.device}: device lost: {why}", code)
            self._deaf()
        self._wake()
        return self._lost

    async def _writable(self, done: int, total: int) -> None:
        ready = asyncio.Event()
        self._loop.add_writer(self._fd, ready.set)
        try:
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                await ready.wait()
        except TimeoutError:
            raise self._lose(
                f"it took {done} of {total} bytes and no more within {WRITE_TIMEOUT_S:g} s",
                errno.ETIMEDOUT,
            ) from None
        finally:
            if not self._closed:
                self._loop.remove_writer(self._fd)


def open_port(
    device: str,
    *,
    baudrate: int = 9600,
    bytesize: int = 8,
    parity: str = "N",
    stopbits: float = 1,
) -> SerialPort:
    """Open `device` for this program alone, raw, with the line settings given (baudrate in bit/s).

    Must be called where an event loop runs.  Raises PortError (an OSError) with a sentence that
    names the device and, where one is known, the remedy.
    """
    settings = f"{baudrate} {bytesize}{parity}{stopbits:g}"
    try:
        line = serial.Serial(
            device,
            baudrate=baudrate,
            bytesize=bytesize,
            parity=parity,
            stopbits=stopbits,
            timeout=0,
            # Asks for VMIN 1, VTIME 0; pyserial's usual VMIN 0 makes an idle line look hung up.
            inter_byte_timeout=0,
            exclusive=True,
        )
    except (OSError, termios.error, ValueError, OverflowError) as error:
        code = _code_of(error)
        if code in _SENTENCES:
            sentence = f"cannot open {device}: {_SENTENCES[code]}"
        elif isinstance(error, ValueError | OverflowError):
            sentence, code = f"cannot set {device} to {settings}: {error}", errno.EINVAL
        elif code == errno.EINVAL:
            sentence = f"cannot set {device} to {settings}: the line refuses these settings"
        else:
            reason = os.strerror(code) if code is not None else str(error)
            sentence = f"cannot open {device}: {reason}"
        raise PortError(sentence, code) from error
    _claim(line.fileno())
    # FTDI adapters hold bytes back for 16 ms otherwise; a pty and many adapters do not know it.
    with contextlib.suppress(ValueError, OSError):
        line.set_low_latency_mode(True)
    return SerialPort(line, device)


def _claim(fd: int) -> None:
    """Refuse the line to every other program, also one that does not ask for a lock.

    pyserial's lock keeps out only programs that lock as well.  Not on a pty: its flag outlives a
    killed owner as long as the far end keeps the pty open, and nobody could open it again.
    """
    if 136 <= os.major(os.fstat(fd).st_rdev) <= 143:  # UNIX98 pty slaves, devices.txt
        return
    with contextlib.suppress(OSError):
        fcntl.ioctl(fd, termios.TIOCEXCL)


def _code_of(error: BaseException) -> int | None:
    """The errno of a failed open; pyserial keeps it only in the exception behind its own."""
    step: BaseException | None = error
    while step is not None:
        if isinstance(step, OSError) and step.errno is not None:
            return step.errno
        if isinstance(step, termios.error) and step.args and isinstance(step.args[0], int):
            return step.args[0]
        step = step.__cause__ or step.__context__
    return None


def _lost_sentence(error: OSError) -> str:
    return _HUNG_UP if error.errno == errno.EIO else error.strerror or str(error)
