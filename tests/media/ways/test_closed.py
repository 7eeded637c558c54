"""A question that is asked again after its socket was closed is none, and no error."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aioice import ice, stun

from agent.media.ways import closed


async def test_a_closed_socket_is_not_written_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ice.StunProtocol, "send_stun", ice.StunProtocol.send_stun)
    closed.install()
    loop = asyncio.get_running_loop()
    errors: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, said: errors.append(said))
    heard: asyncio.Future[bytes] = loop.create_future()

    class Other(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            if not heard.done():
                heard.set_result(data)

    there, _ = await loop.create_datagram_endpoint(Other, local_addr=("127.0.0.1", 0))
    connection = ice.Connection(ice_controlling=True)
    transport, protocol = await loop.create_datagram_endpoint(
        lambda: ice.StunProtocol(connection), local_addr=("127.0.0.1", 0)
    )
    question = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    protocol.send_stun(question, there.get_extra_info("sockname"))
    assert await asyncio.wait_for(heard, 10) == bytes(question)
    transport.close()
    await asyncio.sleep(0)
    protocol.send_stun(question, there.get_extra_info("sockname"))
    there.close()
    assert errors == []
