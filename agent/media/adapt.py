"""Lets each layer make what its viewers' links bear, and moves viewers between layers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

from agent.media.link.allocate import Camera, Place, Viewer, ceiling, plan
from agent.media.link.video_out import VideoOut
from agent.media.pipeline import Pipeline

TICK_S = 0.1
PROBE_ABOVE = 1.2
"""Times what a layer needs: an estimate above it is not looked for."""
CAMERA_MARGIN = 1.05
"""A camera's own stream varies."""


class Adapter:
    """All viewers of these cameras.  Loop's thread."""

    def __init__(self, pipelines: Iterable[Pipeline], max_kbit_s: int = 0) -> None:
        self._pipelines = tuple(pipelines)
        self._configured = max_kbit_s
        self._told = 0

    def limit(self, kbit_s: int) -> None:
        """For all together, until told otherwise; 0: none."""
        self._told = kbit_s
        self.tick()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(TICK_S)
            self.tick()

    def tick(self) -> None:
        now = time.monotonic()
        count = sum(len(pipeline.outs) for pipeline in self._pipelines)
        most = ceiling((self._configured, self._told)) / max(1, count)
        for pipeline in self._pipelines:
            if pipeline.outs:
                self._camera(pipeline, now, most)

    def _camera(self, pipeline: Pipeline, now: float, most: float) -> None:
        outs = {str(id(out)): out for out in pipeline.outs}
        for out in outs.values():
            out.link.estimator.most_kbit_s = min(most, out.link.most_kbit_s)
            out.link.tick(now)
        wanted = pipeline.config.bitrate_kbit_s
        main = pipeline.main.kbit_s_at(now) * CAMERA_MARGIN if pipeline.passes else wanted
        camera = Camera(
            main_kbit_s=main or wanted,
            thin_kbit_s=pipeline.config.thin_kbit_s,
            fixed=pipeline.passes or is_taken_by_others(pipeline),
        )
        viewers = {
            name: Viewer(
                min(out.link.estimator.kbit_s, most) / (2 if out.doubles else 1),
                place_of(out, pipeline),
                out.link.estimator.is_clean(now),
            )
            for name, out in outs.items()
        }
        result = plan(camera, viewers)
        pipeline.main.kbit_s, pipeline.thin.kbit_s = result.main_kbit_s, result.thin_kbit_s
        for name, out in outs.items():
            out.wanted_kbit_s = camera.main_kbit_s * PROBE_ABOVE * (2 if out.doubles else 1)
            move(out, pipeline, result.places[name])


def is_taken_by_others(pipeline: Pipeline) -> bool:
    """A recorder takes the main layer, and its rate is nobody's link."""
    main = pipeline.main.fanout
    subscriptions = [out.subscription for out in pipeline.outs if out.subscription is not None]
    ours = sum(main in (one.fanout, one.heads_for) for one in subscriptions)
    return main.viewers > ours


def place_of(out: VideoOut, pipeline: Pipeline) -> Place:
    subscription = out.subscription
    if subscription is None or subscription.heads_for is pipeline.main.fanout:
        return Place.MAIN
    return Place.STILLS if subscription.stills else Place.THIN


def move(out: VideoOut, pipeline: Pipeline, place: Place) -> None:
    subscription = out.subscription
    if subscription is None or place_of(out, pipeline) is place:
        return
    layer = pipeline.main if place is Place.MAIN else pipeline.thin
    subscription.stills = place is Place.STILLS
    subscription.move(layer.fanout)
