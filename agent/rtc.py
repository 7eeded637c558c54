"""WebRTC signalling over MQTT: offers in, answers out.  A broker alone is enough to watch."""

from __future__ import annotations

import asyncio
import base64
import logging
import time
from collections.abc import Callable
from typing import Any

import msgspec

from agent import signing, topics
from agent.clock import UnitClock
from agent.commands import RefusedError, check_time
from agent.media.host import MediaHost
from agent.media.wire import MediaError, OfferReply
from agent.messages import Answer, Mark, Offer, Still
from agent.mqtt import Message
from agent.settings.tables import UnitConfig
from agent.watching import Watch, Watching

log = logging.getLogger(__name__)

OFFER_MS = 10_000
"""An offer is good for so long."""
OFFERS_MAX = 16
"""So many are answered at a time; what comes beyond is told so."""
TASKS_MAX = 4 * OFFERS_MAX
"""Beyond this nobody is told anything: it is a flood."""
VERB = "video.start"
"""The verb whose authority an offer needs."""
TALK = "talk"
"""And its sound."""

_decode = msgspec.json.Decoder(Offer).decode
_encode = msgspec.json.Encoder().encode


class Signalling:
    """Offers of all uplinks to the one media process."""

    def __init__(
        self,
        unit: UnitConfig,
        clock: UnitClock,
        media: MediaHost,
        watching: Watching,
        group: asyncio.TaskGroup,
        event: Callable[..., None],
    ) -> None:
        self._unit = unit
        self._clock = clock
        self._media = media
        self._watching = watching
        self._group = group
        self._event = event
        self.tasks: set[asyncio.Task[None]] = set()
        """Offers that are being looked at or answered."""
        self._answering = 0

    def handle(self, topic: topics.Topic, message: Message, uplink: Any) -> None:
        """`rtc/{session}/offer` or `.../close`."""
        if len(topic.path) != 3:
            return
        _, session, what = topic.path
        if what == "close" and VERB in uplink.config.verbs:
            self._media.close(session)
            self._watching.closed(session, "ended by the viewer")
        elif what == "offer" and len(self.tasks) < TASKS_MAX:
            task = self._group.create_task(
                self._answer(session, message, uplink), name=f"rtc[{session}].answer"
            )
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def _answer(self, session: str, message: Message, uplink: Any) -> None:
        by = camera = ""
        reply = OfferReply(session=session)
        try:
            offer = self._read(message, uplink)
            by, camera = offer.by, offer.camera
            reply = await self._ask(session, offer, _why_no_voice(uplink))
            camera = reply.camera
            answer = Answer(sdp=reply.sdp, detail=reply.note, ice_servers=reply.ice_servers)
            self._watching.opened(
                Watch(
                    session=session, by=by, camera=camera, uplink=uplink.config.name,
                    listens=reply.listens, talks=reply.talks, since_s=time.monotonic(),
                )
            )  # fmt: skip
        except (RefusedError, MediaError) as error:
            answer = Answer(code=error.code, detail=str(error))
        uplink.publish(f"rtc/{session}/answer", _encode(answer))
        self._event(
            "watch", uplink.config.name, answer.detail, session=session, by=by, camera=camera,
            code=answer.code, listens=reply.listens, talks=reply.talks,
        )  # fmt: skip

    async def _ask(self, session: str, offer: Offer, no_voice: str) -> OfferReply:
        if self._answering >= OFFERS_MAX:
            raise RefusedError("unavailable", f"{OFFERS_MAX} offers are being answered already")
        self._answering += 1
        try:
            return await self._media.offer(session, offer.camera, offer.sdp, no_voice=no_voice)
        finally:
            self._answering -= 1

    def _read(self, message: Message, uplink: Any) -> Offer:
        if message.retain:
            raise RefusedError("expired", "a retained offer is never answered")
        try:
            offer = _decode(message.payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise RefusedError(
                "malformed", f"expected an offer as JSON, read {message.payload[:60]!r}: {error}"
            ) from error
        if signers := uplink.config.signers:
            try:
                signing.check_offer(signers, message.topic, offer)
            except signing.SignatureError as error:
                raise RefusedError(error.code, str(error)) from error
        if offer.mark is not self._unit.mark:
            raise RefusedError(
                "wrong_mark",
                f"this unit is marked {self._unit.mark.value!r}, the offer {offer.mark.value!r}",
            )
        if VERB not in uplink.config.verbs:
            raise RefusedError(
                "not_authorised", f"uplink {uplink.config.name!r} may not command {VERB!r}"
            )
        check_time(offer.issued, None, self._clock, OFFER_MS)
        return offer


def _why_no_voice(uplink: Any) -> str:
    if TALK in uplink.config.verbs:
        return ""
    return f"no voice: uplink {uplink.config.name!r} may not command {TALK!r}"


def still_message(unit: str, mark: Mark, camera: str, time_ms: int, jpeg: bytes) -> bytes:
    """What goes out on `still/{camera}`."""
    picture = base64.b64encode(jpeg).decode("ascii")
    return _encode(Still(unit=unit, mark=mark, camera=camera, t=time_ms, jpeg=picture))
