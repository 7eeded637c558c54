"""`outpost capture`: the bytes of a port with their times, for `outpost replay` and the tests."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import getpass
import signal
import socket
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from drivers import recording

if TYPE_CHECKING:
    from drivers import Port

FAILED = 1
USAGE_ERROR = 2
SETTINGS = (("baudrate", 9600), ("bytesize", 8), ("parity", "N"), ("stopbits", 1))
CHOICES: dict[str, tuple[int | str, ...] | None] = {
    "baudrate": None, "bytesize": (5, 6, 7, 8), "parity": tuple("NEOMS"), "stopbits": (1, 2),
}  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("port", metavar="PORT", help="/dev/serial/by-id/..., tcp://HOST:PORT")
    for key, default in SETTINGS:
        parser.add_argument(
            f"--{key}", type=type(default), default=default, choices=CHOICES[key],
            help="(%(default)s)",
        )  # fmt: skip
    parser.add_argument(
        "--seconds", type=_seconds, metavar="S", help="default: until Ctrl-C, or the device is lost"
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="a new file; default: standard output"
    )
    parser.add_argument(
        "--note", default="", help="instrument, serial number, place, what it shows"
    )


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < 1e9:
        raise ValueError
    return value


_seconds.__name__ = "number of seconds"


def main(args: argparse.Namespace) -> int:
    """0; 2 where it cannot begin; 1 where the device or the disk was lost on the way (what came
    before is kept).  Ctrl-C ends it well."""
    try:
        return asyncio.run(_main(args))
    except BrokenPipeError:
        return 0


async def _main(args: argparse.Namespace) -> int:
    from drivers.ports import open_port

    settings = {key: getattr(args, key) for key, _ in SETTINGS}
    async with contextlib.AsyncExitStack() as stack:
        try:
            port = await stack.enter_async_context(open_port(args.port, **settings))
        except OSError as error:
            return _complain(str(error), USAGE_ERROR)
        try:
            # A recording cannot be made again: an old one is never overwritten.
            file = (
                stack.enter_context(args.output.open("x", encoding="utf-8"))
                if args.output
                else sys.stdout
            )
        except OSError as error:
            return _complain(f"{args.output}: cannot be made: {error.strerror}", USAGE_ERROR)
        file.write(recording.header(_about(args)))
        try:
            count = await _record(port, file, args.seconds)
        except BrokenPipeError:
            raise
        except OSError as error:
            return _complain(str(error), FAILED)
    sys.stderr.write(f"{count} bytes\n")
    return 0


def _about(args: argparse.Namespace) -> dict[str, str]:
    return {
        "port": args.port,
        "line": f"{args.baudrate} {args.bytesize}{args.parity}{args.stopbits}",
        "began": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "by": f"{_user()} on {socket.gethostname()}",
        "note": args.note,
    }


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "somebody"


async def _record(port: Port, file: TextIO, seconds: float | None) -> int:
    """Until the time is over or a signal comes; how many bytes.  OSError: the device is lost."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    count = 0
    began = time.monotonic()

    async def receive() -> None:
        nonlocal count
        while True:
            data = await port.read()
            file.write(recording.line(recording.Chunk(time.monotonic() - began, data)))
            # What has come must not be lost with the power.
            file.flush()
            count += len(data)

    reader = asyncio.create_task(receive(), name="capture.read")
    ender = asyncio.create_task(stop.wait(), name="capture.stop")
    try:
        await asyncio.wait({reader, ender}, timeout=seconds, return_when="FIRST_COMPLETED")
        if reader.done():
            reader.result()
    finally:
        for task in (reader, ender):
            task.cancel()
        await asyncio.gather(reader, ender, return_exceptions=True)
        file.flush()
    return count


def _complain(sentence: str, status: int) -> int:
    sys.stderr.write(f"{sentence}\n")
    return status
