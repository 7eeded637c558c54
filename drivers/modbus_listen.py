"""A Modbus line as somebody hears it who does not ask: a recording, or a bus with another master.

An answer does not say which registers it carries.  It is taken for the first read of the map that
has its unit, function and length and is still due; questions in the recording are passed over.
"""

from __future__ import annotations

from drivers import Fix, Sample
from drivers.checksum import crc16_modbus
from drivers.modbus import Config, Counters, Decoder
from drivers.modbus_map import Read
from drivers.modbus_wire import EXCEPTION

_FRAME_MAX = 256
"""Bytes of a frame on a serial line (Modbus over serial line 1.02, 2.3)."""
_EXCEPTION_LENGTH = 5
_QUESTION_LENGTH = 8


class Listener:
    """Feeds a `Decoder` for each unit with the answers that a line carries."""

    def __init__(self, config: Config, counters: Counters) -> None:
        self.counters = counters
        self._decoders = {address: Decoder(config) for address in config.addresses}
        self._due = dict.fromkeys(config.addresses, 0)
        """Of each unit, which read of the map comes next."""
        self._head = 0
        """The unit that speaks for what the head has only once: the first that answered."""
        self._waiting = bytearray()

    def feed(self, data: bytes, at: float) -> list[Sample | Fix]:
        """Samples of the units whose answers `data` completes; `at`: seconds."""
        self.counters.bytes_read += len(data)
        self._waiting += data
        found: list[Sample | Fix] = []
        while self._waiting:
            length, read = self._frame()
            if read is not None:
                found += self._take(bytes(self._waiting[:length]), read, at)
            elif length == 0:
                break
            elif length == 1:
                self.counters.bytes_dropped += 1
            del self._waiting[:length]
        return found

    def flush(self, at: float) -> list[Sample | Fix]:
        """Nothing comes any more: what could not become a frame hides none behind it."""
        found: list[Sample | Fix] = []
        while self._waiting:
            self.counters.bytes_dropped += 1
            del self._waiting[0]
            found += self.feed(b"", at)
        return found

    def _frame(self) -> tuple[int, Read | None]:
        """(length, its read) of the answer at the beginning; without a read: how many bytes begin
        none, 0 where that cannot be told yet."""
        head = self._waiting
        if head[0] not in self._decoders:
            return 1, None
        if len(head) < 3:
            return 0, None
        reads = self._decoders[head[0]].map.read
        due = self._due[head[0]]
        candidates: list[tuple[int, Read | None]] = [
            (length, read)
            for read in (*reads[due:], *reads[:due])
            if (length := _length(head, read))
        ]
        if any(head[1] == read.function for read in reads):
            candidates.append((_QUESTION_LENGTH, None))
        for length, read in candidates:
            if len(head) >= length and _is_whole(head[:length]):
                return length, read
        if any(len(head) < length for length, _ in candidates):
            return 0, None
        self.counters.bad_checksums += any(read is not None for _, read in candidates)
        return 1, None

    def _take(self, frame: bytes, read: Read, at: float) -> list[Sample | Fix]:
        address, decoder = frame[0], self._decoders[frame[0]]
        place, due = decoder.map.read.index(read), self._due[address]
        if frame[1] & EXCEPTION:
            self.counters.exceptions += 1
            self._due[address] = 0
            return []
        self.counters.frames += 1
        if place not in (0, due):
            # Registers of two rounds are never put together into one set of samples.
            self._due[address] = 0
            return []
        self._due[address] = (place + 1) % len(decoder.map.read)
        self._head = self._head or address
        decoder.with_head = address == self._head
        decoder.ask(address, read)
        return decoder.feed(frame, at)


def _length(head: bytearray, read: Read) -> int:
    """Bytes of the answer to `read` that begins with `head`; 0 where none does."""
    if head[1] == read.function | EXCEPTION:
        return _EXCEPTION_LENGTH
    if head[1] == read.function and head[2] == 2 * read.count:
        return min(5 + 2 * read.count, _FRAME_MAX)
    return 0


def _is_whole(frame: bytearray) -> bool:
    return crc16_modbus(bytes(frame[:-2])) == int.from_bytes(frame[-2:], "little")
