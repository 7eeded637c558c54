"""The verbs that change how a unit is set up: config.get, config.set, config.confirm, restart."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from agent.clock import boot_id, boottime_ms
from agent.commands import RefusedError, Verb
from agent.config import Config
from agent.messages import Outcome
from agent.settings.remote import Notice, Remote, Trial, settable
from agent.settings.strictness import loosened
from agent.settings.toml import ConfigError
from agent.verbs.configuration import (
    ARGUMENTS,
    ConfigConfirmArgs,
    ConfigGetArgs,
    ConfigSetArgs,
    RestartArgs,
)
from drivers.address import without_secrets

_SECRET = re.compile(r"(password|secret|token|community)(?!_file)")


class Reconfigure:
    """One per unit.  `restart` ends this run in order and begins the next."""

    def __init__(
        self,
        config: Config,
        remote: Remote,
        restart: Callable[[], None],
        on_event: Callable[..., None],
    ) -> None:
        self._config = config
        self._remote = remote
        self._restart = restart
        self._on_event = on_event
        self._ending = False
        """This run still has the former configuration."""

    def verbs(self) -> dict[str, Verb]:
        handlers: dict[str, Any] = {
            "config.get": self._get,
            "config.set": self._set,
            "config.confirm": self._confirm,
            "restart": self._again,
        }
        return {name: Verb(ARGUMENTS[name], run) for name, run in handlers.items()}

    async def watch(self, flush: Callable[[], Awaitable[object]]) -> None:
        """Tell what happened to changes, and take back the one that nobody confirms."""
        for notice in self._remote.kept.notices:
            self._tell(notice)
        trial = self._remote.kept.trial
        if trial is not None:
            self._on_event(
                "config_trial", trial.uplink, f"in force until confirmed, by {trial.by}",
                change=trial.change, changes=trial.values, left_s=round(trial.left_s(), 1),
            )  # fmt: skip
        if self._remote.kept.notices:
            await flush()
            self._remote.told()
        self._remote.save()
        while (trial := self._remote.kept.trial) is not None:
            if (left_s := trial.left_s()) <= 0:
                self._remote.roll_back(f"not confirmed within {trial.within_s:g} s")
                self._restart()
                return
            # Not monotonic: a machine that slept wakes up late.
            await asyncio.sleep(min(left_s, 1.0))

    def _tell(self, notice: Notice) -> None:
        self._on_event(notice.event, notice.uplink or "agent", notice.detail, change=notice.change)

    # -- verbs ---------------------------------------------------------------------------------

    def _get(self, args: ConfigGetArgs, _by: str, _uplink: Any) -> dict[str, Any]:
        tables = shown(self._config)
        if args.table and args.table not in tables:
            raise RefusedError(
                "not_found", f"there is no table {args.table!r}; known are {', '.join(tables)}"
            )
        kept = self._remote.kept
        trial = kept.trial
        return {
            "config": {args.table: tables[args.table]} if args.table else tables,
            "changed": kept.values,
            "trial": None if trial is None else {
                "change": trial.change, "uplink": trial.uplink, "changes": trial.values,
                "left_s": round(trial.left_s(), 1),
            },
        }  # fmt: skip

    def _set(self, args: ConfigSetArgs, by: str, uplink: Any) -> dict[str, Any]:
        name = uplink.config.name
        waiting = self._remote.kept.trial
        if waiting is not None:
            raise RefusedError(
                "unavailable", f"the change {waiting.change} waits for its confirmation"
            )
        if closed := [path for path in args.changes if not settable(path, name)]:
            raise RefusedError(
                "not_settable", f"{', '.join(closed)}: not to be changed over the uplink {name!r}"
            )
        try:
            before, after = self._remote.laid({}), self._remote.laid(args.changes)
        except ConfigError as error:
            raise RefusedError("bad_config", str(error)) from error
        if worse := loosened(before, after):
            raise RefusedError("would_loosen", "; ".join(worse))
        change = secrets.token_hex(4)
        trial = Trial(
            change=change, uplink=name, by=by, values=args.changes, within_s=args.confirm_within_s,
            until_ms=boottime_ms() + round(args.confirm_within_s * 1000), boot=boot_id(),
        )  # fmt: skip
        _written(lambda: self._remote.begin(trial))
        self._ending = True
        self._restart()
        return {"change": change, "confirm_within_s": args.confirm_within_s}

    def _confirm(self, args: ConfigConfirmArgs, by: str, uplink: Any) -> dict[str, Any]:
        trial = self._remote.kept.trial
        if trial is None or trial.change != args.change or trial.left_s() <= 0:
            raise RefusedError("not_found", f"no change {args.change!r} waits for confirmation")
        if trial.uplink != uplink.config.name:
            raise RefusedError(
                "not_authorised", f"the change is of the uplink {trial.uplink!r}, which confirms it"
            )
        if self._ending:
            raise RefusedError("unavailable", "the change is not in force yet; the unit restarts")
        _written(self._remote.confirm)
        self._on_event("config_confirmed", trial.uplink, f"by {by}", change=trial.change,
                       changes=trial.values)  # fmt: skip
        return {}

    def _again(self, _args: RestartArgs, _by: str, _uplink: Any) -> dict[str, Any]:
        self._restart()
        return {}


def _written(write: Callable[[], None]) -> None:
    try:
        write()
    except OSError as error:
        raise RefusedError(
            "unavailable", f"it cannot be written: {error.strerror or error}", Outcome.FAILED
        ) from error


def shown(config: Config) -> dict[str, Any]:
    """The configuration by tables, without secrets: of logins only names of files are told."""
    tables = {
        "unit": config.unit,
        "store": config.store,
        "log": config.log,
        "source": [
            msgspec.to_builtins(source.table) | msgspec.to_builtins(source.options)
            for source in config.sources
        ],
        "alarms": config.alarms,
        "panel": config.panel,
        "media": config.media,
        "camera": config.cameras,
        "person": config.person,
        "neighbours": config.neighbours,
        "rates": config.rates,
        "relay": config.relay,
        "uplink": config.uplinks,
    }
    plain: dict[str, Any] = _plain(msgspec.to_builtins(tables))
    return plain


def _plain(value: Any) -> Any:
    match value:
        case dict():
            return {
                key: "***" if value[key] and _SECRET.search(key) else _plain(value[key])
                for key in value
            }
        case list() | tuple():
            return [_plain(item) for item in value]
        case str():
            return without_secrets(value)
    return value
