"""A figure of the bench, the table of them, and the file that later work adds to."""

from __future__ import annotations

from pathlib import Path

import msgspec

RESULTS = Path(__file__).parent / "results.json"


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One measured quantity, beside what it is compared with."""

    name: str
    ours: float
    other: float | None = None
    """The floor's, or a limit; None where there is nothing to compare with."""
    ratio: float | None = None
    """ours / other."""
    unit: str
    note: str = ""


def figure(name: str, ours: float, other: float | None, unit: str, note: str = "") -> Figure:
    """A figure with its ratio."""
    return Figure(
        name=name,
        ours=round(ours, 3),
        other=None if other is None else round(other, 3),
        ratio=round(ours / other, 2) if other else None,
        unit=unit,
        note=note,
    )


def percentile(values: list[float], percent: float) -> float:
    """Nearest rank.  ValueError: there are none."""
    if not values:
        raise ValueError("a percentile of no values was asked for")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def table(figures: list[Figure]) -> str:
    """The figures, one a line, columns aligned."""
    rows = [("figure", "ours", "other", "ratio", "unit", "note")]
    for item in figures:
        other = "-" if item.other is None else f"{item.other:g}"
        ratio = "-" if item.ratio is None else f"{item.ratio:.2f}"
        rows.append((item.name, f"{item.ours:g}", other, ratio, item.unit, item.note))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    return "\n".join(
        "  ".join(
            [row[0].ljust(widths[0])]
            + [row[column].rjust(widths[column]) for column in (1, 2, 3)]
            + [row[4].ljust(widths[4]), row[5]]
        ).rstrip()
        for row in rows
    )


def write(figures: list[Figure], path: Path = RESULTS) -> None:
    """Replace the figures of the same name, keep the others (a run may be a part)."""
    known: dict[str, Figure] = {}
    if path.exists():
        known = {
            item.name: item for item in msgspec.json.decode(path.read_bytes(), type=list[Figure])
        }
    known |= {item.name: item for item in figures}
    path.write_bytes(
        msgspec.json.format(msgspec.json.encode(list(known.values())), indent=2) + b"\n"
    )
