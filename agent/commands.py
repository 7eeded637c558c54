"""Commands from a center: the verb table, authority, expiry, repeats, acks.

A command is run once: its outcome is stored with its id before the ack is sent, and a repeat gets
the stored ack again.  Whatever is wrong is answered with the reason, and the agent goes on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import msgspec

from agent import topics
from agent.clock import UnitClock
from agent.messages import Ack, Class, Clock, Command, Event, Mark, Outcome
from agent.mqtt import Message
from agent.outbox import Outbox

log = logging.getLogger(__name__)

EXPIRES_MS = 60_000
"""How long a command without `expires` is good, from `issued`."""
AHEAD_MS = 60_000
"""How far the center's clock may be ahead of ours."""
PAYLOAD_MAX = 64 * 1024
ID_MAX = 128

_decode = msgspec.json.Decoder(Command).decode


class RefusedError(Exception):
    """Why a command is not carried out."""

    def __init__(self, code: str, detail: str, outcome: Outcome = Outcome.REFUSED) -> None:
        super().__init__(detail)
        self.code = code
        self.outcome = outcome


class Verb(msgspec.Struct, frozen=True):
    """A row of the verb table."""

    args: type[msgspec.Struct]
    """What `args` must be; unknown members are refused."""
    run: Callable[[Any, str, Any], dict[str, Any]]
    """(args, by, uplink) -> result; RefusedError where it cannot be done."""


class Commands:
    """One per unit, for all uplinks."""

    def __init__(self, unit: str, mark: Mark, outbox: Outbox) -> None:
        self.verbs: dict[str, Verb] = {}
        self._unit = unit
        self._mark = mark
        self._outbox = outbox

    def handle(self, topic: topics.Topic, message: Message, uplink: Any) -> None:
        """One command, whatever it is.  `uplink` has `config` (name, verbs)."""
        verb = topic.path[1]
        command: Command | None = None
        try:
            command = self._read(message)
            if (known := self._outbox.store.commands.get(command.id)) is not None:
                self._repeat(known)
                return
            self._check(verb, command, uplink)
            row = self.verbs[verb]
            args = _arguments(row.args, command.args)
            result = row.run(args, command.by, uplink)
            ack = self._ack(verb, command, Outcome.DONE, "ok", "", result)
        except RefusedError as error:
            ack = self._ack(verb, command, error.outcome, error.code, str(error), {})
        by = command.by if command is not None else ""
        log.info("command %s by %r: %s %s", verb, by, ack.outcome.value, ack.detail)
        self._outbox.append(Class.ACK, ack, ack_of=ack.id)
        audit = Event(
            event="command", source=uplink.config.name, detail=ack.detail,
            data={"verb": verb, "id": ack.id, "by": by, "outcome": ack.outcome, "code": ack.code},
        )  # fmt: skip
        self._outbox.append(Class.EVENTS, audit)

    def _read(self, message: Message) -> Command:
        if message.retain:
            raise RefusedError("expired", "a retained command is never carried out")
        if len(message.payload) > PAYLOAD_MAX:
            raise RefusedError(
                "malformed", f"read {len(message.payload)} bytes, expected at most {PAYLOAD_MAX}"
            )
        try:
            command = _decode(message.payload)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise RefusedError(
                "malformed", f"expected a command as JSON, read {message.payload[:60]!r}: {error}"
            ) from error
        if not 1 <= len(command.id) <= ID_MAX or not command.by:
            raise RefusedError("malformed", f"expected id (1 to {ID_MAX} characters) and by")
        return command

    def _check(self, verb: str, command: Command, uplink: Any) -> None:
        if command.mark is not self._mark:
            raise RefusedError(
                "wrong_mark",
                f"this unit is marked {self._mark.value!r}, the command {command.mark.value!r}",
            )
        if verb not in self.verbs:
            known = ", ".join(sorted(self.verbs))
            raise RefusedError("unknown_verb", f"there is no verb {verb!r}; known are {known}")
        if verb not in uplink.config.verbs:
            raise RefusedError(
                "not_authorised", f"uplink {uplink.config.name!r} may not command {verb!r}"
            )
        check_time(command.issued, command.expires, self._outbox.clock, EXPIRES_MS)

    def _ack(
        self, verb: str, command: Command | None, outcome: Outcome, code: str, detail: str,
        result: dict[str, Any],
    ) -> Ack:  # fmt: skip
        return Ack(
            id=command.id if command is not None else "", verb=verb, outcome=outcome, code=code,
            detail=detail, by=command.by if command is not None else "", result=result,
        )  # fmt: skip

    def _repeat(self, body: bytes) -> None:
        self._outbox.append(Class.ACK, msgspec.Raw(body))


def check_time(issued: int, expires: int | None, clock: UnitClock, good_ms: int) -> None:
    """RefusedError where a command or an offer is too old, or from the future.  A unit whose clock
    was never set cannot tell, and obeys."""
    if clock.source is Clock.FREE:
        return
    now = clock.now_ms()
    until = expires if expires is not None else issued + good_ms
    if now > until:
        raise RefusedError("expired", f"it was good until {until}, and now it is {now} (UTC ms)")
    if issued > now + AHEAD_MS:
        raise RefusedError(
            "expired", f"it was issued at {issued}, and now it is {now} (UTC ms): check the clocks"
        )


def _arguments(kind: type[msgspec.Struct], args: dict[str, Any]) -> msgspec.Struct:
    try:
        return msgspec.convert(args, kind)
    except msgspec.ValidationError as error:
        raise RefusedError("bad_arguments", f"args: {error}") from error
