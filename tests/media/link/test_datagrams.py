"""What leaves is what another SRTP session reads, in its order."""

from __future__ import annotations

import asyncio
import os
import socket
from types import SimpleNamespace
from typing import Any

import pylibsrtp
import pytest

from agent.media.link import rtp
from agent.media.link.datagrams import MAX_SEGMENTS, Datagrams, runs

KEY = os.urandom(44)
PROFILE = pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_256_GCM


def session(kind: int) -> pylibsrtp.Session:
    return pylibsrtp.Session(pylibsrtp.Policy(KEY, kind, 0, PROFILE))


class Way:
    """A path over real sockets of loopback."""

    def __init__(self) -> None:
        self.receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.receiver.bind(("127.0.0.1", 0))
        self.receiver.settimeout(5)
        self.reads = session(pylibsrtp.Policy.SSRC_ANY_INBOUND)
        self.nominated: dict[int, Any] = {}
        self.transport: Any = SimpleNamespace(
            state="connected",
            _tx_srtp=session(pylibsrtp.Policy.SSRC_ANY_OUTBOUND),
            transport=SimpleNamespace(_connection=SimpleNamespace(_nominated=self.nominated)),
        )

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
        )
        protocol = SimpleNamespace(transport=transport)
        to = self.receiver.getsockname()
        self.nominated[1] = SimpleNamespace(protocol=protocol, remote_addr=to)

    def close(self) -> None:
        self.receiver.close()
        if self.nominated:
            self.nominated[1].protocol.transport.close()

    def read(self) -> bytes:
        return self.reads.unprotect(self.receiver.recv(2048))


def packets(*sizes: int, first: int = 65_534) -> list[tuple[bytes, bytes]]:
    stream = rtp.Stream(7, 97)
    return [
        (rtp.head(stream, n, 900, marker=False, extensions=b""), os.urandom(size))
        for n, size in enumerate(sizes, first)
    ]


async def test_packets_arrive_as_they_were_in_their_order() -> None:
    way = Way()
    try:
        await way.open()
        sent = packets(1100, 1100, 1099, 1099, 3, 1100, 1)
        datagrams = Datagrams(way.transport)
        datagrams.send(sent)
        datagrams.close()
        assert [way.read() for _ in sent] == [head + payload for head, payload in sent]
    finally:
        way.close()


async def test_without_a_path_it_says_so() -> None:
    way = Way()
    try:
        datagrams = Datagrams(way.transport)
        with pytest.raises(ConnectionError, match="there is no path"):
            datagrams.send(packets(10))
        await way.open()
        way.transport.state = "closed"
        with pytest.raises(ConnectionError, match="not connected"):
            datagrams.send(packets(10))
    finally:
        way.close()


async def test_a_packet_that_is_too_long_is_refused() -> None:
    way = Way()
    try:
        await way.open()
        with pytest.raises(ValueError, match="1512 bytes is too long"):
            Datagrams(way.transport).send(packets(1500))
    finally:
        way.close()


SO_NO_CHECK = 11
"""asm-generic/socket.h.  Linux cuts nothing apart that it makes no checksums for."""


async def test_where_the_kernel_cuts_nothing_apart_packets_leave_one_by_one() -> None:
    way = Way()
    try:
        await way.open()
        datagrams = Datagrams(way.transport)
        shared = way.nominated[1].protocol.transport.get_extra_info("socket")
        shared.setsockopt(socket.SOL_SOCKET, SO_NO_CHECK, 1)
        for first in (100, 200):
            sent = packets(900, 900, 900, 40, first=first)
            datagrams.send(sent)
            assert [way.read() for _ in sent] == [head + payload for head, payload in sent]
        datagrams.close()
    finally:
        way.close()


async def test_a_path_that_is_replaced_is_left_and_its_socket_let_go() -> None:
    way = Way()
    try:
        await way.open()
        datagrams, sent = Datagrams(way.transport), packets(900, 900, 900)
        datagrams.send(sent)
        first = way.nominated[1].protocol.transport
        port = first.get_extra_info("sockname")
        await way.open()
        datagrams.send(packets(900, 900, first=65_537))
        first.close()
        await asyncio.sleep(0)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
            again.bind(port)
        seen = {way.receiver.recvfrom(2048)[1] for _ in range(5)}
        assert seen == {port, way.nominated[1].protocol.transport.get_extra_info("sockname")}
        datagrams.close()
    finally:
        way.close()


@pytest.mark.parametrize("had_sent", [True, False])
async def test_over_a_path_that_has_closed_packets_are_lost_and_over_the_next_they_go(
    had_sent: bool,
) -> None:
    way = Way()
    try:
        await way.open()
        datagrams = Datagrams(way.transport)
        if had_sent:
            datagrams.send(packets(900, first=90))
            assert way.read()
        closed = way.nominated[1].protocol.transport
        closed.close()
        while closed.get_extra_info("socket").fileno() >= 0:
            datagrams.send(packets(900, 900, first=100))
            await asyncio.sleep(0)
        datagrams.send(packets(900, 900, first=102))
        await way.open()
        sent = packets(900, 900, first=104)
        datagrams.send(sent)
        assert [way.read() for _ in sent] == [head + payload for head, payload in sent]
        datagrams.close()
    finally:
        way.close()


def test_what_is_of_one_size_leaves_together_with_a_shorter_last() -> None:
    sizes = [5, 5, 5, 3, 3, 9, 2, 4, 4, 5]
    cut = [[len(one) for one in run] for run in runs([bytes(size) for size in sizes])]
    assert cut == [[5, 5, 5, 3], [3], [9, 2], [4, 4], [5]]
    many = list(runs([bytes(9)] * (2 * MAX_SEGMENTS + 1)))
    assert [len(run) for run in many] == [MAX_SEGMENTS, MAX_SEGMENTS, 1]
    assert list(runs([])) == []
