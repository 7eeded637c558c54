"""For each verb: what is to stand before it, arguments that are good, arguments that are not.

A verb without an entry here fails tests/agent/test_every_verb.py.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from agent.app import App
from agent.messages.media import MediaItem
from agent.messages.orders import Urgency
from agent.settings.remote import Remote
from agent.watching import Watch
from drivers import Quality, Sample

Args = dict[str, Any]
PICTURE = b"\xff\xd8\xff\xe0 a picture of a test \xff\xd9"
ITEM = MediaItem(
    id="5eed", kind="snapshot", camera="front", start=1, media_type="image/jpeg",
    size=len(PICTURE), digest=f"sha256:{hashlib.sha256(PICTURE).hexdigest()}",
)  # fmt: skip


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """How one verb is tried."""

    good: Args | Callable[[App], Args]
    bad: Args
    prepare: Callable[[App], object] = lambda app: None
    media: bool = False
    """Needs a camera that works."""
    restarts: bool = False
    """The unit starts anew when it has been carried out."""
    trial: bool = False
    """A change of the configuration must wait for its confirmation."""
    unavailable: bool = False
    """This unit has no part for it."""


def over_range(app: App) -> None:
    """It was above a %LEL head's range, and nobody has said that the air is clean."""
    for quality in (Quality.OVER_RANGE, Quality.GOOD):
        app.hub.emit("head", Sample(
            quantity="combustible", value=0.0, unit="%LEL", quality=quality, at=time.monotonic(),
        ))  # fmt: skip


def called(app: App) -> None:
    app.responder.call("panel")


def warm(app: App) -> None:
    app.hub.emit(
        "mast", Sample(quantity="temperature", value=21.5, unit="Cel", at=time.monotonic())
    )


def spoken_to(app: App) -> None:
    app.watching.opened(Watch(
        session="s1", by="hq", camera="front", uplink="center", talks=True, since_s=0.0,
    ))  # fmt: skip


def told(app: App) -> None:
    if not app.desk.orders.messages():
        app.desk.orders.message("wind turns", Urgency.ROUTINE, 120.0, "hq")


def tasked(app: App) -> None:
    if not app.desk.orders.tasks():
        app.desk.orders.task("close the valve", None, "hq")


def waiting_change(app: App) -> Args:
    trial = Remote.load(Path(app.config.store.dir).parent / "agent.toml")[1].kept.trial
    assert trial is not None
    return {"change": trial.change}


CASES: dict[str, Case] = {
    "resend": Case(
        good=lambda app: {"epoch": app.outbox.epoch.name, "from": 1, "to": 1},
        bad={"epoch": "1-aa", "from": 1},
    ),
    "alarm.ack": Case(good={"alarm": "panel/sos/sos"}, bad={"alarm": 3}, prepare=called),
    "air.clean": Case(
        good={"alarm": "head/combustible/over_range"}, bad={}, prepare=over_range
    ),
    "sos.confirm": Case(good={}, bad={"alarm": []}, prepare=called),
    "sos.raise": Case(good={"silent": True}, bad={"silent": "yes"}),
    "sos.cancel": Case(good={"reason": "mistake"}, bad={}, prepare=called),
    "check_in": Case(good={}, bad={"well": True}),
    "zone": Case(
        good={"id": "tank", "kind": "hot", "center": [30.5, 114.3], "radius_m": 50.0},
        bad={"id": "tank", "kind": "lukewarm"},
    ),
    "video.start": Case(good={"camera": "front"}, bad={"period_s": "often"}, media=True),
    "video.stop": Case(good={"camera": "front"}, bad={"camera": 1}, media=True),
    "whip.start": Case(good={"name": "hq"}, bad={"name": 1}, media=True),
    "whip.stop": Case(good={}, bad={"camera": "front"}, media=True),
    "talk": Case(good={"session": "s1"}, bad={"session": ""}, prepare=spoken_to, media=True),
    "wearer": Case(good={"name": "李明", "id": "0417"}, bad={"name": 1}),
    "message": Case(good={"text": "风向转变，撤离"}, bad={"text": "x" * 501}),
    "message.confirm": Case(
        good=lambda app: {"message": app.desk.orders.messages()[0].id}, bad={}, prepare=told
    ),
    "task": Case(good={"text": "close the valve", "lat": 30.5, "lon": 114.3}, bad={"lat": 91}),
    "task.step": Case(
        good=lambda app: {"task": app.desk.orders.tasks()[0].id, "step": "arrive"},
        bad={"task": "x", "step": "fly"}, prepare=tasked,
    ),
    "incident": Case(good={"id": "wh-2026-017"}, bad={"id": "no spaces"}),
    "rate": Case(
        good={"quantity": "temperature", "period_s": 10},
        bad={"quantity": "temperature", "period_s": -1}, prepare=warm,
    ),
    "profile": Case(good={"name": "thin"}, bad={"name": 1}),
    "snapshot": Case(good={}, bad={"camera": 1}, media=True),
    "media.list": Case(good={"kind": "snapshot"}, bad={"most": 0}),
    "media.get": Case(good={"id": ITEM.id}, bad={"id": ""}),
    "record": Case(good={"action": "start"}, bad={}, media=True),
    "config.get": Case(good={"table": "unit"}, bad={"table": 1}),
    "config.set": Case(
        good={"changes": {"log.level": "debug"}}, bad={"changes": {}}, restarts=True
    ),
    "config.confirm": Case(good=waiting_change, bad={"change": 1}, trial=True),
    "selftest": Case(good={"clean_air": True}, bad={"clean_air": "yes"}),
    "selftest.bump": Case(
        good={"source": "head", "quantity": "combustible", "concentration": 50.0},
        bad={"source": "head", "quantity": "combustible", "concentration": -1},
        prepare=over_range,
    ),
    "restart": Case(good={}, bad={"now": True}, restarts=True),
}  # fmt: skip
