"""Who gets which layer."""

from __future__ import annotations

import pytest

from agent.media.link.allocate import Camera, Place, Viewer, ceiling, plan

CAMERA = Camera(main_kbit_s=1500, thin_kbit_s=80)


def places(*kbit_s: float, now: Place = Place.MAIN, camera: Camera = CAMERA) -> list[Place]:
    viewers = {str(n): Viewer(rate, now) for n, rate in enumerate(kbit_s)}
    return list(plan(camera, viewers).places.values())


def test_one_bitrate_follows_the_slowest_of_those_who_are_near() -> None:
    result = plan(CAMERA, {"a": Viewer(3000, Place.MAIN), "b": Viewer(1200, Place.MAIN)})
    assert result.places == {"a": Place.MAIN, "b": Place.MAIN}
    assert result.main_kbit_s == pytest.approx(1080)


def test_a_slow_viewer_gets_the_thin_layer_and_slows_nobody() -> None:
    result = plan(CAMERA, {"a": Viewer(3000, Place.MAIN), "b": Viewer(300, Place.MAIN)})
    assert result.places == {"a": Place.MAIN, "b": Place.THIN}
    assert (result.main_kbit_s, result.thin_kbit_s) == (1500, 80)


def test_a_lone_viewer_keeps_the_main_layer_as_long_as_it_makes_a_picture() -> None:
    assert places(256) == [Place.MAIN]
    assert plan(CAMERA, {"a": Viewer(256, Place.MAIN)}).main_kbit_s == pytest.approx(230.4)
    assert places(150) == [Place.THIN]
    assert places(70) == [Place.THIN]
    assert plan(CAMERA, {"a": Viewer(60, Place.THIN)}).thin_kbit_s == pytest.approx(54)
    assert places(25) == [Place.STILLS]


def test_up_needs_more_than_down() -> None:
    assert places(165) == [Place.MAIN]
    assert places(165, now=Place.THIN) == [Place.THIN]
    assert places(200, now=Place.THIN) == [Place.MAIN]
    assert places(30) == [Place.THIN]
    assert places(30, now=Place.STILLS) == [Place.STILLS]


def test_a_layer_that_cannot_follow_goes_only_to_who_has_room_for_it() -> None:
    passed = Camera(main_kbit_s=2000, thin_kbit_s=80, fixed=True)
    assert places(3000, 1900, camera=passed) == [Place.MAIN, Place.THIN]
    assert plan(passed, {"a": Viewer(1900, Place.MAIN)}).main_kbit_s == 2000


def test_a_new_viewer_on_a_clean_path_is_not_sent_away_before_it_was_tried() -> None:
    passed = Camera(main_kbit_s=1500, thin_kbit_s=80, fixed=True)
    new = {"a": Viewer(900, Place.MAIN, clean=True), "b": Viewer(300, Place.MAIN, clean=True)}
    assert plan(passed, new).places == {"a": Place.MAIN, "b": Place.THIN}
    troubled = {"a": Viewer(900, Place.MAIN)}
    assert plan(passed, troubled).places == {"a": Place.THIN}


def test_nobody_watches() -> None:
    assert plan(CAMERA, {}).main_kbit_s == 1500


def test_the_lowest_limit_counts_and_zero_is_none() -> None:
    assert ceiling((0, 500)) == 500
    assert ceiling((300, 500)) == 300
    assert ceiling((0, 0)) > 100_000
