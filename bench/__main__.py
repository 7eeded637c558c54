"""Run the measurements, print the table, write bench/results.json."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import sys

from bench.figure import RESULTS, Figure, table, write
from bench.rig import BenchError

MEASUREMENTS = (
    "latency",
    "lamp",
    "load",
    "lines",
    "cold",
    "drill",
    "media",
    "slow_link",
    "drain",
    "waiting",
)
"""Modules of this folder with `async measure() -> list[Figure]`."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", choices=MEASUREMENTS, action="append", help="may be repeated")
    chosen = parser.parse_args().only or MEASUREMENTS
    figures: list[Figure] = []
    failed = False
    for name in chosen:
        print(f"measuring {name} ...", file=sys.stderr, flush=True)  # noqa: T201
        try:
            figures += asyncio.run(importlib.import_module(f"bench.{name}").measure())
        except BenchError as error:
            failed = True
            print(f"{name}: {error}", file=sys.stderr)  # noqa: T201
    print(table(figures))  # noqa: T201
    write(figures)
    print(f"written to {RESULTS.relative_to(RESULTS.parents[1])}", file=sys.stderr)  # noqa: T201
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
