"""The call for help: from the button to the person who answers, with a word to the caller at each
step.  The steps are agent/alarms/sos.py's; here they get a clock, records and a voice."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from agent.alarms import sos
from agent.alarms.engine import PANEL, Engine
from agent.alarms.sos import Call, CancelCode, Stage
from agent.clock import UnitClock
from agent.delivery.rows import Row
from agent.messages import Alarm, AlarmState
from agent.messages.person import SosStatus
from agent.settings.person import SosConfig

TOLD_S = 10.0
"""How long the caller is shown that a person has confirmed."""

OnAlarms = Callable[[list[Alarm]], list[Row]]
OnEvent = Callable[..., None]


class Calls:
    """At most one call stands; `at` is CLOCK_BOOTTIME, seconds."""

    def __init__(
        self,
        config: SosConfig,
        engine: Engine,
        clock: UnitClock,
        *,
        on_alarms: OnAlarms,
        on_event: OnEvent,
        is_settled: Callable[[tuple[int, int]], bool],
        tell: Callable[[Stage, bool], None],
    ) -> None:
        """`is_settled`: whether a broker has acknowledged this record; `tell`: the caller, at the
        unit (a stage, and whether only discreetly)."""
        self.call: Call | None = None
        self.code = CancelCode()
        self.ended: SosStatus | None = None
        """The last call, confirmed or cancelled."""
        self._config = config
        self._engine = engine
        self._clock = clock
        self._on_alarms = on_alarms
        self._on_event = on_event
        self._is_settled = is_settled
        self._tell = tell
        self._told_until = 0.0

    # -- what is done -----------------------------------------------------------------------

    def make(self, at: float, *, silent: bool, by: str) -> None:
        """Help is called for.  A call that stands unanswered goes on as it is; a silent one that
        is made again aloud is a new one, and never the other way round."""
        t = self._clock.now_ms()
        silent = silent or self._config.silent
        standing = self.call
        changes = self._engine.sos(t, silent=silent and (standing is None or standing.silent))
        if not changes:
            return
        self.call = sos.begin(t, at, silent=changes[0].code == "sos_silent")
        self.ended, self._told_until = None, 0.0
        self._number(self._on_alarms(changes))
        self._on_event("sos", PANEL, by, silent=self.call.silent)
        self._tell(Stage.QUEUED, self.call.silent)

    def begin_code(self, at: float) -> bool:
        """The caller wants to cancel; False where there is nothing to cancel."""
        if self.call is None:
            return False
        self.code.begin(at)
        return True

    def cancel(self, reason: str, by: str) -> None:
        """LookupError: no call stands."""
        changes = self._engine.end_sos(by, self._clock.now_ms())
        call, self.call = self.call, None
        self.ended = _ended(call, "cancelled", by, reason)
        self._on_alarms(changes)
        self._on_event(
            "sos_cancelled", PANEL, reason, by=by, silent=call is not None and call.silent
        )
        self._tell(Stage.CANCELLED, call is not None and call.silent)

    def changed(self, changes: list[Alarm], at: float) -> None:
        """What became of alarms: whoever ends a call otherwise has confirmed it."""
        for change in changes:
            if change.code in sos.CODES and change.state is AlarmState.NORMAL and self.call:
                call, self.call = self.call, None
                self.code.entering = False
                self.ended = _ended(call, "confirmed", change.by, "")
                self._told_until = at + TOLD_S
                self._on_event("sos_confirmed", PANEL, by=change.by, silent=call.silent)
                self._tell(Stage.CONFIRMED, call.silent)

    def tick(self, at: float) -> None:
        entered = self.code.tick(at)
        if entered is not None:
            self._judge(entered)
        if self.call is None:
            return
        reached = self.call.reached or any(map(self._is_settled, self.call.numbers))
        self.call, news = sos.step(
            self.call, at, reached=reached, unconfirmed_s=self._config.unconfirmed_s,
            repeat_s=self._config.repeat_s,
        )  # fmt: skip
        for stage in news:
            self._on_event(
                "sos_reached" if stage is Stage.REACHED else "sos_unconfirmed", PANEL,
                silent=self.call.silent,
            )  # fmt: skip
            if stage is Stage.UNCONFIRMED:
                self._number(self._on_alarms(self._engine.repeat_sos(self._clock.now_ms())))
            self._tell(stage, self.call.silent)

    # -- what it says -----------------------------------------------------------------------

    @property
    def stage(self) -> Stage:
        return self.call.stage if self.call is not None else Stage.QUEUED

    def confirmed_now(self, at: float) -> bool:
        """Whether the caller is being shown that a person has confirmed."""
        loud = self.ended is not None and not self.ended.silent
        return loud and self.call is None and at < self._told_until

    def status(self) -> SosStatus | None:
        if self.call is None:
            return self.ended
        return SosStatus(
            stage=self.call.stage.value, silent=self.call.silent, since=self.call.since
        )  # fmt: skip

    def restore(self, call: Call | None, at: float, *, same_boot: bool) -> None:
        """As before a restart.  The engine knows whether one stands: it has the last word."""
        if self.call is not None:
            return
        active = {alarm.code: alarm for alarm in self._engine.active()}
        standing = next((active[code] for code in sos.CODES if code in active), None)
        if standing is None:
            return
        if call is None or call.code != standing.code:
            since = standing.since or self._clock.now_ms()
            call = sos.begin(since, at, silent=standing.code == "sos_silent")
        self.call = sos.restored(call, at, same_boot=same_boot)

    # -- within -----------------------------------------------------------------------------

    def _number(self, rows: list[Row]) -> None:
        for row in rows:
            if self.call is not None:
                self.call = sos.numbered(self.call, (row.epoch, row.seq))

    def _judge(self, code: str) -> None:
        """A whole code: the reason, where it is one; else the call goes on."""
        codes: Mapping[str, str] = self._config.cancel_codes
        if self.call is None:
            return
        if code in codes:
            self.cancel(codes[code], PANEL)
        else:
            self._on_event("sos_cancel_refused", PANEL, "no such code" if code else "no code")


def _ended(call: Call | None, stage: str, by: str, reason: str) -> SosStatus:
    return SosStatus(
        stage=stage, silent=call is not None and call.silent,
        since=call.since if call is not None else 0, by=by, reason=reason,
    )  # fmt: skip
