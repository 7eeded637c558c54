"""Offers over MQTT: who is answered, and what the others are told."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from agent import rtc, signing, topics
from agent.clock import UnitClock
from agent.media import wire
from agent.media.host import MediaHost
from agent.media.wire import MediaError
from agent.messages import Answer, Clock, Mark, Offer, Still
from agent.mqtt import Message
from agent.rtc import Signalling
from agent.settings.tables import Profile, UnitConfig, UplinkConfig
from agent.settings.voice import VoiceConfig
from agent.watching import Watching
from tests.agent.test_signing import KEY, public
from tests.waiting import until

ROOT = "outpost-exercise/v1/hubei/ex-cv-01"
UNIT = UnitConfig(id="ex-cv-01", org="hubei", profile=Profile.VEHICLE, mark=Mark.EXERCISE)


class FakeMedia:
    """In place of the media process: answers when told to."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str]] = []
        self.closed: list[str] = []
        self.ready = asyncio.Event()
        self.error: MediaError | None = None

    async def offer(
        self, session: str, camera: str, sdp: str, *, no_voice: str = ""
    ) -> wire.OfferReply:
        self.asked.append((session, camera, sdp))
        self.no_voice = no_voice
        await self.ready.wait()
        if self.error is not None:
            raise self.error
        return wire.OfferReply(
            session=session, sdp="v=0 answer", note=no_voice, camera=camera,
            listens=not no_voice, talks=not no_voice,
        )  # fmt: skip

    def close(self, session: str) -> None:
        self.closed.append(session)

    def open_microphone(self, on: bool) -> None:
        self.microphone = on

    def give_floor(self, session: str) -> None:
        self.floor = session


class FakeUplink:
    def __init__(self, *verbs: str) -> None:
        self.config = UplinkConfig(name="center", host="h", verbs=verbs)
        self.published: dict[str, Answer] = {}

    def publish(self, path: str, payload: bytes) -> None:
        self.published[path] = msgspec.json.decode(payload, type=Answer)


class Rig:
    def __init__(self, group: asyncio.TaskGroup, media: Any) -> None:
        self.clock = UnitClock()
        self.media = media
        self.events: list[tuple[Any, ...]] = []
        self.uplink = FakeUplink("video.start")
        self.watching = Watching(media, VoiceConfig(), self._event)
        self.signalling = Signalling(UNIT, self.clock, media, self.watching, group, self._event)

    def _event(self, event: str, source: str, detail: str, **data: Any) -> None:
        self.events.append((event, source, detail, data))

    def send(
        self,
        what: str = "offer",
        session: str = "s1",
        *,
        retain: bool = False,
        raw: bytes | None = None,
        uplink: FakeUplink | None = None,
        **over: Any,
    ) -> None:
        body = {
            "by": "hq/wang", "issued": self.clock.now_ms(), "mark": "exercise", "camera": "front",
            "sdp": "v=0", **over,
        }  # fmt: skip
        topic = f"{ROOT}/rtc/{session}/{what}"
        payload = msgspec.json.encode(body) if raw is None else raw
        self.signalling.handle(
            topics.parse(topic), Message(topic=topic, payload=payload, retain=retain),
            uplink or self.uplink,
        )  # fmt: skip

    async def answer(self, session: str = "s1", uplink: FakeUplink | None = None) -> Answer:
        published = (uplink or self.uplink).published
        await until(lambda: f"rtc/{session}/answer" in published, f"{session} is answered")
        return published[f"rtc/{session}/answer"]


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with asyncio.TaskGroup() as group:
        made = Rig(group, FakeMedia())
        made.media.ready.set()
        yield made
        for task in made.signalling.tasks:
            task.cancel()


async def test_an_offer_is_answered_where_it_came_from(rig: Rig) -> None:
    rig.send()
    answer = await rig.answer()
    assert (answer.code, answer.sdp) == ("ok", "v=0 answer")
    assert rig.media.asked == [("s1", "front", "v=0")]
    ((event, source, _, data),) = rig.events
    assert (event, source) == ("watch", "center")
    assert data == {
        "session": "s1", "by": "hq/wang", "camera": "front", "code": "ok", "listens": False,
        "talks": False,
    }  # fmt: skip


async def test_sound_needs_authority_of_its_own(rig: Rig) -> None:
    rig.send()
    answer = await rig.answer()
    assert answer.code == "ok"
    assert answer.detail == "no voice: uplink 'center' may not command 'talk'"
    may = FakeUplink("video.start", "talk")
    rig.send(session="s2", uplink=may)
    assert await rig.answer("s2", may) == Answer(sdp="v=0 answer")
    assert [watch.talks for watch in rig.watching.watches] == [False, True]


async def test_who_watched_and_how_long_is_an_event(rig: Rig) -> None:
    rig.send()
    await rig.answer()
    rig.send("close")
    rig.watching.closed("s1", "told by the media process too")
    (_, (event, source, why, data)) = rig.events
    assert (event, source, why) == ("watched", "center", "ended by the viewer")
    assert data["by"] == "hq/wang"
    assert data["camera"] == "front"
    assert 0 <= data["seconds"] < 60
    assert (data["listened"], data["talked"]) == (False, False)
    assert rig.watching.watches == ()


async def test_what_the_media_process_says_no_to(rig: Rig) -> None:
    rig.media.error = MediaError("not_found", "no camera 'rear'; this unit has: front")
    rig.send(camera="rear")
    assert await rig.answer() == Answer(
        code="not_found", detail="no camera 'rear'; this unit has: front"
    )
    assert rig.events[0][3]["code"] == "not_found"


@pytest.mark.parametrize(
    ("over", "code", "detail"),
    [
        (
            {"mark": "actual"},
            "wrong_mark",
            "this unit is marked 'exercise', the offer 'actual'",
        ),
        (
            {"raw": b"{"},
            "malformed",
            "expected an offer as JSON, read b'{': Input data was truncated",
        ),
        (
            {"raw": b'{"by": "x", "issued": 1}'},
            "malformed",
            """expected an offer as JSON, read b'{"by": "x", "issued": 1}': Object missing """
            "required field `sdp`",
        ),
        ({"raw": b"\xff" * 100}, "malformed", None),
        ({"retain": True}, "expired", "a retained offer is never answered"),
        ({"uplink": FakeUplink("resend")}, "not_authorised",
         "uplink 'center' may not command 'video.start'"),
    ],
)  # fmt: skip
async def test_what_is_not_answered_is_told_why(
    rig: Rig, over: dict[str, Any], code: str, detail: str | None
) -> None:
    rig.send(**over)
    answer = await rig.answer(uplink=over.get("uplink"))
    assert (answer.sdp, answer.code) == ("", code)
    assert detail is None or answer.detail == detail
    assert len(answer.detail) < 400
    assert not rig.media.asked


async def test_an_offer_is_good_for_ten_seconds(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(UnitClock, "source", Clock.NTP)
    now = rig.clock.now_ms()
    rig.send(session="old", issued=now - rtc.OFFER_MS - 1000)
    answer = await rig.answer("old")
    assert answer.code == "expired"
    assert answer.detail.startswith(f"it was good until {now - 1000}, and now it is ")
    rig.send(session="new", issued=now - rtc.OFFER_MS + 5000)
    assert (await rig.answer("new")).code == "ok"


async def test_a_unit_whose_clock_was_never_set_cannot_tell_and_answers(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(UnitClock, "source", Clock.FREE)
    rig.send(issued=1)
    assert (await rig.answer()).code == "ok"


async def test_a_flood_is_bounded(rig: Rig) -> None:
    rig.media.ready.clear()
    for number in range(rtc.TASKS_MAX + 20):
        rig.send(session=f"s{number}")
    assert len(rig.signalling.tasks) == rtc.TASKS_MAX
    # As many as are answered at a time are asked for, the others are told, the rest hear nothing.
    await until(lambda: len(rig.signalling.tasks) == rtc.OFFERS_MAX, "the others are told")
    codes = [answer.code for answer in rig.uplink.published.values()]
    assert codes == ["unavailable"] * (rtc.TASKS_MAX - rtc.OFFERS_MAX)
    assert len(rig.media.asked) == rtc.OFFERS_MAX
    rig.media.ready.set()
    await until(lambda: not rig.signalling.tasks, "all are answered")
    rig.send(session="later")
    assert (await rig.answer("later")).code == "ok"


async def test_a_viewer_s_goodbye_reaches_the_media_process(rig: Rig) -> None:
    rig.send("close", "s1")
    rig.send("close", "s2", uplink=FakeUplink("resend"))
    rig.send("answer", "s3")
    assert rig.media.closed == ["s1"]
    assert not rig.media.asked


async def test_without_libraries_or_camera_the_reason_is_told() -> None:
    """The real host, without a process."""
    off = wire.MediaConfig(unit=UNIT.id, mark=UNIT.mark, enabled=False)
    host = MediaHost(off, lambda *_: None, lambda _: None, lambda _: None)
    async with asyncio.TaskGroup() as group:
        rig = Rig(group, host)
        rig.send()
        assert await rig.answer() == Answer(
            code="unavailable", detail="video is disabled: [media] enabled = false"
        )


def test_a_still_is_a_picture_in_text() -> None:
    payload = rtc.still_message("ex-cv-01", Mark.EXERCISE, "front", 7, b"\xff\xd8")
    still = msgspec.json.decode(payload, type=Still)
    assert (still.unit, still.mark, still.camera, still.t) == (
        "ex-cv-01", Mark.EXERCISE, "front", 7,
    )  # fmt: skip
    assert base64.b64decode(still.jpeg) == b"\xff\xd8"


async def test_where_there_are_signers_an_offer_is_signed(rig: Rig) -> None:
    uplink = FakeUplink("video.start")
    uplink.config = msgspec.structs.replace(uplink.config, signers=(public(KEY),))
    offer = Offer(
        by="hq/wang", issued=rig.clock.now_ms(), mark=Mark.EXERCISE, camera="front", sdp="v=0"
    )

    def signed(session: str, offer: Offer) -> str:
        said = signing.offer_bytes(f"{ROOT}/rtc/{session}/offer", offer)
        return base64.b64encode(KEY.sign(said)).decode()

    async def code(session: str, offer: Offer) -> str:
        rig.send(session=session, raw=msgspec.json.encode(offer), uplink=uplink)
        return (await rig.answer(session, uplink)).code

    assert await code("s1", offer) == "unsigned"
    good = msgspec.structs.replace(offer, sig=signed("s2", offer))
    assert await code("s2", good) == "ok"
    assert await code("s3", good) == "bad_signature"
    for over in ({"sdp": "v=1"}, {"camera": "rear"}, {"by": "x"}, {"by": "a\nb"}, {"sig": "x"}):
        assert await code(f"s4-{len(uplink.published)}", msgspec.structs.replace(good, **over)) == (
            "bad_signature"
        )
    late = msgspec.structs.replace(offer, issued=rig.clock.now_ms() - 11_000)
    assert await code("s5", msgspec.structs.replace(late, sig=signed("s5", late))) == "expired"
    assert [asked[0] for asked in rig.media.asked] == ["s2"]
