"""What is fuzzed: a target for each decoder that the drivers bring, and for each of our parsers.

An input of a decoder begins with three bytes: which configuration, in pieces of how many bytes, and
what happens between the pieces (time passes, the driver says that it asks, or that the line is
quiet).  The rest is what the line brings; where the second byte is ANSWERS, each piece has its
length in front, and the line is quiet behind it.
"""

from __future__ import annotations

import copy
import importlib
import inspect
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from typing import Any, Protocol

import msgspec

import drivers
from agent.config import driver_names
from drivers import DriverConfig

from . import judge, seeds
from .repair import Listening, repaired

HEADER = 3
CHECK_EVERY = 500
"""Inputs between two looks at what the lasting decoders hold."""
WHOLE = 0
ANSWERS = 255
COPY_S = 0.001
REPAIRS = 4


class Target(Protocol):
    """Something that takes any bytes."""

    name: str
    seeds: list[bytes]

    def run(self, data: bytes) -> None:
        """Raises (FuzzError, or whatever broke) where something that must hold does not."""


class Line:
    """A decoder and the time on its line."""

    def __init__(self, decoder: Any) -> None:
        self.decoder = decoder
        self._at = 0.0
        kind: Any = type(decoder)
        self._words = _words(kind)

    def bring(self, data: bytes) -> list[Any]:
        """An input with its header, as a line would bring it; what the decoder gives."""
        cut, code = int.from_bytes(data[1:2]), int.from_bytes(data[2:3])
        found: list[Any] = []
        for number, piece in enumerate(_pieces(cut, data[HEADER:])):
            found += self.decoder.feed(piece, self._at)
            if cut == ANSWERS:
                found += self._quiet()
            if code and number % 4 == code % 4:
                self._at += (code >> 4) / 4
                if self._words:
                    found += self._say(*self._words[(code >> 2) % len(self._words)])
        return found + self._quiet()

    def _quiet(self) -> list[Any]:
        quiet = [word for word in self._words if word[0] in ("flush", "settle")]
        return [item for word in quiet for item in self._say(*word)]

    def _say(self, name: str, timed: bool) -> list[Any]:
        given = getattr(self.decoder, name)(*((self._at,) if timed else ()))
        return given if isinstance(given, list) else []


class Setting:
    """A driver's decoder with one of its configurations."""

    def __init__(self, module: Any, config: DriverConfig) -> None:
        self._module = module
        self._config = config
        # A decoder that reads a map from a file is copied rather than made anew.
        start = time.thread_time()
        self._pristine: Line | None = None
        self.lasting = self.line()
        if time.thread_time() - start > COPY_S:
            self._pristine = self.line()
        self.began_with = judge.retained(self.lasting)

    def line(self) -> Line:
        """A new decoder on a new line."""
        if self._pristine is not None:
            made: Line = copy.deepcopy(self._pristine, {id(self._config): self._config})
            return made
        counters = getattr(self._module, "Counters", drivers.Counters)()
        make = getattr(self._module, "listener", self._module.Decoder)
        return Line(make(self._config, counters))


class DecoderTarget:
    """Every configuration of one driver's decoder, new for each input, and one that lasts."""

    def __init__(self, name: str, module: Any = None) -> None:
        self.name = name
        self._module: Any = module or importlib.import_module(f"drivers.{name}")
        tables, self.seeds = _tables_and_seeds(name, self._module)
        self.settings = [
            Setting(self._module, msgspec.convert(keys, self._module.Config).check())
            for keys in tables
        ]
        self._listening = Listening(self._module)
        self._runs = 0
        self.per_byte_s = self._cost_of_seeds_s()

    def run(self, data: bytes) -> None:
        setting = self.settings[data[0] % len(self.settings)] if data else self.settings[0]
        for _ in range(1 + REPAIRS):
            with self._listening.heard() as heard:
                judge.in_time(partial(_new, setting, data), len(data), self.per_byte_s)
                better = repaired(data, heard)
            setting.lasting.bring(data)
            if better is None:
                break
            data = better
        self._runs += 1
        if self._runs % CHECK_EVERY == 0:
            self.look()

    def look(self) -> None:
        """At what the lasting decoders hold."""
        for one in self.settings:
            judge.bounded(one.lasting, one.began_with)

    def _cost_of_seeds_s(self) -> float:
        """CPU seconds that a byte of its own frames costs, the median of its seeds."""
        costs = []
        for data in self.seeds[:15] or [bytes(100)]:
            setting = self.settings[data[0] % len(self.settings)]
            start = time.thread_time()
            _new(setting, data)
            costs.append((time.thread_time() - start) / len(data))
        return sorted(costs)[len(costs) // 2]


def _new(setting: Setting, data: bytes) -> None:
    judge.values(setting.line().bring(data))


def _pieces(cut: int, body: bytes) -> Iterator[bytes]:
    if cut == ANSWERS:
        while body:
            yield body[1 : 1 + body[0]]
            body = body[1 + body[0] :]
    else:
        size = max(1, len(body)) if cut == WHOLE else cut
        yield from (body[at : at + size] for at in range(0, len(body), size))


@cache
def _words(kind: Any) -> list[tuple[str, bool]]:
    """(method, takes the time): what its driver tells a decoder of this kind beside `feed`."""
    found = []
    for name, method in inspect.getmembers(kind, inspect.isfunction):
        parameters = list(inspect.signature(method).parameters)[1:]
        if not name.startswith("_") and parameters in ([], ["at"]):
            found.append((name, bool(parameters)))
    return found


def _tables_and_seeds(name: str, module: Any) -> tuple[list[dict[str, Any]], list[bytes]]:
    """Configurations (those of captures first), and inputs with their header."""
    tables: list[dict[str, Any]] = []
    inputs: list[bytes] = []
    for capture in seeds.captures():
        if capture.driver == name:
            if capture.keys not in tables:
                tables.append(capture.keys)
            which = tables.index(capture.keys)
            inputs += _inputs(which, [chunk.data for chunk in capture.chunks])
    probes: Sequence[dict[str, Any]] = getattr(module, "PROBES", ({},))
    for keys in probes:
        if keys not in tables:
            tables.append(keys)
    if module.INSTRUMENT.wire == "serial":
        inputs += [b"\0\0\0" + frame for frame in seeds.field_frames()]
    if name == "nmea":
        inputs += [b"\0\0\0" + data for data in seeds.receivers()]
    return tables, [*inputs, *seeds.found(name)]


def _inputs(which: int, pieces: list[bytes]) -> Iterator[bytes]:
    whole = b"".join(pieces)
    for cut, between in ((WHOLE, 0), (1, 0), (7, 0x35)):
        yield bytes((which, cut, between)) + whole[: seeds.SEED_MAX]
    yield from (bytes((which, WHOLE, 0)) + piece[: seeds.SEED_MAX] for piece in pieces[:20])
    answers = b"".join(bytes((len(piece[:255]),)) + piece[:255] for piece in pieces[:20])
    yield bytes((which, ANSWERS, 0)) + answers


class Parser:
    """One of the agent's own parsers: it may refuse with the errors that it documents."""

    def __init__(
        self,
        name: str,
        parse: Callable[[bytes], object],
        inputs: list[bytes],
        refusals: tuple[type[Exception], ...] = (),
    ) -> None:
        self.name = name
        self.seeds = [*inputs, *seeds.found(name)]
        self._parse = parse
        self._refusals = refusals
        start = time.thread_time()
        for data in self.seeds:
            self._take(data)
        self.per_byte_s = (time.thread_time() - start) / max(1, sum(map(len, self.seeds)))

    def run(self, data: bytes) -> None:
        judge.in_time(lambda: self._take(data), len(data), self.per_byte_s)

    def _take(self, data: bytes) -> None:
        try:
            self._parse(data)
        except self._refusals as error:
            if not str(error).strip():
                raise judge.FuzzError(f"{self.name} refuses without a word: {data!r}") from error


def decoder_names() -> list[str]:
    """Every driver that has a decoder."""
    return [
        name
        for name in driver_names()
        if hasattr(importlib.import_module(f"drivers.{name}"), "Decoder")
    ]


def names() -> list[str]:
    """Every target."""
    from .parsers import PARSERS

    return [*decoder_names(), *PARSERS]


def target(name: str) -> Target:
    """The one of this name.  KeyError: there is none."""
    from .parsers import PARSERS

    return DecoderTarget(name) if name in decoder_names() else PARSERS[name]()


class Every:
    """All targets in one, for a short run: an input's first byte says which."""

    name = "every"

    def __init__(self, among: Sequence[str] = ()) -> None:
        self._targets = [target(name) for name in among or names()]
        self.seeds = [
            bytes((place,)) + data
            for place, one in enumerate(self._targets)
            for data in one.seeds[:6]
        ]

    def run(self, data: bytes) -> None:
        if data:
            self._targets[data[0] % len(self._targets)].run(data[1:])
