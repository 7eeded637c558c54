"""A host with or without a port: `center.example.org`, `center.example.org:8884`, `[::1]:1883`."""

from __future__ import annotations

import re

_WITH_PORT = re.compile(r"\A(?P<host>\[[^\]]+\]|[^:]+):(?P<port>\d{1,5})\Z")


def split(text: str, port: int) -> tuple[str, int]:
    """(host, port); `port` where `text` names none."""
    if found := _WITH_PORT.match(text):
        return found["host"].strip("[]"), int(found["port"])
    return text, port


def mistake(text: str) -> str:
    """The sentence for what is no host; empty: it is one."""
    _, port = split(text, 1)
    return "" if 1 <= port <= 65535 else f"a port is 1 to 65535, read {text!r}"
