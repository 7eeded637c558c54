"""Headless viewers: one WebRTC player a unit, in a process of its own, that counts pictures."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from urllib.parse import quote

import msgspec

from agent.drill.process import Child

RETRY_S = 1.0
SPAN_S = 86_400.0
"""Longer than any drill: a viewer watches until it is told to stop."""
WORTH_S = 3.0
"""An attempt that broke off sooner is followed by a pause."""


class _Counted(msgspec.Struct):
    """What we read of a viewer's JSON."""

    frames_decoded: int
    first_frame_s: float | None = None
    error: str = ""


class Viewer:
    """Watches one camera through the console's WHEP, and again when it breaks off."""

    def __init__(self, page: str, unit: str, camera: str, log: Path, token: str = "") -> None:
        self.unit = unit
        self.frames_decoded = 0
        self.first_frame_s: float | None = None
        self.detail = ""
        """Why there was no picture, the last time."""
        self._url = f"{page.rstrip('/')}/whep/{quote(unit)}/{quote(camera)}"
        self._token = token
        self._log = log
        self._child: Child | None = None
        self._ending = False

    async def run(self) -> None:
        """Until `stop`."""
        while not self._ending:
            begun = time.monotonic()
            await self._watch()
            if not self._ending and time.monotonic() - begun < WORTH_S:
                await asyncio.sleep(RETRY_S)

    def start_over(self) -> None:
        """The unit's agent has died and taken the session with it."""
        if self._child is not None:
            self._child.terminate()

    async def stop(self, timeout_s: float) -> None:
        """Let it say what it has counted; it is killed when that takes too long."""
        self._ending = True
        if self._child is not None:
            await self._child.end(timeout_s)

    async def _watch(self) -> None:
        command = ["agent.media.viewer", "--whep", self._url, "--seconds", str(SPAN_S), "--json"]
        if self._token:
            command += ["--token", self._token]
        self._child = await Child.start(f"viewer[{self.unit}]", command, self._log, output=True)
        try:
            said = await self._child.read_output()
        finally:
            await self._child.end(0.0)
        try:
            counted = msgspec.json.decode(said, type=_Counted)
        except msgspec.DecodeError:
            self.detail = f"the viewer ended without a count; see {self._log}"
            return
        self.frames_decoded += counted.frames_decoded
        if self.first_frame_s is None:
            self.first_frame_s = counted.first_frame_s
        self.detail = counted.error
