"""The change of a link as a whole sender meets it: nobody can know of it for a round trip."""

from __future__ import annotations

import pytest

from tests.media.link.loop import Loop, Way

BEFORE, AT, END = 8.0, 12.0, 32.0


@pytest.mark.parametrize("kbit_s", [512, 1000])
def test_a_link_that_becomes_long_and_narrow_at_once_drops_nothing(kbit_s: float) -> None:
    """A queue of half a second that is filled at the old rate until the first report has come."""
    seen = Loop(Way(0, 2000), Way(AT, kbit_s, delay_s=0.3)).run(END)
    assert min(seen.estimate(BEFORE, AT)) > 1300
    assert not [at for at in seen.lost if at > BEFORE]
    assert None not in seen.waits(AT, END)
    assert max(wait or 0 for wait in seen.waits(AT, END)) < 0.4
    assert seen.longest_gap(AT, END) < 1.5
    # It is taken neither for a longer queue nor for a way that loses much.
    assert min(seen.estimate(AT, END)) > 0.5 * kbit_s
    assert sum(seen.estimate(END - 8, END)) / len(seen.estimate(END - 8, END)) > 0.7 * kbit_s


def test_a_way_that_becomes_long_is_no_reason_to_send_much_less() -> None:
    seen = Loop(Way(0, 2000), Way(AT, 2000, delay_s=0.6)).run(END)
    assert not [at for at in seen.lost if at > BEFORE]
    assert seen.longest_gap(AT, END) < 1.5
    assert min(seen.estimate(AT, END)) > 600


@pytest.mark.parametrize(("before", "after"), [(2000, 256), (256, 64)])
def test_a_link_that_narrows_keeps_readings_waiting_for_a_moment_only(
    before: float, after: float
) -> None:
    seen = Loop(Way(0, before), Way(AT, after)).run(END)
    assert seen.longest_gap(AT, END) < 2.0
    # What was under way fills the queue; then pictures make room.
    later = [1.0 if wait is None else wait for wait in seen.waits(AT + 3, END)]
    assert max(later) < 0.45
    assert max(seen.estimate(AT + 5, END)) < 1.3 * after


def test_a_link_that_is_silent_for_a_while_is_used_again() -> None:
    """Everything that was under way is lost: only what is sent anew can tell that it is back."""
    seen = Loop(Way(0, 1000), Way(AT, 0.001), Way(AT + 4, 1000)).run(END)
    shown = [at for at in seen.pictures if at > AT + 4]
    assert shown[0] < AT + 7
    assert seen.longest_gap(AT + 8, END) < 1.0
