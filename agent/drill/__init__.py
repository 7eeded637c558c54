"""A drill on a laptop: scenario, world, instruments' twins, ordinary agents, report."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

PORT = 8765
HOST = "127.0.0.1"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of `outpost drill`."""
    add = parser.add_argument
    add("scenario", metavar="SCENARIO", help="a name in config/scenarios, or a .toml file")
    add("--seed", type=int, metavar="N", help="of the world; the same seed, the same world")
    add("--speed", type=_positive, default=1.0, metavar="X",
        help="of the scenario's clock; agents, wires and links run in real time")  # fmt: skip
    add("--duration", type=_positive, metavar="S",
        help="real seconds; default: until the scenario's own end")  # fmt: skip
    add("--headless", action="store_true", help="no page for people; a WebRTC viewer for each unit")
    add("--no-video", action="store_true", help="no cameras and no viewers")
    add("--broker", metavar="URL", help="mqtt://[user[:password]@]host[:port], or mqtts://...; "
        "default: one of the drill's own")  # fmt: skip
    add("--host", default=HOST, help="the page's address")
    add("--port", type=_port, metavar="N", help=f"the page's port; default {PORT}, or a free one")
    add("--summary", type=Path, metavar="FILE", help="write the report as JSON when it ends")
    add("--lang", choices=("zh", "en"), default=_language(), help="of the report and the page")


def main(args: argparse.Namespace) -> int:
    """Play a drill; the exit status: 0 good (or interrupted), 1 not, 2 used wrongly."""
    try:
        from agent.drill.play import play

        return play(args)
    except KeyboardInterrupt:
        # Ctrl-C before there was anything to end.
        return 0


def _language() -> str:
    locale = os.environ.get("LC_ALL") or os.environ.get("LC_MESSAGES") or os.environ.get("LANG", "")
    return "zh" if locale.startswith("zh") else "en"


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"expected a number above 0, read {text!r}")
    return value


def _port(text: str) -> int:
    value = int(text) if text.isdecimal() else -1
    if not 0 <= value <= 65535:
        raise argparse.ArgumentTypeError(f"expected 0 to 65535, read {text!r}")
    return value
