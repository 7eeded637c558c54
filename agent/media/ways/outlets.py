"""All ways out of one unit beside the sessions that come over MQTT: WHIP and its own WHEP."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

import msgspec

from agent.media.peer import Peers
from agent.media.pipeline import Pipeline
from agent.media.voice.hub import VoiceHub
from agent.media.ways.shelf import Shelf
from agent.media.ways.supply import Supply
from agent.media.ways.whep import Whep
from agent.media.ways.whip import Publisher
from agent.media.wire import MediaConfig, MediaEvent, WhepStats, WhipStats

log = logging.getLogger(__name__)


class Outlets:
    """`say` takes what the core should know."""

    def __init__(
        self,
        config: MediaConfig,
        pipelines: dict[str, Pipeline],
        peers: Peers,
        supply: Supply,
        say: Callable[[MediaEvent], None],
        voice: VoiceHub | None = None,
    ) -> None:
        self._say = say
        self._publishers: dict[str, Publisher] = {}
        first = next(iter(pipelines), "")
        for target in config.whip:
            pipeline = pipelines.get(target.camera or first)
            if pipeline is not None or (target.voice and voice is not None):
                self._publishers[target.name] = Publisher(
                    target, pipeline, supply, self._whip, voice
                )
        self._whep_told = WhepStats()
        self._whep = (
            Whep(config.whep, pipelines, peers, supply, self._watch) if config.whep.port else None
        )

        if self._whep is not None and config.record.dir:
            Shelf(Path(config.record.dir), self._fetched).add_to(self._whep)

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            for name, publisher in self._publishers.items():
                group.create_task(publisher.run(), name=f"whip {name}")
            if self._whep is not None:
                group.create_task(self._whep.run(self._whep_state), name="whep")

    def want(self, name: str, on: bool) -> None:
        """Publish, or stop; an unknown name is none that the core would send."""
        if (publisher := self._publishers.get(name)) is not None:
            publisher.want(on)

    def stats(self) -> tuple[WhipStats, ...]:
        return tuple(publisher.stats() for publisher in self._publishers.values())

    def whep(self) -> WhepStats:
        viewers = self._whep.viewers if self._whep is not None else 0
        return msgspec.structs.replace(self._whep_told, viewers=viewers)

    def ended(self, session: str, why: str) -> bool:
        """True where it was a viewer of the own WHEP."""
        if self._whep is None or (camera := self._whep.ended(session)) is None:
            return False
        self._watch(session, camera, "ended", why)
        return True

    def _fetched(self, name: str, camera: str, who: str) -> None:
        self._say(MediaEvent(event="fetched", name=name, camera=camera, state="ok", detail=who))

    def _whip(self, stats: WhipStats) -> None:
        event = MediaEvent(
            event="whip", name=stats.name, camera=stats.camera, state=stats.state,
            detail=stats.detail,
        )  # fmt: skip
        self._say(event)

    def _watch(self, session: str, camera: str, code: str, detail: str) -> None:
        """Who watched is an event."""
        self._say(
            MediaEvent(event="whep", session=session, camera=camera, state=code, detail=detail)
        )

    def _whep_state(self, state: str, detail: str) -> None:
        self._whep_told = WhepStats(state=state, detail=detail)
        log.log(logging.INFO if state == "up" else logging.WARNING, "%s", detail)
        self._say(MediaEvent(event="whep", state=state, detail=detail))
