"""What a message of a unit holds, checked.  Pure: used by whoever takes records from a broker."""

from __future__ import annotations

from typing import Any

import msgspec

from agent import topics
from agent.delivery import compression
from agent.messages import (
    Ack,
    Alarm,
    Batch,
    Class,
    Clock,
    Envelope,
    Event,
    Mark,
    Reading,
    epoch_order,
)

CLASSES = frozenset(klass.value for klass in Class)

_BODIES: dict[Class, Any] = {
    Class.READINGS: Reading,
    Class.ALARMS: Alarm,
    Class.EVENTS: Event,
    Class.MEDIA: dict[str, Any],
    Class.ACK: Ack,
}
_ENVELOPE_KEYS = Envelope.__struct_fields__


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A record that had not been seen before."""

    unit: str
    epoch: str
    seq: int
    prev: int
    t: int
    """UTC ms."""
    clock: Clock
    late: bool
    mark: Mark
    klass: Class
    body: dict[str, Any]
    """Checked against the type of its class, and left as it came."""


def read_batch(topic: topics.Topic, payload: bytes) -> tuple[Batch, list[Record]]:
    """A message on a durable topic, which may be compressed.  ValueError says what is wrong with
    it, or with the first of its records that is not in order."""
    where = "/".join((topic.unit, *topic.path))
    klass = Class(topic.path[0])
    batch: Batch = decode(_expand(payload, where), Batch, where)
    check_sender(topic, batch.unit, batch.mark, where)
    check_epoch(batch.epoch, where)
    return batch, [_read_record(raw, batch, klass, where) for raw in batch.records]


def decode(data: bytes | msgspec.Raw, kind: Any, where: str) -> Any:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        kind_name = getattr(kind, "__name__", "object")
        shown = bytes(data)[:60].decode(errors="replace")
        raise ValueError(f"{where}: expected a {kind_name}, but {error}; read {shown!r}") from error


def _expand(payload: bytes, where: str) -> bytes:
    try:
        return compression.expand(payload)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def check_sender(topic: topics.Topic, unit: str, mark: Mark, where: str) -> None:
    if unit != topic.unit:
        raise ValueError(f"{where}: the topic names unit {topic.unit!r}, but the payload {unit!r}")
    if (mark == Mark.EXERCISE) != topic.exercise:
        root = topics.ROOT_EXERCISE if topic.exercise else topics.ROOT
        raise ValueError(f"{where}: mark {mark.value!r} does not belong under {root}")


def check_epoch(epoch: str, where: str) -> None:
    try:
        epoch_order(epoch)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def _read_record(raw: msgspec.Raw, batch: Batch, klass: Class, where: str) -> Record:
    envelope: Envelope = decode(raw, Envelope, where)
    if envelope.seq < 1 or not 0 <= envelope.prev < envelope.seq:
        raise ValueError(
            f"{where}: expected 1 <= seq and 0 <= prev < seq, "
            f"but read seq {envelope.seq} and prev {envelope.prev}"
        )
    decode(raw, _BODIES[klass], f"{where} seq {envelope.seq}")
    body: dict[str, Any] = decode(raw, dict[str, Any], where)
    for key in _ENVELOPE_KEYS:
        body.pop(key, None)
    return Record(
        unit=batch.unit,
        epoch=batch.epoch,
        seq=envelope.seq,
        prev=envelope.prev,
        t=envelope.t,
        clock=envelope.clock,
        late=envelope.late,
        mark=batch.mark,
        klass=klass,
        body=body,
    )
