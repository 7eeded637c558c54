"""Twin of Modbus TCP: the slaves of `modbus` behind a gateway, written from the specification.

Modbus Messaging on TCP/IP Implementation Guide 1.0b, 3.1: transaction (2), protocol 0 (2), length
of what follows (2), unit (1), then function and data without a CRC.  The gateway answers for a unit
that is absent: with exception 0B (`gateway="answers"`) or not at all (`"silent"`).
"""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

from drivers.sim.line import Line
from drivers.sim.modbus import Twin as RtuTwin
from drivers.sim.modbus import crc16

_HEADER = 7
_NO_RESPONSE = 0x0B


class Twin(RtuTwin):
    """Options as `modbus.Twin`; `line` is a `netline.NetLine`."""

    def __init__(
        self, line: Line, *, gateway: str = "answers", response_s: float = 0.01, **options: Any
    ) -> None:
        if gateway not in ("answers", "silent"):
            raise ValueError(f"gateway is {gateway!r}, expected answers or silent")
        super().__init__(line, response_s=response_s, **options)
        self._gateway = gateway

    async def run(self) -> None:
        """Answer until cancelled."""
        held = bytearray()
        while True:
            held += await self._line.read()
            while len(held) >= _HEADER:
                length = int.from_bytes(held[4:6], "big")
                if held[2:4] != b"\0\0" or not 2 <= length <= 254:
                    held.clear()
                    break
                if len(held) < 6 + length:
                    break
                request = bytes(held[: 6 + length])
                del held[: 6 + length]
                await self._serve(request)

    async def _serve(self, request: bytes) -> None:
        self.requests.append(request)
        pdu = request[6:]
        reply = self.reply(pdu + crc16(pdu))
        if reply is None and self._gateway == "answers":
            reply = bytes((pdu[0], pdu[1] | 0x80, _NO_RESPONSE)) + bytes(2)
        if reply is not None:
            body = reply[:-2]
            await asyncio.sleep(self._response_s)
            await self._line.write(request[:4] + len(body).to_bytes(2, "big") + body)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `python -m drivers.sim modbus_tcp`."""
    parser.add_argument("--model", choices=["six_in_one", "weather_station"], default="six_in_one")
    parser.add_argument("--address", type=int, nargs="+", default=[1])
    parser.add_argument("--gas", nargs="+", default=["co"], help="one per address")
    parser.add_argument("--gateway", choices=["answers", "silent"], default="answers")


def build(line: Line, options: argparse.Namespace) -> Twin:
    """The twin that the command line asks for.  ValueError: options that do not fit together."""
    return Twin(
        line,
        gateway=options.gateway,
        model=options.model,
        addresses=options.address,
        gases=options.gas,
    )
