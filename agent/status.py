"""What a unit says of itself: its retained status, what alarms stand, and the local report."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from agent import __version__
from agent.delivery.figures import Figures
from agent.messages import (
    ActiveAlarms,
    CameraStatus,
    MediaServerStatus,
    SourceStatus,
    Status,
    UplinkStatus,
    WhepStatus,
)
from agent.settings import in_force

if TYPE_CHECKING:
    from agent.app import App
    from agent.uplink import Uplink


Answers = dict[str, Callable[[], Any]]
Told = dict[str, Callable[[dict[str, Any]], Any]]


class Statements:
    """Each is made anew when asked for; (epoch, version) says which is newer."""

    def __init__(self, app: App) -> None:
        self.state = "running"
        self._app = app
        self._version = 0
        self.figures = Figures(app.store, app.clock)

    def status(self, uplink: Uplink) -> Status:
        app, unit = self._app, self._app.config.unit
        self._version += 1
        limits, unlimited = in_force.limits(app.hub.latest.values(), app.engine.point)
        return Status(
            unit=unit.id, org=unit.org, name=unit.name, profile=unit.profile.value, mark=unit.mark,
            software=f"outpost {__version__}", epoch=app.outbox.epoch.name,
            version=self._version, t=app.clock.now_ms(), clock=app.clock.source,
            state=self.state, epochs=app.outbox.epochs(), pending=uplink.cursor.pending(),
            outbox=self.figures.status(uplink.cursor), uplink=self._uplink(uplink),
            sources=self._sources(),
            cameras=tuple(
                CameraStatus(
                    name=camera.name,
                    state=camera.state,
                    detail=camera.detail,
                    recording=camera.name in app.media.stats.record.cameras,
                )
                for camera in app.media.stats.cameras
            ),
            media_servers=self._media_servers(), whep=self._whep(),
            verbs=tuple(sorted(set(uplink.config.verbs) & set(app.commands.verbs))),
            limits=limits, unlimited=unlimited,
            air=in_force.air(app.hub.latest.values(), app.engine.silent_sources()),
            exposure=app.exposures.report() if app.exposures is not None else None,
            person=app.responder.status(), division=unit.division, parent=unit.parent,
            incident=app.desk.incident.id, rates=app.desk.rates.profile.name,
            selftest=app.desk.selftest.status(), advice=app.desk.advisor.status(),
            messages=app.desk.orders.messages(), tasks=app.desk.orders.tasks(),
            neighbours=app.near.status(),
            relays=app.relay.relayed(uplink) if app.relay is not None else (),
        )  # fmt: skip

    def _uplink(self, uplink: Uplink) -> UplinkStatus:
        told = uplink.channel.ration.status()
        return msgspec.structs.replace(told, status_s=round(uplink.status_s, 1))

    def _sources(self) -> tuple[SourceStatus, ...]:
        silent = self._app.engine.silent_sources()
        return tuple(
            msgspec.structs.replace(status, state="silent")
            if status.state == "up" and status.name in silent
            else status
            for status in (source.status() for source in self._app.sources)
        )

    def _media_servers(self) -> tuple[MediaServerStatus, ...]:
        return tuple(
            MediaServerStatus(name=way.name, camera=way.camera, state=way.state, detail=way.detail)
            for way in self._app.media.stats.whip
        )

    def _whep(self) -> WhepStatus | None:
        told = self._app.media.stats.whep
        if told.state == "off":
            return None
        return WhepStatus(state=told.state, detail=told.detail, viewers=told.viewers)

    def active(self) -> ActiveAlarms:
        app = self._app
        self._version += 1
        return ActiveAlarms(
            unit=app.config.unit.id, mark=app.config.unit.mark, epoch=app.outbox.epoch.name,
            version=self._version, t=app.clock.now_ms(), alarms=app.engine.active(),
        )  # fmt: skip

    def answers(self) -> tuple[Answers, Told]:
        """What the control socket may be asked: by name alone, and with `args`."""
        return {"status": self.report}, self._app.desk.selftest.answers()

    def report(self) -> dict[str, Any]:
        """The control socket's `status`."""
        app = self._app
        return {
            "unit": app.config.unit.id,
            "epoch": app.outbox.epoch.name,
            "made": {epoch.epoch: epoch.last for epoch in app.outbox.epochs()},
            "pending": {uplink.config.name: uplink.cursor.pending() for uplink in app.uplinks},
            "uplinks": {
                uplink.config.name: {"state": uplink.state, "detail": uplink.detail}
                for uplink in app.uplinks
            },
            "sources": [
                {**msgspec.to_builtins(source.status()), "counters": source.counters()}
                for source in app.sources
            ],
            "alarms": [msgspec.to_builtins(alarm) for alarm in app.engine.active()],
            "exposure": msgspec.to_builtins(app.exposures.report()) if app.exposures else None,
            "person": msgspec.to_builtins(app.responder.status()),
            "store": {"trouble": app.store.trouble},
            "outbox": {
                uplink.config.name: msgspec.to_builtins(self.figures.status(uplink.cursor))
                for uplink in app.uplinks
            },
            "incident": app.incident.report(),
            "neighbours": msgspec.to_builtins(app.near.status()),
            "relay": app.relay.report() if app.relay is not None else None,
            "ready": all(source.state == "up" for source in app.sources),
            "media": msgspec.to_builtins(app.media.stats),
        }
