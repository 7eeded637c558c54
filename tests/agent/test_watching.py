"""Who watches and listens: announced before it begins, silent only in a silent call for help."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agent import watching
from agent.media.voice.config import VoiceConfig
from agent.media.voice.floor import FloorError
from agent.media.wire import MediaEvent, MediaStats, WhipStats
from agent.watching import Watch, Watching
from tests.waiting import until


class Unit:
    """A unit without a media process: what it would have done stands in `did`, in order."""

    def __init__(self, **voice: Any) -> None:
        self.did: list[str] = []
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.spoken = asyncio.Event()
        self.silent_call = self.call = self.is_leased = False
        config = VoiceConfig(microphone="tone:500", speaker="file:/x.wav", **voice)
        made = self.watching = Watching(self, config, self._event)  # type: ignore[arg-type]
        made.say = lambda key: self.did.append(f"say {key}")
        made.said = self._said
        made.lamp = self._lamp
        made.is_discreet = lambda: self.silent_call
        made.is_called = lambda: self.call or self.silent_call
        self.lit = False

    def open_microphone(self, on: bool) -> None:
        self.did.append("microphone open" if on else "microphone shut")

    def give_floor(self, session: str) -> None:
        self.did.append(f"floor {session or 'free'}")

    async def _said(self) -> None:
        await self.spoken.wait()

    def _lamp(self, on: bool) -> None:
        if on is not self.lit:
            self.did.append("lamp on" if on else "lamp off")
        self.lit = on

    def _event(self, event: str, _source: str, _detail: str, **data: Any) -> None:
        self.events.append((event, data))

    def open(self, session: str = "a", *, by: str = "hq", voice: bool = True) -> None:
        self.watching.opened(
            Watch(session=session, by=by, camera="front", uplink="center", listens=voice,
                  talks=voice, since_s=0.0)
        )  # fmt: skip


async def test_a_lamp_and_words_come_before_the_microphone() -> None:
    unit = Unit(open_microphone=True)
    unit.open()
    await asyncio.sleep(0)
    assert unit.did == ["lamp on", "say camera_on", "say microphone_on"]
    unit.spoken.set()
    await until(lambda: unit.did[-1] == "microphone open", "the microphone is open")
    unit.watching.closed("a", "")
    assert unit.did[-2:] == ["lamp off", "microphone shut"]


async def test_who_goes_before_it_is_said_has_heard_nothing() -> None:
    unit = Unit(open_microphone=True)
    unit.open()
    await asyncio.sleep(0)
    unit.watching.closed("a", "")
    unit.spoken.set()
    await asyncio.sleep(0.01)
    assert "microphone open" not in unit.did


async def test_a_voice_that_hangs_does_not_keep_it_shut_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watching, "ANNOUNCED_S", 0.05)
    unit = Unit(open_microphone=True)
    unit.open()
    await until(lambda: unit.did[-1] == "microphone open", "the microphone is open")


async def test_an_open_microphone_is_off_unless_it_is_wanted() -> None:
    """Then only who holds the key at the unit is heard, and at once."""
    unit = Unit()
    unit.open()
    assert unit.did == ["lamp on", "say camera_on"]
    unit.watching.key(True)
    assert unit.did[-1] == "microphone open"
    unit.watching.key(False)
    assert unit.did[-1] == "microphone shut"


async def test_a_key_without_a_listener_opens_nothing() -> None:
    unit = Unit()
    unit.watching.key(True)
    unit.open(voice=False)
    assert "microphone open" not in unit.did


async def test_a_silent_call_for_help_lights_and_says_nothing() -> None:
    unit = Unit(open_on_sos=True)
    unit.silent_call = True
    unit.open()
    assert unit.did == ["microphone open"]


async def test_a_call_for_help_may_open_the_microphone() -> None:
    unit = Unit(open_on_sos=True)
    unit.open()
    unit.spoken.set()
    assert "say microphone_on" not in unit.did
    unit.call = True
    unit.watching.tick()
    await until(lambda: unit.did[-1] == "microphone open", "the microphone is open")
    unit.call = False
    unit.watching.tick()
    assert unit.did[-1] == "microphone shut"


async def test_single_pictures_are_a_start_of_the_camera_too() -> None:
    unit = Unit()
    unit.is_leased = True
    unit.watching.stats(MediaStats())
    assert unit.did == ["lamp on", "say camera_on"]
    unit.is_leased = False
    unit.watching.stats(MediaStats())
    assert unit.did[-1] == "lamp off"


async def test_so_is_who_watches_at_the_unit_s_own_server() -> None:
    unit = Unit()
    came = MediaEvent(event="whep", session="w", camera="front", state="ok", detail="10.0.0.7")
    unit.watching.told(came)
    assert unit.did == ["lamp on", "say camera_on"]
    unit.watching.told(MediaEvent(event="whep", session="w", state="ended"))
    assert [(event, data["by"]) for event, data in unit.events] == [
        ("watch", "10.0.0.7"), ("watched", "10.0.0.7"),
    ]  # fmt: skip
    refused = MediaEvent(event="whep", session="x", camera="front", state="malformed", detail="no")
    unit.watching.told(refused)
    assert unit.events[-1][1]["code"] == "malformed"
    assert unit.watching.watches == ()
    unit.watching.told(came)
    unit.watching.told(MediaEvent(event="media_down", detail="killed"))
    assert unit.watching.watches == ()
    assert not unit.lit


async def test_so_is_what_goes_to_a_media_server() -> None:
    unit = Unit()
    unit.watching.stats(MediaStats(whip=(WhipStats(name="hq", camera="front", state="live"),)))
    assert unit.did == ["lamp on", "say camera_on"]


def to_a_server(*, listens: bool, state: str = "live", camera: str = "front") -> MediaStats:
    return MediaStats(
        whip=(WhipStats(name="hq", camera=camera, state=state, listens=listens),)
    )  # fmt: skip


async def test_sound_to_a_media_server_is_announced_before_it_begins() -> None:
    unit = Unit(open_microphone=True)
    unit.watching.stats(to_a_server(listens=True))
    await asyncio.sleep(0)
    assert unit.did == ["lamp on", "say camera_on", "say microphone_on"]
    unit.spoken.set()
    await until(lambda: unit.did[-1] == "microphone open", "the microphone is open")
    unit.watching.stats(to_a_server(listens=False, state="waiting"))
    assert unit.did[-2:] == ["lamp off", "microphone shut"]


async def test_a_media_server_that_takes_sound_hears_only_who_holds_the_key() -> None:
    unit = Unit()
    unit.watching.stats(to_a_server(listens=True))
    assert unit.did == ["lamp on", "say camera_on"]
    unit.watching.key(True)
    assert unit.did[-1] == "microphone open"
    unit.watching.key(False)
    assert unit.did[-1] == "microphone shut"


async def test_voice_alone_is_no_start_of_the_camera() -> None:
    unit = Unit(open_microphone=True)
    watch = Watch(session="a", by="hq", camera="", uplink="center", listens=True, since_s=0.0)
    unit.watching.opened(watch)
    await asyncio.sleep(0)
    assert unit.did == ["lamp on", "say microphone_on"]


async def test_who_looks_again_soon_is_not_announced_again(monkeypatch: pytest.MonkeyPatch) -> None:
    unit = Unit()
    unit.open(voice=False)
    unit.watching.closed("a", "")
    unit.open("b", voice=False)
    assert unit.did.count("say camera_on") == 1
    unit.watching.closed("b", "")
    monkeypatch.setattr(watching, "LINGER_S", -1.0)
    unit.watching.tick()
    assert unit.did[-1] == "say camera_off"
    unit.open("c", voice=False)
    assert unit.did.count("say camera_on") == 2


async def test_one_talks_and_the_other_is_told_who() -> None:
    unit = Unit()
    unit.open("a")
    unit.open("b")
    unit.watching.talk("a", "Chen", open_line=False)
    assert unit.did[-1] == "floor a"
    with pytest.raises(FloorError, match="'Chen' has been talking"):
        unit.watching.talk("b", "Wu", open_line=False)
    unit.watching.talk("a", "Chen", open_line=False)
    unit.watching.closed("a", "gone")
    assert unit.did[-1] == "floor free"
    assert [(e, d.get("state")) for e, d in unit.events] == [
        ("talk", "begins"), ("talk", "ends"), ("watched", None),
    ]  # fmt: skip


async def test_a_session_without_a_voice_cannot_talk() -> None:
    unit = Unit()
    unit.open("a", voice=False)
    for session in ("a", "nobody"):
        with pytest.raises(LookupError, match="may talk here"):
            unit.watching.talk(session, "Chen", open_line=False)


async def test_a_talker_who_is_forgotten_is_cut_off() -> None:
    unit = Unit(talk_s=0.0)
    unit.open("a")
    unit.watching.talk("a", "Chen", open_line=False)
    unit.watching.tick()
    assert "floor free" in unit.did
    assert unit.watching.floor.talker is None
