"""What units may say, read off the sources: quantities, events, codes of alarms and answers.

For tests that ask whether there is a word for it.  Nothing is imported that would need a device.
"""

from __future__ import annotations

import ast
import importlib
import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from agent.alarms.freshness import ANY
from agent.alarms.standing import RANKS
from agent.refusal import REFUSED
from agent.settings.evidence import GASES
from drivers import Instrument

ROOT = Path(__file__).resolve().parents[2]
NAME = re.compile(r"[a-z][a-z0-9_]*")
UNITS = frozenset(
    "ppm ppb /100 %LEL %EL % / Cel %RH hPa m/s deg mm mm/h s min h V A W dB dBm lx W/m2 ug/m3 g/m3"
    " kg/m3 1/cm3 1/min um uSv/h GB m hits/cm2 hits/cm2/h".split()
)
"""Units beside which the name of a quantity stands in drivers."""


# -- quantities ----------------------------------------------------------------------------


def quantities() -> set[str]:
    """All that any driver, map or capture of this repository names."""
    found = {
        *GASES,
        *_in_captures(),
        *_in_maps(),
        *_in_the_manual(),
        *(name for driver in drivers() for name in _in_driver(driver)),
    }
    return found - UNITS


def drivers() -> list[str]:
    """The modules that a `[[source]]` may name."""
    found = (ROOT / "drivers").glob("*.py")
    return sorted(path.stem for path in found if "\nINSTRUMENT = " in path.read_text("utf-8"))


def _in_captures() -> Iterator[str]:
    for path in (ROOT / "tests" / "captures").glob("*.chk"):
        for line in path.read_text("utf-8").splitlines():
            if "quantity" in (sample := json.loads(line)):
                yield sample["quantity"]


def _in_maps() -> Iterator[str]:
    """Of Modbus instruments and routers; a name may also be a table of codes."""
    for path in (ROOT / "config").glob("*/*.toml"):
        if path.parent.name not in ("instruments", "routers"):
            continue
        table = tomllib.loads(path.read_text("utf-8"))
        yield from (signal["quantity"] for signal in table.get("signal", ()))
        for quantity in table.get("quantity", ()):
            name = quantity.get("name", "")
            yield from _strings(name.get("codes", {}) if isinstance(name, dict) else name)


def _in_the_manual() -> Iterator[str]:
    """The column of quantities in drivers/README.md."""
    for line in (ROOT / "drivers" / "README.md").read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) == 7 and cells[1] != "driver":
            for words in re.findall(r"(?<!\[)`([^`]+)`", cells[4]):
                yield from (w for w in words.split() if NAME.fullmatch(w) and w not in _keys())


@cache
def _keys() -> frozenset[str]:
    """Keys of configuration, which stand in that column too."""
    configs = (importlib.import_module(f"drivers.{driver}").Config for driver in drivers())
    return frozenset(key for config in configs for key in config.__struct_fields__) | {
        "true",
        "nmea",
    }


def _in_driver(driver: str) -> Iterator[str]:
    module = importlib.import_module(f"drivers.{driver}")
    for name, value in vars(module).items():
        if name.isupper() or name.strip("_").isupper():
            yield from _declared(value)
    # The one table that has no units: XDR's letters tell them.
    yield from _strings(getattr(module, "TRANSDUCERS", {}))
    yield from _measured(module.Config)
    source = ast.parse(Path(str(module.__file__)).read_text("utf-8"))
    for node in ast.walk(source):
        if isinstance(node, ast.Call | ast.Tuple):
            yield from _written(node)


def _declared(value: Any) -> Iterator[str]:
    """In a table of a driver: structs that have a quantity and a unit."""
    if isinstance(value, Mapping):
        for one in value.values():
            yield from _declared(one)
    elif isinstance(value, msgspec.Struct) and not isinstance(value, Instrument):
        yield from _strings(getattr(value, "quantity", ()) or getattr(value, "gas", ()))
    elif isinstance(value, tuple | list | set | frozenset):
        if fields := getattr(value, "_fields", ()):
            yield from _strings(getattr(value, "quantity", ()) if "quantity" in fields else ())
        elif len(value) == 2 and getattr(list(value)[1], "unit", "") in UNITS:
            yield from _strings(next(iter(value)))
        else:
            for one in value:
                yield from _declared(one)


def _measured(config: Any) -> Iterator[str]:
    """What a source of this driver may give where nothing of it is configured."""
    try:
        made = config()
    except TypeError:  # some keys have no default
        return
    yield from made.measures()
    yield from (span.quantity for span in made.spans())


def _written(node: ast.Call | ast.Tuple) -> Iterator[str]:
    """A name with a unit beside it, or as `quantity=`."""
    parts = node.args if isinstance(node, ast.Call) else node.elts
    texts = [part.value if isinstance(part, ast.Constant) else None for part in parts]
    for first, *rest in (texts[i : i + 4] for i in range(len(texts))):
        if (
            isinstance(first, str)
            and NAME.fullmatch(first)
            and UNITS.intersection(text for text in rest if isinstance(text, str))
        ):
            yield first
    for keyword in node.keywords if isinstance(node, ast.Call) else ():
        if keyword.arg == "quantity" and isinstance(keyword.value, ast.Constant):
            yield str(keyword.value.value)


def _strings(value: Any) -> Iterator[str]:
    """The names in a text, a list or a table's values."""
    if isinstance(value, str):
        if NAME.fullmatch(value):
            yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _strings(one)
    elif isinstance(value, Iterable):
        for one in value:
            yield from _strings(one)


# -- events and codes ----------------------------------------------------------------------


def events() -> set[str]:
    """The names of all events that the agent writes down."""
    found = set(_named(_EVENTS, 0, "event"))
    return found - {"session_closed"}  # for the pages of one session, never a record


def alarm_codes() -> set[str]:
    """All codes of alarms."""
    return set(RANKS) | set(_named({"Cause"}, 9, "code"))


def alarm_quantities() -> set[str]:
    """What an alarm may be about beside what is measured."""
    return set(_named({"Cause"}, 9, "quantity")) | {ANY}


def ack_codes() -> set[str]:
    """All codes with which a command or an offer is answered."""
    return {"ok"} | set(_named(_REFUSALS, 0, "code"))


_EVENTS = frozenset(("Event", "MediaEvent", "event", "_event", "on_event", "_on_event"))
_REFUSALS = frozenset(("RefusedError", "MediaError", "Refusal"))


Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def _functions() -> list[Function]:
    """Of the agent; each knows its own assignments."""
    trees = (ast.parse(path.read_text("utf-8")) for path in (ROOT / "agent").rglob("*.py"))
    return [one for tree in trees for one in ast.walk(tree) if isinstance(one, Function)]


@cache
def _calls(function: Function) -> list[ast.Call]:
    return [node for node in ast.walk(function) if isinstance(node, ast.Call)]


def _named(callers: Iterable[str], at: int, keyword: str) -> Iterator[str]:
    """The texts that are given to calls of `callers` as argument `at` or as `keyword`."""
    for function in _functions():
        for call in _calls(function):
            called = call.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            if name in callers:
                given = [k.value for k in call.keywords if k.arg == keyword]
                for value in [*call.args[at : at + 1], *given]:
                    yield from _texts(value, _assigned(function))


def _assigned(function: Function) -> dict[str, list[ast.expr]]:
    names: dict[str, list[ast.expr]] = {}
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            names.setdefault(node.targets[0].id, []).append(node.value)
    return names


def _texts(value: ast.expr, names: Mapping[str, list[ast.expr]]) -> Iterator[str]:
    """What an expression may be, as far as it is written here."""
    match value:
        case ast.Constant(value=str(text)) if NAME.fullmatch(text):
            yield text
        case ast.IfExp():
            yield from _texts(value.body, names)
            yield from _texts(value.orelse, names)
        case ast.Name(id=name) if name in names:
            for one in names[name]:
                yield from _texts(one, {})
        case ast.Name(id=name) if name.isupper():
            yield from _IMPORTED.get(name, ())


_IMPORTED = {"REFUSED": (REFUSED,)}
"""Names of constants that are taken from another module."""
