"""The agent's own parsers of what others say: topics, payloads, offers, commands, files."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec

from agent import config, rtc, topics
from agent.center import traffic
from agent.center.receiver import Receiver
from agent.clock import UnitClock
from agent.media.wire import MediaError
from agent.messages import Mark
from agent.mqtt import Message
from agent.settings import tables
from agent.settings.toml import ConfigError, Document
from agent.settings.voice import VoiceConfig
from agent.watching import Watching
from drivers import modbus, recording, rfc2217

from . import judge
from .targets import Parser, Target

UNIT = "cv-01"
ROOT = f"outpost/v1/hubei/{UNIT}"
HEAD = {"unit": UNIT, "epoch": "1795519200000-9f3a6c", "mark": "actual"}
ENVELOPE = {"seq": 2, "prev": 1, "t": 1_795_519_261_204, "clock": "gnss", "late": False}
READING = {"source": "gas1", "quantity": "cl2", "value": 1.4, "unit": "ppm", "quality": "good"}
SETTINGS = Path(__file__).parents[2] / "config"


def _line(path: str, body: dict[str, Any]) -> bytes:
    return f"{ROOT}/{path} ".encode() + msgspec.json.encode(body)


def lines() -> list[bytes]:
    """`topic payload`, one of each kind that matters."""
    status = {
        **HEAD, "org": "hubei", "name": {"zh": "指挥车", "en": "Command vehicle"},
        "profile": "vehicle", "software": "0.1.0", "version": 1, "t": 1, "clock": "gnss",
        "state": "running", "epochs": [{"epoch": HEAD["epoch"], "last": 7}],
    }  # fmt: skip
    offer = {"sdp": "v=0\r\n", "camera": "front", "by": "center", "mark": "actual", "issued": 1}
    return [
        _line("readings", {**HEAD, "records": [ENVELOPE | READING]}),
        _line("readings", {**HEAD, "records": [{**ENVELOPE, "seq": 9, "prev": 8, **READING}]}),
        _line("status", status),
        _line("link/center", {"unit": UNIT, "path": "center", "state": "up", "t": 1}),
        _line("cmd/resend", {"id": "1", "by": "center", "mark": "actual", "issued": 1, "args": {}}),
        _line("rtc/s1/offer", offer),
        _line("rtc/s1/close", {}),
        b"outpost-exercise/v1/hubei/drill/state {}",
    ]


DEEP = b"[" * 3000 + b"]" * 3000
"""More than Python's stack has room for; a few kilobytes that anybody may publish."""


def deep_lines() -> list[bytes]:
    """Payloads of all kinds with a member that nobody asked for."""
    found = []
    for line in lines():
        head, _, last = line.rpartition(b"}")
        comma = b"" if head.endswith(b"{") else b","
        found.append(head + comma + b'"x":' + DEEP + b"}" + last)
    record = msgspec.json.encode(ENVELOPE | READING)[:-1] + b',"x":' + DEEP + b"}"
    batch = msgspec.json.encode(HEAD)[:-1] + b',"records":[' + record + b"]}"
    return [*found, *(f"{ROOT}/{kind} ".encode() + batch for kind in ("readings", "media"))]


def parse_topic(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    parsed = topics.parse(text)
    again = topics.ROOT_EXERCISE if parsed.exercise else topics.ROOT
    if "/".join((again, parsed.org, parsed.unit, *parsed.path)) != text:
        raise judge.FuzzError(f"{text!r} was taken apart as {parsed}")


class Counting:
    """One receiver for all inputs, which must not grow beyond what its ceilings allow."""

    def __init__(self) -> None:
        self._receiver = Receiver()
        self._fed = 0

    def __call__(self, data: bytes) -> None:
        self._fed += 1
        if self._fed % 200 == 0:
            self._receiver = Receiver()
        topic, _, payload = data.partition(b" ")
        parsed = topics.parse(topic.decode("utf-8", "replace"))
        for record in self._receiver.feed(parsed, payload):
            if self._receiver.feed(parsed, payload):
                raise judge.FuzzError(f"{record} was given twice")
        for unit in self._receiver.units():
            counts = self._receiver.counts(unit)
            if min(counts.received, counts.repeated, counts.missing) < 0:
                raise judge.FuzzError(f"{unit} has {counts}")
            self._receiver.gaps(unit)


class OnFile:
    """Something that reads a file, on one file that is written anew."""

    def __init__(self, read: Callable[[Path], object], suffix: str = "") -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="outpost-fuzz-")
        self._path = Path(self._folder.name) / f"input{suffix}"
        self._read = read

    def __call__(self, data: bytes) -> None:
        self._path.write_bytes(data)
        self._read(self._path)


def read_recording(path: Path) -> None:
    recording.notes(path)
    for chunk in recording.read(path):
        if not chunk.at >= 0:
            raise judge.FuzzError(f"a time that is none: {chunk}")


def read_configuration(data: bytes) -> None:
    config.parse(Document("agent.toml", data.decode("utf-8", "replace")))


class Offers:
    """A unit's signalling with a camera process that refuses whatever it is asked."""

    def __init__(self) -> None:
        unit = SimpleNamespace(mark=Mark.ACTUAL, id=UNIT)
        group = SimpleNamespace(create_task=self._at_once)
        media = SimpleNamespace(offer=self._refuse, close=lambda session: None)
        uplink = tables.UplinkConfig(name="center", host="broker", verbs=(rtc.VERB,))
        self._uplink = SimpleNamespace(config=uplink, publish=self._publish)
        self._said = 0

        def event(*_: object, **__: object) -> None: ...

        watching = Watching(media, VoiceConfig(), event)  # type: ignore[arg-type]
        self._signalling = rtc.Signalling(
            unit, UnitClock(), media, watching, group, event  # type: ignore[arg-type]
        )  # fmt: skip

    def __call__(self, data: bytes) -> None:
        topic = topics.Topic(False, "hubei", UNIT, ("rtc", "s1", "offer"))
        before = self._said
        message = Message(f"{ROOT}/rtc/s1/offer", data, False)
        self._signalling.handle(topic, message, self._uplink)
        if self._said != before + 1:
            raise judge.FuzzError(f"{data[:60]!r} was not answered once")

    def _publish(self, path: str, payload: bytes) -> None:
        self._said += 1
        if not msgspec.json.decode(payload)["code"]:
            raise judge.FuzzError(f"an offer was taken by nobody: {payload!r}")

    async def _refuse(self, session: str, camera: str, sdp: str, *, no_voice: str) -> str:
        raise MediaError("unavailable", "no camera here")

    def _at_once(self, coroutine: Coroutine[Any, Any, None], name: str) -> Ended:
        # What it awaits never waits, so that one step runs it to its end.
        try:
            coroutine.send(None)
        except StopIteration:
            pass
        else:
            raise judge.FuzzError(f"{name} waits for something")
        return Ended()


class Ended:
    """A task that has ended."""

    def add_done_callback(self, call: Callable[[Ended], None]) -> None:
        call(self)


class ModbusTcp:
    """Answers over TCP to a question that was asked; the header has no check: all is possible."""

    def __init__(self) -> None:
        settings = modbus.Config(transport="tcp", addresses=(2,)).check()
        self._decoder = modbus.Decoder(settings)

    def __call__(self, data: bytes) -> None:
        read = self._decoder.map.read[0]
        question = self._decoder.ask(2, read)
        # What answers names the transaction, which counts up: the input's own would never fit.
        judge.values(self._decoder.feed(question[:2] + data, 1.0))
        for start in range(0, len(data), 7):
            judge.values(self._decoder.feed(data[start : start + 7], 1.0))
        judge.bounded(self._decoder, 0)


MODBUS_ANSWER = bytes.fromhex(
    "0000 0017 02 03 14 4400 00D1 00C3 00E6 012C 0001 0155 02DF 0000 028C"
)


def negotiate(data: bytes) -> None:
    """Telnet's and RFC 2217's words of a serial server."""
    client = rfc2217.Telnet(baudrate=9600, bytesize=8, parity="N", stopbits=1)
    size = data[0] + 1 if data else 1
    sent = b"".join(client.feed(data[at : at + size])[1] for at in range(0, len(data), size))
    if len(sent) > 2048:
        raise judge.FuzzError(f"{len(data)} bytes made it answer {len(sent)}")


def traffic_files() -> list[bytes]:
    json_lines = b'{"topic": "outpost/v1/a/b/status", "payload": {}}', b'{"topic": ' + DEEP + b"}"
    return [*lines(), *deep_lines(), b"\n".join(lines()), *json_lines]


def offers() -> list[bytes]:
    return [line.partition(b" ")[2] for line in lines() + deep_lines() if b"/offer" in line]


def configurations() -> list[bytes]:
    return [(SETTINGS / "agent.toml").read_bytes()[:20_000], b"x = " + DEEP]


def _captures() -> list[bytes]:
    folder = Path(__file__).parents[1] / "captures"
    return [path.read_bytes()[:4000] for path in sorted(folder.glob("*.cap"))]


PARSERS: dict[str, Callable[[], Target]] = {
    "topic": lambda: Parser(
        "topic", parse_topic, [line.partition(b" ")[0] for line in lines()], (ValueError,)
    ),
    "receiver": lambda: Parser("receiver", Counting(), lines() + deep_lines(), (ValueError,)),
    "traffic": lambda: Parser("traffic", OnFile(traffic.check_file), traffic_files()),
    "toml": lambda: Parser("toml", read_configuration, configurations(), (ConfigError,)),
    "offer": lambda: Parser("offer", Offers(), offers()),
    "recording": lambda: Parser(
        "recording", OnFile(read_recording), _captures(), (recording.RecordingError,)
    ),
    "modbus_tcp": lambda: Parser("modbus_tcp", ModbusTcp(), [MODBUS_ANSWER]),
    "rfc2217": lambda: Parser(
        "rfc2217", negotiate, [bytes.fromhex("20FFFB2CFFFD2CFFFA2C6500002580FFF0")]
    ),
}  # fmt: skip
"""Name -> how to make the target."""
