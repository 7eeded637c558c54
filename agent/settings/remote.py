"""What centers changed from afar: `remote.json` beside the records, laid over the file of a person.

The person's file is never written: the agent may not write in /etc, and comments would be lost.  A
change that waits for its confirmation is a trial; it ends in the boot in which it began, so that
neither kill -9 nor a power cut leaves a unit with a configuration that its center cannot reach.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import msgspec

from agent import config
from agent.clock import boot_id, boottime_ms
from agent.config import Config
from agent.settings.strictness import loosened
from agent.settings.toml import ConfigError, Document, Where

FILE = "remote.json"
OWN_TABLES = {"log": {"format", "level"}, "media": {"enabled"},
              "panel": {"sos_hold_s", "clean_hold_s"}}  # fmt: skip
NAMED_TABLES = {
    "source": {
        "silent_s", "same_s", "place", "serial", "calibrated", "calibrated_by", "calibration_days",
        "baudrate", "bytesize", "parity", "stopbits", "period_s", "timeout_s", "warmup_s",
        "full_scale",
    },
    "camera": {"width", "height", "fps", "bitrate_kbit_s", "timecode"},
    "uplink": {
        "host", "hosts", "port", "keepalive_s", "classes", "quantities", "history_records_per_s",
    },
}  # fmt: skip
OVERRIDE = {
    "unit", "low", "high", "deficient", "critical", "stel", "twa", "hysteresis", "basis",
}  # fmt: skip
"""What may be changed from afar: no identity, no authority, no credential, no path of a file."""


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """A change that waits for its confirmation."""

    change: str
    uplink: str
    by: str
    values: dict[str, Any]
    within_s: float
    until_ms: int
    """CLOCK_BOOTTIME of the boot `boot`."""
    boot: str

    def left_s(self) -> float:
        """0 or less: it has ended.  Another boot ends it."""
        return (self.until_ms - boottime_ms()) / 1000 if self.boot == boot_id() else 0.0


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """What is still to be told as an event."""

    event: str
    uplink: str
    detail: str
    change: str = ""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """The file."""

    values: dict[str, Any] = {}
    """Path -> value, confirmed."""
    trial: Trial | None = None
    notices: tuple[Notice, ...] = ()


class Changed(Document):
    """A configuration with values laid over it; a mistake in one of them is named by its path."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(name, text)
        self._paths: dict[Where, str] = {}

    def lay(self, values: dict[str, Any]) -> list[str]:
        """A sentence for each path that leads nowhere."""
        astray: list[str] = []
        for path, value in values.items():
            try:
                table, where = self._find(path)
            except KeyError as error:
                astray.append(f"{path}: {error.args[0]}")
                continue
            table[str(where[-1])] = value
            self._paths[where] = path
        return astray

    def mistake(self, where: Where, sentence: str) -> None:
        if (path := self._paths.get(where)) is not None:
            self.mistakes.append(f"{path}: {sentence}")
        else:
            super().mistake(where, sentence)

    def _find(self, path: str) -> tuple[dict[str, Any], Where]:
        match path.split("."):
            case [table, _]:
                return self.data.setdefault(table, {}), tuple(path.split("."))
            case ["unit", "name", tag]:
                return self.data["unit"].setdefault("name", {}), ("unit", "name", tag)
            case ["alarms", "override", name, key]:
                tables = self.data.setdefault("alarms", {}).setdefault("override", [])
                index = _override(tables, name)
                return tables[index], ("alarms", "override", index, key)
            case [kind, name, key]:
                for index, table in enumerate(self.data.get(kind, ())):
                    if table.get("name") == name:
                        return table, (kind, index, key)
        raise KeyError(f"there is no table {path.rpartition('.')[0]!r}")


def _override(tables: list[dict[str, Any]], name: str) -> int:
    """The index of an override, which is made where it is not there."""
    source, _, quantity = name.rpartition("/")
    for index, table in enumerate(tables):
        if (table.get("source", ""), table.get("quantity")) == (source, quantity):
            return index
    tables.append({"quantity": quantity} | ({"source": source} if source else {}))
    return len(tables) - 1


def settable(path: str, uplink: str) -> bool:
    """Whether the center of `uplink` may change this key."""
    match path.split("."):
        case ["unit", "name", tag]:
            return bool(tag)
        case ["alarms", "override", name, key]:
            return bool(name) and key in OVERRIDE
        case ["uplink", name, key]:
            return name == uplink and key in NAMED_TABLES["uplink"]
        case [kind, _, key]:
            return key in NAMED_TABLES.get(kind, ())
        case [table, key]:
            return key in OWN_TABLES.get(table, ())
    return False


class Remote:
    """The file of a person, and what was changed from afar."""

    def __init__(self, file: Path, folder: Path, kept: Kept) -> None:
        self.file = file
        self.path = folder / FILE
        self.kept = kept
        self.dirty = False
        """What is kept differs from what is on disk."""

    @classmethod
    def load(cls, file: Path) -> tuple[Config, Self]:
        """The configuration that is in force.  ConfigError where the person's file has mistakes: a
        change from afar alone never keeps a unit from its start."""
        plain = config.load(file)
        made = cls(file, Path(plain.store.dir), Kept())
        made._read()
        trial = made.kept.trial
        if trial is not None and trial.left_s() <= 0:
            made._end_trial("not confirmed in time, or the machine was started anew")
        if made.kept.trial is not None:
            with contextlib.suppress(ConfigError):
                tried = made.laid(made.kept.trial.values)
                if not loosened(plain, tried):
                    return tried, made
            made._end_trial("it does not fit the unit's file any more")
        return made._confirmed(plain), made

    def _confirmed(self, plain: Config) -> Config:
        """The file, `plain`, with what is confirmed: as far as it loosens nothing that a person has
        made stricter since."""
        if not self.kept.values:
            return plain
        with contextlib.suppress(ConfigError):
            laid = self.laid({})
            if not (worse := loosened(plain, laid)):
                return laid
            self._drop_looser(plain, worse)
            return self.laid({}) if self.kept.values else plain
        self._set_aside()
        return plain

    def laid(self, values: dict[str, Any]) -> Config:
        """The file with what is confirmed and `values`; None takes a confirmed one back."""
        document = Changed.read(self.file)
        document.raise_mistakes()
        merged = {**self.kept.values, **values}
        astray = document.lay({path: value for path, value in merged.items() if value is not None})
        try:
            made = config.parse(document)
        except ConfigError as error:
            raise ConfigError([*astray, *error.mistakes]) from error
        if astray:
            raise ConfigError(astray)
        return made

    # -- steps ---------------------------------------------------------------------------------

    def begin(self, trial: Trial) -> None:
        """OSError where it cannot be written: then nothing has changed."""
        self._write(msgspec.structs.replace(self.kept, trial=trial))

    def confirm(self) -> None:
        """OSError where it cannot be written: then it still waits."""
        trial = self.kept.trial
        assert trial is not None, "asked only while one waits"
        merged = {**self.kept.values, **trial.values}
        values = {path: value for path, value in merged.items() if value is not None}
        self._write(msgspec.structs.replace(self.kept, values=values, trial=None))

    def roll_back(self, reason: str) -> bool:
        """False where no trial waits.  A disk that refuses does not stop it: time ends the trial at
        the next start as well."""
        if self.kept.trial is None:
            return False
        self._end_trial(reason)
        self.save()
        return not self.dirty

    def told(self) -> None:
        """The notices stand in the outbox."""
        self.kept, self.dirty = msgspec.structs.replace(self.kept, notices=()), True
        self.save()

    def save(self) -> None:
        if self.dirty:
            with contextlib.suppress(OSError):
                self._write(self.kept)

    def described(self) -> str:
        """A line for a dry run; empty where nothing was changed from afar."""
        values = self.kept.values | (self.kept.trial.values if self.kept.trial else {})
        return f"changed from afar, {self.path}: {', '.join(values)}\n" if values else ""

    # -- inside --------------------------------------------------------------------------------

    def _read(self) -> None:
        try:
            self.kept = msgspec.json.decode(self.path.read_bytes(), type=Kept)
        except FileNotFoundError:
            return
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            detail = f"{self.path} cannot be used; the unit's own file alone is in force: {error}"
            self._notify(Notice(event="config_set_aside", uplink="", detail=detail))

    def _notify(self, notice: Notice) -> None:
        notices = (*self.kept.notices, notice)[-10:]
        self.kept, self.dirty = msgspec.structs.replace(self.kept, notices=notices), True

    def _end_trial(self, reason: str) -> None:
        trial = self.kept.trial
        assert trial is not None
        self.kept = msgspec.structs.replace(self.kept, trial=None)
        self._notify(
            Notice(
                event="config_rolled_back", uplink=trial.uplink, detail=reason, change=trial.change
            )
        )

    def _drop_looser(self, plain: Config, worse: Sequence[str]) -> None:
        """Keep the tables that loosen nothing: without its center's address a unit may be lost."""
        tables: dict[str, dict[str, Any]] = {}
        for path, value in self.kept.values.items():
            tables.setdefault(path.rpartition(".")[0], {})[path] = value
        everything, kept = self.kept.values, dict[str, Any]()
        for values in tables.values():
            self.kept = msgspec.structs.replace(self.kept, values=kept | values)
            with contextlib.suppress(ConfigError):
                if not loosened(plain, self.laid({})):
                    kept = kept | values
        self.kept = msgspec.structs.replace(self.kept, values=kept)
        paths = ", ".join(path for path in everything if path not in kept)
        detail = f"the unit's file is stricter now, and holds: {paths} ({'; '.join(worse)})"
        self._notify(Notice(event="config_set_aside", uplink="", detail=detail))

    def _set_aside(self) -> None:
        paths = ", ".join(self.kept.values)
        self.kept = msgspec.structs.replace(self.kept, values={})
        detail = f"it does not fit the unit's file any more, which alone is in force: {paths}"
        self._notify(Notice(event="config_set_aside", uplink="", detail=detail))

    def _write(self, kept: Kept) -> None:
        """As a whole or not at all, also when the power goes; the former file stays as `.old`."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new, old = self.path.with_suffix(".new"), self.path.with_suffix(".old")
        with open(new, "wb", opener=_private) as file:
            file.write(msgspec.json.encode(kept))
            file.flush()
            os.fsync(file.fileno())
        if self.path.exists():
            old.unlink(missing_ok=True)
            os.link(self.path, old)
        new.replace(self.path)
        _sync(self.path.parent)
        self.kept, self.dirty = kept, False


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _sync(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
