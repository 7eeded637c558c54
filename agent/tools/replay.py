"""`outpost replay`: the bytes of a recording through a driver's decoder, without an instrument."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

import drivers
from agent.settings.toml import Document, build, did_you_mean
from drivers import Counters, DriverConfig, DriverModule, Fix, Sample, recording

USAGE_ERROR = 2


class ReplayError(ValueError):
    """What was asked for cannot be played; one sentence a line."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("--driver", default="", metavar="NAME", help="default: as FILE says")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", dest="keys",
        help="a key of the driver's [[source]] table; may come again",
    )  # fmt: skip
    parser.add_argument(
        "--format", default="", choices=recording.KINDS, help="default: by content and name"
    )


def main(args: argparse.Namespace) -> int:
    """0, or 2 with one sentence."""
    try:
        notes = recording.notes(args.file)
        name, keys = wanted(notes, args.driver, args.keys)
        module = driver(name)
        player = Player(module, options(module, name, keys))
        for found in player.play(recording.read(args.file, args.format)):
            sys.stdout.write(json_line(found))
        sys.stdout.flush()
    except BrokenPipeError:
        # `| head` has seen enough; without this the interpreter would complain at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        return _complain(f"{args.file}: cannot be read: {error.strerror}")
    except ValueError as error:
        return _complain(str(error))
    counted = msgspec.structs.asdict(player.counters)
    sys.stderr.write(", ".join(f"{key} {value}" for key, value in counted.items()) + "\n")
    return 0


def _complain(sentence: str) -> int:
    sys.stdout.flush()
    sys.stderr.write(f"{sentence}\n")
    return USAGE_ERROR


def wanted(notes: list[tuple[str, str]], name: str, keys: list[str]) -> tuple[str, dict[str, Any]]:
    """The driver and its keys: as given, else as the recording's own notes say.  ReplayError."""
    said = dict(notes)
    if not name and "driver" not in said:
        raise ReplayError("--driver is missing, and the recording does not say '# driver: NAME'")
    if not name or name == said.get("driver"):
        keys = [text for key, text in notes if key == "set"] + keys
    return name or said["driver"], dict(key_value(text) for text in keys)


def key_value(text: str) -> tuple[str, Any]:
    """`KEY=VALUE`, its value in TOML, or bare text where it is none.  ReplayError."""
    key, equals, value = text.partition("=")
    key = key.strip()
    if not equals or not key:
        raise ReplayError(f"--set: expected KEY=VALUE, read {text!r}")
    try:
        return key, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key, value.strip()


def driver(name: str) -> DriverModule:
    """The driver's module.  ReplayError."""
    # Late, because every verb's command line is made from this module's.
    from agent.config import driver_names

    if name not in (known := driver_names()):
        hint = did_you_mean(name, known) or f"; known are {', '.join(known)}"
        raise ReplayError(f"there is no driver {name!r}{hint}")
    module: DriverModule = importlib.import_module(f"drivers.{name}")  # type: ignore[assignment]
    return module


def options(module: DriverModule, name: str, keys: dict[str, Any]) -> DriverConfig:
    """The driver's `Config` of these keys.  ReplayError has a line for each mistake."""
    document = Document(f"driver {name}", "")
    built = build(document, module.Config, keys, ())
    if built is None or document.mistakes:
        # There is no file with lines, so no line is named.
        raise ReplayError("\n".join(text.replace(":1: ", ": ", 1) for text in document.mistakes))
    return built


class Player:
    """A driver's decoder, fed with chunks of a recording."""

    def __init__(self, module: DriverModule, config: DriverConfig) -> None:
        make_counters: type[Counters] = getattr(module, "Counters", drivers.Counters)
        make_decoder = getattr(module, "listener", module.Decoder)
        self.counters = make_counters()
        self._decoder = make_decoder(config, self.counters)
        self._flush = getattr(self._decoder, "flush", None)
        self._quiet_s: float | None = getattr(config, "quiet_s", None)

    def play(self, chunks: Iterable[recording.Chunk]) -> Iterator[Sample | Fix]:
        """What the decoder gives, in order; it is told of a quiet line as its driver would tell."""
        at = 0.0
        for chunk in chunks:
            if self._quiet_s is not None and chunk.at - at > self._quiet_s:
                yield from self._end(at + self._quiet_s)
            at = chunk.at
            yield from self._decoder.feed(chunk.data, at)
        yield from self._end(at)

    def _end(self, at: float) -> list[Sample | Fix]:
        found: list[Sample | Fix] = [] if self._flush is None else self._flush(at)
        return found


def json_line(found: Sample | Fix) -> str:
    """One line of JSON, for standard output and for `.chk` files."""
    return msgspec.json.encode(found).decode("utf-8") + "\n"
