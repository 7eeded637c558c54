"""The nine-byte gas family: datasheet frames, resynchronisation, questions over a real pty."""

from __future__ import annotations

import asyncio
import itertools
import os
import tty

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from drivers import Fix, Quality, Sample
from drivers.ninebyte import QUESTION
from drivers.port import open_port
from drivers.winsen import GASES, MODULES, Config, Decoder, Driver, is_frame

from .ptys import pty, run_until

ZE07 = Config(module="ze07")
ZE03_H2S = Config(module="ze03", gas="h2s")
CHECKED = [
    (ZE07, "FF 04 03 01 00 25 13 88 38", [("co", 3.7, "ppm", Quality.GOOD, 500.0)]),
    (ZE07, "FF 04 03 01 01 5E 13 88 FE", [("co", 35.0, "ppm", Quality.GOOD, 500.0)]),
    (Config(module="ze15"), "FF 04 03 01 00 78 13 88 E5",
     [("co", 12.0, "ppm", Quality.GOOD, 500.0)]),
    (Config(module="ze15", mode="query"), "FF 86 04 B0 00 00 00 00 C6",
     [("co", 120.0, "ppm", Quality.GOOD, None)]),
    (Config(module="ze15", mode="query"), "FF 86 80 00 00 00 00 00 FA",
     [("co", None, "ppm", Quality.FAULT, None)]),
    (Config(gas="o2"), "FF 86 00 D1 00 00 00 00 A9", [("o2", 20.9, "/100", Quality.GOOD, None)]),
    (Config(gas="co"), "FF 86 00 C8 00 00 00 00 B2", [("co", 200.0, "ppm", Quality.GOOD, None)]),
    (ZE03_H2S, "FF 03 03 00 00 0C 00 64 8A", [("h2s", 12.0, "ppm", Quality.GOOD, 100.0)]),
    (Config(module="ze08"), "FF 17 04 00 00 25 07 D0 E9",
     [("ch2o", 0.037, "ppm", Quality.GOOD, 2.0)]),
    (Config(module="ze08", mode="query"), "FF 86 00 2E 00 00 00 25 27",
     [("ch2o", 0.037, "ppm", Quality.GOOD, None)]),
    (Config(module="MH-Z19"), "FF 86 02 60 47 00 00 00 D1",
     [("co2", 608.0, "ppm", Quality.GOOD, None), ("temperature", 31.0, "Cel", Quality.GOOD, None)]),
    (Config(module="mh_441d"), "FF 86 00 14 47 00 00 00 1F",
     [("combustible", 20.0, "%LEL", Quality.GOOD, None),
      ("temperature", 31.0, "Cel", Quality.GOOD, None)]),
    (Config(module="zh03"), "FF 86 00 23 00 32 00 14 11",
     [("pm2_5", 35.0, "ug/m3", Quality.GOOD, None), ("pm10", 50.0, "ug/m3", Quality.GOOD, None),
      ("pm1", 20.0, "ug/m3", Quality.GOOD, None)]),
]  # fmt: skip


def frame(*seven: int) -> bytes:
    return bytes((0xFF, *seven, -sum(seven) & 0xFF))


def rows(samples: list[Sample | Fix]) -> list[tuple[str, float | None, str, Quality, float | None]]:
    return [
        (s.quantity, s.value, s.unit, s.quality, s.full_scale)
        for s in samples
        if isinstance(s, Sample)
    ]


def values(samples: list[Sample | Fix]) -> list[float | None]:
    return [s.value for s in samples if isinstance(s, Sample)]


@pytest.mark.parametrize(("config", "text", "expected"), CHECKED)
def test_checked_frame_whole_and_byte_by_byte(config, text, expected) -> None:  # type: ignore[no-untyped-def]
    data = bytes.fromhex(text) * 2
    assert rows(Decoder(config).feed(data, 7.0)) == expected * 2
    decoder = Decoder(config)
    pieces = [decoder.feed(data[i : i + 1], i / 64) for i in range(len(data))]
    assert [len(p) for p in pieces[:17]] == [0] * 17
    assert rows(pieces[17]) == expected * 2
    assert [s.at for s in pieces[17]] == [0.0] * len(expected) + [9 / 64] * len(expected)
    assert decoder.counters.frames == 2
    assert decoder.counters.bytes_dropped == 0


@given(st.lists(st.integers(0, 90), max_size=12), st.sampled_from(CHECKED))
def test_random_cuts_change_nothing(cuts: list[int], row) -> None:  # type: ignore[no-untyped-def]
    config, text, expected = row
    data = bytes.fromhex(text) * 10
    decoder = Decoder(config)
    edges = [0, *sorted(cuts), len(data)]
    got = [s for a, b in itertools.pairwise(edges) for s in decoder.feed(data[a:b], 0.0)]
    assert rows(got) == expected * 10


@given(st.binary(max_size=60), st.integers(0, 250))
def test_after_noise_in_step_within_two_frames(noise: bytes, counts: int) -> None:
    decoder = Decoder(Config(gas="cl2"))
    upload = frame(0x31, 3, 1, 0, counts, 0x03, 0xE8)
    decoder.feed(upload * 2, 0.0)
    decoder.feed(noise, 1.0)
    got = [decoder.feed(upload, 2.0 + i) for i in range(4)]
    right = (counts / 10, Quality.GOOD if counts < 1000 else Quality.OVER_RANGE)
    # Noise may look like the beginning of a frame, and then hides the first true one.
    assert [(s.value, s.quality) for s in got[3] if isinstance(s, Sample)] == [right]
    assert len(got[0]) + len(got[1]) + len(got[2]) >= 2


@settings(max_examples=300)
@given(st.integers(0, 8 * 9 * 4 - 1), st.integers(0, 500))
def test_a_flipped_bit_never_gives_a_wrong_value(bit: int, counts: int) -> None:
    upload = frame(0x31, 3, 1, counts >> 8, counts & 0xFF, 0x03, 0xE8)
    data = bytearray(upload * 8)
    data[18 + bit // 8] ^= 1 << bit % 8
    decoder = Decoder(Config(gas="cl2"))
    got = values(decoder.feed(bytes(data), 0.0))
    assert set(got) == {counts / 10}
    assert len(got) >= 6
    assert decoder.counters.bytes_dropped == 9


@given(st.integers(1, 8), st.integers(0, 0xFEFF), st.sampled_from(sorted(GASES)),
       st.sampled_from([0x64, 0x1388, 0x03E8, 0x00FF, 0x04FF]))  # fmt: skip
@example(5, 0xF2FF, 0x04, 0x0403)
@example(5, 0xC5FF, 0x31, 0x0403)
def test_equal_frames_are_never_read_from_their_middle(
    offset: int, counts: int, code: int, full_scale: int
) -> None:
    """The checksum of a stream of equal frames also holds from any FF inside a frame."""
    upload = frame(code, 3, 1, *counts.to_bytes(2), *full_scale.to_bytes(2))
    decoder = Decoder(Config(gas=GASES[code][0]))
    got = values(decoder.feed((upload * 5)[offset:], 0.0))
    assert got == [counts / 10] * 4


@given(st.integers(1, 8), st.integers(0, 0xFEFF), st.integers(0, 0xFEFF))
@example(7, 245, 255)
def test_equal_replies_are_never_read_from_their_middle(offset: int, ug: int, ppb: int) -> None:
    reply = frame(0x86, *ug.to_bytes(2), 0, 0, *ppb.to_bytes(2))
    decoder = Decoder(Config(module="ze08"))
    got = values(decoder.feed((reply * 5)[offset:], 0.0))
    assert got == [round(ppb * 0.001, 9)] * 4


@pytest.mark.parametrize("temperature", sorted(GASES))
def test_a_temperature_that_is_a_gas_code_misleads_nobody(temperature: int) -> None:
    decoder = Decoder(Config(module="mhz19"))
    got = rows(decoder.feed((frame(0x86, 1, 0xFF, temperature, 0, 0, 0) * 5)[3:], 0.0))
    assert {row[:2] for row in got} == {("co2", 511.0), ("temperature", temperature - 40.0)}


def test_ze03_uploads_in_either_layout() -> None:
    config = Config(gas="cl2", full_scale=20.0)
    assert rows(Decoder(config).feed(frame(0x31, 3, 1, 0, 12, 0, 200) * 2, 0.0))[0] == (
        "cl2", 1.2, "ppm", Quality.GOOD, 20.0)  # fmt: skip
    assert rows(Decoder(config).feed(frame(0x86, 0, 12, 0, 0, 0, 0) * 2, 0.0))[0] == (
        "cl2", 1.2, "ppm", Quality.GOOD, 20.0)  # fmt: skip


def test_resolution_overrides_the_reply_but_not_an_upload_with_decimals() -> None:
    config = Config(gas="hf", resolution=1.0)
    assert values(Decoder(config).feed(frame(0x86, 0, 7, 0, 0, 0, 0) * 2, 0.0)) == [7.0, 7.0]
    assert values(Decoder(config).feed(frame(0x33, 3, 1, 0, 7, 0, 100) * 2, 0.0)) == [0.7, 0.7]


def test_over_range_at_full_scale() -> None:
    got = Decoder(ZE07).feed(frame(4, 3, 1, 0x13, 0x88, 0x13, 0x88) * 2, 0.0)
    assert rows(got)[0] == ("co", 500.0, "ppm", Quality.OVER_RANGE, 500.0)


@pytest.mark.parametrize(
    ("config", "data", "sentence"),
    [
        (Config(gas="cl2"), frame(4, 3, 1, 0, 1, 0x13, 0x88),
         "it is a co module, configured is cl2"),
        (Config(gas="cl2"), frame(0x31, 5, 1, 0, 1, 0, 200), "unit code 05 is not known"),
        (Config(module="ze15"), frame(4, 3, 1, 0x80, 0, 0x13, 0x88), "it reports a broken cell"),
    ],
)  # fmt: skip
def test_what_cannot_be_believed_is_a_fault_and_said_once(
    config: Config, data: bytes, sentence: str, caplog: pytest.LogCaptureFixture
) -> None:
    got = Decoder(config).feed(data * 3, 0.0)
    assert {(s.value, s.quality) for s in got if isinstance(s, Sample)} == {(None, Quality.FAULT)}
    assert len(got) == 3
    assert [r.getMessage() for r in caplog.records if sentence in r.getMessage()] == [
        f"winsen {config.module} ({got[0].quantity}): {sentence}: frame {data.hex(' ').upper()}"  # type: ignore[union-attr]
    ]


def test_mh_z19_warms_up_on_its_idle_figures_only() -> None:
    decoder = Decoder(Config(module="mhz19"))

    def ask(counts: int, at: float, temperature: int = 0x40) -> tuple[float | None, Quality]:
        sample = decoder.feed(frame(0x86, *counts.to_bytes(2), temperature, 0, 0, 0), at)[-2]
        assert isinstance(sample, Sample)
        return sample.value, sample.quality

    decoder.feed(frame(0x86, 1, 0x90, 0x40, 0, 0, 0), 0.0)
    assert ask(400, 1.0) == (None, Quality.WARMUP)
    assert ask(410, 2.0) == (None, Quality.WARMUP)
    assert ask(850, 3.0) == (850.0, Quality.GOOD)
    assert ask(400, 182.0) == (400.0, Quality.GOOD)
    dead = decoder.feed(frame(0x86, 0, 0, 0, 0, 0, 0), 183.0)
    assert [(s.value, s.quality) for s in dead if isinstance(s, Sample)] == [(None, Quality.FAULT)]


def test_configured_warm_up_keeps_the_value() -> None:
    decoder = Decoder(Config(gas="co", warmup_s=60.0))
    upload = frame(4, 3, 0, 0, 9, 3, 0xE8)
    assert rows(decoder.feed(upload * 2, 5.0))[0] == ("co", 9.0, "ppm", Quality.WARMUP, 1000.0)
    assert rows(decoder.feed(upload, 65.0))[0] == ("co", 9.0, "ppm", Quality.GOOD, 1000.0)


def test_a_frame_left_from_before_a_silence_is_not_given() -> None:
    decoder = Decoder(ZE07)
    old, new = frame(4, 3, 1, 0, 1, 0x13, 0x88), frame(4, 3, 1, 0, 2, 0x13, 0x88)
    assert decoder.feed(old, 0.0) == []
    assert decoder.feed(new, 60.0) == []
    assert values(decoder.feed(new, 61.0)) == [0.2, 0.2]
    assert decoder.counters.bytes_dropped == 9


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"module": "ze033", "gas": "co"}, 'read "ze033"; did you mean ze03?'),
        ({}, "gas: missing; a ze03 is made for one of c2h4, ch2o, cl2, co,"),
        ({"gas": "chlorine"}, 'gas: expected one of c2h4, ch2o, cl2, co, '),
        ({"module": "ze07", "gas": "h2s"}, 'gas: expected "co" for a ze07, read "h2s"'),
        ({"module": "mhz19", "mode": "active"},
         'mode: expected "query", read "active": a mhz19 does not speak by itself'),
        ({"gas": "co", "period_s": 0}, "period_s: expected more than 0, read 0"),
        ({"gas": "co", "warmup_s": -1}, "warmup_s: expected 0 or more, read -1"),
        ({"gas": "co", "unit": "%LEL"}, "unit: only a mh440d or mh441d has a choice, not a ze03"),
        ({"gas": "co", "zero": True}, "unknown field `zero`"),
    ],
)  # fmt: skip
def test_error_texts(keys: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (its text is what is tested)
        msgspec.convert(keys, Config).check()
    assert sentence in str(caught.value)


def test_methane_in_per_cent_of_volume() -> None:
    config = Config(module="mh440d", gas="ch4", unit="/100", resolution=0.01)
    got = Decoder(config).feed(frame(0x86, 0, 123, 0x47, 0, 0, 0) * 2, 0.0)
    assert rows(got)[0] == ("ch4", 1.23, "/100", Quality.GOOD, None)


@pytest.mark.parametrize("name", ["MH-Z19B", "mh_z14a", "ZE16B", "zh03b"])
def test_a_generation_letter_is_no_other_module(name: str) -> None:
    assert Config(module=name).spec() in MODULES.values()


def test_ze07_exists_for_hydrogen() -> None:
    assert Config(module="ze07", gas="h2").gas == "h2"


def test_the_only_words_that_the_driver_knows_to_say() -> None:
    """87, 88, 78, 79 and 99 would calibrate or re-range; the question is no frame of a sensor."""
    assert QUESTION == bytes.fromhex("FF 01 86 00 00 00 00 00 79")
    assert not is_frame(QUESTION)


def answer_questions(master: int, replies: list[bytes]) -> bytearray:
    """A small peer: answers each question with the next of `replies`, the last one for ever."""
    heard = bytearray()
    left = list(replies)

    def on_readable() -> None:
        heard.extend(os.read(master, 256))
        while len(heard) >= 9 * (len(replies) - len(left) + 1):
            os.write(master, left.pop(0))
            if not left:
                asyncio.get_running_loop().remove_reader(master)
                return

    asyncio.get_running_loop().add_reader(master, on_readable)
    return heard


async def test_active_mode_writes_nothing() -> None:
    async with pty() as (master, device):
        driver = Driver(Config(gas="cl2"))
        asyncio.get_running_loop().call_later(
            0.05, os.write, master, frame(0x31, 3, 1, 0, 5, 0, 200) * 3
        )
        got = await run_until(driver, device, lambda got: len(got) >= 3)
        assert [s.value for s in got] == [0.5] * 3
        with pytest.raises(BlockingIOError):
            os.read(master, 1)


@pytest.mark.parametrize("echo", [b"", QUESTION])
async def test_query_mode_asks_only_the_read_question(echo: bytes) -> None:
    reply = frame(0x86, 0x01, 0x2C, 0, 0, 0, 0)
    async with pty() as (master, device):
        driver = Driver(Config(module="ze15", mode="query", period_s=0.05))
        heard = answer_questions(master, [echo + reply] * 6)
        got = await run_until(driver, device, lambda got: len(got) >= 5)
        assert [s.value for s in got[:5]] == [30.0] * 5
        assert bytes(heard) == QUESTION * (len(heard) // 9)
        assert driver.counters.bytes_dropped == 0


async def test_query_mode_survives_a_cut_reply_a_bad_one_and_none() -> None:
    good = frame(0x86, 0x01, 0x2C, 0, 0, 0, 0)
    bad = good[:-1] + bytes((good[-1] ^ 1,))
    async with pty() as (master, device):
        config = Config(module="ze15", mode="query", period_s=0.05, timeout_s=0.3)
        driver = Driver(config)
        answer_questions(master, [good, good, good[:4], good, good, bad, b"", good, good, good])
        got = await run_until(driver, device, lambda got: len(got) >= 7)
        assert [s.value for s in got] == [30.0] * 7
        assert driver.counters.frames == 7
        assert driver.counters.bad_checksums >= 1
        assert driver.counters.bytes_dropped == 4 + 9


async def test_a_hang_up_is_an_oserror() -> None:
    master, slave = os.openpty()
    tty.setraw(slave)
    device = os.ttyname(slave)
    async with open_port(device) as port:
        task = asyncio.create_task(Driver(Config(gas="cl2")).run(port, lambda sample: None))
        os.close(slave)
        asyncio.get_running_loop().call_later(0.05, os.close, master)
        with pytest.raises(OSError, match="hung up"):
            await asyncio.wait_for(task, 5)


def test_every_module_has_a_resolution_or_a_gas_that_has_one() -> None:
    for name, module in MODULES.items():
        config = Config(module=name, gas=module.gas or "so2")
        assert rows(Decoder(config).feed(frame(0x86, 0, 9, 0x40, 0, 0, 9) * 2, 0.0))
