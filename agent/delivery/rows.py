"""What lies in the store, as values.  Pure."""

from __future__ import annotations

import msgspec


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A numbered record as it lies on disk."""

    epoch: int
    """The epoch's id in the store; its name is in `Store.epochs`."""
    seq: int
    klass: str
    prev: int
    t: int
    """UTC ms when it was made, by `clock`."""
    clock: str
    mono: int
    """CLOCK_BOOTTIME, ms, when it was made."""
    body: bytes


class Epoch(msgspec.Struct, kw_only=True):
    """A run of the agent."""

    id: int
    name: str
    boot: str
    first: int = 1
    """The first number that is still held (retention removes the oldest)."""
    last: int = 0
    """The last committed number."""


class Gone(msgspec.Struct, frozen=True, kw_only=True):
    """What retention has deleted of a class: so many of its records, from `first` to `last`."""

    first: int
    last: int
    count: int


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """How large the database is."""

    pages: int
    free: int
    """Of the pages: in the file, and not in use."""
    page_bytes: int

    @property
    def used_bytes(self) -> int:
        return (self.pages - self.free) * self.page_bytes

    @property
    def file_bytes(self) -> int:
        return self.pages * self.page_bytes
