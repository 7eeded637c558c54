"""A small command post: a page for browsers, which knows the units only through MQTT.

A process of its own (`outpost console`).  This module imports none of the extra `console`, so that
`outpost --help` works without it.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import sys
from pathlib import Path

STATIC_DIR = Path(__file__).parent / "static"

WRONG_USE = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--broker", metavar="URL", help="mqtt[s]://[user[:password]@]host[:port]")
    where.add_argument(
        "--broker-file", type=Path, metavar="FILE",
        help="a file with that address: a password in it is then seen by nobody else",
    )  # fmt: skip
    parser.add_argument("--org", required=True, help="whose units, as in their [unit] org")
    parser.add_argument(
        "--exercise", action="store_true", help="show a drill's units, and no real one"
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument(
        "--port", type=int, default=8765, help="port to listen on (%(default)s; 0: any)"
    )
    parser.add_argument(
        "--token-file",
        type=Path,
        metavar="FILE",
        help="needed off loopback: one token, or a line TOKEN NAME for each operator",
    )
    parser.add_argument(
        "--instructor-token-file", type=Path, metavar="FILE", help="who has it may lead the drill"
    )
    parser.add_argument(
        "--tls-cert", type=Path, metavar="FILE",
        help="serve HTTPS with this certificate: browsers give a microphone off loopback only so",
    )  # fmt: skip
    parser.add_argument("--tls-key", type=Path, metavar="FILE", help="its key (PEM, no password)")
    parser.add_argument(
        "--tls-self-signed", type=Path, metavar="FOLDER",
        help="HTTPS with a certificate made once and kept there; its fingerprint is printed",
    )  # fmt: skip
    parser.add_argument("--lang", choices=("zh", "en"), default="zh", help="(%(default)s)")
    parser.add_argument(
        "--map", metavar="FILE.pmtiles|URL", help="base map; without it a graticule"
    )
    parser.add_argument("--map-datum", metavar="wgs84|gcj02", help="the map's datum")
    parser.add_argument(
        "--ready-file", type=Path, metavar="FILE", help="gets the page's address when it listens"
    )


def main(args: argparse.Namespace) -> int:
    """Returns the exit code: 0, or 2 where the page cannot be served as asked."""
    if importlib.util.find_spec("aiohttp") is None:
        return _refuse("the page needs the extra `console`: pip install 'outpost[console]'")

    from agent import log
    from agent.console import app, options
    from agent.settings.tables import LogConfig

    log.set_up(LogConfig())
    try:
        chosen = options.read(args, STATIC_DIR)
    except ValueError as error:
        return _refuse(str(error))
    try:
        asyncio.run(app.serve(chosen))
    except app.PortInUseError as error:
        return _refuse(str(error))
    except OSError as error:
        return _refuse(f"the page cannot be served at {chosen.host}:{chosen.port}: {error}")
    return 0


def _refuse(sentence: str) -> int:
    sys.stderr.write(f"outpost console: {sentence}\n")
    return WRONG_USE
