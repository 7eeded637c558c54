"""Recordings: what capture writes is what replay reads, and bad ones are told where."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drivers import recording
from drivers.recording import Chunk, RecordingError


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_what_is_written_is_read(tmp_path: Path) -> None:
    chunks = [Chunk(0.0, b"$GP"), Chunk(0.0, b"GGA"), Chunk(1.25, bytes(range(256)))]
    head = recording.header({"port": "/dev/ttyUSB0", "note": "two\nlines", "by": ""})
    path = write(tmp_path / "x.cap", head + "".join(map(recording.line, chunks)))
    assert recording.kind_of(path) == "capture"
    assert list(recording.read(path)) == chunks
    assert recording.notes(path) == [("port", "/dev/ttyUSB0"), ("note", "two lines")]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(data=st.lists(st.binary(max_size=50), max_size=5))
def test_any_bytes_come_back(tmp_path: Path, data: list[bytes]) -> None:
    path = write(
        tmp_path / "x",
        recording.header({})
        + "".join(recording.line(Chunk(i * 0.1, d)) for i, d in enumerate(data)),
    )
    assert recording.joined(recording.read(path)) == b"".join(data)


def test_hex_is_a_frame_a_line_with_comments(tmp_path: Path) -> None:
    path = write(tmp_path / "x.hex", "# a ZE07\nFF 04 03 01  00 25 13 88 38 # 3.7 ppm\n\nff86\n")
    assert [chunk.data.hex() for chunk in recording.read(path)] == ["ff0403010025138838", "ff86"]


def test_a_log_is_bytes_without_the_lines_of_the_submitter(tmp_path: Path) -> None:
    binary = b"\xb5\x62" + b"#" * 5000 + b"\n"
    path = write(tmp_path / "x.log", b"# Name: somebody\r\n$GPGGA,#1*00\r\n" + binary + b"#end")
    assert recording.joined(recording.read(path)) == b"$GPGGA,#1*00\r\n" + binary
    assert recording.notes(path) == [("name", "somebody")]


def test_a_long_note_is_left_out_whole(tmp_path: Path) -> None:
    path = write(tmp_path / "x.log", b"#" + b"x" * 9000 + b"\n$A\n")
    assert recording.joined(recording.read(path)) == b"$A\n"


def test_all_else_is_raw(tmp_path: Path) -> None:
    path = write(tmp_path / "x.bin", b"#not a note\n" * 1000)
    assert recording.joined(recording.read(path)) == path.read_bytes()
    assert recording.joined(recording.read(path, "log")) == b""


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("a.hex", "FF 0\n", ":1: expected hexadecimal digits in pairs, read 'FF 0'"),
        ("a.hex", "\nhello\n", ":2: expected hexadecimal digits in pairs, read 'hello'"),
        ("a", "# outpost capture 1\nnow ff\n", ":2: expected seconds, not less than 0, read 'now'"),
        ("a", "# outpost capture 1\n-1 ff\n", ":2: expected seconds, not less than 0, read '-1'"),
        ("a", "# outpost capture 1\nnan ff\n", ":2: expected seconds, not less than 0, read 'nan'"),
        (
            "a",
            "# outpost capture 1\n2 ff\n1 ff\n",
            ":3: expected seconds, not less than 2, read '1'",
        ),
        ("a", "# outpost capture 1\n1 f\n", ":2: expected hexadecimal digits in pairs, read 'f'"),
        ("a.hex", "ff" * 40000, ":1: longer than 65536 characters"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(
    tmp_path: Path, name: str, text: str, sentence: str
) -> None:
    path = write(tmp_path / name, text)
    with pytest.raises(RecordingError) as caught:
        list(recording.read(path))
    assert str(caught.value) == f"{path}{sentence}"


def test_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="expected a kind of capture, hex, log, raw, read 'x'"):
        list(recording.read(write(tmp_path / "a", ""), "x"))
