"""What a unit says, as bytes, and a console to say it to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from agent import topics
from agent.console.options import Options
from agent.mqtt import Broker

ORG = "hubei"
UNIT = "ex-cv-01"
EPOCH = "1800000000000-abcd"
"""Begun after the console (in the year 2027), so that every number is expected."""
ROOT = f"{topics.ROOT_EXERCISE}/{ORG}/{UNIT}"


def topic(*path: str, unit: str = UNIT) -> topics.Topic:
    return topics.Topic(True, ORG, unit, path)


def encode(value: Any) -> bytes:
    return msgspec.json.encode(value)


def batch(*records: dict[str, Any], epoch: str = EPOCH, unit: str = UNIT) -> bytes:
    return encode({"unit": unit, "epoch": epoch, "mark": "exercise", "records": records})


def reading(seq: int, value: float | None = 0.0, t: int | None = None, **over: Any) -> Any:
    return {
        "seq": seq,
        "prev": seq - 1,
        "t": 1_800_000_000_000 + seq * 1000 if t is None else t,
        "clock": "gnss",
        "source": "gas1",
        "quantity": "cl2",
        "value": value,
        "unit": "ppm",
        "quality": "good",
        "raw": "ff86",
    } | over


def position(seq: int, lat: float, lon: float, **over: Any) -> Any:
    fix = {"mode": 3, "lat": lat, "lon": lon, "track": 90.0}
    record = reading(seq, source="gnss", quantity="position", fix=fix, **over)
    return {key: value for key, value in record.items() if key not in ("value", "unit")}


def status(version: int = 1, **over: Any) -> bytes:
    return encode(
        {
            "unit": UNIT,
            "org": ORG,
            "name": {"zh": "指挥车01", "en": "Command vehicle 01"},
            "profile": "vehicle",
            "mark": "exercise",
            "software": "outpost 0.1.0",
            "epoch": EPOCH,
            "version": version,
            "t": 1_800_000_000_000,
            "clock": "gnss",
            "state": "running",
            "epochs": [{"epoch": EPOCH, "last": 0}],
            "cameras": [{"name": "front", "state": "idle"}],
            "verbs": ["alarm.ack", "video.start", "resend"],
        }
        | over
    )


def link(state: str, version: int = 0, epoch: str = EPOCH) -> bytes:
    return encode(
        {
            "unit": UNIT, "path": "center", "mark": "exercise", "state": state, "epoch": epoch,
            "version": version, "t": 5,
        }
    )  # fmt: skip


ALARM = {
    "alarm": "gas1/cl2/high",
    "code": "high",
    "rank": 1,
    "change": "raised",
    "state": "unacknowledged",
    "source": "gas1",
    "quantity": "cl2",
    "limit": 0.5,
}


def active(version: int, *alarms: dict[str, Any]) -> bytes:
    return encode(
        {
            "unit": UNIT, "mark": "exercise", "epoch": EPOCH, "version": version, "t": 5,
            "alarms": alarms,
        }
    )  # fmt: skip


def still(t: int, jpeg: str = "/9j/2Q==", camera: str = "front") -> bytes:
    return encode({"unit": UNIT, "mark": "exercise", "camera": camera, "t": t, "jpeg": jpeg})


DRILL_STATE = {
    "scenario": "chlorine",
    "title": {"zh": "氯气泄漏", "en": "Chlorine leak"},
    "t_s": 12.0,
    "duration_s": 600.0,
    "speed": 1.0,
    "state": "running",
    "center": {"lat": 30.5, "lon": 114.3},
    "wind": {"speed_m_s": 2.0, "from_deg": 270.0},
    "sources": [{"id": "tank", "gas": "cl2", "lat": 30.5, "lon": 114.3, "active": True}],
    "footprint": [{"level": "aegl2", "ppm": 2.0, "polygon": [[30.5, 114.3]]}],
    "injects": [{"id": "sos", "kind": "sos", "unit": "ex-sol-01", "done": False}],
}


def options(url: str, static_dir: Path, **over: Any) -> Options:
    chosen: dict[str, Any] = {
        "broker": Broker.from_url(url),
        "org": ORG,
        "exercise": True,
        "port": 0,
        "static_dir": static_dir,
    }
    return Options(**(chosen | over))
