"""Which packets are new: neither replayed, nor of a past that this unit did not hear.  Pure.

A packet of a run that is known must have a greater number.  The first of a run must prove that it
is of now, for it may have been recorded while this unit was off: it echoes this unit's own nonce,
or both clocks are set and agree.
"""

from __future__ import annotations

import msgspec

from agent.messages import Clock, epoch_order
from agent.neighbours.packet import Packet, PacketError

AGREE_MS = 10_000
SET = frozenset({Clock.GNSS, Clock.NTP})
UNITS_MAX = 64
RETIRED_MAX = 256


class Heard(msgspec.Struct, frozen=True):
    """The last packet of a unit that was believed."""

    epoch: str
    number: int


class Guard:
    """`saved` is what `save` gave before a restart."""

    def __init__(self, unit: str, nonce: bytes, saved: dict[str, Heard] | None = None) -> None:
        self._unit = unit
        self._nonce = nonce
        self._heard: dict[str, Heard] = dict(list((saved or {}).items())[-UNITS_MAX:])
        self._retired: dict[tuple[str, str], None] = {}
        """Runs that another has taken the place of while this unit listened."""

    def save(self) -> dict[str, Heard]:
        return dict(self._heard)

    def admit(self, packet: Packet, now_ms: int, clock: Clock) -> None:
        """Believe it, and nothing older from now on.  PacketError: `own`, `replayed`, `unproved`,
        `malformed`."""
        if packet.unit == self._unit:
            raise PacketError("own", "it says that it is from this very unit")
        try:
            order = epoch_order(packet.epoch)
        except ValueError as error:
            raise PacketError("malformed", str(error)) from error
        last = self._heard.get(packet.unit)
        if last is not None and last.epoch == packet.epoch:
            if packet.number <= last.number:
                raise PacketError(
                    "replayed", f"number {packet.number} came after {last.number} of {packet.unit}"
                )
        else:
            self._first(packet, order, last, now_ms, clock)
        self._heard.pop(packet.unit, None)
        while len(self._heard) >= UNITS_MAX:
            del self._heard[next(iter(self._heard))]
        self._heard[packet.unit] = Heard(packet.epoch, packet.number)

    def _first(
        self, packet: Packet, order: int, last: Heard | None, now_ms: int, clock: Clock
    ) -> None:
        if (packet.unit, packet.epoch) in self._retired:
            raise PacketError("replayed", f"{packet.unit} has ended the run {packet.epoch}")
        echoed = packet.echo.get(self._unit) == self._nonce
        timely = {packet.clock, clock} <= SET and abs(packet.t - now_ms) <= AGREE_MS
        newer = last is None or order > epoch_order(last.epoch)
        if not echoed and not (timely and newer):
            raise PacketError(
                "unproved", f"{packet.unit} has not yet shown that it speaks now ({packet.epoch})"
            )
        if last is not None:
            self._retired[packet.unit, last.epoch] = None
            while len(self._retired) > RETIRED_MAX:
                del self._retired[next(iter(self._retired))]
