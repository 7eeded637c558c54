"""Numbers in place of the topics that repeat (MQTT 5), as many as the broker allows.  Pure.

They belong to one connection: a new one begins without any, so that none is ever used that the
broker does not know.
"""

from __future__ import annotations

SEEN_MAX = 1000


class Aliases:
    """Of one connection."""

    def __init__(self, most: int) -> None:
        self._most = most
        """The broker's Topic Alias Maximum; 0: none."""
        self._given: dict[str, int] = {}
        self._seen: set[str] = set()
        """Topics that were published once: a number is for those that come again."""

    def of(self, topic: str) -> tuple[str, int]:
        """(topic to send, its alias; 0: none).  An empty topic: the broker knows the alias."""
        if topic in self._given:
            return "", self._given[topic]
        if topic in self._seen and len(self._given) < self._most:
            return topic, len(self._given) + 1
        return topic, 0

    def sent(self, topic: str, alias: int) -> None:
        """It has gone out as `of` said."""
        if alias:
            self._given[topic] = alias
        elif self._most and len(self._seen) < SEEN_MAX:
            self._seen.add(topic)
