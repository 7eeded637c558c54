"""One unit of a drill: its instruments' twins on ptys, and the configuration of its agent.

The agent is an ordinary one; all that is make-believe is behind its wires.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import shutil
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from agent.drill import voice
from agent.drill.scenario import Instrument, Scenario, UnitSpec
from agent.drill.world import World
from agent.settings.authority import DEFAULT_VERBS
from drivers.sim import modbus, nmea, panel, winsen
from drivers.sim.line import Fault, Line

UPLINK = "center"
DRAIN_S = 1.0
"""An interrupted drill is gone within 3 s."""
KEEPALIVE_S = 5
"""A link that hangs for 30 s is to be noticed."""
SOS_PIN, ACK_PIN, LAMP_PIN, BUZZER_PIN, LIVE_PIN = 17, 27, 22, 23, 24
SOS_HOLD_S = 3.0
SPEAKS = "espeak-ng"
"""Without it the lamp alone tells that somebody listens."""
NAMED_BY_HEAD = frozenset({"co", "co2", "combustible", "h2s", "nh3", "ph3", "so2", "o2"})
"""Gases that a six-in-one head's registers tell; the others the configuration must name."""

Twin = nmea.Twin | winsen.Twin | modbus.Twin


class Kit:
    """`async with Kit(...)` plugs the lines in; `run` plays the twins until cancelled."""

    def __init__(self, spec: UnitSpec, scenario: Scenario, folder: Path) -> None:
        self.spec = spec
        self.folder = folder
        """Of this unit alone: `port/` for the lines, `state/` for the agent's store."""
        self._scenario = scenario
        self._lines: dict[str, Line] = {}
        self._twins: dict[str, Twin] = {}
        self._panel: panel.Twin | None = None
        self._stack = AsyncExitStack()

    @property
    def store(self) -> Path:
        """The agent's `[store] dir`, where its control socket is."""
        return self.folder / "state"

    @property
    def config(self) -> Path:
        return self.folder / "agent.toml"

    @property
    def _password(self) -> Path:
        return self.folder / "password"

    @property
    def _group_key(self) -> Path:
        """Of all units of this drill: those of another are no neighbours."""
        return self.folder.parent / "neighbours.key"

    @property
    def microphone(self) -> Path:
        """What it hears, over and over."""
        return self.folder / "microphone.wav"

    @property
    def speaker(self) -> Path:
        """What was last said in it."""
        return self.folder / "speaker.wav"

    @property
    def spoken(self) -> Path:
        """Each sentence that the unit says aloud."""
        return self.folder / "spoken"

    @property
    def log(self) -> Path:
        return self.folder / "agent.log"

    async def __aenter__(self) -> Self:
        (self.folder / "port").mkdir(parents=True, exist_ok=True)
        self.store.mkdir(exist_ok=True)
        async with AsyncExitStack() as stack:
            for instrument in self.spec.instrument:
                line = await stack.enter_async_context(Line(self._port(instrument.name)))
                self._lines[instrument.name] = line
                self._twins[instrument.name] = make_twin(instrument, line)
            if self.spec.panel:
                line = await stack.enter_async_context(Line(self._port("panel.pins")))
                self._panel = panel.Twin(line)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    async def run(self) -> None:
        """Play all twins until cancelled."""
        async with asyncio.TaskGroup() as group:
            for name, twin in self._twins.items():
                group.create_task(twin.run(), name=f"twin[{self.spec.id}/{name}]")
            if self._panel is not None:
                group.create_task(self._panel.run(), name=f"twin[{self.spec.id}/panel]")

    def feel(self, world: World) -> None:
        """Let the twins feel the world as it is now."""
        place = world.place(self.spec.id)
        for instrument in self.spec.instrument:
            twin = self._twins[instrument.name]
            if isinstance(twin, nmea.Twin):
                twin.set(
                    lat=place.lat, lon=place.lon, alt=place.alt_m,
                    speed=place.speed_m_s, track=place.track_deg,
                )  # fmt: skip
            else:
                twin.set(**world.felt(self.spec.id, instrument.name))

    def inject(self, instrument: str, fault: Fault, count: int = 1) -> None:
        """Bring a fault about on a line."""
        self._lines[instrument].inject(fault, count)

    def restore(self) -> None:
        """Lift every fault of every line."""
        for line in self._lines.values():
            line.inject(Fault.RESTORE)

    async def press_sos(self, hold_s: float | None) -> None:
        """Hold the SOS button; by default a little longer than it takes."""
        assert self._panel is not None
        await self._panel.press(SOS_PIN, SOS_HOLD_S + 0.5 if hold_s is None else hold_s)

    async def press_ack(self, hold_s: float | None) -> None:
        assert self._panel is not None
        await self._panel.press(ACK_PIN, 0.2 if hold_s is None else hold_s)

    def write_config(
        self, link_port: int, *, video: bool, username: str = "", password: str = ""
    ) -> None:
        """Write the agent's configuration; its broker is at `link_port` of loopback."""
        text = self.make_config(link_port, video=video, username=username)
        self.config.write_text(text, encoding="utf-8")
        if self._talks(video):
            voice.write(self.microphone)
            self.spoken.mkdir(exist_ok=True)
        self._password.touch(mode=0o600)
        self._password.write_text(password, encoding="utf-8")
        if not self._group_key.exists():
            self._group_key.touch(mode=0o600)
            self._group_key.write_text(secrets.token_hex(16), encoding="utf-8")

    def make_config(self, link_port: int, *, video: bool, username: str = "") -> str:
        """The agent's configuration as TOML."""
        spec = self.spec
        login = {"username": username, "password_file": str(self._password)} if username else {}
        tables: list[tuple[str, dict[str, Any]]] = [
            ("[unit]", {
                "id": spec.id, "org": self._scenario.org, "profile": spec.profile,
                "mark": "exercise", "name": {"zh": spec.name.zh, "en": spec.name.en},
            }),
            ("[store]", {"dir": str(self.store), "shutdown_drain_s": DRAIN_S}),
            ("[log]", {"format": "human", "level": "info"}),
            *(("[[source]]", self._source(instrument)) for instrument in spec.instrument),
            ("[alarms]", {"limits": spec.limits}),
            # On loopback alone: neither does a drill reach units outside nor they it.
            ("[neighbours]", {
                "enabled": True, "key_file": str(self._group_key), "interfaces": ["lo"],
            }),
            ("[media]", {"enabled": video and bool(spec.camera or spec.voice)}),
            *(
                ("[[camera]]", {
                    "name": camera.name, "source": camera.source, "width": camera.width,
                    "height": camera.height, "fps": camera.fps,
                    "bitrate_kbit_s": camera.bitrate_kbit_s,
                })
                for camera in spec.camera
            ),
            ("[[uplink]]", {
                "name": UPLINK, "host": "127.0.0.1", "port": link_port, "tls": False,
                "local": False, "keepalive_s": KEEPALIVE_S, **login,
                **({"verbs": [*DEFAULT_VERBS, "talk"]} if self._talks(video) else {}),
            }),
        ]  # fmt: skip
        if self._talks(video):
            tables += self._voice_tables()
        if spec.panel:
            tables.append(("[panel]", self._panel_table()))
        return "\n".join(_table(header, values) for header, values in tables)

    def _talks(self, video: bool) -> bool:
        """Where there are media at all."""
        return video and self.spec.voice

    def _port(self, name: str) -> Path:
        return self.folder / "port" / name

    def _source(self, instrument: Instrument) -> dict[str, Any]:
        table: dict[str, Any] = {
            "name": instrument.name,
            "driver": instrument.driver,
            "port": str(self._port(instrument.name)),
            "silent_s": 5.0 if instrument.map != "six_in_one" else 10.0,
        }
        if instrument.place:
            table["place"] = instrument.place
        if instrument.driver == "winsen":
            table |= {"module": instrument.module, "gas": instrument.gas}
        elif instrument.driver == "modbus":
            addresses = make_addresses(instrument)
            table |= {"map": instrument.map, "addresses": addresses}
            named = {
                str(address): gas
                for address, gas in zip(addresses, instrument.gases, strict=False)
                if gas not in NAMED_BY_HEAD
            }
            if named:
                table["gases"] = named
        return table

    def _voice_tables(self) -> list[tuple[str, dict[str, Any]]]:
        """In a drill a center may listen whenever it wants; lamp and words come first as ever."""
        sound = {
            "microphone": f"file:{self.microphone}", "speaker": f"file:{self.speaker}",
            "open_microphone": True,
        }  # fmt: skip
        tables: list[tuple[str, dict[str, Any]]] = [("[media.voice]", sound)]
        if shutil.which(SPEAKS):
            tables.append(("[person.speech]", {"enabled": True, "folder": str(self.spoken)}))
        return tables

    def _panel_table(self) -> dict[str, Any]:
        return {
            "factory": "mock",
            "wire": str(self._port("panel.pins")),
            "sos_pin": SOS_PIN,
            "ack_pin": ACK_PIN,
            "lamp_pin": LAMP_PIN,
            "buzzer_pin": BUZZER_PIN,
            "live_lamp_pin": LIVE_PIN,
            "sos_hold_s": SOS_HOLD_S,
        }


def make_addresses(instrument: Instrument) -> list[int]:
    """One a gas, from 1 on; a station is alone on its line."""
    return list(range(1, len(instrument.gases) + 1)) or [1]


def make_twin(instrument: Instrument, line: Line) -> Twin:
    """The other end of a `[[source]]`."""
    if instrument.driver == "nmea":
        return nmea.Twin(line)
    if instrument.driver == "winsen":
        return winsen.Twin(line, module=instrument.module, gas=instrument.gas)
    if instrument.map == "weather_station":
        return modbus.Twin(line, model="weather_station")
    addresses = make_addresses(instrument)
    return modbus.Twin(line, model="six_in_one", addresses=addresses, gases=instrument.gases)


def _table(header: str, values: Mapping[str, Any]) -> str:
    lines = [header, *(f"{key} = {_value(value)}" for key, value in values.items())]
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    """TOML of a value.  A basic string of TOML and a string of JSON are written alike."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_value(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
