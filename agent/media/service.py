"""The media process's own loop: what the core asks for, and a sign of life twice a second."""

from __future__ import annotations

import asyncio
import logging
import time

from agent.media import wire
from agent.media.adapt import Adapter
from agent.media.data_part import DataPart
from agent.media.overlay import Painter
from agent.media.parts import Part
from agent.media.peer import Peers
from agent.media.pipeline import Pipeline
from agent.media.record.circumstances import Circumstances
from agent.media.record.part import RecordPart
from agent.media.video_part import VideoPart
from agent.media.voice.hub import VoiceHub
from agent.media.voice.part import NoPictures, VoicePart
from agent.media.ways.interfaces import INTERFACES
from agent.media.ways.outlets import Outlets
from agent.media.ways.supply import Supply
from agent.media.wire import MediaConfig, MediaError, MediaEvent, MediaStats

log = logging.getLogger(__name__)

CHECK_S = 5.0
"""How often an idle camera is looked for."""
MAX_UNSENT_BYTES = 4 * wire.MAX_FRAME_BYTES
"""A core that reads nothing gets no more; it will have noticed something else by then."""


class Service:
    """Everything of one unit's cameras."""

    def __init__(self, config: MediaConfig, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        loop = asyncio.get_running_loop()
        self._painter = Painter(config)
        self._pipelines = {
            camera.name: Pipeline(camera, self._painter, loop, self._still)
            for camera in config.cameras
        }
        self._adapter = Adapter(self._pipelines.values(), config.max_kbit_s)
        self._supply = Supply(config.ice, config.unit)
        self._peers = Peers(self._closed, supply=self._supply)
        self._voice = VoiceHub(config.voice, loop)
        self._record = RecordPart(config, self._pipelines, self._voice.source.taps, self._send)
        self._outlets = Outlets(
            config, self._pipelines, self._peers, self._supply, self._way, self._voice
        )
        self._said: dict[str, tuple[str, str]] = {}
        self._answering: set[asyncio.Task[None]] = set()

    async def run(self, reader: asyncio.StreamReader) -> None:
        """Until the core closes.  WireError where it says something else than agreed."""
        heartbeat = asyncio.create_task(self._beat(), name="heartbeat")
        adapting = asyncio.create_task(self._adapter.run(), name="adapt")
        outlets = asyncio.create_task(self._outlets.run(), name="outlets")
        outlets.add_done_callback(self._part_ended)
        record = asyncio.create_task(self._record.run(), name="record")
        record.add_done_callback(self._part_ended)
        try:
            with INTERFACES.watched():
                while (message := await wire.read_to_media(reader)) is not None:
                    self._take(message)
        finally:
            heartbeat.cancel()
            outlets.cancel()
            record.cancel()
            # Media servers are told of the end, and files closed, each in a bounded time.
            await asyncio.wait({outlets, record})
            adapting.cancel()
            for pipeline in self._pipelines.values():
                pipeline.close()
            self._voice.close()
            await self._peers.close_all()

    def _part_ended(self, task: asyncio.Task[None]) -> None:
        """They end when they are told to; anything else is a fault that a new process mends."""
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("%s has failed", task.get_name(), exc_info=error)
            self._writer.close()

    def _take(self, message: wire.ToMedia) -> None:
        match message:
            case wire.Overlay():
                self._painter.show(message)
            case wire.OfferRequest():
                task = asyncio.create_task(self._answer(message), name=f"offer {message.session}")
                self._answering.add(task)
                task.add_done_callback(self._answering.discard)
            case wire.CloseSession():
                self._peers.close(message.session)
            case wire.Limit():
                self._adapter.limit(message.kbit_s)
            case wire.Microphone():
                self._voice.source.allow(message.open)
            case wire.GiveFloor():
                self._voice.give_floor(message.session)
            case wire.StartStills():
                pipeline = self._pipelines[message.camera]
                pipeline.lease_stills(message.period_s, message.lease_s)
            case wire.StopStills():
                self._pipelines[message.camera].stop_stills()
            case wire.Whip():
                self._outlets.want(message.name, message.on)
            case wire.Record():
                self._record.take(message)
            case Circumstances():
                self._record.heard(message)
            case wire.Configure():
                raise wire.WireError("read a second Configure, expected one at the start only")

    async def _answer(self, request: wire.OfferRequest) -> None:
        try:
            voice = VoicePart(request.session, self._voice, request.no_voice)
            parts = [*self._parts(request, voice), voice]
            sdp = await self._peers.answer(request.session, parts, request.sdp)
        except MediaError as error:
            reply = wire.OfferReply(session=request.session, code=error.code, detail=str(error))
        else:
            servers = self._supply.for_viewers()
            reply = wire.OfferReply(
                session=request.session, sdp=sdp, ice_servers=servers,
                note=voice.note, camera=request.camera,
                listens=voice.listens, talks=voice.talks,
            )  # fmt: skip
        self._send(reply)

    def _parts(self, request: wire.OfferRequest, voice: VoicePart) -> list[Part]:
        """What a session that is offered shall carry beside voice."""
        if not request.camera:
            return [NoPictures(voice)]
        video = VideoPart(request.session, self._pipelines[request.camera])
        return [video, DataPart(video, self._painter, self._pipelines)]

    def _closed(self, session: str, why: str) -> None:
        if self._outlets.ended(session, why):
            return
        self._send(MediaEvent(event="session_closed", session=session, detail=why))

    def _still(self, camera: str, time_ms: int, jpeg: bytes) -> None:
        self._send(wire.StillPicture(camera=camera, time_ms=time_ms, jpeg=jpeg))

    def _way(self, event: MediaEvent) -> None:
        """A way out has changed: what the core is told next must not be what was before."""
        self._send(self._stats())
        self._send(event)

    def _send(self, message: wire.ToCore) -> None:
        if self._writer.transport.get_write_buffer_size() < MAX_UNSENT_BYTES:
            self._writer.write(wire.encode(message))

    def _stats(self) -> MediaStats:
        cameras = tuple(pipeline.stats() for pipeline in self._pipelines.values())
        return MediaStats(
            frames_encoded=sum(camera.frames_encoded for camera in cameras),
            viewers=sum(camera.viewers for camera in cameras),
            fps=max((camera.fps for camera in cameras), default=0.0),
            cameras=cameras,
            voice=self._voice.stats(),
            record=self._record.stats(),
            whip=self._outlets.stats(),
            whep=self._outlets.whep(),
        )

    async def _beat(self) -> None:
        checked = time.monotonic()
        while True:
            if time.monotonic() - checked > CHECK_S:
                checked = time.monotonic()
                for pipeline in self._pipelines.values():
                    pipeline.check()
            stats = self._stats()
            for camera in stats.cameras:
                if self._said.get(camera.name) != (camera.state, camera.detail):
                    self._said[camera.name] = (camera.state, camera.detail)
                    self._send(
                        MediaEvent(
                            event="camera",
                            camera=camera.name,
                            state=camera.state,
                            detail=camera.detail,
                        )
                    )
            self._send(stats)
            await asyncio.sleep(wire.HEARTBEAT_S)
