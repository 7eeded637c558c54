"""What a relay does not take, counted and said."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable

log = logging.getLogger(__name__)

SAID_MAX = 200
"""Kinds of refusals, by unit and code, that are said once each; beyond, only counted."""


class RefusedError(Exception):
    """Why a message is not relayed: a code, and a sentence."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class Refusals:
    """One per relay."""

    def __init__(self, on_first: Callable[[str, str, str], None]) -> None:
        """`on_first`: called with (unit, code, sentence), once for each unit and code."""
        self.counts: Counter[str] = Counter()
        """By code."""
        self._said: set[tuple[str, str]] = set()
        self._on_first = on_first

    def add(self, unit: str, error: RefusedError) -> None:
        self.counts[error.code] += 1
        key = (unit, error.code)
        if key not in self._said and len(self._said) < SAID_MAX:
            self._said.add(key)
            log.warning("relay: %s: %s", error.code, error)
            self._on_first(unit, error.code, str(error))
