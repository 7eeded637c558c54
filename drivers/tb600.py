"""EC Sense TB600B and TB600C: nine-byte frames like Winsen's, of which one command is a trap.

The module streams, or answers `FF 01 86 00 00 00 00 00 79` with,

    FF 86  mass 2  full range 2  value 2  cs        all big-endian

where the value counts in `unit` x 10^-`decimals`; both come from the module's label or from its
answer to D7, which this driver never asks.  Its command for gas, temperature and humidity, 87, is
the zero calibration of a Winsen: a Winsen on a line configured as a TB600 would be zeroed in gas.
So 86 is the only question that is ever sent, and temperature and humidity are left unread.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import Literal

from drivers import Counters, DriverConfig, Emit, Fix, Instrument, Port, Quality, Sample, Span
from drivers.asking import ask, wait_until
from drivers.ninebyte import QUESTION, REPLY, Frames, is_whole

INSTRUMENT = Instrument(
    title="EC Sense TB600B, TB600C gas modules",
    evidence="from datasheet",
    baudrate=9600,
)

PROBES: tuple[dict[str, object], ...] = ()
"""By listening alone a TB600 cannot be told from a ZE03, and must not be guessed."""

_SLUG = re.compile(r"[a-z][a-z0-9_]*")


class Config(DriverConfig, frozen=True, kw_only=True):
    """Keys of a `[[source]]` with `driver = "tb600"`."""

    gas: str
    """What it measures, by formula in lower case: `cl2`, `co`, `h2s`."""
    decimals: int
    """Digits after the point of the value, 0 to 3: by the label.  A frame does not tell it, and a
    wrong one is wrong by a factor of ten: compare with test gas once."""
    unit: Literal["ppm", "ppb", "/100", "%LEL"] = "ppm"
    """What the value counts; ppb are published as ppm."""
    full_scale: float | None = None
    """Upper end of the range, in the published unit; default: as the frame says."""
    mode: Literal["active", "query"] = "active"
    """`active`: listen only; `query`: ask each `period_s`."""
    period_s: float = 1.0
    timeout_s: float = 0.5
    """How long a reply may take."""
    warmup_s: float = 0.0
    """Readings in the first seconds after the line was opened are of quality `warmup`."""

    def mistakes(self) -> Iterator[tuple[str, str]]:
        """(key, sentence) for all that types cannot say."""
        if not _SLUG.fullmatch(self.gas):
            yield "gas", f'expected a formula in lower case like cl2, read "{self.gas}"'
        if not 0 <= self.decimals <= 3:
            yield "decimals", f"expected 0 to 3, read {self.decimals}"
        for key in ("full_scale", "period_s", "timeout_s"):
            value = getattr(self, key)
            if value is not None and not value > 0:
                yield key, f"expected more than 0, read {value:g}"
        if self.warmup_s < 0:
            yield "warmup_s", f"expected 0 or more, read {self.warmup_s:g}"

    def spans(self) -> tuple[Span, ...]:
        step, unit = 10.0**-self.decimals, self.unit
        if unit == "ppb":
            step, unit = step / 1000, "ppm"
        return (Span(quantity=self.gas, unit=unit, resolution=step, full_scale=self.full_scale),)


def is_frame(data: bytes) -> bool:
    """Whether these nine bytes are a reading.  No range goes up to FF00: read from the middle of a
    stream of equal frames, the next one's header would be such a number."""
    return is_whole(data) and data[1] == REPLY and 0xFF not in (data[2], data[4], data[6])


def is_header(head: bytes) -> bool:
    """Whether a reading can begin with these two bytes."""
    return head[0] == 0xFF and head[1] == REPLY


class Decoder:
    """Bytes in, samples out (drivers/ninebyte.py says when a frame is believed)."""

    def __init__(self, config: Config, counters: Counters | None = None) -> None:
        self.counters = counters if counters is not None else Counters()
        self._config = config.check()
        self._factor = 0.001 if config.unit == "ppb" else 1.0
        self._unit = "ppm" if config.unit == "ppb" else config.unit
        self._first_at: float | None = None
        self.frames = Frames(
            is_frame,
            is_header,
            self.counters,
            hold_s=3.0 * max(config.period_s, 1.0),
            asks=config.mode == "query",
        )

    def feed(self, data: bytes, at: float) -> list[Sample | Fix]:
        """Samples of the frames that `data` completes; `at`: monotonic seconds."""
        return [self._sample(frame, began) for frame, began in self.frames.feed(data, at)]

    def _sample(self, frame: bytes, at: float) -> Sample:
        if self._first_at is None:
            self._first_at = at
        value = int.from_bytes(frame[6:8]) / 10**self._config.decimals * self._factor
        # The range comes in whole units: 03 E8 beside a value of 27 10, 1000.0 ppm.
        full_scale = self._config.full_scale or int.from_bytes(frame[4:6]) * self._factor or None
        quality = Quality.GOOD
        if at - self._first_at < self._config.warmup_s:
            quality = Quality.WARMUP
        elif full_scale is not None and value >= full_scale:
            quality = Quality.OVER_RANGE
        return Sample(
            quantity=self._config.gas,
            value=round(value, 9),
            unit=self._unit,
            quality=quality,
            at=at,
            raw=frame.hex(),
            full_scale=full_scale if full_scale is None else round(full_scale, 9),
        )


class Driver:
    """One module on one line."""

    def __init__(self, config: Config, now: Callable[[], float] = time.monotonic) -> None:
        self.config = config
        self.counters = Counters()
        self._now = now

    async def run(self, port: Port, emit: Emit) -> None:
        """Until cancelled.  OSError: the device is lost."""
        decoder = Decoder(self.config, self.counters)

        def hear(data: bytes, at: float) -> bool:
            samples = decoder.feed(data, at)
            for sample in samples:
                emit(sample)
            return bool(samples) or decoder.frames.holds_frame

        while self.config.mode == "active":
            hear(await port.read(), self._now())
        while True:
            due = self._now() + self.config.period_s
            self.counters.bytes_dropped += port.discard_input()
            decoder.frames.expect_reply()
            await ask(port, QUESTION, hear, self.config.timeout_s, self._now)
            await wait_until(0.0 if decoder.frames.holds_frame else due, self._now)
