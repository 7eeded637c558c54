"""What OASIS' schema of CAP 1.2 asks of a message, as a table of its own.

The schema itself belongs to OASIS and does not stand here: these are its elements, their order, how
often they may come, and its closed lists of words.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree

NAMESPACE = "{urn:oasis:names:tc:emergency:cap:1.2}"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[-,+]\d\d:\d\d")
NO_SPACE = re.compile(r"[^\s,<&]+")
"""What the standard asks of identifier and sender, beyond the schema."""
CIRCLE = re.compile(r"-?\d+(\.\d+)?,-?\d+(\.\d+)? \d+(\.\d+)?")

ONE, MAY, MANY, SOME = (1, 1), (0, 1), (0, 10**9), (1, 10**9)
ALERT = {
    "identifier": ONE, "sender": ONE, "sent": ONE, "status": ONE, "msgType": ONE, "source": MAY,
    "scope": ONE, "restriction": MAY, "addresses": MAY, "code": MANY, "note": MAY,
    "references": MAY, "incidents": MAY, "info": MANY,
}  # fmt: skip
INFO = {
    "language": MAY, "category": SOME, "event": ONE, "responseType": MANY, "urgency": ONE,
    "severity": ONE, "certainty": ONE, "audience": MAY, "eventCode": MANY, "effective": MAY,
    "onset": MAY, "expires": MAY, "senderName": MAY, "headline": MAY, "description": MAY,
    "instruction": MAY, "web": MAY, "contact": MAY, "parameter": MANY, "resource": MANY,
    "area": MANY,
}  # fmt: skip
INNER = {
    "alert": ALERT,
    "info": INFO,
    "parameter": {"valueName": ONE, "value": ONE},
    "area": {"areaDesc": ONE, "polygon": MANY, "circle": MANY, "geocode": MANY,
             "altitude": MAY, "ceiling": MAY},
}  # fmt: skip
WORDS = {
    "status": "Actual Exercise System Test Draft",
    "msgType": "Alert Update Cancel Ack Error",
    "scope": "Public Restricted Private",
    "category": "Geo Met Safety Security Rescue Fire Health Env Transport Infra CBRNE Other",
    "urgency": "Immediate Expected Future Past Unknown",
    "severity": "Extreme Severe Moderate Minor Unknown",
    "certainty": "Observed Likely Possible Unlikely Unknown",
}
FORMS = {
    "sent": TIME, "effective": TIME, "onset": TIME, "expires": TIME, "identifier": NO_SPACE,
    "sender": NO_SPACE, "circle": CIRCLE, "language": re.compile(r"[a-zA-Z]{1,8}(-[a-zA-Z0-9]+)*"),
}  # fmt: skip


def mistakes(xml: bytes) -> list[str]:
    """All that the table does not allow; ParseError where it is no XML."""
    root = ElementTree.fromstring(xml)
    if root.tag != f"{NAMESPACE}alert":
        return [f"expected alert of CAP 1.2, read {root.tag}"]
    return list(_mistakes(root, "alert"))


def _mistakes(element: ElementTree.Element, name: str) -> list[str]:
    found: list[str] = []
    names = [child.tag.removeprefix(NAMESPACE) for child in element]
    table = INNER.get(name)
    text = (element.text or "").strip()
    if table is None:
        if names:
            found.append(f"{name} holds elements")
        if name in WORDS and text not in WORDS[name].split():
            found.append(f"{name}: {text!r} is not one of its words")
        if name in FORMS and not FORMS[name].fullmatch(text):
            found.append(f"{name}: {text!r} has not its form")
        return found
    order = list(table)
    places = [order.index(child) for child in names if child in table]
    found += [f"{name}: there is no element {child}" for child in names if child not in table]
    if places != sorted(places):
        found.append(f"{name}: its elements are out of order: {names}")
    for child, (least, most) in table.items():
        if not least <= names.count(child) <= most:
            found.append(f"{name}: {names.count(child)} times {child}")
    for child_name, part in zip(names, element, strict=True):
        found += _mistakes(part, child_name)
    if name == "alert" and element.findtext(f"{NAMESPACE}scope") == "Restricted":
        if not element.findtext(f"{NAMESPACE}restriction"):
            found.append("alert: Restricted without restriction")
    return found
