"""One encoder's packets to several viewers, one of them slow."""

from __future__ import annotations

import asyncio
import threading

import av
import pytest

from agent.media.encoder import H264Encoder, VideoPacket
from agent.media.fanout import QUEUE_PACKETS, Fanout
from agent.media.scene import Scene


@pytest.fixture(scope="module")
def packets() -> list[VideoPacket]:
    """Keyframes at 0, 40 and 80."""
    scene, encoder = Scene(64, 48), H264Encoder(64, 48, 25, 100)
    made = []
    for n in range(90):
        made += encoder.encode(scene.draw(n, n / 25), n / 25, keyframe=n % 40 == 0)
    return made


class Requests:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


async def test_a_viewer_begins_at_a_keyframe(packets: list[VideoPacket]) -> None:
    asked = Requests()
    fanout = Fanout(asyncio.get_running_loop(), asked)
    early = fanout.join()
    assert asked.count == 1
    for packet in packets[:5]:
        fanout.publish(packet)
    late = fanout.join()
    assert asked.count == 2
    for packet in packets[38:42]:
        fanout.publish(packet)
    assert [await early.get() for _ in range(9)] == packets[:5] + packets[38:42]
    assert [await late.get() for _ in range(2)] == packets[40:42]
    assert late.skipped == 2


async def test_a_slow_viewer_loses_its_queue_and_nobody_else_notices(
    packets: list[VideoPacket],
) -> None:
    asked = Requests()
    fanout = Fanout(asyncio.get_running_loop(), asked)
    slow, quick = fanout.join(), fanout.join()
    seen = []
    for packet in packets:
        fanout.publish(packet)
        seen.append(await quick.get())
    assert seen == packets
    assert asked.count == 2 + 1 + 1  # two joined; the slow one overflowed in each 40
    got = [await slow.get() for _ in range(10)]
    assert got == packets[80:]
    assert slow.skipped == 80
    assert QUEUE_PACKETS < 40


async def test_packets_come_from_another_thread_and_a_waiting_viewer_wakes(
    packets: list[VideoPacket],
) -> None:
    fanout = Fanout(asyncio.get_running_loop(), Requests())
    viewer = fanout.join()
    waiting = asyncio.create_task(viewer.get())
    await asyncio.sleep(0)
    assert not waiting.done()
    thread = threading.Thread(target=fanout.publish, args=(packets[0],))
    thread.start()
    async with asyncio.timeout(5):
        assert await waiting is packets[0]
    thread.join()


async def test_who_has_left_gets_nothing(packets: list[VideoPacket]) -> None:
    fanout = Fanout(asyncio.get_running_loop(), Requests())
    viewer = fanout.join()
    assert fanout.viewers == 1
    viewer.close()
    viewer.close()
    assert fanout.viewers == 0
    fanout.publish(packets[0])
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await viewer.get()
    assert isinstance(packets[0], av.Packet)
