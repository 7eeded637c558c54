"""Commands from a center: the verb table, authority, expiry, repeats, acks.

A command is run once: its outcome is stored with its id before the ack is sent, and a repeat gets
the stored ack again.  Whatever is wrong is answered with the reason, and the agent goes on.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Callable
from typing import Any

import msgspec

from agent import signing, topics
from agent.clock import UnitClock
from agent.delivery.rows import Row
from agent.messages import Ack, Class, Clock, Command, Event, Mark, Outcome
from agent.mqtt import Message
from agent.outbox import Outbox
from agent.settings.authority import VERBS

log = logging.getLogger(__name__)

EXPIRES_MS = 60_000
"""How long a command without `expires` is good, from `issued`."""
AHEAD_MS = 60_000
"""How far the center's clock may be ahead of ours."""
PAYLOAD_MAX = 64 * 1024
ID_MAX = 128
BY_MAX = 128
ANSWERS_MAX = 1000
"""Answers that wait for their ack to be stored."""
CORRELATION_MAX = 1024
RESERVED = frozenset({
    "status", "link", "readings", "alarms", "events", "media", "ack", "cmd", "rtc", "still",
    "skipped",
})  # fmt: skip
"""What follows the unit in a topic of ours or of another unit: nothing to answer on."""

_decode = msgspec.json.Decoder(Command).decode


class _Head(msgspec.Struct):
    """As much of a malformed command as its ack can name."""

    id: str = ""
    by: str = ""


_UNFIT = re.compile(r"[+#\x00-\x1f\x7f]")
_decode_head = msgspec.json.Decoder(_Head).decode


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


class _Answer(msgspec.Struct, frozen=True):
    """Where an ack goes besides its own topic (MQTT 5 request and response)."""

    uplink: Any
    topic: str
    correlation: bytes


class Commands:
    """One per unit, for all uplinks."""

    def __init__(self, unit: str, mark: Mark, outbox: Outbox) -> None:
        self.verbs: dict[str, Verb] = {}
        self._unit = unit
        self._mark = mark
        self._outbox = outbox
        self._answers: dict[int, _Answer] = {}
        outbox.listeners.append(self._stored)

    def handle(self, topic: topics.Topic, message: Message, uplink: Any) -> None:
        """One command, whatever it is.  `uplink`: `config` (name, verbs, signers), `respond`."""
        verb = topics.verb_of(topic.path[1])
        head = _Head()
        ran = False
        try:
            command = self._read(message)
            head = _Head(command.id, command.by)
            _check_signature(command, message, uplink)
            if (known := self._outbox.store.commands.get(command.id)) is not None:
                row = self._outbox.append(Class.ACK, msgspec.Raw(known))
                self._answer(row, topic, message, uplink)
                return
            self._check(verb, command, uplink)
            entry = self.verbs[verb]
            args = _arguments(entry.args, command.args)
            ran = True
            result = entry.run(args, command.by, uplink)
            ack = _ack(verb, head, Outcome.DONE, "ok", "", result)
        except _MalformedError as error:
            ack = _ack(verb, error.head, Outcome.REFUSED, error.code, str(error), {})
        except RefusedError as error:
            ack = _ack(verb, head, error.outcome, error.code, str(error), {})
        log.info("command %s by %r: %s %s", verb, ack.by, ack.outcome.value, ack.detail)
        # Only what was run is remembered: what this path may not do, or not yet, another may.
        row = self._outbox.append(Class.ACK, ack, ack_of=ack.id if ran else "")
        audit = Event(
            event="command", source=uplink.config.name, detail=ack.detail,
            data={
                "verb": verb, "id": ack.id, "by": ack.by, "outcome": ack.outcome, "code": ack.code,
            },
        )  # fmt: skip
        self._outbox.append(Class.EVENTS, audit)
        self._answer(row, topic, message, uplink)

    # -- MQTT 5 response topic ----------------------------------------------------------------

    def _answer(self, row: Row, topic: topics.Topic, message: Message, uplink: Any) -> None:
        """Remember where to answer; `_stored` does it."""
        if not message.response_topic:
            return
        if reason := _unfit(message, topic):
            event = Event(
                event="response_refused", source=uplink.config.name, detail=reason,
                data={"topic": message.response_topic[:200]},
            )  # fmt: skip
            self._outbox.append(Class.EVENTS, event)
        elif len(self._answers) < ANSWERS_MAX:
            self._answers[row.seq] = _Answer(uplink, message.response_topic, message.correlation)

    def _stored(self, row: Row) -> None:
        if (answer := self._answers.pop(row.seq, None)) is not None:
            answer.uplink.respond(answer.topic, row.body, answer.correlation)

    # -- checks -------------------------------------------------------------------------------

    def _read(self, message: Message) -> Command:
        if len(message.payload) > PAYLOAD_MAX:
            raise RefusedError(
                "malformed", f"read {len(message.payload)} bytes, expected at most {PAYLOAD_MAX}"
            )
        try:
            command = _decode(message.payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise _MalformedError(
                f"expected a command as JSON, read {message.payload[:60]!r}: {error}",
                _head(message.payload),
            ) from error
        if not 1 <= len(command.id) <= ID_MAX or not 1 <= len(command.by) <= BY_MAX:
            raise _MalformedError(
                f"expected id and by of 1 to {ID_MAX} characters, "
                f"read {len(command.id)} and {len(command.by)}",
                _head(message.payload),
            )
        if message.retain:
            raise _MalformedError(
                "a retained command is never carried out", _head(message.payload), "expired"
            )
        return command

    def _check(self, verb: str, command: Command, uplink: Any) -> None:
        if command.mark is not self._mark:
            raise RefusedError(
                "wrong_mark",
                f"this unit is marked {self._mark.value!r}, the command {command.mark.value!r}",
            )
        if verb not in self.verbs and verb in VERBS:
            raise RefusedError("unavailable", f"this unit has nothing that {verb!r} could move")
        if verb not in self.verbs:
            known = ", ".join(sorted(self.verbs))
            raise RefusedError("unknown_verb", f"there is no verb {verb!r}; known are {known}")
        if verb not in uplink.config.verbs:
            raise RefusedError(
                "not_authorised", f"uplink {uplink.config.name!r} may not command {verb!r}"
            )
        check_time(command.issued, command.expires, self._outbox.clock, EXPIRES_MS)


class _MalformedError(RefusedError):
    def __init__(self, detail: str, head: _Head, code: str = "malformed") -> None:
        super().__init__(code, detail)
        self.head = head


def _check_signature(command: Command, message: Message, uplink: Any) -> None:
    """First of all checks: what is not signed is told nothing, not even an ack that is stored."""
    if not uplink.config.signers:
        return
    try:
        signing.check(uplink.config.signers, message.topic, command, message.payload)
    except signing.SignatureError as error:
        raise RefusedError(error.code, str(error)) from error


def _head(payload: bytes) -> _Head:
    with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        head = _decode_head(payload)
        return _Head(head.id[:ID_MAX], head.by[:BY_MAX])
    return _Head()


def _ack(
    verb: str, head: _Head, outcome: Outcome, code: str, detail: str,
    result: dict[str, Any],
) -> Ack:  # fmt: skip
    return Ack(
        id=head.id, verb=verb, outcome=outcome, code=code, detail=detail, by=head.by,
        result=result,
    )  # fmt: skip


def _unfit(message: Message, command: topics.Topic) -> str:
    """Why a response topic is not answered on; empty: it is fit."""
    if len(message.correlation) > CORRELATION_MAX:
        return f"{len(message.correlation)} bytes of correlation data, {CORRELATION_MAX} at most"
    try:
        topic = topics.parse(message.response_topic)
    except ValueError as error:
        return f"the response topic: {error}"
    if (topic.exercise, topic.org) != (command.exercise, command.org):
        return "the response topic is of another organisation, or not of the same root"
    if topic.path[0] in RESERVED or _UNFIT.search(message.response_topic):
        return f"the response topic ends with {'/'.join(topic.path)!r}, where no answer belongs"
    return ""


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
