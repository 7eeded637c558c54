"""Logs: one line each, for people or as JSON."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime

import msgspec

from agent.settings.tables import LogConfig, LogFormat


class _Human(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        text = record.getMessage()
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return f"{_time(record)} {record.levelname.lower():7} {record.name}: {_one_line(text)}"


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "t": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        # A file's name may hold bytes that no text can.
        safe = {
            key: text.encode("utf-8", "backslashreplace").decode() for key, text in line.items()
        }
        return msgspec.json.encode(safe).decode()


def _one_line(text: str) -> str:
    """What came over a wire must neither forge a second line nor drive the terminal."""
    lines = " | ".join(text.splitlines())
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in lines)


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def set_up(config: LogConfig) -> None:
    """Log to standard error from now on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if config.format is LogFormat.JSON else _Human())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(config.level.value.upper())
    logging.captureWarnings(True)
