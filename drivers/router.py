"""The signal of a 4G or 5G router in the vehicle's network, by HTTP or SNMP as a map says.

A map of config/routers names one page (GET) or objects (SNMP version 2c, GET); nothing is ever set.
What a router says is checked by the map alone: TCP and UDP have their own checksums.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Set
from pathlib import Path
from typing import Annotated, Any

import msgspec

import drivers
from drivers import DriverConfig, Emit, Fix, Instrument, Port, Quality, Sample, snmp
from drivers.framing import WAIT, Deframer, Drop, Take, Verdict
from drivers.router_http import BODY_MAX, Page
from drivers.router_map import INDEX, Map, RouterMapError, Signal, default_dir, load

INSTRUMENT = Instrument(
    title="4G and 5G routers by HTTP or SNMP, as a map of config/routers says",
    evidence="from memory",
    wire="none",
)
PROBES: tuple[dict[str, object], ...] = ()
"""There is no wire to listen on."""

TRIES = 3
"""Questions without an answer before the router counts as lost."""
SNMP_PORT = 161
_NUMBER = re.compile(r"\s*([+-]?\d{1,9}(?:\.\d{1,6})?)\s*[A-Za-z%]{0,5}\s*")
_UNKNOWN = frozenset(("", "-", "--", "n/a", "na", "none", "null", "unknown"))
RAW_MAX = 80
_GONE = snmp.Absent("not there")
_NOT_THERE = (snmp.Absent("noSuchInstance"), snmp.Absent("noSuchObject"))


class Counters(drivers.Counters):
    """What a router's source has carried."""

    unanswered: int = 0


class Config(DriverConfig, frozen=True, kw_only=True):
    """Keys of a `[[source]]` with `driver = "router"`."""

    map: str
    """A file of config/routers without `.toml`, or a path."""
    host: Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9._:-]{1,253}\Z")]
    """The router's address."""
    host_port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 0
    """0: 80, 443 with tls, 161 for SNMP."""
    index: Annotated[int, msgspec.Meta(ge=0)] = 1
    """Which modem: what `{index}` in an OID stands for."""
    community: str = "public"
    """SNMP's word for reading; it is sent in clear."""
    tls: bool = False
    ca_file: str = ""
    """The certificate that the router must show, whatever name is in it; empty: the system's."""
    username: str = ""
    password_file: str = ""
    """The file that holds the password (HTTP Basic or Digest)."""
    period_s: Annotated[float, msgspec.Meta(gt=0)] = 5.0
    timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 2.0
    """How long an answer may take."""
    map_dir: str = ""
    """Where the maps are; default: config/routers."""

    def mistakes(self) -> Iterator[tuple[str, str]]:
        """(key, sentence) for all that types cannot say, those of the map among them."""
        try:
            self.load_map()
        except RouterMapError as error:
            yield from (("map", line) for line in str(error).splitlines())
        if self.username and not self.password_file:
            yield "password_file", "missing; a username is given"

    def how_sure(self) -> str:
        """What the map says of itself.  Raises RouterMapError."""
        return self.load_map().evidence

    def load_map(self) -> Map:
        """The map that `map` names.  Raises RouterMapError."""
        return load(self.map, Path(self.map_dir) if self.map_dir else default_dir())


def match_page(data: bytearray) -> Verdict:
    """A page, ended by a zero byte."""
    end = data.find(b"\0", 0, BODY_MAX + 1)
    if end < 0:
        return WAIT if len(data) <= BODY_MAX else Drop(len(data))
    return Take(end + 1, "page")


def match_message(data: bytearray) -> Verdict:
    """An SNMP message."""
    try:
        length = snmp.size(bytes(data[:8]))
    except snmp.SnmpError:
        return Drop(1)
    if length is None or length > len(data):
        return WAIT
    return Take(length, "snmp")


class Decoder:
    """Pages (each ended by a zero byte) or SNMP messages in, samples out.  Pure; never raises.

    RouterMapError: the map cannot be read, at the beginning.
    """

    def __init__(self, config: Config, counters: drivers.Counters | None = None) -> None:
        self.counters = Counters() if counters is None else counters
        self._map = config.load_map()
        self.oids = [
            signal.oid.removeprefix(".").replace(INDEX, str(config.index))
            for signal in self._map.signals
        ]
        self._seen: set[str] = set()
        matcher = match_page if self._map.http else match_message
        self._framer = Deframer(matcher, limit=BODY_MAX + 2, counters=self.counters)

    @property
    def page(self) -> Any:
        """What is asked by HTTP; None: SNMP is spoken."""
        return self._map.http

    def feed(self, data: bytes, at: float) -> list[Sample | Fix]:
        """The samples that `data`, read at monotonic time `at`, completes."""
        samples: list[Sample | Fix] = []
        for frame in self._framer.feed(data, at):
            found = self._page(frame.data[:-1]) if self._map.http else self._message(frame.data)
            if found is None:
                self.counters.bytes_dropped += len(frame.data)
                continue
            # A page with nothing of what was there is another page: its login, as a rule.
            seen = set() if all(raw == _GONE for raw in found) else self._seen
            pairs = list(zip(self._map.signals, found, strict=True))
            samples += [_sample(signal, raw, frame.at, seen) for signal, raw in pairs]
            self._seen |= {signal.quantity for signal, raw in pairs if raw != _GONE}
        return samples

    def _page(self, body: bytes) -> list[Any] | None:
        """What each signal's place holds; None: the page is not of the kind that the map reads."""
        text = body.decode("utf-8", "replace")
        document: Any = None
        if any(signal.json for signal in self._map.signals):
            try:
                document = msgspec.json.decode(body)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                return None
        return [
            _in_json(document, signal.json) if signal.json else _in_text(text, signal.regex)
            for signal in self._map.signals
        ]

    def _message(self, data: bytes) -> list[Any] | None:
        try:
            response = snmp.parse(data)
        except snmp.SnmpError:
            return None
        missing = snmp.Absent(response.error or "not in the answer")
        if response.error:
            return [missing] * len(self.oids)
        found = [response.values.get(oid, missing) for oid in self.oids]
        return [_GONE if value in _NOT_THERE else value for value in found]


def _in_json(document: Any, path: str) -> Any:
    found = document
    for step in path.split("."):
        if isinstance(found, dict) and step in found:
            found = found[step]
        elif isinstance(found, list) and step.isdecimal() and int(step) < len(found):
            found = found[int(step)]
        else:
            return _GONE
    return found


def _in_text(text: str, regex: str) -> Any:
    found = re.search(regex, text)
    return _GONE if found is None else found[1]


def _sample(signal: Signal, raw: Any, at: float, seen: Set[str]) -> Sample:
    value, quality = _meaning(signal, raw)
    if raw == _GONE and signal.quantity in seen:
        # Some routers leave out what they cannot measure; one that never had it is not right.
        quality = Quality.STALE
    return Sample(
        quantity=signal.quantity, value=value, unit=signal.unit, quality=quality, at=at,
        raw=(raw.why if isinstance(raw, snmp.Absent) else str(raw))[:RAW_MAX],
    )  # fmt: skip


def _meaning(signal: Signal, raw: Any) -> tuple[float | None, Quality]:
    if raw is None or (isinstance(raw, str) and raw.strip().lower() in _UNKNOWN):
        # The router is well, and has no network.
        return None, Quality.STALE
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        return None, Quality.FAULT
    number = _number(signal, raw)
    if number is None:
        return None, Quality.FAULT
    value = round(number * signal.scale + signal.offset, 6)
    low = -1e9 if signal.valid_min is None else signal.valid_min
    high = 1e9 if signal.valid_max is None else signal.valid_max
    return (value, Quality.GOOD) if low <= value <= high else (None, Quality.FAULT)


def _number(signal: Signal, raw: int | float | str) -> float | None:
    text = str(raw).strip()
    if signal.codes:
        return signal.codes.get(text)
    if not isinstance(raw, str):
        return float(raw) if abs(raw) < 1e15 else None
    found = _NUMBER.fullmatch(text)
    return None if found is None else float(found[1])


class _Answers(asyncio.DatagramProtocol):
    """Datagrams until one is accepted."""

    def __init__(self, accept: Callable[[bytes], bool]) -> None:
        self.accepted: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._accept = accept

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if not self.accepted.done() and self._accept(data):
            self.accepted.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self.accepted.done():
            self.accepted.set_exception(exc)


class Driver:
    """One router."""

    def __init__(self, config: Config) -> None:
        self.counters = Counters()
        self._config = config
        self._thread: threading.Thread | None = None

    async def run(self, port: Port, emit: Emit) -> None:
        """Until cancelled.  OSError: the router does not answer, or not so that it is understood;
        RouterMapError (a ValueError): the map has gone."""
        decoder = Decoder(self._config, self.counters)
        ask = self._by_snmp(decoder.oids) if decoder.page is None else self._by_http(decoder.page)
        failures = 0
        while True:
            at = time.monotonic()
            try:
                samples = decoder.feed(await ask(), at)
                if not samples:
                    raise OSError(f"{self._config.host} answers what the map cannot read")
                failures = 0
            except OSError:
                self.counters.unanswered += 1
                failures += 1
                if failures >= TRIES:
                    raise
                samples = []
            for sample in samples:
                emit(sample)
            await asyncio.sleep(max(0.05, at + self._config.period_s - time.monotonic()))

    def _by_http(self, page: Any) -> Callable[[], Any]:
        config = self._config
        get = Page(
            config.host, config.host_port, page.path, page.headers, tls=config.tls,
            ca_file=config.ca_file, username=config.username, password_file=config.password_file,
        )  # fmt: skip

        async def ask() -> bytes:
            body = await self._in_thread(lambda: get(config.timeout_s))
            # A zero byte ends a page here, so none can be within.
            return body.replace(b"\0", b" ") + b"\0"

        return ask

    def _by_snmp(self, oids: list[str]) -> Callable[[], Any]:
        config = self._config

        async def ask() -> bytes:
            number = secrets.randbelow(2**31)
            question = snmp.get(config.community, number, oids)
            return await self._datagram(question, lambda data: self._is_for(data, number))

        return ask

    async def _datagram(self, question: bytes, accept: Callable[[bytes], bool]) -> bytes:
        config = self._config
        where = (config.host, config.host_port or SNMP_PORT)
        try:
            async with asyncio.timeout(config.timeout_s):
                transport, answers = await asyncio.get_running_loop().create_datagram_endpoint(
                    lambda: _Answers(accept), remote_addr=where
                )
                try:
                    transport.sendto(question)
                    return await answers.accepted
                finally:
                    transport.close()
        except TimeoutError:
            raise TimeoutError(
                f"{config.host} has not answered within {config.timeout_s:g} s; is SNMP on there, "
                "and is this its community?"
            ) from None

    def _is_for(self, data: bytes, number: int) -> bool:
        with contextlib.suppress(snmp.SnmpError):
            if snmp.parse(data).request_id == number:
                return True
        self.counters.bytes_dropped += len(data)
        return False

    async def _in_thread(self, work: Callable[[], bytes]) -> bytes:
        """`work` in a thread that nobody must wait for, neither here nor at the program's end."""
        if self._thread is not None and self._thread.is_alive():
            raise TimeoutError(f"{self._config.host} has not answered the last question yet")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[bytes] = loop.create_future()

        def settle(result: bytes | OSError) -> None:
            if done.done():
                return
            if isinstance(result, bytes):
                done.set_result(result)
            else:
                done.set_exception(result)

        def run() -> None:
            try:
                result: bytes | OSError = work()
            except OSError as error:
                result = error
            # The loop may have ended in the meantime.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(settle, result)

        self._thread = threading.Thread(target=run, name="router", daemon=True)
        self._thread.start()
        try:
            # A little longer than the thread, whose own sentence is the better one.
            async with asyncio.timeout(2 * self._config.timeout_s):
                return await done
        except TimeoutError:
            raise TimeoutError(
                f"{self._config.host} has not finished within {2 * self._config.timeout_s:g} s"
            ) from None
