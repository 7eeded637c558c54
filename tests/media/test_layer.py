"""A layer makes no picture that no link has room for."""

from __future__ import annotations

import asyncio
import threading

from agent.media.encoded import Encoded
from agent.media.encoder import H264Encoder
from agent.media.fanout import BEHIND_S
from agent.media.layer import Layer
from agent.media.scene import Scene


def picture(at: float) -> Encoded:
    (made,) = H264Encoder(64, 48, 25, 100).encode(Scene(64, 48).draw(0, 0), at, keyframe=True)
    return made


async def test_nothing_is_encoded_while_every_link_is_held_even_where_a_keyframe_is_wanted() -> (
    None
):
    layer = Layer(asyncio.get_running_loop(), threading.Lock(), 25, 1000)
    taker = layer.fanout.join()
    layer.fanout.publish(picture(10.0))
    taker.request_keyframe()
    assert not layer.pick(10.0 + 2 * BEHIND_S)
    await taker.get()
    assert layer.pick(10.0 + 2 * BEHIND_S)
