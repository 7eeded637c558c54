"""A vehicle with its own broker, a kit that carries a chlorine cell, and a center: all real."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec

from agent import topics
from agent.center.receiver import Receiver, Record
from agent.messages import Class
from agent.mqtt import Broker, Connection, Message, connect
from agent.store import Store
from drivers.sim import winsen
from drivers.sim.line import Line
from tests.agent.agent_process import AgentProcess
from tests.mosquitto import Mosquitto
from tests.waiting import until

VEHICLE, KIT = "ex-cv-01", "ex-kit-01"
ROOT = "outpost-exercise/v1/hubei"
PATIENT_S = 60.0


def uplink(name: str, port: int, *keys: str) -> str:
    lines = (
        "[[uplink]]", f'name = "{name}"', 'host = "127.0.0.1"', f"port = {port}", "tls = false",
        "keepalive_s = 2", *keys,
    )  # fmt: skip
    return "\n".join(lines) + "\n"


def vehicle_tables(board: int, center: int, *keys: str) -> str:
    relay = "[relay]\nenabled = true\n" + "".join(f"{key}\n" for key in keys)
    return uplink("board", board, "local = true") + uplink("center", center) + relay


class Headquarters:
    """A center that hears everything, and keeps count of each unit."""

    def __init__(self) -> None:
        self.receiver = Receiver()
        self.records: list[Record] = []
        self.copies: list[tuple[str, str]] = []
        """(unit, path) of each message."""
        self.states: dict[str, Any] = {}
        self.others: list[Message] = []
        self.connection: Connection | None = None

    def hear(self, message: Message) -> None:
        topic = topics.parse(message.topic)
        path = "/".join(topic.path)
        self.copies.append((topic.unit, path))
        if topic.path[0] in ("status", "link") or path == "alarms/active":
            self.states[f"{topic.unit}/{path}"] = msgspec.json.decode(message.payload)
        if topic.path[0] in ("cmd", "rtc", "still", "rollups") or topic.path[:-1] == ("media",):
            self.others.append(message)
        else:
            self.records += self.receiver.feed(topic, message.payload)

    def of(self, unit: str, klass: Class | None = None) -> list[Record]:
        return [r for r in self.records if r.unit == unit and klass in (None, r.klass)]

    def numbers(self, unit: str) -> set[tuple[str, int]]:
        return {(r.epoch, r.seq) for r in self.of(unit)}

    def command(self, unit: str, verb: str, args: dict[str, Any] | None = None, **over: Any) -> str:
        """Its id."""
        assert self.connection is not None
        now = time.time_ns() // 1_000_000
        body = {
            "id": f"c{time.time_ns()}", "by": "duty officer", "issued": now, "mark": "exercise",
            "args": args or {}, **over,
        }  # fmt: skip
        self.connection.publish(f"{ROOT}/{unit}/cmd/{verb}", msgspec.json.encode(body))
        return str(body["id"])

    def acks(self, unit: str) -> dict[str, dict[str, Any]]:
        return {r.body["id"]: r.body for r in self.of(unit, Class.ACK)}

    async def ack(self, unit: str, name: str) -> dict[str, Any]:
        await until(lambda: name in self.acks(unit), f"{unit} acknowledges {name}", PATIENT_S)
        return self.acks(unit)[name]


@contextlib.asynccontextmanager
async def headquarters(port: int, name: str = "hq") -> AsyncIterator[Headquarters]:
    made = Headquarters()
    broker = Broker(host="127.0.0.1", port=port)
    async with connect(broker, client_id=name, on_message=made.hear) as connection:
        await connection.subscribe([f"{ROOT}/#"])
        made.connection = connection
        yield made


class Fleet:
    def __init__(self, folder: Path, program: str, line: Line, *keys: str) -> None:
        self.board = _broker(folder / "board", program)
        self.center = _broker(folder / "center", program)
        tables = vehicle_tables(self.board.port, self.center.port, *keys)
        self.vehicle = AgentProcess(folder / "vehicle", tables, unit=VEHICLE)
        source = (
            f'[[source]]\nname = "gas"\ndriver = "winsen"\nport = "{line.link}"\ngas = "cl2"\n'
            "silent_s = 5.0\n"
        )
        hosts = f'hosts = ["127.0.0.1:{self.center.port}"]'
        verbs = 'verbs = ["alarm.ack", "resend", "sos.confirm"]'
        kit = source + uplink("up", self.board.port, hosts, verbs)
        self.kit = AgentProcess(folder / "kit", kit, unit=KIT)
        self.cell = winsen.Twin(line, gas="cl2", period_s=0.05)

    async def begin(self) -> None:
        """Both agents, the kit's when there is somebody to relay it."""
        self.vehicle.start()
        await self.vehicle.says("relay: listening")
        self.kit.start()

    async def made(self) -> dict[str, int]:
        """What the kit has committed, by epoch."""
        return dict((await self.kit.status()).get("made", {}))

    async def all_here(self, hq: Headquarters, what: str) -> None:
        """Every number that the kit has stored is at the center."""
        assert await self.kit.stop() == 0
        async with Store.open(self.kit.store) as store:
            epochs = list(store.epochs.values())
            want = {(e.name, seq) for e in epochs for seq in range(1, e.last + 1)}
        assert want

        def lacking() -> set[tuple[str, int]]:
            return want - hq.numbers(KIT)

        await until(lambda: not lacking(), f"{what} ({len(want)} numbers)", PATIENT_S)


def _broker(folder: Path, program: str) -> Mosquitto:
    folder.mkdir(parents=True)
    return Mosquitto.in_folder(program, folder)


@contextlib.asynccontextmanager
async def fleet(folder: Path, program: str, *keys: str) -> AsyncIterator[Fleet]:
    """Both brokers and both agents run; `keys`: lines of `[relay]`."""
    async with Line(folder / "gas") as line:
        made = Fleet(folder, program, line, *keys)
        made.cell.set(cl2=0.2)
        playing = asyncio.create_task(made.cell.run())
        made.board.start()
        made.center.start()
        try:
            yield made
        finally:
            playing.cancel()
            await asyncio.wait([playing])
            for agent in (made.vehicle, made.kit):
                if agent.process is not None:
                    agent.process.kill()
                    await asyncio.to_thread(agent.process.wait)
            made.board.kill()
            made.center.kill()
    for agent in (made.vehicle, made.kit):
        assert "Traceback" not in agent.said, agent.said
        assert "Warning" not in agent.said, agent.said
