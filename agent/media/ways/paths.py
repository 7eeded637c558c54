"""Keeps a connection's path alive, and finds another one when it dies.

Put upon aioice's `Connection` without changing it: `query_consent`, `gather_candidates` and the
methods that hear packets and losses are replaced on the instance.  A path is replaced in one of
two ways: in place (new sockets, the same credentials; the other end learns the new address from a
check, as RFC 8445, 7.3.1.3 says), or by an ICE restart that both ends agree on (`Restart`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

from aioice import Connection, stun
from aioice.candidate import Candidate
from aioice.ice import CandidatePair, StunProtocol
from aiortc import RTCIceTransport, RTCPeerConnection

from agent.media.ways.gather import Servers, gather
from agent.media.ways.interfaces import INTERFACES
from agent.media.ways.pathwatch import Do, PathWatch
from agent.media.ways.sdpfrag import Fragment

log = logging.getLogger(__name__)

TRY_S = 1.5
"""So long one search for another path takes at most."""
TRY_EVERY_S = 0.1
MAX_SOCKETS = 12
CONNECT_S = 8.0
"""An ICE restart that has not connected by then has failed."""


KEEPER = "_outpost_keeper"
"""The attribute of an ICE connection that holds its keeper.  Not a `WeakKeyDictionary`: a keeper
knows its connection, so that no entry of one would ever go (0.4 MB a session)."""


class Keeper:
    """Watches one connection.  `on_lost` is called when its path is lost; where it gives False the
    path is sought in place."""

    def __init__(
        self,
        connection: Connection,
        servers: Servers,
        on_lost: Callable[[], bool],
        on_replaced: Callable[[], None],
    ) -> None:
        self.connection = connection
        self.servers = servers
        self.watch = PathWatch(time.monotonic())
        self._on_lost = on_lost
        self._on_replaced = on_replaced
        self._changed = asyncio.Event()
        self._questions: set[asyncio.Task[None]] = set()
        self._path: CandidatePair | None = None
        """What is sent over; as nominated, but for the moment in which a new one is tried."""
        self._chosen: asyncio.Task[None] | None = None
        self._hear()

    def _hear(self) -> None:
        """Whatever comes in, passes here."""
        connection = self.connection
        data_received, request_received = connection.data_received, connection.request_received

        def data(data: bytes, component: int) -> None:
            self.watch.heard(time.monotonic())
            self._look()
            data_received(data, component)

        def request(message: stun.Message, addr: tuple[str, int], protocol: StunProtocol) -> None:
            if addr in {pair.remote_addr for pair in connection._nominated.values()}:
                self.watch.heard(time.monotonic())
            request_received(message, addr, protocol)
            self._look()

        def lost(protocol: StunProtocol) -> None:
            # A TURN server's connection broke.  aioice would end the session.
            self.hurry()

        connection.protocol_lost = lost  # type: ignore[method-assign]
        connection.data_received = data  # type: ignore[method-assign]
        connection.request_received = request  # type: ignore[method-assign]

    def _look(self) -> None:
        """The other end may choose another pair by itself.  It is gone over when it has carried a
        question and its answer: who chooses may not know yet that the path bears one way only."""
        nominated = self.connection._nominated
        path, before = nominated.get(1), self._path
        if path is None or path is before:
            return
        if before is None or before.protocol not in self.connection._protocols:
            self._go_over(path, known=before is not None)
            return
        nominated[1] = before
        if self._chosen is None or self._chosen.done():
            self._chosen = asyncio.create_task(self._try_chosen(path), name="path chosen")
            self._questions.add(self._chosen)
            self._chosen.add_done_callback(self._questions.discard)

    async def _try_chosen(self, path: CandidatePair) -> None:
        if await check(self.connection, path, nominate=False, tries=2):
            log.info("the other end has chosen the path %s", path)
            self._go_over(path, known=True)

    def _go_over(self, path: CandidatePair, *, known: bool) -> None:
        self._path = self.connection._nominated[1] = path
        if known:
            self._on_replaced()

    def hurry(self) -> None:
        """An interface has changed."""
        self.watch.hurry(time.monotonic())
        self._changed.set()

    async def renewed(self) -> None:
        """Another path holds: what was asked on the old one is of no use, and must not be asked
        again over a socket that is about to be closed."""
        questions = list(self._questions)
        for question in questions:
            question.cancel()
        if questions:
            await asyncio.wait(questions)
        self.watch.answered(time.monotonic(), 0.0)

    async def run(self) -> None:
        """In place of aioice's `query_consent`, which `connect` starts and `close` cancels."""
        self.watch = PathWatch(time.monotonic())
        try:
            with INTERFACES.listening(self.hurry):
                await self._keep()
        finally:
            for question in self._questions:
                question.cancel()

    async def _keep(self) -> None:
        while True:
            match self.watch.next(time.monotonic()):
                case Do.END:
                    log.info("consent to send has expired")
                    self.connection._query_consent_task = None
                    await self.connection.close()
                    return
                case Do.REPLACE:
                    if not self._on_lost() and await self.roam():
                        self._on_replaced()
                case Do.ASK:
                    for pair in list(self.connection._nominated.values()):
                        self._ask(pair)
                case Do.NOTHING:
                    self._changed.clear()
                    with suppress(TimeoutError):
                        async with asyncio.timeout(self.watch.wait_s(time.monotonic())):
                            await self._changed.wait()

    def _ask(self, pair: CandidatePair) -> None:
        task = asyncio.create_task(self._question(pair), name="path question")
        self._questions.add(task)
        task.add_done_callback(self._questions.discard)

    async def _question(self, pair: CandidatePair) -> None:
        asked = time.monotonic()
        if await check(self.connection, pair, nominate=False, tries=3):
            now = time.monotonic()
            # A second try is not a round trip; it is left out of the estimate.
            self._look()
            rtt_s = now - asked
            self.watch.answered(now, rtt_s if rtt_s < 0.5 else 0.0)

    async def roam(self) -> bool:
        """Look for a path from what addresses there are now.  True: one was found."""
        connection = self.connection
        before = list(connection._protocols)
        nominate = connection.ice_controlling
        searches: set[asyncio.Task[CandidatePair | None]] = set()
        gathering = asyncio.create_task(gather(connection, self.servers), name="path gather")
        tried: set[int] = set()
        found: CandidatePair | None = None
        until = time.monotonic() + TRY_S
        try:
            while found is None and time.monotonic() < until:
                for protocol in list(connection._protocols):
                    if protocol.id not in tried and not protocol.transport.is_closing():
                        tried.add(protocol.id)
                        searches |= self._search(protocol, nominate)
                found = await _first(searches, gathering)
        finally:
            gathering.cancel()
            for search in searches:
                search.cancel()
            await asyncio.wait({gathering, *searches})
        if found is not None:
            connection._nominated[found.component] = self._path = found
            await self.renewed()
        await self._tidy(before, found)
        if found is None:
            return False
        log.info("the path is now %s", found)
        return True

    def _search(
        self, protocol: StunProtocol, nominate: bool
    ) -> set[asyncio.Task[CandidatePair | None]]:
        connection, found = self.connection, set()
        for remote in connection._remote_candidates:
            if not protocol.local_candidate.can_pair_with(remote):
                continue
            pair = connection._find_pair(protocol, remote)
            if pair is None:
                pair = CandidatePair(protocol, remote)
                connection._check_list.append(pair)
            found.add(asyncio.create_task(self._try(pair, nominate), name=f"path {pair}"))
        return found

    async def _try(self, pair: CandidatePair, nominate: bool) -> CandidatePair | None:
        until = time.monotonic() + TRY_S
        while time.monotonic() < until:
            if await check(self.connection, pair, nominate=nominate, tries=1):
                pair.state, pair.nominated = CandidatePair.State.SUCCEEDED, True
                return pair
            await asyncio.sleep(TRY_EVERY_S)
        return None

    async def _tidy(self, before: list[StunProtocol], found: CandidatePair | None) -> None:
        """Close what was opened for nothing; keep what the other end may still speak to."""
        connection = self.connection
        kept = [p for p in connection._protocols if p in before]
        if found is not None and found.protocol not in kept:
            kept.append(found.protocol)
        kept = kept[-MAX_SOCKETS:]
        gone = [p for p in connection._protocols if p not in kept]
        checks = [
            pair.task
            for pair in connection._check_list
            if pair.protocol in gone and pair.task is not None
        ]
        for task in checks:
            task.cancel()
        if checks:
            await asyncio.wait(checks)
        connection._protocols[:] = kept
        connection._check_list[:] = [p for p in connection._check_list if p.protocol in kept]
        await _close(gone)


async def _first(
    searches: set[asyncio.Task[CandidatePair | None]],
    gathering: asyncio.Task[list[Candidate]],
) -> CandidatePair | None:
    """The first search that found something; None where none has yet and there may be more."""
    waiting: set[asyncio.Task[CandidatePair | None] | asyncio.Task[list[Candidate]]] = {
        task for task in searches if not task.done()
    }
    if not gathering.done():
        waiting.add(gathering)
    if waiting:
        await asyncio.wait(waiting, timeout=0.1, return_when=asyncio.FIRST_COMPLETED)
    else:
        await asyncio.sleep(TRY_EVERY_S)
    for search in searches:
        if search.done() and (pair := search.result()) is not None:
            return pair
    return None


async def check(connection: Connection, pair: CandidatePair, *, nominate: bool, tries: int) -> bool:
    """One connectivity check: whether the other end answered from where it was asked."""
    assert connection.remote_password is not None, "asked before the answer was there"
    request = connection.build_request(pair, nominate=nominate)
    key = connection.remote_password.encode()
    try:
        _, addr = await pair.protocol.request(
            request, pair.remote_addr, integrity_key=key, retransmissions=tries - 1
        )
    except (stun.TransactionError, OSError):
        return False
    return addr == pair.remote_addr


async def _close(protocols: Iterable[StunProtocol]) -> None:
    for protocol in protocols:
        with suppress(stun.TransactionError, OSError):
            await protocol.close()


def transport_of(connection: RTCPeerConnection) -> RTCIceTransport | None:
    """The one of the bundle; None where nothing was negotiated."""
    for transceiver in connection.getTransceivers():
        if (dtls := transceiver.sender.transport) is not None:
            return dtls.transport
    return connection.sctp.transport.transport if connection.sctp is not None else None


def equip(
    connection: RTCPeerConnection,
    servers: Servers,
    *,
    on_lost: Callable[[], bool] = lambda: False,
    on_replaced: Callable[[], None] = lambda: None,
) -> Keeper | None:
    """Before `setLocalDescription`: gather from these servers, and keep the path."""
    transport = transport_of(connection)
    if transport is None:
        return None
    ice = transport._connection
    keeper = Keeper(ice, servers, on_lost, on_replaced)
    setattr(ice, KEEPER, keeper)

    async def gather_candidates() -> None:
        if not ice._local_candidates_start:
            ice._local_candidates_start = True
            ice._local_candidates += await gather(ice, servers)
            ice._local_candidates_end = True

    ice.gather_candidates = gather_candidates  # type: ignore[method-assign]
    ice.query_consent = keeper.run  # type: ignore[method-assign]
    return keeper


def description_of(candidates: Iterable[Candidate]) -> tuple[str, ...]:
    return tuple(candidate.to_sdp() for candidate in candidates)


class Restart:
    """A second ICE connection beside the first, which goes on until the second one stands.

    DTLS, SRTP and all that was negotiated stay (RFC 9725, 4.3.3).
    """

    def __init__(self, transport: RTCIceTransport, servers: Servers) -> None:
        self._first: Connection = transport._connection
        self._servers = servers
        self.second = Connection(ice_controlling=self._first.ice_controlling)

    async def gather(self, like: Fragment) -> Fragment:
        """This side's new credentials and candidates, in the frame of `like`."""
        second = self.second
        second._local_candidates_start = True
        second._local_candidates += await gather(second, self._servers)
        second._local_candidates_end = True
        return Fragment(
            ufrag=second.local_username, pwd=second.local_password, complete=True,
            candidates=description_of(second.local_candidates), mid=like.mid, media=like.media,
            session=like.session,
        )  # fmt: skip

    async def connect(self, remote: Fragment) -> None:
        """ConnectionError: no path; the first connection is as it was."""
        second = self.second
        second.remote_username, second.remote_password = remote.ufrag, remote.pwd
        second.remote_is_lite = remote.lite
        for line in remote.candidates:
            with suppress(ValueError, IndexError):
                await second.add_remote_candidate(Candidate.from_sdp(line))
        if remote.complete or remote.candidates:
            await second.add_remote_candidate(None)
        try:
            async with asyncio.timeout(CONNECT_S):
                await second.connect()
        except TimeoutError as error:
            raise ConnectionError("the restart found no path") from error
        if self._first._closed:
            raise ConnectionError("the session has ended meanwhile")
        await self._adopt()

    async def _adopt(self) -> None:
        """The first connection goes on with what the second one found: whoever holds the first
        (DTLS, and the queue of what has come) notices nothing."""
        first, second = self._first, self.second
        if second._query_consent_task is not None:
            second._query_consent_task.cancel()
            second._query_consent_task = None
        checks = [pair.task for pair in first._check_list if pair.task is not None]
        for task in checks:
            task.cancel()
        if checks:
            await asyncio.wait(checks)
        old = list(first._protocols)
        for protocol in second._protocols:
            protocol.receiver = first
        for name in _STATE:
            setattr(first, name, getattr(second, name))
        second._protocols = []
        while not second._queue.empty():
            first._queue.put_nowait(second._queue.get_nowait())
        if (keeper := getattr(first, KEEPER, None)) is not None:
            await keeper.renewed()
        await _close(old)

    async def abandon(self) -> None:
        """Close what was opened.  Harmless after `connect`."""
        if self.second._protocols or not self.second._nominated:
            await self.second.close()


_STATE = (
    "_local_username",
    "_local_password",
    "remote_username",
    "remote_password",
    "remote_is_lite",
    "ice_controlling",
    "_tie_breaker",
    "_local_candidates",
    "_remote_candidates",
    "_remote_candidates_end",
    "_check_list",
    "_nominated",
    "_nominating",
    "_protocols",
)
"""What makes one ICE session, as against the connection that its user holds."""
