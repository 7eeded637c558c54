"""`outpost selftest`: the check before use of the unit that runs on this machine.

Asks on the terminal what only a person knows: whether the air is clean, and that test gas is given.
Exit status 0: ready, or ready with warnings; 1: not ready, or it could not be checked.
"""

from __future__ import annotations

import argparse
import asyncio
import getpass
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from agent import control
from agent.messages.selftest import SelftestReport, SelftestStatus
from agent.selftest import words
from agent.selftest.judge import NOT_READY

POLL_S = 0.2
CHECK_S = 30.0
YES = frozenset({"y", "yes", "是"})


class _Failure(Exception):
    """Why there is no result."""


class _Bump(msgspec.Struct, frozen=True):
    source: str
    quantity: str
    concentration: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--config", type=Path, metavar="FILE", help="the unit's configuration")
    where.add_argument("--dir", type=Path, metavar="DIR", help="its [store] dir instead")
    parser.add_argument(
        "--clean-air", action="store_true", help="I state that the air at the unit is clean"
    )
    parser.add_argument(
        "--bump", action="append", default=[], type=_bump, metavar="SOURCE=GAS:CONCENTRATION",
        help="test gas at a sensor, in its unit; may be repeated",
    )  # fmt: skip
    parser.add_argument("--by", metavar="NAME", help="who checks; else this machine's user")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--no-input", action="store_true", help="ask nothing")


def _bump(text: str) -> _Bump:
    source, equals, rest = text.partition("=")
    quantity, colon, number = rest.partition(":")
    try:
        if not (source and equals and quantity and colon):
            raise ValueError
        return _Bump(source, quantity, float(number))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected SOURCE=GAS:CONCENTRATION, as gas1=cl2:5, read {text!r}"
        ) from None


def main(args: argparse.Namespace) -> int:
    from agent.settings.remote import Remote
    from agent.settings.toml import ConfigError

    folder = args.dir
    if folder is None:
        try:
            folder = Path(Remote.load(args.config)[0].store.dir)
        except ConfigError as error:
            sys.stderr.writelines(f"{mistake}\n" for mistake in error.mistakes)
            return 2
    try:
        return asyncio.run(_Check(folder, args).run())
    except _Failure as error:
        sys.stderr.write(f"selftest: {error}\n")
        return 1


class _Check:
    def __init__(self, folder: Path, args: argparse.Namespace) -> None:
        self._folder = folder
        self._args = args
        self._by = args.by or getpass.getuser()
        self._asks = sys.stdin.isatty() and not args.no_input and not args.json

    async def run(self) -> int:
        status = await self._status()
        if self._args.clean_air or await self._yes(
            "此处空气洁净吗？ Is the air here clean? [y/N] "
        ):
            status = await self._status("selftest.zero", by=self._by)
        bumps = self._args.bump or await self._gases(status.sensors)
        for bump in bumps:
            await self._give(bump)
        report, status = await self._result()
        if self._args.json:
            sys.stdout.write(msgspec.json.encode({"report": report, "status": status}).decode())
            sys.stdout.write("\n")
        else:
            self._show(report, status)
        return int(report.result == NOT_READY)

    async def _ask(self, what: str, **args: Any) -> dict[str, Any]:
        try:
            answer = await control.ask(self._folder, what, 5.0, args)
        except (OSError, TimeoutError) as error:
            raise _Failure(
                f"no agent answers at {self._folder}: {error or 'no answer'}; is it running?"
            ) from error
        if not answer["ok"]:
            raise _Failure(answer["error"])
        return answer

    async def _status(self, what: str = "selftest.look", **args: Any) -> SelftestStatus:
        answer = await self._ask(what, **args)
        return msgspec.convert(answer["selftest"], SelftestStatus)

    async def _line(self, question: str) -> str:
        if not self._asks:
            return ""
        sys.stdout.write(question)
        sys.stdout.flush()
        line: str = await asyncio.to_thread(sys.stdin.readline)
        return line.strip()

    async def _yes(self, question: str) -> bool:
        return (await self._line(question)).lower() in YES

    async def _gases(self, sensors: tuple[str, ...]) -> list[_Bump]:
        found = []
        for sensor in sensors:
            while text := await self._line(
                f"{sensor}：标准气体浓度（回车跳过） concentration of the test gas (Enter: skip) "
            ):
                source, _, quantity = sensor.partition("/")
                try:
                    found.append(_Bump(source, quantity, float(text)))
                except ValueError:
                    sys.stdout.write(f"expected a number, read {text!r}\n")
                else:
                    break
        return found

    async def _give(self, bump: _Bump) -> None:
        key = f"{bump.source}/{bump.quantity}"
        self._tell(f"→ {key}：请通气 apply {bump.concentration:g} now …")
        status = await self._status(
            "selftest.bump", source=bump.source, quantity=bump.quantity,
            concentration=bump.concentration, by=self._by,
        )  # fmt: skip
        while status.bumping == key:
            await asyncio.sleep(POLL_S)
            status = await self._status()
        for test in status.bumps:
            if (test.source, test.quantity) == (bump.source, bump.quantity):
                self._tell(words.tested(test))

    async def _result(self) -> tuple[SelftestReport, SelftestStatus]:
        status = await self._status("selftest.run", by=self._by)
        until = time.monotonic() + CHECK_S
        while status.state == "running":
            if time.monotonic() > until:
                raise _Failure(f"no result within {CHECK_S:g} s")
            await asyncio.sleep(POLL_S)
            status = await self._status()
        answer = await self._ask("selftest.look")
        if answer["report"] is None:
            raise _Failure("the check ended without a result; see the agent's log")
        return msgspec.convert(answer["report"], SelftestReport), status

    def _show(self, report: SelftestReport, status: SelftestStatus) -> None:
        for item in report.items:
            sys.stdout.write(f"{words.line(item)}\n")
        sys.stdout.write(f"= {words.both(words.STATES[report.result])}；{report.by}；")
        sys.stdout.write(f"{words.both(words.SIGNED[status.signed])}\n")

    def _tell(self, line: str) -> None:
        out = sys.stderr if self._args.json else sys.stdout
        out.write(f"{line}\n")
        out.flush()
