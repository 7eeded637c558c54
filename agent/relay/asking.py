"""What the vehicle lacks of its kits it asks them for by `resend`, as a center does: when there is
a gap that does not close by itself, then less and less often, and at last no more."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence

import msgspec

from agent import topics
from agent.clock import UnitClock
from agent.commands import EXPIRES_MS
from agent.messages import Class, Command
from agent.mqtt import Connection
from agent.relay.down import WAITS_S
from agent.relay.intake import Kept
from agent.relay.kit import Kit
from agent.relay.missing import Missing
from agent.relay.refusals import RefusedError
from agent.relay.state import KitState
from agent.settings.tables import UnitConfig

LOOK_S = 1.0
KEEP_EACH = 10
"""Looks: floors are stored so often, and a kill makes it look at some numbers again."""
FOR_GOOD = frozenset({"not_authorised", "unknown_verb", "unavailable", "unsigned", "bad_signature"})
"""A kit that answers so is not asked again before its next connection."""


class Asking:
    """One per relay."""

    def __init__(
        self, unit: UnitConfig, clock: UnitClock, refused: Callable[[str, RefusedError], None]
    ) -> None:
        """`refused`: told (unit, why) when a kit will not send again."""
        self.asked = 0
        """Questions, in this run."""
        self._unit = unit
        self._clock = clock
        self._refused = refused
        self._missing: dict[str, Missing] = {}
        """By unit."""
        self._given_up: set[str] = set()

    def add(self, kit: Kit) -> None:
        self._missing[kit.name] = Missing(kit, self._clock.now_ms())
        if status := kit.kept.get("status"):
            self.status(kit.name, status)

    def clear(self) -> None:
        """The store is gone."""
        self._missing.clear()

    # -- what is heard of a kit ------------------------------------------------------------------

    def came(self, unit: str, epoch: str, kept: Sequence[Kept]) -> None:
        """A message with records, which has been taken."""
        if kept and (missing := self._missing.get(unit)) is not None:
            missing.came(epoch, min(one.record.seq for one in kept))
        for one in kept:
            if one.record.klass is Class.ACK and one.record.body.get("by") == self._unit.id:
                self._answered(unit, one.record.body)

    def _answered(self, unit: str, ack: dict[str, object]) -> None:
        if ack.get("outcome") != "refused" or ack.get("code") == "not_found":
            # What it does not hold any more it lists on `skipped`.
            return
        if ack.get("code") in FOR_GOOD:
            self._given_up.add(unit)
        self._refused(unit, RefusedError("not_sent_again", f"{unit}: {ack.get('detail')}"))

    def status(self, unit: str, payload: bytes) -> None:
        """Its births.  One that is none says nothing."""
        try:
            self._missing[unit].hear(payload)
        except ValueError:
            return

    def told(self, unit: str, epoch: str, ranges: Sequence[tuple[int, int]]) -> None:
        """On `skipped`."""
        self._missing[unit].told(epoch, ranges)

    def let_go(self, unit: str, epoch: str, last: int) -> None:
        """Retention here has deleted up to this number."""
        self._missing[unit].let_go(epoch, last)

    # -- asking ----------------------------------------------------------------------------------

    async def run(
        self, states: dict[str, KitState], connection: Callable[[], Connection | None]
    ) -> None:
        """Until cancelled.  `connection`: to the kits' broker, None while there is none."""
        loop, looks = asyncio.get_running_loop(), 0
        while True:
            await asyncio.sleep(LOOK_S)
            looks += 1
            broker = connection()
            for name, missing in list(self._missing.items()):
                if broker is None or not states[name].is_up:
                    missing.away()
                    self._given_up.discard(name)
                elif name not in self._given_up:
                    self._ask(name, missing, broker, loop.time())
            if looks % KEEP_EACH == 0:
                self.keep()

    def keep(self) -> None:
        for missing in self._missing.values():
            missing.keep()

    def _ask(self, name: str, missing: Missing, broker: Connection, now_s: float) -> None:
        root = topics.unit_root(self._unit.org, name, exercise=self._unit.exercise)
        topic = f"{root}/cmd/{topics.command_level('resend')}"
        for gap in missing.due(now_s):
            now = self._clock.now_ms()
            command = Command(
                id=f"{self._unit.id}-{secrets.token_hex(8)}", by=self._unit.id, issued=now,
                mark=self._unit.mark, expires=now + EXPIRES_MS,
                args=gap.args,
            )  # fmt: skip
            broker.publish(topic, msgspec.json.encode(command), expiry_s=WAITS_S)
            self.asked += 1
