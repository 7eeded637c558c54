"""The receiver: any order, repeats, losses, several epochs, bad payloads, ceilings."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import topics
from agent.center import receiver as receiver_module
from agent.center.receiver import Counts, Gap, Receiver
from agent.messages import Class, Mark

UNIT = "ex-cv-01"
EPOCHS = ("1700000000000-aaaa", "1700000100000-bbbb", "1700000200000-cccc")
READING = {"source": "gas1", "quantity": "cl2", "value": 0.0, "unit": "ppm", "quality": "good"}


def topic(*path: str, unit: str = UNIT, exercise: bool = True) -> topics.Topic:
    return topics.Topic(exercise, "hubei", unit, path)


def batch(
    seqs: list[int], epoch: str = EPOCHS[0], unit: str = UNIT, mark: str = "exercise"
) -> bytes:
    records = [
        {"seq": seq, "prev": seq - 1, "t": 1000 + seq, "clock": "gnss", **READING} for seq in seqs
    ]
    return msgspec.json.encode({"unit": unit, "epoch": epoch, "mark": mark, "records": records})


def status(
    lasts: dict[str, int], state: str = "running", epoch: str | None = None, **over: Any
) -> bytes:
    body = {
        "unit": UNIT,
        "org": "hubei",
        "name": {"zh": "指挥车01", "en": "Command vehicle 01"},
        "profile": "vehicle",
        "mark": "exercise",
        "software": "0.1.0",
        "epoch": epoch or max(lasts),
        "version": 1,
        "t": 1,
        "clock": "gnss",
        "state": state,
        "epochs": [{"epoch": name, "last": last} for name, last in lasts.items()],
    }
    return msgspec.json.encode(body | over)


def test_a_record_is_given_once_with_its_envelope_and_its_body_apart() -> None:
    receiver = Receiver()
    (record,) = receiver.feed(topic("readings"), batch([1]))
    assert (record.unit, record.epoch, record.seq, record.prev) == (UNIT, EPOCHS[0], 1, 0)
    assert record.klass is Class.READINGS
    assert record.mark is Mark.EXERCISE
    assert record.body == READING, "a reading of 0.0 is a reading"
    assert receiver.feed(topic("readings"), batch([1])) == []
    assert receiver.counts(UNIT) == Counts(received=1, repeated=1, missing=0)


def test_a_repeat_within_one_message_counts_as_one() -> None:
    receiver = Receiver()
    assert [r.seq for r in receiver.feed(topic("readings"), batch([1, 2, 2, 1]))] == [1, 2]
    assert receiver.counts(UNIT).repeated == 2


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[dict[str, int], list[tuple[str, list[int]]]]:
    """What each epoch made, and messages with any of it in any order, some of it repeated."""
    made = {epoch: draw(st.integers(0, 30)) for epoch in EPOCHS}
    every = [(epoch, seq) for epoch, last in made.items() for seq in range(1, last + 1)]
    sent = draw(st.lists(st.sampled_from(every), max_size=120)) if every else []
    messages: list[tuple[str, list[int]]] = []
    for epoch, seq in sent:
        if messages and messages[-1][0] == epoch and draw(st.booleans()):
            messages[-1][1].append(seq)
        else:
            messages.append((epoch, [seq]))
    return made, messages


@given(deliveries(), st.integers(0, 120))
def test_received_and_missing_make_up_what_was_made(
    delivery: tuple[dict[str, int], list[tuple[str, list[int]]]], status_at: int
) -> None:
    made, messages = delivery
    receiver = Receiver()
    given_out: list[tuple[str, int]] = []
    for index, (epoch, seqs) in enumerate(messages):
        if index == status_at:
            receiver.feed(topic("status"), status(made))
        fresh = receiver.feed(topic("readings"), batch(seqs, epoch))
        given_out.extend((record.epoch, record.seq) for record in fresh)
    receiver.feed(topic("status"), status(made))

    every = {(epoch, seq) for epoch, last in made.items() for seq in range(1, last + 1)}
    arrived = {(epoch, seq) for epoch, seqs in messages for seq in seqs}
    missing = {
        (gap.epoch, seq) for gap in receiver.gaps(UNIT) for seq in range(gap.first, gap.last + 1)
    }
    assert len(given_out) == len(set(given_out))
    assert set(given_out) == arrived
    assert missing == every - arrived
    sent = sum(len(seqs) for _, seqs in messages)
    assert receiver.counts(UNIT) == Counts(len(arrived), sent - len(arrived), len(missing))


@given(deliveries())
def test_a_gap_that_is_sent_again_is_closed(
    delivery: tuple[dict[str, int], list[tuple[str, list[int]]]],
) -> None:
    made, messages = delivery
    receiver = Receiver()
    receiver.feed(topic("status"), status(made))
    for epoch, seqs in messages:
        receiver.feed(topic("readings"), batch(seqs, epoch))
    for gap in receiver.gaps(UNIT):
        receiver.feed(topic("readings"), batch(list(range(gap.first, gap.last + 1)), gap.epoch))
    assert receiver.gaps(UNIT) == []
    assert receiver.counts(UNIT).received == sum(made.values())


def test_classes_share_one_chain_of_numbers() -> None:
    receiver = Receiver()
    receiver.feed(topic("readings"), batch([1, 3]))
    event = {"seq": 2, "prev": 0, "t": 5, "clock": "gnss", "event": "started"}
    message = {"unit": UNIT, "epoch": EPOCHS[0], "mark": "exercise", "records": [event]}
    (record,) = receiver.feed(topic("events"), msgspec.json.encode(message))
    assert record.klass is Class.EVENTS
    assert record.body == {"event": "started"}
    assert receiver.gaps(UNIT) == []


def test_numbers_above_the_last_committed_of_a_closed_epoch_are_void() -> None:
    receiver = Receiver()
    receiver.feed(topic("readings"), batch([1, 2, 3, 6]))
    assert receiver.gaps(UNIT) == [Gap(EPOCHS[0], 4, 5)]
    receiver.feed(topic("status"), status({EPOCHS[0]: 3, EPOCHS[1]: 0}))
    assert receiver.gaps(UNIT) == []


def test_a_stopped_unit_closes_its_epoch_and_a_running_one_does_not() -> None:
    receiver = Receiver()
    receiver.feed(topic("readings"), batch([1, 2, 5]))
    receiver.feed(topic("status"), status({EPOCHS[0]: 2}))
    assert receiver.counts(UNIT).missing == 2
    receiver.feed(topic("status"), status({EPOCHS[0]: 7}, state="stopped"))
    assert receiver.gaps(UNIT) == [Gap(EPOCHS[0], 3, 4), Gap(EPOCHS[0], 6, 7)]


# -- what does not come --------------------------------------------------------------------------


def skipped(*ranges: tuple[int, int], epoch: str = EPOCHS[0], **over: Any) -> bytes:
    body = {"unit": UNIT, "epoch": epoch, "mark": "exercise", "reason": "class", "ranges": ranges}
    return msgspec.json.encode(body | over)


def retention(seq: int, **data: Any) -> bytes:
    event = {
        "seq": seq, "prev": 0, "t": 5, "clock": "gnss", "event": "retention", "data": data
    }  # fmt: skip
    message = {"unit": UNIT, "epoch": EPOCHS[1], "mark": "exercise", "records": [event]}
    return msgspec.json.encode(message)


def test_what_a_center_does_not_get_is_not_missing() -> None:
    receiver = Receiver()
    receiver.feed(topic("readings"), batch([1, 10]))
    assert receiver.feed(topic("skipped"), skipped((2, 4), (6, 9))) == []
    assert receiver.gaps(UNIT) == [Gap(EPOCHS[0], 5, 5)]
    # It says that they exist: what lies below them and has not come is missing.
    receiver.feed(topic("skipped"), skipped((20, 29)))
    assert receiver.counts(UNIT) == Counts(received=2, repeated=0, missing=10)
    # And where one comes after all, it is taken, once.
    assert [r.seq for r in receiver.feed(topic("readings"), batch([3, 3]))] == [3]


def test_what_retention_has_deleted_is_not_missing_any_more() -> None:
    receiver = Receiver()
    receiver.feed(topic("status"), status({EPOCHS[0]: 50, EPOCHS[1]: 0}))
    receiver.feed(topic("readings"), batch([41]))
    receiver.feed(topic("events"), retention(1, epoch=EPOCHS[0], first=1, last=40))
    assert receiver.gaps(UNIT) == [Gap(EPOCHS[0], 42, 50)]
    # Of a class alone: which numbers it was `skipped` says.
    receiver.feed(
        topic("events"), retention(2, epoch=EPOCHS[0], first=42, last=50, classes=["readings"])
    )
    assert receiver.gaps(UNIT) == [Gap(EPOCHS[0], 42, 50)]
    others: list[dict[str, Any]] = [{}, {"epoch": "7", "first": 1, "last": 2}, {"epoch": 3}]
    for seq, other in enumerate(others, 3):
        receiver.feed(topic("events"), retention(seq, **other))
    assert receiver.counts(UNIT).missing == 9


def test_a_filter_that_leaves_out_every_other_number_costs_no_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(receiver_module, "MAX_RANGES", 4)
    receiver = Receiver()
    for seq in range(1, 200, 2):
        receiver.feed(topic("readings"), batch([seq]))
        receiver.feed(topic("skipped"), skipped((seq + 1, seq + 1)))
    assert receiver.counts(UNIT) == Counts(received=100, repeated=0, missing=0)
    known = receiver._units[UNIT].epochs[EPOCHS[0]]
    assert len(known.numbers) <= 4
    receiver.feed(topic("skipped"), skipped(*((seq, seq) for seq in range(300, 400, 2))))
    assert len(known.known) <= 4
    assert receiver.counts(UNIT).missing == 99 + 49


@pytest.mark.parametrize(
    ("payload", "sentence"),
    [
        (b"{", "ex-cv-01/skipped: expected a Skipped, but Input data was truncated"),
        (skipped((4, 3)), "ex-cv-01/skipped: expected 1 <= first <= last, read 4 and 3"),
        (skipped((1, 2), (0, 3)), "expected 1 <= first <= last, read 0 and 3"),
        (skipped((1, 2), epoch="7"), "an epoch is '{UTC ms}-{random}', but read '7'"),
        (skipped((1, 2), unit="ex-cv-02"), "the topic names unit 'ex-cv-01', but the payload"),
        (skipped((1, 2), mark="actual"), "mark 'actual' does not belong under outpost-exercise/v1"),
    ],
)
def test_a_bad_list_of_what_does_not_come_is_told(payload: bytes, sentence: str) -> None:
    receiver = Receiver()
    receiver.feed(topic("readings"), batch([1, 5]))
    with pytest.raises(ValueError, match="ex-cv-01/skipped") as caught:
        receiver.feed(topic("skipped"), payload)
    assert sentence in str(caught.value)
    assert receiver.counts(UNIT).missing == 3


def test_what_was_given_before_the_receiver_came_is_not_missed_but_is_taken() -> None:
    receiver = Receiver(since=1_700_000_050_000)
    receiver.feed(topic("status"), status({EPOCHS[0]: 50}))
    assert receiver.counts(UNIT).missing == 0
    receiver.feed(topic("readings"), batch([100, 102]))
    assert receiver.gaps(UNIT) == [Gap(EPOCHS[0], 101, 101)]
    assert [r.seq for r in receiver.feed(topic("readings"), batch([40, 41]))] == [40, 41]
    receiver.feed(topic("readings"), batch([3], EPOCHS[1]))
    assert Gap(EPOCHS[1], 1, 2) in receiver.gaps(UNIT), "begun after it came: missed from 1 on"


def test_topics_without_records_give_none() -> None:
    receiver = Receiver()
    for path in (("alarms", "active"), ("link", "center"), ("cmd", "resend"), ("still", "front")):
        assert receiver.feed(topic(*path), b"not even json") == []
    assert receiver.units() == []


@pytest.mark.parametrize(
    ("payload", "sentence"),
    [
        (b"{", "ex-cv-01/readings: expected a Batch, but Input data was truncated; read '{'"),
        (batch([1], unit="ex-cv-02"), "the topic names unit 'ex-cv-01', but the payload"),
        (batch([1], mark="actual"), "mark 'actual' does not belong under outpost-exercise/v1"),
        (batch([1], epoch="7"), "an epoch is '{UTC ms}-{random}', but read '7'"),
        (batch([0]), "expected 1 <= seq and 0 <= prev < seq, but read seq 0 and prev -1"),
        (
            batch([1]).replace(b'"good"', b'"splendid"'),
            "ex-cv-01/readings seq 1: expected a Reading, but Invalid enum value 'splendid'",
        ),
    ],
)
def test_a_bad_payload_is_told_and_nothing_of_it_counted(payload: bytes, sentence: str) -> None:
    receiver = Receiver()
    with pytest.raises(ValueError, match="ex-cv-01/readings") as caught:
        receiver.feed(topic("readings"), payload)
    assert sentence in str(caught.value)
    assert receiver.counts(UNIT) == Counts(0, 0, 0)


def test_one_bad_record_refuses_its_whole_message() -> None:
    receiver = Receiver()
    with pytest.raises(ValueError, match="seq 0"):
        receiver.feed(topic("readings"), batch([1, 2, 0]))
    assert [r.seq for r in receiver.feed(topic("readings"), batch([1, 2]))] == [1, 2]


def test_ranges_are_bounded_and_what_is_given_up_stays_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(receiver_module, "MAX_RANGES", 4)
    receiver = Receiver()
    receiver.feed(topic("readings"), batch(list(range(1, 40, 2))))
    assert len(receiver.gaps(UNIT)) == 3
    assert receiver.counts(UNIT) == Counts(received=20, repeated=0, missing=19)


def test_epochs_and_units_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiver_module, "MAX_EPOCHS", 2)
    monkeypatch.setattr(receiver_module, "MAX_UNITS", 1)
    receiver = Receiver()
    for epoch in EPOCHS:
        receiver.feed(topic("readings"), batch([1, 3], epoch))
    assert {gap.epoch for gap in receiver.gaps(UNIT)} == set(EPOCHS[1:])
    assert receiver.counts(UNIT) == Counts(received=6, repeated=0, missing=3)
    assert receiver.feed(topic("readings"), batch([2], EPOCHS[0])) == []
    with pytest.raises(ValueError, match="ex-cv-02: a receiver holds at most 1 units"):
        receiver.feed(topic("readings", unit="ex-cv-02"), batch([1], unit="ex-cv-02"))
