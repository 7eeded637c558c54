"""Which bytes of something an HTTP Range means (RFC 9110, 14.1).  Pure."""

from __future__ import annotations

import re

RANGE = re.compile(r"\Abytes=(\d{0,18})-(\d{0,18})\Z")


def parsed(header: str, size: int) -> tuple[int, int] | None:
    """First and last byte; None where it is to be ignored (several parts, another unit).
    ValueError: it lies outside."""
    found = RANGE.match(header.strip())
    if found is None or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if not first:
        begin, end = max(0, size - int(last)), size - 1
    elif last and int(last) < int(first):
        return None
    else:
        begin, end = int(first), min(size - 1, int(last) if last else size - 1)
    if begin >= size:
        raise ValueError(f"{header!r} lies outside of {size} bytes")
    return begin, end
