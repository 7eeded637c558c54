"""Packets for tests."""

from __future__ import annotations

from typing import Any

from agent.messages import Clock, Mark
from agent.neighbours.packet import Packet, Shared, group_key

ORG = "hubei"
KEY = group_key(b"forty-two bytes that nobody is able to guess", ORG, Mark.ACTUAL)
NOW_MS = 1_795_000_000_000


def made(**changes: Any) -> Packet:
    given: dict[str, Any] = {
        "org": ORG, "unit": "kit-07", "mark": Mark.ACTUAL, "epoch": f"{NOW_MS}-aa", "number": 1,
        "t": NOW_MS, "clock": Clock.GNSS, "nonce": b"seven-07",
    }  # fmt: skip
    return Packet(**{**given, **changes})


def shared(**changes: Any) -> Shared:
    given: dict[str, Any] = {
        "alarm": "gas/h2s/high", "code": "high", "quantity": "h2s", "rank": 1, "since": NOW_MS,
        "value": 12.0, "unit": "ppm",
    }  # fmt: skip
    return Shared(**{**given, **changes})
