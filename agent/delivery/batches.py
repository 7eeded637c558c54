"""Rows made into messages: one head, then as many records as a message bears."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from agent.delivery import compression
from agent.delivery.records import Records
from agent.delivery.rows import Row
from agent.settings.tables import UnitConfig

BATCH_BYTES = 64_000
"""Of records in one message, before it is compressed."""

_encode = msgspec.json.Encoder().encode


class Batch(msgspec.Struct, frozen=True):
    """A message, and what is in it; `payload` is empty where its one row is larger than `room`."""

    rows: list[Row]
    payload: bytes
    size: int
    """Of the row that is too large; of the payload."""
    room: int
    """Bytes of records that a message may have."""


class Batches:
    """Of one unit's records."""

    def __init__(self, records: Records, unit: UnitConfig) -> None:
        self._records = records
        self._unit = unit
        self._heads: dict[str, bytes] = {}
        """The last one, by its epoch's name."""

    def make(
        self, rows: list[Row], *, late: bool, most: int, compress: bool = False
    ) -> Iterator[Batch]:
        """Rows of one class and one epoch, in messages of at most `most` bytes.  Nothing where the
        epoch is held no more: retention was faster."""
        for batch in self._plain(rows, late=late, most=most):
            if compress and batch.payload:
                batch = _compressed(batch)
            yield batch

    def _plain(self, rows: list[Row], *, late: bool, most: int) -> Iterator[Batch]:
        epoch = self._records.store.epochs.get(rows[0].epoch)
        if epoch is None:
            return
        start = self._head(epoch.name)
        room = most - len(start) - 2
        batch: list[Row] = []
        parts: list[bytes] = []
        size = 0
        for row in rows:
            part = self._records.encode(row, late=late)
            if len(part) > room:
                yield Batch([row], b"", len(part), room)
                continue
            if parts and size + len(part) > min(BATCH_BYTES, room):
                yield _joined(batch, start, parts, room)
                batch, parts, size = [], [], 0
            batch.append(row)
            parts.append(part)
            size += len(part) + 1
        if batch:
            yield _joined(batch, start, parts, room)

    def _head(self, epoch: str) -> bytes:
        if epoch not in self._heads:
            head = {"unit": self._unit.id, "epoch": epoch, "mark": self._unit.mark}
            self._heads = {epoch: _encode(head)[:-1] + b',"records":['}
        return self._heads[epoch]


def _joined(rows: list[Row], start: bytes, parts: list[bytes], room: int) -> Batch:
    payload = start + b",".join(parts) + b"]}"
    return Batch(rows, payload, len(payload), room)


def _compressed(batch: Batch) -> Batch:
    payload = compression.shrink(batch.payload)
    return msgspec.structs.replace(batch, payload=payload, size=len(payload))
