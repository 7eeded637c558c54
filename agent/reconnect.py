"""A connection for as long as the program runs: made again when it is lost, at the next broker
where the first does not answer, and at the first again when that has come back to stay."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import msgspec

from agent.background import run_until
from agent.broker import Backoff
from agent.mqtt import Broker, Connection, Message, MqttError, Will, connect

STEADY_S = 1.0
"""A connection that lived so long was a good one: after it the first retry comes soon."""
PROBE_S = 2.0
"""While a later broker serves, the earlier ones are asked so often whether they are there."""
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
) -> None:
    """Connect again and again, until cancelled, each time to the first that answers.  `serve` runs
    for each connection until that is lost; when it returns the connection is made anew."""
    brokers = [broker] if isinstance(broker, Broker) else list(broker)
    patience, loop = Patience(first_retry_s, ceiling_retry_s), asyncio.get_running_loop()
    back, going_back = Return(*HOLD_S), False
    sent_away = -1
    while True:
        reasons, since, code = [], None, 0
        for place, one in enumerate(brokers):
            if place == sent_away and len(brokers) > 1:
                continue
            try:
                async with connect(
                    one, client_id=client_id, on_message=on_message, acks_later=acks_later,
                    will=make_will() if make_will else None, session_expiry_s=session_expiry_s,
                ) as connection:  # fmt: skip
                    since = loop.time()
                    if going_back and place == 0:
                        back.returned(since)
                    going_back = await _served(
                        serve(connection), connection, brokers[:place], f"{client_id}-probe", back
                    )
                    code = connection.lost_code
                    reasons = [_reason(connection, going_back, brokers[0])]
            except MqttError as error:
                code = code or error.code
                reasons.append(str(error))
            if since is not None:
                if place == 0:
                    back.lost(loop.time())
                break
        lived_s = None if since is None else loop.time() - since
        # Whoever sent us elsewhere is not asked again at once.
        sent_away = place if since is not None and code in ELSEWHERE else -1
        pause_s = 0.0 if going_back else patience.after(code, lived_s)
        if on_down is not None:
            on_down(
                explained(
                    "; ".join(reasons), code, client_id, others=len(brokers) > 1,
                    short_lived=patience.short_lived,
                )
            )  # fmt: skip
        await asyncio.sleep(pause_s)


def _reason(connection: Connection, going_back: bool, first: Broker) -> str:
    if going_back:
        return f"{first} is there again"
    return connection.lost.result() if connection.lost.done() else "served"


async def _served(
    work: Coroutine[Any, Any, None], connection: Connection, earlier: list[Broker], client_id: str,
    back: Return,
) -> bool:  # fmt: skip
    """Until the connection is lost; True: until an earlier broker was there again."""
    name = f"mqtt[{connection.broker}].serve"
    if not earlier:
        await run_until(work, connection.lost, name)
        return False
    probing = asyncio.create_task(_probe(earlier, client_id, back), name=f"{name}.probe")
    watched: list[asyncio.Future[Any]] = [probing, connection.lost]
    end = asyncio.ensure_future(asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED))
    try:
        await run_until(work, end, name)
        return probing.done() and not connection.lost.done()
    finally:
        for task in (end, probing):
            task.cancel()
        await asyncio.wait([end, probing])


async def _probe(earlier: list[Broker], client_id: str, back: Return) -> None:
    """Returns when one of them has answered for long enough: with a whole CONNACK, since what a
    listening socket says of a broker is little."""
    loop = asyncio.get_running_loop()
    back.answering_since = None
    while True:
        await asyncio.sleep(PROBE_S)
        answered = False
        for broker in earlier:
            try:
                async with connect(broker, client_id=client_id, on_message=_ignore):
                    answered = True
                    break
            except MqttError:
                continue
        if back.probed(answered, loop.time()):
            return


def _ignore(message: Message) -> None:
    """A probe has subscribed to nothing."""
