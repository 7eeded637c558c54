"""The control socket: how a program on this machine asks the running agent.

Unix socket `control.sock` in the store's folder, mode 0600.  One JSON object in a line each way:
`{"ask": "status"}`, some with `args`.  No other process opens the store.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec

log = logging.getLogger(__name__)

NAME = "control.sock"
LINE_MAX = 64 * 1024
FIRST_S = 0.2
RETRY_S = 5.0


class _Ask(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    ask: str
    args: dict[str, Any] = {}


@contextlib.asynccontextmanager
async def serve(
    directory: Path,
    answers: dict[str, Callable[[], Any]],
    told: dict[str, Callable[[dict[str, Any]], Any]] | None = None,
) -> AsyncIterator[None]:
    """Answer until the block is left.  `answers`: what may be asked, and who knows; `told`: the
    same of what is asked with `args`."""
    path = directory / NAME
    talks: dict[asyncio.Task[Any], asyncio.StreamWriter] = {}

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        talks[task] = writer
        try:
            with contextlib.suppress(ConnectionError, ValueError, asyncio.LimitOverrunError):
                while line := await reader.readline():
                    writer.write(msgspec.json.encode(_answer(line, answers, told or {})) + b"\n")
                    await writer.drain()
        finally:
            del talks[task]
            writer.close()

    listening = asyncio.create_task(_listen(handle, path), name="control")
    # Where it can listen it does before the block begins.
    await asyncio.wait([listening], timeout=FIRST_S)
    try:
        yield
    finally:
        listening.cancel()
        await asyncio.wait([listening])
        if not listening.cancelled():
            listening.result().close()
        ending = dict(talks)
        for writer in ending.values():
            # Not cancelled: the streams of Python 3.11 report that as a failure.
            writer.transport.abort()
        if ending:
            await asyncio.wait(ending)
        with contextlib.suppress(OSError):
            os.unlink(path)


async def _listen(handle: Any, path: Path) -> asyncio.Server:
    """The agent does without: a folder that cannot be written (a full or absent disk) is tried
    again for as long as it takes."""
    told = False
    while True:
        with contextlib.suppress(OSError):
            # A killed agent has left it behind.
            os.unlink(path)
        mask = os.umask(0o177)
        try:
            return await asyncio.start_unix_server(handle, path, limit=LINE_MAX)
        except OSError as error:
            if not told:
                log.error("%s: cannot listen: %s", path, error.strerror or error)
            told = True
        finally:
            os.umask(mask)
        await asyncio.sleep(RETRY_S)


def _answer(
    line: bytes,
    answers: dict[str, Callable[[], Any]],
    told: dict[str, Callable[[dict[str, Any]], Any]],
) -> Any:
    try:
        asked = msgspec.json.decode(line, type=_Ask)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return {"ok": False, "error": f'expected {{"ask": "..."}}, read {line[:80]!r}: {error}'}
    ask = asked.ask
    if ask in told:
        return {"ok": True, **told[ask](asked.args)}
    if ask not in answers:
        known = ", ".join(sorted([*answers, *told]))
        return {"ok": False, "error": f"cannot be asked {ask!r}; known are {known}"}
    if asked.args:
        return {"ok": False, "error": f"{ask!r} takes no args"}
    return {"ok": True, **answers[ask]()}


async def ask(
    directory: Path, what: str, timeout_s: float = 2.0, args: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Ask the agent whose store is `directory`.  OSError: it does not run, or does not answer."""
    async with asyncio.timeout(timeout_s):
        reader, writer = await asyncio.open_unix_connection(directory / NAME, limit=LINE_MAX * 16)
        try:
            writer.write(
                msgspec.json.encode({"ask": what} | ({"args": args} if args else {})) + b"\n"
            )
            line = await reader.readline()
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
    if not line:
        raise ConnectionError(f"{directory / NAME}: closed without an answer")
    return msgspec.json.decode(line, type=dict[str, Any])
