"""One line each, whatever is in it."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec
import pytest

from agent import log
from agent.settings.tables import LogConfig, LogFormat, LogLevel


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, given back as it was."""
    logger = logging.getLogger()
    handlers, level = logger.handlers[:], logger.level
    yield logger
    logger.handlers[:] = handlers
    logger.setLevel(level)
    logging.captureWarnings(False)


def written(
    monkeypatch: pytest.MonkeyPatch, form: LogFormat, level: LogLevel = LogLevel.INFO
) -> io.StringIO:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    log.set_up(LogConfig(format=form, level=level))
    return stream


def fail() -> None:
    raise ValueError("first line\nsecond line")


def test_human(root: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = written(monkeypatch, LogFormat.HUMAN)
    logging.getLogger("agent.uplink").warning("uplink %s: %s", "center", "gone")
    time, rest = stream.getvalue().split(" ", 1)
    assert rest == "warning agent.uplink: uplink center: gone\n"
    assert time.endswith("Z")
    assert abs((datetime.fromisoformat(time) - datetime.now(UTC)).total_seconds()) < 5


def test_json(root: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = written(monkeypatch, LogFormat.JSON)
    logging.getLogger("agent").error("指挥车 %d", 1)
    line = msgspec.json.decode(stream.getvalue())
    assert {key: line[key] for key in ("level", "logger", "message")} == {
        "level": "error", "logger": "agent", "message": "指挥车 1",
    }  # fmt: skip
    assert "指挥车" in stream.getvalue()


@pytest.mark.parametrize("form", LogFormat)
@pytest.mark.parametrize("text", ["a\nb", "a\r\nb", "a\u2028b", "a\x1b[2Jb", "a\x00b", "a\ud800b"])
def test_nothing_from_a_wire_makes_a_second_line_or_drives_the_terminal(
    root: logging.Logger, monkeypatch: pytest.MonkeyPatch, form: LogFormat, text: str
) -> None:
    stream = written(monkeypatch, form)
    logging.getLogger("agent").info("%s", text)
    line = stream.getvalue()
    assert line.splitlines(keepends=True) == [line] or form is LogFormat.JSON
    assert line.count("\n") == 1
    assert not set("\r\x1b\x00") & set(line)
    assert line.encode("utf-8")


@pytest.mark.parametrize("form", LogFormat)
def test_a_trace_is_one_line_too(
    root: logging.Logger, monkeypatch: pytest.MonkeyPatch, form: LogFormat
) -> None:
    stream = written(monkeypatch, form)
    try:
        fail()
    except ValueError as error:
        logging.getLogger("agent").error("it failed", exc_info=error)
    line = stream.getvalue()
    assert line.count("\n") == 1
    assert "second line" in line
    assert "in fail" in line


def test_the_level_holds(root: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = written(monkeypatch, LogFormat.HUMAN, LogLevel.WARNING)
    logging.getLogger("agent").info("unheard")
    assert stream.getvalue() == ""


def test_python_s_warnings_are_lines_too(
    root: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = written(monkeypatch, LogFormat.HUMAN)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(False)
        logging.captureWarnings(True)
        warnings.warn("old ways", DeprecationWarning, stacklevel=1)
    assert stream.getvalue().count("\n") == 1
    assert "old ways" in stream.getvalue()
