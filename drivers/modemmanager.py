"""The signal of a modem that ModemManager holds, by its program `mmcli` (JSON, -J).

Only looked at, by `mmcli -m MODEM -J` and `mmcli -m MODEM --signal-get -J`.  Strengths are given
once somebody has asked ModemManager to poll them; `refresh_s` makes this driver do it, which
changes ModemManager and not the modem.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator
from typing import Annotated, Any

import msgspec

from drivers import Counters, DriverConfig, Emit, Fix, Instrument, Port, Quality, Sample
from drivers.framing import Deframer, line_matcher
from drivers.known import Known
from drivers.program import OUTPUT_MAX, output

INSTRUMENT = Instrument(
    title="Mobile modem by ModemManager (mmcli)",
    evidence="from datasheet",
    wire="none",
)
PROBES: tuple[dict[str, object], ...] = ()
"""There is no wire to listen on."""

GENERATION = {
    "gsm": 2, "gsm-compact": 2, "gprs": 2, "edge": 2, "1xrtt": 2,
    "umts": 3, "hsdpa": 3, "hsupa": 3, "hspa": 3, "hspa-plus": 3,
    "evdo0": 3, "evdoa": 3, "evdob": 3,
    "lte": 4, "lte-cat-m": 4, "lte-nb-iot": 4, "5gnr": 5,
}  # fmt: skip
"""ModemManager's access technologies -> generation of the network."""

_NUMBER = re.compile(r"-?\d{1,4}(?:[.,]\d{1,6})?")
_SIGNALS = {"rssi": ("rssi", "dBm"), "rsrp": ("rsrp", "dBm"), "rsrq": ("rsrq", "dB"),
            "snr": ("sinr", "dB")}  # fmt: skip
_NETWORKS = ("5g", "lte", "umts", "gsm")
"""The best first: of several at once the first that says anything counts."""


class Config(DriverConfig, frozen=True, kw_only=True):
    """Keys of a `[[source]]` with `driver = "modemmanager"`."""

    modem: Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9/_]{1,100}\Z")] = "any"
    """The modem's number or path (`mmcli -L` lists them)."""
    refresh_s: Annotated[int, msgspec.Meta(ge=0, le=3600)] = 0
    """Makes ModemManager ask the modem for its signal so often; 0: as others have set it."""
    program: str = "mmcli"
    period_s: Annotated[float, msgspec.Meta(gt=0)] = 5.0
    timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 5.0
    """How long the program may take."""


class Decoder:
    """Lines of JSON in, samples out.  Pure; never raises."""

    def __init__(self, config: Config | None = None, counters: Counters | None = None) -> None:
        self.counters = Counters() if counters is None else counters
        self._framer = Deframer(
            line_matcher(OUTPUT_MAX), limit=OUTPUT_MAX + 1, counters=self.counters
        )
        self._generic, self._signal = Known(), Known()

    def feed(self, data: bytes, at: float) -> list[Sample | Fix]:
        """The samples that `data`, read at monotonic time `at`, completes."""
        samples: list[Sample | Fix] = []
        for frame in self._framer.feed(data, at):
            try:
                modem = _object(_object(msgspec.json.decode(frame.data)).get("modem"))
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                self.counters.bytes_dropped += len(frame.data)
                continue
            if "signal" in modem:
                signal = _object(modem["signal"])
                samples += self._signal.complete(list(_strengths(signal, frame.at)), frame.at)
            elif "generic" in modem:
                generic = _object(modem["generic"])
                samples += self._generic.complete(list(_state(generic, frame.at)), frame.at)
            else:
                self.counters.bytes_dropped += len(frame.data)
        return samples


def _state(generic: dict[str, Any], at: float) -> Iterator[Sample]:
    quality = _object(generic.get("signal-quality"))
    percent = _number(quality.get("value"))
    if percent is not None and 0 <= percent <= 100:
        # ModemManager goes on giving the last one, and says that it is old.
        worth = Quality.GOOD if quality.get("recent") == "yes" else Quality.STALE
        raw = f"signal-quality {percent:g}, state {generic.get('state')}"
        yield _sample("signal_quality", percent, "%", at, raw, worth)
    names = generic.get("access-technologies")
    told = names if isinstance(names, list) else []
    known = [name for name in told if isinstance(name, str) and name in GENERATION]
    if known:
        best = max(GENERATION[name] for name in known)
        yield _sample("network_generation", float(best), "", at, " ".join(known))


def _strengths(signal: dict[str, Any], at: float) -> Iterator[Sample]:
    for network in _NETWORKS:
        told = _object(signal.get(network))
        found = {key: _number(told.get(key)) for key in _SIGNALS}
        if any(value is not None for value in found.values()):
            for key, value in found.items():
                if value is not None:
                    quantity, unit = _SIGNALS[key]
                    yield _sample(quantity, value, unit, at, f"{network} {key} {told[key]}")
            return


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(text: Any) -> float | None:
    """mmcli writes all numbers as text, and `--` for what it does not know."""
    if not isinstance(text, str) or not _NUMBER.fullmatch(text.strip()):
        return None
    return float(text.strip().replace(",", "."))


def _sample(
    quantity: str, value: float, unit: str, at: float, raw: str, quality: Quality = Quality.GOOD
) -> Sample:
    return Sample(quantity=quantity, value=value, unit=unit, quality=quality, at=at, raw=raw)


class Driver:
    """One modem of ModemManager's."""

    def __init__(self, config: Config) -> None:
        self.counters = Counters()
        self._config = config

    async def run(self, port: Port, emit: Emit) -> None:
        """Until cancelled.  OSError: mmcli fails, with what it says (no such modem)."""
        decoder = Decoder(self._config, self.counters)
        if self._config.refresh_s:
            await self._mmcli(f"--signal-setup={self._config.refresh_s}")
        while True:
            at = time.monotonic()
            for option in ((), ("--signal-get",)):
                told = await self._mmcli(*option, "-J")
                for sample in decoder.feed(told + b"\n", at):
                    emit(sample)
            await asyncio.sleep(max(0.05, at + self._config.period_s - time.monotonic()))

    async def _mmcli(self, *options: str) -> bytes:
        config = self._config
        return await output(
            config.program, "-m", config.modem, *options, timeout_s=config.timeout_s
        )
