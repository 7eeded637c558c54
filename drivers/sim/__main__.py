"""`python -m drivers.sim NAME --link PATH`: one twin, for somebody who wants to try something.

Typed lines change it: a fault (`silence`, `garbage 3`, `unplug`, `restore`), values (`cl2=1.2`,
`lat=30.6 lon=114.3`), a state of the gas head (`state co warmup`), a press of the panel
(`press 17 3`).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib
import pkgutil
import signal
import sys
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Protocol

import drivers.sim
from drivers.sim import modbus, nmea, panel, winsen
from drivers.sim.line import Fault, Line
from drivers.sim.netline import NetLine


class Twin(Protocol):
    """What can be played."""

    async def run(self) -> None: ...


class TwinModule(Protocol):
    """A file of this folder that registers itself: it has these two functions."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """The options of its own command line, beside --link."""

    def build(self, line: Line, options: argparse.Namespace) -> Twin:
        """ValueError: options that do not fit together."""


Start = Callable[[Coroutine[None, None, None]], object]


def registered() -> dict[str, Any]:
    """Name -> TwinModule, of every file of the folder that is one."""
    names = [module.name for module in pkgutil.iter_modules(drivers.sim.__path__)]
    found = {
        name: importlib.import_module(f"drivers.sim.{name}") for name in names if name[0] != "_"
    }
    return {name: module for name, module in found.items() if hasattr(module, "add_arguments")}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    root = argparse.ArgumentParser(
        prog="python -m drivers.sim",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = root.add_subparsers(dest="name", required=True, metavar="NAME")
    extra = registered()
    for name in ("nmea", "winsen", "modbus", "panel", *extra):
        one = names.add_parser(name)
        where = "where the port shall appear: a path, or tcp://127.0.0.1:PORT"
        one.add_argument("--link", required=True, help=where)
        match name:
            case "nmea":
                one.add_argument("--rate-hz", type=float, default=1.0)
                one.add_argument("--no-beidou", action="store_true", help="GPS only")
            case "winsen":
                one.add_argument("--module", choices=winsen.MODULES, default="ze03")
                one.add_argument("--gas", default="")
                one.add_argument("--mode", choices=list(winsen.Mode))
            case "modbus":
                one.add_argument(
                    "--model", choices=["six_in_one", "weather_station"], default="six_in_one"
                )
                one.add_argument("--address", type=int, nargs="+", default=[1])
                one.add_argument("--gas", nargs="+", default=["co"], help="one per address")
            case _ if name in extra:
                extra[name].add_arguments(one)
    return root


def build(line: Line, options: argparse.Namespace) -> Twin:
    """The twin that the command line asks for.  ValueError: options that do not fit together."""
    match options.name:
        case "nmea":
            return nmea.Twin(line, rate_hz=options.rate_hz, beidou=not options.no_beidou)
        case "winsen":
            return winsen.Twin(line, module=options.module, gas=options.gas, mode=options.mode)
        case "modbus":
            return modbus.Twin(
                line, model=options.model, addresses=options.address, gases=options.gas
            )
        case "panel":
            return panel.Twin(line)
        case name:
            module: TwinModule = registered()[name]
            return module.build(line, options)


def obey(text: str, line: Line, twin: Twin, start: Start) -> None:
    """Do what one typed line says; `start` runs a coroutine.  ValueError: it makes no sense."""
    match text.split():
        case []:
            return
        case [fault] if fault in list(Fault):
            line.inject(Fault(fault))
        case [fault, n] if fault in list(Fault) and n.isdigit():
            line.inject(Fault(fault), int(n))
        case ["press", pin, *hold] if isinstance(twin, panel.Twin) and len(hold) <= 1:
            hold_s = float(hold[0]) if hold else 0.1
            panel.check_press(int(pin), hold_s)
            start(twin.press(int(pin), hold_s))
        case ["state", gas, state] if isinstance(twin, modbus.Twin):
            if state.upper() not in modbus.State.__members__:
                known = ", ".join(member.lower() for member in modbus.State.__members__)
                raise ValueError(f"no state {state!r}, expected one of {known}")
            twin.set_state(gas, modbus.State[state.upper()])
        case values if "=" in values[0] and hasattr(twin, "set"):
            twin.set(**dict(_value(item) for item in values))
        case _:
            raise ValueError(
                f"{text.strip()!r} is not understood, expected a fault ({', '.join(Fault)}), "
                "name=value, state GAS STATE, or press PIN SECONDS"
            )


def _value(item: str) -> tuple[str, float | None]:
    name, _, number = item.partition("=")
    try:
        return name, None if number == "none" else float(number)
    except ValueError as error:
        raise ValueError(f"{item}: expected a number or none behind the =") from error


def _listen(loop: asyncio.AbstractEventLoop, take: Callable[[str], None]) -> None:
    """Hand typed lines to the loop, from a thread: standard input may be a file, which no loop
    can watch."""
    with contextlib.suppress(RuntimeError):  # the loop has been closed
        for text in sys.stdin:
            loop.call_soon_threadsafe(take, text)


def _line(link: str) -> Line:
    """ValueError: a network link that cannot be one."""
    if not link.startswith("tcp://"):
        return Line(Path(link))
    number = link.rpartition(":")[2]
    if not number.isdecimal() or not 0 <= int(number) <= 65535:
        raise ValueError(f"{link}: expected tcp://127.0.0.1:PORT")
    return NetLine(port=int(number))


async def play(options: argparse.Namespace) -> None:
    """Play until SIGINT or SIGTERM."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with _line(options.link) as line:
        twin = build(line, options)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(twin.run(), name=f"{options.name} twin")

            def take(text: str) -> None:
                try:
                    obey(text, line, twin, tasks.create_task)
                except (ValueError, OSError) as error:
                    sys.stderr.write(f"{error}\n")

            threading.Thread(target=_listen, args=(loop, take), daemon=True).start()
            sys.stdout.write(f"{options.name} on {options.link}\n")
            sys.stdout.flush()
            await stop.wait()
            running.cancel()


def main() -> int:
    """0, or 2 with a sentence for options that cannot be played."""
    try:
        asyncio.run(play(parser().parse_args()))
    except (ValueError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
