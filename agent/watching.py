"""Who watches and listens: announced at the unit before it begins, an audited event when it ends.

A remote start of camera or microphone lights a lamp and is spoken of; a silent call for help is
the exception, because it must not be noticed.  The microphone is heard by nobody until it has been
said that it will be.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from agent.media.host import MediaHost
from agent.media.voice.config import VoiceConfig
from agent.media.voice.floor import Floor, Talker
from agent.media.wire import MediaEvent, MediaStats

LINGER_S = 5.0
"""Who looks again within this time has not been away: nothing is announced twice."""
OWN = "whep"
"""In place of an uplink, where the unit's own server is watched."""
ANNOUNCED_S = 8.0
"""So long the microphone waits for what is said of it."""


class Watch(msgspec.Struct, frozen=True, kw_only=True):
    """One session."""

    session: str
    by: str
    camera: str
    """Empty: voice alone."""
    uplink: str
    listens: bool = False
    talks: bool = False
    since_s: float


class Watching:
    """One per unit; `event` as `Hub.event`."""

    def __init__(self, media: MediaHost, voice: VoiceConfig, event: Callable[..., Any]) -> None:
        self.floor = Floor(voice.talk_s)
        self.say: Callable[[str], None] = lambda _: None
        """Speaks a sentence of agent/speech.py."""
        self.said: Callable[[], Awaitable[None]] | None = None
        """Waits until all is said."""
        self.lamp: Callable[[bool], None] = lambda _: None
        """The panel's."""
        self.is_discreet: Callable[[], bool] = lambda: False
        """A silent call for help stands."""
        self.is_called: Callable[[], bool] = lambda: False
        """A call for help stands."""
        self._media = media
        self._voice = voice
        self._event = event
        self._watches: dict[str, Watch] = {}
        self._sent = False
        """Something goes out that is no session: single pictures, or to a media server."""
        self._heard = False
        """A media server takes the microphone's sound."""
        self._key_down = False
        self._open = False
        self._announced: dict[str, float] = {}
        """`camera`, `microphone` -> when it was last in use."""
        self._opening: asyncio.Task[None] | None = None

    @property
    def watches(self) -> tuple[Watch, ...]:
        return tuple(self._watches.values())

    # -- what happens --------------------------------------------------------------------------

    def opened(self, watch: Watch) -> None:
        self._watches[watch.session] = watch
        self.look()

    def closed(self, session: str, why: str) -> None:
        """An unknown session is no error: it is told of by both sides."""
        watch = self._watches.pop(session, None)
        if watch is None:
            return
        self.release(session)
        self._event(
            "watched", watch.uplink, why, session=session, by=watch.by, camera=watch.camera,
            seconds=round(time.monotonic() - watch.since_s, 1), listened=watch.listens,
            talked=watch.talks,
        )  # fmt: skip
        self.look()

    def told(self, event: MediaEvent) -> None:
        """By the media process: sessions that ended, and those of the unit's own WHEP server."""
        match event.event, event.state:
            case ("session_closed", _) | ("whep", "ended"):
                self.closed(event.session, event.detail)
            case ("whep", code) if event.session:
                self._asked_here(event, is_taken=code == "ok")
            case ("media_down", _):
                for watch in [one for one in self.watches if one.uplink == OWN]:
                    self.closed(watch.session, event.detail)

    def _asked_here(self, event: MediaEvent, *, is_taken: bool) -> None:
        """At the unit's own server; the book has it as it has offers of the centers."""
        by = event.detail if is_taken else ""
        if is_taken:
            self.opened(
                Watch(
                    session=event.session, by=by, camera=event.camera, uplink=OWN,
                    since_s=time.monotonic(),
                )
            )  # fmt: skip
        self._event(
            "watch", OWN, "" if is_taken else event.detail, session=event.session, by=by,
            camera=event.camera, code=event.state, listens=False, talks=False,
        )  # fmt: skip

    def key(self, down: bool) -> None:
        """Somebody at the unit holds the talk key, and is heard at once by who listens."""
        self._key_down = down
        self.look()

    # -- the floor -----------------------------------------------------------------------------

    def talk(self, session: str, by: str, *, open_line: bool) -> Talker:
        """FloorError: somebody else talks.  LookupError: no such session, or it has no voice."""
        watch = self._watches.get(session)
        if watch is None or not watch.talks:
            raise LookupError(f"no session {session!r} may talk here")
        before = self.floor.talker
        talker = self.floor.ask(session, by, time.monotonic(), open_line=open_line)
        if before is None or before.session != session:
            self._media.give_floor(session)
            self._event("talk", watch.uplink, "", session=session, by=by, state="begins")
        return talker

    def release(self, session: str) -> bool:
        """False where it had not the floor."""
        held = self.floor.talker
        if held is None or not self.floor.release(session):
            return False
        self._silence(held)
        return True

    def _silence(self, talker: Talker) -> None:
        self._media.give_floor("")
        seconds = round(time.monotonic() - talker.since_s, 1)
        self._event("talk", "voice", "", session=talker.session, by=talker.by, state="ends",
                    seconds=seconds)  # fmt: skip

    def stats(self, stats: MediaStats) -> None:
        """Twice a second, from the media process."""
        live = [way for way in stats.whip if way.state == "live"]
        self._sent = self._media.is_leased or any(way.camera for way in live)
        self._heard = any(way.listens for way in live)
        talker = self.floor.talker
        if talker is not None and stats.voice.talks:
            self.floor.heard(talker.session, time.monotonic())
        self.tick()

    def tick(self) -> None:
        over = self.floor.tick(time.monotonic())
        if over is not None:
            self._silence(over)
        self.look()

    # -- lamp, words, microphone ----------------------------------------------------------------

    def look(self) -> None:
        """Do what follows from who watches and listens now."""
        now = time.monotonic()
        seen = self._sent or any(watch.camera for watch in self._watches.values())
        listened = self._heard or any(watch.listens for watch in self._watches.values())
        remote = self._voice.open_microphone or (self._voice.open_on_sos and self.is_called())
        self.lamp((seen or listened) and not self.is_discreet())
        self._announce("camera", seen, now)
        self._announce("microphone", listened and remote, now)
        if not listened or not (remote or self._key_down):
            self._microphone(on=False)
        elif self._key_down or self.is_discreet():
            self._microphone(on=True)
        elif not self._open and self._opening is None:
            self._opening = asyncio.get_running_loop().create_task(
                self._open_when_said(), name="watching.announce"
            )

    def _announce(self, what: str, on: bool, now: float) -> None:
        if on:
            if what not in self._announced and not self.is_discreet():
                self.say(f"{what}_on")
            self._announced[what] = now
        elif what in self._announced and now - self._announced[what] > LINGER_S:
            del self._announced[what]
            if not self.is_discreet():
                self.say(f"{what}_off")

    async def _open_when_said(self) -> None:
        try:
            if self.said is not None:
                try:
                    async with asyncio.timeout(ANNOUNCED_S):
                        await self.said()
                except TimeoutError:
                    pass  # a voice that hangs has been announced by the lamp
            self._microphone(on=True)
        finally:
            self._opening = None

    def _microphone(self, *, on: bool) -> None:
        if not on and self._opening is not None:
            self._opening.cancel()
            self._opening = None
        if on is not self._open:
            self._open = on
            self._media.open_microphone(on)
