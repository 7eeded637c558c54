"""Pictures and recordings of this unit, whoever keeps them: what there is, and its bytes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from agent.messages.media import MediaItem


class Provider(Protocol):
    """Keeps some; each `id` is given once."""

    def items(self) -> Sequence[MediaItem]: ...

    def path(self, item: MediaItem) -> Path:
        """Where its bytes are."""


class Gallery:
    """All of them together."""

    def __init__(self) -> None:
        self.providers: list[Provider] = []

    def items(self, since: int, until: int, kind: str, most: int) -> list[MediaItem]:
        """The newest first; `since` and `until` are UTC ms, `kind` empty: all."""
        found = [
            item for provider in self.providers for item in provider.items()
            if since <= item.start <= until and kind in ("", item.kind)
        ]  # fmt: skip
        return sorted(found, key=lambda item: item.start, reverse=True)[:most]

    def find(self, name: str) -> tuple[MediaItem, Path]:
        """LookupError: there is none."""
        for provider in self.providers:
            for item in provider.items():
                if item.id == name:
                    return item, provider.path(item)
        raise LookupError(f"no picture or recording {name!r} is held")


def read_piece(path: Path, offset: int, length: int) -> bytes:
    """OSError where it cannot be read."""
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(length)
