"""A picture cut into RTP payloads and put together again, by another's reader."""

from __future__ import annotations

import os

import pytest
from aiortc.codecs.h264 import PACKET_MAX, h264_depayload

from agent.media.encoded import Packetizer


@pytest.mark.parametrize("size", [PACKET_MAX + 1, 2 * PACKET_MAX, 5000, 24_001])
def test_pieces_have_one_size_but_the_last_and_make_the_picture_again(size: int) -> None:
    slice_of_a_picture = bytes([0x65]) + os.urandom(size - 1)
    pieces = Packetizer._packetize_fu_a(slice_of_a_picture)
    sizes = [len(piece) for piece in pieces]
    assert len(set(sizes[:-1])) == 1
    assert sizes[-1] <= sizes[0] <= PACKET_MAX
    assert len(pieces) == -(-(size - 1) // (PACKET_MAX - 2))
    assert b"".join(h264_depayload(piece) for piece in pieces)[4:] == slice_of_a_picture
