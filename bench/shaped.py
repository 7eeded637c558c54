"""A link that narrows and widens: what becomes of pictures, readings and alarms.

A whole agent at one end (four gas modules on ptys, the scene as its camera), a broker and a
Chromium at the other, and between them tbf, iptables and a TUN device (bench/tun_link.py).  Prints
a table and writes a plot: `python -m bench.shaped [--svg FILE]`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec

from bench import plot
from bench.figure import Figure, figure, percentile, table
from bench.rig import OUTPOST, BenchError, Gauge, configuration, gauge, module, running
from bench.shaped_center import PORT, Notes
from bench.tun_link import FAR, Shape, far_end, isolate, shape_here

PHASES = (
    ("2 Mbit/s", 25.0, Shape(2000, 0.02)),
    ("256 kbit/s", 25.0, Shape(256, 0.02)),
    ("64 kbit/s", 25.0, Shape(64, 0.02)),
    ("256 kbit/s again", 20.0, Shape(256, 0.02)),
    ("2 Mbit/s again", 20.0, Shape(2000, 0.02)),
    ("512 kbit/s, 600 ms", 25.0, Shape(512, 0.3)),
    ("512 kbit/s, 600 ms, 5 % loss", 25.0, Shape(512, 0.3, 0.05)),
)
"""600 ms is a round trip."""
SETTLE_S = 5.0
"""So long the rate may take to follow."""
SOURCES = ("gas", "gas-2", "gas-3", "gas-4")
READING_S = 0.5
"""Each of them, one after the other: eight readings a second."""
ALARM_EVERY = 10
"""Readings of the first between two of its alarms."""
QUIET, ALARM = 100, 900
"""Tenths of a ppm of carbon monoxide: below and far above the set points."""
MEDIA = """
[[camera]]
name = "front"
source = "scene"
"""


class Phase(msgspec.Struct, frozen=True):
    name: str
    start: float
    end: float
    shape: Shape


class Said(msgspec.Struct, frozen=True):
    """A reading."""

    at: float
    source: str
    value: float


class Played(msgspec.Struct):
    """What the instruments said."""

    readings: list[Said] = []


async def _play(instruments: list[Gauge], played: Played) -> None:
    """Values that tell one reading from the next; an alarm now and then."""
    for n in itertools.count(1):
        for name, instrument in zip(SOURCES, instruments, strict=True):
            alarm = name == SOURCES[0] and n % ALARM_EVERY in (0, 1)
            counts = (ALARM if alarm else QUIET) + n % 97
            played.readings.append(Said(time.time(), name, counts / 10))
            instrument.play(counts)
            await asyncio.sleep(READING_S / len(SOURCES))


async def _run() -> tuple[list[Phase], Played, Notes]:
    with (
        tempfile.TemporaryDirectory(prefix="outpost-bench-") as folder,
        contextlib.ExitStack() as stack,
        far_end("bench.shaped_center") as (channel, link),
    ):
        instruments = [stack.enter_context(gauge()) for _ in SOURCES]
        channel.setblocking(False)
        reader, writer = await asyncio.open_unix_connection(sock=channel, limit=1 << 25)
        config = Path(folder) / "agent.toml"
        config.write_text(_config(folder, [one.device for one in instruments]))
        shape_here(PHASES[0][2])
        async with asyncio.timeout(60):
            if not json.loads(await reader.readline() or "{}").get("ready"):
                raise BenchError("the far end did not start")
        with running([*OUTPOST, "run", "--config", str(config)]):
            played = Played()
            playing = asyncio.create_task(_play(instruments, played))
            try:
                phases = await _phases(writer, link)
            finally:
                playing.cancel()
            writer.write(b'{"end": true}\n')
            async with asyncio.timeout(60):
                notes = msgspec.json.decode(await reader.readline(), type=Notes)
        writer.close()
    return phases, played, notes


def _config(folder: str, devices: list[str]) -> str:
    sources = "".join(module(port, name) for name, port in zip(SOURCES, devices, strict=True))
    text = configuration(Path(folder), PORT, sources).replace("[media]\nenabled = false\n", "")
    return text.replace('host = "127.0.0.1"', f'host = "{FAR}"') + MEDIA


async def _phases(writer: asyncio.StreamWriter, link: Any) -> list[Phase]:
    phases = []
    for number, (name, seconds, shape) in enumerate(PHASES):
        shape_here(shape)
        link.delay_s = shape.delay_s
        writer.write(json.dumps({"shape": msgspec.to_builtins(shape)}).encode() + b"\n")
        if number == 0:
            await asyncio.sleep(5.0)  # the agent starts
            writer.write(b'{"watch": true}\n')
        start = time.time()
        print(f"{name} ...", file=sys.stderr, flush=True)  # noqa: T201
        await asyncio.sleep(seconds)
        phases.append(Phase(name, start, time.time(), shape))
    return phases


# What it came to.


class Row(msgspec.Struct):
    """One phase."""

    phase: Phase
    kbit_s: float
    """Video received, once settled."""
    follows_s: float | None
    """From the change until what is received fits the link and uses a good part of it."""
    fps: float
    freeze_s: float
    """The longest time without a new picture."""
    width: int
    reading_ms: list[float]
    """Delays beyond the link's own."""
    alarm_ms: list[float]


def rows(phases: list[Phase], played: Played, notes: Notes) -> list[Row]:
    return [_row(phase, played, notes) for phase in phases]


def _row(phase: Phase, played: Played, notes: Notes) -> Row:
    stats = [s for s in notes.stats if phase.start <= s["t"] < phase.end]
    rates = video_rates(stats)
    settled = [rate for at, rate in rates if at > phase.start + SETTLE_S]
    frames = [at for at in notes.frames if phase.start <= at < phase.end]
    # A gap belongs to the phase in which it ends.
    before = [at for at in notes.frames if at < phase.start][-1:]
    gaps = [b - a for a, b in itertools.pairwise([*before, *frames, phase.end])]
    own_ms = phase.shape.delay_s * 1000
    return Row(
        phase=phase,
        kbit_s=sum(settled) / len(settled) if settled else 0.0,
        follows_s=_follows(rates, phase),
        fps=len(frames) / (phase.end - phase.start),
        freeze_s=max(gaps, default=phase.end - phase.start),
        width=int(stats[-1].get("frameWidth", 0)) if stats else 0,
        reading_ms=[d - own_ms for d in _delays(played.readings, notes.readings, phase)],
        alarm_ms=[
            (came - made) * 1000 - own_ms
            for came, made in notes.alarms
            if phase.start <= made < phase.end
        ],
    )


def video_rates(stats: list[dict[str, Any]], over: int = 4) -> list[tuple[float, float]]:
    """Kilobits a second over some samples (a second)."""
    out = []
    for a, b in zip(stats, stats[over:], strict=False):
        size = b.get("bytesReceived", 0) - a.get("bytesReceived", 0)
        if size >= 0:
            out.append((b["t"], size / 125 / (b["t"] - a["t"])))
    return out


def _follows(rates: list[tuple[float, float]], phase: Phase) -> float | None:
    """The first second that fits (tbf lets no more through), uses 40 % of what there is (of
    1 Mbit/s at most, which the scene needs), and is followed by three of that kind."""
    need = 0.4 * min(phase.shape.kbit_s, 1000)
    for n, (at, _) in enumerate(rates):
        after = [rate for t, rate in rates[n:] if t - at <= 3.0]
        if min(after) >= need * 0.5 and sum(after) / len(after) >= need:
            return at - phase.start
    return None


def _delays(sent: list[Said], got: list[tuple[float, str, float]], phase: Phase) -> list[float]:
    """Of readings that were made in the phase, ms.  One that did not come at all counts as the time
    until the end of the run."""
    out = []
    end = got[-1][0] if got else phase.end
    for said in sent:
        if phase.start <= said.at < phase.end:
            came = next((t for t, *what in got if _is_it(said, t, what)), end)
            out.append((came - said.at) * 1000)
    return out


def _is_it(said: Said, came: float, what: list[Any]) -> bool:
    return said.at <= came < said.at + 40 and what == [said.source, said.value]


def figures(found: list[Row]) -> list[Figure]:
    out: list[Figure] = []
    for row in found:
        name = row.phase.name
        out += [
            figure(f"{name}: video", row.kbit_s, row.phase.shape.kbit_s, "kbit/s",
                   f"{row.fps:.1f} pictures/s, {row.width} wide; other: the link"),
            figure(f"{name}: follows after", row.follows_s or float("nan"), SETTLE_S, "s",
                   "other: the aim"),
            figure(f"{name}: longest freeze", row.freeze_s, 2.0, "s", "other: the aim"),
            figure(f"{name}: reading p99", percentile(row.reading_ms, 99), 1000, "ms",
                   f"beyond the link's delay, of {len(row.reading_ms)}; "
                   f"p50 {percentile(row.reading_ms, 50):.0f}, "
                   f"the slowest {max(row.reading_ms):.0f}"),
            figure(f"{name}: alarm, the slowest", max(row.alarm_ms, default=float("nan")), 1000,
                   "ms", f"beyond the link's delay, of {len(row.alarm_ms)}"),
        ]  # fmt: skip
    return out


def _plot(phases: list[Phase], played: Played, notes: Notes) -> str:
    start = phases[0].start
    rates = [(at - start, rate) for at, rate in video_rates(notes.stats)]
    frames = [at - start for at in notes.frames if at >= start]
    made = [
        said.at
        for phase in phases
        for said in played.readings
        if phase.start <= said.at < phase.end
    ]
    delays = [d for phase in phases for d in _delays(played.readings, notes.readings, phase)]
    points = [(at - start, delay) for at, delay in zip(made, delays, strict=True)]
    return plot.svg(phases, rates, frames, points)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.shaped", description=__doc__)
    parser.add_argument("--svg", type=Path, default=Path("bench-shaped.svg"))
    arguments = parser.parse_args()
    isolate("bench.shaped")
    phases, played, notes = asyncio.run(_run())
    found = rows(phases, played, notes)
    print(table(figures(found)))  # noqa: T201
    arguments.svg.write_text(_plot(phases, played, notes), encoding="utf-8")
    print(f"plot: {arguments.svg}", file=sys.stderr)  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
