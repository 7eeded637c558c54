"""Pictures and recordings on their way to who asked: behind alarms and readings, as history goes.

A piece is as large as what may be on its way now, so that on a thin link nothing urgent waits
behind it.  Where the connection ends, so does this: who asked goes on from the offset that he has.
"""

from __future__ import annotations

import asyncio
import base64
import logging
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from agent.delivery.channel import Lane
from agent.gallery import read_piece
from agent.messages import Mark
from agent.messages.media import Chunk, MediaItem

if TYPE_CHECKING:
    from agent.delivery.channel import Answer
    from agent.uplink import Uplink

log = logging.getLogger(__name__)

PIECE_MAX = 32 * 1024
PIECE_MIN = 256
HEAD_BYTES = 400
"""More than topic and JSON of a piece."""
LOOK_S = 0.05
ORDERS_MAX = 16
"""That wait per center."""


class Order(msgspec.Struct, frozen=True):
    """Bytes that somebody wants."""

    item: MediaItem
    path: Path
    offset: int
    end: int


class Pieces:
    """One per unit; orders of one center go one after another."""

    def __init__(self, unit: str, mark: Mark, group: asyncio.TaskGroup) -> None:
        self._unit = unit
        self._mark = mark
        self._group = group
        self._orders: dict[str, list[Order]] = {}

    def send(self, uplink: Uplink, order: Order) -> None:
        """ValueError: too many orders wait."""
        waiting = self._orders.setdefault(uplink.config.name, [])
        if len(waiting) >= ORDERS_MAX:
            raise ValueError(f"{ORDERS_MAX} requests are waited for already")
        waiting.append(order)
        if len(waiting) == 1:
            self._group.create_task(
                self._run(uplink, waiting), name=f"media.get[{uplink.config.name}]"
            )

    async def _run(self, uplink: Uplink, waiting: list[Order]) -> None:
        while waiting:
            try:
                await self._serve(uplink, waiting[0])
            except OSError as error:
                log.warning("%s cannot be read on: %s", waiting[0].item.id, error)
            del waiting[0]

    async def _serve(self, uplink: Uplink, order: Order) -> None:
        offset, connection = order.offset, uplink.connection
        while offset < order.end and connection is not None:
            if uplink.connection is not connection:
                return
            left = order.end - offset
            room = (uplink.channel.history_room(asked=True) - HEAD_BYTES) * 3 // 4
            length = min(PIECE_MAX, left, room)
            if length < min(PIECE_MIN, left):
                await asyncio.sleep(LOOK_S)
                continue
            data = await asyncio.to_thread(read_piece, order.path, offset, length)
            if not data or uplink.connection is not connection:
                return
            chunk = Chunk(
                unit=self._unit, mark=self._mark, id=order.item.id, offset=offset,
                size=order.item.size, data=base64.b64encode(data).decode(),
            )  # fmt: skip
            topic = uplink.topic(f"media/{order.item.id}")
            uplink.channel.publish(topic, msgspec.json.encode(chunk), _sent, lane=Lane.HISTORY)
            offset += len(data)
            # Others get their turn.
            await asyncio.sleep(0)


def _sent(answer: Answer) -> None:
    if not answer.taken:
        log.info("a piece of a picture or recording was not taken: %s", answer.why)
