"""What each broker lacks of what an uplink relies on: `python -m bench.brokers [TITLE...]` prints
the table of docs/brokers.md.  A broker that is not installed is left out, and named."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from agent import mqtt
from agent.drill.proxy import LinkState, Proxy
from agent.messages import Class
from agent.mqtt import Broker, Message, Will, connect
from bench.broker_kinds import KINDS, PATH, Kind, Running, running
from tests.agent.rig import UNIT, alarm, center, connected, settled, unit, uplink_config
from tests.waiting import until, wait_until

QUEUED = 200
BACKLOG = 20_000
WAIT_S = 5.0

Trial = Callable[[Running, Path], Awaitable[str]]


def at(port: int) -> Broker:
    return Broker(host="127.0.0.1", port=port, keepalive_s=2)


class Heard(list[Message]):
    """What a subscriber has been told."""


async def protocol(broker: Running, _: Path) -> str:
    async with connect(at(broker.port), client_id="p", on_message=lambda _: None) as link:
        return "5" if link.protocol == 5 else "3.1.1 only"


async def nobody(broker: Running, _: Path) -> str:
    async with connect(at(broker.port), client_id="n", on_message=lambda _: None) as link:
        return "yes" if await link.publish("nobody/here", b"x") == 0x10 else "**no**"


async def will(broker: Running, _: Path) -> str:
    heard = Heard()
    async with (
        Proxy("127.0.0.1", broker.port) as proxy,
        connect(at(broker.port), client_id="w1", on_message=heard.append) as link,
    ):
        await link.subscribe(["will/#"])
        dying = connect(
            at(proxy.port), client_id="w2", on_message=lambda _: None,
            will=Will(topic="will/x", payload=b"lost"),
        )  # fmt: skip
        await dying.__aenter__()
        proxy.set_state(LinkState.BLACKHOLE)
        since = time.monotonic()
        await until(lambda: bool(heard), "the will comes", 15.0)
        took = time.monotonic() - since
        proxy.set_state(LinkState.UP)
        await dying.__aexit__(None, None, None)
        return f"after {took:.1f} s"


async def retained(broker: Running, _: Path) -> str:
    async with connect(at(broker.port), client_id="r1", on_message=lambda _: None) as link:
        await link.publish("kept/x", b"1", retain=True)
        await link.publish("kept/x", b"2", retain=True)
    return await _late(broker, "kept/#", [b"2"])


async def _late(broker: Running, wanted: str, payloads: list[bytes]) -> str:
    heard = Heard()
    async with connect(at(broker.port), client_id="late", on_message=heard.append) as link:
        await link.subscribe([wanted])
        await until(lambda: bool(heard), "it comes", WAIT_S)
        return "yes" if [message.payload for message in heard] == payloads else "**wrong**"


async def retained_restart(broker: Running, _: Path) -> str:
    async with connect(at(broker.port), client_id="k1", on_message=lambda _: None) as link:
        await link.publish("stays/x", b"1", retain=True)
    await _saved(broker)
    return await _late(broker, "stays/#", [b"1"])


async def _saved(broker: Running) -> None:
    """kill -9 after the second in which Mosquitto saves."""
    since = time.monotonic()
    await until(lambda: time.monotonic() - since > 2.5, "it had time to save")
    broker.kill()
    await asyncio.to_thread(broker.start)


async def expiry(broker: Running, _: Path) -> str:
    async with connect(at(broker.port), client_id="e1", on_message=lambda _: None) as link:
        if link.protocol != 5:
            return "MQTT 5 only"
        await link.publish("brief/x", b"1", retain=True, expiry_s=1)
    since = time.monotonic()
    await until(lambda: time.monotonic() - since > 2.5, "it has expired")
    try:
        await _late(broker, "brief/#", [])
    except TimeoutError:
        return "yes"
    return "**no**"


async def takeover(broker: Running, _: Path) -> str:
    async with connect(at(broker.port), client_id="same", on_message=lambda _: None) as old:
        async with connect(at(broker.port), client_id="same", on_message=lambda _: None):
            await until(old.lost.done, "the old one goes", WAIT_S)
            return "yes"


async def response(broker: Running, _: Path) -> str:
    heard = Heard()
    async with connect(at(broker.port), client_id="c1", on_message=heard.append) as link:
        if link.protocol != 5:
            return "MQTT 5 only"
        await link.subscribe(["ask"])
        await link.publish("ask", b"?", correlation=b"7", response_topic="answer")
        await until(lambda: bool(heard), "it comes", WAIT_S)
        both = (heard[0].response_topic, heard[0].correlation) == ("answer", b"7")
        return "yes" if both else "**no**"


async def session(broker: Running, _: Path) -> str:
    return await asyncio.to_thread(_session, broker, "s", lambda: None)


async def session_restart(broker: Running, _: Path) -> str:
    def restart() -> None:
        since = time.monotonic()
        wait_until(lambda: time.monotonic() - since > 2.5, "it had time to save")
        broker.kill()
        broker.start()

    return await asyncio.to_thread(_session, broker, "t", restart)


def _session(broker: Running, name: str, meanwhile: Callable[[], None]) -> str:
    """MQTT 3.1.1's session, which all of them speak but the embedded: there MQTT 5's."""
    got: list[bytes] = []

    def client(name: str) -> paho.Client:
        five = broker.five_only
        made = paho.Client(
            CallbackAPIVersion.VERSION2, client_id=name,
            clean_session=None if five else False,
            protocol=MQTTProtocolVersion.MQTTv5 if five else MQTTProtocolVersion.MQTTv311,
        )  # fmt: skip
        made.on_message = lambda _client, _data, message: got.append(bytes(message.payload))
        more: dict[str, Any] = {}
        if five:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = 300
            more = {"clean_start": False, "properties": properties}
        made.connect("127.0.0.1", broker.port, **more)
        made.loop_start()
        wait_until(made.is_connected, "it is connected")
        return made

    away = client(f"{name}-away")
    subscribed: list[int] = []
    away.on_subscribe = lambda *_: subscribed.append(1)
    away.subscribe(f"{name}/queue", qos=1)
    wait_until(lambda: bool(subscribed), "it has subscribed")
    away.disconnect()
    away.loop_stop()
    sender = client(f"{name}-sender")
    for number in range(QUEUED):
        sender.publish(f"{name}/queue", str(number), qos=1).wait_for_publish(WAIT_S)
    sender.disconnect()
    sender.loop_stop()
    meanwhile()
    back = client(f"{name}-away")
    try:
        wait_until(lambda: len(got) >= QUEUED, "all come", WAIT_S)
    except TimeoutError:
        return f"**{len(got)} of {QUEUED}**"
    finally:
        back.disconnect()
        back.loop_stop()
    return "yes" if got == [str(n).encode() for n in range(QUEUED)] else "**not in order**"


# -- a unit and a center -------------------------------------------------------------------------


async def command(broker: Running, folder: Path) -> str:
    return await _commanded(broker, folder, "alarm.ack")


async def command_hyphen(broker: Running, folder: Path) -> str:
    return await _commanded(broker, folder, "alarm-ack")


async def _commanded(broker: Running, folder: Path, level: str) -> str:
    async with (
        center(broker.port) as heard,
        unit(folder / "store", uplink_config(broker.port)) as made,
    ):
        await connected(made)
        made.alarms([alarm()])
        heard.command(level, {"alarm": "none"})
        await until(lambda: bool(heard.of(Class.ACK)), "the ack comes", WAIT_S)
        return "yes"


async def cut(broker: Running, folder: Path) -> str:
    async with (
        Proxy("127.0.0.1", broker.port) as proxy,
        center(broker.port) as heard,
        unit(folder / "store", uplink_config(proxy.port, history_records_per_s=1e6)) as made,
    ):
        await connected(made)
        made.read(100)
        await settled(made)
        proxy.set_state(LinkState.DROPPED)
        await until(lambda: made.uplink.state == "down", "the link is lost")
        for _ in range(BACKLOG // 1000):
            made.read(1000)
            await until(lambda: made.outbox.epoch.last == made.outbox.made, "it is on disk")
        proxy.set_state(LinkState.UP)
        await connected(made)
        since = time.monotonic()
        await until(lambda: made.uplink.cursor.pending() == 0, "all is acknowledged", 60.0)
        rate = BACKLOG / (time.monotonic() - since)
        await until(lambda: heard.missing == 0, "none is missing", WAIT_S)
        return f"none lost, {rate / 1000:.1f} k records/s"


async def killed(broker: Running, folder: Path) -> str:
    """kill -9 in full flow; what it had acknowledged and lost is asked for again."""
    async with unit(folder / "store", uplink_config(broker.port)) as made:
        async with center(broker.port) as before:
            await connected(made)
            for _ in range(20):
                made.read(100)
                await asyncio.sleep(0)
            await until(lambda: len(before.records) > 200, "records flow")
            broker.kill()
            await until(lambda: made.uplink.state == "down", "the end is noticed")
            made.read(500)
        await asyncio.to_thread(broker.start)
        async with center(broker.port, name="again") as after:
            after.receiver = before.receiver
            await connected(made)
            await settled(made)
            made.uplink.publish_status()
            await until(
                lambda: "status" in after.retained
                and "pending" not in after.retained["status"], "the birth comes", WAIT_S
            )  # fmt: skip
            lost = after.missing
            for gap in after.receiver.gaps(UNIT.id):
                args = {"epoch": gap.epoch, "from": gap.first, "to": gap.last}
                after.command("resend", args, id=f"r{gap.first}")
            await until(lambda: after.missing == 0, "resend brings the rest", WAIT_S)
            return f"none lost ({lost} by `resend`)"


TRIALS: dict[str, Trial] = {
    "MQTT": protocol,
    "says that nobody is subscribed": nobody,
    "will when a radio falls silent (keep-alive 2 s)": will,
    "retained: set, replaced": retained,
    "retained message expires": expiry,
    "retained survives its kill -9": retained_restart,
    f"session away, {QUEUED} messages queued, in order": session,
    "the same over its kill -9": session_restart,
    "the same client id takes over": takeover,
    "response topic and correlation data": response,
    "a command with a point in its verb (`cmd/alarm.ack`)": command,
    "the same with a hyphen (`cmd/alarm-ack`)": command_hyphen,
    f"unit: link cut, {BACKLOG:,} records in the backlog": cut,
    "unit: broker killed with kill -9 in full flow": killed,
}


async def judge(kind: Kind) -> list[str]:
    """A cell for each trial, each in a broker of its own."""
    cells = []
    for title, trial in TRIALS.items():
        with tempfile.TemporaryDirectory() as name, running(kind, Path(name)) as broker:
            try:
                cells.append(await trial(broker, Path(name)))
            except (TimeoutError, mqtt.MqttError) as error:
                print(f"{kind.title}: {title}: {error}", file=sys.stderr)  # noqa: T201
                cells.append("**no**")
    return cells


def version(kind: Kind) -> str:
    said = subprocess.run(
        kind.version, capture_output=True, text=True, check=False, env={"PATH": PATH, "HOME": "/"}
    )
    found = re.search(r"\d+\.\d+\.\d+", said.stdout + said.stderr)
    return found.group() if found else "?"


def main() -> None:
    chosen = [kind for kind in KINDS if not sys.argv[1:] or kind.title in sys.argv[1:]]
    here = [kind for kind in chosen if kind.path]
    if missing := [kind.title for kind in chosen if not kind.path]:
        print(f"not installed: {', '.join(missing)}", file=sys.stderr)  # noqa: T201
    columns = [asyncio.run(judge(kind)) for kind in here]
    rows = [["", *(f"{kind.title} {version(kind)}" for kind in here)], ["---"] * (len(here) + 1)]
    rows += [[title, *cells] for title, *cells in zip(TRIALS, *columns, strict=True)]
    for row in rows:
        print(f"| {' | '.join(row)} |")  # noqa: T201


if __name__ == "__main__":
    main()
