"""The control socket: how a program on this machine asks the running agent.

Unix socket `control.sock` in the store's folder, mode 0600.  One JSON object in a line each way:
`{"ask": "status"}`.  No other process opens the store.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec

NAME = "control.sock"
LINE_MAX = 64 * 1024


class _Ask(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    ask: str


@contextlib.asynccontextmanager
async def serve(directory: Path, answers: dict[str, Callable[[], Any]]) -> AsyncIterator[None]:
    """Answer until the block is left.  `answers`: what may be asked, and who knows."""
    path = directory / NAME
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)

    talks: dict[asyncio.Task[Any], asyncio.StreamWriter] = {}

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        talks[task] = writer
        try:
            with contextlib.suppress(ConnectionError, ValueError, asyncio.LimitOverrunError):
                while line := await reader.readline():
                    writer.write(msgspec.json.encode(_answer(line, answers)) + b"\n")
                    await writer.drain()
        finally:
            del talks[task]
            writer.close()

    mask = os.umask(0o177)
    try:
        server = await asyncio.start_unix_server(handle, path, limit=LINE_MAX)
    except OSError as error:
        raise OSError(f"{path}: cannot listen: {error.strerror or error}") from error
    finally:
        os.umask(mask)
    try:
        yield
    finally:
        server.close()
        ending = dict(talks)
        for writer in ending.values():
            # Not cancelled: the streams of Python 3.11 report that as a failure.
            writer.transport.abort()
        if ending:
            await asyncio.wait(ending)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def _answer(line: bytes, answers: dict[str, Callable[[], Any]]) -> Any:
    try:
        ask = msgspec.json.decode(line, type=_Ask).ask
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return {"ok": False, "error": f'expected {{"ask": "..."}}, read {line[:80]!r}: {error}'}
    if ask not in answers:
        known = ", ".join(sorted(answers))
        return {"ok": False, "error": f"cannot be asked {ask!r}; known are {known}"}
    return {"ok": True, **answers[ask]()}


async def ask(directory: Path, what: str, timeout_s: float = 2.0) -> dict[str, Any]:
    """Ask the agent whose store is `directory`.  OSError: it does not run, or does not answer."""
    async with asyncio.timeout(timeout_s):
        reader, writer = await asyncio.open_unix_connection(directory / NAME, limit=LINE_MAX * 16)
        try:
            writer.write(msgspec.json.encode({"ask": what}) + b"\n")
            line = await reader.readline()
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
    if not line:
        raise ConnectionError(f"{directory / NAME}: closed without an answer")
    return msgspec.json.decode(line, type=dict[str, Any])
