"""Which bytes a Range means."""

from __future__ import annotations

import pytest

from agent.byte_range import parsed


@pytest.mark.parametrize(
    ("header", "part"),
    [
        ("bytes=0-0", (0, 0)), ("bytes=5-", (5, 9)), ("bytes=-3", (7, 9)), ("bytes=0-99", (0, 9)),
        ("bytes=-99", (0, 9)), ("bytes=0-1,3-4", None), ("lines=1-2", None), ("bytes=-", None),
        ("bytes=5-2", None),
    ],
)  # fmt: skip
def test_which_bytes_are_meant(header: str, part: tuple[int, int] | None) -> None:
    assert parsed(header, 10) == part


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-20", "bytes=-0"])
def test_what_lies_outside_is_told(header: str) -> None:
    with pytest.raises(ValueError, match="lies outside of 10 bytes"):
        parsed(header, 10)
