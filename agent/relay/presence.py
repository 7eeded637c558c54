"""Whether a vehicle that hands on what is brought to a broker is there.  Pure: times are arguments.

The relay says so itself, retained at its kits' broker on `link/relay`, and its will says `lost`.  A
broker at which no relay was ever heard of is one that needs none.
"""

from __future__ import annotations

import msgspec

from agent import topics
from agent.messages import Link, Mark, epoch_order

PATH = "relay"
"""In place of an uplink's name."""
GONE_S = 10.0
"""A relay that is started again says so before."""
VEHICLES_MAX = 50


class Presence:
    """What one broker has said of the relays at it."""

    def __init__(self, org: str, *, exercise: bool) -> None:
        root = topics.ROOT_EXERCISE if exercise else topics.ROOT
        self.filters = (f"{root}/{org}/+/link/{PATH}",)
        self._org = org
        self._exercise = exercise
        self._known = False
        self._links: dict[str, Link] = {}
        """By vehicle."""
        self._gone_since: float | None = None

    def another(self) -> Presence:
        """Of another connection to the same broker: it knows whether to expect one."""
        made = Presence(self._org, exercise=self._exercise)
        made._known = self._known
        return made

    def begin(self, now: float) -> None:
        """A connection is new: what is retained will be said again."""
        self._links.clear()
        self._gone_since = now if self._known else None

    def hears(self, topic: str, payload: bytes, now: float) -> bool:
        """True: the message was for this part."""
        if not topic.endswith(f"/link/{PATH}"):
            return False
        try:
            parsed, link = topics.parse(topic), msgspec.json.decode(payload, type=Link)
            order = epoch_order(link.epoch)
        except ValueError:
            # Nothing of a relay's.
            return True
        exercise = link.mark is Mark.EXERCISE
        if (parsed.org, parsed.unit, exercise) != (self._org, link.unit, self._exercise):
            return True
        before = self._links.get(parsed.unit)
        if before is not None and order < epoch_order(before.epoch):
            return True
        if before is None and len(self._links) >= VEHICLES_MAX:
            return True
        self._links[parsed.unit] = link
        self._known = True
        if self.is_there:
            self._gone_since = None
        elif self._gone_since is None:
            self._gone_since = now
        return True

    @property
    def is_there(self) -> bool:
        """Somebody says that it hands on."""
        return any(link.state == "up" for link in self._links.values())

    def is_gone(self, now: float, for_s: float = GONE_S) -> bool:
        """There was one, and none has been there for so long."""
        return self._gone_since is not None and now - self._gone_since >= for_s
