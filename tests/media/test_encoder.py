"""The H.264 that leaves here, read by a decoder that knows nothing of us."""

from __future__ import annotations

import av
import numpy as np
from av.video.frame import PictureType

from agent.media.encoded import Encoded
from agent.media.encoder import H264Encoder, KeyframeGate
from agent.media.scene import Scene
from agent.media.yuv import Yuv

FPS = 25
NAL_SPS = 7
NAL_IDR = 5


def nal_types(packet: Encoded) -> list[int]:
    """Of an Annex B packet (ITU-T H.264, annex B): the low five bits after each start code."""
    parts = packet.data.split(b"\0\0\1")[1:]
    return [part[0] & 0x1F for part in parts]


def encode(count: int, keyframes: set[int], kbit_s: int = 1500) -> list[Encoded]:
    scene, encoder = Scene(640, 360), H264Encoder(640, 360, FPS, kbit_s)
    packets = []
    for n in range(count):
        packets += encoder.encode(scene.draw(n, n / FPS), n / FPS, keyframe=n in keyframes)
    return packets


def test_each_picture_is_a_packet_at_once_and_keyframes_come_on_demand_only() -> None:
    packets = encode(60, {0, 20, 41})
    assert len(packets) == 60  # no delay, no B-frames
    assert [n for n, packet in enumerate(packets) if packet.keyframe] == [0, 20, 41]
    for n in (0, 20, 41):
        assert NAL_IDR in nal_types(packets[n])
        assert NAL_SPS in nal_types(packets[n])  # a viewer may begin here
    assert all(NAL_IDR not in nal_types(packets[n]) for n in (1, 19, 21, 40, 42))


def test_the_stream_is_constrained_baseline_without_b_frames() -> None:
    packets = encode(30, {0})
    sps = packets[0].data.split(b"\0\0\1")[1]
    assert sps[0] & 0x1F == NAL_SPS
    assert sps[1] == 66  # profile_idc: Baseline
    assert sps[2] & 0x40  # constraint_set1_flag: constrained
    decoder = av.CodecContext.create("h264", "r")
    kinds = [
        frame.pict_type for packet in packets for frame in decoder.decode(av.Packet(packet.data))
    ]
    assert kinds
    assert PictureType.B not in kinds


def test_time_goes_on_even_when_the_clock_does_not() -> None:
    encoder = H264Encoder(64, 64, FPS, 100)
    image = Yuv.of(np.zeros((64, 64, 3), np.uint8))
    at = [0.0, 0.04, 0.04, 0.03, 0.08]
    stamps = [p.timestamp for t in at for p in encoder.encode(image, t, keyframe=False)]
    assert stamps == sorted(set(stamps))


def test_the_bitrate_has_a_ceiling() -> None:
    rng = np.random.default_rng(7)
    encoder = H264Encoder(640, 360, FPS, 300)
    size = 0
    for n in range(75):  # noise, the worst there is
        image = Yuv.of(rng.integers(0, 255, (360, 640, 3), np.uint8))
        size += sum(len(p.data) for p in encoder.encode(image, n / FPS, keyframe=False) if n >= 25)
    assert size * 8 / 2 / 1000 < 300 * 2.5  # x264 misses VBV on pure noise, but not by much


def test_the_bitrate_follows_in_place_without_a_keyframe() -> None:
    scene, encoder = Scene(640, 360), H264Encoder(640, 360, FPS, 1500)
    rng = np.random.default_rng(3)
    made = []
    for n in range(8 * FPS):
        if n == 3 * FPS:
            encoder.follow(200)
        grain = rng.integers(-12, 13, (360, 640, 1), np.int16)
        image = np.clip(scene.draw(n, n / FPS).bgr() + grain, 0, 255).astype(np.uint8)
        made += encoder.encode(Yuv.of(image), n / FPS, keyframe=False)
    size = [sum(len(p.data) for p in made[n : n + FPS]) / 125 for n in range(0, 8 * FPS, FPS)]
    assert size[2] > 900  # kbit/s, or the next line says nothing
    assert max(size[5:]) < 260
    assert [n for n, p in enumerate(made) if p.keyframe] == [0]


def test_many_requests_are_one_keyframe() -> None:
    gate = KeyframeGate(gap_s=0.4)
    assert not gate.take(10.0)
    for _ in range(50):
        gate.request()
    assert gate.take(10.0)
    assert not gate.take(10.04)
    gate.request()
    assert not gate.take(10.3)  # too early: kept
    assert gate.take(10.4)
    assert not gate.take(99.0)


def made_kbit_s(encoder: H264Encoder, kbit_s: float, first: int, count: int) -> float:
    scene = Scene(640, 360)
    encoder.follow(kbit_s)
    size = sum(
        len(packet.data)
        for n in range(first, first + count)
        for packet in encoder.encode(scene.draw(n, n / FPS), n / FPS, keyframe=n == 0)
    )
    return size / 125 / (count / FPS)


def test_an_encoder_that_begins_on_a_narrow_link_follows_when_it_widens() -> None:
    encoder = H264Encoder(640, 360, FPS, 1000)
    made_kbit_s(encoder, 100, 0, 50)
    narrow = made_kbit_s(encoder, 100, 50, 50)
    made_kbit_s(encoder, 1000, 100, 25)
    wide = made_kbit_s(encoder, 1000, 125, 50)
    assert narrow < 150
    assert wide > 2 * narrow


def test_a_still_scene_is_not_polished_beyond_what_is_seen_and_looks_as_before() -> None:
    scene = Scene(640, 360)
    encoder, decoder = H264Encoder(640, 360, FPS, 1500), av.CodecContext.create("h264", "r")
    size, worst = 0, 99.0
    for n in range(3 * FPS):
        picture = scene.draw(n, n / FPS)
        for packet in encoder.encode(picture, n / FPS, keyframe=n == 0):
            for frame in decoder.decode(av.Packet(packet.data)):
                if n >= FPS:
                    size += len(packet.data)
                    error = frame.to_ndarray()[:360].astype(float) - picture.luma
                    worst = min(worst, 10 * np.log10(255**2 / (error**2).mean()))
    assert worst > 46  # dB
    assert size * 8 / 2 / 1000 < 600  # kbit/s; 965 without a bound
