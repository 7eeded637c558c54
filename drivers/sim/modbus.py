"""Twins of two Modbus RTU slaves: the six-in-one gas head and the all-in-one weather station.

Modbus over serial line 1.02 and the makers' register tables.  An address that no slave has is
silent (a bus with a dead head can be played), a broadcast is never answered, an illegal function,
register or count gets exception 01, 02, 03.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Protocol

import msgspec

from drivers.sim.line import Line

_READ_HOLDING, _WRITE_COILS, _WRITE_REGISTERS = 0x03, 0x0F, 0x10
_ILLEGAL_FUNCTION, _ILLEGAL_ADDRESS, _ILLEGAL_COUNT, _DEVICE_FAILURE = 1, 2, 3, 4
_COUNT_MAX = 125
_FRAME_MAX = 256
_REQUESTS_KEPT = 64

_PAUSE_S = 0.1
"""A request that stops for longer is given up; the standard's 3.5 characters mean nothing here."""


def crc16(data: bytes) -> bytes:
    """CRC-16/MODBUS as the two bytes that follow `data`: polynomial 0x8005 reflected, low first."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            odd = crc & 1
            crc >>= 1
            if odd:
                crc ^= 0xA001
    return bytes((crc % 256, crc // 256))


def _round(value: float) -> int:
    """Half away from zero, as a small controller does it."""
    return math.floor(abs(value) + 0.5) * (-1 if value < 0 else 1)


def _unsigned(value: float, ceiling: int = 0xFFFF) -> int:
    return min(max(_round(value), 0), ceiling)


def _signed(value: float) -> int:
    return min(max(_round(value), -0x8000), 0x7FFF) & 0xFFFF


class _Failure(Exception):
    """The slave answers with this exception code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"exception {code:02X}")
        self.code = code


class Unit(IntEnum):
    """Bits 15 to 12 of the head's register 0."""

    PPM = 0
    LEL = 2
    VOL = 4
    MG_M3 = 6
    PPB = 8
    CEL = 10


class State(IntEnum):
    """Low byte of the head's register 5."""

    WARMUP = 0x00
    NORMAL = 0x01
    DATA_ERROR = 0x02
    FAULT = 0x03
    PRE_ALARM = 0x04
    LOW_ALARM = 0x05
    HIGH_ALARM = 0x06
    ACCESS_FAULT = 0x07
    OVER_RANGE = 0x08
    CAL_DUE = 0x09
    TIMEOUT = 0x0A
    STEL_ALARM = 0x0B
    TWA_ALARM = 0x0C
    COMMS_FAULT = 0x0F


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One gas of the head, at one Modbus address."""

    quantity: str
    gas_id: int
    """Register 8, high byte; 0 where the maker's list gives none."""
    unit: Unit = Unit.PPM
    decimals: int = 0
    low: float
    high: float
    """Set points and full scale in `unit`; low is a deficiency for oxygen."""
    full_scale: float


CELLS = {
    cell.quantity: cell
    for cell in (
        Cell(quantity="co", gas_id=5, low=24, high=160, full_scale=1000),
        Cell(quantity="co2", gas_id=6, low=5000, high=30000, full_scale=50000),
        Cell(quantity="ch4", gas_id=11, unit=Unit.VOL, decimals=2, low=0.5, high=1, full_scale=5),
        Cell(quantity="combustible", gas_id=11, unit=Unit.LEL, low=10, high=20, full_scale=100),
        Cell(quantity="h2s", gas_id=52, decimals=1, low=10, high=20, full_scale=100),
        Cell(quantity="nh3", gas_id=63, low=25, high=50, full_scale=100),
        Cell(quantity="ph3", gas_id=69, decimals=2, low=0.3, high=1, full_scale=20),
        Cell(quantity="so2", gas_id=72, decimals=1, low=2, high=5, full_scale=20),
        Cell(
            quantity="o2", gas_id=0, unit=Unit.VOL, decimals=1, low=19.5, high=23.0, full_scale=30
        ),
        Cell(quantity="cl2", gas_id=0, decimals=1, low=0.5, high=1, full_scale=20),
        Cell(quantity="no2", gas_id=0, decimals=1, low=2, high=5, full_scale=20),
        Cell(quantity="hcn", gas_id=0, decimals=1, low=4.7, high=10, full_scale=50),
        Cell(quantity="hcl", gas_id=0, decimals=1, low=2, high=5, full_scale=20),
    )
}


class Slave(Protocol):
    """What a model puts behind one address."""

    first: int
    """Its lowest register; the others follow without a hole."""

    def registers(self) -> list[int | None]:
        """16-bit values now; None where the part behind a register is broken."""


class GasSlave:
    """One address of the six-in-one head: registers 0 to 9."""

    first = 0
    ADC = 0x0155
    """Register 6, the converter's live count: constant, as in the maker's examples."""

    def __init__(self, cell: Cell, values: Mapping[str, float | None]) -> None:
        self.cell = cell
        self.state: State | None = None
        self._values = values

    def registers(self) -> list[int | None]:
        cell, scale = self.cell, 10**self.cell.decimals
        full = _unsigned(cell.full_scale * scale)
        value = self._values[cell.quantity]
        temperature, humidity = self._values["temperature"], self._values["humidity"]
        return [
            cell.unit << 12 | cell.decimals * 4 << 8,
            0 if value is None else _unsigned(value * scale, full),
            _unsigned(cell.low * scale),
            _unsigned(cell.high * scale),
            full,
            self._now(value),
            self.ADC,
            0 if temperature is None else _unsigned(temperature * 10 + 500),
            cell.gas_id << 8,
            0 if humidity is None else _unsigned(humidity * 10),
        ]

    def _now(self, value: float | None) -> State:
        """The state that was set, or the one that the value brings about."""
        if self.state is not None:
            return self.state
        cell = self.cell
        if value is None:
            return State.FAULT
        if value > cell.full_scale:
            return State.OVER_RANGE
        if value >= cell.high:
            return State.HIGH_ALARM
        low = value <= cell.low if cell.quantity == "o2" else value >= cell.low
        return State.LOW_ALARM if low else State.NORMAL


class StationSlave:
    """The weather station: registers 500 to 515.

    `wind_decimals` (1 or 2) and `pressure_decimals` of kPa (1 or 2) differ between makers.  So does
    the tail: the `table` has 100 lx in 512, rain in 513, radiation in 514; the `example` reply
    that goes with it has 10 lx in 512, rain in 514, radiation in 515.
    """

    first = 500
    _BEAUFORT = (0.3, 1.6, 3.4, 5.5, 8.0, 10.8, 13.9, 17.2, 20.8, 24.5, 28.5, 32.7)

    def __init__(
        self,
        values: Mapping[str, float | None],
        wind_decimals: int,
        pressure_decimals: int,
        layout: str,
    ) -> None:
        if wind_decimals not in (1, 2) or pressure_decimals not in (1, 2):
            raise ValueError(
                f"decimals of wind and pressure are {wind_decimals} and {pressure_decimals}, "
                "expected 1 or 2"
            )
        if layout not in ("table", "example"):
            raise ValueError(f"layout is {layout!r}, expected table or example")
        self._values = values
        self._wind = 10**wind_decimals
        self._pressure = 10.0 ** (pressure_decimals - 1)
        self._layout = layout

    def registers(self) -> list[int | None]:
        speed, direction = self._values["wind_speed"], self._values["wind_direction"]
        lux = None if self._values["illuminance"] is None else self._scaled("illuminance", 1, 2**32)
        rain, radiation = self._scaled("rain", 10), self._scaled("radiation", 1)
        tail: tuple[int | None, ...]
        if self._layout == "table":
            tail = (self._scaled("illuminance", 0.01), rain, radiation, 0)
        else:
            tail = (self._scaled("illuminance", 0.1), 0, rain, radiation)
        temperature = self._values["temperature"]
        return [
            self._scaled("wind_speed", self._wind),
            None if speed is None else sum(speed >= edge for edge in self._BEAUFORT),
            None if direction is None else int((direction % 360 + 22.5) // 45) % 8,
            None if direction is None else _round(direction) % 360,
            self._scaled("humidity", 10),
            None if temperature is None else _signed(temperature * 10),
            self._scaled("noise", 10),
            self._scaled("pm2_5", 1),
            self._scaled("pm10", 1),
            self._scaled("pressure", self._pressure),
            None if lux is None else lux >> 16,
            None if lux is None else lux & 0xFFFF,
            *tail,
        ]

    def _scaled(self, name: str, scale: float, limit: int = 0x10000) -> int | None:
        value = self._values[name]
        return None if value is None else _unsigned(value * scale, limit - 1)


_AIR: dict[str, float | None] = {"temperature": 20.0, "humidity": 50.0}
_WEATHER: dict[str, float | None] = {
    "wind_speed": 0.0,
    "wind_direction": 0.0,
    **_AIR,
    "noise": 40.0,
    "pm2_5": 20.0,
    "pm10": 30.0,
    "pressure": 1013.0,
    "illuminance": 10000.0,
    "rain": 0.0,
    "radiation": 0.0,
}


class Twin:
    """A bus with one slave at each of `addresses`.

    `six_in_one`: `gases` names one cell per address (a name of CELLS, or a `Cell`).
    `weather_station`: each address is a station, all in the same weather.
    `set` takes the gases in the cell's unit; temperature Cel, humidity %RH, wind_speed m/s,
    wind_direction deg, noise dB, pm2_5 and pm10 ug/m3, pressure hPa, illuminance lx, rain mm,
    radiation W/m2.  None is a broken sensor: state 03 of the head, exception 04 of the station.
    """

    def __init__(
        self,
        line: Line,
        *,
        model: str = "six_in_one",
        addresses: Sequence[int] = (1,),
        gases: Sequence[str | Cell] = ("co",),
        wind_decimals: int = 1,
        pressure_decimals: int = 2,
        layout: str = "table",
        response_s: float = 0.02,
        echo: bool = False,
    ) -> None:
        _check_addresses(addresses)
        self._line = line
        self._response_s = response_s
        self._echo = echo
        self.slaves: dict[int, Slave] = {}
        self.requests: deque[bytes] = deque(maxlen=_REQUESTS_KEPT)
        """The last whole requests seen, whoever was asked: a driver must never have written."""
        self.cut_requests = 0
        """Given up because no more of them came."""
        match model:
            case "six_in_one":
                cells = _cells(gases, len(addresses))
                self._values = dict(_AIR)
                self._values.update(
                    {c.quantity: 20.9 if c.quantity == "o2" else 0.0 for c in cells}
                )
                for address, cell in zip(addresses, cells, strict=True):
                    self.slaves[address] = GasSlave(cell, self._values)
            case "weather_station":
                self._values = dict(_WEATHER)
                for address in addresses:
                    self.slaves[address] = StationSlave(
                        self._values, wind_decimals, pressure_decimals, layout
                    )
            case _:
                raise ValueError(
                    f"no Modbus model {model!r}, expected six_in_one or weather_station"
                )

    def set(self, **values: float | None) -> None:
        """What the sensors feel from now on.

        ValueError: a quantity that this model does not measure, or no finite number.
        """
        for name, value in values.items():
            if name not in self._values:
                raise ValueError(
                    f"this model does not measure {name!r}, only {', '.join(self._values)}"
                )
            if value is not None and not math.isfinite(value):
                raise ValueError(f"{name} is {value}, expected a finite number or None")
        self._values.update(values)

    def set_state(self, gas: str, state: State | None) -> None:
        """Hold a gas of the head in one state; None: the state follows the value again."""
        found = [
            slave
            for slave in self.slaves.values()
            if isinstance(slave, GasSlave) and slave.cell.quantity == gas
        ]
        if not found:
            raise ValueError(f"this model has no cell for {gas!r}")
        found[0].state = state

    def reply(self, request: bytes) -> bytes | None:
        """The answer to one whole request with a right CRC; None where the bus stays silent."""
        address, function = request[0], request[1]
        slave = self.slaves.get(address)
        if slave is None:
            return None
        try:
            body = bytes((address, function)) + _answer(slave, request)
        except _Failure as failure:
            body = bytes((address, function | 0x80, failure.code))
        return body + crc16(body)

    async def run(self) -> None:
        """Answer until cancelled."""
        held = bytearray()
        while True:
            try:
                async with asyncio.timeout(_PAUSE_S if held else None):
                    held += await self._line.read()
            except TimeoutError:
                self.cut_requests += 1
                held.clear()
            while (request := _next_request(held)) is not None:
                self.requests.append(request)
                if self._echo:
                    await self._line.write(request)
                reply = self.reply(request)
                if reply is not None:
                    await asyncio.sleep(self._response_s)
                    await self._line.write(reply)


def _check_addresses(addresses: Sequence[int]) -> None:
    if not addresses or len(set(addresses)) != len(addresses):
        raise ValueError(f"addresses are {list(addresses)}, expected at least one, each once")
    for address in addresses:
        if not 1 <= address <= 247:
            raise ValueError(f"address is {address}, expected 1 to 247")


def _cells(gases: Sequence[str | Cell], expected: int) -> list[Cell]:
    cells = []
    for gas in gases:
        if isinstance(gas, str) and gas not in CELLS:
            raise ValueError(f"no cell for {gas!r}, expected one of {', '.join(CELLS)}")
        cells.append(CELLS[gas] if isinstance(gas, str) else gas)
    if len(cells) != expected or len({cell.quantity for cell in cells}) != expected:
        raise ValueError(
            f"gases are {[cell.quantity for cell in cells]}, expected {expected}, each once: "
            "one per address"
        )
    return cells


def _next_request(held: bytearray) -> bytes | None:
    """Take the first whole request out of `held`, a byte at a time past what is none.

    A pty keeps no pauses to frame by, so a request is found by its length and CRC.
    """
    while len(held) >= 8:
        length = 8
        if held[1] in (_WRITE_COILS, _WRITE_REGISTERS) and 9 + held[6] <= _FRAME_MAX:
            length = 9 + held[6]
            if len(held) < length:
                return None
        request = bytes(held[:length])
        if crc16(request[:-2]) == request[-2:]:
            del held[:length]
            return request
        del held[0]
    return None


def _answer(slave: Slave, request: bytes) -> bytes:
    """Byte count and data of a reply to FC03; raises _Failure."""
    if request[1] != _READ_HOLDING:
        raise _Failure(_ILLEGAL_FUNCTION)
    start, count = int.from_bytes(request[2:4], "big"), int.from_bytes(request[4:6], "big")
    if not 1 <= count <= _COUNT_MAX:
        raise _Failure(_ILLEGAL_COUNT)
    registers = slave.registers()
    first = start - slave.first
    if first < 0 or first + count > len(registers):
        raise _Failure(_ILLEGAL_ADDRESS)
    wanted = registers[first : first + count]
    data = bytearray((2 * count,))
    for value in wanted:
        if value is None:
            raise _Failure(_DEVICE_FAILURE)
        data += value.to_bytes(2, "big")
    return bytes(data)
