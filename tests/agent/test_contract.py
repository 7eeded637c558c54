"""The published contract is the code's, and traffic is judged by it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from agent.center import contract, traffic
from agent.messages import (
    Alarm,
    AlarmState,
    Batch,
    Class,
    Clock,
    Envelope,
    Mark,
    Reading,
    join_record,
)
from agent.settings.authority import VERBS
from agent.verbs import ARGUMENTS
from drivers import Quality

ROOT = Path(__file__).parents[2]
EPOCH = "1795519200000-9f3a"


def batch(klass: str = "readings", **changes: Any) -> bytes:
    reading = Reading(source="gas1", quantity="cl2", value=1.4, unit="ppm", quality=Quality.GOOD)
    envelope = Envelope(seq=2, prev=1, t=1795519261204, clock=Clock.GNSS)
    body: Any = reading
    if klass == "alarms":
        body = Alarm(
            alarm="gas1/cl2/high", code="high", rank=1, change="raised",
            state=AlarmState.UNACKNOWLEDGED, source="gas1", quantity="cl2", reading=reading,
        )  # fmt: skip
    record = msgspec.Raw(join_record(envelope, msgspec.json.encode(body)))
    message = Batch(unit="cv-01", epoch=EPOCH, mark=Mark.ACTUAL, records=[record])
    plain = msgspec.to_builtins(msgspec.json.decode(msgspec.json.encode(message))) | changes
    return msgspec.json.encode(plain)


@pytest.mark.parametrize("name", contract.documents())
def test_the_published_documents_are_what_the_code_makes(name: str) -> None:
    published = (ROOT / "docs" / "contract" / name).read_text("utf-8")
    assert published == contract.documents()[name], "run: python -m agent.center.contract"


def test_the_schema_is_one_and_takes_what_units_send() -> None:
    schema = contract.schema()
    Draft202012Validator.check_schema(schema)
    for klass in ("readings", "alarms"):
        one = {**schema, "$ref": f"#/$defs/{klass.capitalize()}Batch"}
        Draft202012Validator(one).validate(msgspec.json.decode(batch(klass)))
        wrong = msgspec.json.decode(batch(klass))
        del wrong["records"][0]["seq"]
        assert not Draft202012Validator(one).is_valid(wrong)


def test_every_topic_of_the_contract_is_described() -> None:
    document = contract.asyncapi()
    addresses = {channel["address"] for channel in document["channels"].values()}
    assert "outpost/v1/{org}/{unit}/cmd/{verb}" in addresses
    assert {f"outpost/v1/{{org}}/{{unit}}/{klass.value}" for klass in Class} <= addresses
    for operation in document["operations"].values():
        assert operation["channel"]["$ref"].split("/")[-1] in document["channels"]


def test_what_an_uplink_can_be_allowed_is_what_a_unit_can_do() -> None:
    assert sorted(VERBS) == sorted(ARGUMENTS)


def test_the_manual_of_the_wire_lists_each_verb_with_each_argument() -> None:
    text = (ROOT / "agent" / "README.md").read_text("utf-8")
    table = text.split("| verb | args | effect |\n", 1)[1].split("\n\n", 1)[0]
    rows = [line.split(" | ") for line in table.splitlines()[1:]]
    told = {row[0].strip("| `"): set(re.findall(r"`(\w+)`", row[1])) for row in rows}
    assert told == {
        verb: {field.encode_name for field in msgspec.structs.fields(args)}
        for verb, args in ARGUMENTS.items()
    }


def test_good_traffic_has_no_mistakes() -> None:
    assert traffic.mistakes_of("outpost/v1/hubei/cv-01/readings", batch()) == []
    assert traffic.mistakes_of("outpost/v1/hubei/cv-01/alarms", batch("alarms")) == []
    assert traffic.mistakes_of("outpost/v1/hubei/cv-01/status", b"") == []


@pytest.mark.parametrize(
    ("topic", "payload", "sentence"),
    [
        ("weather/now", b"{}", "expected outpost/v1/{org}/{unit}/..."),
        ("outpost/v1/hubei/cv-01/gas", b"{}", "there is no topic 'gas' in the contract"),
        ("outpost/v1/hubei/cv-01/readings", batch(unit="cv-02"), "cv-02"),
        ("outpost/v1/hubei/cv-01/readings", batch(mark="exercise"), "exercise"),
        ("outpost/v1/hubei/cv-01/readings", batch(epoch="7"), "an epoch is"),
        ("outpost/v1/hubei/cv-01/readings", b"[", "expected a Batch"),
        (
            "outpost/v1/hubei/cv-01/cmd/reboot",
            b'{"id":"1","by":"x","issued":1}',
            "there is no verb 'reboot'; known are ",
        ),
        (
            "outpost/v1/hubei/cv-01/cmd/resend",
            b'{"id":"1","by":"x","issued":1,"args":{"epoch":"e"}}',
            "missing required field `from`",
        ),
        (
            "outpost/v1/hubei/cv-01/link/center",
            b'{"unit":"cv-01","path":"center","mark":"exercise","state":"up","epoch":"7-a"}',
            "marked 'exercise' under the root 'outpost/v1'",
        ),
    ],
)
def test_a_mistake_is_named(topic: str, payload: bytes, sentence: str) -> None:
    mistakes = traffic.mistakes_of(topic, payload)
    assert any(sentence in mistake for mistake in mistakes), mistakes


def test_a_file_is_judged_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "traffic.log"
    good = b"outpost/v1/hubei/cv-01/readings " + batch()
    as_json = msgspec.json.encode(
        {"topic": "outpost/v1/hubei/cv-01/readings", "payload": msgspec.Raw(batch())}
    )
    path.write_bytes(b"\n".join([good, as_json, b"", b'{"payload": 1}', b"nonsense {}"]))
    count, mistakes = traffic.check_file(path)
    assert count == 4
    assert [mistake.split(": ")[0].split(":")[-1] for mistake in mistakes] == ["4", "5"]
    assert 'expected {"topic": ..., "payload": ...}' in mistakes[0]


def test_what_a_terminal_would_obey_is_not_printed(tmp_path: Path) -> None:
    path = tmp_path / "traffic.log"
    path.write_bytes(b"outpost/v1/\x1b[2J/cv-01/status {}\n\x1b]0;title\x07 x\n")
    _, mistakes = traffic.check_file(path)
    assert len(mistakes) == 2
    assert all(mistake.isprintable() for mistake in mistakes)
    assert "'outpost/v1/\\x1b[2J/cv-01/status'" in mistakes[0]
