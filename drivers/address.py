"""Addresses as they may be told: logs and errors name hosts and paths, never who comes in."""

from __future__ import annotations

import re

_LOGIN = re.compile(r"(?<=://)[^/\s'\"]*@")
_QUERY = re.compile(r"(://[^\s?'\"]*\?)[^\s'\"]+")
_NAMED = re.compile(r"(?i)((?:pass|passwd|password|pwd|token|secret|key)=)[^&/\s'\"]+")


def without_secrets(text: str) -> str:
    """A text with addresses in it: without logins, without queries (many cameras and servers want a
    password or a stream's key there), without what is named a password in a path."""
    text = _LOGIN.sub("***@", text)
    text = _QUERY.sub(r"\1***", text)
    return _NAMED.sub(r"\1***", text)
