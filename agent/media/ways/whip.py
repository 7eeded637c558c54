"""Publishes one camera to one media server by WHIP (RFC 9725), for as long as it is wanted; the
microphone beside it where that is configured.

The packets are those that every viewer gets: nothing is encoded for the server alone.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress

from aiortc import (
    RTCBundlePolicy,
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpTransceiver,
    RTCSessionDescription,
)
from aiortc.exceptions import InternalError, InvalidAccessError, InvalidStateError, OperationError

from agent.broker import Backoff, Tls
from agent.media.offer import SDP_ERRORS
from agent.media.pipeline import Pipeline
from agent.media.video_part import VideoPart
from agent.media.voice.hub import VoiceHub
from agent.media.voice.part import VoiceTrack, opus_preferences
from agent.media.ways import answer
from agent.media.ways.config import Start, WhipConfig, read_token
from agent.media.ways.gather import ask_servers
from agent.media.ways.interfaces import INTERFACES
from agent.media.ways.paths import Restart, description_of, transport_of
from agent.media.ways.sdpfrag import Fragment
from agent.media.ways.supply import Supply
from agent.media.ways.whip_http import Created, Exchange, WhipError
from agent.media.wire import WhipStats

log = logging.getLogger(__name__)

CONNECT_S = 15.0
"""No path to the media server by then: there is none."""
CLOSE_S = 3.0
RETRY_S = (0.5, 30.0)
REFUSED_S = (5.0, 120.0)
"""After 4xx the same offer will hardly do; but a token or a name may be set right over there."""
HEALTHY_S = 20.0
RESTART_AGAIN_S = 0.3
RESTART_FOR_S = 25.0
"""By then consent has expired (RFC 7675, 5.1)."""
SOUND = "with the microphone's sound, whenever that is open"
NO_SOUND = "the media server takes no sound"
NEGOTIATION_ERRORS = (
    InternalError,
    InvalidAccessError,
    InvalidStateError,
    OperationError,
    *SDP_ERRORS,
)


def offer_text(sdp: str) -> str:
    """aiortc's offer as RFC 9725, 4.4 wants it: `rtcp-mux-only` (RFC 8858) in each section, trickle
    announced, and no end of candidates, because there may come more by PATCH."""
    lines: list[str] = []
    for line in sdp.splitlines():
        if line.startswith("m=") and not any(seen.startswith("m=") for seen in lines):
            lines.append("a=ice-options:trickle")
        if line == "a=end-of-candidates" or line.startswith("a=ice-options:"):
            continue
        lines.append(line)
        if line == "a=rtcp-mux":
            lines.append("a=rtcp-mux-only")
    return "\r\n".join(lines) + "\r\n"


class _Session:
    """One life: from POST to DELETE."""

    def __init__(
        self,
        pipeline: Pipeline | None,
        voice: VoiceHub | None,
        supply: Supply,
        exchange: Exchange,
        name: str,
    ) -> None:
        self._pipeline = pipeline
        self._voice = voice
        self._supply = supply
        self._exchange = exchange
        self._part = VideoPart(f"whip {name}", pipeline) if pipeline is not None else None
        self.listens = False
        """The server takes the microphone's sound."""
        self._ended = asyncio.Event()
        self._connected = asyncio.Event()
        self._lost = asyncio.Event()
        self._created: Created | None = None
        self._offer: Fragment | None = None
        self._trickling: asyncio.Task[None] | None = None
        self.connection = RTCPeerConnection(
            RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE)
        )
        self.connection.on("connectionstatechange", self._state_changed)

    def _state_changed(self) -> None:
        if self.connection.connectionState in ("failed", "closed"):
            self._ended.set()
        self._connected.set()

    async def open(self) -> None:
        """Returns when media flows.  WhipError."""
        self._attach()
        self._supply.equip(self.connection, self._renew, on_lost=self._path_lost)
        await self.connection.setLocalDescription(await self.connection.createOffer())
        offer = offer_text(self.connection.localDescription.sdp)
        self._offer = Fragment.of_sdp(offer)
        self._created = created = await self._exchange.post(offer)
        await self._gather_late(created)
        try:
            await self.connection.setRemoteDescription(
                RTCSessionDescription(answer.usable(created.answer, offer), "answer")
            )
        except NEGOTIATION_ERRORS as error:
            raise WhipError(
                f"the server's answer cannot be used: {type(error).__name__}: {error}"
            ) from error
        for transceiver in self.connection.getTransceivers():
            self._check(transceiver)
        await self._until_connected()

    def _attach(self) -> None:
        """WhipError: the camera is known to be down."""
        if self._pipeline is not None and self._part is not None:
            if fault := self._pipeline.check():
                raise WhipError(f"camera {self._pipeline.config.name!r}: {fault}")
            self._pipeline.hold(self._part.session)
            self._part.attach(self.connection)
        if self._voice is not None:
            track = VoiceTrack(self._voice, keep_alive=True)
            self.connection.addTransceiver(track, direction="sendonly").setCodecPreferences(
                opus_preferences()
            )
        for transceiver in self.connection.getTransceivers():
            transceiver.direction = "sendonly"

    def _check(self, transceiver: RTCRtpTransceiver) -> None:
        """Packets never go out under another codec, nor to a server that refuses them; sound that
        it refuses does not take the pictures with it.  WhipError."""
        codec = transceiver._codecs[0].name if transceiver._codecs else "none"
        wanted = "H264" if transceiver.kind == "video" else "opus"
        takes = codec.upper() == wanted.upper() and transceiver.currentDirection == "sendonly"
        if transceiver.kind == "audio":
            self.listens = takes
        if not takes and (transceiver.kind == "video" or self._part is None):
            raise WhipError(
                f"the server's answer gives codec {codec}, direction "
                f"{transceiver.currentDirection}; expected {wanted}, recvonly"
            )

    def _renew(self) -> None:
        if self._part is not None:
            self._part.renew()

    async def _gather_late(self, created: Created) -> None:
        """Candidates from the servers that the answer named; then one PATCH with all that the
        server does not know yet (RFC 9725, 4.3.2)."""
        assert self._offer is not None, "made before"
        transport = transport_of(self.connection)
        assert transport is not None, "a section was offered"
        ice = transport._connection
        late = []
        if created.ice_servers:
            named = self._supply.only(created.ice_servers)
            late = await ask_servers(ice, named, list(ice._protocols))
            ice._local_candidates += late
        if created.session and (late or created.etag):
            fragment = Fragment(
                ufrag=self._offer.ufrag, pwd=self._offer.pwd, candidates=description_of(late),
                complete=True, mid=self._offer.mid, media=self._offer.media,
                session=self._offer.session,
            )  # fmt: skip
            self._trickling = asyncio.create_task(self._trickle(created, fragment), name="trickle")

    async def _trickle(self, created: Created, fragment: Fragment) -> None:
        try:
            await self._exchange.trickle(created.session, fragment, created.etag)
        except WhipError as error:
            # RFC 9725, 4.3.1: not supported, or not now; the offer's candidates may do.
            log.info("candidates were not taken: %s", error)

    async def _until_connected(self) -> None:
        try:
            async with asyncio.timeout(CONNECT_S):
                while self.connection.connectionState != "connected":
                    if self._ended.is_set():
                        raise WhipError("there is no path to the media server (ICE or DTLS failed)")
                    self._connected.clear()
                    await self._connected.wait()
        except TimeoutError as error:
            raise WhipError(
                f"there is no path to the media server: not connected within {CONNECT_S:g} s"
            ) from error

    def _path_lost(self) -> bool:
        """Told by the path's keeper, each time that it would look for another one."""
        self._lost.set()
        return True

    async def serve(self, on_restart: Callable[[], None]) -> None:
        """Until the session has ended.  WhipError: why."""
        ended = asyncio.create_task(self._ended.wait(), name="whip ended")
        lost = asyncio.create_task(self._lost.wait(), name="whip path")
        try:
            while not self._ended.is_set():
                await asyncio.wait({ended, lost}, return_when=asyncio.FIRST_COMPLETED)
                if self._lost.is_set() and not self._ended.is_set():
                    await self._restart()
                    on_restart()
                    lost = asyncio.create_task(self._lost.wait(), name="whip path")
        finally:
            ended.cancel()
            lost.cancel()
        raise WhipError("the media server has ended the session, or its path died")

    async def _restart(self) -> None:
        """ICE restart by PATCH until one holds (RFC 9725, 4.3.3).  WhipError: it cannot be; the
        session is to be opened anew."""
        created, offer = self._created, self._offer
        transport = transport_of(self.connection)
        if created is None or offer is None or not created.session or transport is None:
            raise WhipError("the path died, and the server named no session to restart")
        if not created.etag:
            # RFC 9725, 4.3.1: a server that restarts ICE gives an entity-tag.
            raise WhipError("the path died, and the server gave no ETag: it restarts nothing")
        until = time.monotonic() + RESTART_FOR_S
        while True:
            restart = Restart(transport, self._supply.servers(created.ice_servers))
            try:
                fragment = await restart.gather(offer)
                reply = await self._exchange.restart(created.session, fragment)
                # Only the last answer counts: requests are made one after another.
                await restart.connect(reply.fragment)
            except (WhipError, ConnectionError) as error:
                status = error.status if isinstance(error, WhipError) else 0
                if status or self._ended.is_set() or time.monotonic() > until:
                    raise WhipError(f"the path died and could not be replaced: {error}") from error
                log.info("restart: %s", error)
                await asyncio.sleep(RESTART_AGAIN_S)
            else:
                self._lost.clear()
                self._renew()
                return
            finally:
                await restart.abandon()

    async def close(self) -> None:
        """DELETE and goodbye, each bounded in time."""
        if self._trickling is not None:
            self._trickling.cancel()
        if self._part is not None:
            self._part.close()
        for sender in self.connection.getSenders():
            if sender.track is not None:
                sender.track.stop()
        if self._created is not None and self._created.session:
            try:
                await self._exchange.delete(self._created.session)
            except (WhipError, TimeoutError) as error:
                log.info("the end was not taken: %s", error or "no answer")
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await self.connection.close()


class Publisher:
    """One `[[media.whip]]`.  `on_change` is called when `stats()` says something new."""

    def __init__(
        self,
        config: WhipConfig,
        pipeline: Pipeline | None,
        supply: Supply,
        on_change: Callable[[WhipStats], None],
        voice: VoiceHub | None = None,
    ) -> None:
        self.config = config
        self._pipeline = pipeline
        self._voice = voice if config.voice else None
        self._supply = supply
        self._on_change = on_change
        self._wanted = asyncio.Event()
        self._unwanted = asyncio.Event()
        self._network = asyncio.Event()
        self._state, self._detail = "off", ""
        self._restarts = self._sessions = 0
        self._listens = False
        self.want(config.start is Start.ALWAYS)

    def want(self, on: bool) -> None:
        """From now on."""
        (self._wanted if on else self._unwanted).set()
        (self._unwanted if on else self._wanted).clear()

    def stats(self) -> WhipStats:
        return WhipStats(
            name=self.config.name, state=self._state, detail=self._detail,
            camera=self._pipeline.config.name if self._pipeline is not None else "",
            restarts=self._restarts, sessions=self._sessions,
            listens=self._listens and self._state == "live",
        )  # fmt: skip

    def _say(self, state: str, detail: str = "") -> None:
        if (state, detail) != (self._state, self._detail):
            self._state, self._detail = state, detail
            self._on_change(self.stats())

    async def run(self) -> None:
        """Until cancelled; the session is then told so."""
        soon, later = Backoff(*RETRY_S), Backoff(*REFUSED_S)
        with INTERFACES.listening(self._network.set):
            while True:
                await self._wanted.wait()
                began = time.monotonic()
                try:
                    await self._until_unwanted()
                except WhipError as error:
                    if time.monotonic() - began > HEALTHY_S:
                        soon.reset()
                        later.reset()
                    wait_s = (later if error.refused else soon).next_s()
                    log.warning("whip %s: %s", self.config.name, error)
                    self._say("waiting", str(error))
                    await self._wait(wait_s, error.retry_after_s)
                else:
                    self._say("off")

    async def _wait(self, wait_s: float, retry_after_s: float) -> None:
        """A changed network is worth a try at once, but not before the server wants to be asked."""
        self._network.clear()
        await self._pause(retry_after_s, self._unwanted)
        if retry_after_s:
            await self._pause(min(wait_s, 1.0 + retry_after_s / 10), self._unwanted)
            return
        await self._pause(wait_s, self._unwanted, self._network)

    @staticmethod
    async def _pause(seconds: float, *cut: asyncio.Event) -> None:
        waiting = [asyncio.create_task(event.wait(), name="whip pause") for event in cut]
        try:
            await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()

    async def _until_unwanted(self) -> None:
        """WhipError: why it ended while it was wanted."""
        serving = asyncio.create_task(self._serve(), name=f"whip {self.config.name}")
        unwanted = asyncio.create_task(self._unwanted.wait(), name="whip unwanted")
        try:
            await asyncio.wait({serving, unwanted}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            unwanted.cancel()
            if not serving.done():
                serving.cancel()
                await asyncio.wait({serving})
        if not serving.cancelled():
            serving.result()

    async def _serve(self) -> None:
        config = self.config
        self._say("connecting")
        try:
            token = read_token(config.token_file) if config.token_file else ""
            tls = Tls(ca_file=config.ca_file).context() if config.ca_file else None
        except (OSError, ValueError) as error:
            raise WhipError(str(error)) from error
        async with Exchange(
            config.url, token=token, token_hosts=config.token_hosts, tls=tls
        ) as exchange:
            session = _Session(self._pipeline, self._voice, self._supply, exchange, config.name)
            try:
                await session.open()
                self._sessions += 1
                self._listens = session.listens
                # Who may listen is told in the book of events, as of any center.
                heard = SOUND if session.listens else NO_SOUND
                self._say("live", heard if self._voice is not None else "")
                await session.serve(self._restarted)
            finally:
                await session.close()

    def _restarted(self) -> None:
        self._restarts += 1
        self._on_change(self.stats())
