"""Traffic against the contract: `outpost check --wire FILE`.

A file of traffic has lines of `topic payload` (what `mosquitto_sub -v` prints) or of JSON objects
`{"topic": ..., "payload": ...}`.  Compressed payloads are no text: those stand in hexadecimal, as
`{"topic": ..., "payload_hex": ...}` (`mosquitto_sub -F '{"topic":"%t","payload_hex":"%x"}'`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from agent import messages, topics
from agent.center.contract import PLAIN
from agent.center.receiver import Receiver
from agent.delivery import compression
from agent.messages import Class
from agent.verbs import ARGUMENTS

LINE_MAX = 4 * 1024 * 1024


def mistakes_of(topic: str, payload: bytes) -> list[str]:
    """What is wrong with one message; empty: it keeps the contract."""
    try:
        parsed = topics.parse(topic)
    except ValueError as error:
        return [str(error)]
    if parsed.unit == topics.DRILL or not payload:
        # The director's own words, and the clearing of a retained message.
        return []
    kind = next((kind for form, kind in PLAIN.items() if _fits(form, parsed.path)), None)
    try:
        if kind is not None:
            message = msgspec.json.decode(compression.expand(payload), type=kind)
            return list(_about(parsed, message))
        if parsed.path[0] in list(Class) and len(parsed.path) == 1:
            Receiver().feed(parsed, payload)
            return []
        if _fits(("rtc", "+", "close"), parsed.path):
            msgspec.json.decode(payload, type=dict[str, Any])
            return []
    except (ValueError, msgspec.DecodeError, RecursionError) as error:
        return [str(error)]
    return [f"there is no topic {'/'.join(parsed.path)!r} in the contract"]


def _fits(form: tuple[str, ...], path: tuple[str, ...]) -> bool:
    return len(form) == len(path) and all(
        want in ("+", word) for want, word in zip(form, path, strict=True)
    )


def _about(topic: topics.Topic, message: Any) -> Iterator[str]:
    unit = getattr(message, "unit", topic.unit)
    if unit != topic.unit:
        yield f"the topic is of unit {topic.unit!r}, but the payload says {unit!r}"
    mark = getattr(message, "mark", None)
    if mark is not None and (mark is messages.Mark.EXERCISE) != topic.exercise:
        root = topics.ROOT_EXERCISE if topic.exercise else topics.ROOT
        yield f"marked {mark.value!r} under the root {root!r}"
    epoch = getattr(message, "epoch", None)
    if epoch is not None:
        messages.epoch_order(epoch)
    if isinstance(message, messages.Command):
        verb = topics.verb_of(topic.path[1])
        if verb not in ARGUMENTS:
            yield f"there is no verb {verb!r}; known are {', '.join(sorted(ARGUMENTS))}"
        else:
            msgspec.convert(message.args, ARGUMENTS[verb])


def check_file(path: Path) -> tuple[int, list[str]]:
    """How many messages a file of traffic has, and every mistake as `file:line: topic: what`.
    OSError: it cannot be read."""
    count = 0
    found: list[str] = []
    with path.open("rb") as lines:
        for number, line in enumerate(_bounded(lines), start=1):
            if not line.strip():
                continue
            count += 1
            topic, payload, wrong = _take_apart(line)
            mistakes = [wrong] if wrong else mistakes_of(topic, payload)
            # A terminal would obey what a topic of any bytes says.
            name = topic if topic.isprintable() else repr(topic)
            found += [f"{path}:{number}: {name or '?'}: {mistake}" for mistake in mistakes]
    return count, found


def _bounded(lines: Any) -> Iterator[bytes]:
    while line := lines.readline(LINE_MAX):
        yield line


def _take_apart(line: bytes) -> tuple[str, bytes, str]:
    if not line.lstrip().startswith(b"{"):
        topic_bytes, _, data = line.rstrip(b"\r\n").partition(b" ")
        return topic_bytes.decode("utf-8", "replace"), data, ""
    try:
        record = msgspec.json.decode(line, type=dict[str, Any])
        return str(record["topic"]), _payload(record), ""
    except (ValueError, msgspec.DecodeError, RecursionError, KeyError) as error:
        wanted = '{"topic": ..., "payload": ...} or {"topic": ..., "payload_hex": ...}'
        return "", b"", f"expected {wanted}, read {line[:60]!r}: {error}"


def _payload(record: dict[str, Any]) -> bytes:
    if isinstance(digits := record.get("payload_hex"), str):
        return bytes.fromhex(digits)
    payload = record["payload"]
    return payload.encode() if isinstance(payload, str) else msgspec.json.encode(payload)
