"""What must hold for any input: it ends, in time, gives values that make sense, holds nothing."""

from __future__ import annotations

import gc
import math
import sys
import time
import types
from collections.abc import Callable, Iterable
from typing import Any

from drivers import Fix, Quality, Sample

RETAINED_MAX = 256 * 1024
"""Bytes that a decoder may hold beyond those that it began with: four times its largest frame."""
BASE_S = 0.05
TIMES = 100
"""An input may take so much longer, byte for byte, than frames that are well made."""

_SHARED = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.CodeType)


class FuzzError(AssertionError):
    """Something that must hold does not; the text says what was seen."""


def values(found: Iterable[Any]) -> None:
    """FuzzError: a sample or a fix that could not be sent, or that nobody could believe."""
    for item in found:
        if isinstance(item, Sample):
            _sample(item)
        elif isinstance(item, Fix):
            _fix(item)
        else:
            raise FuzzError(f"expected a Sample or a Fix, read {item!r}")


def _sample(item: Sample) -> None:
    if item.value is not None and not math.isfinite(item.value):
        raise FuzzError(f"a value that is no number: {item}")
    if item.value is None and item.quality in (Quality.GOOD, Quality.CAL_DUE):
        raise FuzzError(f"good, but without a value: {item}")
    if not item.quantity:
        raise FuzzError(f"a quantity without a name: {item}")


def _fix(item: Fix) -> None:
    for name, low, high in (("lat", -90.0, 90.0), ("lon", -180.0, 180.0), ("track", 0.0, 360.0)):
        value = getattr(item, name)
        if value is not None and not low <= value <= high:
            raise FuzzError(f"{name} is outside of {low:g} to {high:g}: {item}")
    for name in ("alt", "speed", "heading", "eph", "hdop", "geoid_sep"):
        value = getattr(item, name)
        if value is not None and not math.isfinite(value):
            raise FuzzError(f"{name} is no number: {item}")
    if item.mode >= 2 and (item.lat is None or item.lon is None):
        raise FuzzError(f"a fix of mode {item.mode} without a place: {item}")


def in_time(run: Callable[[], object], size: int, per_byte_s: float) -> None:
    """Run it.  FuzzError: it takes far longer than its `size` bytes should, and does so again."""
    allowed = BASE_S + TIMES * per_byte_s * size
    for _ in range(3):
        start = time.thread_time()
        run()
        taken = time.thread_time() - start
        if taken <= allowed:
            return
    raise FuzzError(f"{size} bytes took {taken:.3f} s of CPU, expected at most {allowed:.3f}")


def retained(holder: object) -> int:
    """Bytes of all that can be reached from an object; classes, modules and functions are not
    its own."""
    seen = {id(holder)}
    waiting = [holder]
    total = 0
    while waiting:
        item = waiting.pop()
        total += sys.getsizeof(item)
        for inner in gc.get_referents(item):
            if id(inner) not in seen and not isinstance(inner, _SHARED):
                seen.add(id(inner))
                waiting.append(inner)
    return total


def bounded(holder: object, began_with: int) -> None:
    """FuzzError: `holder` has grown beyond the ceiling since it was made."""
    held = retained(holder)
    if held > began_with + RETAINED_MAX:
        raise FuzzError(
            f"{type(holder).__name__} holds {held} bytes, began with {began_with}: it grows"
        )
