"""Batches compressed on the wire: over MQTT 5 alone, where a center takes it, with a ceiling."""

from __future__ import annotations

import struct
from pathlib import Path

import msgspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from agent import topics
from agent.center.receiver import Receiver
from agent.center.traffic import check_file, mistakes_of
from agent.delivery import compression
from agent.messages import Class
from tests.agent.brokers import CONNECT, PUBLISH, SUBSCRIBE, protocol_level, read_packet, scripted
from tests.agent.rig import ROOT, UNIT, arrived, center, connected, settled, unit, uplink_config
from tests.mosquitto import Mosquitto

BATCH = msgspec.json.encode(
    {
        "unit": UNIT.id, "epoch": "1795519200000-9f3a", "mark": "exercise",
        "records": [
            {
                "seq": seq, "prev": seq - 1, "t": 1795519200000 + 1000 * seq, "clock": "ntp",
                "source": "gas1", "quantity": "cl2", "value": seq / 10, "unit": "ppm",
                "quality": "good",
            }
            for seq in range(1, 101)
        ],
    }
)  # fmt: skip
READINGS = topics.parse(f"{ROOT}/readings")


@given(st.binary(max_size=4000))
def test_what_is_shrunk_expands_to_the_same(payload: bytes) -> None:
    shrunk = compression.shrink(payload)
    assert len(shrunk) <= len(payload)
    if not compression.is_frame(payload):
        assert compression.expand(shrunk) == payload


def test_a_batch_becomes_a_tenth() -> None:
    assert len(compression.shrink(BATCH)) < len(BATCH) / 9


def test_what_would_gain_nothing_stays_plain() -> None:
    assert compression.shrink(b'{"seq":1}') == b'{"seq":1}'


def claiming(size: int) -> bytes:
    """A frame whose head says that it holds so many bytes."""
    return compression.MAGIC + b"\xe0" + struct.pack("<Q", size) + b"\x01\x00\x00"


@pytest.mark.parametrize(
    ("payload", "sentence"),
    [
        (compression.MAGIC, "expected a zstd frame of JSON, but"),
        (compression.MAGIC + b"nonsense", "expected a zstd frame of JSON, but"),
        (compression.shrink(BATCH)[:-20], "a zstd frame of"),
        (zstandard.compress(b" " * 50_000_000), "become more than 1000000, the most that is taken"),
        (claiming(2**60), "Frame requires too much memory for decoding"),
    ],
    ids=["head", "nonsense", "cut", "bomb", "claims"],
)
def test_a_frame_that_cannot_be_is_refused_in_a_sentence(payload: bytes, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        compression.expand(payload)
    with pytest.raises(ValueError, match=f"{UNIT.id}/readings: .*{sentence}"):
        Receiver().feed(READINGS, payload)
    (mistake,) = mistakes_of(f"{ROOT}/readings", payload)
    assert sentence in mistake


def test_a_receiver_reads_both() -> None:
    receiver = Receiver()
    assert len(receiver.feed(READINGS, compression.shrink(BATCH))) == 100
    assert receiver.feed(READINGS, BATCH) == []


def test_captured_traffic_may_be_in_hexadecimal(tmp_path: Path) -> None:
    path = tmp_path / "traffic"
    topic, payload = f"{ROOT}/readings", compression.shrink(BATCH).hex()
    lines = [{"topic": topic, "payload_hex": payload}, {"topic": topic, "payload_hex": "zz"}]
    path.write_bytes(b"\n".join(map(msgspec.json.encode, lines)))
    count, (mistake,) = check_file(path)
    assert count == 2
    assert "2: ?: expected" in mistake


# -- on the wire ---------------------------------------------------------------------------------


@pytest.mark.parametrize("compress", ["zstd", "off"])
async def test_a_center_that_takes_it_gets_it_compressed(
    mosquitto: Mosquitto, tmp_path: Path, compress: str
) -> None:
    async with (
        center(mosquitto.port) as heard,
        unit(tmp_path / "store", uplink_config(mosquitto.port, compress=compress)) as made,
    ):
        await connected(made)
        made.read(300)
        await settled(made)
        await arrived(heard, 300)
        batches = [
            message for message in heard.messages if message.topic == f"{ROOT}/{Class.READINGS}"
        ]
        assert any(compression.is_frame(one.payload) for one in batches) == (compress == "zstd")
        for one in batches:
            is_frame = compression.is_frame(one.payload)
            assert one.content_type == (compression.CONTENT_TYPE if is_frame else "")


async def test_in_mqtt_3_1_1_nothing_is_compressed(tmp_path: Path) -> None:
    payloads: list[bytes] = []

    async def broker(reader, writer) -> None:  # type: ignore[no-untyped-def]
        while True:
            first, body = await read_packet(reader)
            match first & 0xF0:
                case int(kind) if kind == CONNECT:
                    new = protocol_level(body) == 5
                    writer.write(b"\x20\x03\x00\x84\x00" if new else b"\x20\x02\x00\x00")
                case int(kind) if kind == SUBSCRIBE:
                    writer.write(b"\x90\x06" + body[:2] + b"\x01\x01\x01\x01")
                case int(kind) if kind == PUBLISH:
                    length = int.from_bytes(body[:2])
                    if body[2 : 2 + length].endswith(b"/readings"):
                        payloads.append(body[4 + length :])
                    writer.write(b"\x40\x02" + body[2 + length : 4 + length])

    async with (
        scripted(broker) as port,
        unit(tmp_path / "store", uplink_config(port, compress="zstd")) as made,
    ):
        await connected(made)
        assert made.uplink.connection is not None
        assert made.uplink.connection.protocol == 4
        made.read(300)
        await settled(made)
        assert payloads
        assert all(payload.startswith(b'{"unit"') for payload in payloads)
