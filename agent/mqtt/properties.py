"""Properties of MQTT 5's packets.  paho looks at all 27 names of them for each that is set, and
again to pack them: those of publishes, which are alike for hours, are made and packed once.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

REMEMBERED = 64
"""Sets of a publish's properties: topics that repeat, with few expiries and content types."""


class Packed(Properties):
    """Never changed once it is made."""

    def __init__(self, packet: int, values: dict[str, Any]) -> None:
        super().__init__(packet)  # type: ignore[no-untyped-call]
        for name, value in values.items():
            setattr(self, name, value)
        # Past paho's own check of names.
        object.__setattr__(self, "_bytes", super().pack())  # type: ignore[no-untyped-call]

    def pack(self) -> bytes:
        """As they go over the wire."""
        return self.__dict__["_bytes"]  # type: ignore[no-any-return]


def make_properties(packet: int, **values: Any) -> Properties | None:
    """Those that are not None; None where none is."""
    given = {name: value for name, value in values.items() if value is not None}
    return Packed(packet, given) if given else None


@lru_cache(maxsize=REMEMBERED)
def of_publish(
    expiry_s: int | None, content_type: str, correlation: bytes, response_topic: str, alias: int
) -> Properties | None:
    """What is empty is left out; None where all is."""
    return make_properties(
        PacketTypes.PUBLISH,
        MessageExpiryInterval=None if expiry_s is None else max(1, expiry_s),
        ContentType=content_type or None,
        CorrelationData=correlation or None,
        ResponseTopic=response_topic or None,
        TopicAlias=alias or None,
    )
