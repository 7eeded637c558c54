"""The drill's own broker, with real clients, for each broker that this machine has."""

from __future__ import annotations

import asyncio
import errno
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.drill import broker as broker_module
from agent.drill.broker import IOTCORE, MOSQUITTO, BrokerError, LocalBroker, start_broker
from agent.mqtt import Broker, Message, Will, connect
from tests.mosquitto import is_listening
from tests.waiting import until, wait_until

OTHER_ADDRESS = "127.0.0.2"
"""Of this machine, and not the one that the broker listens on."""


@pytest.fixture(params=[MOSQUITTO, IOTCORE])
async def broker(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[LocalBroker]:
    if request.param == MOSQUITTO and broker_module.find_mosquitto() is None:
        pytest.skip("mosquitto is not installed")
    if request.param == IOTCORE and importlib.util.find_spec(IOTCORE) is None:
        pytest.skip("iotcore is not installed")
    async with start_broker(tmp_path / "broker", request.param) as running:
        yield running


def ignore(_: Message) -> None:
    """For clients that only publish."""


async def test_it_carries_messages_over_mqtt_5(broker: LocalBroker) -> None:
    heard: list[Message] = []
    target = Broker.from_url(broker.url)
    async with (
        connect(target, client_id="far", on_message=heard.append) as far,
        connect(target, client_id="near", on_message=ignore) as near,
    ):
        assert far.protocol == 5
        await far.subscribe(["outpost-exercise/v1/#"])
        await asyncio.gather(
            *(near.publish("outpost-exercise/v1/o/ex-a/x", b"%d" % n) for n in range(200))
        )
        await until(lambda: len(heard) == 200, "all messages have come")
    assert [message.payload for message in heard] == [b"%d" % n for n in range(200)]


async def test_a_will_is_said_and_retained_and_can_be_cleared(broker: LocalBroker) -> None:
    heard: list[Message] = []
    target = Broker.from_url(broker.url)
    script = textwrap.dedent(
        """
        import asyncio, os, sys
        from agent.mqtt import Broker, Will, connect
        async def main():
            async with connect(Broker.from_url(sys.argv[1]), client_id="unit",
                               on_message=print, will=Will(topic="link/a", payload=b"lost")):
                print("up", flush=True)
                await asyncio.Event().wait()
        asyncio.run(main())
        """
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, broker.url, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"up\n"
    async with connect(target, client_id="far", on_message=heard.append) as far:
        await far.subscribe(["link/#"])
        process.kill()
        await process.wait()
        await until(lambda: [m.payload for m in heard] == [b"lost"], "the will is said")
    heard.clear()
    async with connect(target, client_id="late", on_message=heard.append) as late:
        await late.subscribe(["link/#"])
        await until(lambda: [m.retain for m in heard] == [True], "the will was retained")
        await late.publish("link/a", b"", retain=True)
    heard.clear()
    async with connect(target, client_id="last", on_message=heard.append) as last:
        await last.subscribe(["link/#"])
        await last.publish("link/b", b"end")
        await until(lambda: bool(heard), "anything comes")
    assert [message.topic for message in heard] == ["link/b"], "the cleared will is gone"


async def test_a_client_id_is_taken_over(broker: LocalBroker) -> None:
    target = Broker.from_url(broker.url)
    async with (
        connect(target, client_id="same", on_message=ignore) as first,
        connect(target, client_id="same", on_message=ignore),
    ):
        async with asyncio.timeout(5):
            assert "lost" in await first.lost


async def test_it_is_killed_and_comes_back_at_the_same_address(broker: LocalBroker) -> None:
    target, url, pid = Broker.from_url(broker.url), broker.url, broker.pid
    async with connect(target, client_id="near", on_message=ignore) as near:
        await broker.kill()
        async with asyncio.timeout(5):
            await near.lost
    with pytest.raises(BrokerError, match="is not running"):
        _ = broker.pid
    await broker.restart()
    assert broker.url == url
    assert broker.pid != pid
    async with connect(target, client_id="near", on_message=ignore) as near:
        assert await near.publish("a", b"b") in (0, 0x10)


async def test_it_listens_on_loopback_only_and_is_gone_afterwards(tmp_path: Path) -> None:
    async with start_broker(tmp_path) as broker:
        target = Broker.from_url(broker.url)
        assert target.host == "127.0.0.1"
        with socket.socket() as elsewhere:
            elsewhere.settimeout(5)
            assert elsewhere.connect_ex((OTHER_ADDRESS, target.port)) == errno.ECONNREFUSED
        pid = broker.pid
    assert not is_listening(target.port)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize("name", [MOSQUITTO, IOTCORE])
def test_it_dies_with_its_parent(tmp_path: Path, name: str) -> None:
    script = textwrap.dedent(
        """
        import asyncio, sys
        from pathlib import Path
        from agent.drill.broker import BrokerError, start_broker
        async def main():
            try:
                async with start_broker(Path(sys.argv[1]), sys.argv[2]) as broker:
                    print(broker.url, flush=True)
                    await asyncio.Event().wait()
            except BrokerError:
                print("absent", flush=True)
        asyncio.run(main())
        """
    )
    command = [sys.executable, "-c", script, str(tmp_path), name]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        line = parent.stdout.readline().strip()
        if line == "absent":
            pytest.skip(f"{name} is not installed")
        port = Broker.from_url(line).port
        assert is_listening(port)
        parent.send_signal(signal.SIGKILL)
    wait_until(lambda: not is_listening(port), "the broker has died with its parent")


async def test_mosquitto_comes_first_and_lacks_nothing(tmp_path: Path) -> None:
    if broker_module.find_mosquitto() is None:
        pytest.skip("mosquitto is not installed")
    async with start_broker(tmp_path) as broker:
        assert (broker.name, broker.lacks) == (MOSQUITTO, "")


async def test_the_embedded_one_says_what_it_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if importlib.util.find_spec(IOTCORE) is None:
        pytest.skip("iotcore is not installed")
    monkeypatch.setattr(broker_module, "find_mosquitto", lambda: None)
    async with start_broker(tmp_path) as broker:
        assert broker.name == IOTCORE
        assert "\n" not in broker.lacks
        assert "forgets sessions and retained messages" in broker.lacks


def test_no_broker_at_all_is_said_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker_module, "find_mosquitto", lambda: None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(BrokerError, match=r"apt-get install mosquitto.*--broker URL"):
        broker_module.choose()
    with pytest.raises(BrokerError, match="one of mosquitto, iotcore, but read 'rabbit'"):
        broker_module.choose("rabbit")


async def test_what_it_wrote_before_it_ended_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if broker_module.find_mosquitto() is None:
        pytest.skip("mosquitto is not installed")
    monkeypatch.setattr(broker_module, "_MOSQUITTO_CONF", "no_such_setting {port}\n")
    with pytest.raises(BrokerError, match=r"mosquitto ended at its start: .*no_such_setting"):
        async with start_broker(tmp_path, MOSQUITTO):
            pass


async def test_an_orderly_farewell_sends_no_will(broker: LocalBroker) -> None:
    """An orderly farewell must not be announced as a lost link."""
    heard: list[Message] = []
    target = Broker.from_url(broker.url)
    async with connect(target, client_id="far", on_message=heard.append) as far:
        await far.subscribe(["link/#"])
        will = Will(topic="link/a", payload=b"lost")
        async with connect(target, client_id="unit", on_message=ignore, will=will) as unit:
            await unit.publish("link/a", b"closed", retain=True)
        await far.publish("link/z", b"end")
        await until(lambda: bool(heard) and heard[-1].topic == "link/z", "the end is heard")
    assert [message.payload for message in heard] == [b"closed", b"end"]
