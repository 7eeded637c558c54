"""Run the measurements, print the table, write bench/results.json."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import sys

from bench.figure import RESULTS, Figure, table, write
from bench.rig import BenchError

MEASUREMENTS = {
    "latency": ("pty to subscriber",),
    "lamp": ("frame on the pty to lamp",),
    "load": ("memory RSS", "memory PSS", "CPU"),
    "lines": ("32 lines",),
    "cold": ("start to first PUBLISH",),
    "drill": ("drill to first",),
    "media": ("video sender", "picture in to decoded", "first picture of a new viewer"),
    "slow_link": ("slow link",),
    "sustained": ("sustained",),
    "drain": ("backlog drained", "live p99", "live p50", "memory RSS at the end of the drain"),
    "waiting": ("start with a million waiting", "memory RSS, a million waiting"),
}
"""Modules of this folder with `async measure() -> list[Figure]`, and how their rows begin."""


def measured_by(name: str) -> str | None:
    """The module of this name, or with the row of which this is the name or its beginning."""
    if name in MEASUREMENTS:
        return name
    found = [
        (name.startswith(row), len(row), module)
        for module, rows in MEASUREMENTS.items()
        for row in rows
        if name.startswith(row) or row.startswith(name)
    ]
    # `memory RSS, a million waiting` is the row of `waiting`, not that of `load`.
    return max(found)[2] if found else None


def _known(name: str) -> str:
    if measured_by(name) is None:
        rows = ", ".join(row for rows in MEASUREMENTS.values() for row in rows)
        known = ", ".join(MEASUREMENTS)
        raise argparse.ArgumentTypeError(f"expected one of {known}, or a row ({rows} ...)")
    return name


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--only", type=_known, action="append", metavar="MODULE|ROW",
        help="a module of this folder or the beginning of a row's name; may be repeated",
    )  # fmt: skip
    wanted = parser.parse_args().only or list(MEASUREMENTS)
    figures: list[Figure] = []
    failed = False
    for module in dict.fromkeys(measured_by(name) or name for name in wanted):
        print(f"measuring {module} ...", file=sys.stderr, flush=True)  # noqa: T201
        try:
            figures += asyncio.run(importlib.import_module(f"bench.{module}").measure())
        except BenchError as error:
            failed = True
            print(f"{module}: {error}", file=sys.stderr)  # noqa: T201
    figures = [one for one in figures if any(_is_wanted(one, name) for name in wanted)]
    print(table(figures))  # noqa: T201
    write(figures)
    print(f"written to {RESULTS.relative_to(RESULTS.parents[1])}", file=sys.stderr)  # noqa: T201
    return int(failed)


def _is_wanted(one: Figure, name: str) -> bool:
    return name in MEASUREMENTS or one.name.startswith(name)


if __name__ == "__main__":
    sys.exit(main())
