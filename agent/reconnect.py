"""A connection for as long as the program runs: made again when it is lost, at the next broker
where the first does not answer or nobody hands on what comes to it, and at the first again when
that has come back to stay."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine, Sequence
from enum import Enum
from typing import Any

import msgspec

from agent.background import run_until
from agent.broker import Backoff, RefusedTopicError
from agent.mqtt import Broker, Connection, Message, MqttError, Tongues, Will, connect
from agent.relay.presence import Presence

log = logging.getLogger(__name__)

STEADY_S = 1.0
"""A connection that lived so long was a good one: after it the first retry comes soon."""
PROBE_S = 2.0
"""While a later broker serves, the earlier ones are asked so often whether they are there."""
HEAR_S = 1.0
"""What is retained comes so soon after a subscription."""
HOLD_S = (10.0, 600.0)
"""So long an earlier broker must have answered before it is gone back to; doubled, up to the
second, each time when it was soon lost again."""
SETTLED_S = 60.0
"""A broker that was gone back to and stayed so long is trusted as before."""


BUSY = frozenset({0x88, 0x89, 0x97, 0x9F})
"""Server unavailable, server busy, quota exceeded, connection rate exceeded."""
ELSEWHERE = frozenset({0x9C, 0x9D})
"""Use another server, server moved."""
TAKEN_OVER = 0x8E
STEADY_PAUSES = 4
"""... and so many times as long as the pause before it."""
SUSPICIOUS = 5
"""So many that were lost soon, and it may be another with the same id."""
BUSY_S = (30.0, 120.0)
"""A broker that has too much to do is left alone for so long."""
RIVAL_S = (2.0, 300.0)
"""Two with one name throw each other out: each time it is waited twice as long."""


class Patience:
    """How long to wait before the next attempt, by what the broker said.  Pure but for chance."""

    def __init__(self, first_s: float, ceiling_s: float) -> None:
        self._usual = Backoff(first_s, ceiling_s)
        self._busy = Backoff(*BUSY_S)
        self._rival = Backoff(*RIVAL_S)
        self._last_s = 0.0
        self.short_lived = 0
        """Connections in a row that were lost soon after they were made."""

    def after(self, code: int, lived_s: float | None) -> float:
        """`code`: MQTT 5's reason code, 0: none; `lived_s`: of the connection, None: there was
        none."""
        if code == TAKEN_OVER:
            return self._rival.next_s()
        if lived_s is not None and lived_s >= RIVAL_S[1]:
            self._rival.reset()
        if code in BUSY:
            return self._busy.next_s()
        # Of two that throw each other out without a word (Mosquitto 2.0 says none) neither lives
        # much longer than the other waits.
        if lived_s is not None and lived_s >= max(STEADY_S, STEADY_PAUSES * self._last_s):
            self._usual.reset()
            self._busy.reset()
            self.short_lived = 0
        elif lived_s is not None:
            self.short_lived += 1
        self._last_s = self._usual.next_s()
        return self._last_s


def explained(reason: str, code: int, client_id: str, *, others: bool, short_lived: int = 0) -> str:
    """What the code means for who reads the log."""
    if code == 0 and short_lived >= SUSPICIOUS:
        return f"{reason}: again soon after it was made (another client with the id {client_id!r}?)"
    if code == TAKEN_OVER:
        return (
            f"{reason}: another client came with the same id {client_id!r} (two units with one "
            "id?); it is waited longer each time"
        )
    if code in ELSEWHERE:
        more = "the other hosts are tried" if others else "no other host is configured"
        return f"{reason}: {more}"
    return reason


class Return(msgspec.Struct):
    """When to go back.  Pure: any clock that only rises is an argument."""

    hold_s: float
    most_s: float
    answering_since: float | None = None
    returned_at: float | None = None

    def probed(self, answered: bool, now: float) -> bool:
        """True: it has answered for long enough."""
        if not answered:
            self.answering_since = None
            return False
        if self.answering_since is None:
            self.answering_since = now
        return now - self.answering_since >= self.hold_s

    def returned(self, now: float) -> None:
        """It has been gone back to."""
        self.answering_since, self.returned_at = None, now

    def lost(self, now: float) -> None:
        """The first broker's connection has ended."""
        if self.returned_at is not None:
            soon = now - self.returned_at < SETTLED_S
            self.hold_s = min(self.most_s, self.hold_s * 2) if soon else min(HOLD_S[0], self.most_s)
        self.returned_at = None


class End(Enum):
    """Why a connection is left, or has ended."""

    LOST = "lost"
    """Or it was served to its end."""
    BACK = "back"
    """An earlier broker is there again."""
    DESERTED = "deserted"
    """Nobody hands on what comes to this broker, and a later one is there."""


async def keep_connected(
    broker: Broker | Sequence[Broker],
    *,
    client_id: str,
    on_message: Callable[[Message], None],
    serve: Callable[[Connection], Coroutine[Any, Any, None]],
    on_down: Callable[[str], None] | None = None,
    make_will: Callable[[], Will] | None = None,
    session_expiry_s: int = 0,
    acks_later: bool = False,
    first_retry_s: float = 0.5,
    ceiling_retry_s: float = 15.0,
    presence: Presence | None = None,
) -> None:
    """Connect again and again, until cancelled, each time to the first that answers.  `serve` runs
    for each connection until that is lost; when it returns the connection is made anew.
    `presence`: at whose brokers it is heard, a relay must be there."""
    brokers = [broker] if isinstance(broker, Broker) else list(broker)
    watch = _Watch(brokers, client_id, on_message, presence)
    patience, loop = Patience(first_retry_s, ceiling_retry_s), asyncio.get_running_loop()
    end, first, sent_away = End.LOST, 0, -1
    while True:
        reasons, since, code = [], None, 0
        for place in (*range(first, len(brokers)), *range(first)):
            if place == sent_away and len(brokers) > 1:
                continue
            try:
                async with connect(
                    brokers[place], client_id=client_id, on_message=watch.hearer(place),
                    will=make_will() if make_will else None, session_expiry_s=session_expiry_s,
                    acks_later=acks_later, tongues=watch.tongues,
                ) as connection:  # fmt: skip
                    since = loop.time()
                    if end is End.BACK and place == 0:
                        watch.back.returned(since)
                    end = await watch.served(serve(connection), connection, place)
                    code = connection.lost_code
                    reasons = [_reason(connection, end, brokers[0])]
            except MqttError as error:
                code = code or error.code
                reasons.append(str(error))
            if since is not None:
                if place == 0:
                    watch.back.lost(loop.time())
                break
        if since is None:
            end = End.LOST
        lived_s = None if since is None else loop.time() - since
        first = place + 1 if end is End.DESERTED else 0
        # Whoever sent us elsewhere is not asked again at once.
        sent_away = place if since is not None and code in ELSEWHERE else -1
        pause_s = patience.after(code, lived_s) if end is End.LOST else 0.0
        if on_down is not None:
            on_down(
                explained(
                    "; ".join(reasons), code, client_id, others=len(brokers) > 1,
                    short_lived=patience.short_lived,
                )
            )  # fmt: skip
        await asyncio.sleep(pause_s)


def _reason(connection: Connection, end: End, first: Broker) -> str:
    if end is End.BACK:
        return f"{first} is there again"
    if end is End.DESERTED:
        return f"no vehicle hands on what comes to {connection.broker}"
    return connection.lost.result() if connection.lost.done() else "served"


class _Watch:
    """Which of several brokers to be at."""

    def __init__(
        self, brokers: list[Broker], client_id: str, on_message: Callable[[Message], None],
        presence: Presence | None,
    ) -> None:  # fmt: skip
        self.back = Return(*HOLD_S)
        self.tongues = Tongues()
        self._brokers = brokers
        self._client_id = f"{client_id}-probe"
        self._on_message = on_message
        self._presences: list[Presence | None] = [
            presence.another() if presence is not None else None for _ in brokers
        ]

    def hearer(self, place: int) -> Callable[[Message], None]:
        """What hears all that comes from this broker."""
        presence, loop = self._presences[place], asyncio.get_running_loop()
        if presence is None or place == len(self._brokers) - 1:
            return self._on_message

        def hear(message: Message) -> None:
            if presence.hears(message.topic, message.payload, loop.time()):
                message.done()
            else:
                self._on_message(message)

        return hear

    async def served(
        self, work: Coroutine[Any, Any, None], connection: Connection, place: int
    ) -> End:
        """Until the connection is lost, or it is better to be elsewhere."""
        name = f"mqtt[{connection.broker}].serve"
        tasks: dict[asyncio.Task[None], End] = {}
        if place > 0:
            tasks[asyncio.create_task(self._earlier(place), name=f"{name}.probe")] = End.BACK
        presence = self._presences[place]
        if presence is not None and place < len(self._brokers) - 1:
            deserted = self._deserted(connection, place, presence)
            tasks[asyncio.create_task(deserted, name=f"{name}.presence")] = End.DESERTED
        watched: list[asyncio.Future[Any]] = [connection.lost, *tasks]
        end = asyncio.ensure_future(asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED))
        try:
            await run_until(work, end, name)
            if connection.lost.done():
                return End.LOST
            return next((why for task, why in tasks.items() if task.done()), End.LOST)
        finally:
            for task in (end, *tasks):
                task.cancel()
            await asyncio.wait([end, *tasks])

    async def _earlier(self, place: int) -> None:
        """Returns when an earlier one has answered for long enough."""
        loop = asyncio.get_running_loop()
        self.back.answering_since = None
        while True:
            await asyncio.sleep(PROBE_S)
            if self.back.probed(await self._some_answers(range(place)), loop.time()):
                return

    async def _deserted(self, connection: Connection, place: int, presence: Presence) -> None:
        """Returns when nobody hands on what comes to this broker, and a later one is there."""
        loop = asyncio.get_running_loop()
        presence.begin(loop.time())
        try:
            await connection.subscribe(presence.filters)
        except MqttError as error:
            # Without it a broker is good that answers.
            log.info("%s: whether a vehicle hands on is not known: %s", connection.broker, error)
            await loop.create_future()
        while True:
            await asyncio.sleep(PROBE_S)
            if presence.is_gone(loop.time()):
                if await self._some_answers(range(place + 1, len(self._brokers))):
                    return

    async def _some_answers(self, places: range) -> bool:
        for place in places:
            if await self._answers(self._brokers[place], self._presences[place]):
                return True
        return False

    async def _answers(self, broker: Broker, presence: Presence | None) -> bool:
        """With a whole CONNACK, since what a listening socket says of a broker is little; and where
        a relay is expected at it, that is there."""
        loop, seen, there = asyncio.get_running_loop(), presence, asyncio.Event()
        if presence is not None:
            seen = presence.another()
            seen.begin(loop.time())

        def hear(message: Message) -> None:
            if seen is not None and seen.hears(message.topic, message.payload, loop.time()):
                if seen.is_there:
                    there.set()

        try:
            async with connect(
                broker, client_id=self._client_id, on_message=hear, tongues=self.tongues
            ) as connection:
                if seen is None:
                    return True
                await connection.subscribe(seen.filters)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(HEAR_S):
                        await there.wait()
                return not seen.is_gone(loop.time(), 0.0)
        except RefusedTopicError:
            return True
        except MqttError:
            return False
