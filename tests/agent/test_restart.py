"""The end of a run that begins the next, and what happens where the next cannot start."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from agent import run
from agent.__main__ import main
from agent.config import Config
from agent.settings import restart
from agent.settings.remote import Kept, Remote
from agent.settings.restart import Stop
from tests.agent.test_reconfigure import trial, written


class _AnewError(Exception):
    """In place of this process."""


@pytest.fixture(autouse=True)
def anew(monkeypatch: pytest.MonkeyPatch) -> None:
    def raise_instead() -> None:
        raise _AnewError

    monkeypatch.setattr(restart, "start_anew", raise_instead)


async def test_a_signal_ends_for_good_whatever_else_was_asked_for() -> None:
    stop = Stop()
    stop.restart()
    assert (stop.is_set(), stop.again) == (True, True)
    stop.for_good()
    assert not stop.again
    stop.restart()
    assert not stop.again


def refuse(config: Config, remote: Remote) -> None:
    raise ExceptionGroup("tasks", [OSError("/dev/gpiochip0: no such chip")])


def test_a_change_with_which_the_unit_cannot_start_is_taken_back_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "run", refuse)
    file = written(tmp_path, Kept(values={"log.format": "json"}, trial=trial()))
    with pytest.raises(_AnewError):
        main(["run", "--config", str(file)])
    assert capsys.readouterr().err == "/dev/gpiochip0: no such chip\n"
    kept = msgspec.json.decode((tmp_path / "remote.json").read_bytes(), type=Kept)
    assert (kept.values, kept.trial) == ({"log.format": "json"}, None)
    (notice,) = kept.notices
    assert (notice.event, notice.detail) == ("config_rolled_back", "/dev/gpiochip0: no such chip")


def test_without_a_change_it_ends_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "run", refuse)
    assert main(["run", "--config", str(written(tmp_path))]) == 1
    assert capsys.readouterr().err == "/dev/gpiochip0: no such chip\n"


def test_a_dry_run_tells_what_was_changed_and_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lapsed = Kept(values={"log.format": "json"}, trial=trial(until_ms=0))
    file = written(tmp_path, lapsed)
    before = (tmp_path / "remote.json").read_bytes()
    assert main(["run", "--dry-run", "--config", str(file)]) == 0
    assert capsys.readouterr().out.endswith(
        f"changed from afar, {tmp_path}/remote.json: log.format\n"
    )
    assert (tmp_path / "remote.json").read_bytes() == before


def test_the_process_is_replaced_by_the_same_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    called: list[tuple[str, list[str]]] = []
    monkeypatch.setattr("os.execv", lambda path, argv: called.append((path, argv)))
    monkeypatch.setattr("sys.orig_argv", ["python3", "-X", "dev", "-m", "agent", "run"])
    monkeypatch.setattr("sys.executable", "/usr/bin/python3")
    restart.start_anew()
    assert called == [("/usr/bin/python3", ["/usr/bin/python3", "-X", "dev", "-m", "agent", "run"])]
