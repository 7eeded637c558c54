"""`python -m agent.media FD`: the media process.  Started by `agent/media/host.py` only."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import logging
import os
import signal
import socket
import sys
import threading
from contextlib import suppress
from pathlib import Path

import cv2

from agent.media import codecs, loopback, wire
from agent.media.service import Service
from agent.media.ways import closed, dtls

PR_SET_PDEATHSIG = 1
"""prctl(2)."""
OOM_SCORE = "500"
"""Where memory runs out the kernel ends this process, not the core."""


def _tie_to_parent() -> None:
    """Die with the core even when hung: the socket's end would not be noticed then.  Linux."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    with suppress(OSError):  # a container may forbid it
        Path("/proc/self/oom_score_adj").write_text(OOM_SCORE, encoding="ascii")
    # Ctrl-C goes to the whole terminal; the core decides when pictures end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _thread_failed(args: threading.ExceptHookArgs) -> None:
    """A camera's thread that fails unexpectedly ends the process: the core starts a whole one."""
    threading.__excepthook__(args)
    sys.stderr.flush()
    os._exit(70)


async def _serve(fd: int) -> None:
    reader, writer = await asyncio.open_unix_connection(sock=socket.socket(fileno=fd))
    first = await wire.read_to_media(reader)
    if first is None:
        return
    if not isinstance(first, wire.Configure):
        raise wire.WireError(f"read a {type(first).__name__} first, expected Configure")
    os.nice(first.config.limits.nice)
    try:
        await Service(first.config, writer).run(reader)
    except ConnectionError:
        pass
    finally:
        writer.close()


def main() -> int:
    if len(sys.argv) != 2 or not sys.argv[1].isdigit():
        print("usage: python -m agent.media FD (started by the agent only)", file=sys.stderr)  # noqa: T201
        return 64
    _tie_to_parent()
    threading.excepthook = _thread_failed
    logging.basicConfig(level=logging.WARNING, format="media: %(levelname)s %(name)s: %(message)s")
    # Small pictures: a second thread's wake-ups cost more than it takes over.
    cv2.setNumThreads(1)
    loopback.install()
    closed.install()
    # What is loaded stays: the collector need not look at it after each viewer.
    gc.collect()
    gc.freeze()
    dtls.install()
    codecs.install()
    asyncio.run(_serve(int(sys.argv[1])))
    return 0


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    # A device that hangs in a camera's thread must not keep the process alive.
    os._exit(status)
