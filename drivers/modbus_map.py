"""Modbus maps: which registers to read, and what they mean, as TOML in config/instruments.

A map is checked as a whole; `MapError` names every mistake with its file, table and key.  Pure but
for `load`.  The grammar is explained in config/instruments/gas_transmitter.toml.
"""

from __future__ import annotations

import difflib
import inspect
import math
import re
import struct
import sysconfig
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec

from drivers import Quality

COUNT_MAX = 125
"""Registers of one question (Modbus Application Protocol 6.3, 6.4)."""

_UNITS = frozenset(
    "ppm ppb /100 %LEL mg/m3 ug/m3 Cel %RH hPa m/s deg dB lx mm cm m W/m2 uSv/h V A".split()
)
_TYPES = {"i16": ("h", 1), "u16": ("H", 1), "i32": ("i", 2), "u32": ("I", 2), "f32": ("f", 2)}
_ORDERS = {
    ("ABCD", 2): (0, 1, 2, 3),
    ("CDAB", 2): (2, 3, 0, 1),
    ("BADC", 2): (1, 0, 3, 2),
    ("DCBA", 2): (3, 2, 1, 0),
    ("AB", 1): (0, 1),
    ("BA", 1): (1, 0),
}
_SLUG = re.compile(r"[a-z][a-z0-9_]*")
_BITS = re.compile(r"(\d{1,2})(?:-(\d{1,2}))?")

Registers = Mapping[tuple[int, int], int]
"""(function, register) -> the 16 bits that the unit gave."""


class MapError(ValueError):
    """A map cannot be used; the text has one line for each mistake."""


class _Table(msgspec.Struct, frozen=True, kw_only=True):
    pass


class Read(_Table, frozen=True, kw_only=True):
    """One question."""

    function: Literal[3, 4] = 3
    start: int
    count: int


class Code(_Table, frozen=True, kw_only=True):
    """Bits of a register, and what their values stand for."""

    register: int
    bits: str = "0-15"
    codes: dict[str, str | int]

    def read(self, registers: Registers, function: int) -> int:
        """The bits, as a number."""
        low, high = _bit_range(self.bits)
        return registers[function, self.register] >> low & (1 << high - low + 1) - 1

    def lookup(self, code: int, also: str = "") -> str | int | None:
        """What `code` stands for; an entry `"CODE ALSO"` is more exact and wins."""
        found = {_code_of(key): meaning for key, meaning in self.codes.items()}
        return found.get((code, also), found.get((code, "")))


class Scaled(_Table, frozen=True, kw_only=True):
    """A register with the type, scale and decimals of the value beside it."""

    register: int


class Quantity(_Table, frozen=True, kw_only=True):
    """What one value means: raw * scale / 10^decimals + offset."""

    name: str | Code | None = None
    unit: str | Code
    register: int
    function: Literal[3, 4] = 3
    type: Literal["i16", "u16", "i32", "u32", "f32"] = "i16"
    order: str = ""
    scale: float = 1.0
    offset: float = 0.0
    decimals: int | Code = 0
    full_scale: float | Scaled | None = None
    quality: Code | tuple[Code, ...] | None = None
    """Several: the first that is neither good nor cal_due counts."""
    valid_min: float | None = None
    valid_max: float | None = None
    once: bool = False
    """Of the head and not of the cell: taken from one address only."""

    @property
    def states(self) -> tuple[Code, ...]:
        """All that speaks about the quality, in its order."""
        if self.quality is None:
            return ()
        return (self.quality,) if isinstance(self.quality, Code) else self.quality

    def number(self, registers: Registers, at: int | None = None) -> float:
        """The scaled value of the register (of register `at`, where given); NaN where f32 is."""
        letter, words = _TYPES[self.type]
        first = self.register if at is None else at
        data = b"".join(
            registers[self.function, first + word].to_bytes(2, "big") for word in range(words)
        )
        order = _ORDERS[self.order or "ABCD"[: 2 * words], words]
        raw = struct.unpack(">" + letter, bytes(data[place] for place in order))[0]
        decimals = self.decimals
        if isinstance(decimals, Code):
            meaning = decimals.lookup(decimals.read(registers, self.function))
            if meaning is None:
                return math.nan
            decimals = int(meaning)
        value = raw * self.scale / 10**decimals + self.offset
        if not math.isfinite(value):
            return math.nan
        # A float of 32 bits has seven digits; more would be noise on the wire.
        return float(f"{value:.7g}") if letter == "f" else round(value, 9)


class Map(_Table, frozen=True, kw_only=True):
    """One instrument."""

    title: str
    evidence: str
    """How sure: `seen on hardware`, `from datasheet`, `from memory`."""
    gap_s: float = 0.05
    """From the end of an exchange to the next question."""
    tries: int = 3
    """Questions without an answer before a unit counts as dead."""
    read: tuple[Read, ...] = ()
    """None: one question that covers all registers."""
    quantity: tuple[Quantity, ...]


def default_dir() -> Path:
    """Where the maps are: beside a checkout, else where the wheel puts them."""
    beside = Path(__file__).parents[1] / "config" / "instruments"
    if beside.is_dir():
        return beside
    return Path(sysconfig.get_path("data")) / "share" / "outpost" / "config" / "instruments"


def load(name: str, folder: Path, override: Mapping[str, Any] | None = None) -> Map:
    """The map called `name` in `folder`, or at the path `name`.

    `override`: keys of its first `[[quantity]]` that the configuration sets otherwise.
    Raises MapError.
    """
    path = Path(name) if "/" in name or name.endswith(".toml") else folder / f"{name}.toml"
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        known = sorted(found.stem for found in folder.glob("*.toml"))
        raise MapError(
            f'"{name}": no such file {path}; expected one of {", ".join(known) or "none"}, '
            f"or a path{_hint(name, known)}"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise MapError(f"cannot read {path}: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise MapError(f"{path}: not TOML: {error}") from error
    if override:
        quantities = table.get("quantity")
        if isinstance(quantities, list) and quantities and isinstance(quantities[0], dict):
            quantities[0].update(override)
    return parse(table, str(path))


def parse(table: Mapping[str, Any], file: str) -> Map:
    """A map from what TOML gives.  Raises MapError with every mistake."""
    mistakes: list[str] = []
    found = _build(Map, table, "", mistakes)
    if isinstance(found, Map):
        found = _with_reads(found)
        _check_map(found, mistakes)
    if mistakes or not isinstance(found, Map):
        raise MapError("\n".join(f"{file}: {mistake}" for mistake in mistakes))
    return found


def _build(cls: type[Any], table: Mapping[str, Any], where: str, mistakes: list[str]) -> Any:
    """`cls` from `table`, or None with the mistakes noted; unlike msgspec's own, all of them."""
    fields = {field.name: field for field in msgspec.structs.fields(cls)}
    before = len(mistakes)
    mistakes += [
        f"{where}{key}: unknown key, expected one of {', '.join(fields)}{_hint(key, fields)}"
        for key in table
        if key not in fields
    ]
    values = {}
    for name, field in fields.items():
        if name in table:
            values[name] = _value(field.type, table[name], f"{where}{name}", mistakes)
        elif field.required:
            mistakes.append(f"{where}{name}: missing")
    return cls(**values) if len(mistakes) == before else None


def _value(kind: Any, raw: Any, where: str, mistakes: list[str]) -> Any:
    inner = _struct_in(kind)
    if inner is not None and isinstance(raw, dict):
        return _build(inner, raw, f"{where}.", mistakes)
    if inner is not None and isinstance(raw, list) and all(isinstance(row, dict) for row in raw):
        return tuple(
            _build(inner, row, f"[[{where}]] {number}: ", mistakes)
            for number, row in enumerate(raw, 1)
        )
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        mistakes.append(f"{where}: {str(error)[:1].lower()}{str(error)[1:]}, read {raw!r}")
        return None


def _struct_in(kind: Any) -> type[msgspec.Struct] | None:
    for part in (kind, *get_args(kind)):
        if inspect.isclass(part) and issubclass(part, msgspec.Struct):
            return part
    return None


def _with_reads(found: Map) -> Map:
    if found.read or not found.quantity:
        return found
    needed = [place for quantity in found.quantity for place in _needs(quantity)]
    reads = []
    for function in sorted({function for function, _ in needed}):
        places = [register for of, register in needed if of == function]
        count = max(places) - min(places) + 1
        reads.append(Read(function=function, start=min(places), count=count))  # type: ignore[arg-type]
    return msgspec.structs.replace(found, read=tuple(reads))


def _needs(quantity: Quantity) -> list[tuple[int, int]]:
    """Every (function, register) from which the quantity is made."""
    words = range(_TYPES[quantity.type][1])
    places = [quantity.register + word for word in words]
    if isinstance(quantity.full_scale, Scaled):
        places += [quantity.full_scale.register + word for word in words]
    places += [code.register for _, code in _codes(quantity)]
    return [(quantity.function, place) for place in places]


def _codes(quantity: Quantity) -> list[tuple[str, Code]]:
    named = (
        ("name", quantity.name),
        ("unit", quantity.unit),
        ("decimals", quantity.decimals),
        *(("quality", code) for code in quantity.states),
    )
    return [(key, value) for key, value in named if isinstance(value, Code)]


def _check_map(found: Map, mistakes: list[str]) -> None:
    if not found.quantity:
        mistakes.append("quantity: expected at least one [[quantity]]")
    if found.gap_s < 0:
        mistakes.append(f"gap_s: expected 0 or more, read {found.gap_s:g}")
    if found.tries < 1:
        mistakes.append(f"tries: expected 1 or more, read {found.tries}")
    given: set[tuple[int, int]] = set()
    for number, read in enumerate(found.read, 1):
        if not 1 <= read.count <= COUNT_MAX:
            mistakes.append(f"[[read]] {number}: count: expected 1 to 125, read {read.count}")
        elif not 0 <= read.start <= 0x10000 - read.count:
            mistakes.append(f"[[read]] {number}: start: expected 0 to 65535, read {read.start}")
        else:
            given |= {(read.function, read.start + i) for i in range(read.count)}
    for number, quantity in enumerate(found.quantity, 1):
        mistakes += [
            f"[[quantity]] {number}: {mistake}" for mistake in _quantity_mistakes(quantity, given)
        ]


def _quantity_mistakes(quantity: Quantity, given: set[tuple[int, int]]) -> list[str]:
    mistakes = []
    words = _TYPES[quantity.type][1]
    if quantity.order and (quantity.order, words) not in _ORDERS:
        orders = [order for order, size in _ORDERS if size == words]
        mistakes.append(
            f"order: expected one of {', '.join(orders)} for a {quantity.type}, "
            f'read "{quantity.order}"'
        )
    missing = sorted({place for place in _needs(quantity) if place not in given})
    mistakes += [
        f"register {register} (function {function}) is in no [[read]]"
        for function, register in missing
    ]
    if quantity.scale == 0:
        mistakes.append("scale: expected a number other than 0")
    low, high = quantity.valid_min, quantity.valid_max
    if low is not None and high is not None and low >= high:
        mistakes.append(f"valid_min: expected less than valid_max {high:g}, read {low:g}")
    if isinstance(quantity.decimals, int) and not 0 <= quantity.decimals <= 9:
        mistakes.append(f"decimals: expected 0 to 9, read {quantity.decimals}")
    if isinstance(quantity.name, str):
        mistakes += _meaning_mistakes("name", quantity.name)
    if isinstance(quantity.unit, str):
        mistakes += _meaning_mistakes("unit", quantity.unit)
    for key, code in _codes(quantity):
        mistakes += _code_mistakes(key, code)
    return mistakes


def _code_mistakes(key: str, code: Code) -> list[str]:
    mistakes = []
    if _bit_range(code.bits) == (0, -1):
        mistakes.append(f'{key}.bits: expected "LOW-HIGH" within 0 to 15, read "{code.bits}"')
    for text, meaning in code.codes.items():
        if _code_of(text) is None:
            mistakes.append(f'{key}.codes: expected a number, read "{text}"')
        mistakes += _meaning_mistakes(f"{key}.codes.{text}", meaning)
    return mistakes


def _meaning_mistakes(where: str, meaning: str | int) -> list[str]:
    match where.partition(".")[0]:
        case "decimals":
            good = isinstance(meaning, int) and 0 <= meaning <= 9
            return [] if good else [f"{where}: expected 0 to 9, read {meaning!r}"]
        case "unit":
            return _choice_mistakes(where, meaning, sorted(_UNITS))
        case "quality":
            return _choice_mistakes(where, meaning, [quality.value for quality in Quality])
        case _:
            good = isinstance(meaning, str) and _SLUG.fullmatch(meaning) is not None
            return [] if good else [f"{where}: expected a name like h2s, read {meaning!r}"]


def _choice_mistakes(where: str, meaning: str | int, choices: list[str]) -> list[str]:
    if meaning in choices:
        return []
    hint = _hint(str(meaning), choices)
    return [f"{where}: expected one of {', '.join(choices)}, read {meaning!r}{hint}"]


def _bit_range(text: str) -> tuple[int, int]:
    """Lowest and highest bit; (0, -1) where the text names none."""
    match = _BITS.fullmatch(text)
    if match is None:
        return 0, -1
    ends = sorted(int(end) for end in match.groups() if end is not None)
    return (ends[0], ends[-1]) if ends[-1] <= 15 else (0, -1)


def _code_of(text: str) -> tuple[int, str] | None:
    number, _, also = text.partition(" ")
    try:
        return int(number, 0), also
    except ValueError:
        return None


def _hint(word: str, known: Any) -> str:
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""
