"""One encoder's packets to several viewers, one of them slow."""

from __future__ import annotations

import asyncio
import threading

import pytest

from agent.media import fanout as fanouts
from agent.media.encoded import Encoded
from agent.media.encoder import H264Encoder
from agent.media.fanout import QUEUE_PICTURES, Fanout
from agent.media.scene import Scene


@pytest.fixture(scope="module")
def packets() -> list[Encoded]:
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


async def test_a_viewer_begins_at_a_keyframe(packets: list[Encoded]) -> None:
    asked = Requests()
    fanout = Fanout(asyncio.get_running_loop(), asked)
    early = fanout.join()
    assert asked.count == 1
    for packet in packets[:5]:
        fanout.publish(packet)
    assert [await early.get() for _ in range(5)] == packets[:5]
    late = fanout.join()
    assert asked.count == 2
    for packet in packets[38:42]:
        fanout.publish(packet)
    assert [await early.get() for _ in range(4)] == packets[38:42]
    assert [await late.get() for _ in range(2)] == packets[40:42]
    assert late.skipped == 2


async def test_a_slow_viewer_loses_its_queue_and_nobody_else_notices(
    packets: list[Encoded],
) -> None:
    asked = Requests()
    fanout = Fanout(asyncio.get_running_loop(), asked)
    slow, quick = fanout.join(), fanout.join()
    seen = []
    for packet in packets:
        fanout.publish(packet)
        seen.append(await quick.get())
    assert seen == packets
    assert asked.count == 2  # for the joins; so soon after a keyframe nobody gets another
    got = [await slow.get() for _ in range(10)]
    assert got == packets[80:]
    assert slow.skipped == 80
    assert QUEUE_PICTURES < 40


async def test_a_slow_viewer_asks_for_a_keyframe_once_the_last_is_some_time_ago(
    packets: list[Encoded], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fanouts, "ASK_AGAIN_S", 0.0)
    asked = Requests()
    fanout = Fanout(asyncio.get_running_loop(), asked)
    fanout.join()
    for packet in packets[: QUEUE_PICTURES + 1]:
        fanout.publish(packet)
    assert asked.count == 2


async def test_packets_come_from_another_thread_and_a_waiting_viewer_wakes(
    packets: list[Encoded],
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


async def test_who_has_left_gets_nothing(packets: list[Encoded]) -> None:
    fanout = Fanout(asyncio.get_running_loop(), Requests())
    viewer = fanout.join()
    assert fanout.viewers == 1
    viewer.close()
    viewer.close()
    assert fanout.viewers == 0
    fanout.publish(packets[0])
    with pytest.raises(fanouts.ClosedError):
        await viewer.get()


async def test_a_taker_moves_at_a_keyframe_and_leaves_the_other_layer(
    packets: list[Encoded],
) -> None:
    loop = asyncio.get_running_loop()
    main = Fanout(loop, Requests())
    asked = Requests()
    thin = Fanout(loop, asked, main.lock)
    viewer = main.join()
    main.publish(packets[0])
    viewer.move(thin)
    assert asked.count == 1
    assert (main.viewers, thin.viewers) == (1, 1)  # both are needed until the keyframe
    thin.publish(packets[1])
    main.publish(packets[1])
    assert [await viewer.get() for _ in range(2)] == packets[:2]
    thin.publish(packets[40])
    assert (main.viewers, thin.viewers) == (0, 1)
    main.publish(packets[2])
    thin.publish(packets[41])
    assert [await viewer.get() for _ in range(2)] == packets[40:42]
    viewer.move(main)
    viewer.move(thin)  # thought better of it
    assert (main.viewers, thin.viewers) == (0, 1)
    viewer.close()
    assert (main.viewers, thin.viewers) == (0, 0)
    with pytest.raises(fanouts.ClosedError):
        await viewer.get()


async def test_a_taker_of_stills_gets_keyframes_and_asks_seldom(
    packets: list[Encoded], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fanouts, "STILL_S", 0.0)
    asked = Requests()
    fanout = Fanout(asyncio.get_running_loop(), asked)
    viewer = fanout.join()
    viewer.stills = True
    for packet in packets[:42]:
        fanout.publish(packet)
    # Taken while there was time for each: the second throws away what is late.
    assert (await viewer.get()).keyframe
    assert asked.count > 10
    monkeypatch.setattr(fanouts, "STILL_S", 60.0)
    before = asked.count
    for packet in packets[42:80]:
        fanout.publish(packet)
    assert asked.count == before


async def test_who_joins_a_camera_that_makes_no_keyframe_for_him_gets_what_came_since_the_last(
    packets: list[Encoded],
) -> None:
    fanout = Fanout(asyncio.get_running_loop(), Requests())
    fanout.remembers = True
    for packet in packets[:50]:
        fanout.publish(packet)
    viewer = fanout.join()
    fanout.publish(packets[50])
    assert [await viewer.get() for _ in range(11)] == packets[40:51]
    fanout.forget()
    late = fanout.join()
    fanout.publish(packets[51])
    fanout.publish(packets[80])
    assert await late.get() is packets[80]


async def test_a_picture_that_waits_for_every_takers_link_needs_no_other_behind_it(
    packets: list[Encoded],
) -> None:
    fanout = Fanout(asyncio.get_running_loop(), Requests())
    assert not fanout.is_behind(100.0)
    slow, quick = fanout.join(), fanout.join()
    fanout.publish(packets[0])
    at = packets[0].at
    assert not fanout.is_behind(at + fanouts.BEHIND_S / 2)
    assert fanout.is_behind(at + fanouts.BEHIND_S * 2)
    await quick.get()
    assert not fanout.is_behind(at + fanouts.BEHIND_S * 2)
    quick.close()
    assert fanout.is_behind(at + fanouts.BEHIND_S * 2)
    # Longer than any link is held for: something else is wrong, and new pictures may move it.
    assert not fanout.is_behind(at + fanouts.STUCK_S + 0.1)
    await slow.get()
    assert not fanout.is_behind(at + fanouts.BEHIND_S * 2)


async def test_who_begins_again_gets_a_keyframe_and_nothing_before_it(
    packets: list[Encoded],
) -> None:
    asked = Requests()
    fanout = Fanout(asyncio.get_running_loop(), asked)
    taker = fanout.join()
    for packet in packets[:5]:
        fanout.publish(packet)
    taker.restart()
    assert asked.count == 2
    assert taker.is_empty
    for packet in packets[5:42]:
        fanout.publish(packet)
    assert [await taker.get() for _ in range(2)] == packets[40:42]
