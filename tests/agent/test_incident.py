"""The incident log: the chain, what breaks it, what does not; nobody waits for the disk."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.clock import UnitClock
from agent.delivery.rows import Row
from agent.incident import record as incident
from agent.incident.check import Check
from agent.incident.record import BEGINNING, FILE, Head, Incident, digest
from agent.messages import Class, Event, Mark
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
PATIENCE_S = 20.0


def log_in(folder: Path, **over: int) -> Incident:
    return Incident(
        folder, UnitClock(), org="hubei", unit="ex-cv-01", mark=Mark.EXERCISE,
        epoch="1795519200000-9f3a",
        **{"max_bytes": 1_000_000, "max_files": 4, **over},
    )  # fmt: skip


def row(seq: int, name: str = "source_up", klass: Class = Class.EVENTS) -> Row:
    body = msgspec.json.encode(Event(event=name, detail="一号 é" * 3))
    return Row(
        epoch=1, seq=seq, klass=klass.value, prev=0, t=1795519200000 + seq, clock="ntp", mono=seq,
        body=body,
    )  # fmt: skip


def write(folder: Path, count: int, **over: int) -> Head:
    with log_in(folder, **over) as log:
        for seq in range(1, count + 1):
            log.record(row(seq))
    return log.head


def checked(folder: Path, head: str = "") -> Check:
    check = Check(folder)
    if head:
        check.seek(head)
    for _ in check.lines():
        pass
    return check


def test_each_line_names_the_one_before_it(tmp_path: Path) -> None:
    head = write(tmp_path, 5)
    lines = (tmp_path / FILE).read_bytes().splitlines()
    assert [msgspec.json.decode(line)["n"] for line in lines] == [1, 2, 3, 4, 5]
    assert [msgspec.json.decode(line)["prev"] for line in lines] == [
        BEGINNING, *(digest(line) for line in lines[:-1])
    ]  # fmt: skip
    assert head == Head(5, digest(lines[-1]))
    first = msgspec.json.decode(lines[0])
    assert first["unit"] == "ex-cv-01"
    assert first["mark"] == "exercise"
    assert first["kind"] == "event"
    assert first["seq"] == 1
    assert first["body"]["event"] == "source_up"
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600


def test_the_next_run_goes_on_with_the_chain(tmp_path: Path) -> None:
    write(tmp_path, 3)
    head = write(tmp_path, 2)
    check = checked(tmp_path)
    assert (check.count, check.first, check.head) == (5, 1, head)
    assert not check.mistakes
    assert not check.remarks


def test_readings_and_the_minute_s_dose_are_no_incidents(tmp_path: Path) -> None:
    with log_in(tmp_path) as log:
        log.record(row(1, klass=Class.READINGS))
        log.record(row(2, klass=Class.ACK))
        log.record(row(3, name="exposure"))
        log.record(row(4, name="exposure_closed"))
        log.record(row(5, klass=Class.ALARMS))
    assert [(line.seq, line.kind) for line in Check(tmp_path).lines()] == [
        (4, "event"), (5, "alarm")
    ]  # fmt: skip


# -- a hand in the log ---------------------------------------------------------------------------


def change(lines: list[bytes]) -> list[bytes]:
    return [line.replace(b'"seq":3', b'"seq":9') for line in lines]


def take_out(lines: list[bytes]) -> list[bytes]:
    return lines[:2] + lines[3:]


def swap(lines: list[bytes]) -> list[bytes]:
    return [lines[0], lines[2], lines[1], *lines[3:]]


def put_in(lines: list[bytes]) -> list[bytes]:
    return [*lines[:3], lines[2], *lines[3:]]


def spoil(lines: list[bytes]) -> list[bytes]:
    return [*lines[:3], b"\x00" * 20, *lines[4:]]


@pytest.mark.parametrize("hand", [change, take_out, swap, put_in, spoil])
def test_a_hand_in_the_log_is_found(
    tmp_path: Path, hand: Callable[[list[bytes]], list[bytes]]
) -> None:
    write(tmp_path, 6)
    path = tmp_path / FILE
    path.write_bytes(b"\n".join(hand(path.read_bytes().splitlines())) + b"\n")
    mistakes = checked(tmp_path).mistakes
    assert mistakes
    assert mistakes[0].startswith(f"{path}:")


def test_the_sentence_says_where_the_chain_breaks(tmp_path: Path) -> None:
    write(tmp_path, 6)
    path = tmp_path / FILE
    path.write_bytes(b"\n".join(change(path.read_bytes().splitlines())) + b"\n")
    (mistake,) = checked(tmp_path).mistakes
    assert mistake.startswith(f"{path}:4: the chain is broken: line 4 follows the digest ")


@settings(max_examples=60, deadline=None)
@given(at=st.integers(0, 10**6), to=st.integers(0, 255))
def test_no_byte_can_change(at: int, to: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Not even in the last line, for who has kept the head."""
    folder = tmp_path_factory.mktemp("log")
    head = write(folder, 3)
    path = folder / FILE
    data = bytearray(path.read_bytes())
    at %= len(data)
    before, data[at] = data[at], to
    path.write_bytes(data)
    check = checked(folder, head.digest)
    assert bool(check.mistakes) == (to != before)


def test_an_end_that_was_taken_away_is_found_by_a_head_kept_elsewhere(tmp_path: Path) -> None:
    head = write(tmp_path, 6)
    path = tmp_path / FILE
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:4]))
    assert not checked(tmp_path).mistakes
    assert checked(tmp_path, head.digest).mistakes == [
        f"the head {head.digest} is not in the log: it was cut short, or written anew"
    ]


# -- crashes -------------------------------------------------------------------------------------


def test_a_line_that_was_cut_off_is_told_and_is_not_fatal(tmp_path: Path) -> None:
    write(tmp_path, 4)
    path = tmp_path / FILE
    os.truncate(path, path.stat().st_size - 30)
    before = path.read_bytes()
    check = checked(tmp_path)
    assert check.count == 3
    assert not check.mistakes
    assert len(check.remarks) == 1
    assert check.remarks[0].startswith(f"{path}:4: the last line was")
    write(tmp_path, 1)
    check = checked(tmp_path)
    assert not check.mistakes
    assert check.remarks == [f"{path}:4: a line was cut off, as line 4 says"]
    # Nothing was taken away: what is left of the line still stands there.
    assert path.read_bytes().startswith(before + b"\n")


def test_zeros_that_a_power_cut_left_are_told_too(tmp_path: Path) -> None:
    write(tmp_path, 2)
    path = tmp_path / FILE
    with path.open("ab") as file:
        file.write(b"\x00" * 4096)
    write(tmp_path, 1)
    check = checked(tmp_path)
    assert not check.mistakes
    assert "a line was cut off, as line 3 says" in check.remarks[0]


def test_a_hand_cannot_pass_for_a_crash(tmp_path: Path) -> None:
    """A `cut` line knows the bytes that it tells of."""
    write(tmp_path, 3)
    path = tmp_path / FILE
    os.truncate(path, path.stat().st_size - 30)
    write(tmp_path, 1)
    lines = path.read_bytes().splitlines()
    path.write_bytes(b"\n".join([*lines[:2], lines[2][:-5], *lines[3:]]) + b"\n")
    assert any("expected a line of the log" in text for text in checked(tmp_path).mistakes)


CHILD = """
import sys
from pathlib import Path
from tests.agent.test_incident import log_in, row
with log_in(Path(sys.argv[1]), max_bytes=20_000) as log:
    seq = 0
    while True:
        seq += 1
        log.record(row(seq))
"""


def test_kill_9_leaves_a_log_that_goes_on(tmp_path: Path) -> None:
    """Three times, among rotations."""
    last = 0
    for _ in range(3):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(tmp_path)], cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        try:
            wait_until(partial(_is_past, tmp_path, last + 300), "the child writes", PATIENCE_S)
        finally:
            child.send_signal(signal.SIGKILL)
            child.wait()
        check = checked(tmp_path)
        assert not check.mistakes
        assert check.head.n > last
        last = check.head.n
    write(tmp_path, 1)
    assert not checked(tmp_path).mistakes


def _is_past(folder: Path, number: int) -> bool:
    return _last(folder) > number


def _last(folder: Path) -> int:
    """The number of the last whole line, as far as a reader beside the writer can say."""
    try:
        with (folder / FILE).open("rb") as file:
            lines = file.read().splitlines()
        return int(msgspec.json.decode(lines[-2])["n"]) if len(lines) > 1 else 0
    except FileNotFoundError:
        return 0


# -- rotation ------------------------------------------------------------------------------------


def test_the_chain_goes_on_over_files_and_the_oldest_go(tmp_path: Path) -> None:
    head = write(tmp_path, 100, max_bytes=3000, max_files=3)
    names = [path.name for path in incident.files(tmp_path)]
    assert len(names) == 3
    assert names[-1] == FILE
    check = checked(tmp_path, head.digest)
    assert not check.mistakes
    assert check.head == head
    assert check.first > 1
    assert check.remarks == [f"lines 1 to {check.first - 1} were removed by rotation"]


def test_a_file_that_a_hand_removed_is_missed(tmp_path: Path) -> None:
    write(tmp_path, 100, max_bytes=3000, max_files=30)
    paths = incident.files(tmp_path)
    assert len(paths) > 4
    assert not checked(tmp_path).mistakes
    paths[0].unlink()
    (mistake,) = checked(tmp_path).mistakes
    assert "no line says that rotation removed" in mistake
    paths[2].unlink()
    assert any("the chain is broken" in text for text in checked(tmp_path).mistakes)


def test_a_crash_between_rotation_and_the_new_file_loses_no_link(tmp_path: Path) -> None:
    write(tmp_path, 3)
    (tmp_path / FILE).rename(tmp_path / "incident-000001.jsonl")
    assert write(tmp_path, 2).n == 5
    assert not checked(tmp_path).mistakes


# -- the disk ------------------------------------------------------------------------------------


@pytest.fixture
def stalled(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """The disk stands still until the event is set."""
    goes_on = threading.Event()
    sync = os.fdatasync

    def wait_then_sync(number: int) -> None:
        goes_on.wait(PATIENCE_S)
        sync(number)

    monkeypatch.setattr("agent.incident.record.os.fdatasync", wait_then_sync)
    yield goes_on
    goes_on.set()


def test_nobody_waits_for_a_disk_that_stalls_and_what_is_lost_is_counted(
    tmp_path: Path, stalled: threading.Event
) -> None:
    with log_in(tmp_path, queue_max=10) as log:
        log.record(row(1))
        wait_until(lambda: log.report()["n"] == 1, "the thread is at the disk")
        began = time.monotonic()
        for seq in range(2, 1002):
            log.record(row(seq))
        assert time.monotonic() - began < 1.0
        assert log.report()["lost"] == 990
        assert log.report()["waiting"] == 10
        stalled.set()
        wait_until(lambda: log.report()["waiting"] == 0, "the thread writes again")
    check = Check(tmp_path)
    (lost,) = [line for line in check.lines() if line.kind == "lost"]
    assert msgspec.json.decode(lost.body) == {"lines": 990}
    assert not check.mistakes
    assert check.count == 12
    assert check.remarks == ["line 12: the disk stood still, and lines were lost"]


def test_a_full_disk_is_tried_again_and_no_line_is_written_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(incident, "RETRY_S", 0.01)
    write_now = os.write
    room = [100]
    """Bytes that the disk still takes; then it is full, three times."""
    full = threading.Event()

    def short_write(number: int, data: bytes) -> int:
        if not room:
            return write_now(number, data)
        taken = min(room[0], len(data))
        room[0] -= taken
        if not taken:
            full.set()
            raise OSError(28, "No space left on device")
        return write_now(number, data[:taken])

    monkeypatch.setattr("agent.incident.record.os.write", short_write)
    with log_in(tmp_path) as log:
        for seq in range(1, 6):
            log.record(row(seq))
        assert full.wait(PATIENCE_S)
        wait_until(lambda: "No space left" in log.report()["trouble"], "it tells of the trouble")
        room.clear()
        wait_until(
            lambda: not log.report()["trouble"] and log.report()["waiting"] == 0, "it is well"
        )
    check = Check(tmp_path)
    written = [line.seq for line in check.lines() if line.kind == "event"]
    assert written == [1, 2, 3, 4, 5]
    assert not check.mistakes
    assert len(check.remarks) >= 1
    assert "cut off" in check.remarks[0]
    assert caplog.text.count("cannot be written") <= 2


def test_a_folder_that_refuses_keeps_no_unit_from_its_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(incident, "RETRY_S", 0.01)
    folder = tmp_path / "later"
    with log_in(folder) as log:
        assert "No such file" in log.report()["trouble"]
        log.record(row(1))
        folder.mkdir()
        wait_until(lambda: log.report()["n"] == 1, "it is written once the folder is there")
    assert checked(folder).count == 1
