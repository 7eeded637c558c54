"""TOML to frozen structs, with every mistake of a file in one go.

A mistake reads `file:line: [table] key: expected ..., read ...; did you mean ...?`.
"""

from __future__ import annotations

import datetime as dt
import difflib
import math
import re
import tomllib
import types
import typing
from collections.abc import Iterable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any, Self, TypeVar

import msgspec

from drivers.address import without_secrets

T = TypeVar("T", bound=msgspec.Struct)

_HEADER = re.compile(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"""\s*(?:"([^"]+)"|'([^']+)'|([A-Za-z0-9_.-]+))\s*=(.*)$""", re.DOTALL)
_PLAIN = {
    str: "text", bool: "true or false", int: "a whole number", float: "a number",
    dt.date: "a date (2026-01-31)",
}  # fmt: skip

Where = tuple[str | int, ...]
"""A place in a document: ("source", 2, "port")."""


class ConfigError(ValueError):
    """A file that cannot be used; `mistakes` holds one sentence for each mistake."""

    def __init__(self, mistakes: Iterable[str]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(self.mistakes))


class Document:
    """A TOML file, its lines, and the mistakes found in it so far."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.mistakes: list[str] = []
        self.data: dict[str, Any] = {}
        self._lines = dict(_locate(text))
        try:
            self.data = tomllib.loads(text)
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            found = re.search(r"\(at line (\d+), column \d+\)", str(error))
            line = found.group(1) if found else str(text.count("\n") + 1)
            self.mistakes.append(f"{name}:{line}: not TOML: {error}")

    @classmethod
    def read(cls, path: Path) -> Self:
        """ConfigError where the file cannot be read or is not UTF-8."""
        try:
            # An editor of Windows may begin a file with a byte order mark.
            return cls(str(path), path.read_text(encoding="utf-8-sig"))
        except OSError as error:
            raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from error
        except UnicodeDecodeError as error:
            raise ConfigError(
                [f"{path}: expected UTF-8 text, read the byte 0x{error.object[error.start]:02x} "
                 f"at offset {error.start}"]
            ) from error  # fmt: skip

    def line(self, where: Where) -> int:
        """The line of a key, else of the nearest table around it, else 1."""
        while where:
            for place in (where, (*where, 0)):
                if place in self._lines:
                    return self._lines[place]
            where = where[:-1]
        return 1

    def mistake(self, where: Where, sentence: str) -> None:
        """Report `sentence` about the key at `where`."""
        *outer, key = [word for word in where if isinstance(word, str)]
        head = f"[{'.'.join(outer)}] " if outer else ""
        place = f"{self.name}:{self.line(where)}"
        self.mistakes.append(f"{place}: {head}{key}: {without_secrets(sentence)}")

    def raise_mistakes(self) -> None:
        """ConfigError with all of them, in the order of the file, if there are any; those of
        another file stand behind."""
        if self.mistakes:
            raise ConfigError(sorted(dict.fromkeys(self.mistakes), key=self._line_of))

    def _line_of(self, sentence: str) -> float:
        rest = sentence.removeprefix(f"{self.name}:")
        return int(rest.split(":", 1)[0]) if rest != sentence else math.inf


def _locate(text: str) -> Iterator[tuple[Where, int]]:
    """Where each table and key begins.  Follows strings and brackets over several lines."""
    counts: dict[tuple[str, ...], int] = {}
    table: Where = ()
    closing = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if closing in ('"""', "'''"):
            closing = "" if closing in line else closing
            continue
        if closing:
            closing = _still_open(closing, line)
            continue
        if header := _HEADER.match(line):
            table = _enter(header, counts)
            yield table, number
        elif found := _KEY.match(line):
            key = found.group(1) or found.group(2) or found.group(3)
            words = (key,) if found.group(3) is None else tuple(key.split("."))
            yield (*table, *words), number
            closing = _opens(found.group(4))


def _enter(header: re.Match[str], counts: dict[tuple[str, ...], int]) -> Where:
    words = tuple(word.strip().strip("\"'") for word in header.group(2).split("."))
    place: list[str | int] = []
    for depth in range(1, len(words) + 1):
        place.append(words[depth - 1])
        name = words[:depth]
        if depth == len(words) and header.group(1) == "[[":
            counts[name] = counts.get(name, -1) + 1
            for inner in [key for key in counts if key[:depth] == name and key != name]:
                del counts[inner]
        if name in counts:
            place.append(counts[name])
    return tuple(place)


def _opens(value: str) -> str:
    for quote in ('"""', "'''"):
        if value.count(quote) == 1:
            return quote
    return _still_open("", value)


def _still_open(depth: str, line: str) -> str:
    """Brackets still open after `line`, as a string of them (its length is the depth)."""
    bare = re.sub(r"""("(?:\\.|[^"\\])*"|'[^']*')""", "", line).split("#")[0]
    count = len(depth) + sum(bare.count(c) for c in "[{") - sum(bare.count(c) for c in "]}")
    return "[" * max(0, count)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?`, or nothing where no known word is near."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""


def build(document: Document, kind: type[T], table: Any, where: Where) -> T | None:
    """A struct of `kind` from a table; None where mistakes were found (and reported).

    A struct may bring `mistakes()`, an iterable of (key, sentence) for what types cannot say.
    """
    if not isinstance(table, dict):
        document.mistake(where, _not_a_table(table, str(where[-1])))
        return None
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    for key in table:
        if key not in fields:
            hint = did_you_mean(key, fields) or f"; known are {', '.join(sorted(fields))}"
            document.mistake((*where, key), f"unknown key{hint}")
    values: dict[str, Any] = {}
    before = len(document.mistakes)
    for key, field in fields.items():
        if key in table:
            values[field.name] = value_of(document, field.type, table[key], (*where, key))
        elif field.required:
            document.mistake((*where, key), f"missing; expected {describe(field.type)}")
    if len(document.mistakes) > before:
        return None
    made = kind(**values)
    for key, sentence in getattr(made, "mistakes", tuple)():
        document.mistake((*where, key), sentence)
    return made if len(document.mistakes) == before else None


def _not_a_table(value: Any, name: str) -> str:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return f"expected one table [{name}], read a list of tables [[{name}]]"
    return f"expected a table, read {_shown(value)}"


def value_of(document: Document, kind: Any, value: Any, where: Where) -> Any:
    """`value` as `kind`, or a reported mistake."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return value
    if origin in (typing.Union, types.UnionType):
        inner = [arg for arg in args if arg is not type(None)]
        if len(inner) == 1:
            return value_of(document, inner[0], value, where)
    if _is_struct(kind):
        return build(document, kind, value, where)
    if origin in (list, tuple) and args and isinstance(value, list):
        items = [value_of(document, args[0], v, (*where, i)) for i, v in enumerate(value)]
        return tuple(items) if origin is tuple else items
    if origin is dict and isinstance(value, dict):
        return {k: value_of(document, args[1], v, (*where, k)) for k, v in value.items()}
    try:
        made = msgspec.convert(value, kind)
    except msgspec.ValidationError:
        document.mistake(where, _not_of(kind, value, str(where[-1])))
        return None
    if isinstance(made, float) and not math.isfinite(made):
        # TOML has inf and nan; no set point, time or rate of ours is one.
        document.mistake(where, f"expected {describe(kind)}, read {made}")
    return made


def _not_of(kind: Any, value: Any, name: str) -> str:
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (list, tuple) and isinstance(value, dict) and (args[0] is dict or _table(args[0])):
        return f"expected a list of tables [[{name}]], read one table [{name}]"
    hint = did_you_mean(str(value), choices) if (choices := _choices(kind)) else ""
    return f"expected {describe(kind)}, read {_shown(value)}{hint}"


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _table(kind: Any) -> bool:
    return _is_struct(kind) or kind is dict or typing.get_origin(kind) is dict


def _choices(kind: Any) -> list[str]:
    if isinstance(kind, type) and issubclass(kind, Enum):
        return [str(member.value) for member in kind]
    if typing.get_origin(kind) is typing.Literal:
        return [str(value) for value in typing.get_args(kind)]
    return []


def describe(kind: Any) -> str:
    """A type in words."""
    if kind in _PLAIN:
        return _PLAIN[kind]
    if choices := _choices(kind):
        return f"one of {', '.join(choices)}"
    if _table(kind):
        return "a table"
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(describe(arg) for arg in args if arg is not type(None))
    if origin is typing.Annotated:
        return _annotated(args[0], args[1:])
    if origin in (list, tuple):
        what = "tables" if _table(args[0]) else describe(args[0])
        return f"a list of {what}"
    return str(getattr(kind, "__name__", kind))


_BOUNDS = {
    "gt": "above {}", "ge": "{} or more", "lt": "below {}", "le": "at most {}",
    "multiple_of": "a multiple of {}", "min_length": "not shorter than {}",
    "max_length": "not longer than {}", "pattern": "like {}",
}  # fmt: skip


def _annotated(kind: Any, notes: tuple[Any, ...]) -> str:
    """As its author puts it, else the type with its bounds."""
    metas = [note for note in notes if isinstance(note, msgspec.Meta)]
    if stated := next((meta.description for meta in metas if meta.description), None):
        return stated
    bounds = [
        text.format(getattr(meta, name))
        for meta in metas
        for name, text in _BOUNDS.items()
        if getattr(meta, name) is not None
    ]
    return ", ".join([describe(kind), *bounds])


def _shown(value: Any) -> str:
    """As TOML would write it, shortened."""
    match value:
        case bool():
            text = str(value).lower()
        case dt.date() | dt.time():
            text = value.isoformat()
        case dict():
            text = "a table"
        case _:
            text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
