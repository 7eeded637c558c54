"""Work beside: what blocks and nobody waits for at the end, and what ends with something."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def in_background(
    work: Callable[[], T], name: str, undo: Callable[[], object]
) -> asyncio.Future[T]:
    """Run `work` on a daemon thread of its own (the executor's threads are joined when the process
    ends).  OSError and ValueError are passed on.  `undo` is called when the future was cancelled
    before `work` was done (a name look-up may hang for half a minute)."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(results: list[T], error: BaseException) -> None:
        if future.done():
            undo()
        elif results:
            future.set_result(results[0])
        else:
            future.set_exception(error)

    def run() -> None:
        results: list[T] = []
        failure: BaseException = RuntimeError(f"{name} ended without a result")
        try:
            results.append(work())
        except (OSError, ValueError) as error:
            failure = error
        finally:
            try:
                loop.call_soon_threadsafe(settle, results, failure)
            except RuntimeError:
                # The loop is closed.
                undo()

    threading.Thread(target=run, name=name, daemon=True).start()
    return future


async def run_until(work: Coroutine[Any, Any, None], end: asyncio.Future[Any], name: str) -> None:
    """Run `work`, and cancel it when `end` is done.  An error of `work` is raised here."""
    task = asyncio.create_task(work, name=name)
    watched: list[asyncio.Future[Any]] = [task, end]
    try:
        await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
    finally:
        if not task.done():
            task.cancel()
        await asyncio.wait([task])
    if not task.cancelled() and (error := task.exception()) is not None:
        raise error
