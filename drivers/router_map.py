"""Router maps: where a router tells its signal, as TOML in config/routers.

A map is checked as a whole; `RouterMapError` has a line for each mistake.  Pure but for `load`.
The grammar is explained in config/routers/http_json.toml.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from drivers.modbus_map import default_dir as instruments_dir
from drivers.snmp import OID, OIDS_MAX

UNITS = ("dBm", "dB", "%", "%EL", "V", "A", "Cel", "B", "s", "/", "")
EVIDENCE = ("seen on hardware", "from datasheet", "from memory")
_SLUG = re.compile(r"[a-z][a-z0-9_]*")
_HEADER = re.compile(r"[A-Za-z0-9-]+: [ -~]*")
INDEX = "{index}"
"""Stands in an OID for the key `index` of the configuration."""


class RouterMapError(ValueError):
    """A map cannot be used; the text has one line for each mistake."""


class Http(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One page that is asked with GET."""

    path: str
    headers: dict[str, str] = {}


class Signal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one value means: raw * scale + offset."""

    quantity: str
    unit: str
    json: str = ""
    """Members and, from 0, places in lists, with dots between: `modem.0.rsrp`."""
    regex: str = ""
    """Its first group is the value."""
    oid: str = ""
    scale: float = 1.0
    offset: float = 0.0
    valid_min: float | None = None
    valid_max: float | None = None
    codes: dict[str, float] = {}
    """Words that stand for numbers: `LTE = 4`."""


class Map(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of router: `http`, or else SNMP."""

    title: str
    evidence: str
    http: Http | None
    signals: tuple[Signal, ...]


def default_dir() -> Path:
    """Where the maps are: beside a checkout, else where the wheel puts them."""
    return instruments_dir().parent / "routers"


def load(name: str, folder: Path) -> Map:
    """The map called `name` in `folder`, or at the path `name`.  RouterMapError."""
    path = Path(name) if "/" in name or name.endswith(".toml") else folder / f"{name}.toml"
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        known = sorted(found.stem for found in folder.glob("*.toml"))
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise RouterMapError(
            f'"{name}": no such file {path}; expected one of {", ".join(known) or "none"}, '
            f"or a path{hint}"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise RouterMapError(f"cannot read {path}: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise RouterMapError(f"{path}: not TOML: {error}") from error
    return parse(table, str(path))


def parse(table: Mapping[str, Any], file: str) -> Map:
    """A map from what TOML gives.  RouterMapError with every mistake."""
    mistakes = [
        f"{key}: unknown key, expected title, evidence, http or [[signal]]"
        for key in table
        if key not in ("title", "evidence", "http", "signal")
    ]
    title, evidence = table.get("title"), table.get("evidence")
    if not isinstance(title, str):
        mistakes.append(f"title: expected text, read {title!r}")
    if evidence not in EVIDENCE:
        mistakes.append(f"evidence: expected one of {', '.join(EVIDENCE)}, read {evidence!r}")
    http = _convert(table["http"], Http, "http", mistakes) if "http" in table else None
    if http is not None and not re.fullmatch(r"/[!-~]*", http.path):
        mistakes.append(f"http.path: expected a path like /api/status, read {http.path!r}")
    for name, value in http.headers.items() if http is not None else ():
        if not _HEADER.fullmatch(f"{name}: {value}"):
            mistakes.append(f"http.headers: expected a name and a line of text, read {name!r}")
    rows = table.get("signal")
    if not isinstance(rows, list) or not rows:
        mistakes.append("signal: expected at least one [[signal]]")
        rows = []
    found = [
        (f"[[signal]] {number}", signal)
        for number, row in enumerate(rows, 1)
        if (signal := _convert(row, Signal, f"[[signal]] {number}", mistakes)) is not None
    ]
    for where, signal in found:
        mistakes += [f"{where}: {mistake}" for mistake in _mistakes(signal, "http" in table)]
    if len(rows) > OIDS_MAX:
        mistakes.append(f"signal: expected at most {OIDS_MAX}, read {len(rows)}")
    quantities = [signal.quantity for _, signal in found]
    for name in sorted({name for name in quantities if quantities.count(name) > 1}):
        mistakes.append(f"signal: {name} is given {quantities.count(name)} times")
    if mistakes:
        raise RouterMapError("\n".join(f"{file}: {mistake}" for mistake in mistakes))
    return Map(
        title=str(title), evidence=str(evidence), http=http,
        signals=tuple(signal for _, signal in found),
    )  # fmt: skip


def _convert(raw: Any, kind: type[Any], where: str, mistakes: list[str]) -> Any:
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        mistakes.append(f"{where}: {str(error)[:1].lower()}{str(error)[1:]}")
        return None


def _mistakes(signal: Signal, http: bool) -> Iterator[str]:
    if not _SLUG.fullmatch(signal.quantity):
        yield f"quantity: expected a name like rsrp, read {signal.quantity!r}"
    if signal.unit not in UNITS:
        known = ", ".join(filter(None, UNITS))
        yield f"unit: expected one of {known} or none, read {signal.unit!r}"
    wanted = ("json", "regex") if http else ("oid",)
    given = [key for key in ("json", "regex", "oid") if getattr(signal, key)]
    if len(given) != 1 or given[0] not in wanted:
        how = "over HTTP" if http else "over SNMP (there is no [http])"
        yield f"expected one of {' or '.join(wanted)} {how}, read {' and '.join(given) or 'none'}"
    if signal.oid and not OID.fullmatch(signal.oid.removeprefix(".").replace(INDEX, "1")):
        yield f"oid: expected numbers with dots between, read {signal.oid!r}"
    if signal.regex:
        try:
            groups = re.compile(signal.regex).groups
        except re.error as error:
            yield f"regex: {error}, read {signal.regex!r}"
        else:
            if groups < 1:
                yield f"regex: expected a group around the value, read {signal.regex!r}"
    low, high = signal.valid_min, signal.valid_max
    if low is not None and high is not None and low >= high:
        yield f"valid_min: expected less than valid_max {high:g}, read {low:g}"
    if signal.scale == 0:
        yield "scale: expected a number other than 0"
