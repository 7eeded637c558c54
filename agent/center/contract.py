"""The published contract: JSON Schema and AsyncAPI, made from agent/messages.

`docs/contract/` holds what this makes (`python -m agent.center.contract`); a test
keeps it the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from agent import messages, topics
from agent.center.units import unit_schema
from agent.delivery import compression
from agent.messages import Class
from agent.verbs import ARGUMENTS

SCHEMA_ID = "outpost-v1.schema.json"
_REF = f"{SCHEMA_ID}#/$defs/{{name}}"

BODIES: dict[Class, type[msgspec.Struct] | None] = {
    Class.READINGS: messages.Reading,
    Class.ALARMS: messages.Alarm,
    Class.EVENTS: messages.Event,
    Class.MEDIA: messages.MediaItem,
    Class.ACK: messages.Ack,
}
"""What a record of each class carries beside its envelope; None: an object without a type yet."""

PLAIN: dict[tuple[str, ...], type[msgspec.Struct]] = {
    ("status",): messages.Status,
    ("alarms", "active"): messages.ActiveAlarms,
    ("link", "+"): messages.Link,
    ("skipped",): messages.Skipped,
    ("rollups",): messages.Rollup,
    ("still", "+"): messages.Still,
    ("media", "+"): messages.Chunk,
    ("cmd", "+"): messages.Command,
    ("rtc", "+", "offer"): messages.Offer,
    ("rtc", "+", "answer"): messages.Answer,
}
"""Topics that carry one message and no records; `+` stands for any level."""

SAYS = {
    "status": "who a unit is and how it does; retained, at most one counts by (epoch, version)",
    "alarms/active": "what stands now; retained, at most one counts by (epoch, version)",
    "link/+": "one way of a unit to one center; retained, and the will of that way",
    "skipped": "numbers that do not come to this center, and why: no gap; QoS 1, not retained",
    "rollups": "readings thinned to a period's figures, where a link does not bear them all; QoS 1",
    "still/+": "a picture where no video path exists; QoS 0",
    "media/+": "a piece of a picture or recording, for who asked; QoS 1, not retained",
    "cmd/+": "a command to a unit, or to all units of an org",
    "rtc/+/offer": "WebRTC: a viewer's offer",
    "rtc/+/answer": "WebRTC: the unit's answer, or why there is none",
}


def schema() -> dict[str, Any]:
    """JSON Schema 2020-12 of every message, each under `$defs`."""
    kinds: list[Any] = [
        *PLAIN.values(), messages.Envelope, messages.InIncident, *ARGUMENTS.values(),
        *(kind for kind in BODIES.values() if kind),
    ]  # fmt: skip
    _, parts = msgspec.json.schema_components(kinds, ref_template="#/$defs/{name}")
    for klass, kind in BODIES.items():
        parts[_record_name(klass)] = {
            "title": _record_name(klass),
            "description": f"A record of `{klass.value}`: an envelope and a body in one object.",
            "allOf": [
                {"$ref": "#/$defs/Envelope"},
                {"$ref": "#/$defs/InIncident"},
                {"$ref": f"#/$defs/{kind.__name__}"} if kind else {"type": "object"},
            ],
        }
        parts[_batch_name(klass)] = _batch(klass)
    parts["Unit"] = unit_schema()
    parts["Reading"]["properties"]["unit"] = {"$ref": "#/$defs/Unit", "default": ""}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        "title": "Outpost, version 1: messages between a field unit and a command center",
        "$defs": dict(sorted(parts.items())),
    }


def _record_name(klass: Class) -> str:
    return f"{klass.value.capitalize()}Record"


def _batch_name(klass: Class) -> str:
    return f"{klass.value.capitalize()}Batch"


def _batch(klass: Class) -> dict[str, Any]:
    marks = [mark.value for mark in messages.Mark]
    return {
        "title": _batch_name(klass),
        "description": f"What the topic `{klass.value}` carries.",
        "type": "object",
        "properties": {
            "unit": {"type": "string"},
            "epoch": {"type": "string", "pattern": "^[0-9]+-.+$"},
            "mark": {"enum": marks},
            "records": {"type": "array", "items": {"$ref": f"#/$defs/{_record_name(klass)}"}},
        },
        "required": ["unit", "epoch", "mark", "records"],
    }


def asyncapi() -> dict[str, Any]:
    """AsyncAPI 3.0 of all topics, seen from the unit (it sends what a center receives)."""
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    for path, name, text in _channels():
        key = path.replace("/", "_").replace("+", "each").replace(".", "_")
        levels = path.split("/")
        address, parameters = _address(levels)
        channels[key] = {
            "address": address,
            "description": text,
            "parameters": parameters,
            "messages": {name: {"payload": {"$ref": _REF.format(name=name)}}},
        }
        receives = path == "cmd/+" or path == "rtc/+/offer"
        operations[f"{'receive' if receives else 'send'}_{key}"] = {
            "action": "receive" if receives else "send",
            "channel": {"$ref": f"#/channels/{key}"},
        }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Outpost",
            "version": f"{messages.SCHEMA_VERSION}.0.0",
            "description": "What a field unit and a command center say to each other over MQTT 5 "
            "or 3.1.1.  For drills the root is outpost-exercise/v1.  Records and roll-ups may be "
            f"one zstd frame of the JSON, of at most {compression.MOST_BYTES} bytes (content type "
            f"{compression.CONTENT_TYPE}), where an uplink's `compress` says so.",
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
    }


def _channels() -> Iterator[tuple[str, str, str]]:
    for form, kind in PLAIN.items():
        path = "/".join(form)
        yield path, kind.__name__, SAYS[path]
    for klass in BODIES:
        yield klass.value, _batch_name(klass), f"numbered records of class {klass.value}; QoS 1"


def _address(levels: Iterable[str]) -> tuple[str, dict[str, Any]]:
    names = {"media": "id", "link": "path", "still": "camera", "cmd": "verb", "rtc": "session"}
    words: list[str] = []
    parameters: dict[str, Any] = {
        "org": {"description": "slug of the organisation"},
        "unit": {"description": "slug of the unit"},
    }
    for level in levels:
        if level == "+":
            name = names[words[-1]]
            parameters[name] = {"description": f"the {name}"}
            words.append(f"{{{name}}}")
        else:
            words.append(level)
    return f"{topics.ROOT}/{{org}}/{{unit}}/{'/'.join(words)}", parameters


def documents() -> dict[str, str]:
    """The files of docs/contract by name, as they must stand there."""
    return {
        SCHEMA_ID: _pretty(schema()),
        "asyncapi.json": _pretty(asyncapi()),
    }


def _pretty(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    folder = Path(__file__).resolve().parents[2] / "docs" / "contract"
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in documents().items():
        (folder / name).write_text(text, encoding="utf-8")
