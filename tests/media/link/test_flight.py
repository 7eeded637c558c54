"""Nothing more leaves while reports stay away, and for no longer than that helps."""

from __future__ import annotations

import pytest

from agent.media.link.flight import GIVE_UP_S, REST_S, Flight

PATIENCE_S = 0.2


def held(flight: Flight, now: float) -> bool:
    return flight.hold_s(PATIENCE_S, 0.0, now) > 0


def test_what_has_not_been_heard_of_for_too_long_holds_the_rest_until_it_is() -> None:
    flight = Flight()
    for n in range(4):
        flight.left(n, 1.0 + n * 0.05)
    assert not held(flight, 1.19)
    assert held(flight, 1.21)
    flight.heard(1)
    assert not held(flight, 1.29)
    assert held(flight, 1.31)
    flight.heard(3)
    assert flight.oldest_s(9.0) is None
    assert not held(flight, 9.0)


def test_a_path_that_stays_silent_is_tried_again() -> None:
    flight = Flight()
    flight.left(0, 1.0)
    assert held(flight, 1.0 + PATIENCE_S + GIVE_UP_S - 0.01)
    assert not held(flight, 1.0 + PATIENCE_S + GIVE_UP_S + 0.01)


def test_another_path_begins_with_nothing_under_way() -> None:
    flight = Flight()
    flight.left(0, 1.0)
    flight.forget()
    assert not held(flight, 1.3)


def test_a_pause_is_waited_for_to_its_end() -> None:
    assert Flight().hold_s(PATIENCE_S, 5.5, 5.0) == pytest.approx(0.5)


def test_only_the_first_packet_after_a_rest_says_so() -> None:
    flight = Flight()
    assert not flight.left(0, 1.0)
    # An encoder that made nothing is no rest.
    assert not flight.left(1, 2.0)
    flight.hold_s(PATIENCE_S, 2.3, 2.1)
    assert flight.left(2, 2.0 + REST_S + 0.2)
    assert not flight.left(3, 2.4)
    flight.hold_s(PATIENCE_S, 2.41, 2.4)
    assert not flight.left(4, 2.42)
