"""`outpost doctor`: what this machine has, what is wrong, and which instrument hangs on a port.

It changes nothing: ports are looked at and listened to, and asked only where `--ask` says so, with
questions that no instrument takes for an order.
"""

from __future__ import annotations

import argparse
from pathlib import Path

ADDRESSES = (1, 2, 3)
"""Modbus units that are asked for where nobody says which."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, metavar="FILE", help="look at its parts as well")
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--listen", action="append", default=[], metavar="PORT", help="find out what speaks there"
    )
    which.add_argument("--all", action="store_true", help="listen on every port that is free")
    parser.add_argument(
        "--ask", action="store_true",
        help="ask silent ports, only with what cannot change a sensor (Winsen 86, Modbus 03 04)",
    )  # fmt: skip
    parser.add_argument(
        "--addresses", type=_address, nargs="+", default=ADDRESSES, metavar="N",
        help="Modbus units to ask for (1 2 3)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="findings as one JSON document")
    parser.add_argument("--lang", choices=("zh", "en"), help="default: by LANG")


def _address(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 247:
        raise ValueError
    return value


_address.__name__ = "address from 1 to 247"


def main(args: argparse.Namespace) -> int:
    """0; 1 where something of the configuration cannot work; 2 used wrongly."""
    from agent.doctor.examine import examine

    return examine(args)
