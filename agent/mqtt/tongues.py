"""Which version of MQTT a broker is spoken to in: 5 first, and 3.1.1 where it knows nothing newer.
Pure: times are arguments.

A broker that needed 3.1.1 is spoken to so at once for a while, so that a hundred units that come
back after an outage knock a hundred times, not two hundred.
"""

from __future__ import annotations

import msgspec

from agent.broker import Broker

FIVE, OLDER = 5, 4
"""As CONNECT has them; 4 is 3.1.1."""
TOLD_S = 3600.0
"""MQTT 5 is tried again so long after a broker has said that it does not speak it ..."""
GUESSED_S = 300.0
"""... and so long after one has ended the connection, or fallen silent, without saying why."""
SILENT = 3
"""So many times in a row without an answer, and it may be that it does not know what to answer."""


class _Known(msgspec.Struct):
    until: float = float("-inf")
    """It is spoken to in 3.1.1."""
    silent: int = 0
    """Times in a row."""


class Tongues:
    """For all connections of one client."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int, str], _Known] = {}

    def _of(self, broker: Broker) -> _Known:
        key = (broker.host, broker.port, broker.websocket_path)
        return self._known.setdefault(key, _Known())

    def to_try(self, broker: Broker, now: float) -> tuple[int, ...]:
        """The version or versions, in this order; the second where the first is not known."""
        return (OLDER,) if now < self._of(broker).until else (FIVE, OLDER)

    def silence(self, broker: Broker) -> bool:
        """It took the connection and did not answer; True: try the older one."""
        known = self._of(broker)
        known.silent += 1
        return known.silent >= SILENT

    def spoke(self, broker: Broker, version: int, now: float, *, told: bool) -> None:
        """It has let us in with this version.  `told`: it had said that it knows no newer one."""
        known = self._of(broker)
        known.silent = 0
        if version == OLDER and now >= known.until:
            known.until = now + (TOLD_S if told else GUESSED_S)

    def not_older(self, broker: Broker) -> None:
        """It does not know 3.1.1, or does not any more."""
        self._of(broker).until = float("-inf")
