"""Messages and tasks of this unit: kept over restarts, announced on the spot, told as events."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable

import msgspec

from agent.annunciator import Prompt
from agent.clock import UnitClock, boottime_s
from agent.messages.orders import ShownMessage, Task, Urgency
from agent.orders.notes import Note, Notes
from agent.orders.tasks import Tasks
from agent.store import Store

log = logging.getLogger(__name__)

KEPT = "orders"
PATTERN = "message"
RANK = 8.0
RANK_URGENT = 7.0
"""Behind every alarm."""

OnEvent = Callable[..., object]
Say = Callable[..., object]


class _Kept(msgspec.Struct, frozen=True, kw_only=True):
    boot: str
    notes: tuple[Note, ...] = ()
    tasks: tuple[Task, ...] = ()


class Orders:
    """Made once per run, on the loop; `begin` before the first command."""

    def __init__(
        self,
        store: Store,
        clock: UnitClock,
        *,
        on_event: OnEvent,
        on_change: Callable[[], None],
        say: Say = lambda *_, **__: None,
    ) -> None:
        """`on_change`: the status is worth telling anew; `say`: speech, as of Speech.say."""
        self._store = store
        self._clock = clock
        self._on_event = on_event
        self._on_change = on_change
        self._say = say
        self._notes = Notes()
        self._tasks = Tasks()

    def begin(self) -> None:
        """What waited before a restart waits on; who was off cannot have confirmed, so that after
        a new start of the machine its time begins anew."""
        kept = self._read()
        if kept is None:
            return
        same_boot = kept.boot == self._clock.boot != ""
        for note in kept.notes:
            since = note.since if same_boot else boottime_s()
            self._notes.put(msgspec.structs.replace(note, since=since))
        for task in kept.tasks:
            self._tasks.put(task)

    # -- messages ----------------------------------------------------------------------------

    def message(self, text: str, urgency: Urgency, within_s: float, by: str) -> ShownMessage:
        """Shown and announced from now on.  ValueError: too many wait."""
        shown = ShownMessage(
            id=secrets.token_hex(4), text=text, urgency=urgency, by=by, t=self._clock.now_ms()
        )
        self._notes.put(Note(shown=shown, within_s=within_s, since=boottime_s()))
        self._event("message_delivered", text, message=shown.id, by=by, urgency=urgency.value)
        self._say("message", _rank(urgency), text=text)
        return shown

    def confirm(self, name: str, by: str) -> float:
        """Somebody at the unit has read it; how many seconds it took.  LookupError."""
        note = self._notes.confirm(name)
        took_s = round(boottime_s() - note.since, 1)
        self._event("message_confirmed", "", message=name, by=by, took_s=took_s)
        return took_s

    # -- tasks -------------------------------------------------------------------------------

    def task(self, text: str, place: tuple[float, float] | None, by: str) -> Task:
        """A new one.  ValueError: too many are open."""
        t = self._clock.now_ms()
        lat, lon = place or (None, None)
        task = Task(id=secrets.token_hex(4), text=text, by=by, t=t, changed=t, lat=lat, lon=lon)
        self._tasks.put(task)
        more = {} if place is None else {"lat": lat, "lon": lon}
        self._event("task_given", text, task=task.id, by=by, **more)
        self._say("message", RANK, text=text)
        return task

    def step(self, name: str, step: str, by: str, note: str = "") -> Task:
        """LookupError, ValueError as of Tasks.step."""
        task = self._tasks.step(name, step, by, note, self._clock.now_ms())
        self._event("task", note, task=name, state=task.state.value, by=by)
        return task

    # -- on the spot -------------------------------------------------------------------------

    def tick(self) -> None:
        """Each second or so."""
        for note in self._notes.late(boottime_s()):
            self._event(
                "message_unconfirmed", f"nobody has confirmed it within {note.within_s:g} s",
                message=note.shown.id,
            )  # fmt: skip

    def prompts(self) -> list[Prompt]:
        """What lamp and buzzer tell: that something waits to be confirmed."""
        urgent = any(note.shown.urgency is Urgency.URGENT for note in self._notes)
        if urgent:
            return [Prompt(RANK_URGENT, PATTERN, "")]
        waits = bool(self._tasks.new) or any(True for _ in self._notes)
        return [Prompt(RANK, PATTERN, "")] if waits else []

    def pressed(self, by: str) -> None:
        """The unit's own button, while lamp and buzzer told of this: the most urgent and oldest
        message is confirmed; where there is none, the oldest new task is accepted."""
        notes = sorted(self._notes, key=lambda note: _rank(note.shown.urgency))
        if notes:
            self.confirm(notes[0].shown.id, by)
        elif self._tasks.new:
            self.step(self._tasks.new[0].id, "accept", by)

    # -- what it says ------------------------------------------------------------------------

    def messages(self) -> tuple[ShownMessage, ...]:
        return tuple(note.shown for note in self._notes)

    def tasks(self) -> tuple[Task, ...]:
        return tuple(self._tasks.open.values())

    # -- within ------------------------------------------------------------------------------

    def _event(self, event: str, detail: str, **data: object) -> None:
        """Kept first: what an event says is so also after a power cut."""
        kept = _Kept(boot=self._clock.boot, notes=tuple(self._notes), tasks=self.tasks())
        self._store.keep(KEPT, msgspec.json.encode(kept), urgent=True)
        self._on_event(event, "orders", detail, **data)
        self._on_change()

    def _read(self) -> _Kept | None:
        try:
            found = self._store.kept.get(KEPT)
            return None if found is None else msgspec.json.decode(found, type=_Kept)
        except msgspec.DecodeError as error:
            log.error("the stored messages and tasks cannot be read: %s", error)
            return None


def _rank(urgency: Urgency) -> float:
    return RANK_URGENT if urgency is Urgency.URGENT else RANK
