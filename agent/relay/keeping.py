"""What the vehicle holds of its kits, and for how long; what it lets go is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from agent.clock import UnitClock
from agent.delivery.retention import DAY_MS, Deleted, delete_old, keep_small
from agent.delivery.rows import Epoch, Row
from agent.messages import Event
from agent.relay.branch import Branch
from agent.relay.kit import Kit
from agent.relay.store import RelayStore
from agent.settings.relay import RelayConfig


class Runs:
    """One kit's epochs in the store: what is old of one kit says nothing of another."""

    def __init__(self, store: RelayStore, kit: Kit) -> None:
        self._store = store
        self._kit = kit

    @property
    def epochs(self) -> dict[int, Epoch]:
        return {number: self._store.epochs[number] for number in self._kit.epochs}

    async def old_upto(self, epoch: int, look: int, is_old: Callable[[Row], bool | None]) -> int:
        return await self._store.old_upto(epoch, look, is_old)

    async def delete_before(self, epoch: int, seq: int) -> None:
        await self._store.delete_before(epoch, seq)


class Keeping:
    """The ceilings of `[relay]`."""

    def __init__(
        self, store: RelayStore, clock: UnitClock, config: RelayConfig,
        branches: Iterable[Branch], tell: Callable[[Event], None],
        let_go: Callable[[str, str, int], None],
    ) -> None:  # fmt: skip
        """`let_go`: told (unit, epoch, last number) of what was deleted."""
        self._store = store
        self._clock = clock
        self._config = config
        self._branches = list(branches)
        self._tell = tell
        self._let_go = let_go
        self._deleted: list[Deleted] = []

    async def once(self, kits: Iterable[Kit]) -> None:
        """Delete what is too old and what is too much, and say so."""
        known = list(kits)
        age_ms = round(self._config.retention_days * DAY_MS)
        for kit in known:
            await delete_old(Runs(self._store, kit), self._clock, age_ms, self._deleted.append)
        await keep_small(self._store, self._config.max_mb, self._deleted.append)
        deleted, self._deleted = self._deleted, []
        for one in deleted:
            name, _, epoch = one.epoch.partition(" ")
            for kit in known:
                if kit.name == name:
                    await self._say(kit, epoch, one)

    async def _say(self, kit: Kit, epoch: str, deleted: Deleted) -> None:
        self._let_go(kit.name, epoch, deleted.last)
        data: dict[str, object] = {
            "unit": kit.name, "epoch": epoch, "first": deleted.first, "last": deleted.last,
        }  # fmt: skip
        if deleted.klass is not None:
            data |= {"classes": [deleted.klass.value], "count": deleted.count}
        what = "thinned" if deleted.thinned else "deleted"
        self._tell(
            Event(event="relay_retention", source="relay", detail=f"{what} by {deleted.reason}",
                  data=data)
        )  # fmt: skip
        number = kit.epoch_id(epoch)
        if number is None:
            return
        gone = await kit.recount(number, deleted.first, deleted.last)
        for branch in self._branches:
            if (stream := branch.streams.get(kit.name)) is None:
                continue
            for first, last in stream.cursor.unsettled(number, gone):
                stream.lanes.say_skipped(epoch, first, last, kit.absent)
