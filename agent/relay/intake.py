"""What a relay takes: whose, under which root, and that it is what it says.  Pure."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TypeVar

import msgspec

from agent import topics
from agent.center.incoming import CLASSES, Record, read_batch
from agent.delivery import compression
from agent.messages import Mark, Rollup
from agent.relay.refusals import RefusedError
from agent.settings.tables import UnitConfig

T = TypeVar("T")

MESSAGE_MAX = 1_000_000
"""Bytes; fifteen times what a unit sends."""
RECORDS_MAX = 1_000
"""Of one message; a unit sends at most 400."""
PATHS = (
    "readings", "alarms", "events", "media", "ack", "status", "alarms/active", "link/+", "skipped",
    "rollups", "still/+", "media/+", "rtc/+/answer", "rtc/+/close",
)  # fmt: skip
"""Of each kit at the vehicle's broker."""
DOWN = ("cmd/+", "rtc/+/offer", "rtc/+/close")
"""Of each kit at a center's broker."""


class Kept(msgspec.Struct, frozen=True):
    """One record, and its body as the kit wrote it."""

    record: Record
    body: bytes


class _Named(msgspec.Struct):
    unit: str
    mark: Mark


class Gate:
    """Who may come in."""

    def __init__(self, unit: UnitConfig, units: Sequence[str]) -> None:
        self.units = tuple(units)
        self._unit = unit

    def filters(self, units: Sequence[str], paths: Sequence[str]) -> Iterator[str]:
        """What to subscribe to, of `units` or, where there are none, of everybody."""
        root = topics.ROOT_EXERCISE if self._unit.exercise else topics.ROOT
        for name in units or ("+",):
            yield from (f"{root}/{self._unit.org}/{name}/{path}" for path in paths)

    def check(self, topic: topics.Topic, payload: bytes) -> None:
        """RefusedError where it is not to be relayed, whatever it holds."""
        unit = self._unit
        if topic.exercise != unit.exercise:
            raise RefusedError(
                "wrong_mark", f"{topic.unit} is of the other root: exercise and actual never mix"
            )
        if topic.org != unit.org:
            raise RefusedError(
                "foreign", f"{topic.unit} is of organisation {topic.org!r}, not of {unit.org!r}"
            )
        if self.units and topic.unit not in self.units:
            raise RefusedError(
                "not_listed", f"{topic.unit} is not among the units of [relay]: {self.units}"
            )
        if topic.unit.startswith(topics.EXERCISE_PREFIX) != unit.exercise:
            raise RefusedError("wrong_mark", f"{topic.unit} does not belong under this root")
        if len(payload) > MESSAGE_MAX:
            raise RefusedError(
                "oversized", f"{topic.unit}: {len(payload)} bytes, at most {MESSAGE_MAX} are taken"
            )

    def named(self, topic: topics.Topic, payload: bytes) -> None:
        """A message that names its unit and mark; both must be right."""
        head = self.decode(topic, payload, _Named)
        if head.unit != topic.unit:
            raise RefusedError(
                "malformed", f"the topic names {topic.unit!r}, the payload {head.unit!r}"
            )
        self.check_mark(topic, head.mark)

    def check_mark(self, topic: topics.Topic, mark: Mark) -> None:
        if mark is not self._unit.mark:
            raise RefusedError(
                "wrong_mark",
                f"{topic.unit} is marked {mark.value!r}, this unit {self._unit.mark.value!r}",
            )

    def decode(self, topic: topics.Topic, payload: bytes, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(payload, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            path = "/".join(topic.path)
            raise RefusedError("malformed", f"{topic.unit}/{path}: {error}") from error

    @contextlib.contextmanager
    def malformed(self) -> Iterator[None]:
        """A ValueError inside is the sender's."""
        try:
            yield
        except ValueError as error:
            raise RefusedError("malformed", str(error)) from error

    def rollup(self, topic: topics.Topic, payload: bytes) -> Rollup:
        """It may be compressed."""
        try:
            plain = compression.expand(payload)
        except ValueError as error:
            raise RefusedError("malformed", f"{topic.unit}/rollups: {error}") from error
        self.named(topic, plain)
        return self.decode(topic, plain, Rollup)

    def records(self, topic: topics.Topic, payload: bytes) -> tuple[str, list[Kept]]:
        """The epoch of a message with records, and those."""
        assert topic.path[0] in CLASSES
        with self.malformed():
            batch, records = read_batch(topic, payload)
        self.check_mark(topic, batch.mark)
        if len(records) > RECORDS_MAX:
            raise RefusedError(
                "oversized",
                f"{topic.unit}: {len(records)} records in one message, at most {RECORDS_MAX}",
            )
        pairs = zip(records, batch.records, strict=True)
        return batch.epoch, [Kept(record, _body(raw)) for record, raw in pairs]


_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_ENVELOPE = frozenset(("seq", "prev", "t", "clock", "late"))


def _body(raw: msgspec.Raw) -> bytes:
    """The record without its envelope; each value byte for byte as it came."""
    members = {key: value for key, value in _members(raw).items() if key not in _ENVELOPE}
    return msgspec.json.encode(members)
