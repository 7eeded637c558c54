"""Commands and offers for kits: what a center says over one of the vehicle's uplinks goes to the
kits' broker unchanged, or an event says why it does not."""

from __future__ import annotations

import time
from collections.abc import Callable

from agent import signing, topics
from agent.clock import UnitClock
from agent.commands import EXPIRES_MS, PAYLOAD_MAX, RefusedError, check_time
from agent.messages import Command, Event, Offer
from agent.mqtt import Connection, Message
from agent.relay import refusals
from agent.relay.branch import Branch
from agent.relay.intake import Gate
from agent.relay.seen import Seen
from agent.rtc import OFFER_MS, VERB

PASSED_MAX = 1000
PASSED_S = 10.0
"""The same command does not pass twice within this: one that has come round in a circle.  A center
that repeats it for want of an ack waits longer."""
WAITS_S = 60
"""So long a command waits at the vehicle's broker for its kit."""


class Down:
    """One per relay."""

    def __init__(
        self, gate: Gate, clock: UnitClock, closed: Seen, tell: Callable[[Event], None]
    ) -> None:
        """`closed`: the WebRTC sessions whose end has been handed on, either way."""
        self.connection: Connection | None = None
        """To the kits' broker."""
        self.relayed = self.refused = 0
        self._gate = gate
        self._clock = clock
        self._closed = closed
        self._tell = tell
        self._passed = Seen(PASSED_MAX, PASSED_S)

    def handle(self, branch: Branch, topic: topics.Topic, message: Message) -> Command | None:
        """What was for a kit; the command, where one was handed on."""
        if self._passed_already(branch, topic, message):
            return None
        try:
            command = self._check(branch, topic, message)
            if self.connection is None:
                raise RefusedError("unavailable", "the kits' broker is not connected")
        except (RefusedError, refusals.RefusedError) as error:
            self.refused += 1
            data = {"unit": topic.unit, "path": "/".join(topic.path), "code": error.code}
            self._tell(
                Event(event="not_relayed", source=branch.config.name, detail=str(error), data=data)
            )
            return None
        self.relayed += 1
        self.connection.publish(
            message.topic,
            message.payload,
            expiry_s=OFFER_MS // 1000 if command is None else WAITS_S,
        )
        return command

    def _passed_already(self, branch: Branch, topic: topics.Topic, message: Message) -> bool:
        if topic.path[0] == "rtc" and topic.path[-1] == "close":
            return self._closed.again(topic.unit, topic.path[1])
        return self._passed.again(message.topic, message.payload, now_s=time.monotonic())

    def _check(self, branch: Branch, topic: topics.Topic, message: Message) -> Command | None:
        config = branch.config
        if topic.unit != topics.ALL_UNITS:
            self._gate.check(topic, message.payload)
        if not (branch.takes(topic.unit) or topic.unit == topics.ALL_UNITS):
            raise RefusedError(
                "not_listed", f"uplink {config.name!r} is not relayed to {topic.unit!r}"
            )
        verb = topics.verb_of(topic.path[1]) if topic.path[0] == "cmd" else VERB
        if verb not in config.relay_verbs:
            raise RefusedError(
                "not_authorised", f"uplink {config.name!r} may not command {verb!r} of a kit"
            )
        if message.retain:
            raise RefusedError("expired", "what is retained is never carried out")
        if len(message.payload) > PAYLOAD_MAX:
            raise RefusedError(
                "malformed", f"read {len(message.payload)} bytes, expected at most {PAYLOAD_MAX}"
            )
        if topic.path[0] == "rtc":
            if topic.path[-1] == "offer":
                offer = self._gate.decode(topic, message.payload, Offer)
                self._gate.check_mark(topic, offer.mark)
                check_time(offer.issued, None, self._clock, OFFER_MS)
            return None
        command = self._gate.decode(topic, message.payload, Command)
        self._gate.check_mark(topic, command.mark)
        check_time(command.issued, command.expires, self._clock, EXPIRES_MS)
        return command


def resent(branch: Branch, topic: topics.Topic, command: Command, payload: bytes) -> None:
    """A center asks a kit for numbers again: what the vehicle holds of them goes out at once, and
    what the kit sends is not taken for what that center has."""
    stream = branch.streams.get(topic.unit)
    first, last = command.args.get("from"), command.args.get("to")
    epoch = command.args.get("epoch")
    if stream is None or not (isinstance(first, int) and isinstance(last, int)):
        return
    if not isinstance(epoch, str) or not 1 <= first <= last:
        return
    if branch.config.signers:
        try:
            signing.check(branch.config.signers, _topic(topic), command, payload)
        except signing.SignatureError:
            # The kit answers it, by its own keys.
            return
    stream.kit.forget_skipped(epoch, first, last)
    if (number := stream.kit.epoch_id(epoch)) is not None:
        stream.lanes.resend(number, first, last)


def _topic(topic: topics.Topic) -> str:
    root = topics.unit_root(topic.org, topic.unit, exercise=topic.exercise)
    return f"{root}/{'/'.join(topic.path)}"
