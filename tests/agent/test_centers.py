"""Several centers over the same records: each its own classes and quantities, what it does not get
is listed to it, and one that is cut off costs the others nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agent.delivery import lanes as lanes_module
from agent.drill.proxy import LinkState, Proxy
from agent.messages import Class
from agent.store import Store
from tests.agent.rig import (
    UNIT,
    Center,
    Unit,
    alarm,
    arrived,
    center,
    connected,
    on_disk,
    reading,
    settled,
    unit,
    uplink_config,
)
from tests.mosquitto import Mosquitto
from tests.waiting import until

RARE = (Class.ALARMS, Class.EVENTS, Class.ACK)


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.delivery.pauses.RETRY_S", (0.05, 0.2))
    monkeypatch.setattr("agent.uplink.SAVE_PERIOD_S", 0.05)
    monkeypatch.setattr("agent.delivery.skips.TELL_S", 0.05)
    monkeypatch.setattr("agent.delivery.skips.RETRY_S", (0.05, 0.2))


async def complete(heard: Center, made: Unit) -> None:
    """Every number of this run has come, or is known not to come."""
    await connected(made)
    await settled(made)
    made.uplink.publish_status()
    await until(
        lambda: heard.missing == 0 and _known(heard, made) == made.outbox.made,
        "nothing is missing",
    )


def _known(heard: Center, made: Unit) -> int:
    """Up to which number of this run the center knows all."""
    known = heard.receiver._units.get(UNIT.id)
    epoch = known.epochs.get(made.outbox.epoch.name) if known else None
    if epoch is None:
        return 0
    return epoch.highest if not list(epoch.holes()) else 0


def mixed(made: Unit, count: int) -> None:
    """Two quantities in turn."""
    for number in range(count):
        quantity = "cl2" if number % 2 else "wind_speed"
        made.outbox.append(
            Class.READINGS, reading(float(number), "gas1", quantity), newest=f"gas1/{quantity}"
        )


# -- what a center does not get ------------------------------------------------------------------


async def test_a_class_that_a_center_does_not_take_is_no_gap(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    async with (
        center(mosquitto.port) as heard,
        unit(tmp_path / "store", uplink_config(mosquitto.port, classes=RARE)) as made,
    ):
        await connected(made)
        made.read(30)
        made.alarms([alarm()])
        made.read(10)
        await complete(heard, made)
        assert heard.of(Class.READINGS) == []
        assert len(heard.of(Class.ALARMS)) == 1
        assert heard.skipped["class"].count() == 40
        assert set(heard.skipped) == {"class"}
        assert heard.receiver.gaps(UNIT.id) == []


async def test_of_a_backlog_each_number_is_told_with_its_reason(
    mosquitto: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.delivery.history.LOOK", 7)
    async with Store.open(tmp_path / "store") as store:
        offline = Unit(store)
        offline.read(50)
        offline.alarms([alarm()])
        offline.read(50)
        await store.flush()
        # As thinning would: numbers in the middle are no longer held; nor is the beginning.
        await store.delete_some(1, Class.READINGS, 20, 29, 100)
        await store.delete_before(1, 6)
    async with (
        center(mosquitto.port) as heard,
        unit(tmp_path / "store", uplink_config(mosquitto.port, classes=RARE)) as made,
    ):
        await complete(heard, made)
        old = offline.outbox.epoch.name
        assert list(heard.skipped["retention"]) == [(1, 5), (20, 29)]
        assert list(heard.skipped["class"]) == [(6, 19), (30, 50), (52, 101)]
        assert [(r.epoch, r.seq) for r in heard.of(Class.ALARMS)] == [(old, 51)]


@pytest.mark.parametrize("backlog", [False, True], ids=["live", "backlog"])
async def test_of_the_readings_only_the_quantities_that_a_center_takes_go_out(
    mosquitto: Mosquitto, tmp_path: Path, backlog: bool
) -> None:
    config = uplink_config(mosquitto.port, quantities=("position", "cl2"))
    async with Store.open(tmp_path / "store") as store:
        offline = Unit(store)
        if backlog:
            mixed(offline, 500)
        await store.flush()
    async with (
        center(mosquitto.port) as heard,
        unit(tmp_path / "store", config) as made,
    ):
        await connected(made)
        if not backlog:
            mixed(made, 500)
        await complete(heard, made)
        await arrived(heard, 250)
        assert {record.body["quantity"] for record in heard.of(Class.READINGS)} == {"cl2"}
        assert heard.skipped["quantity"].count() == 250
        assert set(heard.skipped) == {"quantity"}
        assert (heard.missing, heard.repeated) == (0, 0)


async def test_what_waits_is_what_the_center_wants(mosquitto: Mosquitto, tmp_path: Path) -> None:
    mosquitto.kill()
    config = uplink_config(mosquitto.port, quantities=("cl2",))
    async with unit(tmp_path / "store", config) as made:
        await until(lambda: bool(made.changes), "there is no way")
        mixed(made, 300)
        await on_disk(made)
        # Half of them, and the event that the link is down.
        assert made.uplink.cursor.pending() == 151
    async with unit(tmp_path / "store", config) as made:
        await until(lambda: bool(made.changes), "there is no way")
        mixed(made, 20)
        await on_disk(made)
        assert made.uplink.cursor.pending() == 151 + 11
        mosquitto.start()
        async with center(mosquitto.port) as heard:
            await complete(heard, made)
            await arrived(heard, 160)
            assert made.uplink.cursor.pending() == 0
            assert made.uplink.cursor._unwanted == {}


async def test_marks_do_not_fall_to_pieces_by_what_is_left_out(
    tmp_path: Path, mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes_module, "PIECES_MAX", 1)
    async with (
        center(mosquitto.port) as heard,
        unit(tmp_path / "store", uplink_config(mosquitto.port, quantities=("cl2",))) as made,
    ):
        await connected(made)
        mixed(made, 400)
        await complete(heard, made)
        await arrived(heard, 200)
        assert heard.skipped["quantity"].count() == 200


async def test_what_is_asked_for_again_and_does_not_come_is_told_again(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    async with Store.open(tmp_path / "store") as store:
        Unit(store).read(5)
        await store.flush()
    async with unit(tmp_path / "store", uplink_config(mosquitto.port, classes=RARE)) as made:
        old = made.store.epochs[1].name
        async with center(mosquitto.port) as first:
            await connected(made)
            made.read(20)
            await complete(first, made)
        await made.store.delete_before(1, 100)
        assert 1 not in made.store.epochs
        async with center(mosquitto.port) as heard:
            seqs = [row.seq for row in await made.store.read(2, [(1, 99)], [Class.READINGS], 99)]
            args = {"epoch": made.outbox.epoch.name, "from": seqs[0], "to": seqs[-1]}
            heard.command("resend", args, id="a")
            await until(
                lambda: "class" in heard.skipped and heard.skipped["class"].count() == 20,
                "they are told again",
            )
            # An epoch of which nothing is held any more.
            heard.command("resend", {"epoch": old, "from": 1, "to": 5}, id="b")
            await until(lambda: "retention" in heard.skipped, "it is told")
            assert list(heard.skipped["retention"]) == [(1, 5)]
            assert (await heard.ack(1))["code"] == "not_found"
            # One that has never been is not.
            heard.command("resend", {"epoch": "99999999999999-aa", "from": 7, "to": 9}, id="c")
            assert (await heard.ack(2))["code"] == "not_found"
            await settled(made)
            assert 7 not in heard.skipped["retention"]


async def test_what_retention_took_before_a_center_got_it_is_told(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    async with (
        Proxy("127.0.0.1", mosquitto.port) as proxy,
        center(mosquitto.port) as heard,
        unit(tmp_path / "store", uplink_config(proxy.port)) as made,
    ):
        await connected(made)
        await settled(made)
        proxy.set_state(LinkState.DROPPED)
        await until(lambda: made.uplink.state == "down", "the loss is noticed")
        rows = made.read(200)
        made.read(10)
        await on_disk(made)
        await made.store.delete_before(1, rows[-1].seq + 1)
        proxy.set_state(LinkState.UP)
        await complete(heard, made)
        # The event that the link was lost lay before them, and went too.
        assert list(heard.skipped["retention"]) == [(rows[0].seq - 1, rows[-1].seq)]
        # While the link is up: told at the next look, which retention asks for.
        gone = made.read(50)
        await settled(made)
        made.uplink.cursor.again(1, gone[0].seq, gone[-1].seq)
        await made.store.delete_before(1, gone[-1].seq + 1)
        made.uplink.look_for_absent()
        await until(lambda: gone[-1].seq in heard.skipped["retention"], "it is told")


async def test_what_nobody_heard_is_told_to_who_comes_later(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    config = uplink_config(mosquitto.port, classes=RARE)
    async with unit(tmp_path / "store", config) as made:
        await connected(made)
        rows = made.read(20)
        await on_disk(made)
        await until(lambda: made.uplink._lanes._skips._retry_s > 0.05, "nobody has heard it")
        async with center(mosquitto.port) as heard:
            await until(lambda: "class" in heard.skipped, "it is told again")
            assert (rows[0].seq, rows[-1].seq) in list(heard.skipped["class"])


# -- failover ------------------------------------------------------------------------------------


async def test_the_next_host_takes_over_and_the_first_comes_back_at_a_reconnection(
    mosquitto: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.reconnect.STEADY_S", 0.0)
    folder = tmp_path / "deputy"
    folder.mkdir()
    deputy = Mosquitto.in_folder(
        mosquitto.program, folder, host="127.0.0.2", port=mosquitto.port
    )  # fmt: skip
    first, other = mosquitto.url, deputy.url
    config = uplink_config(mosquitto.port, hosts=("127.0.0.2",))
    async with unit(tmp_path / "store", config) as made:
        await connected(made)
        assert made.uplink.detail == f"MQTT 5 at {first}"
        mosquitto.kill()
        refused = "refused the connection: nothing listens there"
        await until(
            lambda: made.uplink.detail == f"{first} {refused}; {other} {refused}",
            "both have been tried, and it is one event",
        )
        deputy.start()
        try:
            await until(lambda: made.uplink.state == "up", "the other has taken over")
            assert made.uplink.detail == f"MQTT 5 at {other}"
            mosquitto.start()
            made.read(5)
            await on_disk(made)
            assert made.uplink.detail == f"MQTT 5 at {other}", "a link that lives is not given up"
        finally:
            deputy.kill()
        await until(lambda: made.uplink.detail == f"MQTT 5 at {first}", "the first has it again")
        async with center(mosquitto.port) as heard:
            await settled(made)
            await arrived(heard, 5)


# -- the configuration ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("over", "where", "sentence"),
    [
        (
            {"classes": (Class.READINGS, Class.ALARMS)}, "classes",
            "'ack' goes to every center and cannot be left out",
        ),
        (
            {"classes": RARE, "quantities": ("cl2",)}, "quantities",
            "given where classes leaves all readings out",
        ),
        (
            {"hosts": ("b", "127.0.0.1"), "local": True}, "hosts",
            "a host is named twice: '127.0.0.1', then ['b', '127.0.0.1']",
        ),
        (
            {"hosts": ("b.example.org",)}, "tls",
            "without TLS only a broker on loopback or one marked local may be used, "
            "but the host is 'b.example.org'",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said(over: dict[str, Any], where: str, sentence: str) -> None:
    assert list(uplink_config(1883, **over).mistakes()) == [(where, sentence)]


def test_the_brokers_of_an_uplink_differ_in_their_hosts_alone() -> None:
    first, other = uplink_config(1883, hosts=("127.0.0.2",)).brokers()
    assert (first.host, other.host) == ("127.0.0.1", "127.0.0.2")
    assert first.port == other.port
