"""One target in one process: hypothesis for a part of the time, atheris (libFuzzer) for the rest.

`python -m tests.fuzz.engine atheris|hypothesis TARGET SECONDS FOLDER`.  FOLDER holds the corpus,
which later runs begin with, and `crash-...`, the input that broke something.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import random
import sys
import time
from pathlib import Path
from typing import Any

MAX_LEN = 1024
"""Longer than most frames; lasting decoders see longer streams, hypothesis has longer inputs."""
RSS_MAX_MB = 1024
HANG_S = 20
INSTRUMENTED = ("agent", "drivers")


def main(arguments: list[str]) -> int:
    engine, name, seconds, folder = arguments
    logging.disable(logging.CRITICAL)
    run = {"atheris": by_coverage, "hypothesis": by_hypothesis}[engine]
    return run(name, int(seconds), Path(folder))


def by_coverage(name: str, seconds: int, folder: Path) -> int:
    """Does not return: libFuzzer ends the process, with 0 or with 70 and more."""
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=list(INSTRUMENTED)):
        target = _target(name)
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for place, data in enumerate(target.seeds):
        (corpus / f"seed-{place:03}").write_bytes(data)
    atheris.Setup(
        [
            sys.argv[0], f"-max_total_time={seconds}", f"-max_len={MAX_LEN}",
            f"-timeout={HANG_S}", f"-rss_limit_mb={RSS_MAX_MB}", "-use_value_profile=1",
            f"-artifact_prefix={folder}/", "-print_final_stats=1", str(corpus),
        ],
        target.run,
    )  # fmt: skip
    atheris.Fuzz()
    return 0


def by_hypothesis(name: str, seconds: int, folder: Path) -> int:
    """Batches of examples until the time is over; what broke is shrunk and kept."""
    from hypothesis import HealthCheck, given, settings
    from hypothesis import seed as seeded

    from .strategies import inputs

    target = _target(name)
    smallest: list[bytes] = []

    def one(data: bytes) -> None:
        smallest[:] = [data]
        target.run(data)

    ends = time.monotonic() + seconds
    batches = 0
    while time.monotonic() < ends:
        again = settings(
            max_examples=300, deadline=None, database=None, suppress_health_check=list(HealthCheck)
        )
        with contextlib.ExitStack() as unless_passed:
            # The last example that hypothesis runs is the smallest that fails.
            unless_passed.callback(lambda: (folder / "crash-hypothesis").write_bytes(smallest[0]))
            seeded(random.getrandbits(64))(again(given(inputs(target.seeds))(one)))()
            unless_passed.pop_all()
        batches += 1
    print(f"stat::hypothesis_batches: {batches}", file=sys.stderr)  # noqa: T201
    return 0


def _target(name: str) -> Any:
    # Late, so that atheris sees the drivers and the agent being imported.
    from . import targets

    if name == "planted":
        return targets.DecoderTarget(name, importlib.import_module("tests.fuzz.planted"))
    return targets.Every() if name == "every" else targets.target(name)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
