"""What the agent and its media process need of a sandbox, tried inside it (see test_install.py)."""

from __future__ import annotations

import asyncio
import ctypes
import os
import pty
import socket
import sqlite3
import sys
from fractions import Fraction
from pathlib import Path

import av
import ifaddr
import numpy as np
from OpenSSL import SSL


def main() -> None:
    """Each line raises where the sandbox forbids it."""
    # aiortc's DTLS: a callback made at run time, which needs writable and executable memory.
    SSL.Context(SSL.DTLS_METHOD).set_verify(SSL.VERIFY_PEER, lambda *_: True)
    # aioice lists the interfaces through netlink.
    assert list(ifaddr.get_adapters())
    # The media process lowers its priority and dies with its parent.
    os.nice(5)
    assert ctypes.CDLL(None).prctl(1, 9) == 0
    encoder = av.CodecContext.create("libx264", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = 64, 64, "yuv420p"
    encoder.framerate = Fraction(25)
    picture = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
    assert [*encoder.encode(picture.reformat(format="yuv420p")), *encoder.encode(None)]
    asyncio.run(child())
    os.close(pty.openpty()[0])
    # -1: forbidden; 5, a clock that nothing disciplines, is an answer.
    assert ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(256)) >= 0
    Path("/proc/sys/kernel/random/boot_id").read_text()
    with sqlite3.connect("/var/lib/outpost/probe.db") as database:
        assert database.execute("PRAGMA journal_mode=WAL").fetchone() == ("wal",)
    for path in ("/etc/outpost/agent.toml", "/opt/outpost/bin/outpost", "/var/lib/probe"):
        try:
            Path(path).open("a").close()
        except OSError:
            continue
        raise AssertionError(f"{path} can be written to")


async def child() -> None:
    ours, theirs = socket.socketpair()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "", pass_fds=[theirs.fileno()]
    )
    assert await process.wait() == 0
    ours.close()
    theirs.close()


if __name__ == "__main__":
    main()
