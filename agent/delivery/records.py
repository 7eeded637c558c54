"""What lanes send from: the records of one unit, held in a store.

The outbox is one of these, for the unit's own records; what a vehicle relays for a kit is another.
Lanes and cursors know no more of a unit than this.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from agent.delivery.ranges import Ranges
from agent.delivery.rows import Epoch, Row
from agent.messages import Class, Event


class Shelf(Protocol):
    """Where rows lie, and how far each center has them."""

    @property
    def epochs(self) -> dict[int, Epoch]: ...

    @property
    def told(self) -> list[Callable[[], None]]:
        """As `Store.told`."""

    @property
    def marks(self) -> dict[str, dict[int, Ranges]]:
        """What each uplink's broker had acknowledged at the start, by epoch."""

    @property
    def kept(self) -> dict[str, bytes]: ...

    def keep(self, name: str, value: bytes) -> None: ...

    def save_mark(self, uplink: str, epoch: int, settled: Ranges) -> None: ...

    async def read(
        self, epoch: int, holes: list[tuple[int, int]], classes: Sequence[Class], limit: int,
        newest: bool = False,
    ) -> list[Row]:  # fmt: skip
        """As `Store.read`."""

    async def numbers(self, epoch: int, first: int, last: int, look: int) -> tuple[Ranges, int]:
        """As `Store.numbers`."""


class Records(Protocol):
    """One unit's records."""

    @property
    def absent(self) -> str:
        """Why a number that is not held does not come: the reason on `skipped`."""

    @property
    def store(self) -> Shelf: ...

    @property
    def newest(self) -> dict[str, Row]:
        """The last reading of each (source, quantity)."""

    @property
    def listeners(self) -> list[Callable[[Row], None]]:
        """Each is told of a record when it is committed."""

    def committed(self, row: Row) -> bool:
        """It is on disk."""

    def is_past(self, epoch: str) -> bool:
        """Of this epoch, which is not held, something may have been; ValueError: no epoch."""

    def encode(self, row: Row, *, late: bool) -> bytes:
        """The record as it goes out."""

    def tell(self, event: Event) -> None:
        """An event of the unit that sends."""
