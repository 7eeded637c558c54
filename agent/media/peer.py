"""Viewers: an offer in, an answer out.  What a session carries is its parts' business.

aiortc has two traps here (read in 1.16): codec preferences set after `setRemoteDescription` are
ignored, and without `iceServers` it waits 5 s for a public STUN server.
"""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress

from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.exceptions import InternalError, InvalidAccessError, InvalidStateError, OperationError
from aiortc.sdp import SessionDescription

from agent.media.offer import SDP_ERRORS, Offer
from agent.media.parts import Part
from agent.media.video_part import VideoPart
from agent.media.ways.config import IceConfig
from agent.media.ways.supply import Supply
from agent.media.wire import MediaError

log = logging.getLogger(__name__)

MAX_PEERS = 16
CONNECT_S = 15.0
"""A viewer that is not connected by then has no path to us, or has gone."""
CLOSE_S = 5.0
COLLECT_S = 1.0


class Peer:
    """One session: a connection and the parts that it carries."""

    def __init__(
        self,
        session: str,
        parts: Sequence[Part],
        on_gone: Callable[[str, str], None],
        configuration: RTCConfiguration,
        supply: Supply,
    ) -> None:
        self.session = session
        self.parts = tuple(parts)
        self._on_gone = on_gone
        self._supply = supply
        self._gone = False
        self._timer: asyncio.TimerHandle | None = None
        self._resolving: asyncio.Task[None] | None = None
        self.connection = RTCPeerConnection(configuration)
        self.connection.on("connectionstatechange", self._state_changed)

    async def answer(self, sdp: str) -> str:
        """MediaError: what the offer lacks."""
        offer = Offer.parse(sdp)
        for part in self.parts:
            part.check(offer.description)
        for part in self.parts:
            part.attach(self.connection)
        try:
            await self.connection.setRemoteDescription(RTCSessionDescription(offer.sdp, "offer"))
            self._supply.equip(self.connection, self.renew)
            await self.connection.setLocalDescription(await self.connection.createAnswer())
        except (InternalError, InvalidAccessError, InvalidStateError, OperationError) as error:
            raise MediaError("refused", f"the offer cannot be answered: {error}") from error
        except SDP_ERRORS as error:
            raise MediaError(
                "malformed", f"the offer cannot be answered: {type(error).__name__}: {error}"
            ) from error
        answer = self.connection.localDescription.sdp
        negotiated = SessionDescription.parse(answer)
        for part in self.parts:
            part.verify(negotiated)
        loop = asyncio.get_running_loop()
        if offer.hidden:
            self._resolving = loop.create_task(self._resolve(offer), name=f"mdns {self.session}")
        self._timer = loop.call_later(CONNECT_S, self._not_connected)
        return answer

    async def _resolve(self, offer: Offer) -> None:
        """Browsers hide their addresses behind mDNS names.  Where those do not resolve (1 s each)
        the viewer still reaches us, so the answer does not wait for them."""
        try:
            for candidate in offer.hidden:
                await self.connection.addIceCandidate(candidate)
        except (OSError, InvalidStateError) as error:
            log.debug("session %s: mDNS: %s", self.session, error)

    def _not_connected(self) -> None:
        if self.connection.connectionState != "connected":
            self._end(f"not connected within {CONNECT_S:g} s")

    def _state_changed(self) -> None:
        if (state := self.connection.connectionState) in ("failed", "closed"):
            self._end(f"the connection is {state}")

    def _end(self, why: str) -> None:
        if not self._gone:
            self._gone = True
            self._on_gone(self.session, why)

    def renew(self) -> None:
        """Another path holds."""
        for part in self.parts:
            if isinstance(part, VideoPart):
                part.renew()

    def let_go(self) -> None:
        """Of cameras and devices, at once; the goodbye may take its time."""
        for part in self.parts:
            part.close()

    async def close(self) -> None:
        """Bounded in time: a path that has died cannot be told so."""
        self._gone = True
        self.let_go()
        if self._timer is not None:
            self._timer.cancel()
        if self._resolving is not None:
            self._resolving.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await self.connection.close()


class Peers:
    """All viewers of this process; `on_closed(session, why)` for those that end by themselves."""

    def __init__(
        self,
        on_closed: Callable[[str, str], None],
        configuration: RTCConfiguration | None = None,
        supply: Supply | None = None,
    ) -> None:
        self._on_closed = on_closed
        self.configuration = configuration or RTCConfiguration(iceServers=[])
        """Of each session from now on.  Never without `iceServers`: that asks a public server."""
        self.supply = supply or Supply(IceConfig(), "")
        """STUN and TURN servers, and paths that are replaced when they die."""
        self._peers: dict[str, Peer] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._collecting: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._peers)

    async def answer(self, session: str, parts: Sequence[Part], sdp: str) -> str:
        """MediaError: why there is no answer."""
        if session in self._peers:
            raise MediaError("refused", f"session {session!r} is already in use")
        if len(self._peers) >= MAX_PEERS:
            raise MediaError("unavailable", f"{MAX_PEERS} viewers are watching, which is the limit")
        peer = Peer(session, parts, self._ended, self.configuration, self.supply)
        self._peers[session] = peer
        with ExitStack() as unless_answered:
            unless_answered.callback(self.close, session)
            answer = await peer.answer(sdp)
            unless_answered.pop_all()
        return answer

    def get(self, session: str) -> Peer | None:
        """None where it has ended."""
        return self._peers.get(session)

    def close(self, session: str) -> None:
        """An unknown session is no error: it may have ended by itself."""
        peer = self._peers.pop(session, None)
        if peer is None:
            return
        peer.let_go()
        task = asyncio.get_running_loop().create_task(peer.close(), name=f"close {session}")
        self._closing.add(task)
        task.add_done_callback(self._gone)

    def _gone(self, task: asyncio.Task[None]) -> None:
        """A connection is a knot of objects, few in number, that hold half a megabyte beside
        Python: the collector, which counts objects, would come for them after fifty viewers."""
        self._closing.discard(task)
        if self._collecting is None:
            loop = asyncio.get_running_loop()
            self._collecting = loop.call_later(COLLECT_S, self._collect)

    def _collect(self) -> None:
        self._collecting = None
        gc.collect()

    def _ended(self, session: str, why: str) -> None:
        self.close(session)
        self._on_closed(session, why)

    async def close_all(self) -> None:
        """Returns when all are closed."""
        for session in list(self._peers):
            self.close(session)
        if self._closing:
            await asyncio.wait(self._closing)
