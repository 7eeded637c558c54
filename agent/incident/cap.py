"""Alarms as CAP 1.2 messages (OASIS, 1 July 2010): one `alert` for each transition.  Pure.

`sent` in UTC is written `-00:00`, as section 3.3.2 of the standard asks.  No advice is given
(`responseType`, `instruction`): a sensor over its limit does not know what people should do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from xml.etree import ElementTree

import msgspec

from agent.incident.record import T_MAX, Line
from agent.incident.words import BEFORE, LANGUAGES, TAGS, sentence, word
from agent.messages import Alarm, FixBody, Mark, Reading

NAMESPACE = "urn:oasis:names:tc:emergency:cap:1.2"
STATUS = {Mark.ACTUAL: "Actual", Mark.EXERCISE: "Exercise", Mark.TEST: "Test"}
RESTRICTION = "for those who command or work at the incident 仅限现场指挥与处置人员"
NOTES = {Mark.EXERCISE: "drill 演练：ex- units only", Mark.TEST: "test 测试：disregard 请忽略"}
SEVERITY = {1: "Severe", 2: "Severe", 3: "Moderate"}
"""By rank; what is less urgent is Minor.  Extreme would be a judgement on a whole area."""
HAZARD = frozenset({"high", "low", "deficient", "critical", "over_range", "stel", "twa"})
"""Codes of the air that somebody breathes: CBRNE."""
RESCUE = frozenset({"sos", "sos_silent", "no_motion", "check_in"})
"""Codes of a person who may need help; all others are of Safety."""
HEADLINE_MAX = 160
RADIUS_UNKNOWN_KM = 0.0
"""Radius of the circle where the fix does not say how sure it is."""
REFERENCES_MAX = 1000
"""Alarms whose last message is remembered for `references`."""

_UNFIT = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold."""


class Message(msgspec.Struct, frozen=True):
    """One CAP message."""

    identifier: str
    xml: bytes


class Writer:
    """Messages in the log's order, so that an update can name what it updates."""

    def __init__(self, languages: Sequence[str] = LANGUAGES) -> None:
        self._languages = languages
        self._last: dict[tuple[str, str], str] = {}

    def messages(self, line: Line) -> Iterator[Message]:
        """The message of a line; none where it is not an alarm's."""
        if line.kind != "alarm":
            return
        try:
            alarm = msgspec.json.decode(line.body, type=Alarm)
        except msgspec.DecodeError:
            return
        yield self._message(line, alarm)

    def _message(self, line: Line, alarm: Alarm) -> Message:
        key = (line.unit, alarm.alarm)
        before = self._last.pop(key, "")
        root = ElementTree.Element("alert", xmlns=NAMESPACE)
        identifier = f"{line.unit}.{line.epoch}.{line.seq}"
        sender = f"{line.unit}.{line.org}.outpost"
        sent = moment(line.t)
        over = alarm.change == "cleared"
        _add(root, "identifier", identifier)
        _add(root, "sender", sender)
        _add(root, "sent", sent)
        _add(root, "status", STATUS[line.mark])
        # What updates nothing that is known here is a message of its own.
        _add(root, "msgType", "Alert" if not before else "Cancel" if over else "Update")
        _add(root, "source", f"outpost, unit {line.unit}")
        _add(root, "scope", "Restricted")
        _add(root, "restriction", RESTRICTION)
        if line.mark in NOTES:
            _add(root, "note", NOTES[line.mark])
        if before:
            _add(root, "references", before)
        for language in self._languages:
            _info(root, line, alarm, language)
        if not over:
            if len(self._last) >= REFERENCES_MAX:
                self._last.pop(next(iter(self._last)))
            self._last[key] = f"{sender},{identifier},{sent}"
        ElementTree.indent(root)
        text = ElementTree.tostring(root, encoding="UTF-8", xml_declaration=True)
        return Message(identifier, text + b"\n")


def moment(t: int) -> str:
    """UTC ms as CAP writes it."""
    return datetime.fromtimestamp(min(max(t, 0), T_MAX) // 1000, UTC).strftime(
        "%Y-%m-%dT%H:%M:%S-00:00"
    )


def _info(root: ElementTree.Element, line: Line, alarm: Alarm, language: str) -> None:
    info = _add(root, "info")
    over = alarm.change in ("returned", "cleared")
    _add(info, "language", TAGS[language])
    _add(info, "category", _category(alarm))
    _add(info, "event", _what(alarm, language))
    _add(info, "urgency", "Past" if over else "Immediate" if alarm.rank <= 2 else "Expected")
    _add(info, "severity", SEVERITY.get(alarm.rank, "Minor"))
    _add(info, "certainty", "Observed")
    _add(info, "effective", moment(line.t))
    if alarm.since is not None:
        _add(info, "onset", moment(alarm.since))
    _add(info, "senderName", f"{line.org} {line.unit}")
    _add(info, "headline", _headline(line, alarm, language))
    _add(info, "description", _description(alarm, language))
    for name, value in _parameters(line, alarm):
        parameter = _add(info, "parameter")
        _add(parameter, "valueName", name)
        _add(parameter, "value", value)
    if alarm.fix is not None and (circle := _circle(alarm.fix)):
        area = _add(info, "area")
        _add(area, "areaDesc", sentence("place", language, unit=line.unit))
        _add(area, "circle", circle)


def _category(alarm: Alarm) -> str:
    if alarm.code in RESCUE:
        return "Rescue"
    return "CBRNE" if alarm.code in HAZARD else "Safety"


def _what(alarm: Alarm, language: str) -> str:
    # Of `battery_critical` the quantity is in the word already.
    if alarm.code in RESCUE or not alarm.quantity or alarm.code.startswith(alarm.quantity):
        return word(alarm.code, language)
    return f"{word(alarm.quantity, language)} {word(alarm.code, language)}"


def _headline(line: Line, alarm: Alarm, language: str) -> str:
    before = BEFORE[line.mark][LANGUAGES.index(language)]
    text = f"{before}{line.unit} {_what(alarm, language)}: {word(alarm.change, language)}"
    return text[:HEADLINE_MAX]


def _description(alarm: Alarm, language: str) -> str:
    reading = alarm.reading
    parts = []
    if reading is not None:
        value = _value(reading)
        parts.append(
            sentence("measured", language, value=value) if value else sentence("no_value", language)
        )
    if alarm.limit is not None:
        unit = reading.unit if reading is not None else ""
        parts.append(sentence("limit", language, limit=f"{alarm.limit:g} {unit}".strip()))
    if alarm.limit_basis:
        parts.append(sentence("basis", language, basis=alarm.limit_basis))
    if alarm.by:
        parts.append(sentence("by", language, by=alarm.by))
    return ("；" if language == "zh" else "; ").join(parts) or _what(alarm, language)


def _value(reading: Reading) -> str:
    return "" if reading.value is None else f"{reading.value:g} {reading.unit}".strip()


def _parameters(line: Line, alarm: Alarm) -> Iterator[tuple[str, str]]:
    """Codes, for programs: the same in both languages."""
    yield "outpost:alarm", alarm.alarm
    yield "outpost:code", alarm.code
    yield "outpost:change", alarm.change
    yield "outpost:state", alarm.state.value
    yield "outpost:rank", str(alarm.rank)
    yield "outpost:clock", line.clock.value
    if alarm.reading is not None and alarm.reading.value is not None:
        yield "outpost:value", f"{alarm.reading.value:g}"
        yield "outpost:unit", alarm.reading.unit
        yield "outpost:quality", alarm.reading.quality.value
    if alarm.limit is not None:
        yield "outpost:limit", f"{alarm.limit:g}"
    if alarm.by:
        yield "outpost:by", alarm.by


def _circle(fix: FixBody) -> str:
    """`lat,lon radius` with km; empty where there is no position."""
    if fix.lat is None or fix.lon is None:
        return ""
    radius = fix.eph / 1000 if fix.eph is not None else RADIUS_UNKNOWN_KM
    return f"{fix.lat:.6f},{fix.lon:.6f} {radius:.3f}"


def _add(parent: ElementTree.Element, name: str, text: str | None = None) -> ElementTree.Element:
    child = ElementTree.SubElement(parent, name)
    if text is not None:
        child.text = _UNFIT.sub("\ufffd", text)
    return child
