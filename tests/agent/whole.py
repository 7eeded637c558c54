"""A whole unit in this process, as `outpost run` makes it, without its signal handlers and its
panel: started anew whenever a command asks for it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from agent.app import App
from agent.run import live
from agent.settings.reconfigure import Reconfigure
from agent.settings.remote import Remote
from agent.settings.restart import Stop
from agent.store import Store
from tests.waiting import until

HEAD = """
[unit]
id = "ex-cv-01"
org = "hubei"
profile = "vehicle"
mark = "exercise"
"""


class Whole:
    """`app` is the run of this moment."""

    def __init__(self, file: Path, prepare: Callable[[App], None]) -> None:
        self.file = file
        self.app: App | None = None
        self.runs = 0
        self._prepare = prepare
        self._stop = Stop()

    @property
    def running(self) -> App:
        assert self.app is not None
        return self.app

    async def run(self) -> None:
        again = True
        while again:
            config, remote = Remote.load(self.file)
            stop = self._stop = Stop()
            async with Store.open(Path(config.store.dir)) as store, asyncio.TaskGroup() as group:
                app = App(config, store, group)
                with app.incident:
                    reconfigure = Reconfigure(config, remote, stop.restart, app.hub.event)
                    app.commands.verbs |= reconfigure.verbs()
                    living = group.create_task(live(app, group, stop, reconfigure))
                    await connected(app)
                    self._prepare(app)
                    self.app, self.runs = app, self.runs + 1
                    await living
            again, self.app = stop.again, None

    def end(self) -> None:
        self._stop.for_good()

    async def started(self, run: int) -> App:
        """In its so-manyth run."""
        await until(lambda: self.app is not None and self.runs >= run, f"run {run} begins", 20.0)
        return self.running


@contextlib.asynccontextmanager
async def whole(
    folder: Path, tables: str, prepare: Callable[[App], None] = lambda _: None
) -> AsyncIterator[Whole]:
    """`prepare` brings each run into the state that a test begins with."""
    made = Whole(_written(folder, tables), prepare)
    task = asyncio.create_task(made.run())
    try:
        await made.started(1)
        yield made
    finally:
        made.end()
        await task


async def connected(app: App) -> None:
    await until(lambda: app.uplinks[0].state == "up", "the uplink is up")


def _written(folder: Path, tables: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "agent.toml"
    file.write_text(f'{HEAD}[store]\ndir = "{folder / "state"}"\n{tables}', encoding="utf-8")
    return file
