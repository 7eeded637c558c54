"""Modbus frames: questions out, the answer to the last one in.  Pure.

`Rtu`: Modbus over serial line 1.02 (also through a raw serial server).  `Mbap`: Modbus Messaging on
TCP/IP 1.0b.  An answer is found by its address, its length and its check; never by pauses.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from drivers import Counters
from drivers.checksum import crc16_modbus
from drivers.modbus_map import Read

EXCEPTION = 0x80
_MBAP = 7
"""Transaction, protocol, length (two bytes each), unit."""
_MBAP_LENGTHS = range(3, 255)
"""What the length of an answer can say: unit, function and at least one byte."""


def question(address: int, read: Read) -> bytes:
    """The eight bytes that ask `address` for registers on a serial line."""
    body = bytes((address,)) + _ask(read)
    return body + crc16_modbus(body).to_bytes(2, "little")


def _ask(read: Read) -> bytes:
    return bytes((read.function,)) + read.start.to_bytes(2) + read.count.to_bytes(2)


def _code(byte: int) -> int:
    """Of an exception; 0, which none has, must not pass for an answer with registers."""
    return byte or 0xFF


class Answer(msgspec.Struct, frozen=True):
    """A whole, checked answer."""

    frame: bytes
    """As it came."""
    exception: int
    """0 where it carries registers."""
    data: bytes
    """Of the registers."""

    def registers(self, read: Read) -> dict[tuple[int, int], int]:
        """(function, register) -> 16 bits."""
        return {
            (read.function, read.start + i): self.data[2 * i] << 8 | self.data[2 * i + 1]
            for i in range(read.count)
        }


class Wire(Protocol):
    """One of the two forms of Modbus."""

    def ask(self, address: int, read: Read) -> bytes:
        """The question to write; whatever came before it is forgotten."""

    def feed(self, data: bytes) -> Answer | None:
        """The answer to the question, as soon as it is whole; what follows it is dropped."""


class Rtu:
    """A serial line: address, function, data, CRC."""

    def __init__(self, counters: Counters) -> None:
        self.counters = counters
        self._asked: tuple[int, Read] | None = None
        self._echo = b""
        self._waiting = bytearray()

    def ask(self, address: int, read: Read) -> bytes:
        self._drop(len(self._waiting))
        self._asked = (address, read)
        self._echo = question(address, read)
        return self._echo

    def feed(self, data: bytes) -> Answer | None:
        self._waiting += data
        # A two-wire adapter hears its own question.
        if self._echo and self._waiting.startswith(self._echo):
            del self._waiting[: len(self._echo)]
            self._echo = b""
        elif self._echo.startswith(self._waiting):
            return None
        answer = self._find()
        if answer is not None:
            self._drop(len(self._waiting))
        return answer

    def _find(self) -> Answer | None:
        """The first whole answer; what cannot begin one is dropped, a byte at a time."""
        if self._asked is None:
            return None
        address, read = self._asked
        hopeful: int | None = None
        start = 0
        while (start := self._waiting.find(address, start)) >= 0:
            length = _length(self._waiting[start : start + 3], read)
            frame = bytes(self._waiting[start : start + length])
            if length and len(frame) < length:
                hopeful = start if hopeful is None else hopeful
            elif length and crc16_modbus(frame[:-2]) == int.from_bytes(frame[-2:], "little"):
                self._drop(start)
                del self._waiting[:length]
                exception = _code(frame[2]) if frame[1] & EXCEPTION else 0
                return Answer(frame, exception, frame[3:-2])
            elif length and hopeful is None:
                # Dropped, so that it is counted once.
                self.counters.bad_checksums += 1
                self._drop(start + 1)
                start = -1
            start += 1
        self._drop(len(self._waiting) if hopeful is None else hopeful)
        return None

    def _drop(self, count: int) -> None:
        self.counters.bytes_dropped += count
        del self._waiting[:count]


def _length(head: bytearray, read: Read) -> int:
    """Bytes of the answer that begins with `head`; 0 where none can begin so."""
    if len(head) > 1 and head[1] == read.function | EXCEPTION:
        return 5
    if len(head) > 1 and head[1] != read.function:
        return 0
    if len(head) > 2 and head[2] != 2 * read.count:
        return 0
    return 5 + 2 * read.count


class Mbap:
    """A connection: header, function, data.  It has no check of its own, TCP's must do; an answer
    is known by the number of its question, so that a late one is never taken for another's."""

    def __init__(self, counters: Counters) -> None:
        self.counters = counters
        self._asked: tuple[int, Read] | None = None
        self._transaction = 0
        self._waiting = bytearray()

    def ask(self, address: int, read: Read) -> bytes:
        self._drop(len(self._waiting))
        self._asked = (address, read)
        self._transaction = self._transaction % 0xFFFF + 1
        body = bytes((address,)) + _ask(read)
        return self._transaction.to_bytes(2) + bytes(2) + len(body).to_bytes(2) + body

    def feed(self, data: bytes) -> Answer | None:
        self._waiting += data
        while len(self._waiting) >= _MBAP:
            protocol = int.from_bytes(self._waiting[2:4])
            length = int.from_bytes(self._waiting[4:6])
            if protocol or length not in _MBAP_LENGTHS:
                self._drop(1)
                continue
            if len(self._waiting) < _MBAP - 1 + length:
                return None
            frame = bytes(self._waiting[: _MBAP - 1 + length])
            answer = self._judge(frame)
            if answer is not None:
                del self._waiting[: len(frame)]
                self._drop(len(self._waiting))
                return answer
            self._drop(len(frame))
        return None

    def _judge(self, frame: bytes) -> Answer | None:
        """None: an answer to another question, or none at all."""
        if self._asked is None:
            return None
        address, read = self._asked
        if int.from_bytes(frame[:2]) != self._transaction or frame[6] != address:
            return None
        function, body = frame[7], frame[8:]
        if function == read.function | EXCEPTION and len(body) == 1:
            return Answer(frame, _code(body[0]), b"")
        if function != read.function or body[0] != 2 * read.count or len(body) != 1 + body[0]:
            return None
        return Answer(frame, 0, body[1:])

    def _drop(self, count: int) -> None:
        self.counters.bytes_dropped += count
        del self._waiting[:count]
