"""The signal of a mobile modem by AT commands on a port of its own (3GPP TS 27.007).

Asked are +CSQ, +CESQ and +COPS? (and Quectel's +QCSQ where `sinr` says so): questions that change
nothing.  Never on a port that ModemManager uses; for those see modemmanager.py.  The protocol has
no check, so a value counts only in an answer that is whole, up to its OK.
"""

from __future__ import annotations

import logging
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from drivers import Counters, DriverConfig, Emit, Fix, Instrument, Port, Quality, Sample
from drivers.asking import ask, wait_until
from drivers.framing import Deframer, line_matcher
from drivers.known import Known

log = logging.getLogger(__name__)

INSTRUMENT = Instrument(
    title="Mobile modem by AT commands (3GPP TS 27.007)",
    evidence="from datasheet",
    baudrate=115200,
    poll=True,
)
PROBES: tuple[dict[str, object], ...] = ()
"""It speaks only when asked."""

LINE_MAX = 256
LINES_MAX = 32
"""Of one answer."""
REFUSALS = 3
"""A question that was refused so often is not asked again: older modems know fewer."""

_FINAL = re.compile(r"OK|ERROR|\+CM[ES] ERROR:.*|NO CARRIER")
_COPS = re.compile(r'\+COPS: \d(?:,\d,"[^"]*",(\d{1,2}))?')
_QCSQ = re.compile(r'\+QCSQ: *"([^"]*)"((?:,-?\d{1,4})*)')

GENERATION = {
    0: 2,
    1: 2,
    3: 2,
    8: 2,
    2: 3,
    4: 3,
    5: 3,
    6: 3,
    7: 4,
    9: 4,
    10: 5,
    11: 5,
    12: 5,
    13: 4,
}
"""<AcT> of +COPS (TS 27.007, 7.3) -> generation of the network.  8 is EC-GSM-IoT, 9 NB-IoT; 10 is
E-UTRA and 11 NR at a 5G core, 12 NG-RAN, 13 E-UTRA beside NR."""

Answer = tuple[str, float | None]
"""Quantity and value; None: the modem does not know."""


class Config(DriverConfig, frozen=True, kw_only=True):
    """Keys of a `[[source]]` with `driver = "modem"`."""

    sinr: Literal["", "qcsq"] = ""
    """`qcsq`: ask also Quectel's +QCSQ, which tells signal to interference and noise."""
    period_s: Annotated[float, msgspec.Meta(gt=0)] = 5.0
    timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 2.0
    """How long an answer may take."""

    def questions(self) -> tuple[str, ...]:
        return ("AT+CSQ", "AT+CESQ", "AT+COPS?", *(("AT+QCSQ",) if self.sinr else ()))


# --- one function for each answer ---


def _csq(line: str) -> Iterator[Answer]:
    """+CSQ: <rssi>,<ber>.  The ends of the scale are bounds: 0 is -113 dBm or less."""
    match = re.fullmatch(r"\+CSQ: *(\d{1,3}), *\d{1,3}", line)
    if match is None:
        return
    n = int(match[1])
    if n <= 31:
        yield "rssi", -113.0 + 2 * n
    elif 100 <= n <= 191:
        # TD-SCDMA and some LTE modems; there it is a received code power.
        yield "rssi", -116.0 + (n - 100)
    else:
        yield "rssi", None


def _cesq(line: str) -> Iterator[Answer]:
    """+CESQ: <rxlev>,<ber>,<rscp>,<ecno>,<rsrq>,<rsrp>[,<ss_rsrq>,<ss_rsrp>,<ss_sinr>]."""
    match = re.fullmatch(r"\+CESQ: *(\d{1,3}(?:, *\d{1,3}){5}(?:(?:, *\d{1,3}){3})?)", line)
    if match is None:
        return
    numbers = [int(text) for text in match[1].split(",")]
    _, _, _, _, rsrq, rsrp, *nr = numbers
    if nr and (nr[1] <= 126 or rsrp > 97):
        yield "rsrq", -43.5 + 0.5 * nr[0] if nr[0] <= 126 else None
        yield "rsrp", -157.0 + nr[1] if nr[1] <= 126 else None
        yield "sinr", -23.5 + 0.5 * nr[2] if nr[2] <= 127 else None
    else:
        yield "rsrq", -20.0 + 0.5 * rsrq if rsrq <= 34 else None
        yield "rsrp", -141.0 + rsrp if rsrp <= 97 else None


def _cops(line: str) -> Iterator[Answer]:
    """+COPS: <mode>[,<format>,<oper>[,<AcT>]]; without an operator there is no network."""
    match = _COPS.fullmatch(line)
    if match is not None:
        generation = GENERATION.get(int(match[1])) if match[1] else None
        yield "network_generation", None if generation is None else float(generation)


def _qcsq(line: str) -> Iterator[Answer]:
    """+QCSQ: "LTE",<rssi>,<rsrp>,<sinr>,<rsrq>; sinr counts fifths of a dB from -20 dB."""
    match = _QCSQ.fullmatch(line)
    if match is None:
        return
    numbers = [int(text) for text in match[2].split(",")[1:]]
    n = numbers[2] if len(numbers) == 4 else 251
    yield "sinr", round(n / 5 - 20, 1) if 0 <= n <= 250 else None


_ANSWERS: dict[str, Callable[[str], Iterator[Answer]]] = {
    "+CSQ:": _csq,
    "+CESQ:": _cesq,
    "+COPS:": _cops,
    "+QCSQ:": _qcsq,
}
_UNITS = {"rssi": "dBm", "rsrp": "dBm", "rsrq": "dB", "sinr": "dB", "network_generation": ""}


class Decoder:
    """Lines of a modem in, the samples of whole answers out.  Pure; never raises."""

    def __init__(self, config: Config | None = None, counters: Counters | None = None) -> None:
        self.counters = Counters() if counters is None else counters
        self.final = ""
        """The line that ended the last answer; empty: none has ended since `expect_reply`."""
        self._known = {name: Known() for name in _ANSWERS}
        self._lines: list[str] = []
        self._begin()

    def _begin(self) -> None:
        self._framer = Deframer(line_matcher(LINE_MAX), limit=LINE_MAX + 1, counters=self.counters)

    def expect_reply(self) -> None:
        """Forget half an answer: another question will be asked."""
        self.counters.bytes_dropped += self._framer.waiting + sum(map(len, self._lines))
        self._lines, self.final = [], ""
        self._begin()

    def feed(self, data: bytes, at: float) -> list[Sample | Fix]:
        """The samples that `data`, read at monotonic time `at`, completes."""
        samples: list[Sample | Fix] = []
        for frame in self._framer.feed(data, at):
            samples += self._line(frame.data.decode("ascii", "replace").strip(), frame.at)
        return samples

    def _line(self, line: str, at: float) -> list[Sample]:
        if _FINAL.fullmatch(line):
            lines, self._lines, self.final = self._lines, [], line
            return list(self._whole(lines, at)) if line == "OK" else []
        if line.partition(":")[0] + ":" in _ANSWERS:
            self._lines = [*self._lines, line][-LINES_MAX:]
        elif not line.startswith("AT"):
            # Neither an echo nor an answer of ours: what a modem says unasked, or noise.
            self.counters.bytes_dropped += len(line)
        return []

    def _whole(self, lines: list[str], at: float) -> Iterator[Sample]:
        # The last of each kind: one before it lost its OK.
        for name, line in {line.partition(":")[0] + ":": line for line in lines}.items():
            answers = list(_ANSWERS[name](line))
            samples = [_sample(*answer, at, line) for answer in answers if answer[1] is not None]
            if not answers:
                self.counters.bytes_dropped += len(line)
                continue
            if name == "+CSQ:" and not samples:
                samples = [_sample("rssi", None, at, line)]
            yield from self._known[name].complete(samples, at)


def _sample(quantity: str, value: float | None, at: float, raw: str) -> Sample:
    quality = Quality.STALE if value is None else Quality.GOOD
    return Sample(
        quantity=quantity, value=value, unit=_UNITS[quantity], quality=quality, at=at, raw=raw
    )


def in_use_by_modemmanager(device: str, root: Path = Path("/")) -> bool:
    """Whether ModemManager runs and takes this port for one of a modem that is its to use.

    Told by udev (/run/udev/data): ID_MM_CANDIDATE, and no ID_MM_DEVICE_IGNORE or ID_MM_PORT_IGNORE.
    """
    try:
        number = os.stat(device)
        about = root / f"run/udev/data/c{os.major(number.st_rdev)}:{os.minor(number.st_rdev)}"
        if not stat.S_ISCHR(number.st_mode):
            return False
        lines = about.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    if "E:ID_MM_CANDIDATE=1" not in lines:
        return False
    if {"E:ID_MM_DEVICE_IGNORE=1", "E:ID_MM_PORT_IGNORE=1"} & set(lines):
        return False
    return any(_is_modemmanager(comm) for comm in root.glob("proc/[0-9]*/comm"))


def _is_modemmanager(comm: Path) -> bool:
    try:
        return comm.read_text(encoding="utf-8", errors="replace").strip() == "ModemManager"
    except OSError:
        return False


class Driver:
    """One modem on one port."""

    def __init__(self, config: Config, root: Path = Path("/")) -> None:
        self.counters = Counters()
        self._config = config
        self._root = root
        self._refused: dict[str, int] = {}

    async def run(self, port: Port, emit: Emit) -> None:
        """Until cancelled.  OSError: the device is lost, or ModemManager uses it."""
        device = getattr(port, "device", "")
        if device and in_use_by_modemmanager(device, self._root):
            raise PermissionError(
                f"{device}: ModemManager uses this port; set the driver modemmanager, or the udev "
                'property ID_MM_PORT_IGNORE="1" for it'
            )
        decoder = Decoder(self._config, self.counters)
        while True:
            due = time.monotonic() + self._config.period_s
            for question in self._config.questions():
                if self._refused.get(question, 0) < REFUSALS:
                    await self._ask(port, emit, decoder, question)
            await wait_until(due)

    async def _ask(self, port: Port, emit: Emit, decoder: Decoder, question: str) -> None:
        self.counters.bytes_dropped += port.discard_input()
        decoder.expect_reply()

        def hear(data: bytes, at: float) -> bool:
            for sample in decoder.feed(data, at):
                emit(sample)
            return bool(decoder.final)

        await ask(port, f"{question}\r".encode("ascii"), hear, self._config.timeout_s)
        if decoder.final == "ERROR" or decoder.final.startswith("+CM"):
            self._refused[question] = self._refused.get(question, 0) + 1
            if self._refused[question] == REFUSALS:
                log.info("modem: %s is refused (%s), not asked again", question, decoder.final)
        elif decoder.final:
            self._refused[question] = 0
