"""`make fuzz`: every target for FUZZ_S seconds, as many at a time as there are cores."""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from .targets import names

FOLDER = Path(__file__).parents[2] / ".fuzz"
HYPOTHESIS_PART = 0.2
START_S = 120
"""A process that has not ended so long after its time hangs."""


class Outcome(NamedTuple):
    ok: bool
    text: str


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=600, help="for each target")
    parser.add_argument("--only", choices=[*names(), "every"], action="append")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="corpus and what was found")
    options = parser.parse_args()
    chosen = options.only or names()
    with ThreadPoolExecutor(options.jobs) as pool:
        runs = {
            name: pool.submit(fuzz, name, options.seconds, options.folder / name) for name in chosen
        }
        failed = 0
        for name, run in runs.items():
            outcome = run.result()
            failed += not outcome.ok
            print(f"{name:16} {outcome.text}", flush=True)  # noqa: T201
    if failed:
        print(f"{failed} of {len(chosen)} broke; what broke them is in {options.folder}")  # noqa: T201
    return int(failed > 0)


def fuzz(name: str, seconds: int, folder: Path) -> Outcome:
    """One target, in processes of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = {"hypothesis": max(1, round(seconds * HYPOTHESIS_PART))}
    if importlib.util.find_spec("atheris") is None:
        # It has no build for this processor or Python: hypothesis has all the time.
        parts["hypothesis"] = seconds
    else:
        parts["atheris"] = max(1, seconds - parts["hypothesis"])
    told = []
    for engine, share in parts.items():
        outcome = _engine(engine, name, share, folder)
        if not outcome.ok:
            return outcome
        told.append(outcome.text)
    return Outcome(True, "ok: " + ", ".join(told))


def _engine(engine: str, name: str, seconds: int, folder: Path) -> Outcome:
    log = folder / f"{engine}.log"
    command = [sys.executable, "-m", "tests.fuzz.engine", engine, name, str(seconds), str(folder)]
    with log.open("wb") as output:
        try:
            code = subprocess.run(
                command, stdout=output, stderr=output, timeout=seconds + START_S, check=False
            ).returncode
        except subprocess.TimeoutExpired:
            return Outcome(False, f"BROKE: {engine} did not end; see {log}")
    text = log.read_text("utf-8", "replace")
    if code:
        return Outcome(False, f"BROKE ({engine}, {code}): {_reason(text)}; see {log}")
    return Outcome(True, _told(engine, text))


def _told(engine: str, text: str) -> str:
    if engine == "hypothesis":
        found = re.search(r"stat::hypothesis_batches: (\d+)", text)
        return f"{300 * int(found[1]) if found else 0} examples of hypothesis"
    runs = re.search(r"stat::number_of_executed_units: *(\d+)", text)
    places = re.findall(r"cov: (\d+)", text)
    return f"{runs[1] if runs else 0} runs by coverage, {places[-1] if places else 0} places seen"


def _reason(text: str) -> str:
    """The exception's line, else libFuzzer's summary."""
    lines = re.findall(r"^(?:[\w.]*(?:Error|Exception)\b.*|SUMMARY: .*)$", text, re.MULTILINE)
    return lines[0][:200] if lines else "no reason told"


if __name__ == "__main__":
    sys.exit(main())
