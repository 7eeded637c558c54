"""The examination: every part in turn, told as it is found."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec

from agent import config
from agent.doctor import machine, ports, unit, words
from agent.doctor.ask import ask
from agent.doctor.finding import Finding, Level
from agent.doctor.holders import Holders
from agent.doctor.listen import Heard, listen
from agent.doctor.recognise import Candidate, toml_lines
from agent.settings import tables
from agent.settings.remote import Remote
from agent.settings.toml import ConfigError
from drivers.ports import is_network

FAILED = 1
USAGE_ERROR = 2


def examine(args: argparse.Namespace) -> int:
    """0; 1 where something of the configuration, or a port that was named, cannot work; 2."""
    if args.ask and not (args.listen or args.all):
        sys.stderr.write("--ask needs a port: --listen PORT, or --all\n")
        return USAGE_ERROR
    # While drivers are tried, what they think of each other's bytes is of no interest.
    log = logging.getLogger("drivers")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        return asyncio.run(_examine(args))
    finally:
        log.setLevel(level)


async def _examine(args: argparse.Namespace) -> int:
    report = Report(args.lang or words.language(), args.json)
    settings: config.Config | None = None
    mistakes: tuple[str, ...] = ()
    if args.config is not None:
        try:
            settings, _ = Remote.load(args.config)
        except ConfigError as error:
            mistakes = error.mistakes
    holders = Holders()
    lines = ports.find(holders=holders)
    report.take(*ports.findings(lines, holders))
    store = Path(settings.store.dir if settings else tables.StoreConfig().dir)
    report.take(*machine.findings(store=store))
    for mistake in mistakes:
        report.take(Finding(part="unit", code="mistake", level=Level.BAD, data={"detail": mistake}))
    if settings is not None:
        async for finding in unit.findings(settings, holders):
            report.take(finding)
    devices = [line.name for line in lines if line.allowed] if args.all else args.listen
    for number, device in enumerate(devices, 1):
        report.progress(device)
        async for finding in hear(device, number, holders, args.addresses if args.ask else ()):
            report.take(finding)
    report.end()
    if mistakes:
        return USAGE_ERROR
    return FAILED if report.failed else 0


class Report:
    """Findings to standard output: lines as they come, or one JSON document at the end."""

    def __init__(self, lang: str, as_json: bool) -> None:
        self.failed = False
        """Whether something that was asked for does not work."""
        self._lang = lang
        self._as_json = as_json
        self._found: list[Finding] = []
        self._part = ""

    def take(self, *findings: Finding) -> None:
        for finding in findings:
            self._found.append(finding)
            self.failed |= finding.level is Level.BAD and finding.part in ("unit", "listening")
            if not self._as_json:
                self._write(finding)

    def progress(self, device: str) -> None:
        """Listening takes seconds; whoever waits is told so."""
        sys.stderr.write(words.choose(words.PROGRESS, self._lang).format(device=device) + "\n")
        sys.stderr.flush()

    def end(self) -> None:
        if self._as_json:
            document = msgspec.json.encode({"findings": self._found})
            sys.stdout.write(msgspec.json.format(document, indent=2).decode("utf-8") + "\n")

    def _write(self, finding: Finding) -> None:
        if finding.part != self._part:
            title = words.choose(words.PARTS[finding.part], self._lang)
            sys.stdout.write(f"\n{title}\n" if self._part else f"{title}\n")
            self._part = finding.part
        sys.stdout.write(f"  {words.say(finding, self._lang)}\n")
        if lines := finding.data.get("toml"):
            sys.stdout.write(f"  {words.choose(words.LINES, self._lang)}\n\n")
            sys.stdout.writelines(f"{line}\n" for line in lines)
        sys.stdout.flush()


async def hear(
    device: str, number: int, holders: Holders, addresses: tuple[int, ...]
) -> AsyncIterator[Finding]:
    """What speaks on `device`; units at `addresses` are asked for where nothing does."""
    data: dict[str, Any] = {"device": device}
    if not is_network(device) and (held := holders.of(Path(device))):
        data["holders"] = ", ".join(str(holder) for holder in held)
        yield Finding(part="listening", code="listening_held", level=Level.WARN, data=data)
        return
    try:
        heard = await listen(device)
        if not heard.count and addresses:
            heard = await ask(device, addresses) or heard
    except OSError as error:
        data["detail"] = str(error)
        yield Finding(part="listening", code="listening_failed", level=Level.BAD, data=data)
        return
    for finding in _heard(heard, data, number, asked=bool(addresses)):
        yield finding


def _heard(heard: Heard, data: dict[str, Any], number: int, asked: bool) -> Iterator[Finding]:
    if not heard.candidates and not heard.count:
        code = "listening_mute" if asked else "listening_silent"
        yield Finding(part="listening", code=code, level=Level.WARN, data=data)
        return
    data["baudrate"] = heard.baudrate
    if not heard.candidates:
        data["count"] = heard.count
        yield Finding(part="listening", code="listening_noise", level=Level.WARN, data=data)
        return
    best, *others = heard.candidates
    lines = toml_lines(
        best, data["device"], heard.baudrate, f"{best.driver.replace('_', '-')}{number}"
    )
    sure = not best.choices
    yield Finding(
        part="listening", code="listening_found" if sure else "listening_unsure",
        level=Level.GOOD if sure else Level.WARN,
        data={**data, **_about(best), "keys": ", ".join(best.choices), "toml": lines},
    )  # fmt: skip
    for other in others:
        if other.values:
            yield Finding(part="listening", code="listening_also", data={**data, **_about(other)})


def _about(candidate: Candidate) -> dict[str, Any]:
    return {
        "driver": candidate.driver, "evidence": candidate.evidence, "frames": candidate.frames,
        "quantities": ", ".join(candidate.quantities),
    }  # fmt: skip
