"""Right checksums for broken frames, without knowing any protocol.

A frame whose check is wrong is dropped before anything reads it, so mutations seldom get further.
While a decoder runs, the drivers' checksum functions are listened to: each says which bytes it was
given and what it made of them.  Where these bytes stand in the input, what follows them is
overwritten by the right check in each form that wires use.
"""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any

Check = tuple[bytes, bytes]
"""What was checked, and the check, high byte first."""

MOST = 64
"""Checks of one run that are looked at."""
_NAME = re.compile(r"(?:crc|xor|casic|fletcher|negated_sum)\w*?(\d*)[a-z_]*")
"""Functions of drivers that make a check; the digits say how many bits."""


class Listening:
    """Hears what the drivers that are imported by now check, and `module`."""

    def __init__(self, module: Any) -> None:
        self._heard: list[Check] = []
        self._places = [
            (one, key, value, _told(value, self._heard))
            for name, one in list(sys.modules.items())
            if name.startswith("drivers.") or module is one
            for key, value in vars(one).items()
            if isinstance(value, FunctionType)
            and _NAME.fullmatch(value.__name__)
            and value.__module__.startswith("drivers.")
        ]

    @contextlib.contextmanager
    def heard(self) -> Iterator[list[Check]]:
        """What is checked while the block lasts, the first MOST."""
        self._heard.clear()
        for module, key, _, told in self._places:
            setattr(module, key, told)
        try:
            yield self._heard
        finally:
            for module, key, function, _ in self._places:
                setattr(module, key, function)


def _told(function: FunctionType, heard: list[Check]) -> Callable[[bytes], Any]:
    name = _NAME.fullmatch(function.__name__)
    width = max(1, int(name[1] or 8) // 8) if name else 1

    def tell(data: bytes) -> int | bytes:
        value: int | bytes = function(data)
        if len(heard) < MOST:
            check = value if isinstance(value, bytes) else value.to_bytes(width)
            heard.append((bytes(data), check))
        return value

    return tell


def repaired(data: bytes, heard: list[Check]) -> bytes | None:
    """`data` with the first wrong check made right; None where all that were heard are right."""
    for body, check in heard:
        start = data.find(body) if len(body) > 2 else -1
        if start < 0:
            if (whole := _within(data, body, check)) is not None:
                return whole
            continue
        end = start + len(body)
        behind = data[end : end + 2 * len(check) + 1]
        text = check.hex().upper().encode()
        # NMEA's asterisk and Gill's ETX stand between what is checked and the check.
        form = behind[:1] + text if behind[:1] in (b"*", b"\x03") else _in_bytes(check)
        if not behind.upper().startswith(form.upper()):
            return data[:end] + form + data[end + len(form) :]
    return None


def _within(data: bytes, body: bytes, check: bytes) -> bytes | None:
    """NevadaNano's check stands within what is checked, taken for zeros there."""
    hole = body.find(bytes(len(check)))
    if len(check) < 2 or hole < 0:
        return None
    form, after = _in_bytes(check), body[hole + len(check) :]
    before = data.find(body[:hole]) if hole > 1 else -1
    place = before + hole
    if before < 0 or not data.startswith(after, place + len(check)):
        return None
    whole = data[:place] + form + data[place + len(form) :]
    return None if whole == data else whole


def _in_bytes(check: bytes) -> bytes:
    """Checks of two bytes are sent low byte first by every wire here, others high byte first."""
    return check[::-1] if len(check) == 2 else check
