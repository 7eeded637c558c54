"""Which incident the unit is at: every record that is made carries its id, until it is cleared."""

from __future__ import annotations

import logging
from collections.abc import Callable

import msgspec

from agent.outbox import Outbox

log = logging.getLogger(__name__)

KEPT = "incident"


class _Kept(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    configured: str
    """What the configuration named then."""


class Incident:
    """`[unit] incident`, until a command names another; a changed configuration wins again."""

    def __init__(
        self, configured: str, outbox: Outbox, *, on_event: Callable[..., object],
        on_change: Callable[[], None],
    ) -> None:  # fmt: skip
        self._configured = configured
        self._outbox = outbox
        self._on_event = on_event
        self._on_change = on_change
        kept = self._read()
        same = kept is not None and kept.configured == configured
        self.id = kept.id if kept is not None and same else configured
        outbox.incident = self.id
        self._before = kept.id if kept is not None else ""

    def begin(self) -> None:
        """An event says where it is not what it was."""
        if self.id != self._before:
            self._told("configuration")

    def set(self, name: str, by: str) -> None:
        """From the next record on; empty: no incident any more."""
        self._before, self.id = self.id, name
        if self.id != self._before:
            self._told(by)

    def _told(self, by: str) -> None:
        kept = _Kept(id=self.id, configured=self._configured)
        self._outbox.store.keep(KEPT, msgspec.json.encode(kept), urgent=True)
        self._outbox.incident = self.id
        name = "incident_set" if self.id else "incident_cleared"
        self._on_event(name, "agent", self.id or self._before, by=by, before=self._before)
        self._on_change()

    def _read(self) -> _Kept | None:
        try:
            found = self._outbox.store.kept.get(KEPT)
            return None if found is None else msgspec.json.decode(found, type=_Kept)
        except msgspec.DecodeError as error:
            log.error("the stored incident cannot be read: %s", error)
            return None
