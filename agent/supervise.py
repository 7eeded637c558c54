"""The only place that restarts a source.

A lost device is opened again; a driver that fails at what its instrument sent is started anew, so
that one bad wire never silences the others.  What fails in the core goes through and ends it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import msgspec

from agent.broker import Backoff
from agent.config import SourceConfig
from agent.messages import SourceStatus
from agent.settings.evidence import how_sure
from drivers import Driver, Emit, Fix, Port, Sample
from drivers.ports import open_port

log = logging.getLogger(__name__)

FIRST_RETRY_S = 0.5
CEILING_RETRY_S = 1.5
"""A re-plugged adapter must be back within 2 s of reappearing."""
DRIVER_FAULTS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What wrong bytes bring about in a driver that has a mistake."""


class Source:
    """One instrument: opened, run, and opened again when it is lost."""

    def __init__(
        self,
        config: SourceConfig,
        emit: Callable[[str, Sample | Fix], None],
        on_change: Callable[[Source], None],
        open_line: Callable[..., AbstractAsyncContextManager[Port]] = open_port,
    ) -> None:
        self.config = config
        self.driver: Driver = config.module.Driver(config.options)
        self.state = "starting"
        """`starting`, `up` (it has said something since it was opened), `down`."""
        self.detail = ""
        self._emit = emit
        self._in_core = False
        self._on_change = on_change
        self._open_line = open_line

    def status(self) -> SourceStatus:
        table, due = self.config.table, self.config.table.calibration.due
        return SourceStatus(
            name=table.name, driver=table.driver, state=self.state, detail=self.detail,
            place=table.place, serial=table.serial, evidence=how_sure(self.config),
            calibrated=str(table.calibrated or ""), calibrated_by=table.calibrated_by,
            calibration_due=str(due or ""),
        )  # fmt: skip

    async def run(self) -> None:
        """Until cancelled.  A lost device is opened again with backoff and jitter."""
        backoff = Backoff(FIRST_RETRY_S, CEILING_RETRY_S)
        table, line = self.config.table, self.config.line
        while True:
            opened = time.monotonic()
            try:
                async with self._open_line(
                    table.port, baudrate=line.baudrate, bytesize=line.bytesize,
                    parity=line.parity, stopbits=line.stopbits,
                ) as port:  # fmt: skip
                    await self.driver.run(port, self._emitter())
                    self._set("down", "the driver ended")
            except OSError as error:
                self._set("down", str(error))
            except DRIVER_FAULTS as error:
                if self._in_core:
                    raise
                self._set("down", f"the driver failed: {type(error).__name__}: {error}")
                log.debug("source %s", self.config.name, exc_info=error)
            if time.monotonic() - opened > CEILING_RETRY_S:
                backoff.reset()
            await asyncio.sleep(backoff.next_s())

    def _emitter(self) -> Emit:
        name = self.config.name

        def emit(sample: Sample | Fix) -> None:
            self._in_core = True
            if self.state != "up":
                self._set("up", "")
            self._emit(name, sample)
            self._in_core = False

        return emit

    def _set(self, state: str, detail: str) -> None:
        if (state, detail) == (self.state, self.detail):
            return
        changed = state != self.state
        self.state, self.detail = state, detail
        if state == "down":
            log.warning("source %s: %s", self.config.name, detail)
        elif changed:
            log.info("source %s: up", self.config.name)
        self._on_change(self)

    def counters(self) -> dict[str, int]:
        with contextlib.suppress(TypeError):
            return msgspec.structs.asdict(self.driver.counters)
        return {}
