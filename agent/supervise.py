"""The only place that restarts a source."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable

import msgspec

from agent.broker import Backoff
from agent.config import SourceConfig
from agent.messages import SourceStatus
from drivers import Driver, Emit, Fix, Sample
from drivers.port import open_port

log = logging.getLogger(__name__)

FIRST_RETRY_S = 0.5
CEILING_RETRY_S = 2.0
"""A re-plugged adapter must be back within 2 s of reappearing."""


class Source:
    """One instrument: opened, run, and opened again when it is lost."""

    def __init__(
        self,
        config: SourceConfig,
        emit: Callable[[str, Sample | Fix], None],
        on_change: Callable[[Source], None],
    ) -> None:
        self.config = config
        self.driver: Driver = config.module.Driver(config.options)
        self.state = "starting"
        """`starting`, `up` (it has said something since it was opened), `down`."""
        self.detail = ""
        self._emit = emit
        self._on_change = on_change

    def status(self) -> SourceStatus:
        table = self.config.table
        return SourceStatus(
            name=table.name, driver=table.driver, state=self.state, detail=self.detail,
            place=table.place, serial=table.serial,
        )  # fmt: skip

    async def run(self) -> None:
        """Until cancelled.  A lost device is opened again with backoff and jitter."""
        backoff = Backoff(FIRST_RETRY_S, CEILING_RETRY_S)
        table, line = self.config.table, self.config.line
        while True:
            opened = time.monotonic()
            try:
                async with open_port(
                    table.port, baudrate=line.baudrate, bytesize=line.bytesize,
                    parity=line.parity, stopbits=line.stopbits,
                ) as port:  # fmt: skip
                    await self.driver.run(port, self._emitter())
                    self._set("down", "the driver ended")
            except OSError as error:
                self._set("down", str(error))
            if time.monotonic() - opened > CEILING_RETRY_S:
                backoff.reset()
            await asyncio.sleep(backoff.next_s())

    def _emitter(self) -> Emit:
        def emit(sample: Sample | Fix) -> None:
            if self.state != "up":
                self._set("up", "")
            self._emit(self.config.name, sample)

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
