"""drivers/epoch.py, through the decoder: what makes one Fix, when it is given, and its date."""

from __future__ import annotations

import datetime as dt

import pytest

from drivers import Fix
from drivers.nmea import Config, Decoder
from tests.drivers.nmea_lines import decode, gga, one, rmc, s

# --- epochs ---


def test_an_epoch_closes_when_the_time_changes() -> None:
    decoder = Decoder()
    assert decoder.feed(s(rmc("023042.00"), gga("023042.00")), 1.0) == []
    (fix,) = decoder.feed(s(rmc("023043.00")), 2.0)
    assert (fix.time, fix.at, fix.alt) == ("2026-11-24T02:30:42.000Z", 1.0, 23.4)
    (fix,) = decoder.flush(2.4)
    assert (fix.time, fix.at, fix.alt) == ("2026-11-24T02:30:43.000Z", 2.0, None)
    assert decoder.flush(3.0) == []
    assert not decoder.pending


def test_a_learned_epoch_closes_at_its_last_sentence() -> None:
    decoder = Decoder()
    for second in (1, 2):
        decoder.feed(s(rmc(f"02300{second}.00"), gga(f"02300{second}.00")), float(second))
        assert len(decoder.flush(second + 0.3)) == 1
    assert decoder.feed(s(rmc("023003.00")), 3.0) == []
    (fix,) = decoder.feed(s(gga("023003.00"))[:-2], 3.1)
    assert (fix.time, fix.alt, fix.at) == ("2026-11-24T02:30:03.000Z", 23.4, 3.0)
    assert decoder.flush(3.4) == []


def test_course_and_speed_are_waited_for_where_only_vtg_has_them() -> None:
    decoder = Decoder()
    fixes: list[Fix] = []
    for second in (1, 2, 3):
        fixes += decoder.feed(s(gga(f"02300{second}.00")), float(second))
        fixes += decoder.feed(s("GNVTG,90.0,T,,M,,N,3.6,K,A"), second + 0.1)
        fixes += decoder.flush(second + 0.4)
    assert [fix.track for fix in fixes] == [90.0, 90.0, 90.0]


def test_a_cut_sentence_does_not_keep_the_timer_running() -> None:
    decoder = Decoder()
    decoder.feed(s(rmc("023042.00")) + b"$GNGGA,0230", 1.0)
    assert decoder.pending
    assert len(decoder.flush(1.3)) == 1
    assert not decoder.pending
    decoder.feed(s(gga("023042.00"))[11:], 1.4)
    assert decoder.counters.bytes_dropped == 0


def test_satellites_in_view_do_not_delay_a_fix() -> None:
    """At 9600 Bd the GSV of all systems take longer than half a second."""
    decoder = Decoder()
    gsv = s("GPGSV,1,1,01,06,45,120,38,1")
    fixes: list[Fix] = []
    for second in range(1, 5):
        time = f"02300{second}.00"
        now = decoder.feed(s(rmc(time), gga(time)), float(second))
        assert len(now) == (1 if second > 2 else 0)
        fixes += now + decoder.feed(gsv, second + 0.1) + decoder.flush(second + 0.4)
    assert [fix.time for fix in fixes] == [f"2026-11-24T02:30:0{n}.000Z" for n in range(1, 5)]
    assert [fix.n_seen for fix in fixes] == [1, 1, 1, 1]


def test_a_new_last_sentence_makes_no_second_fix_and_is_learned() -> None:
    decoder = Decoder()
    gst = "GNGST,0230{:02d}.00,1.2,2.1,1.4,45.0,1.8,1.6,3.2"
    fixes: list[list[Fix]] = []
    for second in range(1, 8):
        time = f"0230{second:02d}.00"
        now = decoder.feed(s(rmc(time), gga(time)), float(second))
        if second >= 4:
            now += decoder.feed(s(gst.format(second)), second + 0.1)
        fixes.append(now + decoder.flush(second + 0.4))
    assert [len(each) for each in fixes] == [1] * 7
    assert [each[0].eph_basis for each in fixes] == ["hdop"] * 4 + ["gst"] * 3


def test_a_pause_inside_an_epoch_makes_no_second_fix() -> None:
    decoder = Decoder()
    fixes = decoder.feed(s(rmc("023001.00")), 1.0) + decoder.flush(1.4)
    fixes += decoder.feed(s("GNVTG,90.0,T,,M,1.94,N,3.6,K,A", gga("023001.00")), 1.5)
    fixes += decoder.flush(1.9)
    assert [fix.time for fix in fixes] == ["2026-11-24T02:30:01.000Z"]


def test_what_comes_first_after_a_pause_begins_an_epoch() -> None:
    """Some receivers send GSA before the sentence that tells the time."""
    decoder = Decoder()
    fixes: list[Fix] = []
    for second, mode in ((1, 3), (2, 2), (3, 3), (4, 2)):
        time = f"02300{second}.00"
        gsa = f"GNGSA,A,{mode},06,09,11,16,,,,,,,,,1.35,0.72,1.14,1"
        fixes += decoder.feed(s(gsa, rmc(time)), float(second)) + decoder.flush(second + 0.4)
    assert [fix.mode for fix in fixes] == [3, 2, 3, 2]
    # The same with no pause in between, as a slow line has none: the order is known by now.
    for second, mode in ((5, 3), (6, 2), (7, 3)):
        gsa = f"GNGSA,A,{mode},06,09,11,16,,,,,,,,,1.35,0.72,1.14,1"
        fixes += decoder.feed(s(gsa, rmc(f"02300{second}.00")), float(second))
    assert [fix.mode for fix in fixes[4:]] == [3, 2, 3]


def test_no_mixing_of_epochs() -> None:
    decoder = Decoder()
    fixes = decoder.feed(s(rmc("023001.00"), "GNGST,023002.00,1,1,1,0,3.0,4.0,5.0"), 1.0)
    assert [fix.eph_basis for fix in fixes] == [None]


def test_five_fixes_a_second_with_a_time_of_whole_seconds() -> None:
    fixes = decode(s(*[rmc("023001", lat=f"3035.58{n}") for n in range(400, 405)]))
    assert len({fix.lat for fix in fixes}) == 5


def test_a_receiver_without_time_cannot_fill_the_memory() -> None:
    decoder = Decoder()
    for _ in range(1000):
        decoder.feed(s("GNVTG,,T,,M,,N,,K,N"), 1.0)
    assert len(decoder._epochs._epoch.reports) <= 64


# --- dates ---


def test_a_date_carries_on_over_midnight() -> None:
    data = s(rmc("235959.00"), gga("000000.00"), gga("000001.50"))
    assert [fix.time for fix in decode(data)] == [
        "2026-11-24T23:59:59.000Z",
        "2026-11-25T00:00:00.000Z",
        "2026-11-25T00:00:01.500Z",
    ]


def test_no_date_no_time() -> None:
    assert one(s(gga("023042.00"))).time is None


def test_a_date_from_zda_alone() -> None:
    data = s("GNZDA,023041.00,24,11,2026,00,00", gga("023042.00"))
    assert one(data).time == "2026-11-24T02:30:42.000Z"
    # A clock that was never set is not believed.
    assert one(s("GNZDA,023041.00,06,01,1980,00,00", gga("023042.00"))).time is None


def test_a_week_number_that_rolled_over() -> None:
    rolled = (dt.date(2026, 11, 24) - dt.timedelta(days=7168)).strftime("%d%m%y")
    fix = one(s(rmc("023042.00", date=rolled)))
    assert (fix.time, fix.flags) == ("2026-11-24T02:30:42.000Z", ("week_rollover_corrected",))
    old = one(s(rmc("023042.00", date=rolled)), Config(not_before=dt.date(2000, 1, 1)))
    assert (old.time, old.flags) == ("2007-04-10T02:30:42.000Z", ())


def test_a_leap_second() -> None:
    data = s(
        rmc("235959.00", date="311226"),
        rmc("235960.00", date="311226"),
        rmc("000000.00", date="010127"),
    )
    fixes = decode(data)
    assert [fix.time for fix in fixes] == [
        "2026-12-31T23:59:59.000Z",
        "2026-12-31T23:59:59.999Z",
        "2027-01-01T00:00:00.000Z",
    ]
    assert [fix.flags for fix in fixes] == [(), ("leap_second",), ()]


@pytest.mark.parametrize("date", ["", "310226", "001326", "24112", "2411-6"])
def test_an_impossible_date_is_none(date: str) -> None:
    fix = one(s(rmc("023042.00", date=date)))
    assert (fix.mode, fix.time) == (2, None)


@pytest.mark.parametrize("time", ["243042.00", "026042.00", "023061.00", "2:3:42", "02304"])
def test_an_impossible_time_is_none(time: str) -> None:
    assert one(s(rmc(time))).time is None
