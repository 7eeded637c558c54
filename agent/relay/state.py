"""What stands of one kit: its newest status and alarms, and how it is connected to the vehicle."""

from __future__ import annotations

import msgspec

from agent.messages import Link, Mark, epoch_order
from agent.relay.kit import Kit

PATHS = ("status", "alarms/active")
LINKS_MAX = 8
"""Ways of one kit to the vehicle's broker."""

_encode = msgspec.json.Encoder().encode


class _Version(msgspec.Struct):
    epoch: str
    version: int


def _order(payload: bytes) -> tuple[int, int]:
    """ValueError where it has none (msgspec's errors are ValueErrors)."""
    read = msgspec.json.decode(payload, type=_Version)
    return epoch_order(read.epoch), read.version


class KitState:
    """One per kit; what is retained survives a restart in the kit's shelf."""

    def __init__(self, kit: Kit, vehicle: str, mark: Mark) -> None:
        self._kit = kit
        self._vehicle = vehicle
        self._mark = mark
        self._links: dict[str, Link] = {}
        self._last = ("", "")
        """The state that was told last, and of which of its epochs."""
        self.retained: dict[str, bytes] = {
            path: kept for path in PATHS if (kept := kit.kept.get(path))
        }

    @property
    def is_up(self) -> bool:
        """It is connected to the vehicle's broker, as far as is known."""
        return self._last[0] == "up"

    def newer(self, path: str, payload: bytes) -> bool:
        """Take it if it is newer than what is known.  ValueError: it has no version."""
        order = _order(payload)
        known = self.retained.get(path)
        if known is not None and order <= _order(known):
            return False
        self.retained[path] = payload
        self._kit.keep(path, payload)
        return True

    def linked(self, link: Link) -> bytes | None:
        """One of its ways to the vehicle has changed; what the centers are told, if that is new.

        It goes to `link/{vehicle}`: what becomes of this way says nothing of the kit's own."""
        if link.path not in self._links and len(self._links) >= LINKS_MAX:
            return None
        known = self._links.get(link.path)
        if known is not None and epoch_order(link.epoch) < epoch_order(known.epoch):
            return None
        self._links[link.path] = link
        states = {one.state for one in self._links.values()}
        return self._say(link, "up" if "up" in states else link.state)

    def lost(self, t: int) -> bytes | None:
        """The vehicle does not hear its broker: it cannot tell."""
        self._links.clear()
        state, epoch = self._last
        if state != "up":
            return None
        link = Link(
            unit=self._kit.name, path=self._vehicle, mark=self._mark, state="lost", epoch=epoch, t=t
        )
        return self._say(link, "lost")

    def _say(self, link: Link, state: str) -> bytes | None:
        if (state, link.epoch) == self._last:
            return None
        self._last = (state, link.epoch)
        told = msgspec.structs.replace(link, path=self._vehicle, state=state)
        payload = self.retained[f"link/{self._vehicle}"] = _encode(told)
        return payload
