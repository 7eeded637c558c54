"""Routers by HTTP and SNMP: pages, objects, maps with every mistake, twins with every fault."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.tools import check
from drivers import Quality
from drivers.noport import NoPort
from drivers.router import TRIES, Config, Decoder, Driver
from drivers.router_http import BODY_MAX
from drivers.router_map import RouterMapError, default_dir, load, parse
from drivers.sim.line import Fault, Line
from drivers.sim.netline import NetLine
from drivers.sim.router import HttpTwin, SnmpTwin
from drivers.sim.udpline import UdpLine

from ..waiting import until
from .files import Heard, running
from .trials import rows, same_however_cut

GOOD, FAULT, STALE = Quality.GOOD, Quality.FAULT, Quality.STALE
JSON = Config(map="http_json", host="127.0.0.1")

PAGE = (
    b'{"device": {}, "mobile": [{"rssi": "-67", "rsrp": -95, "rsrq": "-10.5 dB", "sinr": 13.0,'
    b' "technology": "LTE"}]}\0'
)
ROWS = [
    ("rssi", -67.0, "dBm", GOOD, None),
    ("rsrp", -95.0, "dBm", GOOD, None),
    ("rsrq", -10.5, "dB", GOOD, None),
    ("sinr", 13.0, "dB", GOOD, None),
    ("network_generation", 4.0, "", GOOD, None),
]


def fast(name: str, port: int, **keys: Any) -> Config:
    return Config(map=name, host="127.0.0.1", host_port=port, period_s=0.03, timeout_s=0.3, **keys)


def one(value: bytes, key: str = "rsrp") -> tuple[float | None, Quality]:
    page = b'{"mobile": [{"%s": %s}]}\0' % (key.encode(), value)
    found = {row[0]: row for row in rows(Decoder(JSON).feed(page, 0.0))}
    return found[key][1], found[key][3]


def test_a_page_however_it_is_cut() -> None:
    same_however_cut(lambda: Decoder(JSON), PAGE * 2, ROWS * 2)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"-101", (-101.0, GOOD)),
        (b'"-101dBm"', (-101.0, GOOD)),
        (b'" -101.5 "', (-101.5, GOOD)),
        (b'""', (None, STALE)),
        (b'"--"', (None, STALE)),
        (b'"N/A"', (None, STALE)),
        (b"null", (None, STALE)),
        (b'"good"', (None, FAULT)),
        (b'"-101 dBm -3"', (None, FAULT)),
        (b"true", (None, FAULT)),
        (b"[1]", (None, FAULT)),
        (b"0", (None, FAULT)),
        (b"101", (None, FAULT)),
        (b"1e300", (None, FAULT)),
    ],
)
def test_what_a_router_may_say(value: bytes, expected: tuple[float | None, Quality]) -> None:
    assert one(value) == expected


def test_what_is_not_there_is_a_fault() -> None:
    for page in (b"{}\0", b'{"mobile": []}\0', b'{"mobile": {"0": 1}}\0', b"[]\0", b"null\0"):
        found = rows(Decoder(JSON).feed(page, 0.0))
        assert [(row[1], row[3]) for row in found] == [(None, FAULT)] * 5


def test_what_was_there_and_is_no_more_is_no_fault() -> None:
    decoder = Decoder(JSON)
    decoder.feed(PAGE, 0.0)
    found = rows(decoder.feed(b'{"mobile": [{"rssi": -99}]}\0', 1.0))
    assert [(row[1], row[3]) for row in found] == [(-99.0, GOOD)] + [(None, STALE)] * 4
    # But a page with nothing of it is another page.
    found = rows(decoder.feed(b'{"login": "please"}\0', 2.0))
    assert [(row[1], row[3]) for row in found] == [(None, FAULT)] * 5


@given(st.binary(max_size=200))
def test_garbage_passes(noise: bytes) -> None:
    decoder = Decoder(JSON)
    decoder.feed(noise + b"\0", 0.0)
    assert rows(decoder.feed(PAGE, 1.0)) == ROWS


@given(st.binary(max_size=200))
def test_garbage_passes_before_an_snmp_message(noise: bytes) -> None:
    decoder = Decoder(Config(map="mikrotik", host="127.0.0.1"))
    decoder.feed(noise, 0.0)
    # A false header may hold back 8 kB and no more.
    assert decoder.counters.bytes_read == len(noise)


def test_a_page_by_regular_expression(tmp_path: Path) -> None:
    (tmp_path / "page.toml").write_text(
        'title = "x"\nevidence = "from memory"\n[http]\npath = "/"\n'
        '[[signal]]\nquantity = "rsrp"\nunit = "dBm"\nregex = "<rsrp>(.*?)</rsrp>"\n'
        '[[signal]]\nquantity = "battery"\nunit = "%EL"\nregex = "<b>(.*?)</b>"\nscale = 0.1\n'
        "offset = 1.0\n"
    )
    decoder = Decoder(Config(map="page", host="x", map_dir=str(tmp_path)))
    page = b"<r><rsrp>-95dBm</rsrp><b>745</b></r>\0"
    assert rows(decoder.feed(page, 0.0)) == [
        ("rsrp", -95.0, "dBm", GOOD, None),
        ("battery", 75.5, "%EL", GOOD, None),
    ]
    assert rows(decoder.feed(b"<html>\xff login\0", 0.0))[0][3] is FAULT


# --- maps ---


def test_every_map_that_we_ship_is_right() -> None:
    names = sorted(path.stem for path in default_dir().glob("*.toml"))
    assert names == ["http_json", "mikrotik", "teltonika", "zte_goform"]
    for name in names:
        found = load(name, default_dir())
        assert {"rssi", "rsrp", "rsrq", "sinr"} <= {s.quantity for s in found.signals}
        assert Config(map=name, host="router").how_sure() == found.evidence
        assert check.mistakes(default_dir() / f"{name}.toml") == ()


def test_check_says_the_mistakes_of_a_map(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('title = "x"\nevidence = "from memory"\n[[signal]]\nquantity = "a"\n')
    assert check.mistakes(path) == (f"{path}: [[signal]] 1: object missing required field `unit`",)


def table(**signal: Any) -> dict[str, Any]:
    base = {"quantity": "rsrp", "unit": "dBm", "oid": "1.3.6.1"}
    return {"title": "x", "evidence": "from memory", "signal": [{**base, **signal}]}


@pytest.mark.parametrize(
    ("map_", "sentence"),
    [
        (table() | {"extra": 1}, "m: extra: unknown key, expected title, evidence, http or"),
        (table() | {"title": 3}, "m: title: expected text, read 3"),
        (table() | {"evidence": "sure"}, "m: evidence: expected one of seen on hardware"),
        (table() | {"signal": []}, "m: signal: expected at least one [[signal]]"),
        (table() | {"http": {"path": "x"}}, "m: http.path: expected a path like /api/status"),
        (table() | {"http": {"path": "/ "}}, "m: http.path: expected a path like /api/status"),
        (table() | {"http": {"path": "/", "headers": {"A": "b\r\nC: d"}}},
         "m: http.headers: expected a name and a line of text, read 'A'"),
        (table() | {"http": {"path": "/"}},
         "expected one of json or regex over HTTP, read oid"),
        (table(oid=""), "expected one of oid over SNMP (there is no [http]), read none"),
        (table(json="a"), "read json and oid"),
        (table(quantity="RSRP"), "quantity: expected a name like rsrp, read 'RSRP'"),
        (table(unit="dbm"), "unit: expected one of dBm, dB"),
        (table(oid="1.3.x"), "oid: expected numbers with dots between, read '1.3.x'"),
        (table(scale=0.0), "scale: expected a number other than 0"),
        (table(valid_min=1.0, valid_max=1.0), "valid_min: expected less than valid_max 1, read 1"),
        (table(jason="x"), "m: [[signal]] 1: object contains unknown field `jason`"),
        (table(scale="1"), "m: [[signal]] 1: expected `float`, got `str`"),
        ({**table(), "signal": table()["signal"] * 2}, "m: signal: rsrp is given 2 times"),
        ({**table(), "http": {"path": "/"},
          "signal": [{"quantity": "a", "unit": "", "regex": "("}]}, "regex: missing ), unter"),
        ({**table(), "http": {"path": "/"},
          "signal": [{"quantity": "a", "unit": "", "regex": "b"}]}, "expected a group around"),
    ],
)  # fmt: skip
def test_mistakes_of_a_map(map_: dict[str, Any], sentence: str) -> None:
    with pytest.raises(RouterMapError) as caught:
        parse(map_, "m")
    assert sentence in str(caught.value)


def test_every_mistake_at_once() -> None:
    with pytest.raises(RouterMapError) as caught:
        parse({"evidence": 1, "signal": [{"unit": "dBm"}, {"quantity": "a", "unit": "z"}]}, "m")
    assert len(str(caught.value).splitlines()) == 5


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"map": "mikrotic"}, "did you mean mikrotik?"),
        ({"map": "mikrotik", "username": "x"}, "password_file: missing; a username is given"),
    ],
)
def test_mistakes_of_a_source(keys: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=r"map|password") as caught:
        Config(host="router", **keys).check()
    assert sentence in str(caught.value)


def test_a_host_is_no_url() -> None:
    for host in ("http://router", "router/x", "a b", ""):
        with pytest.raises(msgspec.ValidationError, match="host"):
            msgspec.convert({"map": "mikrotik", "host": host}, Config)


# --- twins ---


@asynccontextmanager
async def playing(twin: Any) -> AsyncIterator[None]:
    task = asyncio.create_task(twin.run())
    try:
        yield
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_an_snmp_router_is_read_and_never_set() -> None:
    async with UdpLine() as line:
        twin = SnmpTwin(line, index=7, community="kit")
        driver = Driver(fast("mikrotik", line.port, index=7, community="kit"))
        async with playing(twin), running(driver) as heard:
            await heard.reads("rsrp", -95.0)
            assert {name: s.value for name, s in heard.last().items()} == {
                "rssi": -67.0, "rsrq": -11.0, "rsrp": -95.0, "sinr": 13.0}  # fmt: skip
            twin.set(rsrp=-128.0, sinr=-5.0)
            await heard.reads("rsrp", -128.0)
            await heard.reads("sinr", -5.0)
            twin.set(rssi=None)
            await heard.reads("rssi", None, STALE)
            twin.set(rssi=30.0)
            await heard.reads("rssi", None, FAULT)
            twin.error = 5
            await heard.reads("rsrp", None, FAULT)
        assert set(twin.requests) == {"get"}


async def test_an_http_router_is_read_and_never_set(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("geheim\n")
    async with NetLine() as line:
        twin = HttpTwin(line, login="admin:geheim")
        config = fast(
            "http_json", line.port, username="admin", password_file=str(tmp_path / "password")
        )
        async with playing(twin), running(Driver(config)) as heard:
            await heard.reads("rsrp", -95.0)
            await heard.reads("network_generation", 4.0)
            twin.set(rsrp=None, rssi=-80.0)
            await heard.reads("rsrp", None, STALE)
            await heard.reads("rssi", -80.0)
            await heard.reads("network_generation", None, STALE)
        assert set(twin.requests) == {"GET /api/status"}


async def test_headers_of_the_map_are_sent() -> None:
    async with NetLine() as line:
        twin = HttpTwin(line, path="/goform/goform_get_cmd_process?multi_data=1&isTest=false"
                        "&cmd=rssi,lte_rsrp,lte_rsrq,lte_snr,network_type")  # fmt: skip
        twin.body = (
            b'{"rssi":"-70","lte_rsrp":"-99","lte_rsrq":"-12","lte_snr":"7.4","network_type":"SA"}'
        )
        async with playing(twin), running(Driver(fast("zte_goform", line.port))) as heard:
            await heard.reads("rsrp", -99.0)
            await heard.reads("network_generation", 5.0)
        assert twin.headers["referer"] == "http://192.168.0.1/index.html"


SPOILING = (Fault.GARBAGE, Fault.CUT_FRAME, Fault.BAD_CHECKSUM)


@pytest.mark.parametrize("kind", ["mikrotik", "http_json"])
async def test_every_fault(kind: str) -> None:
    line: Any = UdpLine() if kind == "mikrotik" else NetLine()
    async with line:
        twin = SnmpTwin(line) if kind == "mikrotik" else HttpTwin(line)
        driver = Driver(fast(kind, line.port))
        meant, total = {-95.0}, 0
        async with playing(twin), running(driver) as heard:
            await heard.reads("rsrp", -95.0)
            for number, (fault, n) in enumerate((f, n) for f in SPOILING for n in (1, TRIES - 1)):
                value = -100.0 - number
                meant.add(value)
                before, unanswered = line.counters.frames, driver.counters.unanswered
                line.inject(fault, n)
                twin.set(rsrp=value)
                await heard.reads("rsrp", value)
                assert line.counters.frames - before <= n + 3, fault
                # Noise spoils no datagram, so the value may come before all faults have.
                total += n
                await until(lambda: line.counters.faults >= total, "all faults have come")  # noqa: B023
                if (kind, fault) != ("mikrotik", Fault.GARBAGE):
                    assert driver.counters.unanswered > unanswered, fault
            line.inject(Fault.SILENCE)
            kept = line.counters.bytes_dropped
            await until(lambda: line.counters.bytes_dropped > kept, "an answer is kept back")
            twin.set(rsrp=-90.0)
            line.inject(Fault.RESTORE)
            await heard.reads("rsrp", -90.0)
        told = [s for s in heard.samples if s.quantity == "rsrp"]
        assert {s.value for s in told} == {*meant, -90.0}
        assert {s.quality for s in told} == {GOOD}


@pytest.mark.parametrize("kind", ["mikrotik", "http_json"])
@pytest.mark.parametrize("fault", [Fault.SILENCE, Fault.UNPLUG])
async def test_a_router_that_is_lost_ends_the_source(kind: str, fault: Fault) -> None:
    line: Any = UdpLine() if kind == "mikrotik" else NetLine()
    async with line:
        twin = SnmpTwin(line) if kind == "mikrotik" else HttpTwin(line)
        config = msgspec.structs.replace(fast(kind, line.port), timeout_s=0.05)
        driver, heard = Driver(config), Heard()
        async with playing(twin):
            task = asyncio.create_task(driver.run(NoPort(), heard.take))
            await heard.reads("rsrp", -95.0)
            line.inject(fault)
            with pytest.raises(OSError, match=r"127\.0\.0\.1|refused"):
                await asyncio.wait_for(task, 10)
            assert driver.counters.unanswered == TRIES
            line.inject(Fault.RESTORE)
            async with running(driver) as again:
                await again.reads("rsrp", -95.0)


def dripping(twin: HttpTwin) -> None:
    twin.body = b" " * (BODY_MAX + 1)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda twin: setattr(twin, "status", 404), r"/api/status answers 404 No"),
        (lambda twin: setattr(twin, "status", 302), r"/api/status answers 302 No"),
        (lambda twin: setattr(twin, "_login", "a:b"), r"/api/status answers 401 No"),
        (lambda twin: setattr(twin, "body", b"<html>"), r"answers what the map cannot read"),
        (dripping, r"answers more than 65536 bytes"),
    ],
)
async def test_why_a_page_is_not_read(spoil: Any, sentence: str) -> None:
    async with NetLine() as line:
        twin = HttpTwin(line)
        spoil(twin)
        driver = Driver(fast("http_json", line.port))
        async with playing(twin):
            with pytest.raises(OSError, match=sentence):
                await asyncio.wait_for(driver.run(NoPort(), Heard().take), 20)


async def test_what_is_no_http_is_said_to_be_none(tmp_path: Path) -> None:
    async with NetLine(greeting=b"220 mail ready\r\n") as line:
        driver = Driver(fast("http_json", line.port))
        with pytest.raises(OSError, match="does not speak HTTP: 220 mail ready"):
            await asyncio.wait_for(driver.run(NoPort(), Heard().take), 20)


def test_a_twin_refuses_what_it_cannot_measure(tmp_path: Path) -> None:
    twin = HttpTwin(Line(tmp_path / "x"))
    with pytest.raises(ValueError, match="'noise' is not one of rssi"):
        twin.set(noise=1.0)
    assert twin.answer(b"POST /api/status HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 405")
