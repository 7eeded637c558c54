"""Numbered records: what stands before a body, and what carries them."""

from __future__ import annotations

import msgspec

from agent.messages.base import Clock, Mark, Wire


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """What stands before a body in each record of a batch."""

    seq: int
    prev: int
    """The previous number of the same class in this epoch; 0 before the first."""
    t: int
    """UTC ms."""
    clock: Clock
    late: bool = False


class InIncident(Wire, frozen=True, kw_only=True):
    """What stands in a record beside its envelope and its body."""

    incident: str = ""
    """The incident at which it was made; left out where none was set."""


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """A message on a durable topic.  A record is an `Envelope` and a body in one object."""

    unit: str
    epoch: str
    mark: Mark
    records: list[msgspec.Raw]


class Skipped(msgspec.Struct, frozen=True, kw_only=True):
    """On `skipped`: numbers that exist and do not come to this center, so that they are no gap."""

    unit: str
    epoch: str
    mark: Mark
    reason: str
    """`class`, `quantity`: this center takes none of them; `retention`: the unit does not hold them
    any more; `relay`: the vehicle that relays the unit does not (the unit itself may: ask
    it); `size`: larger than this broker takes; `thinned`: a roll-up stands for them, and
    `later`: nothing does yet, the readings themselves come when there is room, or by `resend`."""
    ranges: tuple[tuple[int, int], ...]
    """First and last number, both included, in order."""


def in_incident(body: bytes, incident: str) -> bytes:
    """A body (a JSON object as bytes) that carries the incident's id, before it is stored: so it is
    the same by whichever way it comes.  What carries one already stays."""
    if not incident or body.startswith(b'{"incident":'):
        return body
    head = msgspec.json.encode(InIncident(incident=incident))
    return head if body == b"{}" else head[:-1] + b"," + body[1:]


def join_record(envelope: Envelope, body: bytes) -> bytes:
    """One record: the envelope's members, then the body's (a JSON object as bytes)."""
    head = msgspec.json.encode(envelope)
    return head if body == b"{}" else head[:-1] + b"," + body[1:]


def epoch_order(epoch: str) -> int:
    """The number by which epochs of one unit are ordered.  ValueError: no epoch."""
    head, _, tail = epoch.partition("-")
    if not head.isdigit() or not tail:
        raise ValueError(f"an epoch is '{{UTC ms}}-{{random}}', but read {epoch!r}")
    return int(head)
