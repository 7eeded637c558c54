"""The check before use, in a unit: what judge.py and bump.py are given, and what becomes of it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from agent.clock import boottime_ms
from agent.media.wire import MediaError
from agent.messages import Clock, Reading
from agent.messages.selftest import BumpTest, SelftestReport, SelftestStatus
from agent.selftest import judge, sign
from agent.selftest.bump import Bump, BumpRun
from agent.selftest.judge import Facts, Key, Zero
from agent.settings import evidence
from agent.settings.person import rules as person_rules

if TYPE_CHECKING:
    from agent.app import App

log = logging.getLogger(__name__)

KEPT = "selftest"
ZERO_HOLD_S = 1800.0
"""So long a statement that the air is clean may be used: test gas comes after it."""
PICTURE_S = 5.0
"""So long a camera may take to its first picture."""
LOOK_S = 0.1
DISK_S = 2.0
ED25519, CHAIN = "ed25519", "chain"


class _Kept(msgspec.Struct, frozen=True, kw_only=True):
    report: SelftestReport | None
    signed: str
    bumps: tuple[BumpTest, ...]


class Selftest:
    """One per unit, on the loop; `tick` at least twice a second."""

    def __init__(self, app: App, group: asyncio.TaskGroup) -> None:
        self.pictures: Callable[[], dict[str, float]] = dict
        """When each camera last gave a picture, monotonic seconds."""
        self._app = app
        self._group = group
        self._rules = app.config.person.selftest
        self._zeros: dict[Key, Zero] | None = None
        self._zeros_at = 0.0
        self._bump: BumpRun | None = None
        self._running = False
        self._report: SelftestReport | None = None
        self._signed = ""
        self._bumps: dict[Key, BumpTest] = {}
        self._told_state = ""
        sources = app.config.sources
        self._calibrations = {
            source.name: source.table.calibration
            for source in sources
            if evidence.is_gas_instrument(source)
        }
        self._resolutions = {
            (source.name, span.quantity): span.resolution
            for source in sources for span in source.options.spans()
            if span.resolution is not None
        }  # fmt: skip
        self._begin(app.store.kept)
        app.store.on_late.append(self._begin)
        app.hub.judges.append(self.reading)

    # -- what is asked of it -------------------------------------------------------------------

    def zero(self, by: str) -> None:
        """`by` states that the air here is clean: what each sensor shows now is its zero.  Nothing
        is ever sent to a sensor."""
        self._zeros = {
            (one.source, one.quantity): Zero(
                value=one.value if one.quality in judge.SHOWS else None, unit=one.unit
            )
            for one in judge.sensors(self._app.hub.latest.values())
        }
        self._zeros_at = _now_s()
        self._app.hub.event("clean_air_stated", KEPT, "", by=by)

    def bump(self, source: str, quantity: str, concentration: float, by: str) -> None:
        """Begin to wait for test gas.  LookupError: no such sensor; ValueError says why not."""
        one = self._app.hub.latest.get((source, quantity))
        if one is None or not judge.sensors([one]):
            known = ", ".join(self._sensors()) or "none"
            raise LookupError(f"there is no gas sensor {source}/{quantity}; there are: {known}")
        if self._bump is not None and self._bump.state is Bump.WAITS:
            raise ValueError(f"{self._bump.key} is being bump tested")
        self._bump = BumpRun(
            source, quantity, one.unit, concentration, by, time.monotonic(),
            response=self._rules.bump_response, within_s=self._rules.bump_s,
        )  # fmt: skip
        self._app.soon()

    def run(self, by: str, *, clean_air: bool) -> SelftestStatus:
        """Begin the check; its result comes within seconds, as event and in the status."""
        if self._running:
            raise ValueError("the check is going on")
        if clean_air:
            self.zero(by)
        self._running = True
        self._group.create_task(self._check(by), name="selftest")
        self._app.soon()
        return self.status()

    # -- from the unit -------------------------------------------------------------------------

    def reading(self, reading: Reading, age_s: float) -> None:
        if self._bump is not None:
            self._bump.reading(reading, time.monotonic() - age_s)
            self._settle()

    def tick(self) -> None:
        if self._bump is not None:
            self._bump.tick(time.monotonic())
            self._settle()
        if (state := self._state()) != self._told_state:
            # It has grown too old, or something has become overdue.
            self._told_state = state
            self._app.soon()

    def status(self) -> SelftestStatus:
        report = self._report
        late = self._overdue()
        named = {(item.item, item.source, item.quantity) for item in late}
        before = () if report is None else report.items
        not_ok = tuple(
            item for item in before
            if item.state in (judge.WARN, judge.FAIL)
            and item.item not in ("bump", "calibration")
            and (item.item, item.source, item.quantity) not in named
        )  # fmt: skip
        return SelftestStatus(
            state=self._state(),
            t=None if report is None else report.t, by="" if report is None else report.by,
            result="" if report is None else report.result,
            not_ok=(*not_ok, *late), bumps=tuple(map(self._aged, self._bumps.values())),
            sensors=tuple(self._sensors()),
            bumping=self._bump.key if self._bump is not None else "", signed=self._signed,
        )  # fmt: skip

    def answers(self) -> dict[str, Callable[[dict[str, Any]], dict[str, Any]]]:
        """What the control socket may be asked, by name."""
        from agent.selftest.asked import answers

        return answers(self)

    @property
    def report(self) -> SelftestReport | None:
        """The last one."""
        return self._report

    # -- within ----------------------------------------------------------------------------------

    async def _check(self, by: str) -> None:
        try:
            key_trouble, key = "", None
            if path := self._rules.key_file:
                try:
                    key = await asyncio.to_thread(sign.load, path)
                except ValueError as error:
                    key_trouble = str(error)
            free_mb = await self._free_mb()
            facts = self._facts(await self._pictures(), free_mb, key_trouble)
            if self._app.says.state == "stopped":
                return
            items = judge.judge(facts, self._rules, self._app.engine.point)
            report = SelftestReport(
                t=facts.now_ms, by=by, result=judge.result(items),
                clean_air=facts.zeros is not None, items=items, bumps=tuple(self._bumps.values()),
            )  # fmt: skip
            signed = {} if key is None else sign.sign(key, self._app.config.unit.id, report)
            self._report, self._signed = report, ED25519 if signed else CHAIN
            self._app.hub.event(
                "selftest", KEPT, report.result, by=by, result=report.result,
                signed=self._signed, report=msgspec.to_builtins(report), **signed,
            )  # fmt: skip
            self._keep()
        finally:
            self._running = False
        self._app.soon()

    async def _free_mb(self) -> float | None:
        """A disk that stalls is unknown, and nobody waits for it."""
        folder = Path(self._app.config.store.dir)
        with contextlib.suppress(OSError, TimeoutError):
            usage = await asyncio.wait_for(asyncio.to_thread(shutil.disk_usage, folder), DISK_S)
            return usage.free / 1e6
        return None

    async def _pictures(self) -> frozenset[str]:
        """The cameras that give a picture when asked for one."""
        app, start = self._app, time.monotonic()
        asked = set()
        for camera in app.config.cameras:
            with contextlib.suppress(MediaError):
                asked.add(app.media.still_soon(camera.name, 0.5, PICTURE_S))

        seen: set[str] = set()
        for _ in range(int(PICTURE_S / LOOK_S)):
            seen = {name for name, at in self.pictures().items() if at >= start}
            if asked <= seen:
                break
            await asyncio.sleep(LOOK_S)
        return frozenset(asked & seen)

    def _facts(self, pictures: frozenset[str], free_mb: float | None, key_trouble: str) -> Facts:
        app, config = self._app, self._app.config
        stats = app.media.stats
        states = {camera.name: "disabled" for camera in config.cameras}
        states |= {camera.name: camera.state for camera in stats.cameras}
        microphone = stats.voice.microphone if config.media.voice.microphone else ""
        battery = config.person.battery
        return msgspec.structs.replace(
            self._now(), zeros=self._stated(), battery_low=battery.low,
            battery_critical=battery.critical, store_trouble=app.store.trouble,
            log_trouble=app.incident.trouble, free_mb=free_mb, cameras=states, pictures=pictures,
            microphone="down" if microphone == "none" else microphone, position=self._position(),
            position_required=person_rules(config.person, config.unit.profile.value).position
            == "always",
            links={uplink.config.name: uplink.state for uplink in app.uplinks},
            key_trouble=key_trouble,
        )  # fmt: skip

    def _now(self) -> Facts:
        """What changes by itself: enough to tell what is overdue."""
        app = self._app
        return Facts(
            now_ms=app.clock.now_ms(), clock=app.clock.source, required=app.required,
            states={source.config.name: source.state for source in app.sources},
            silent=app.engine.silent_sources(), latest=tuple(app.hub.latest.values()),
            calibrations=self._calibrations, resolutions=self._resolutions, zeros=None,
            bumps=self._bumps,
        )  # fmt: skip

    def _overdue(self) -> tuple[Any, ...]:
        return tuple(judge.overdue(self._now(), self._rules, only=True))

    def _state(self) -> str:
        if self._running:
            return "running"
        report = self._report
        if report is None:
            return "never"
        facts = self._now()
        age_ms = facts.now_ms - report.t
        if facts.clock is Clock.FREE or not -judge.DAY_MS <= age_ms < self._rules.valid_h * 3.6e6:
            return "expired"
        was = {(item.item, item.source, item.quantity, item.code) for item in report.items}
        late = judge.overdue(facts, self._rules, only=True)
        if any((one.item, one.source, one.quantity, one.code) not in was for one in late):
            return "expired"
        return report.result

    def _stated(self) -> dict[Key, Zero] | None:
        return self._zeros if _now_s() - self._zeros_at < ZERO_HOLD_S else None

    def _position(self) -> str:
        engine = self._app.engine
        if engine.fix is None:
            return "none"
        places = [one for one in self._app.hub.latest.values() if one.fix is not None]
        silent = engine.silent_sources()
        good = any(
            one.fix is not None and one.fix.mode >= 2 and one.quality in judge.SHOWS
            and one.source not in silent
            for one in places
        )  # fmt: skip
        return "ok" if good else "lost"

    def _sensors(self) -> list[str]:
        latest = self._app.hub.latest.values()
        return [f"{one.source}/{one.quantity}" for one in judge.sensors(latest)]

    def _settle(self) -> None:
        bump = self._bump
        if bump is None or bump.state is Bump.WAITS:
            return
        self._bump = None
        test = bump.result(self._app.clock.now_ms())
        self._bumps[(test.source, test.quantity)] = test
        self._app.hub.event(
            "bump_test", test.source, "passed" if test.passed else "failed",
            **{k: v for k, v in msgspec.to_builtins(test).items() if k != "source"},
        )  # fmt: skip
        self._keep()
        self._app.soon()

    def _aged(self, test: BumpTest) -> BumpTest:
        if self._app.clock.source is Clock.FREE:
            return test
        age_s = (self._app.clock.now_ms() - test.t) / 1000
        return msgspec.structs.replace(test, age_s=round(max(0.0, age_s), 0))

    def _keep(self) -> None:
        kept = _Kept(report=self._report, signed=self._signed, bumps=tuple(self._bumps.values()))
        self._app.store.keep(KEPT, msgspec.json.encode(kept), urgent=True)

    def _begin(self, kept: dict[str, bytes]) -> None:
        """As before a restart.  A check that went on then has no result."""
        try:
            found = msgspec.json.decode(kept[KEPT], type=_Kept) if KEPT in kept else None
        except msgspec.DecodeError as error:
            log.error("the stored selftest cannot be read: %s", error)
            return
        if found is None:
            return
        if self._report is None:
            self._report, self._signed = found.report, found.signed
        self._bumps = {(one.source, one.quantity): one for one in found.bumps} | self._bumps


def _now_s() -> float:
    return boottime_ms() / 1000
