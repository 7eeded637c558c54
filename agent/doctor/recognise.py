"""Which driver makes sense of some bytes: every one is tried with its own decoder.  Pure.

No table of instruments is needed: a driver's module brings its decoder, and `PROBES`, the keys to
try, where it needs keys.  What counts is frames whose check was right; two are wanted.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from agent import config
from agent.settings.evidence import FROM_MEMORY, GASES
from agent.tools.replay import Player
from drivers import Fix, Quality, Sample
from drivers.recording import Chunk

FRAMES = 2
"""So many checked frames convince."""
EXPLAINED = 0.3
"""At least so much of the bytes must be theirs: in long noise anything appears now and then."""
CHOICES = 24

_VALUELESS = (Quality.FAULT, Quality.STALE)


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A driver that understands the bytes."""

    driver: str
    keys: dict[str, Any]
    """Keys of its table that the bytes told."""
    choices: dict[str, tuple[Any, ...]]
    """Keys that they did not tell, and what fits them equally well."""
    frames: int
    values: int
    """Samples and fixes with something in them."""
    explained: float
    """Which part of the bytes belongs to its frames, 0 to 1."""
    quantities: tuple[str, ...]
    evidence: str

    @property
    def score(self) -> tuple[bool, float, int]:
        return self.values > 0, round(self.explained, 2), self.values


class _Trial(msgspec.Struct, frozen=True):
    keys: dict[str, Any]
    frames: int
    values: int
    explained: float
    quantities: tuple[str, ...]
    evidence: str


def candidates(chunks: Sequence[Chunk], mode: str = "active") -> list[Candidate]:
    """Drivers that understand `chunks`, the best first.  `mode`: whether the instrument spoke by
    itself (`active`) or was asked (`query`), for the drivers that have such a key."""
    found = [
        candidate
        for name in config.driver_names()
        if (candidate := _of_driver(name, chunks, mode)) is not None
    ]
    return sorted(found, key=lambda candidate: candidate.score, reverse=True)


def _of_driver(name: str, chunks: Sequence[Chunk], mode: str) -> Candidate | None:
    module = importlib.import_module(f"drivers.{name}")
    if module.INSTRUMENT.wire != "serial":
        return None
    probes: Sequence[dict[str, Any]] = getattr(module, "PROBES", ({},))
    trials = [
        trial
        for keys in probes
        for trial in _tried(module, keys, mode, chunks)
        if trial.frames >= FRAMES and trial.explained >= EXPLAINED
    ]
    if not trials:
        return None
    best = max(trials, key=lambda trial: (trial.values, trial.explained))
    equal = [t for t in trials if (t.values, t.explained) == (best.values, best.explained)]
    agreed = {
        key: value
        for key, value in best.keys.items()
        if all(t.keys.get(key) == value for t in equal)
    }
    choices = {
        key: tuple(dict.fromkeys(t.keys[key] for t in equal if key in t.keys))[:CHOICES]
        for key in best.keys
        if key not in agreed
    }
    return Candidate(
        driver=name, keys=agreed, choices=choices, frames=best.frames, values=best.values,
        explained=best.explained, quantities=best.quantities if not choices else (),
        evidence=best.evidence,
    )  # fmt: skip


def _tried(
    module: Any, keys: dict[str, Any], mode: str, chunks: Sequence[Chunk]
) -> Iterator[_Trial]:
    """One trial, or none where these keys are no configuration."""
    try:
        options = msgspec.convert({"mode": mode, **keys}, module.Config)
    except msgspec.ValidationError:
        # This wire has no such key, or other words for it.
        try:
            options = msgspec.convert(keys, module.Config)
        except msgspec.ValidationError:
            return
    else:
        keys = {**keys, "mode": mode} if mode == "query" else keys
    if [*options.mistakes()]:
        return
    player = Player(module, options)
    found = list(player.play(chunks))
    counters = player.counters
    worth = [item for item in found if _has_value(item)]
    yield _Trial(
        keys, counters.frames, len(worth),
        1 - min(1.0, counters.bytes_dropped / max(1, counters.bytes_read)),
        tuple(dict.fromkeys("position" if isinstance(i, Fix) else i.quantity for i in worth)),
        options.how_sure() or module.INSTRUMENT.evidence,
    )  # fmt: skip


def _has_value(found: Sample | Fix) -> bool:
    return isinstance(found, Fix) or (found.value is not None and found.quality not in _VALUELESS)


def toml_lines(candidate: Candidate, port: str, baudrate: int, name: str) -> list[str]:
    """The `[[source]]` for a configuration; what somebody must still choose is a comment."""
    instrument = importlib.import_module(f"drivers.{candidate.driver}").INSTRUMENT
    lines = [
        "[[source]]",
        f"name = {_toml(name)}",
        f"driver = {_toml(candidate.driver)}  # {candidate.evidence}",
        f"port = {_toml(port)}",
    ]
    if baudrate != instrument.baudrate and "://" not in port:
        lines.append(f"baudrate = {baudrate}")
    lines += [f"{key} = {_toml(value)}" for key, value in candidate.keys.items()]
    for key, values in candidate.choices.items():
        known = ", ".join(_toml(value) for value in values)
        lines.append(f"{key} = {_toml(values[0])}  # ? {known}")
    gas = any(name in GASES for name in candidate.quantities)
    if gas and candidate.evidence.startswith(FROM_MEMORY):
        lines.append("# accept_unverified = true  # ?")
    return lines


def _toml(value: Any) -> str:
    """A value in TOML.  msgspec has a writer only beside another library."""
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case dict():
            inner = ", ".join(f"{_toml_key(key)} = {_toml(item)}" for key, item in value.items())
            return f"{{ {inner} }}"
        case list() | tuple():
            return f"[{', '.join(_toml(item) for item in value)}]"
        case _:
            # A basic string of TOML has JSON's escapes.
            return msgspec.json.encode(str(value)).decode("utf-8")


def _toml_key(key: Any) -> str:
    text = str(key)
    bare = text.isascii() and text.replace("_", "a").replace("-", "a").isalnum()
    return text if bare else _toml(text)
