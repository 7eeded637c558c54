"""What CONTRIBUTING.md shows of a driver is in the tree as it stands there, and is all there is."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
EXAMPLE = PAGE[PAGE.index("## Adding an instrument") : PAGE.index("## Commits")]
SHOWN = {
    "text": "tests/captures/zphs01b.hex",
    "json": "tests/captures/zphs01b.chk",
    "python": "drivers/zphs.py",
}
TALK = {"CONTRIBUTING.md", "CHANGELOG.md", "tests/test_contributing.py"}


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", EXAMPLE, re.DOTALL)


@pytest.mark.parametrize("kind", SHOWN)
def test_what_is_shown_stands_in_the_file(kind: str) -> None:
    text = (ROOT / SHOWN[kind]).read_text("utf-8")
    assert blocks(kind)
    for block in blocks(kind):
        # Of a capture some lines are shown, of a program a whole passage.
        pieces = [block] if kind == "python" else block.splitlines(keepends=True)
        assert all(piece in text for piece in pieces)


def test_no_other_file_knows_the_example() -> None:
    found = subprocess.run(
        ["git", "grep", "-il", "zphs"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if found.returncode:
        pytest.skip(f"no git checkout here: {found.stderr}")
    named = set(re.findall(r"^\| `([\w./]+)`", EXAMPLE, re.MULTILINE))
    assert set(found.stdout.split()) - TALK == named


def test_every_file_that_the_page_names_is_there() -> None:
    for name in re.findall(r"`((?:tests|drivers|config)/[\w./]+)`", PAGE):
        assert (ROOT / name).exists(), name


def test_the_replay_that_is_shown_gives_what_is_written_beside_the_capture() -> None:
    (command,) = [
        line for b in blocks("sh") for line in b.splitlines() if line.startswith("outpost replay")
    ]
    outpost = Path(sys.executable).parent / "outpost"
    told = subprocess.run(
        [outpost, *command.split()[1:]], cwd=ROOT, capture_output=True, check=True
    ).stdout.splitlines()
    wanted = (ROOT / SHOWN["json"]).read_bytes().splitlines()
    assert len(told) == len(wanted)
    for got, line in zip(told, wanted, strict=True):
        sample, expected = msgspec.json.decode(got), msgspec.json.decode(line)
        assert {key: sample[key] for key in expected} == expected


def test_the_tests_that_are_shown_find_the_example() -> None:
    (command,) = [line for b in blocks("sh") for line in b.splitlines() if "pytest" in line]
    words = command.split()[3:]
    told = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *words],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    for file in ("test_zphs", "test_captures", "test_driver_modules", "test_fuzz", "test_flips"):
        assert f"{file}.py" in told, told
