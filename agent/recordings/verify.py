"""Whether the recordings of a folder are whole: each file's digest, and the chain of side files.

What goes in the usual way leaves a gap behind which nothing older is left but what was locked.
Any other gap is a finding.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from agent.media.record import sidefile
from agent.media.record.sidefile import Side


class Found(msgspec.Struct, frozen=True):
    """Of a folder."""

    recordings: int
    still_open: int
    """Not closed: recorded now, or cut short and not yet taken up."""
    bytes: int
    deleted: int
    """In gaps that are explained."""
    mistakes: tuple[str, ...]


def verify(folder: Path) -> Found:
    """OSError where the folder cannot be read."""
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is no folder")
    mistakes: list[str] = []
    sides: list[Side] = []
    for path in sorted(folder.glob(f"rec-*{sidefile.SUFFIX}")):
        try:
            sides.append(sidefile.read(path))
        except (OSError, ValueError) as error:
            mistakes.append(f"{path.name}: no side file of a recording: {error}")
    closed = sorted((side for side in sides if side.number), key=lambda side: side.number)
    for side in closed:
        mistakes += _file(folder, side)
    deleted, chain = _chain(folder, closed)
    mistakes += chain
    known = {side.file for side in sides}
    mistakes += [
        f"{path.name}: it has no side file"
        for path in sorted(folder.glob("rec-*.mp4*"))
        if path.name not in known
    ]
    return Found(
        len(sides), len(sides) - len(closed), sum(side.size for side in closed), deleted,
        tuple(mistakes),
    )  # fmt: skip


def _file(folder: Path, side: Side) -> Iterator[str]:
    path = folder / side.file
    try:
        size, digest = path.stat().st_size, sidefile.digest_of(path)
    except OSError as error:
        yield f"{side.file}: cannot be read: {error.strerror}"
        return
    if size != side.size:
        yield f"{side.file}: {size} bytes, {side.size} when it was closed"
    elif digest != side.digest:
        yield f"{side.file}: its bytes were changed: {digest}, {side.digest} when it was closed"


def _chain(folder: Path, closed: list[Side]) -> tuple[int, list[str]]:
    deleted, mistakes = 0, []
    last = 0
    for index, side in enumerate(closed):
        gap = side.number - last - 1
        if gap < 0:
            mistakes.append(f"{side.id}: the number {side.number} a second time")
        elif gap and any(not older.locks for older in closed[:index]):
            mistakes.append(
                f"{side.id}: number {side.number} comes after {last}, and older ones are there "
                "that were never locked: recordings were taken out between"
            )
        elif gap:
            deleted += gap
        elif index and side.previous != closed[index - 1].entry():
            mistakes.append(f"{closed[index - 1].id}: its side file was changed afterwards")
        last = side.number
    head = sidefile.read_head(folder)
    if closed and head.number < last:
        mistakes.append(f"{sidefile.HEAD}: number {head.number}, but {last} is there")
    elif closed and head.number == last and head.entry != closed[-1].entry():
        mistakes.append(f"{closed[-1].id}: its side file was changed afterwards")
    elif head.number > last and any(not side.locks for side in closed):
        mistakes.append(f"numbers {last + 1} to {head.number}: the newest were taken out")
    elif head.number > last:
        deleted += head.number - last
    return deleted, mistakes
