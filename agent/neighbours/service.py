"""The unit among its neighbours: says what stands here, hears what stands there.

What changes is said at once and repeated (`REPEATS_S`), for a datagram may be lost; each later one
tells the whole state again.  `on_news` and `on_seen` are called in the turn that heard the packet.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from agent.alarms.standing import HEARD_BY_NEIGHBOURS
from agent.messages import Alarm, AlarmState, FixBody, NeighbourAlarm, NeighbourStatus
from agent.neighbours import keyfile
from agent.neighbours import packet as packets
from agent.neighbours.guard import Guard, Heard
from agent.neighbours.nearby import Nearby, News
from agent.neighbours.packet import NONCE_BYTES, SHARED_MAX, Packet, PacketError, Shared
from agent.neighbours.radio import LOOK_S, Radio

if TYPE_CHECKING:
    from agent.clock import UnitClock
    from agent.settings.neighbours import NeighboursConfig
    from agent.settings.tables import UnitConfig
    from drivers.geodesy import Position

log = logging.getLogger(__name__)

REPEATS_S = (0.0, 0.06, 0.16, 0.32, 0.55, 0.85)
"""After a change: six, so that of a fifth lost one in 15,000 changes is not heard at once."""
PERIOD_S = 2.0
STRANGERS_MAX = 16
MEET_S = 0.15
"""Whoever is new is answered within this, and no oftener."""
SAVE_S = 5.0
KEPT = "neighbours"
_PRESENT = frozenset({AlarmState.UNACKNOWLEDGED, AlarmState.ACKNOWLEDGED})

Keep = Callable[[str, bytes], None]


class Neighbours:
    """`async with radio`, then `run` until cancelled."""

    def __init__(
        self,
        config: NeighboursConfig,
        unit: UnitConfig,
        clock: UnitClock,
        *,
        epoch: str,
        kept: dict[str, bytes],
        keep: Keep,
        on_news: Callable[[News], None],
        on_seen: Callable[[str, str], None],
    ) -> None:
        """`kept` and `keep`: what survives a restart.  `on_seen(alarm, unit)`: a person at `unit`
        has seen an alarm that stands here.  OSError, ValueError: what is wrong with the key."""
        self._key = keyfile.read(config, unit)
        self._unit = unit
        self._clock = clock
        self._epoch = epoch
        self._nonce = secrets.token_bytes(NONCE_BYTES)
        self._guard = Guard(unit.id, self._nonce, _saved(kept))
        self._keep = keep
        self._on_news = on_news
        self._on_seen = on_seen
        self.nearby = Nearby()
        self.refused: Counter[str] = Counter()
        """Datagrams that were not believed, by `PacketError.code`."""
        self.heard = 0
        self._strangers: dict[str, bytes] = {}
        """Nonces of units that have not yet proved themselves."""
        self._number = 0
        self._shared: dict[str, Shared] = {}
        self._place: Position | None = None
        self._place_at = 0.0
        self._due: list[float] = []
        """Monotonic seconds at which something is to be said, in order."""
        self._said_at = float("-inf")
        self._period_s = PERIOD_S
        self._is_unsaved = False
        self._saved_at = float("-inf")
        self._wake = asyncio.Event()
        self._sound = config.sound
        self.radio = Radio(
            config.group_of(unit.mark), config.port, self._hear,
            wanted=config.interfaces, peers=[config.address(peer) for peer in config.peers],
        )  # fmt: skip

    @property
    def fingerprint(self) -> str:
        """Of the group's key."""
        return packets.fingerprint(self._key)

    # -- what this unit has to say -----------------------------------------------------------

    def position(self, fix: FixBody, at: float) -> None:
        """Where this unit is, measured at the monotonic time `at`."""
        if fix.lat is not None and fix.lon is not None:
            self._place, self._place_at = (fix.lat, fix.lon), at

    def alarms(self, changes: Iterable[Alarm], active: Iterable[Alarm]) -> None:
        """What has changed, and what stands now: neighbours hear of it in this turn."""
        again = {change.alarm for change in changes if change.change == "raised"}
        now = {
            alarm.alarm: alarm
            for alarm in active
            if alarm.code in HEARD_BY_NEIGHBOURS and alarm.state in _PRESENT
        }
        shared = {name: self._share(alarm, name in again) for name, alarm in now.items()}
        if shared != self._shared:
            self._shared = shared
            self._say_soon(REPEATS_S)

    def silence(self) -> bool:
        """The own button; False where nothing sounded."""
        sounded = self.sounds()
        self.nearby.silence()
        self._say_soon(REPEATS_S)
        return sounded

    def _share(self, alarm: Alarm, again: bool) -> Shared:
        before = self._shared.get(alarm.alarm)
        since = alarm.since or 0
        if before is not None:
            since = before.since
        if again and before is not None:
            # Its cause had gone and came back, or nobody has answered: it is to sound again.
            since = max(self._clock.now_ms(), before.since + 1)
        reading = alarm.reading
        return Shared(
            alarm=alarm.alarm, code=alarm.code, quantity=alarm.quantity, rank=alarm.rank,
            since=since, value=None if reading is None else reading.value,
            unit="" if reading is None else reading.unit,
        )  # fmt: skip

    # -- what stands elsewhere ---------------------------------------------------------------

    def sounds(self) -> bool:
        """Whether something at a neighbour is to be heard here."""
        return self._sound and self.nearby.sounds()

    def status(self) -> NeighbourStatus:
        refused = dict(self.refused)
        if self.radio.oversized:
            refused["oversized"] = self.radio.oversized
        return NeighbourStatus(
            key=self.fingerprint, refused=refused, alarms=self.announcements(),
            units=tuple(sorted(one.unit for one in self.nearby.units() if not one.lost)),
        )  # fmt: skip

    def announcements(self) -> tuple[NeighbourAlarm, ...]:
        return self.nearby.announcements(self._place, time.monotonic())

    def _hear(self, data: bytes, host: str) -> None:
        now = time.monotonic()
        try:
            packet = packets.unseal(data, self._key, self._unit.org, self._unit.mark)
            if packet.unit == self._unit.id and packet.nonce == self._nonce:
                # What this unit has said comes back by multicast.
                return
            self._guard.admit(packet, self._clock.now_ms(), self._clock.source)
        except PacketError as error:
            self._refuse(error, host)
            if error.code == "unproved":
                self._answer(packet)
            return
        self._strangers.pop(packet.unit, None)
        self.heard += 1
        self._is_unsaved = True
        news = self.nearby.hear(packet, now)
        for one in news:
            if one.news == "met":
                self._say_soon((random.uniform(0.0, MEET_S),))
        self._tell(news)
        for seen in packet.seen:
            shared = self._shared.get(seen.alarm)
            if seen.unit == self._unit.id and shared is not None and shared.since == seen.since:
                self._on_seen(seen.alarm, packet.unit)

    def _refuse(self, error: PacketError, host: str) -> None:
        if error.code not in self.refused:
            log.warning("neighbours: from %s: %s", host, error)
        self.refused[error.code] += 1

    def _answer(self, stranger: Packet) -> None:
        """It is sealed, and may be a neighbour who has not heard this unit yet: what echoes its
        nonce proves to it that this unit speaks now, and it will do the same."""
        if len(self._strangers) < STRANGERS_MAX or stranger.unit in self._strangers:
            self._strangers[stranger.unit] = stranger.nonce
            self._say_soon((random.uniform(0.0, MEET_S),))

    def _tell(self, news: list[News]) -> None:
        for one in news:
            if one.news != "met":
                self._on_news(one)
        if any(one.news in ("raised", "over") for one in news):
            # Believed once, and never again: also after a kill -9.
            self._save()

    # -- tasks -------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until cancelled, with `radio` open."""
        look_at = 0.0
        while True:
            now = time.monotonic()
            if now >= look_at:
                self.radio.look()
                look_at = now + LOOK_S
            self._tell(self.nearby.tick(now))
            if now >= self._next_at():
                self._due = [due for due in self._due if due > now]
                self._say(now)
            if self._is_unsaved and now - self._saved_at >= SAVE_S:
                self._save()
            self._wake.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, self._next_at() - now)):
                    await self._wake.wait()

    def _next_at(self) -> float:
        return min([self._said_at + self._period_s, *self._due[:1]])

    def _say_soon(self, after_s: Iterable[float]) -> None:
        now = time.monotonic()
        times = [now + delay for delay in after_s]
        if len(times) == 1 and self._due and self._due[0] <= times[0]:
            return
        if times[0] <= now:
            # The first goes out in the very turn of the alarm.
            self._say(now)
            times = times[1:]
        self._due = sorted(times if len(times) > 1 else [*self._due, *times])
        self._wake.set()

    def _say(self, now: float) -> None:
        self._said_at = now
        # Units that were switched on together do not speak together for ever.
        self._period_s = PERIOD_S * random.uniform(0.8, 1.2)
        self._number += 1
        self.radio.send(self._sealed(now))

    def _sealed(self, now: float) -> bytes:
        """The state as a datagram; what finds no room is left out: echoes, then alarms."""
        alarms = sorted(self._shared.values(), key=lambda shared: (shared.rank, -shared.since))
        echo = [*self._strangers.items(), *self.nearby.echo().items()]
        self._strangers.clear()
        room = SHARED_MAX
        while True:
            packet = self._packet(now, alarms[:room], len(alarms) - room, dict(echo))
            try:
                return packets.seal(packet, self._key)
            except ValueError:
                if echo:
                    echo = echo[: len(echo) * 3 // 4]
                else:
                    room -= 1

    def _packet(
        self, now: float, alarms: list[Shared], more: int, echo: dict[str, bytes]
    ) -> Packet:
        unit, place = self._unit, self._place
        return Packet(
            org=unit.org, unit=unit.id, mark=unit.mark, epoch=self._epoch, number=self._number,
            t=self._clock.now_ms(), clock=self._clock.source, nonce=self._nonce,
            name={tag: text[:48] for tag, text in list(unit.name.items())[:2]},
            lat=None if place is None else place[0], lon=None if place is None else place[1],
            place_age_s=0.0 if place is None else round(max(0.0, now - self._place_at), 1),
            alarms=tuple(alarms), more=max(0, more), seen=self.nearby.seen(),
            echo=dict(list(echo.items())[: packets.ECHO_MAX]),
        )  # fmt: skip

    def _save(self) -> None:
        self._is_unsaved, self._saved_at = False, time.monotonic()
        self._keep(KEPT, msgspec.json.encode(self._guard.save()))


def _saved(kept: dict[str, bytes]) -> dict[str, Heard]:
    try:
        return msgspec.json.decode(kept.get(KEPT, b"{}"), type=dict[str, Heard])
    except msgspec.DecodeError as error:
        log.error("what was heard of neighbours cannot be read: %s", error)
        return {}
